//! GOPROXY, all of it: every endpoint, and every header that a client or a CDN acts on.

use testkit::{Behaviour, Module, Tree, Upstream};

use crate::common::{Connection, Launch, Server, eventually};

const BASE: &str = "/example.com/!team/!lib";

const FOREVER: &str = "public, max-age=31536000, immutable";

/// A module with capital letters, one big zip and one small one.
fn tree() -> Tree {
    let mut tree = Tree::new();
    let big = Module::new("example.com/Team/Lib", "v1.2.3-Rc1").filler(300 << 10);
    tree.add(&big).unwrap();
    tree.add(&Module::new("example.com/Team/Lib", "v1.2.3"))
        .unwrap();
    tree
}

fn started() -> (Upstream, Server) {
    over(tree())
}

fn over(tree: Tree) -> (Upstream, Server) {
    let upstream = Upstream::start_blocking(tree).unwrap();
    let server = Server::over(&upstream.url());
    (upstream, server)
}

#[test]
fn every_endpoint_hands_on_the_upstreams_bytes_and_asks_for_them_once() {
    let (upstream, server) = started();
    let tree = tree();
    for (file, kind) in [
        ("@v/list", "text/plain; charset=utf-8"),
        ("@latest", "application/json"),
        ("@v/v1.2.3.info", "application/json"),
        ("@v/v1.2.3.mod", "text/plain; charset=utf-8"),
        ("@v/v1.2.3.zip", "application/zip"),
        ("@v/v1.2.3-!rc1.info", "application/json"),
        ("@v/v1.2.3-!rc1.mod", "text/plain; charset=utf-8"),
        ("@v/v1.2.3-!rc1.zip", "application/zip"),
    ] {
        let path = format!("{BASE}/{file}");
        let want = tree.get(&path).unwrap();
        for _ in 0..3 {
            let answer = server.get(&path);
            answer.is(want);
            assert_eq!(answer.header("content-type"), Some(kind), "{path}");
            let length = want.len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()));
        }
        assert_eq!(upstream.hits(&path), 1, "{path}");
    }
}

#[test]
fn a_capital_letter_may_come_as_a_bang_or_as_percent_21() {
    let (upstream, server) = started();
    let want = tree()
        .get(&format!("{BASE}/@v/v1.2.3-!rc1.mod"))
        .unwrap()
        .clone();
    for path in [
        "/example.com/%21team/%21lib/@v/v1.2.3-%21rc1.mod",
        "/example.com/!team/%21lib/%40v/v1.2.3-!rc1.mod",
        "/example.com/!team/!lib/@v/v1.2.3-!rc1.mod",
        "/example%2Ecom/!team/!lib/@v/v1%2e2.3-!rc1.mod",
    ] {
        server.get(path).is(&want);
    }
    let asked: Vec<_> = upstream.seen().into_iter().map(|s| s.path).collect();
    assert_eq!(asked, [format!("{BASE}/@v/v1.2.3-!rc1.mod")]);
    // A bare capital letter names nothing: on a disk that folds case it would be another module.
    server
        .get("/example.com/Team/!lib/@v/v1.2.3.mod")
        .refuses(404, "");
}

#[test]
fn an_incompatible_version_is_found_with_plus_and_with_percent_2b() {
    let mut tree = Tree::new();
    let module = Module::new("example.com/old", "v2.1.0+incompatible");
    tree.add(&module).unwrap();
    tree.put("example.com/old/@v/v2.1.0.info", module.info());
    let (upstream, server) = over(tree.clone());
    for end in ["info", "mod", "zip"] {
        let file = format!("example.com/old/@v/v2.1.0+incompatible.{end}");
        let want = tree.get(&file).unwrap();
        server.get(&format!("/{file}")).is(want);
        server
            .get(&format!("/example.com/old/@v/v2.1.0%2Bincompatible.{end}"))
            .is(want);
    }
    assert_eq!(upstream.hits_of(""), 3);
    // Without the suffix it is a question, answered by the version it stands for.
    server
        .get("/example.com/old/@v/v2.1.0.info")
        .is(module.info());
    server
        .get("/example.com/old/@v/v2.1.0.mod")
        .refuses(404, "");
}

