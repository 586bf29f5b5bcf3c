//! A miss costs the upstream one fetch however many ask; what fails a check reaches nobody whole
//! and is never kept.

use std::time::{Duration, Instant};

use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::{Answer, Launch, Server, at_once, eventually};

const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const MOD: &str = "/example.com/m/@v/v1.0.0.mod";
const INFO: &str = "/example.com/m/@v/v1.0.0.info";

/// What is withheld until the whole is checked.
const HELD_BACK: usize = 16 << 10;

fn module(size: usize) -> Module {
    Module::new("example.com/m", "v1.0.0").filler(size)
}

fn tree(module: &Module) -> Tree {
    let mut tree = Tree::new();
    tree.add(module).unwrap();
    tree
}

fn over(tree: Tree) -> (Upstream, Server) {
    let upstream = Upstream::start_blocking(tree).unwrap();
    let server = Server::over(&upstream.url());
    (upstream, server)
}

/// The files that `/-/api/v1/versions/` says are kept.
fn kept(server: &Server, version: &str) -> Vec<String> {
    let answer = server.get(&format!("/-/api/v1/versions/{version}"));
    if answer.status == 404 {
        return Vec::new();
    }
    let files = answer.json()["files"].as_array().unwrap().clone();
    files
        .iter()
        .map(|f| f["file"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn fifty_clients_on_one_missing_mod_cost_one_fetch_and_no_zip() {
    let module = module(1 << 20);
    let (upstream, server) = over(tree(&module));
    upstream.set(Behaviour::new().latency(Duration::from_millis(150)));
    for answer in at_once(&server, 50, MOD) {
        answer.is(module.go_mod_bytes());
    }
    for answer in at_once(&server, 50, INFO) {
        answer.is(module.info());
    }
    assert_eq!((upstream.hits(MOD), upstream.hits(INFO)), (1, 1));
    assert_eq!(upstream.hits_of(""), 2, "{:?}", upstream.seen());
}

#[test]
fn fifty_clients_on_a_missing_list_cost_one_fetch_and_on_an_absent_one_too() {
    let (upstream, server) = over(tree(&module(0)));
    upstream.set(Behaviour::new().latency(Duration::from_millis(150)));
    for answer in at_once(&server, 50, "/example.com/m/@v/list") {
        answer.is("v1.0.0\n");
    }
    for answer in at_once(&server, 50, "/example.com/none/@v/list") {
        assert_eq!(answer.status, 404);
    }
    assert_eq!(upstream.hits("/example.com/m/@v/list"), 1);
    assert_eq!(upstream.hits("/example.com/none/@v/list"), 1);
}

#[test]
fn fifty_clients_on_one_missing_zip_cost_one_fetch_and_share_its_bytes_as_they_come() {
    let module = module(1 << 20);
    let want = module.zip().unwrap();
    let (upstream, server) = over(tree(&module));
    // Over after one second.
    upstream.set(Behaviour::new().bytes_per_second(1 << 20));
    let began = Instant::now();
    let firsts = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut follow = server.follow("GET", ZIP, &[]);
                    follow.until(1);
                    let first = began.elapsed();
                    let answer = follow.finish();
                    (first, began.elapsed(), answer)
                })
            })
            .collect();
        asking
            .into_iter()
            .map(|a| a.join().unwrap())
            .collect::<Vec<_>>()
    });
    for (first, last, answer) in &firsts {
        answer.is(&want);
        assert!(
            *first < Duration::from_millis(600),
            "first byte after {first:?}"
        );
        assert!(*last > Duration::from_millis(800), "end after {last:?}");
    }
    assert_eq!(upstream.hits(ZIP), 1);
    server.get(ZIP).is(&want);
    assert_eq!(upstream.hits(ZIP), 1, "it is kept");
}

#[test]
fn the_last_bytes_are_let_go_only_when_the_upstream_has_sent_its_last() {
    let module = module(200 << 10);
    let want = module.zip().unwrap();
    let (upstream, server) = over(tree(&module));
    upstream.on(
        ".zip",
        Behaviour::new().fault(Fault::HangAfter(want.len() as u64 - 1)),
    );
    let mut early = server.follow("GET", ZIP, &[]);
    let length = want.len().to_string();
    assert_eq!(early.answer.header("content-length"), Some(length.as_str()));
    // Bytes nobody has checked are not for caches.
    assert_eq!(early.answer.header("cache-control"), Some("no-store"));
    early.until(want.len() - HELD_BACK);
    early.for_a_time(Duration::from_millis(300));
    let mut late = server.follow("GET", ZIP, &[]);
    late.for_a_time(Duration::from_millis(300));
    for follow in [&early, &late] {
        assert_eq!(follow.answer.body.len(), want.len() - HELD_BACK);
        assert!(want.starts_with(&follow.answer.body));
    }
    assert!(kept(&server, "example.com/m@v1.0.0").is_empty());
}

