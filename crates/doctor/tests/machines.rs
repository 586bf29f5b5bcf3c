//! A recorded healthy machine, and the same with one fact changed: every rule without I/O. The
//! faults that a home directory can have are made for real in the tests of the command.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use doctor::check::{Report, State, Verdict, diagnose};
use doctor::facts::Facts;
use doctor::{Lang, screen};
use serde_json::{Value, json};

const HEALTHY: &str = include_str!("machines/healthy.json");

fn with(changes: &[(&str, Value)]) -> Report {
    let mut facts: Value = serde_json::from_str(HEALTHY).unwrap();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = facts
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{pointer}"));
        match parent {
            Value::Object(object) => {
                object.insert(key.to_owned(), value.clone());
            }
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer} is no place"),
        }
    }
    diagnose(&Facts::parse(facts.to_string().as_bytes()).unwrap())
}

fn label(report: &Report) -> String {
    let Some(first) = report.findings.first() else {
        return String::new();
    };
    match &first.variant {
        Some(variant) => format!("{}:{variant}", first.cause.label),
        None => first.cause.label.clone(),
    }
}

type Case = (
    &'static str,
    State,
    &'static str,
    Vec<(&'static str, Value)>,
);

fn judge(cases: Vec<Case>) {
    for (id, state, wanted, changes) in cases {
        let report = with(&changes);
        let told: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.state == state)
            .collect();
        assert!(
            told.iter().any(|check| check.id == id),
            "{id} {changes:?}: {:?}",
            report.checks
        );
        assert_eq!(label(&report), wanted, "{id} {changes:?}");
    }
}

#[test]
fn the_healthy_machine_is_healthy() {
    let report = with(&[]);
    let bad = |check: &&doctor::Check| !matches!(check.state, State::Ok | State::Skipped);
    assert!(
        report.checks.iter().find(bad).is_none(),
        "{:?}",
        report.checks
    );
    assert!(report.findings.is_empty());
    assert_eq!(report.verdict(), Verdict::Healthy);
}