#[test]
fn a_toolchain_is_a_module_whose_mod_names_no_module() {
    let version = "v0.0.1-go1.21.0.linux-amd64";
    let mut tree = Tree::new();
    let toolchain = Module::new("golang.org/toolchain", version)
        .file("bin/go", "#!/bin/sh\n")
        .file("src/cmd/_go.mod", "module cmd\n");
    tree.add(&toolchain).unwrap();
    tree.put(&format!("golang.org/toolchain/@v/{version}.mod"), "");
    let (_upstream, server) = over(tree.clone());
    for end in ["info", "mod", "zip"] {
        let file = format!("golang.org/toolchain/@v/{version}.{end}");
        server.get(&format!("/{file}")).is(tree.get(&file).unwrap());
    }
}

#[test]
fn a_branch_and_a_hash_are_answered_by_info_with_the_version_they_stand_for() {
    let pseudo = "v0.0.0-20240203040506-0123456789ab";
    let info = format!("{{\"Version\":\"{pseudo}\",\"Time\":\"2024-02-03T04:05:06Z\"}}");
    let mut tree = Tree::new();
    for name in ["master", "0123456789ab", "0123456", "v1", "release-1.x"] {
        tree.put(&format!("example.com/m/@v/{name}.info"), info.clone());
    }
    let (upstream, server) = over(tree);
    for name in ["master", "0123456789ab", "0123456", "v1", "release-1.x"] {
        let answer = server.get(&format!("/example.com/m/@v/{name}.info"));
        answer.is(&info);
        let cache = answer.header("cache-control").unwrap();
        assert!(cache.contains("must-revalidate"), "{name} moves: {cache}");
    }
    // There is no .mod of a branch.
    server.get("/example.com/m/@v/master.mod").refuses(404, "");
    server.get("/example.com/m/@v/master.zip").refuses(404, "");
    assert_eq!(upstream.hits_of(".mod") + upstream.hits_of(".zip"), 0);
}

#[test]
fn info_and_mod_are_handed_on_byte_for_byte() {
    let mut tree = Tree::new();
    tree.add(&Module::new("example.com/m", "v1.0.0")).unwrap();
    // A time with an offset, unknown fields, odd spacing: another spelling of it may mean another
    // day in a pseudo-version.
    let info =
        "{ \"Time\" : \"2024-01-01T23:30:00-07:00\",\n\"Version\":\"v1.0.0\", \"X\": [1]}\n\n";
    let go_mod = "\n//odd\r\nmodule   \"example.com/m\"\n\n\n";
    tree.put("example.com/m/@v/v1.0.0.info", info);
    tree.put("example.com/m/@v/v1.0.0.mod", go_mod);
    tree.put(
        "example.com/m/@v/list",
        "v1.0.0 2024-01-01T00:00:00Z\nv0.9.0",
    );
    let (_upstream, server) = over(tree);
    for _ in 0..2 {
        server.get("/example.com/m/@v/v1.0.0.info").is(info);
        server.get("/example.com/m/@v/v1.0.0.mod").is(go_mod);
        server
            .get("/example.com/m/@v/list")
            .is("v1.0.0 2024-01-01T00:00:00Z\nv0.9.0");
    }
}

#[test]
fn an_existing_module_without_tags_has_an_empty_list() {
    let mut tree = Tree::new();
    tree.put("example.com/m/@v/list", "");
    let (_upstream, server) = over(tree);
    server.get("/example.com/m/@v/list").is("");
    server.get("/example.com/m/@v/list").is("");
}