#[test]
fn a_first_byte_is_not_later_than_the_upstreams_own() {
    let module = module(4 << 20);
    let (upstream, server) = over(tree(&module));
    upstream.on(".zip", Behaviour::new().bytes_per_second(2 << 20));
    server.get(MOD);
    let began = Instant::now();
    let mut follow = server.follow("GET", ZIP, &[]);
    follow.until(1);
    // Ten times the goal, because the machine is shared with other tests.
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    drop(follow);
}

#[test]
fn a_client_that_leaves_does_not_stop_the_fetch() {
    let module = module(600 << 10);
    let want = module.zip().unwrap();
    let (upstream, server) = over(tree(&module));
    upstream.on(".zip", Behaviour::new().bytes_per_second(1 << 20));
    let mut follow = server.follow("GET", ZIP, &[]);
    follow.until(1);
    drop(follow);
    upstream.on(".mod", Behaviour::new().latency(Duration::from_millis(200)));
    let mut leaving = crate::common::Connection::open(server.address());
    leaving.send("GET", MOD, &[], b"");
    eventually("the .mod is asked for", || upstream.hits(MOD) == 1);
    drop(leaving);
    eventually("all is kept", || {
        kept(&server, "example.com/m@v1.0.0").len() == 2
    });
    server.get(ZIP).is(&want);
    server.get(MOD).is(module.go_mod_bytes());
    assert_eq!((upstream.hits(ZIP), upstream.hits(MOD)), (1, 1));
}

