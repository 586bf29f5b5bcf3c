//! The relay: what it answers, whom it asks, and that nothing is asked twice.

use super::*;
use testkit::Behaviour;

#[test]
fn everything_that_was_proved_is_served_with_the_origin_gone() {
    let (upstream, log) = honest(5);
    let server = launch(&upstream, &log).start();
    let mut paths: Vec<String> = (1..=5).map(lookup).collect();
    paths.extend(
        [
            "tile/8/0/000.p/5",
            "tile/8/0/000.p/2",
            "tile/8/data/000.p/5",
        ]
        .map(sum),
    );
    paths.push(sum("latest"));
    assert_eq!(server.get(&sum("supported")).status, 200);
    let first: Vec<_> = paths.iter().map(|p| server.get(p)).collect();
    for (path, answer) in paths.iter().zip(&first) {
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        let head = server.head(path);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let tag = answer.header("etag").unwrap();
        let same = server.get_with(path, &[("If-None-Match", tag)]);
        assert_eq!(same.status, 304, "{path}");
        let caching = answer.header("cache-control").unwrap();
        assert_eq!(
            caching.contains("immutable"),
            !path.ends_with("latest"),
            "{path} {caching}"
        );
    }
    let asked = upstream.seen().len();
    for path in &paths[..paths.len() - 1] {
        assert_eq!(server.get(path).status, 200);
    }
    assert_eq!(upstream.seen().len(), asked, "nothing is asked twice");
    let ended = server.kill();
    drop(upstream);
    let server = Launch::again(&ended).args(["--sumdb", &log.vkey()]).start();
    for (path, answer) in paths.iter().zip(&first) {
        assert_eq!(server.get(path).body, answer.body, "{path}");
    }
    assert_eq!(server.get(&sum("supported")).status, 200);
    // Not known and nobody to ask: that is no "not found".
    let unknown = server.get(&sum("lookup/example.com/m@v1.0.9"));
    unknown.refuses(503, SUMDB);
    let server = again(Launch::again(&server.kill()), &gone(), &log).start();
    let unknown = server.get(&sum("lookup/example.com/m@v1.0.9"));
    unknown.refuses(503, SUMDB);
    assert!(unknown.header("retry-after").is_some());
}

/// An upstream that answers nobody.
fn gone() -> Upstream {
    let upstream = Upstream::start_blocking(Tree::new()).unwrap();
    upstream.set(Behaviour::new().fault(testkit::Fault::Close));
    upstream
}

#[test]
fn an_unknown_database_and_a_record_that_is_not_there_are_404() {
    let (upstream, log) = honest(1);
    let server = launch(&upstream, &log).start();
    server
        .get("/sumdb/sum.golang.org/supported")
        .refuses(404, "not relayed here");
    assert_eq!(
        server
            .get("/sumdb/sum.golang.org/lookup/a.b/c@v1.0.0")
            .status,
        404
    );
    assert_eq!(server.get(&sum("lookup/example.com/m@v9.9.9")).status, 404);
    for bad in [
        "lookup/",
        "lookup/x",
        "lookup/example.com/m@",
        "lookup/example.com/M@v1.0.0",
        "tile/8/0/x",
        "nothing",
        "tile/9/0/000",
    ] {
        let status = server.get(&sum(bad)).status;
        assert!(matches!(status, 400 | 404), "{bad} {status}");
    }
    assert!(
        !upstream
            .seen()
            .iter()
            .any(|s| s.path.contains("sum.golang.org"))
    );
    assert_eq!(alarms(&server), []);
}

#[test]
fn private_names_are_told_to_no_database() {
    let private = Module::new("corp.example/secret", "v1.0.0").file("s.go", "package s\n");
    let (upstream, log) = honest(2);
    let server = launch(&upstream, &log)
        .args([
            "--private",
            "corp.example",
            "--no-sumdb",
            "example.com/other",
        ])
        .start();
    let answer = server.get(&sum("lookup/corp.example/secret@v1.0.0"));
    answer.refuses(403, "GONOSUMDB");
    assert!(answer.text().contains("--private"), "{}", answer.text());
    server
        .get(&sum("lookup/corp.example/secret/sub@v1.0.0"))
        .refuses(403, "GONOSUMDB");
    server.get("/corp.example/secret/@v/v1.0.0.mod");
    let seen = format!("{:?}", upstream.seen());
    assert!(!seen.contains("corp.example"), "{seen}");
    assert_eq!(private.path(), "corp.example/secret");
    is_honest(&server, &log, 1);
}

#[test]
fn several_databases_are_relayed_each_with_its_own_key() {
    let (upstream, log) = honest(2);
    let mut other = MemLog::new("sum.other.example", [3; 32]).unwrap();
    let (zip, go_mod) = sums(&module(1));
    other.add("example.com/m", "v1.0.1", &zip, &go_mod);
    let mut tree = Tree::new();
    let own = module(1);
    relay(&mut tree, "", &other, &[&own]);
    let itself = Upstream::start_blocking(tree).unwrap();
    let server = launch(&upstream, &log)
        .args(["--sumdb", &format!("{} {}", other.vkey(), itself.url())])
        .start();
    is_honest(&server, &log, 1);
    for path in [
        "supported",
        "latest",
        "lookup/example.com/m@v1.0.1",
        "tile/8/0/000.p/1",
    ] {
        let answer = server.get(&format!("/sumdb/sum.other.example/{path}"));
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        if path != "supported" && !path.starts_with("tile") {
            assert!(
                answer.text().contains("— sum.other.example "),
                "{}",
                answer.text()
            );
        }
    }
    assert!(
        !upstream
            .seen()
            .iter()
            .any(|s| s.path.contains("sum.other.example"))
    );
}

#[test]
fn a_relay_that_has_no_database_is_passed_by() {
    let (itself, log) = honest(2);
    let mut plain = Tree::new();
    plain.add(&module(1)).unwrap();
    let upstream = Upstream::start_blocking(plain).unwrap();
    let address = format!("{} {}/sumdb/{SUMDB}", log.vkey(), itself.url());
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--sumdb", &address])
        .start();
    is_honest(&server, &log, 1);
}

#[test]
fn many_clients_of_one_record_cost_one_question() {
    let (upstream, log) = honest(3);
    upstream.set(Behaviour::new().latency(std::time::Duration::from_millis(100)));
    let server = launch(&upstream, &log).start();
    for answer in crate::common::at_once(&server, 20, &lookup(2)) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(upstream.hits_of("lookup/"), 1);
}
