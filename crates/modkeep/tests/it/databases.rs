//! Checksum databases of others: relayed, proved, kept; and what becomes of one that lies.
//!
//! The database has a key of the test's own. Its answers lie below `sumdb/NAME/` of the proxy that
//! also serves the modules, as with a proxy that relays sum.golang.org.

mod admission;
mod gocommand;
mod lies;
mod relayed;

use crate::common::{Launch, Server};
use crate::golang::{SUMDB, log_of, relay, sums};
use std::sync::Arc;
use testkit::{MemLog, Module, Tree, Upstream};

/// The module of a test, in its only honest form.
fn module(n: usize) -> Module {
    Module::new("example.com/m", &format!("v1.0.{n}"))
        .file("m.go", format!("package m\n\nconst N = {n}\n"))
        .file("data.bin", testkit::tree::noise(n as u64, 40_000))
}

/// The modules 1 to `count`.
fn modules(count: usize) -> Vec<Module> {
    (1..=count).map(module).collect()
}

/// A proxy with these modules, relaying this log.
fn tree_of(modules: &[Module], log: &MemLog) -> Tree {
    let mut tree = Tree::new();
    for module in modules {
        tree.add(module).unwrap();
    }
    put_log(&mut tree, log, modules);
    tree
}

/// Puts a log's answers into a tree, over those that are there.
fn put_log(tree: &mut Tree, log: &MemLog, modules: &[Module]) {
    let modules: Vec<&Module> = modules.iter().collect();
    relay(tree, &format!("sumdb/{SUMDB}/"), log, &modules);
    let data = format!("tile/8/data/000.p/{}", log.size());
    if let Some(bytes) = log.answer(&data, false) {
        tree.put(&format!("sumdb/{SUMDB}/{data}"), bytes);
    }
}

fn log(modules: &[Module]) -> MemLog {
    log_of(&modules.iter().collect::<Vec<_>>())
}

/// An honest site with `count` modules, all recorded.
fn honest(count: usize) -> (Upstream, MemLog) {
    let modules = modules(count);
    let log = log(&modules);
    let upstream = Upstream::start_blocking(tree_of(&modules, &log)).unwrap();
    (upstream, log)
}

fn launch(upstream: &Upstream, log: &MemLog) -> Launch {
    again(Launch::new(), upstream, log)
}

fn again(launch: Launch, upstream: &Upstream, log: &MemLog) -> Launch {
    launch
        .upstream(&upstream.url())
        .args(["--sumdb", &log.vkey(), "--not-found", "1ms"])
}

/// A path below the database.
fn sum(rest: &str) -> String {
    format!("/sumdb/{SUMDB}/{rest}")
}

fn lookup(n: usize) -> String {
    sum(&format!("lookup/example.com/m@v1.0.{n}"))
}

fn zip(n: usize) -> String {
    format!("/example.com/m/@v/v1.0.{n}.zip")
}

fn go_mod(n: usize) -> String {
    format!("/example.com/m/@v/v1.0.{n}.mod")
}

/// What is said of a database's lies: by kind, in readiness.
fn alarms(server: &Server) -> Vec<(String, serde_json::Value)> {
    let ready = server.get("/-/readyz").json();
    let alarms = ready["alarms"].as_array().unwrap().clone();
    let kind = |a: &serde_json::Value| a["kind"].as_str().unwrap().to_owned();
    alarms.into_iter().map(|a| (kind(&a), a)).collect()
}

fn has_alarm(server: &Server, kind: &str) -> bool {
    let raised =
        server.metric("modkeep_alarms_total") > 0 && alarms(server).iter().any(|(k, _)| k == kind);
    if raised {
        // What the server wrote comes through a pipe.
        crate::common::eventually("in the log", || server.stderr().contains("ALARM"));
    }
    raised
}

/// The record that a server serves for a version is the honest log's.
fn is_honest(server: &Server, log: &MemLog, n: usize) {
    let answer = server.get(&lookup(n));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (zip, _) = sums(&module(n));
    assert!(answer.text().contains(&zip), "{}", answer.text());
    let id = answer.text().lines().next().unwrap().to_owned();
    let own = log.lookup("example.com/m", &format!("v1.0.{n}")).unwrap();
    assert_eq!(id, String::from_utf8(own).unwrap().lines().next().unwrap());
}

/// Whether a file is kept: asked of a server that may not fetch.
fn is_kept(server: &Server, path: &str) -> bool {
    server.get(&format!("/cached-only{path}")).status == 200
}
