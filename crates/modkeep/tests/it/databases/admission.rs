//! Checked before kept: every public file is compared with its proved record.

use super::*;
use std::io::{Read as _, Write as _};
use testkit::{Behaviour, Fault};

/// What the API says of the proof of each file of a version.
fn proofs(server: &Server, n: usize) -> Vec<(String, String)> {
    let report = server
        .get(&format!("/-/api/v1/versions/example.com/m@v1.0.{n}"))
        .json();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let word = |f: &serde_json::Value, name: &str| f[name].as_str().unwrap_or_default().to_owned();
    files
        .iter()
        .map(|f| (word(f, "file"), word(f, "proof")))
        .collect()
}

/// Another module of the same name and version.
fn evil(n: usize) -> Module {
    Module::new("example.com/m", &format!("v1.0.{n}"))
        .file("m.go", "package m // evil\n")
        .file("data.bin", testkit::tree::noise(n as u64, 40_000))
}

#[test]
fn what_differs_from_its_record_reaches_nobody_whole() {
    let (upstream, log) = honest(2);
    let server = launch(&upstream, &log).start();
    let bad = evil(1);
    let mut tree = tree_of(&[bad.clone(), module(2)], &log);
    tree.put(
        "example.com/m/@v/v1.0.2.mod",
        "module example.com/m // evil\n",
    );
    // The answers of the log are about the good modules.
    put_log(&mut tree, &log, &modules(2));
    upstream.replace(tree);
    let answer = server.get(&zip(1));
    let good = sums(&module(1)).0;
    if answer.status == 200 {
        assert!(!answer.whole, "the last block is held back");
    } else {
        answer.refuses(502, "checksum mismatch");
    }
    let again = server.get(&zip(1));
    let text = again.text();
    let text = if again.whole { text.as_str() } else { "" };
    for part in [
        good.as_str(),
        &sums(&bad).0,
        SUMDB,
        &upstream.url(),
        "modkeep compare example.com/m@v1.0.1",
    ] {
        assert!(
            text.contains(part) || server.stderr().contains(part),
            "{part}: {text}"
        );
    }
    assert!(!is_kept(&server, &zip(1)));
    server.get(&go_mod(2)).refuses(502, "checksum mismatch");
    assert!(!is_kept(&server, &go_mod(2)));
    assert!(has_alarm(&server, "mismatch"), "{}", server.stderr());
    upstream.replace(tree_of(&modules(2), &log));
    server.get(&zip(1)).is(module(1).zip().unwrap());
    server.get(&go_mod(2)).is(module(2).go_mod_bytes());
    assert!(
        proofs(&server, 1).contains(&(".zip".into(), "proved".into())),
        "{:?}",
        proofs(&server, 1)
    );
}

#[test]
fn without_a_database_a_version_is_served_marked_and_checked_later() {
    let (upstream, log) = honest(2);
    upstream.on("sumdb/", Behaviour::status(503, "away"));
    let server = launch(&upstream, &log)
        .args(["--verify-again", "200ms"])
        .start();
    assert_eq!(server.get(&zip(1)).status, 200);
    assert_eq!(server.get(&go_mod(1)).status, 200);
    assert_eq!(
        proofs(&server, 1)
            .iter()
            .filter(|(_, p)| p == "unverified")
            .count(),
        2,
        "{:?}",
        proofs(&server, 1)
    );
    assert!(server.metric("modkeep_unverified_files") >= 2);
    upstream.heal();
    crate::common::eventually("checked in the background", || {
        proofs(&server, 1)
            .iter()
            .all(|(file, p)| p == "proved" || file == ".info")
    });
    crate::common::eventually("counted", || server.metric("modkeep_unverified_files") == 0);
    assert_eq!(alarms(&server), []);
}

