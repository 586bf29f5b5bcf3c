//! `modkeep verify` with a real go command's project and module cache.

use crate::common::{Launch, Ran, Server};
use crate::golang::{Project, SUMDB, log_of, relay, sums};
use std::path::PathBuf;
use testkit::{Module, Tree, Upstream};

const A: &str = "github.com/some/a";
const B: &str = "github.com/Some/B";

struct Site {
    project: Project,
    upstream: Upstream,
    sumdb: String,
}

fn modules() -> [Module; 3] {
    [
        Module::new(A, "v1.0.0")
            .require(B, "v1.2.0")
            .file("a.go", "package a\n\nimport _ \"github.com/Some/B\"\n")
            .file("sub/data", testkit::tree::noise(1, 300_000))
            .file("empty", ""),
        Module::new(B, "v1.2.0").file("b.go", "package b\n"),
        Module::new("corp.example/private", "v0.1.0").file("p.go", "package p\n"),
    ]
}

/// A project that pulled its modules through a proxy, which relays a database that knows those named.
fn site(known: &[usize]) -> Option<Site> {
    let modules = modules();
    let known: Vec<&Module> = known.iter().map(|i| &modules[*i]).collect();
    let (mut tree, log) = (Tree::new(), log_of(&known));
    for module in &modules {
        tree.add(module).unwrap();
    }
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &known);
    let upstream = Upstream::start_blocking(tree).unwrap();
    let project = Project::new(&upstream.url())?;
    project.write(
        "main.go",
        "package main\n\nimport (\n\t_ \"github.com/some/a\"\n\t_ \"corp.example/private\"\n)\n\nfunc main() {}\n",
    );
    for module in ["github.com/some/a@v1.0.0", "corp.example/private@v0.1.0"] {
        let ran = project.go(&["get", module]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    upstream.forget();
    Some(Site {
        project: project.env("GOPRIVATE", "corp.example"),
        upstream,
        sumdb: log.vkey(),
    })
}

impl Site {
    fn run(&self, args: &[&str]) -> Ran {
        let args = [&["verify", "--sumdb", &self.sumdb], args].concat();
        self.project.run(&args)
    }

    fn json(&self, args: &[&str]) -> (Option<i32>, serde_json::Value) {
        let ran = self.run(&[args, &["--json"]].concat());
        let document = serde_json::from_str(&ran.stdout);
        (ran.code, document.unwrap_or_else(|e| panic!("{e} {ran:?}")))
    }

    fn cache(&self, name: &str) -> PathBuf {
        self.project.path("cache").join(name)
    }
}

fn whats(document: &serde_json::Value) -> Vec<(String, String)> {
    let bad = document["bad"].as_array().unwrap();
    let word = |b: &serde_json::Value, name: &str| b[name].as_str().unwrap().to_owned();
    bad.iter()
        .map(|b| (word(b, "module"), word(b, "what")))
        .collect()
}

fn one(module: &str, what: &str) -> Vec<(String, String)> {
    vec![(module.to_owned(), what.to_owned())]
}

#[test]
fn a_good_go_sum_is_proved_and_private_names_stay_here() {
    let Some(site) = site(&[0, 1]) else { return };
    let ran = site.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("6 checked: 4 proved by"), "{ran:?}");
    assert!(
        ran.stdout.contains("corp.example/private@v0.1.0"),
        "{ran:?}"
    );
    let seen = format!("{:?}", site.upstream.seen());
    assert!(
        seen.contains("lookup/github.com/!some/!b@v1.2.0"),
        "proved, not believed: {seen}"
    );
    assert!(seen.contains("/tile/8/"), "proved, not believed: {seen}");
    assert!(!seen.contains("corp.example"), "{seen}");
    let (code, document) = site.json(&[]);
    assert_eq!(code, Some(0));
    assert_eq!(document["schema"], "modkeep.verify/1");
    assert_eq!(document["checked"], 6);
    assert_eq!(document["bad"].as_array().unwrap().len(), 0);
    assert_eq!(document["private"][0]["module"], "corp.example/private");
}