#[test]
fn a_request_that_forbids_fetching_is_answered_from_the_store_or_with_404() {
    let (upstream, server) = started();
    let header = [("Disable-Module-Fetch", "true")];
    let files = [
        "@v/list",
        "@latest",
        "@v/v1.2.3.info",
        "@v/v1.2.3.mod",
        "@v/v1.2.3.zip",
    ];
    for file in files {
        let path = format!("{BASE}/{file}");
        let missing = server.get_with(&path, &header);
        missing.refuses(404, "forbids fetching");
        assert_eq!(missing.header("cache-control"), Some("no-store"), "{path}");
        server
            .get(&format!("/cached-only{path}"))
            .refuses(404, "forbids fetching");
    }
    assert_eq!(upstream.hits_of(""), 0);
    for file in files {
        let path = format!("{BASE}/{file}");
        let want = tree().get(&path).unwrap().clone();
        server
            .get_with(&path, &[("Disable-Module-Fetch", "false")])
            .is(&want);
        server.get_with(&path, &header).is(&want);
        server.get(&format!("/cached-only{path}")).is(&want);
        assert_eq!(upstream.hits(&path), 1);
    }
}

#[test]
fn a_request_that_forbids_fetching_does_not_make_us_look_ahead_either() {
    let mut tree = Tree::new();
    let module = Module::new("example.com/m", "v1.0.0").require("example.com/dep", "v1.0.0");
    tree.add(&module).unwrap();
    let upstream = Upstream::start_blocking(tree).unwrap();
    let server = Server::over(&upstream.url());
    server
        .get("/example.com/m/@v/v1.0.0.mod")
        .is(module.go_mod_bytes());
    let ended = server.stop();
    upstream.forget();
    let server = Launch::again(&ended)
        .upstream(&upstream.url())
        .look_ahead()
        .start();
    server
        .get_with(
            "/example.com/m/@v/v1.0.0.mod",
            &[("Disable-Module-Fetch", "true")],
        )
        .is(module.go_mod_bytes());
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(upstream.hits_of(""), 0);
}

#[test]
fn head_says_what_get_says_without_the_body() {
    let (upstream, server) = started();
    for file in [
        "@v/list",
        "@latest",
        "@v/v1.2.3.info",
        "@v/v1.2.3.mod",
        "@v/v1.2.3-!rc1.zip",
    ] {
        let path = format!("{BASE}/{file}");
        let got = server.get(&path);
        // The answer that streamed a miss has no validator yet: compare with a stored one.
        let got = if got.header("etag").is_some() {
            got
        } else {
            server.get(&path)
        };
        let head = server.head(&path);
        assert_eq!(head.status, 200);
        for name in ["content-length", "content-type", "etag", "accept-ranges"] {
            assert!(got.header(name).is_some(), "{path}: {name}");
            assert_eq!(head.header(name), got.header(name), "{path}: {name}");
        }
        assert!(head.body.is_empty());
    }
    let missing = server.head("/example.com/none/@v/v1.0.0.info");
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert_eq!(upstream.hits_of("@v/v1.2.3.info"), 1);
    assert!(upstream.seen().iter().all(|s| s.method == "GET"));
}