#[test]
fn info_and_mod_never_pull_the_zip() {
    let (upstream, server) = over(tree(&module(10)));
    for path in [
        INFO,
        MOD,
        "/example.com/m/@v/list",
        "/example.com/m/@latest",
    ] {
        assert_eq!(server.get(path).status, 200);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(upstream.hits_of(".zip"), 0);
    assert_eq!(kept(&server, "example.com/m@v1.0.0"), [".info", ".mod"]);
}

#[test]
fn the_three_files_of_a_version_stand_alone() {
    let module = module(0);
    let mut tree = tree(&module);
    tree.put(ZIP, "<html>no zip</html>");
    tree.remove(INFO);
    let (_upstream, server) = over(tree);
    server.get(MOD).is(module.go_mod_bytes());
    assert_eq!(server.get(INFO).status, 404);
    assert_eq!(server.get(ZIP).status, 502);
    server.get(MOD).is(module.go_mod_bytes());
    assert_eq!(kept(&server, "example.com/m@v1.0.0"), [".mod"]);
}

/// Zips that must be refused, with a part of the text that says why.
fn bad_zips(size: usize) -> Vec<(&'static str, Vec<u8>)> {
    let good = module(size).zip().unwrap();
    let of = |path: &str, version: &str| {
        let module = Module::new(path, version).filler(size);
        module.zip().unwrap()
    };
    let with = |name: &str| module(size).file(name, "x").zip().unwrap();
    let twice = module(size).file("Module.go", "x").zip().unwrap();
    let mut padded = good.clone();
    padded.truncate(good.len() - 30);
    vec![
        (
            "zip for example.com/m@v1.0.0 has unexpected file example.com/other@v1.0.0/go.mod",
            of("example.com/other", "v1.0.0"),
        ),
        (
            "zip for example.com/m@v1.0.0 has unexpected file example.com/m@v1.0.1/go.mod",
            of("example.com/m", "v1.0.1"),
        ),
        (
            "malformed file path \"a:b.txt\": invalid char ':'",
            with("a:b.txt"),
        ),
        ("malformed file path \"sub/aux.txt\"", with("sub/aux.txt")),
        (
            "go.mod file not in module root directory",
            with("sub/go.mod"),
        ),
        ("case-insensitive file name collision", twice),
        ("file path is not clean", with("sub//file.go")),
        (
            "malformed file path \"../../../../etc/passwd\": invalid path element \"..\"",
            with("../../../../etc/passwd"),
        ),
        ("zip: not a valid zip file", padded),
    ]
}

#[test]
fn a_small_zip_that_breaks_a_rule_is_refused_in_the_go_commands_words() {
    let upstream = Upstream::start_blocking(Tree::new()).unwrap();
    let server = Server::over(&upstream.url());
    let mut bad = bad_zips(0);
    bad.push((
        "zip: not a valid zip file",
        b"<html>please log in</html>".to_vec(),
    ));
    bad.push(("zip: not a valid zip file", Vec::new()));
    for (at, (words, zip)) in bad.into_iter().enumerate() {
        let mut tree = Tree::new();
        tree.put(ZIP, zip);
        upstream.replace(tree);
        let answer = server.get(ZIP);
        answer.refuses(502, words);
        assert!(
            answer.text().contains("example.com/m@v1.0.0"),
            "{}",
            answer.text()
        );
        shown_by_go(&answer);
        assert_eq!(upstream.hits(ZIP), at + 1, "nothing bad is remembered");
        assert!(kept(&server, "example.com/m@v1.0.0").is_empty());
    }
    upstream.replace(tree(&module(0)));
    server.get(ZIP).is(module(0).zip().unwrap());
}

/// The go command shows at most 8 lines and 648 bytes of plain text, up to the first blank line.
fn shown_by_go(answer: &Answer) {
    let text = answer.text();
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(text.len() <= 648 && text.lines().count() <= 8, "{text}");
    assert!(text.lines().all(|l| !l.trim().is_empty()), "{text:?}");
    assert!(text.ends_with('\n') && !text.contains('\r'));
}

#[test]
fn a_big_zip_that_breaks_a_rule_reaches_nobody_whole_and_is_not_kept() {
    let upstream = Upstream::start_blocking(Tree::new()).unwrap();
    let server = Server::over(&upstream.url());
    for (words, zip) in bad_zips(100 << 10) {
        let mut tree = Tree::new();
        tree.put(ZIP, zip.clone());
        upstream.replace(tree);
        upstream.on(".zip", Behaviour::new().bytes_per_second(1 << 20));
        for answer in at_once(&server, 4, ZIP) {
            if answer.status == 200 {
                assert!(!answer.whole, "{words}");
                assert!(answer.body.len() <= zip.len() - HELD_BACK, "{words}");
            } else {
                answer.refuses(502, words);
            }
        }
        assert!(kept(&server, "example.com/m@v1.0.0").is_empty(), "{words}");
        eventually("why is in the log", || {
            let log = server.stderr();
            log.contains("refused a zip") && log.contains(words.lines().next().unwrap())
        });
    }
    let bad = server.metric("modkeep_checks_failed_total");
    assert!(bad >= 8, "{bad}");
    upstream.heal();
    upstream.replace(tree(&module(100 << 10)));
    server.get(ZIP).is(module(100 << 10).zip().unwrap());
}

#[test]
fn a_zip_that_was_damaged_or_cut_on_its_way_reaches_nobody_whole() {
    let module = module(200 << 10);
    let zip = module.zip().unwrap();
    let size = zip.len() as u64;
    let (upstream, server) = over(tree(&module));
    for fault in [
        Fault::Corrupt(100 << 10),
        // The directory's number of entries, and the first entry's signature.
        Fault::Corrupt(size - 12),
        Fault::Corrupt(2),
        Fault::Truncate(size / 2),
        Fault::Truncate(size - 1),
        Fault::Truncate(10),
    ] {
        upstream.heal();
        upstream.on(".zip", Behaviour::new().fault(fault.clone()));
        let answer = server.get(ZIP);
        assert!(
            answer.status == 502 || !answer.whole,
            "{fault:?}: {}",
            answer.status
        );
        assert!(
            kept(&server, "example.com/m@v1.0.0").is_empty(),
            "{fault:?}"
        );
    }
    upstream.heal();
    server.get(ZIP).is(&zip);
}

#[test]
fn nothing_of_a_refused_zip_stays_on_the_disk() {
    let (upstream, server) = over(tree(&module(400 << 10)));
    upstream.on(".zip", Behaviour::new().fault(Fault::Corrupt(100 << 10)));
    assert!(!server.get(ZIP).whole);
    let spool = server.data().join("spool");
    eventually("the spool is empty", || {
        std::fs::read_dir(&spool).unwrap().next().is_none()
    });
    assert_eq!(server.metric("modkeep_stored_bytes"), 0);
}

#[test]
fn an_info_that_names_another_version_is_refused_and_not_kept() {
    let (upstream, server) = over(tree(&module(0)));
    for body in [
        "{\"Version\":\"v1.0.1\",\"Time\":\"2024-02-03T04:05:06Z\"}",
        "{\"Version\":\"\"}",
        "{}",
        "[]",
        "null",
        "",
        "{\"Version\":\"v1.0.0\"",
        "{\"Version\":\"v1.0.0\",\"Time\":\"yesterday\"}",
    ] {
        upstream.on(INFO, Behaviour::new().fault(Fault::Body(body.into())));
        let answer = server.get(INFO);
        assert_eq!(answer.status, 502, "{body}: {}", answer.text());
        shown_by_go(&answer);
        assert!(kept(&server, "example.com/m@v1.0.0").is_empty(), "{body}");
    }
    upstream.heal();
    server.get(INFO).is(module(0).info());
}

#[test]
fn a_web_page_instead_of_a_file_is_refused_and_not_kept() {
    let (upstream, server) = over(tree(&module(0)));
    let paths = [
        INFO,
        MOD,
        ZIP,
        "/example.com/m/@v/list",
        "/example.com/m/@latest",
    ];
    for page in ["<!DOCTYPE html><p>Log in", "\n  <html>\n"] {
        upstream.set(Behaviour::new().fault(Fault::Body(page.into())));
        for path in paths.into_iter().chain(["/example.com/m/@v/master.info"]) {
            let answer = server.get(path);
            assert_eq!(answer.status, 502, "{path}: {}", answer.text());
            assert!(!answer.text().contains('<'), "{}", answer.text());
            shown_by_go(&answer);
        }
    }
    assert_eq!(server.metric("modkeep_stored_files"), 0);
    upstream.heal();
    for path in paths {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_latest_of_a_version_that_the_module_cannot_have_is_refused() {
    let mut tree = Tree::new();
    tree.put("example.com/m/@latest", "{\"Version\":\"v2.0.0\"}");
    tree.put("example.com/m/@v/master.info", "{\"Version\":\"v3.0.0\"}");
    let (_upstream, server) = over(tree);
    assert_eq!(server.get("/example.com/m/@latest").status, 502);
    assert_eq!(server.get("/example.com/m/@v/master.info").status, 502);
}

#[test]
fn a_mod_that_differs_from_the_zips_go_mod_is_served_and_recorded() {
    let module = module(0);
    let made_up = "module example.com/m\n\nretract v0.9.0 // bad\n";
    let mut tree = tree(&module);
    tree.put(MOD, made_up);
    let (_upstream, server) = over(tree);
    server.get(MOD).is(made_up);
    server.get(ZIP).is(module.zip().unwrap());
    server.get(MOD).is(made_up);
    let report = server.get("/-/api/v1/versions/example.com/m@v1.0.0").json();
    let files = report["files"].as_array().unwrap();
    let zip = files.iter().find(|f| f["file"] == ".zip").unwrap();
    let note = zip["note"].as_str().unwrap_or("");
    assert!(note.contains("differs from the .mod"), "{report}");
    assert!(zip["h1"].as_str().unwrap().starts_with("h1:"), "{report}");
}

#[test]
fn other_bytes_under_a_kept_name_are_never_taken() {
    let module = module(0);
    let (upstream, server) = over(tree(&module));
    server.get(MOD).is(module.go_mod_bytes());
    server.get(ZIP).is(module.zip().unwrap());
    upstream.replace(tree(
        &module
            .clone()
            .file("more.go", "package module\n")
            .go("1.99"),
    ));
    let ended = server.stop();
    let server = Launch::again(&ended).upstream(&upstream.url()).start();
    server.get(MOD).is(module.go_mod_bytes());
    server.get(ZIP).is(module.zip().unwrap());
    assert_eq!((upstream.hits(MOD), upstream.hits(ZIP)), (1, 1));
}

#[test]
fn a_mod_that_is_not_text_is_refused() {
    let (upstream, server) = over(tree(&module(0)));
    for body in [&b"module \xff"[..], b"module a\0b"] {
        upstream.on(
            MOD,
            Behaviour::new().fault(Fault::Body(body.to_vec().into())),
        );
        assert_eq!(server.get(MOD).status, 502);
    }
    assert!(kept(&server, "example.com/m@v1.0.0").is_empty());
}
