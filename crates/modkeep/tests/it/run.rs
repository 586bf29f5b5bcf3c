//! `modkeep run`: the go command's own end, and the cause after it.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::golang::{Project, SUMDB, log_of, relay};

fn module() -> Module {
    Module::new("example.com/m", "v1.0.0")
}

fn upstream() -> Upstream {
    let mut tree = Tree::new();
    tree.add(&module()).unwrap();
    Upstream::start_blocking(tree).unwrap()
}

#[test]
fn output_and_exit_status_of_the_go_command_pass_unchanged() {
    let upstream = upstream();
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project.run(&[
        "run",
        "--",
        "go",
        "mod",
        "download",
        "-json",
        "example.com/m@v1.0.0",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("\"Version\": \"v1.0.0\""), "{ran:?}");
    assert_eq!(ran.stderr, "");
    // The front asked in the user's place.
    assert_eq!(upstream.hits("example.com/m/@v/v1.0.0.zip"), 1);
    let alone = project.go(&["list", "-m", "no.such.flag", "-bad"]);
    let through = project.run(&["run", "--", "go", "list", "-m", "no.such.flag", "-bad"]);
    assert_eq!((through.code, through.stdout), (alone.code, alone.stdout));
    assert!(
        through.stderr.starts_with(&alone.stderr),
        "{}",
        through.stderr
    );
}

#[test]
fn a_failing_proxy_is_named_as_the_cause_at_once() {
    let upstream = upstream();
    upstream.on(
        "/example.com/m/",
        Behaviour::status(500, "the disk is on fire"),
    );
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project.run(&["run", "--", "go", "mod", "download", "example.com/m@v1.0.0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let (go, ours) = ran.stderr.split_once("--- modkeep").expect(&ran.stderr);
    assert!(go.contains("the disk is on fire"), "{go}");
    assert!(ours.contains("upstream_5xx"), "{ours}");
    assert!(ours.contains(&upstream.url()), "{ours}");
    assert!(ours.contains("requests failed"), "{ours}");
}

#[test]
fn what_no_proxy_has_is_told_from_what_fails() {
    let upstream = upstream();
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let ran = project.run(&["run", "--", "go", "mod", "download", "example.com/m@v9.9.9"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("proxy_404"), "{}", ran.stderr);
}

#[test]
fn a_dead_proxy_is_a_refused_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let Some(project) = Project::new(&dead) else {
        return;
    };
    let ran = project.run(&["run", "--", "go", "mod", "download", "example.com/m@v1.0.0"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("connect_refused"), "{}", ran.stderr);
}

#[test]
fn proxy_off_and_an_unreadable_proxy_are_left_to_the_go_command() {
    for (proxy, label) in [
        ("off", "goproxy_off"),
        ("proxy.example", "goproxy_syntax_invalid"),
    ] {
        let Some(project) = Project::new(proxy) else {
            return;
        };
        let ran = project.run(&["run", "--", "go", "mod", "download", "example.com/m@v1.0.0"]);
        assert_eq!(ran.code, Some(1), "{proxy}: {ran:?}");
        assert!(ran.stderr.contains(label), "{proxy}: {}", ran.stderr);
    }
}

#[test]
fn a_mistake_in_the_users_own_code_is_the_compilers_matter() {
    let Some(project) = Project::new("off") else {
        return;
    };
    project.write("main.go", "package main\n\nfunc main() { missing() }\n");
    let ran = project.run(&["run", "--", "go", "vet", "./..."]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("undefined: missing"), "{ran:?}");
    assert!(!ran.stderr.contains("--- modkeep"), "{ran:?}");
}

#[test]
fn a_command_that_cannot_be_started_is_said_and_nothing_to_run_is_wrong_usage() {
    let ran = crate::common::run(&["run", "--", "no-such-program"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("no-such-program"));
    assert_eq!(crate::common::run(&["run"]).code, Some(2));
    // Any program may stand behind the dashes; its status is its own.
    let ran = crate::common::run(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(
        (ran.code, &*ran.stdout, &*ran.stderr),
        (Some(7), "out\n", "err\n")
    );
}

#[test]
fn signals_are_passed_on_and_how_the_child_ended_is_told() {
    let home = tempfile::tempdir().unwrap();
    let script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    let mut child = crate::common::command(home.path())
        .args(["run", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "caught\n");
    assert_eq!(child.wait().unwrap().code(), Some(9));
    let ran = crate::common::run(&["run", "--", "sh", "-c", "kill -KILL $$"]);
    assert_eq!(ran.code, Some(128 + 9));
}

/// A project whose proxy relays a checksum database that knows the module as `recorded`.
fn with_database(recorded: &Module) -> Option<(Upstream, Project)> {
    let mut tree = Tree::new();
    tree.add(&module()).unwrap();
    let log = log_of(&[recorded]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[recorded]);
    let upstream = Upstream::start_blocking(tree).unwrap();
    let project = Project::new(&upstream.url())?.env("GOSUMDB", &log.vkey());
    Some((upstream, project))
}

#[test]
fn unverified_once_checks_afterwards_what_came_without_proof() {
    let Some((upstream, project)) = with_database(&module()) else {
        return;
    };
    let download = [
        "run",
        "--unverified-once",
        "--",
        "go",
        "mod",
        "download",
        "example.com/m@v1.0.0",
    ];
    let ran = project.run(&download);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr
            .contains("1 versions came without proof; 1 are proved now"),
        "{}",
        ran.stderr
    );
    assert!(upstream.hits(&format!("sumdb/{SUMDB}/lookup/example.com/m@v1.0.0")) > 0);
}

#[test]
fn unverified_once_tells_bytes_that_are_not_the_recorded_ones() {
    let Some((_upstream, project)) = with_database(&module().file("evil.go", "package module"))
    else {
        return;
    };
    let download = ["mod", "download", "example.com/m@v1.0.0"];
    let refused = project.run(&["run", "--", "go", "mod", "download", "example.com/m@v1.0.0"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("checksum mismatch"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("checksum_mismatch"),
        "{}",
        refused.stderr
    );
    let ran = project.run(&[&["run", "--unverified-once", "--", "go"], &download[..]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("BAD example.com/m@v1.0.0"),
        "{}",
        ran.stderr
    );
}

#[test]
fn what_could_not_be_checked_is_remembered_and_checked_later() {
    let Some((upstream, project)) = with_database(&module()) else {
        return;
    };
    upstream.on(
        "/sumdb/",
        Behaviour::new().fault(Fault::Status(503, "later".into())),
    );
    let ran = project.run(&[
        "run",
        "--unverified-once",
        "--",
        "go",
        "mod",
        "download",
        "example.com/m@v1.0.0",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("1 open"), "{}", ran.stderr);
    assert!(project.path("data/modkeep/unverified.json").exists());
    upstream.heal();
    let ran = project.run(&["run", "--unverified-once"]);
    assert!(ran.stderr.contains("1 are proved now"), "{ran:?}");
    assert!(!project.path("data/modkeep/unverified.json").exists());
}
