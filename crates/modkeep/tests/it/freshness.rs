//! What may change: fresh from memory, stale while one refresh runs, from the store when nobody
//! answers; "not found" briefly.

use std::time::{Duration, Instant};

use testkit::{Behaviour, Module, Tree, Upstream};

use crate::common::{Launch, Server, at_once, eventually, run};

const LIST: &str = "/example.com/m/@v/list";
const LATEST: &str = "/example.com/m/@latest";
const BRANCH: &str = "/example.com/m/@v/main.info";

fn tree(version: &str) -> Tree {
    let mut tree = Tree::new();
    let module = Module::new("example.com/m", version);
    tree.add(&module).unwrap();
    tree.put(BRANCH, module.info());
    tree
}

fn started(version: &str) -> Upstream {
    Upstream::start_blocking(tree(version)).unwrap()
}

fn quick(upstream: &Upstream) -> Server {
    Launch::new()
        .upstream(&upstream.url())
        .args(["--fresh", "500ms", "--not-found", "500ms"])
        .start()
}

fn sleep(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

#[test]
fn a_fresh_answer_costs_the_upstream_nothing() {
    let upstream = started("v1.0.0");
    let server = Server::over(&upstream.url());
    for path in [LIST, LATEST, BRANCH] {
        for _ in 0..20 {
            server.get(path).is(tree("v1.0.0").get(path).unwrap());
        }
        assert_eq!(upstream.hits(path), 1, "{path}");
    }
}

#[test]
fn a_stale_answer_is_served_at_once_while_one_refresh_runs() {
    let upstream = started("v1.0.0");
    let server = quick(&upstream);
    for path in [LIST, LATEST, BRANCH] {
        server.get(path).is(tree("v1.0.0").get(path).unwrap());
    }
    sleep(600);
    upstream.replace(tree("v1.1.0"));
    upstream.set(Behaviour::new().latency(Duration::from_millis(400)));
    for path in [LIST, LATEST, BRANCH] {
        let began = Instant::now();
        for answer in at_once(&server, 10, path) {
            answer.is(tree("v1.0.0").get(path).unwrap());
            let status = answer.header("cache-status").unwrap_or("");
            assert!(status.contains("hit"), "{status}");
        }
        assert!(
            began.elapsed() < Duration::from_millis(350),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(server.metric("modkeep_refresh_failed_total"), 0);
    }
    for path in [LIST, LATEST, BRANCH] {
        eventually("the refresh has ended", || {
            server.get(path).body == *tree("v1.1.0").get(path).unwrap()
        });
    }
    let began = Instant::now();
    assert!(upstream.hits(LIST) <= 3 + (began.elapsed().as_millis() / 500) as usize);
}

#[test]
fn the_background_refresh_is_one_however_many_ask() {
    let upstream = started("v1.0.0");
    let server = quick(&upstream);
    server.get(LIST).is("v1.0.0\n");
    sleep(600);
    upstream.set(Behaviour::new().latency(Duration::from_millis(300)));
    at_once(&server, 30, LIST);
    at_once(&server, 30, LIST);
    assert_eq!(upstream.hits(LIST), 2);
}

#[test]
fn a_stale_answer_tells_caches_not_to_hold_it() {
    let upstream = started("v1.0.0");
    let server = quick(&upstream);
    server.get(LIST).is("v1.0.0\n");
    upstream.stop();
    sleep(600);
    let answer = server.get(LIST);
    answer.is("v1.0.0\n");
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=0, must-revalidate")
    );
}

#[test]
fn answers_are_served_for_ever_when_the_upstream_is_gone_also_after_a_restart() {
    let upstream = started("v1.0.0");
    let url = upstream.url();
    let server = quick(&upstream);
    for path in [LIST, LATEST, BRANCH] {
        assert_eq!(server.get(path).status, 200);
    }
    upstream.stop();
    let all = |server: &Server| {
        for path in [LIST, LATEST, BRANCH] {
            let began = Instant::now();
            server.get(path).is(tree("v1.0.0").get(path).unwrap());
            assert!(began.elapsed() < Duration::from_millis(500), "{path}");
        }
    };
    sleep(600);
    all(&server);
    let ended = server.stop();
    let server = Launch::again(&ended)
        .upstream(&url)
        .args(["--fresh", "1ms"])
        .start();
    all(&server);
    sleep(1100);
    all(&server);
    let ended = server.kill();
    let server = Launch::again(&ended).arg("--offline").start();
    all(&server);
}

#[test]
fn a_hanging_upstream_does_not_hold_up_what_is_remembered() {
    let upstream = started("v1.0.0");
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--fresh", "500ms", "--upstream-timeout", "10s"])
        .start();
    server.get(LIST).is("v1.0.0\n");
    sleep(600);
    upstream.set(Behaviour::new().fault(testkit::Fault::Hang));
    let began = Instant::now();
    server.get(LIST).is("v1.0.0\n");
    server.get(LIST).is("v1.0.0\n");
    assert!(
        began.elapsed() < Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_list_and_latest_are_made_of_the_kept_versions_when_there_is_nothing_else() {
    let mut tree = Tree::new();
    for version in [
        "v1.2.0",
        "v1.10.0",
        "v1.9.0",
        "v2.0.0-20240203040506-0123456789ab",
    ] {
        let path = if version.starts_with("v2") {
            "example.com/m/v2"
        } else {
            "example.com/m"
        };
        tree.add(&Module::new(path, version)).unwrap();
    }
    let upstream = Upstream::start_blocking(tree.clone()).unwrap();
    let url = upstream.url();
    let server = Server::over(&url);
    for version in ["v1.2.0", "v1.10.0"] {
        assert_eq!(
            server
                .get(&format!("/example.com/m/@v/{version}.info"))
                .status,
            200
        );
    }
    assert_eq!(server.get("/example.com/m/@v/v1.9.0.mod").status, 200);
    let pseudo = "/example.com/m/v2/@v/v2.0.0-20240203040506-0123456789ab.info";
    assert_eq!(server.get(pseudo).status, 200);
    let check = |server: &Server| {
        server.get(LIST).is("v1.2.0\nv1.9.0\nv1.10.0\n");
        server
            .get(LATEST)
            .is(tree.get("example.com/m/@v/v1.10.0.info").unwrap());
        server.get("/example.com/m/v2/@v/list").is("");
        server
            .get("/example.com/m/v2/@latest")
            .is(tree.get(pseudo).unwrap());
        let forbids = [("Disable-Module-Fetch", "true")];
        server
            .get_with(LIST, &forbids)
            .is("v1.2.0\nv1.9.0\nv1.10.0\n");
        assert_ne!(server.get("/example.com/none/@v/list").status, 200);
    };
    upstream.stop();
    check(&server);
    let ended = server.stop();
    check(&Launch::again(&ended).upstream(&url).start());
    check(&Launch::again(&ended).arg("--offline").start());
}

#[test]
fn a_list_made_here_gives_way_to_the_upstreams_own_as_soon_as_there_is_one() {
    let upstream = started("v1.0.0");
    let server = Server::over(&upstream.url());
    assert_eq!(server.get("/example.com/m/@v/v1.0.0.info").status, 200);
    upstream.replace(tree("v1.1.0"));
    upstream.on(LIST, Behaviour::status(500, "boom"));
    server.get(LIST).is("v1.0.0\n");
    upstream.heal();
    server.get(LIST).is("v1.1.0\n");
}

#[test]
fn an_offline_server_dials_nobody() {
    let upstream = started("v1.0.0");
    let server = Launch::new()
        .upstream(&upstream.url())
        .arg("--offline")
        .start();
    for path in [
        LIST,
        LATEST,
        BRANCH,
        "/example.com/m/@v/v1.0.0.mod",
        "/example.com/m/@v/v1.0.0.zip",
    ] {
        server.get(path).refuses(404, "--offline");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn not_found_is_remembered_briefly() {
    let upstream = started("v1.0.0");
    let server = quick(&upstream);
    let paths = [
        "/example.com/m/@v/v1.1.0.info",
        "/example.com/m/@v/v1.1.0.mod",
        "/example.com/m/@v/v1.1.0.zip",
        "/example.com/none/@v/list",
        "/example.com/none/@latest",
        "/example.com/m/@v/other.info",
    ];
    let began = Instant::now();
    for path in paths {
        let first = server.get(path);
        assert_eq!(first.status, 404);
        let again = server.get(path);
        assert_eq!((again.status, &again.body), (404, &first.body), "{path}");
        let age = began.elapsed();
        assert!(
            upstream.hits(path) == 1 || age > Duration::from_millis(400),
            "{path}"
        );
    }
    upstream.replace(tree("v1.1.0"));
    sleep(600);
    for path in &paths[..3] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

/// Something is missing, and published a moment later.
fn published_late() -> (Upstream, Server) {
    let upstream = started("v1.0.0");
    let server = Server::over(&upstream.url());
    server.get(LIST).is("v1.0.0\n");
    assert_eq!(server.get("/example.com/m/@v/v1.1.0.mod").status, 404);
    assert_eq!(server.get("/example.com/m/@v/v1.1.0.zip").status, 404);
    upstream.replace(tree("v1.1.0"));
    assert_eq!(server.get("/example.com/m/@v/v1.1.0.mod").status, 404);
    (upstream, server)
}

fn is_forgotten(server: &Server) {
    server.get(LIST).is("v1.1.0\n");
    assert_eq!(server.get("/example.com/m/@v/v1.1.0.mod").status, 200);
    assert_eq!(server.get("/example.com/m/@v/v1.1.0.zip").status, 200);
}

#[test]
fn modkeep_purge_makes_a_server_forget_a_wrong_not_found_and_an_old_list() {
    let (_upstream, server) = published_late();
    let ran = run(&["purge", "--server", &server.url, "--json", "example.com/m"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.starts_with("{\"schema\":\"modkeep.purge/1\"")
            || ran.stdout.contains("\"modkeep.purge/1\""),
        "{ran:?}"
    );
    is_forgotten(&server);
}

#[test]
fn the_api_makes_a_server_forget_too() {
    let (_upstream, server) = published_late();
    let answer = server.post_json("/-/api/v1/purge", "{\"module\":\"example.com/m\"}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    is_forgotten(&server);
}

#[test]
fn the_api_obeys_only_who_may_ask() {
    let (_upstream, server) = published_late();
    let json = ("Content-Type", "application/json");
    let body = "{\"module\":\"example.com/m\"}";
    for (headers, status) in [
        (vec![json, ("Origin", "https://evil.example")], 403),
        (vec![json, ("X-Forwarded-For", "203.0.113.5")], 403),
        (vec![json, ("Forwarded", "for=203.0.113.5")], 403),
        (vec![("Content-Type", "text/plain")], 400),
    ] {
        let answer = server.post("/-/api/v1/purge", &headers, body);
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
    }
    for bad in [
        "",
        "{",
        "[]",
        "{\"module\":\"../x\"}",
        "{\"module\":\"example.com/m\",\"more\":1}",
    ] {
        assert_eq!(
            server.post_json("/-/api/v1/purge", bad).status,
            400,
            "{bad}"
        );
    }
    assert_eq!(server.get("/-/api/v1/purge").status, 405);
    server.get(LIST).is("v1.0.0\n");
    let token = server.home().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let ended = server.stop();
    let server = Launch::again(&ended)
        .arg("--admin-token-file")
        .arg(&token)
        .start();
    for (given, status) in [
        ("Bearer wrong", 403),
        ("s3cret", 403),
        ("Bearer s3cret", 200),
    ] {
        let answer = server.post("/-/api/v1/purge", &[json, ("Authorization", given)], body);
        assert_eq!(answer.status, status, "{given}");
    }
}

#[test]
fn purge_leaves_kept_files_unless_told_otherwise() {
    let upstream = started("v1.0.0");
    let server = Server::over(&upstream.url());
    let path = "/example.com/m/@v/v1.0.0.mod";
    assert_eq!(server.get(path).status, 200);
    let ran = run(&["purge", "--server", &server.url, "example.com/m@v1.0.0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.get(path).status, 200);
    assert_eq!(upstream.hits(path), 1);
    let ran = run(&[
        "purge",
        "--server",
        &server.url,
        "--files",
        "example.com/m@v1.0.0",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(server.get(path).status, 200);
    assert_eq!(upstream.hits(path), 2);
}

#[test]
fn a_version_that_was_kept_is_served_although_the_upstream_has_lost_it() {
    let upstream = started("v1.0.0");
    let server = quick(&upstream);
    for end in ["info", "mod", "zip"] {
        assert_eq!(
            server
                .get(&format!("/example.com/m/@v/v1.0.0.{end}"))
                .status,
            200
        );
    }
    upstream.replace(Tree::new());
    sleep(600);
    let ended = server.stop();
    let server = Launch::again(&ended).upstream(&upstream.url()).start();
    for end in ["info", "mod", "zip"] {
        let path = format!("/example.com/m/@v/v1.0.0.{end}");
        server.get(&path).is(tree("v1.0.0").get(&path).unwrap());
    }
}