#[test]
fn a_later_mismatch_takes_the_version_away_with_an_alarm() {
    let (upstream, log) = honest(2);
    let webhook = Webhook::start();
    let mut tree = tree_of(&[evil(1)], &log);
    put_log(&mut tree, &log, &modules(2));
    upstream.replace(tree);
    upstream.on("sumdb/", Behaviour::status(503, "away"));
    let launch = launch(&upstream, &log).args(["--verify-again", "200ms"]);
    let server = launch.args(["--alarm-webhook", &webhook.url]).start();
    assert_eq!(server.get(&zip(1)).status, 200);
    upstream.heal();
    crate::common::eventually("quarantined", || has_alarm(&server, "mismatch"));
    crate::common::eventually("not served", || server.get(&zip(1)).status != 200);
    assert!(!is_kept(&server, &zip(1)));
    let posted = webhook.posted();
    assert!(
        posted.contains("\"kind\":\"mismatch\"") && posted.contains("v1.0.1"),
        "{posted}"
    );
    // The right bytes are taken when somebody has them.
    upstream.replace(tree_of(&modules(2), &log));
    crate::common::eventually("the good one", || {
        server.get(&zip(1)).body == module(1).zip().unwrap()
    });
}

#[test]
fn strict_serves_nothing_that_is_not_proved() {
    let (upstream, log) = honest(2);
    let mut tree = tree_of(&modules(2), &log);
    tree.add(&Module::new("example.com/unknown", "v1.0.0"))
        .unwrap();
    upstream.replace(tree);
    upstream.on("sumdb/", Behaviour::status(503, "away"));
    let server = launch(&upstream, &log).args(["--verify", "strict"]).start();
    for path in [zip(1), go_mod(1)] {
        let answer = server.get(&path);
        if answer.status == 200 {
            assert!(!answer.whole, "{path}");
        } else {
            answer.refuses(503, "--verify strict");
        }
        assert!(!is_kept(&server, &path), "{path}");
    }
    upstream.heal();
    crate::common::eventually("proved", || server.get(&go_mod(1)).status == 200);
    server
        .get("/example.com/unknown/@v/v1.0.0.mod")
        .refuses(403, "--private");
    assert!(!is_kept(&server, "/example.com/unknown/@v/v1.0.0.mod"));
}

#[test]
fn modules_of_no_sumdb_are_served_and_not_asked_about() {
    let (upstream, log) = honest(1);
    let mut tree = tree_of(&modules(1), &log);
    tree.add(&Module::new("quiet.example/m", "v1.0.0")).unwrap();
    upstream.replace(tree);
    let server = launch(&upstream, &log)
        .args(["--verify", "strict", "--no-sumdb", "quiet.example"])
        .start();
    assert_eq!(server.get("/quiet.example/m/@v/v1.0.0.mod").status, 200);
    assert_eq!(server.get("/quiet.example/m/@v/v1.0.0.zip").status, 200);
    assert_eq!(upstream.hits_of("lookup/quiet"), 0);
    assert_eq!(server.get(&zip(1)).status, 200);
    assert_eq!(
        upstream.hits_of("lookup/example.com"),
        1,
        "one question for all files of a version"
    );
}

#[test]
fn a_slow_database_does_not_keep_a_module_for_ever() {
    let (upstream, log) = honest(1);
    upstream.on("sumdb/", Behaviour::new().fault(Fault::Hang));
    let server = launch(&upstream, &log)
        .args(["--upstream-timeout", "1s", "--answer-timeout", "10s"])
        .start();
    let began = std::time::Instant::now();
    assert_eq!(server.get(&go_mod(1)).status, 200);
    assert!(began.elapsed() < std::time::Duration::from_secs(9));
    assert!(proofs(&server, 1).contains(&(".mod".into(), "unverified".into())));
}

/// Takes what is posted, answers 200.
struct Webhook {
    url: String,
    bodies: std::sync::mpsc::Receiver<String>,
}

impl Webhook {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, bodies) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
                while !done(&seen) {
                    match stream.read(&mut buffer) {
                        Ok(n @ 1..) => seen.extend_from_slice(&buffer[..n]),
                        _ => break,
                    }
                }
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
                if tell
                    .send(String::from_utf8_lossy(&seen).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
        Self { url, bodies }
    }

    fn posted(&self) -> String {
        self.bodies
            .recv_timeout(std::time::Duration::from_secs(20))
            .unwrap()
    }
}

/// Whether a whole request is there.
fn done(seen: &[u8]) -> bool {
    let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
    let length = length.and_then(|l| l.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}
