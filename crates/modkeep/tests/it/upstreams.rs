//! The chain of upstreams by the go command's rules, and upstreams that are dead, hang or crawl.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::{Answer, Launch, Server, eventually};

const MOD: &str = "/example.com/m/@v/v1.0.0.mod";
const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const LIST: &str = "/example.com/m/@v/list";

/// An answer "at once" on a machine that is shared with other tests.
const AT_ONCE: Duration = Duration::from_millis(600);

fn module(size: usize) -> Module {
    Module::new("example.com/m", "v1.0.0").filler(size)
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.add(&module(300 << 10)).unwrap();
    for name in ["a", "b", "c", "d"] {
        let module = Module::new(&format!("example.com/{name}"), "v1.0.0").filler(100 << 10);
        tree.add(&module).unwrap();
    }
    tree
}

fn started(source: Tree) -> Upstream {
    Upstream::start_blocking(source).unwrap()
}

/// Short patience: a second for an answer, a second for a crawl.
fn impatient(list: &str) -> Server {
    Launch::new()
        .upstream(list)
        .args(["--upstream-timeout", "1s", "--crawl-time", "1s"])
        .start()
}

fn timed(server: &Server, path: &str) -> (Answer, Duration) {
    let began = Instant::now();
    let answer = server.get(path);
    (answer, began.elapsed())
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// What `/-/readyz` says of the first upstream.
fn up(server: &Server) -> (bool, String) {
    let ready = server.get("/-/readyz");
    assert_eq!(
        ready.status, 200,
        "the store is fine whatever the upstreams do"
    );
    let first = ready.json()["upstreams"][0].clone();
    let reason = first["reason"].as_str().unwrap_or("").to_owned();
    (first["up"].as_bool().unwrap(), reason)
}

fn up_metric(server: &Server, upstream: &str) -> u64 {
    server.metric(&format!("modkeep_upstream_up{{upstream=\"{upstream}\"}}"))
}

#[test]
fn a_comma_leads_on_after_404_and_410_and_after_nothing_else() {
    let (first, second) = (started(Tree::new()), started(tree()));
    let server = Server::over(&format!("{},{}", first.url(), second.url()));
    server.get(MOD).is(module(0).go_mod_bytes());
    first.set(Behaviour::status(410, "gone"));
    server.get("/example.com/a/@v/list").is("v1.0.0\n");
    for status in [400, 401, 403, 429, 451, 500, 502, 503, 504] {
        first.set(Behaviour::status(status, "trouble"));
        let before = second.hits_of("");
        let answer = server.get("/example.com/b/@v/list");
        assert!(
            answer.status >= 400 && answer.status != 404,
            "{status}: {}",
            answer.status
        );
        assert_eq!(second.hits_of(""), before, "{status}");
    }
}

#[test]
fn a_bar_leads_on_after_any_error() {
    let second = started(tree());
    let first = started(Tree::new());
    let server = impatient(&format!("{}|{}", first.url(), second.url()));
    for (name, fault) in [
        ("a", Fault::Status(500, "boom".into())),
        ("b", Fault::Status(403, "no".into())),
        ("c", Fault::Endless),
        ("d", Fault::Close),
    ] {
        first.set(Behaviour::new().fault(fault.clone()));
        let answer = server.get(&format!("/example.com/{name}/@v/v1.0.0.mod"));
        assert_eq!(answer.status, 200, "{fault:?}: {}", answer.text());
    }
}

#[test]
fn after_the_last_bar_the_error_is_that_of_trouble_and_not_of_absence() {
    let (first, second) = (started(tree()), started(Tree::new()));
    first.set(Behaviour::status(500, "boom"));
    let server = Server::over(&format!("{}|{}", first.url(), second.url()));
    // The first one may well have it.
    server.get(MOD).refuses(502, "500");
    first.heal();
    server.get(MOD).is(module(0).go_mod_bytes());
}

#[test]
fn a_directory_is_an_upstream_too() {
    let dir = tempfile::tempdir().unwrap();
    tree().write_to(dir.path()).unwrap();
    let server = Server::over(&format!("file://{}", dir.path().display()));
    for path in [
        MOD,
        ZIP,
        LIST,
        "/example.com/m/@latest",
        "/example.com/m/@v/v1.0.0.info",
    ] {
        server.get(path).is(tree().get(path).unwrap());
    }
    assert_eq!(server.get("/example.com/none/@v/list").status, 404);
    // A directory in the place of a file is no file.
    std::fs::create_dir_all(dir.path().join("example.com/odd/@v/list")).unwrap();
    assert_eq!(server.get("/example.com/odd/@v/list").status, 404);
}

#[test]
fn off_ends_the_list_and_asks_nobody() {
    let first = started(Tree::new());
    let server = Server::over("off");
    server.get(LIST).refuses(404, "disabled");
    let server = Server::over(&format!("{},off", first.url()));
    // The upstream's own words say more than "disabled".
    server.get(LIST).refuses(404, "no such file here");
}

#[test]
fn a_zip_that_is_cut_at_one_upstream_is_taken_up_at_the_next() {
    let (first, second) = (started(tree()), started(tree()));
    first.on(".zip", Behaviour::new().fault(Fault::Truncate(200 << 10)));
    let server = Server::over(&format!("{}|{}", first.url(), second.url()));
    server.get(ZIP).is(tree().get(ZIP).unwrap());
    assert_eq!((first.hits(ZIP), second.hits(ZIP)), (1, 1));
}

#[test]
fn a_zip_that_goes_on_with_other_bytes_is_cut() {
    let (first, second) = (started(tree()), started(tree()));
    first.on(".zip", Behaviour::new().fault(Fault::Truncate(200 << 10)));
    second.on(".zip", Behaviour::new().fault(Fault::Corrupt(1000)));
    let server = Server::over(&format!("{}|{}", first.url(), second.url()));
    let answer = server.get(ZIP);
    assert!(answer.status == 502 || !answer.whole);
    assert_eq!(server.metric("modkeep_stored_files"), 0);
}

#[test]
fn a_dead_upstream_is_told_at_once_with_the_reason_and_comes_back() {
    let address = nobody();
    let url = format!("http://{address}");
    let server = Server::over(&url);
    for path in [
        MOD,
        LIST,
        ZIP,
        "/example.com/m/@latest",
        "/example.com/m/@v/master.info",
    ] {
        let (answer, took) = timed(&server, path);
        answer.refuses(502, &url);
        assert!(answer.text().contains("refused"), "{}", answer.text());
        assert!(
            answer.text().lines().count() >= 2,
            "and what to do: {}",
            answer.text()
        );
        assert!(took < AT_ONCE, "{path}: {took:?}");
    }
    let (is_up, reason) = up(&server);
    assert!(!is_up && reason.contains("refused"), "{reason}");
    assert_eq!(up_metric(&server, &url), 0);
    let _upstream = Upstream::start_at(address, tree()).unwrap();
    eventually("it is up again", || up(&server).0);
    assert_eq!(up_metric(&server, &url), 1);
    server.get(MOD).is(module(0).go_mod_bytes());
    server.get(ZIP).is(tree().get(ZIP).unwrap());
}

#[test]
fn a_hanging_upstream_costs_its_time_once() {
    let upstream = started(tree());
    let server = impatient(&upstream.url());
    server.get(LIST).is("v1.0.0\n");
    upstream.set(Behaviour::new().fault(Fault::Hang));
    let (answer, took) = timed(&server, MOD);
    answer.refuses(504, &upstream.url());
    assert!(took < Duration::from_secs(3), "{took:?}");
    for path in [MOD, ZIP, "/example.com/a/@v/list", "/example.com/b/@latest"] {
        let (answer, took) = timed(&server, path);
        answer.refuses(504, &upstream.url());
        assert!(answer.header("retry-after").is_some());
        assert!(took < AT_ONCE, "{path}: {took:?}");
    }
    // What is kept does not suffer.
    server.get(LIST).is("v1.0.0\n");
    let (is_up, reason) = up(&server);
    assert!(!is_up && reason.contains("in time"), "{reason}");
    assert_eq!(up_metric(&server, &upstream.url()), 0);
    upstream.heal();
    eventually("it is up again", || up(&server).0);
    server.get(MOD).is(module(0).go_mod_bytes());
}

#[test]
fn fifty_clients_of_a_hanging_upstream_wait_no_longer_than_one() {
    let upstream = started(tree());
    let server = impatient(&upstream.url());
    upstream.set(Behaviour::new().fault(Fault::Hang));
    let began = Instant::now();
    for answer in crate::common::at_once(&server, 50, MOD) {
        assert_eq!(answer.status, 504);
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_bar_passes_a_hanging_upstream_by_at_once_when_it_is_known() {
    let (first, second) = (started(tree()), started(tree()));
    let server = impatient(&format!("{}|{}", first.url(), second.url()));
    first.set(Behaviour::new().fault(Fault::Hang));
    // The first question pays for finding out: what is left of its time goes to the second.
    timed(&server, LIST);
    for name in ["a", "b", "c"] {
        let (answer, took) = timed(&server, &format!("/example.com/{name}/@v/v1.0.0.mod"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(took < AT_ONCE, "{took:?}");
    }
}

#[test]
fn a_hanging_upstream_before_a_bar_leaves_time_for_the_next() {
    let (first, second) = (started(tree()), started(tree()));
    let server = impatient(&format!("{}|{}", first.url(), second.url()));
    first.set(Behaviour::new().fault(Fault::Hang));
    server.get(MOD).is(module(0).go_mod_bytes());
}

#[test]
fn a_crawling_upstream_is_given_up_and_then_passed_by() {
    let upstream = started(tree());
    let server = impatient(&upstream.url());
    // 300 bytes a second: less than the 1 KiB/s below which nobody waits.
    upstream.on(".zip", Behaviour::new().bytes_per_second(300));
    // Some bytes came and were handed on: whoever reads them is cut off.
    let (answer, took) = timed(&server, ZIP);
    assert!(answer.status == 200 && !answer.whole, "{}", answer.status);
    assert!(took < Duration::from_secs(4), "{took:?}");
    let (answer, took) = timed(&server, "/example.com/a/@v/v1.0.0.zip");
    answer.refuses(504, "crawling");
    assert!(took < AT_ONCE, "{took:?}");
    upstream.heal();
    eventually("it is up again", || up(&server).0);
    server.get(ZIP).is(tree().get(ZIP).unwrap());
}

#[test]
fn a_crawling_small_file_is_given_up_within_the_limit() {
    let mut tree = tree();
    tree.put("example.com/long/@v/list", "v1.0.0\n".repeat(10_000));
    let upstream = started(tree);
    let server = impatient(&upstream.url());
    upstream.on("/long/", Behaviour::new().bytes_per_second(300));
    let (answer, took) = timed(&server, "/example.com/long/@v/list");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn one_file_that_hangs_takes_the_upstream_away_from_nobody_for_long() {
    let upstream = started(tree());
    upstream.on(MOD, Behaviour::new().fault(Fault::Hang));
    let server = impatient(&upstream.url());
    // The very first question, so nothing is known yet that went well.
    assert_eq!(server.get(MOD).status, 504);
    let began = Instant::now();
    eventually("other files come", || {
        server.get("/example.com/a/@v/list").status == 200
    });
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_5xx_of_one_file_is_an_answer_and_not_the_end_of_the_upstream() {
    let upstream = started(tree());
    let server = Server::over(&upstream.url());
    for status in [500, 501, 502, 503, 505, 599, 418, 400, 302] {
        upstream.on("/a/", Behaviour::status(status, "the disk is on fire"));
        for at in 1..=2 {
            let answer = server.get("/example.com/a/@v/v1.0.0.mod");
            answer.refuses(502, &status.to_string());
            assert!(
                answer.text().contains("the disk is on fire"),
                "{}",
                answer.text()
            );
            assert!(answer.text().contains(&upstream.url()), "{}", answer.text());
            assert!(
                upstream.hits_of("/a/") >= at,
                "trouble is not remembered as absence"
            );
        }
        assert!(up(&server).0, "{status}");
    }
    assert_eq!(upstream.hits_of("/a/"), 18);
    upstream.heal();
    assert_eq!(server.get("/example.com/a/@v/v1.0.0.mod").status, 200);
}

#[test]
fn a_504_of_an_upstream_is_handed_on_as_one() {
    let upstream = started(tree());
    upstream.set(Behaviour::status(504, "too slow behind me"));
    let server = Server::over(&upstream.url());
    server.get(MOD).refuses(504, "too slow behind me");
}

#[test]
fn what_a_client_can_do_something_about_is_handed_on() {
    let upstream = started(tree());
    let server = Server::over(&upstream.url());
    for status in [401, 403, 429, 451] {
        upstream.set(
            Behaviour::status(status, "because of the law\nsecond line").header("Retry-After", "7"),
        );
        for path in [MOD, ZIP, LIST] {
            let answer = server.get(path);
            answer.refuses(status, "because of the law");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            if status == 429 {
                assert_eq!(answer.header("retry-after"), Some("7"));
            }
        }
        assert!(up(&server).0);
    }
    upstream.heal();
    server.get(MOD).is(module(0).go_mod_bytes());
}

#[test]
fn a_proved_absence_is_handed_on_in_the_upstreams_own_words() {
    let upstream = started(Tree::new());
    let server = Server::over(&upstream.url());
    let texts = [
        "not found: example.com/m@v1.0.0: invalid version: unknown revision v1.0.0",
        "not found: two\n\tlines\n\nand more for a person with curl\n",
        "gone \u{fc}ber alles\n",
    ];
    for (at, text) in texts.iter().enumerate() {
        for status in [404, 410] {
            upstream.set(Behaviour::status(status, text));
            for end in ["@v/list", "@v/v1.0.0.mod", "@v/v1.0.0.zip", "@latest"] {
                let answer = server.get(&format!("/example.com/m{status}{at}/{end}"));
                assert_eq!(answer.status, status);
                assert_eq!(answer.text(), *text);
                assert_eq!(
                    answer.header("content-type"),
                    Some("text/plain; charset=utf-8")
                );
            }
        }
    }
    // A page for browsers is not handed on.
    upstream.set(Behaviour::status(404, "<html>x</html>").header("Content-Type", "text/html"));
    let answer = server.get("/example.com/page/@v/list");
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains('<') && answer.text().contains("not found"));
}

#[test]
fn nothing_that_went_wrong_ever_becomes_a_404() {
    let mut tree = tree();
    tree.put("example.com/m/@v/main.info", module(0).info());
    let upstream = started(tree.clone());
    let server = impatient(&upstream.url());
    for fault in [
        Fault::Status(500, String::new()),
        Fault::Close,
        Fault::Truncate(3),
        Fault::Body("<html>".into()),
        Fault::Redirect("http://169.254.169.254/".into()),
        Fault::Hang,
    ] {
        upstream.set(Behaviour::new().fault(fault.clone()));
        for path in [
            MOD,
            ZIP,
            LIST,
            "/example.com/m/@latest",
            "/example.com/m/@v/main.info",
        ] {
            let answer = server.get(path);
            // A zip that has begun can only be cut.
            let cut = answer.status == 200 && !answer.whole;
            assert!(
                cut || [502, 504].contains(&answer.status),
                "{fault:?} {path}: {}",
                answer.status
            );
            assert!(cut || !answer.text().trim().is_empty());
        }
        upstream.heal();
        eventually("it is up", || up(&server).0);
    }
    for path in [MOD, ZIP, LIST] {
        server.get(path).is(tree.get(path).unwrap());
    }
}

#[test]
fn connections_to_the_upstream_are_kept_and_few() {
    let upstream = started(tree());
    let server = Server::over(&upstream.url());
    for name in ["a", "b", "c", "d", "m"] {
        for end in [
            "@v/list",
            "@latest",
            "@v/v1.0.0.info",
            "@v/v1.0.0.mod",
            "@v/v1.0.0.zip",
        ] {
            assert_eq!(
                server.get(&format!("/example.com/{name}/{end}")).status,
                200
            );
        }
    }
    assert_eq!(upstream.hits_of(""), 25);
    assert!(upstream.connections() <= 3, "{}", upstream.connections());
}

#[test]
fn an_upstream_below_a_path_is_asked_below_it() {
    let mut tree = Tree::new();
    tree.put("go/proxy/example.com/m/@v/list", "v1.0.0\n");
    let upstream = started(tree);
    for end in ["", "/"] {
        let server = Server::over(&format!("{}/go/proxy{end}", upstream.url()));
        server.get(LIST).is("v1.0.0\n");
    }
}
