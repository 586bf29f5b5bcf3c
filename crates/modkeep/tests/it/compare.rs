//! `modkeep compare`: the odd one out among real sources.

use serde_json::Value;
use testkit::{Behaviour, Module, Tree, Upstream};

use crate::common::{Launch, Ran};
use crate::golang::{Project, SUMDB, log_of, relay, sums};

const NAME: &str = "example.com/m@v1.0.0";

fn module() -> Module {
    Module::new("example.com/m", "v1.0.0").file("a.txt", "one\ntwo\n")
}

fn other() -> Module {
    Module::new("example.com/m", "v1.0.0")
        .file("a.txt", "evil")
        .file("b.txt", "more")
}

/// A proxy with this module, relaying a database that knows it as `recorded`.
fn proxy(served: &Module, recorded: &Module) -> (Upstream, String) {
    let mut tree = Tree::new();
    tree.add(served).unwrap();
    let log = log_of(&[recorded]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[recorded]);
    (Upstream::start_blocking(tree).unwrap(), log.vkey())
}

fn compare(project: &Project, more: &[&str]) -> (Ran, Value) {
    let args = [&["compare", NAME, "--json", "--no-origin"], more].concat();
    let ran = project.run(&args);
    let json = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran, json)
}

fn source<'a>(json: &'a Value, name: &str) -> &'a Value {
    let sources = json["sources"].as_array().unwrap();
    let found = sources
        .iter()
        .find(|s| s["name"].as_str().unwrap().contains(name));
    found.unwrap_or_else(|| panic!("{name} in {json:#}"))
}

#[test]
fn sources_that_agree_are_shown_with_the_proved_record() {
    let (upstream, key) = proxy(&module(), &module());
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    project.go(&["mod", "download", NAME]);
    let (h1, gomod) = sums(&module());
    project.write(
        "go.sum",
        format!("example.com/m v1.0.0 {h1}\nexample.com/m v1.0.0/go.mod {gomod}\n"),
    );
    let (ran, json) = compare(&project, &[]);
    assert_eq!(ran.code, Some(0), "{json:#}");
    assert!(
        ran.stdout
            .trim_start()
            .starts_with("{\n  \"schema\": \"modkeep.compare/1\""),
        "{}",
        ran.stdout
    );
    assert_eq!(json["verdict"], "agree");
    for name in [
        "go.sum:1",
        "module cache",
        ".ziphash",
        "extracted",
        &upstream.url(),
        SUMDB,
    ] {
        assert_eq!(source(&json, name)["h1"], *h1, "{name}");
    }
    assert_eq!(source(&json, SUMDB)["gomod"], *gomod);
    assert_eq!(source(&json, "go.sum")["kind"], "gosum");
}