#[test]
fn nothing_gathered_is_unknown_and_never_bad() {
    let report = diagnose(&Facts::parse(br#"{"schema":"modkeep.facts/1"}"#).unwrap());
    let bad = |check: &&doctor::Check| matches!(check.state, State::Warn | State::Fail);
    assert!(
        report.checks.iter().find(bad).is_none(),
        "{:?}",
        report.checks
    );
    assert_eq!(report.verdict(), Verdict::Unknown);
}

#[test]
fn settings_of_other_machines_are_judged() {
    let os = |name: &str, value: &str| json!({"HOME": "/home/carol", (name): value});
    let user = |values: Value, odd: Value| json!({"path": "/home/carol/.config/go/env", "exists": true, "uid": 1000, "values": values, "odd_lines": odd});
    judge(vec![
        (
            "D01",
            State::Fail,
            "",
            vec![
                ("/go/on_path/0/error", json!("Permission denied")),
                ("/go/on_path/0/version", Value::Null),
            ],
        ),
        (
            "D01",
            State::Warn,
            "",
            vec![(
                "/go/on_path",
                json!([
                    {"path": "/usr/local/go/bin/go", "real": "/usr/local/go/bin/go", "version": "go1.27.3", "goroot": "/usr/local/go", "goroot_version": "go1.27.3"},
                    {"path": "/usr/bin/go", "real": "/usr/lib/go-1.19/bin/go", "version": "go1.19.8", "goroot": "/usr/lib/go-1.19", "goroot_version": "go1.19.8"},
                ]),
            )],
        ),
        (
            "D02",
            State::Warn,
            "",
            vec![(
                "/env/user_file",
                user(json!({}), json!([[1, "export GOPROXY=direct"]])),
            )],
        ),
        (
            "D02",
            State::Warn,
            "",
            vec![(
                "/env/user_file",
                json!({"path": "/home/carol/.config/go/env", "exists": true, "uid": 1001}),
            )],
        ),
        (
            "D02",
            State::Warn,
            "",
            vec![
                ("/env/os", json!({"HOME": "/root", "SUDO_USER": "carol"})),
                ("/env/uid", json!(0)),
            ],
        ),
        (
            "D06",
            State::Warn,
            "",
            vec![("/env/user_file", user(json!({"GOSUMDB": "off"}), json!([])))],
        ),
        (
            "D10",
            State::Fail,
            "gopath_mode",
            vec![("/env/os", os("GOPATH", "go"))],
        ),
        (
            "D10",
            State::Fail,
            "gopath_mode",
            vec![("/env/os", os("GO111MODULE", "yes"))],
        ),
        (
            "D12",
            State::Fail,
            "toolchain_version_unreleased",
            vec![
                ("/go/on_path/0/version", json!("go1.21.0")),
                ("/go/on_path/0/goroot_version", json!("go1.21.0")),
                (
                    "/project/go_mod/present/text",
                    json!("module example.com/app\n\ngo 1.22\n"),
                ),
                ("/project/imports", json!([])),
            ],
        ),
        (
            "D12",
            State::Fail,
            "toolchain_version_unreleased",
            vec![("/env/os", os("GOTOOLCHAIN", "1.27.3"))],
        ),
        (
            "D12",
            State::Fail,
            "go_version_too_old",
            vec![
                ("/env/os", os("GOTOOLCHAIN", "local")),
                ("/project/required/0/go", json!("1.29.0")),
            ],
        ),
        (
            "D13",
            State::Fail,
            "proxy_auth_401",
            vec![(
                "/env/auth",
                json!([{"name": "helper", "found": true, "answered": false}]),
            )],
        ),
        (
            "D14",
            State::Warn,
            "",
            vec![(
                "/env/netrc",
                json!({"path": "/home/carol/.netrc", "exists": true, "mode": 0o644, "machines": [{"machine": "x.example", "login": "c***(5)"}]}),
            )],
        ),
        (
            "D15",
            State::Warn,
            "http_proxy_misconfig",
            vec![("/env/os", os("ALL_PROXY", "socks5://127.0.0.1:1080"))],
        ),
        (
            "D15",
            State::Warn,
            "http_proxy_misconfig",
            vec![(
                "/env/os",
                json!({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:1"}),
            )],
        ),
        (
            "D16",
            State::Warn,
            "auth_required_git_ssh",
            vec![
                (
                    "/env/git/instead_of",
                    json!([{"base": "git@git.corp.example:", "prefix": "https://git.corp.example/"}]),
                ),
                ("/env/ssh/unknown_hosts", json!(["git.corp.example"])),
            ],
        ),
        (
            "D16",
            State::Warn,
            "auth_required_git",
            vec![
                ("/env/os", os("GOPRIVATE", "github.com/pkg")),
                ("/env/git/helpers", json!([])),
            ],
        ),
        (
            "D17",
            State::Warn,
            "",
            vec![("/env/container/nameservers", json!([]))],
        ),
        (
            "D17",
            State::Warn,
            "",
            vec![
                ("/env/os", os("GOPROXY", "https://goproxy.example,direct")),
                (
                    "/project/docker",
                    json!([["Dockerfile", 4, "RUN go mod download"]]),
                ),
            ],
        ),
        (
            "D17",
            State::Fail,
            "cache_permission",
            vec![("/env/home", Value::Null), ("/env/os", json!({}))],
        ),
    ]);
}

#[test]
fn disks_of_other_machines_are_judged() {
    let mod_cache = "/local/dirs/0";
    let dir =
        |key: &str| -> &'static str { Box::leak(format!("{mod_cache}/{key}").into_boxed_str()) };
    judge(vec![
        // Scenario 49: full, and not writable.
        (
            "D40",
            State::Fail,
            "disk_full",
            vec![(dir("free_bytes"), json!(4096))],
        ),
        (
            "D40",
            State::Warn,
            "disk_full",
            vec![(dir("free_bytes"), json!(64 << 20))],
        ),
        (
            "D40",
            State::Fail,
            "disk_full:inodes",
            vec![
                (dir("free_inodes"), json!(0)),
                (dir("total_inodes"), json!(1000)),
            ],
        ),
        (
            "D40",
            State::Fail,
            "cache_permission",
            vec![(dir("writable"), json!(false)), (dir("uid"), json!(0))],
        ),
        (
            "D40",
            State::Fail,
            "cache_permission",
            vec![(dir("read_only"), json!(true))],
        ),
        (
            "D40",
            State::Fail,
            "cache_permission",
            vec![(
                dir("foreign"),
                json!(["/home/carol/go/pkg/mod/cache/download/x.example", 0]),
            )],
        ),
        (
            "D40",
            State::Warn,
            "path_too_long",
            vec![(dir("name_max"), json!(143))],
        ),
        (
            "D40",
            State::Warn,
            "",
            vec![("/local/dirs/2/noexec", json!(true))],
        ),
        (
            "D41",
            State::Fail,
            "cache_permission",
            vec![(
                "/local/locks",
                json!([{"path": "/home/carol/go/pkg/mod/cache/lock", "supported": false, "error": "No locks available"}]),
            )],
        ),
        (
            "D41",
            State::Warn,
            "",
            vec![(
                "/local/locks",
                json!([{"path": "/home/carol/go/pkg/mod/cache/lock", "supported": true, "held": true, "holders": [[77, "go"]], "holder_age_s": 7200}]),
            )],
        ),
        (
            "D42",
            State::Fail,
            "checksum_mismatch_gosum_wrong",
            vec![(
                "/local/cache/damaged",
                json!([{"kind": "go-sum", "module": "x.example/m", "version": "v1.0.0", "path": "/x", "detail": "h1:a, go.sum says h1:b"}]),
            )],
        ),
        (
            "D42",
            State::Warn,
            "",
            vec![(
                "/local/cache/leftovers",
                json!([{"path": "/x.zip1.tmp", "bytes": 10, "age_s": 90000}]),
            )],
        ),
        (
            "D44",
            State::Fail,
            "git_dubious_ownership",
            vec![(
                "/local/vcs",
                json!([{"path": "/home/carol/go/pkg/mod/cache/vcs/ab", "kind": "git", "foreign_uid": 0}]),
            )],
        ),
        (
            "D44",
            State::Fail,
            "cache_corrupt",
            vec![(
                "/local/vcs",
                json!([{"path": "/home/carol/go/pkg/mod/cache/vcs/ab", "kind": "git", "locks": [["shallow.lock", 90000]]}]),
            )],
        ),
    ]);
    // A small tmpfs without inode counts, a lock that is at work, a trusted clone.
    let fine = with(&[
        (dir("free_inodes"), json!(0)),
        (dir("total_inodes"), json!(0)),
        (
            "/local/locks",
            json!([{"path": "/x/lock", "supported": true, "held": true, "holders": [[77, "go"]], "holder_age_s": 20}]),
        ),
        (
            "/local/vcs",
            json!([{"path": "/x", "kind": "git", "foreign_uid": 0}]),
        ),
        ("/env/git/safe_directories", json!(["*"])),
    ]);
    assert_eq!(fine.verdict(), Verdict::Healthy);
    assert!(fine.findings.is_empty());
}

#[test]
fn versions_and_vendoring_of_other_projects_are_judged() {
    let text = |lines: &str| {
        (
            "/project/go_mod/present/text",
            json!(format!("module example.com/app\n\ngo 1.27\n\n{lines}\n")),
        )
    };
    let no_imports = || ("/project/imports", json!([]));
    let sums = |path: &str, version: &str| {
        (
            "/project/go_sum/present/text",
            json!(format!(
                "{path} {version}/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
            )),
        )
    };
    let pseudo = "v0.0.0-20240101000000-abcdefabcdef";
    judge(vec![
        (
            "D50",
            State::Fail,
            "major_version_suffix",
            vec![
                text("require x.example/m v2.0.0"),
                no_imports(),
                sums("x.example/m", "v2.0.0"),
            ],
        ),
        (
            "D50",
            State::Fail,
            "invalid_version_syntax",
            vec![text("require x.example/m latest"), no_imports()],
        ),
        (
            "D50",
            State::Fail,
            "go_version_too_old",
            vec![
                ("/go/on_path/0/version", json!("go1.20.5")),
                ("/go/on_path/0/goroot_version", json!("go1.20.5")),
                (
                    "/project/go_mod/present/text",
                    json!("module example.com/app\n\ngo 1.21.0\n"),
                ),
                no_imports(),
            ],
        ),
        (
            "D54",
            State::Warn,
            "replace_target_missing",
            vec![
                text("require x.example/m v1.0.0\nreplace x.example/m => ../m"),
                no_imports(),
                (
                    "/project/replaced",
                    json!([{"written": "../m", "path": "/home/carol/m", "exists": true, "has_go_mod": true}]),
                ),
                ("/project/docker", json!([["Dockerfile", 2, "COPY . ."]])),
            ],
        ),
        (
            "D55",
            State::Fail,
            "vendor_inconsistent",
            vec![("/project/vendor", json!({"present": {"modules": null}}))],
        ),
        (
            "D56",
            State::Fail,
            "invalid_pseudo_version",
            vec![
                text(&format!("require x.example/m {pseudo}")),
                no_imports(),
                sums("x.example/m", pseudo),
                (
                    "/project/required",
                    json!([{"module": "x.example/m", "version": pseudo, "time": 1_704_067_207}]),
                ),
            ],
        ),
        (
            "D56",
            State::Fail,
            "invalid_pseudo_version",
            vec![
                text("require x.example/m v0.0.0-20990101000000-abcdefabcdef"),
                no_imports(),
                sums("x.example/m", "v0.0.0-20990101000000-abcdefabcdef"),
            ],
        ),
        (
            "D58",
            State::Fail,
            "package_not_in_std",
            vec![(
                "/project/imports",
                json!([{"path": "iter", "file": "a.go", "line": 3}]),
            )],
        ),
        (
            "D58",
            State::Fail,
            "package_not_in_module",
            vec![(
                "/project/imports",
                json!([
                    {"path": "github.com/pkg/errors/gone", "file": "a.go", "line": 3, "providers": [{"module": "github.com/pkg/errors", "version": "v0.9.1", "holds": false, "nested": false}]},
                ]),
            )],
        ),
        (
            "D58",
            State::Fail,
            "nested_module",
            vec![(
                "/project/imports",
                json!([
                    {"path": "github.com/pkg/errors/sub", "file": "a.go", "line": 3, "providers": [{"module": "github.com/pkg/errors", "version": "v0.9.1", "holds": false, "nested": true}]},
                ]),
            )],
        ),
    ]);
}

#[test]
fn hostile_facts_do_no_harm() {
    for text in [
        r#"{"schema":"modkeep.facts/1","env":{"os":{"GOPROXY":"é;,\u0000|https://[","GOSUMDB":"+++","GOPRIVATE":"[","GOFLAGS":"\"","GOVCS":":","GOTOOLCHAIN":"go1","GOAUTH":";","HTTPS_PROXY":"://@:"}}}"#,
        r###"{"schema":"modkeep.facts/1","project":{"go_mod":{"present":{"path":"","text":"module \u0000\nrequire ("}},"imports":[{"path":""}],"go_sum":{"present":{"path":"","text":"a b c"}},"vendor":{"present":{"modules":{"text":"## explicit\n# => "}}}}}"###,
        r#"{"schema":"modkeep.facts/1","local":{"dirs":[{}],"locks":[{}],"cache":{},"sumdb":{"latest":[{"wrong":""}]},"vcs":[{}]}}"#,
    ] {
        let report = diagnose(&Facts::parse(text.as_bytes()).unwrap());
        assert!(!screen::screen(&report, Lang::Zh, true, true).is_empty());
    }
}

/// The screen that docs/DIAGNOSIS.md shows, and the list of checks in it.
#[test]
fn the_documentation_shows_the_screens_as_they_are() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/DIAGNOSIS.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    for (id, en, _) in screen::titles() {
        assert!(
            docs.contains(&format!("| {id} | {en} |")),
            "docs/DIAGNOSIS.md does not list {id} {en}"
        );
    }
    let typo = with(&[(
        "/env/os",
        json!({"HOME": "/home/carol", "GOPROXY": "https://goproxy.example;direct"}),
    )]);
    for (report, lang) in [
        (with(&[]), Lang::En),
        (typo.clone(), Lang::En),
        (typo, Lang::Zh),
    ] {
        let shown = screen::screen(&report, lang, false, false);
        assert!(
            docs.contains(&format!("```text\n{shown}```\n")),
            "docs/DIAGNOSIS.md must show:\n{shown}"
        );
    }
}