#[test]
fn ranges_of_a_kept_zip_are_served() {
    let (_upstream, server) = started();
    for file in ["@v/v1.2.3-!rc1.zip", "@v/v1.2.3.zip"] {
        let path = format!("{BASE}/{file}");
        let want = tree().get(&path).unwrap().clone();
        let size = want.len();
        server.get(&path).is(&want);
        let etag = server.head(&path).header("etag").unwrap().to_owned();
        for (range, start, end) in [
            ("bytes=0-0".to_owned(), 0, 1),
            (format!("bytes={}-", size - 10), size - 10, size),
            ("bytes=-10".to_owned(), size - 10, size),
            (format!("bytes=100-{}", size * 2), 100, size),
            (format!("bytes=1-{}", size - 2), 1, size - 1),
        ] {
            let part = server.get_with(&path, &[("Range", &range), ("If-Range", &etag)]);
            assert_eq!(part.status, 206, "{range}");
            assert!(part.whole && part.body == want[start..end], "{range}");
            let said = format!("bytes {start}-{}/{size}", end - 1);
            assert_eq!(part.header("content-range"), Some(said.as_str()));
            assert_eq!(part.header("etag"), Some(etag.as_str()));
        }
        let beyond = server.get_with(&path, &[("Range", &format!("bytes={size}-"))]);
        assert_eq!(beyond.status, 416);
        let said = format!("bytes */{size}");
        assert_eq!(beyond.header("content-range"), Some(said.as_str()));
        // Another content than the client has a part of: it gets the whole.
        server
            .get_with(&path, &[("Range", "bytes=0-0"), ("If-Range", "\"other\"")])
            .is(&want);
        // What is no range of bytes, or several, is answered with the whole, as the standard allows.
        for range in ["bytes=5-2", "lines=0-1", "bytes=0-1,4-5", "bytes=x"] {
            server.get_with(&path, &[("Range", range)]).is(&want);
        }
    }
}

#[test]
fn an_unchanged_file_costs_no_body() {
    let (_upstream, server) = started();
    for file in ["@v/list", "@latest", "@v/v1.2.3.info", "@v/v1.2.3-!rc1.zip"] {
        let path = format!("{BASE}/{file}");
        server.get(&path);
        let etag = server.get(&path).header("etag").unwrap().to_owned();
        assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        for tag in [&etag, &format!("\"x\", W/{etag}"), "*"] {
            let same = server.get_with(&path, &[("If-None-Match", tag)]);
            assert_eq!((same.status, same.body.len()), (304, 0), "{path} {tag}");
            assert_eq!(same.header("etag"), Some(etag.as_str()));
            assert!(same.header("cache-control").is_some());
        }
        let other = server.get_with(&path, &[("If-None-Match", "\"other\"")]);
        assert_eq!(other.status, 200);
    }
}

#[test]
fn different_contents_have_different_validators() {
    let (_upstream, server) = started();
    let tag = |file: &str| {
        let path = format!("{BASE}/@v/{file}");
        server.get(&path);
        server.head(&path).header("etag").unwrap().to_owned()
    };
    let tags = [
        "v1.2.3.info",
        "v1.2.3-!rc1.info",
        "v1.2.3.zip",
        "v1.2.3-!rc1.zip",
    ]
    .map(tag);
    let unique: std::collections::HashSet<_> = tags.iter().collect();
    assert_eq!(unique.len(), tags.len(), "{tags:?}");
}

#[test]
fn caches_may_hold_versions_for_ever_lists_briefly_and_trouble_never() {
    let (upstream, server) = started();
    let cache = |path: &str| {
        let answer = server.get(path);
        (
            answer.status,
            answer.header("cache-control").unwrap_or("").to_owned(),
        )
    };
    for file in ["v1.2.3.info", "v1.2.3.mod", "v1.2.3-!rc1.zip"] {
        server.get(&format!("{BASE}/@v/{file}"));
        assert_eq!(
            cache(&format!("{BASE}/@v/{file}")),
            (200, FOREVER.to_owned())
        );
    }
    for file in ["@v/list", "@latest"] {
        for _ in 0..2 {
            let (status, cache) = cache(&format!("{BASE}/{file}"));
            let age = cache
                .strip_prefix("public, max-age=")
                .and_then(|c| c.strip_suffix(", must-revalidate"))
                .and_then(|age| age.parse::<u32>().ok());
            assert!(
                status == 200 && age.is_some_and(|age| age <= 60),
                "{file}: {cache}"
            );
        }
    }
    assert_eq!(
        cache("/example.com/none/@v/list"),
        (404, "public, max-age=60".to_owned())
    );
    upstream.on("/broken/", Behaviour::status(500, "boom"));
    upstream.on("/denied/", Behaviour::status(403, "no"));
    for (path, status) in [
        ("/example.com/broken/@v/list", 502),
        ("/example.com/denied/@v/list", 403),
        ("/example.com/../@v/list", 400),
    ] {
        assert_eq!(cache(path), (status, "no-store".to_owned()), "{path}");
    }
}