#[test]
fn a_wrong_line_is_named_with_both_hashes_in_every_form() {
    let Some(site) = site(&[0, 1]) else { return };
    let (right, _) = sums(&modules()[0]);
    let (wrong, _) = sums(&modules()[1]);
    let text = site.project.read("go.sum").replace(&right, &wrong);
    site.project.write("go.sum", &text);
    let line = 1 + text
        .lines()
        .position(|l| l.starts_with(&format!("{A} v1.0.0 h1:")))
        .unwrap();
    let ran = site.run(&[]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in [
        &right,
        &wrong,
        &format!("go.sum:{line}"),
        &format!("modkeep compare {A}@v1.0.0"),
    ] {
        assert!(ran.stdout.contains(part.as_str()), "{part}: {ran:?}");
    }
    let (code, document) = site.json(&[]);
    assert_eq!((code, whats(&document)), (Some(1), one(A, "gosum")));
    assert_eq!(document["bad"][0]["want"], right);
    assert_eq!(document["bad"][0]["got"], wrong);
    assert_eq!(document["bad"][0]["line"], line);
    let github = site.run(&["--annotate", "github"]);
    assert_eq!(github.code, Some(1));
    assert!(
        github
            .stdout
            .starts_with(&format!("::error file=go.sum,line={line},title={A}@v1.0.0")),
        "{github:?}"
    );
    let gitlab = site.run(&["--annotate", "gitlab"]);
    let report: serde_json::Value = serde_json::from_str(&gitlab.stdout).unwrap();
    assert_eq!(report[0]["location"]["lines"]["begin"], line);
}

#[test]
fn what_was_never_logged_and_what_nobody_answers_are_told_apart() {
    let Some(site) = site(&[0]) else { return };
    let (code, document) = site.json(&[]);
    assert_eq!(code, Some(1), "{document}");
    assert_eq!(document["unknown"][0]["module"], B);
    assert_eq!(document["unknown"][0]["reason"], "never_logged");
    let dead = site.project.run(&[
        "verify",
        "--sumdb",
        &format!("{} http://127.0.0.1:9", site.sumdb),
    ]);
    assert_eq!(dead.code, Some(3), "{dead:?}");
    assert!(dead.stdout.contains("could not be asked"), "{dead:?}");
    let lying = Upstream::start_blocking(Tree::new()).unwrap();
    lying.set(testkit::Behaviour::status(200, "this is no lookup\n"));
    let spec = format!("{} {}", site.sumdb, lying.url());
    let ran = site.project.run(&["verify", "--sumdb", &spec]);
    assert_eq!(
        ran.code,
        Some(3),
        "an unproved answer is no answer: {ran:?}"
    );
}

#[test]
fn hashes_of_other_kinds_and_damaged_lines_are_told() {
    let Some(site) = site(&[0, 1]) else { return };
    let good = site.project.read("go.sum");
    site.project.write(
        "go.sum",
        format!("{good}{A} v1.0.0 h2:abc\n{A} v1.0.0 h1:abc\n{A} v1 h1:abc=\n"),
    );
    let (code, document) = site.json(&[]);
    assert_eq!(code, Some(1));
    assert_eq!(document["bad"].as_array().unwrap().len(), 2, "{document}");
    assert_eq!(document["unknown"][0]["reason"], "unknown_algorithm");
    site.project.write("go.sum", "one two\n");
    let ran = site.run(&[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("go.sum:1"), "{ran:?}");
}

#[test]
fn through_a_server_and_offline_from_the_store() {
    let Some(site) = site(&[0, 1]) else { return };
    let server: Server = Launch::new()
        .upstream(&site.upstream.url())
        .args(["--sumdb", &site.sumdb])
        .start();
    let url = format!("http://{}", server.address());
    let ran = site.run(&["--upstream", "http://127.0.0.1:9", "--server", &url]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // On a data directory that a server uses, another place is taken, or the way to it is told.
    let data = server.data().display().to_string();
    let ran = site.run(&["--data", &data]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = site.run(&["--data", &data, "--offline"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("--server"), "{ran:?}");
    let ended = server.stop();
    let data = ended.data.display().to_string();
    site.upstream.forget();
    let ran = site.run(&["--data", &data, "--offline"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("4 proved"), "{ran:?}");
    assert!(site.upstream.seen().is_empty());
}

#[test]
fn a_module_cache_is_checked_file_by_file() {
    let Some(site) = site(&[0, 1]) else { return };
    let (code, document) = site.json(&["--modcache"]);
    assert_eq!(code, Some(0), "{document}");
    // 6 lines, and of three modules zip, tree and .mod.
    assert_eq!(document["checked"], 15, "{document}");
    let download = "cache/download/github.com/some/a/@v/v1.0.0";
    let cases: [(&str, String, &str, &str); 5] = [
        (
            "changed",
            "github.com/some/a@v1.0.0/a.go".into(),
            "package a // mine\n",
            "dir",
        ),
        (
            "added",
            "github.com/some/a@v1.0.0/more.go".into(),
            "package a\n",
            "dir",
        ),
        (
            "wrong mod",
            format!("{download}.mod"),
            "module github.com/some/a // other\n",
            "mod",
        ),
        ("broken zip", format!("{download}.zip"), "no zip", "zip"),
        (
            "wrong ziphash",
            format!("{download}.ziphash"),
            "h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=",
            "zip",
        ),
    ];
    for (case, file, text, what) in cases {
        let file = site.cache(&file);
        let before = std::fs::read(&file).ok();
        std::fs::write(&file, text).unwrap();
        let (code, document) = site.json(&["--modcache"]);
        assert_eq!(
            (code, whats(&document)),
            (Some(1), one(A, what)),
            "{case} {document}"
        );
        match before {
            Some(before) => std::fs::write(&file, before).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
    }
    let gone = site.cache("github.com/some/a@v1.0.0/empty");
    std::fs::remove_file(&gone).unwrap();
    let ran = site.run(&["--modcache"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("empty: missing"), "{ran:?}");
    // The go command extracts again what was broken off.
    std::fs::write(site.cache(&format!("{download}.partial")), "").unwrap();
    assert_eq!(site.run(&["--modcache"]).code, Some(0));
}

#[test]
fn a_zip_that_was_replaced_with_its_ziphash_is_found_by_the_record() {
    let Some(site) = site(&[0, 1]) else { return };
    let evil = Module::new(B, "v1.2.0").file("b.go", "package b // evil\n");
    let base = site.cache("cache/download/github.com/!some/!b/@v/v1.2.0");
    let with = |ending: &str| PathBuf::from(format!("{}.{ending}", base.display()));
    std::fs::write(with("zip"), evil.zip().unwrap()).unwrap();
    std::fs::write(with("ziphash"), sums(&evil).0).unwrap();
    // Without a go.sum, as for a tool that was installed.
    std::fs::remove_file(site.project.path("go.sum")).unwrap();
    let dir = site.cache("").display().to_string();
    let (code, document) = site.json(&["--modcache", &dir]);
    assert_eq!(
        (code, whats(&document)),
        (Some(1), one(B, "zip")),
        "{document}"
    );
    assert_eq!(document["bad"][0]["want"], sums(&modules()[1]).0);
    assert_eq!(document["bad"][0]["got"], sums(&evil).0);
    // A private module is held against go.sum, or else against what lies beside it.
    let file = site.cache("corp.example/private@v0.1.0/p.go");
    std::fs::write(file, "package p // mine\n").unwrap();
    let (_, document) = site.json(&["--modcache", &dir]);
    assert!(
        whats(&document).contains(&one("corp.example/private", "dir")[0]),
        "{document}"
    );
}

#[test]
fn the_store_is_hashed_again() {
    let Some(site) = site(&[0, 1]) else { return };
    let data = site.project.path("kept").display().to_string();
    let store = ["--store", "--data", &data];
    let none = site.run(&store);
    assert_eq!(none.code, Some(2), "{none:?}");
    let fetched = site.project.run(&[
        "fetch",
        "--data",
        &data,
        "--upstream",
        &site.upstream.url(),
        "--sumdb",
        &site.sumdb,
        "github.com/some/a@v1.0.0",
    ]);
    assert_eq!(fetched.code, Some(0), "{fetched:?}");
    let (code, document) = site.json(&store);
    assert_eq!(code, Some(0), "{document}");
    assert!(document["checked"].as_u64().unwrap() >= 9, "{document}");
    let blobs = walk(&site.project.path("kept/blobs"));
    assert!(!blobs.is_empty());
    for blob in blobs {
        let mut bytes = std::fs::read(&blob).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&blob, bytes).unwrap();
    }
    let (code, document) = site.json(&store);
    assert_eq!(
        (code, whats(&document)),
        (Some(1), one(A, "store")),
        "{document}"
    );
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let (mut dirs, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

#[test]
fn what_cannot_be_checked_is_wrong_usage() {
    let Some(project) = Project::new("off") else {
        return;
    };
    let none = project.run(&["verify", "--sumdb", "sum.golang.org"]);
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("no go.sum"), "{none:?}");
    project.write("go.sum", "");
    // GOSUMDB=off in the project's environment.
    let off = project.run(&["verify"]);
    assert_eq!(off.code, Some(2), "{off:?}");
    assert!(off.stderr.contains("--sumdb"), "{off:?}");
    let missing = project.run(&["verify", "--modcache", "/nowhere/at/all"]);
    assert_eq!(missing.code, Some(2), "{missing:?}");
}
