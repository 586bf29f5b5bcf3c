//! `modkeep doctor M@V --matrix`: one change at a time by the real go command.

use serde_json::Value;
use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::Ran;
use crate::golang::{Project, SUMDB, log_of, relay};

const NAME: &str = "github.com/mod-invalid/m@v1.0.0";

fn module() -> Module {
    Module::new("github.com/mod-invalid/m", "v1.0.0")
}

fn proxy(recorded: &Module) -> (Upstream, String) {
    let mut tree = Tree::new();
    tree.add(&module()).unwrap();
    let log = log_of(&[recorded]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[recorded]);
    (Upstream::start_blocking(tree).unwrap(), log.vkey())
}

fn matrix(project: &Project, more: &[&str]) -> (Ran, Value) {
    let ran = project.run(&[&["doctor", NAME, "--matrix", "--json"], more].concat());
    let json = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran, json)
}

fn end<'a>(json: &'a Value, change: &str) -> &'a Value {
    let trials = json["matrix"]["trials"].as_array().unwrap();
    let found = trials
        .iter()
        .find(|t| t["change"] == change || t["value"] == change);
    found.map_or(&Value::Null, |t| &t["end"])
}

/// Git is not allowed, so that `direct` fails at once and nobody is asked.
fn project(list: &str, key: &str) -> Option<Project> {
    Some(
        Project::new(list)?
            .env("GOSUMDB", key)
            .env("GOVCS", "*:off"),
    )
}

#[test]
fn the_proxy_that_stops_the_list_is_found_and_left_out() {
    let (good, key) = proxy(&module());
    let (bad, _) = proxy(&module());
    bad.set(Behaviour::status(500, "on fire"));
    let Some(project) = project(&format!("{},{}", bad.url(), good.url()), &key) else {
        return;
    };
    let (ran, json) = matrix(&project, &[]);
    assert_eq!(ran.code, Some(1), "{json:#}");
    assert_eq!(json["schema"], "modkeep.doctor/1");
    assert_eq!(
        [
            end(&json, "as_set"),
            end(&json, &bad.url()),
            end(&json, &good.url())
        ],
        ["fails", "fails", "works"],
        "{json:#}"
    );
    let conclusion = &json["matrix"]["conclusion"];
    assert_eq!(conclusion["label"], "upstream_5xx");
    assert_eq!(
        conclusion["fix"],
        format!("go env -w 'GOPROXY={},direct'", good.url())
    );
    assert_eq!(json["findings"][0]["label"], "upstream_5xx");
    // Nothing of it stays: the user's own cache was not touched.
    assert!(
        !project
            .path("cache/cache/download/github.com/mod-invalid")
            .exists()
    );
}

#[test]
fn wrong_bytes_are_proved_by_the_database_and_off_is_never_the_fix() {
    let (upstream, key) = proxy(&module().file("x", "other"));
    let Some(project) = project(&upstream.url(), &key) else {
        return;
    };
    let (ran, json) = matrix(&project, &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        [end(&json, "as_set"), end(&json, "sumdb_off")],
        ["fails", "works"],
        "{json:#}"
    );
    let conclusion = &json["matrix"]["conclusion"];
    assert!(
        conclusion["label"]
            .as_str()
            .unwrap()
            .starts_with("checksum_mismatch"),
        "{json:#}"
    );
    assert_eq!(conclusion["fix"], Value::Null);
    let text = project.run(&["doctor", NAME, "--matrix"]).stdout;
    assert!(
        text.contains("GOSUMDB=off") && text.contains("never a fix"),
        "{text}"
    );
    assert!(!text.contains("$ go env -w 'GOSUMDB"), "{text}");
}

#[test]
fn what_works_is_local_and_a_hanging_proxy_costs_its_time_only() {
    let (upstream, key) = proxy(&module());
    let Some(healthy) = project(&upstream.url(), &key) else {
        return;
    };
    let (ran, json) = matrix(&healthy, &[]);
    assert_eq!(
        (ran.code, end(&json, "as_set")),
        (Some(0), &Value::from("works")),
        "{json:#}"
    );
    upstream.set(Behaviour::new().fault(Fault::Hang));
    let (ran, json) = matrix(&healthy, &["--timeout", "1s"]);
    assert_eq!(
        (ran.code, end(&json, "as_set")),
        (Some(1), &Value::from("timed_out")),
        "{json:#}"
    );
}

#[test]
fn a_private_module_is_named_to_no_proxy() {
    let (upstream, key) = proxy(&module());
    let Some(project) = project(&upstream.url(), &key) else {
        return;
    };
    let project = project.env("GOPRIVATE", "github.com/mod-invalid");
    let (_, json) = matrix(&project, &["--timeout", "5s"]);
    assert_eq!(
        json["matrix"]["trials"].as_array().unwrap().len(),
        1,
        "{json:#}"
    );
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    let ran = project.run(&["doctor", "--matrix", "github.com/mod-invalid/m"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}