#[test]
fn a_private_modules_answers_are_for_private_caches() {
    let (upstream, server) = started();
    server.get(&format!("{BASE}/@v/v1.2.3.mod"));
    let ended = server.stop();
    let server = Launch::again(&ended)
        .upstream(&upstream.url())
        .args(["--private", "example.com/Team/*"])
        .start();
    let answer = server.get(&format!("{BASE}/@v/v1.2.3.mod"));
    assert_eq!(
        answer.header("cache-control"),
        Some("private, max-age=31536000, immutable")
    );
}

#[test]
fn paths_that_nobody_can_mean_are_400_and_clean_ones_that_name_nothing_are_404() {
    let (upstream, server) = started();
    for (path, status) in [
        ("/example.com/m/../m/@v/list", 400),
        ("/example.com/m/%2e%2e/m/@v/list", 400),
        ("/example.com/m/%2E/@v/list", 400),
        ("//example.com/m/@v/list", 400),
        ("/example.com//m/@v/list", 400),
        ("/example.com/m/@v/", 400),
        ("/example.com/m/@v", 400),
        ("/@v/list", 400),
        ("/@latest", 400),
        ("/example.com/m/@v/v1.0.0.tar", 400),
        ("/example.com/m/@v/v1.0.0", 400),
        ("/example.com/m/@v/a/b.info", 400),
        ("/example.com/m/@v/v1.0.0%00.info", 400),
        ("/example.com/m%0a/@v/list", 400),
        ("/example.com/m%5cx/@v/list", 400),
        ("/example.com/m%zz/@v/list", 400),
        ("/example.com/m%f/@v/list", 400),
        ("/example.com/m%ff/@v/list", 400),
        ("/cached-only/example.com/../m/@v/list", 400),
        ("/favicon.ico", 404),
        ("/robots.txt", 404),
        ("/example.com/m", 404),
        // The go command asks such while it looks for the module of a package.
        ("/example.com/x/.dot/@v/list", 404),
        ("/-foo/@v/list", 404),
        ("/example.com/-foo/@v/list", 200),
        ("/example.com/aux/@v/list", 404),
        ("/example.com/m~1/@v/list", 404),
        ("/EXAMPLE.com/m/@v/list", 404),
        ("/example.com/!!m/@v/list", 404),
        ("/example.com/m!/@v/list", 404),
        ("/example.com/m/v1/@v/list", 404),
        ("/example.com/%C3%A9/@v/list", 404),
        ("/fmt/@v/list", 404),
        ("/example.com/m/v2/@v/v1.0.0.mod", 404),
        ("/example.com/m/@v/v1.mod", 404),
        ("/example.com/m/@v/latest.zip", 404),
    ] {
        if status == 200 {
            // A dash is a fair name where it does not begin the path; it is asked for.
            upstream.on(
                "/-foo/",
                Behaviour::new().fault(testkit::Fault::Body("".into())),
            );
            server.get(path).is("");
            continue;
        }
        let before = upstream.hits_of("");
        let answer = server.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(!answer.text().trim().is_empty(), "{path}");
        assert_eq!(upstream.hits_of(""), before, "{path} was asked upstream");
    }
}