#[test]
fn a_proxy_with_other_bytes_is_named_and_its_files_are() {
    let (good, key) = proxy(&module(), &module());
    let (bad, _) = proxy(&other(), &module());
    let Some(project) = Project::new(&good.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (ran, json) = compare(&project, &["--proxy", &bad.url()]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        json["verdict"], "checksum_mismatch_proxy_divergent",
        "{json:#}"
    );
    assert_eq!(json["odd"][0], bad.url());
    let changes: Vec<_> = json["files"]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, [("a.txt", "content"), ("b.txt", "only_right")]);
    assert!(json["next"]["text"].is_string() && json["avoid"][0]["why"].is_string());
    let text = project
        .run(&["compare", NAME, "--no-origin", "--proxy", &bad.url()])
        .stdout;
    for part in [
        "<- differs",
        "A = h1:",
        "only right b.txt",
        "The safe next step",
        "GOSUMDB=off",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_wrong_line_in_go_sum_and_a_spoilt_cache_are_told_apart() {
    let (upstream, key) = proxy(&module(), &module());
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (wrong, _) = sums(&other());
    project.write("go.sum", format!("example.com/m v1.0.0 {wrong}\n"));
    let (_, json) = compare(&project, &[]);
    assert_eq!(json["verdict"], "checksum_mismatch_gosum_wrong", "{json:#}");
    project.write("go.sum", "");
    project.go(&["mod", "download", NAME]);
    let extracted = project.path("cache/example.com/m@v1.0.0/a.txt");
    std::fs::write(extracted, "edited").unwrap();
    let (ran, json) = compare(&project, &[]);
    assert_eq!(
        (ran.code, &json["verdict"]),
        (Some(1), &Value::from("cache_corrupt")),
        "{json:#}"
    );
    assert_eq!(json["odd"][0], "module cache (extracted)");
}

#[test]
fn a_record_that_nobody_else_has_is_the_alarm() {
    let (upstream, key) = proxy(&module(), &other());
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (ran, json) = compare(&project, &["--timeout", "10"]);
    assert_eq!(
        (ran.code, &json["verdict"]),
        (Some(1), &Value::from("sumdb_divergent")),
        "{json:#}"
    );
}

#[test]
fn private_names_reach_no_proxy_and_no_database() {
    let (upstream, key) = proxy(&module(), &module());
    for (name, value, flag) in [
        ("GOPRIVATE", "example.com", ""),
        ("GOPRIVATE", "", "example.com/*"),
    ] {
        let Some(project) = Project::new(&upstream.url()) else {
            return;
        };
        let project = project.env("GOSUMDB", &key).env(name, value);
        let (ran, json) = compare(&project, &["--private", flag, "--proxy", &upstream.url()]);
        assert_eq!(ran.code, Some(3), "{json:#}");
        assert_eq!(json["verdict"], "unknown");
        assert!(
            source(&json, SUMDB)["error"]
                .as_str()
                .unwrap()
                .contains("private")
        );
    }
    assert_eq!(upstream.seen().len(), 0, "{:?}", upstream.seen());
}

#[test]
fn a_proxy_that_fails_is_an_error_in_its_row_and_not_a_difference() {
    let (upstream, key) = proxy(&module(), &module());
    let (dead, _) = proxy(&module(), &module());
    dead.set(Behaviour::status(500, "on fire"));
    let Some(project) = Project::new(&format!("{},{}", upstream.url(), dead.url())) else {
        return;
    };
    let project = project.env("GOSUMDB", &key);
    let (ran, json) = compare(&project, &[]);
    assert_eq!(
        (ran.code, &json["verdict"]),
        (Some(0), &Value::from("agree")),
        "{json:#}"
    );
    assert!(
        source(&json, &dead.url())["error"]
            .as_str()
            .unwrap()
            .contains("500"),
        "{json:#}"
    );
}

#[test]
fn the_own_store_is_looked_into_and_a_running_modkeep_is_asked() {
    let (upstream, _) = proxy(&module(), &module());
    let Some(project) = Project::new(&upstream.url()) else {
        return;
    };
    let server = Launch::new().upstream(&upstream.url()).start();
    server.get("/example.com/m/@v/v1.0.0.mod");
    server.get("/example.com/m/@v/v1.0.0.zip");
    let (h1, gomod) = sums(&module());
    let (_, json) = compare(&project, &["--server", &server.url]);
    let store = source(&json, "modkeep at");
    assert_eq!(
        (&store["h1"], &store["gomod"]),
        (&Value::from(h1.clone()), &Value::from(gomod)),
        "{json:#}"
    );
    let ended = server.stop();
    let (_, json) = compare(&project, &["--data", ended.data.to_str().unwrap()]);
    assert_eq!(source(&json, "modkeep's store")["h1"], *h1, "{json:#}");
    assert_eq!(json["verdict"], "agree");
}

#[test]
fn wrong_usage_is_said() {
    for args in [
        &["compare", "example.com/m"][..],
        &["compare", NAME, "--proxy", "direct"],
        &["compare", NAME, "--private", "["],
    ] {
        let ran = crate::common::run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
    }
}
