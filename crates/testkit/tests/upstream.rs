//! The fake upstream is trusted by every other test, so it is tested itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use testkit::{Behaviour, Fault, Module, Tree, Upstream};

fn tree() -> Tree {
    let mut tree = Tree::new();
    let first = Module::new("example.com/Upper/m", "v1.0.0").filler(20_000);
    let second = Module::new("example.com/Upper/m", "v1.1.0").require("example.com/x", "v0.1.0");
    tree.add(&first).unwrap().add(&second).unwrap();
    tree
}

/// The whole answer, head and body, of one request on its own connection.
fn get(upstream: &Upstream, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(upstream.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

fn body(answer: &[u8]) -> &[u8] {
    let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    &answer[head + 4..]
}

#[test]
fn it_serves_a_generated_tree_with_escaped_paths() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    let list = get(&upstream, "example.com/!upper/m/@v/list");
    assert_eq!(body(&list), b"v1.0.0\nv1.1.0\n");
    let again = get(&upstream, "example.com/%21upper/m/@v/list");
    assert_eq!(body(&again), b"v1.0.0\nv1.1.0\n");
    let zip = get(&upstream, "example.com/!upper/m/@v/v1.0.0.zip");
    assert!(body(&zip).len() > 20_000);
    assert_eq!(upstream.hits("example.com/!upper/m/@v/list"), 1);
    assert_eq!(upstream.hits_of("list"), 2);
}

#[test]
fn it_serves_a_directory_and_not_what_lies_outside_it() {
    let dir = std::env::temp_dir().join(format!("testkit-dir-{}", std::process::id()));
    tree().write_to(&dir.join("root")).unwrap();
    std::fs::write(dir.join("secret"), "secret").unwrap();
    let upstream = Upstream::start_blocking(dir.join("root")).unwrap();
    let latest = get(&upstream, "example.com/!upper/m/@latest");
    assert!(String::from_utf8_lossy(&latest).contains("v1.1.0"));
    for path in [
        "../secret",
        "%2e%2e/secret",
        "/../secret",
        "a",
        "example.com",
    ] {
        let answer = get(&upstream, path);
        assert!(
            !String::from_utf8_lossy(&answer).contains("secret\""),
            "{path}"
        );
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{path}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_same_tree_has_the_same_bytes_every_time() {
    assert!(tree().iter().eq(tree().iter()));
    let project = testkit::tree::project(20).unwrap();
    assert_eq!(project.modules.len(), 20);
    assert!(
        project
            .tree
            .iter()
            .eq(testkit::tree::project(20).unwrap().tree.iter())
    );
}

#[test]
fn faults_do_what_they_say() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    let zip = "example.com/!upper/m/@v/v1.0.0.zip";
    let good = get(&upstream, zip);
    let good = body(&good).to_vec();

    upstream.on(".zip", Behaviour::new().fault(Fault::Truncate(100)));
    assert_eq!(body(&get(&upstream, zip)), &good[..100]);
    upstream.on(".zip", Behaviour::new().fault(Fault::Corrupt(7)));
    let bad = get(&upstream, zip);
    let differ = body(&bad).iter().zip(&good).filter(|(a, b)| a != b).count();
    assert_eq!((differ, body(&bad).len()), (1, good.len()));
    upstream.on(".zip", Behaviour::status(503, "busy"));
    assert!(get(&upstream, zip).starts_with(b"HTTP/1.1 503"));
    upstream.on(".zip", Behaviour::new().fault(Fault::Close));
    assert_eq!(get(&upstream, zip), b"");
    upstream.on(".zip", Behaviour::new().fault(Fault::Hang));
    assert_eq!(get(&upstream, zip), b"");
    upstream.on(".zip", Behaviour::new().fault(Fault::HangAfter(10)));
    assert_eq!(body(&get(&upstream, zip)), &good[..10]);
    upstream.on(".zip", Behaviour::new().fault(Fault::Body("other".into())));
    assert_eq!(body(&get(&upstream, zip)), b"other");
    let elsewhere = Fault::Redirect("http://127.0.0.1:1/x".to_owned());
    upstream.on(".zip", Behaviour::new().fault(elsewhere));
    let moved = String::from_utf8(get(&upstream, zip)).unwrap();
    assert!(moved.contains("302") && moved.contains("location: http://127.0.0.1:1/x"));
    upstream.on(
        ".zip",
        Behaviour::new().fault(Fault::Endless).bytes_per_second(1),
    );
    assert!(get(&upstream, zip).starts_with(b"HTTP/1.1 200"));
    upstream.heal();
    assert_eq!(body(&get(&upstream, zip)), good);
}

#[test]
fn latency_and_bandwidth_are_kept() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    upstream.set(Behaviour::new().latency(Duration::from_millis(80)));
    let begun = Instant::now();
    get(&upstream, "example.com/!upper/m/@v/list");
    assert!(begun.elapsed() >= Duration::from_millis(80));
    upstream.set(Behaviour::new().bytes_per_second(100_000));
    let begun = Instant::now();
    get(&upstream, "example.com/!upper/m/@v/v1.0.0.zip");
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[test]
fn a_dropped_upstream_refuses_and_can_come_back() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    let address = upstream.address();
    upstream.stop();
    assert!(TcpStream::connect(address).is_err());
    let upstream = Upstream::start_at(address, tree()).unwrap();
    assert!(get(&upstream, "example.com/!upper/m/@v/list").starts_with(b"HTTP/1.1 200"));
}

#[test]
fn every_request_is_remembered_with_its_headers() {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    get(&upstream, "example.com/x/@v/list?a=1");
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("GET", "/example.com/x/@v/list?a=1")
    );
    assert!(
        seen[0]
            .headers
            .iter()
            .any(|(name, value)| name == "host" && value == "x")
    );
    assert_eq!((upstream.connections(), upstream.in_flight_peak()), (1, 1));
    upstream.forget();
    assert_eq!((upstream.hits_of(""), upstream.seen().len()), (0, 0));
}

#[tokio::test]
async fn it_starts_and_stops_inside_an_async_test() {
    let upstream = Upstream::start(tree()).await.unwrap();
    assert!(upstream.url().starts_with("http://127.0.0.1:"));
    upstream.stop();
}