#[test]
fn only_get_and_head_are_answered() {
    let (upstream, server) = started();
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE", "TRACE",
    ] {
        let answer = server.ask(method, &format!("{BASE}/@v/v1.2.3.mod"), &[]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    assert_eq!(upstream.hits_of(""), 0);
}

#[test]
fn a_query_string_changes_nothing() {
    let (upstream, server) = started();
    let path = format!("{BASE}/@v/v1.2.3.mod");
    server
        .get(&format!("{path}?go-get=1"))
        .is(tree().get(&path).unwrap());
    assert_eq!(upstream.seen()[0].path, path);
}

#[test]
fn several_requests_share_a_connection_and_may_be_sent_ahead() {
    let (_upstream, server) = started();
    let mut connection = Connection::open(server.address());
    let one = format!("GET {BASE}/@v/v1.2.3.info HTTP/1.1\r\nHost: x\r\n\r\n");
    let last = one.replace("Host: x", "Host: x\r\nConnection: close");
    let all = one.repeat(19) + &last;
    connection.send_raw(all.as_bytes()).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut connection.stream, &mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 20);
    assert_eq!(text.matches("\"Version\":\"v1.2.3\"").count(), 20);
}

#[test]
fn the_request_id_is_in_the_answer_and_in_the_log() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    upstream.on("/broken/", Behaviour::status(500, "boom"));
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--access-log", "-", "--log-format", "json"])
        .start();
    let own = server.get_with(
        "/example.com/broken/@v/list",
        &[("X-Request-Id", "ci-42.a_b")],
    );
    assert_eq!(own.header("x-request-id"), Some("ci-42.a_b"));
    let first = server.get(&format!("{BASE}/@v/list"));
    let second = server.get("/%00");
    let (first, second) = (first.header("x-request-id"), second.header("x-request-id"));
    assert!(first.is_some_and(|id| !id.is_empty()) && second.is_some());
    assert_ne!(first, second);
    // What could write into a log is not taken over.
    for bad in ["a b", "x\"y", &"a".repeat(100), "\u{e9}"] {
        let answer = server.get_with("/%00", &[("X-Request-Id", bad)]);
        assert_ne!(answer.header("x-request-id"), Some(bad));
    }
    let ids = [Some("ci-42.a_b"), first, second];
    eventually("each id is in the access log", || {
        let log = server.stderr();
        ids.iter()
            .all(|id| log.contains(&format!("\"id\":\"{}\"", id.unwrap())))
    });
    let log = server.stderr();
    let line = log
        .lines()
        .find(|l| l.contains("\"id\":\"ci-42.a_b\""))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["status"], 502);
    assert_eq!(line["path"], "/example.com/broken/@v/list");
    assert!(
        log.contains("\"request.id\":\"ci-42.a_b\""),
        "the event log names it too"
    );
}

#[test]
fn metrics_come_in_both_formats_and_count_what_happened() {
    let (_upstream, server) = started();
    for _ in 0..3 {
        server.get(&format!("{BASE}/@v/v1.2.3.info"));
    }
    server.get("/example.com/none/@v/list");
    let classic = server.get("/-/metrics");
    assert_eq!(
        classic.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = classic.text();
    assert!(!text.contains("# EOF"));
    for line in [
        "# TYPE modkeep_requests_total counter",
        "modkeep_requests_total{route=\"Info\",outcome=\"Hit\"} 2",
        "modkeep_requests_total{route=\"Info\",outcome=\"Miss\"} 1",
        "modkeep_requests_total{route=\"List\",outcome=\"NotFound\"} 1",
        "modkeep_request_seconds_count{route=\"Info\"} 3",
        "# TYPE modkeep_request_seconds histogram",
        "modkeep_stored_files 1",
        "modkeep_kept_files_total 1",
        "modkeep_requests_in_flight 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let accept = [(
        "Accept",
        "application/openmetrics-text; version=1.0.0,text/plain;q=0.5",
    )];
    let open = server.get_with("/-/metrics", &accept);
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = open.text();
    assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
    assert!(text.contains("# TYPE modkeep_requests counter\n"));
    for name in [
        "modkeep_response_bytes_total",
        "modkeep_upstream_up",
        "modkeep_upstream_calls_total",
    ] {
        assert!(text.contains(name), "{name}");
    }
}
