//! A witness, and a log that asks several: over HTTP, against the real binary.

use crate::common::{Answer, Launch, Server, eventually, run};
use keep::cosign::{self, NotCosigned, Prove, WitnessAddress};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use testkit::MemLog;
use tlog::Hash;
use tlog::TreeHead;
use tlog::head::Checkpoint;
use tlog::note::{Note, Signature, VerifierKey};
use tlog::tree::prove_consistency;
use tlog::witness::{AddCheckpoint, Failed};
use upstream::{Net, NetSettings};

const NAME: &str = "sum.example.com";

/// A log; another salt makes other records.
fn log(size: u64, salt: &str) -> MemLog {
    let mut log = MemLog::new(NAME, [7; 32]).unwrap();
    for i in 0..size {
        log.append(&format!("record {i} {salt}\n"));
    }
    log
}

fn checkpoint(log: &MemLog, size: u64) -> String {
    String::from_utf8(log.checkpoint(size).unwrap()).unwrap()
}

fn proof(log: &MemLog, old: u64, new: u64) -> Vec<Hash> {
    match old == 0 || old == new {
        true => Vec::new(),
        false => prove_consistency(new, old, |node| log.node(node)).unwrap(),
    }
}

fn request(log: &MemLog, old: u64, new: u64) -> AddCheckpoint {
    AddCheckpoint {
        old,
        proof: proof(log, old, new),
        checkpoint: checkpoint(log, new),
    }
}

fn start(name: &str) -> Server {
    Launch::witness(name)
        .args(["--log", &log(0, "").vkey()])
        .start()
}

pub fn key(server: &Server) -> VerifierKey {
    let said = || {
        server
            .stderr()
            .lines()
            .find_map(|line| line.trim().parse().ok())
    };
    eventually("it says its key", || said().is_some());
    said().unwrap()
}

fn ask(server: &Server, body: &str) -> Answer {
    server.post("/add-checkpoint", &[], body)
}

fn add(server: &Server, log: &MemLog, old: u64, new: u64) -> Answer {
    ask(server, &request(log, old, new).to_string())
}

/// The size that the witness has cosigned last, as monitors see it.
fn shown(server: &Server) -> Option<u64> {
    let hash: String = Sha256::digest(NAME)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let answer = server.get(&format!("/{hash}/checkpoint"));
    if answer.status == 404 {
        return None;
    }
    let note = Note::open(&answer.body, &[key(server)]).unwrap();
    let log = Note::open(&answer.body, &[log(0, "").vkey().parse().unwrap()]).unwrap();
    assert_eq!(note.text, log.text, "both signed it");
    Some(Checkpoint::parse(&note.text).unwrap().head.size)
}

#[test]
fn a_witness_answers_as_the_specification_says() {
    let server = start("witness.example");
    let log = log(40, "");
    let fork = self::log(40, "another");
    let stranger = MemLog::new("other.example", [7; 32]).unwrap();
    let impostor = MemLog::new(NAME, [8; 32]).unwrap();
    assert_eq!(shown(&server), None);
    let with = |checkpoint: String, mut request: AddCheckpoint| {
        request.checkpoint = checkpoint;
        request.to_string()
    };
    let wrong_empty = TreeHead {
        size: 0,
        hash: Hash::leaf(b""),
    };
    let wrong_empty = Checkpoint {
        origin: NAME.into(),
        head: wrong_empty,
        extensions: vec![],
    };
    let wrong_empty = String::from_utf8(log.sign(&wrong_empty.to_text()).unwrap()).unwrap();
    let mut wrong_proof = request(&log, 5, 9);
    wrong_proof.proof[0].0[0] ^= 1;
    let short_proof = AddCheckpoint {
        proof: vec![],
        ..request(&log, 5, 9)
    };
    let unneeded = |old, new| AddCheckpoint {
        proof: vec![Hash::EMPTY_ROOT],
        ..request(&log, old, new)
    };
    let old_ahead = AddCheckpoint {
        old: 6,
        ..request(&log, 5, 5)
    };
    // In this order: a 200 changes what is remembered.
    let table: Vec<(&str, String, u16, Option<u64>)> = vec![
        (
            "garbage",
            "invalid garbage data\nno proper format".into(),
            400,
            None,
        ),
        ("nothing", String::new(), 400, None),
        (
            "another empty root",
            with(wrong_empty, request(&log, 0, 0)),
            422,
            None,
        ),
        (
            "the empty tree",
            request(&log, 0, 0).to_string(),
            200,
            Some(0),
        ),
        (
            "a proof from nothing",
            unneeded(0, 5).to_string(),
            422,
            Some(0),
        ),
        ("bootstrap", request(&log, 0, 1).to_string(), 200, Some(1)),
        (
            "bootstrap again",
            request(&log, 0, 1).to_string(),
            409,
            Some(1),
        ),
        ("one to two", request(&log, 1, 2).to_string(), 200, Some(2)),
        (
            "two to three",
            request(&log, 2, 3).to_string(),
            200,
            Some(3),
        ),
        (
            "three to five",
            request(&log, 3, 5).to_string(),
            200,
            Some(5),
        ),
        (
            "the same again",
            request(&log, 5, 5).to_string(),
            200,
            Some(5),
        ),
        (
            "a proof between equal sizes",
            unneeded(5, 5).to_string(),
            422,
            Some(5),
        ),
        (
            "another root for this size",
            request(&fork, 5, 5).to_string(),
            422,
            Some(5),
        ),
        (
            "unknown origin",
            with(
                String::from_utf8(stranger.checkpoint(0).unwrap()).unwrap(),
                request(&log, 5, 9),
            ),
            404,
            Some(5),
        ),
        (
            "another key",
            with(
                String::from_utf8(impostor.checkpoint(0).unwrap()).unwrap(),
                request(&log, 5, 9),
            ),
            403,
            Some(5),
        ),
        (
            "no signature line",
            with(
                checkpoint(&log, 9).split_once("\n\n").unwrap().0.to_owned() + "\n\n",
                request(&log, 5, 9),
            ),
            400,
            Some(5),
        ),
        ("old beyond new", old_ahead.to_string(), 400, Some(5)),
        (
            "old too small",
            request(&log, 3, 9).to_string(),
            409,
            Some(5),
        ),
        (
            "old too large",
            request(&log, 7, 9).to_string(),
            409,
            Some(5),
        ),
        ("back", request(&log, 3, 4).to_string(), 409, Some(5)),
        ("no proof", short_proof.to_string(), 422, Some(5)),
        ("a wrong proof", wrong_proof.to_string(), 422, Some(5)),
        ("a fork", request(&fork, 5, 9).to_string(), 422, Some(5)),
        (
            "not base64",
            request(&log, 5, 9)
                .to_string()
                .replacen(&proof(&log, 5, 9)[0].to_string(), "!!", 1),
            400,
            Some(5),
        ),
        (
            "a leading zero",
            request(&log, 5, 9)
                .to_string()
                .replacen("old 5", "old 05", 1),
            400,
            Some(5),
        ),
        (
            "sixty-four proof lines",
            request(&log, 5, 9).to_string().replacen(
                "old 5\n",
                &format!("old 5\n{}", format!("{}\n", Hash::EMPTY_ROOT).repeat(64)),
                1,
            ),
            400,
            Some(5),
        ),
        (
            "across a power of two",
            request(&log, 5, 17).to_string(),
            200,
            Some(17),
        ),
        (
            "to the end",
            request(&log, 17, 40).to_string(),
            200,
            Some(40),
        ),
    ];
    for (what, body, status, remembered) in table {
        let answer = ask(&server, &body);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert_eq!(shown(&server), remembered, "{what}");
        match status {
            200 => {
                let text = body.split("\n\n").nth(1).unwrap().to_owned() + "\n";
                let line = Signature::parse_line(answer.text().trim_end()).unwrap();
                let time = key(&server).cosigned_at(&text, &line).unwrap();
                assert!(time > 1_700_000_000, "{what}");
            }
            409 => {
                assert_eq!(
                    answer.header("content-type"),
                    Some("text/x.tlog.size"),
                    "{what}"
                );
                assert_eq!(
                    answer.text(),
                    format!("{}\n", remembered.unwrap()),
                    "{what}"
                );
            }
            _ => assert!(answer.text().ends_with('\n'), "{what}"),
        }
    }
    let said = server.stderr();
    assert!(said.contains("a log may have forked"), "{said}");
}

#[test]
fn a_witness_answers_nothing_else() {
    let server = start("witness.example");
    server.get("/add-checkpoint").refuses(405, "method");
    server.get("/nothing").refuses(404, "not found");
    server.get("/zz/checkpoint").refuses(404, "no checkpoint");
    assert_eq!(server.post("/", &[], "x").status, 405);
    server.get("/").is(format!("a witness: {}\n", key(&server)));
    let long = "x".repeat(600 << 10);
    let sent = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(&server, &long)));
    // It may close the connection before everything was sent.
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status == 413));
    assert_eq!(add(&server, &log(3, ""), 0, 3).status, 200);
}

#[test]
fn a_witness_remembers_over_restarts_and_kills() {
    let log = log(60, "");
    let mut server = start("witness.example");
    let name = key(&server);
    for size in 1..=20 {
        assert_eq!(add(&server, &log, size - 1, size).status, 200);
        if size % 5 == 0 {
            let ended = if size % 2 == 0 {
                server.kill()
            } else {
                server.stop()
            };
            server = Launch::witness_again(&ended)
                .args(["--log", &log.vkey()])
                .start();
            assert_eq!(key(&server), name, "the same key");
            assert_eq!(shown(&server), Some(size));
            add(&server, &log, size - 1, size).refuses(409, &format!("{size}\n"));
        }
    }
    let fork = self::log(60, "another");
    add(&server, &fork, 20, 30).refuses(422, "");
    // A memory that is damaged, or another witness's, is no reason to begin anew.
    let ended = server.stop();
    std::fs::remove_file(ended.data.join("witness.key")).unwrap();
    let args = ["--log", &log.vkey(), "--name", "other.example"];
    let server = Launch::witness_again(&ended).args(args).start();
    add(&server, &log, 20, 30).refuses(500, "cannot cosign");
}

#[test]
fn of_many_requests_at_once_one_is_cosigned_and_none_goes_back() {
    let log = log(64, "");
    let server = start("witness.example");
    assert_eq!(add(&server, &log, 0, 1).status, 200);
    let mut remembered = 1;
    for round in 0..6 {
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let asking: Vec<_> = (1..=8)
                .map(|step| {
                    let (server, log) = (&server, &log);
                    scope.spawn(move || add(server, log, remembered, remembered + step).status)
                })
                .collect();
            asking.into_iter().map(|a| a.join().unwrap()).collect()
        });
        assert_eq!(
            statuses.iter().filter(|s| **s == 200).count(),
            1,
            "round {round}: {statuses:?}"
        );
        assert!(
            statuses.iter().all(|s| matches!(s, 200 | 409)),
            "{statuses:?}"
        );
        let now = shown(&server).unwrap();
        assert!(now > remembered);
        remembered = now;
    }
}

#[test]
fn a_witness_needs_a_key_and_logs() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().to_str().unwrap();
    let vkey = log(0, "").vkey();
    for (args, part) in [
        (vec!["--log", &vkey], "--name"),
        (vec!["--name", "w.example"], "--log"),
        (
            vec!["--name", "w.example", "--log", "nonsense"],
            "malformed key",
        ),
        (vec!["--name", "a b", "--log", &vkey], "malformed key"),
        (
            vec!["--name", "w.example", "--logs", "/nowhere"],
            "/nowhere",
        ),
    ] {
        let all = [
            &["witness", "--listen", "127.0.0.1:0", "--data", data],
            &args[..],
        ]
        .concat();
        let ran = run(&all);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
}

#[test]
fn a_list_of_logs_names_keys_and_origins() {
    let list = tempfile::NamedTempFile::new().unwrap();
    let line = format!(
        "# logs\n\n{}\nsum.golang.org go.sum database tree\n",
        log(0, "").vkey()
    );
    std::fs::write(list.path(), line).unwrap();
    let args = ["--logs", list.path().to_str().unwrap()];
    let server = Launch::witness("witness.example").args(args).start();
    assert_eq!(add(&server, &log(3, ""), 0, 3).status, 200);
    let other = MemLog::new("x.example", [1; 32]).unwrap();
    let go = String::from_utf8(other.signed(0).unwrap()).unwrap();
    let body = AddCheckpoint {
        checkpoint: go,
        ..request(&log(0, ""), 0, 0)
    };
    assert_eq!(
        ask(&server, &body.to_string()).status,
        403,
        "the origin is known, the key is not"
    );
}

/// Asks a witness for a cosignature.
fn cosigned(
    log: &MemLog,
    size: u64,
    witness: &WitnessAddress,
    remembered: &mut u64,
    limit: Duration,
) -> Result<Signature, NotCosigned> {
    let from = log.clone();
    let prove: Arc<Prove> = Arc::new(move |old, new| Ok(proof(&from, old, new)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let net = Net::new(&NetSettings::default()).unwrap();
        let note = checkpoint(log, size);
        let deadline = tokio::time::Instant::now() + limit;
        cosign::ask(&net, witness, &note, remembered, &prove, deadline).await
    })
}

fn address(server: &Server) -> WitnessAddress {
    format!("{} {}", key(server), server.url).parse().unwrap()
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_log_gathers_cosignatures_from_wherever_each_witness_is() {
    let log = log(50, "");
    let servers: Vec<Server> = (0..3).map(|i| start(&format!("w{i}.example"))).collect();
    // Each is somewhere else, and we know nothing of it.
    assert_eq!(add(&servers[1], &log, 0, 7).status, 200);
    assert_eq!(add(&servers[2], &log, 0, 30).status, 200);
    let mut remembered = [0; 3];
    for size in [30, 31, 50, 50] {
        let lines: Vec<Signature> = servers
            .iter()
            .zip(&mut remembered)
            .map(|(server, remembered)| {
                cosigned(&log, size, &address(server), remembered, PATIENCE).unwrap()
            })
            .collect();
        let ours = [log.vkey().parse().unwrap()];
        let note = Note::open(checkpoint(&log, size).as_bytes(), &ours).unwrap();
        let whole = tlog::note::write(&note.text, &note.verified, &lines).unwrap();
        let keys: Vec<VerifierKey> = servers.iter().map(key).collect();
        assert_eq!(Note::open(&whole, &keys).unwrap().verified.len(), 3);
        assert!(servers.iter().all(|server| shown(server) == Some(size)));
        assert_eq!(remembered, [size; 3]);
    }
}

#[test]
fn a_log_that_was_restored_or_forked_is_told_so() {
    let log = log(50, "");
    let server = start("w.example");
    let (witness, mut remembered) = (address(&server), 0);
    assert!(cosigned(&log, 40, &witness, &mut remembered, PATIENCE).is_ok());
    let came = cosigned(&log, 30, &witness, &mut remembered, PATIENCE);
    assert_eq!(came, Err(NotCosigned::Answered(Failed::Ahead(40))));
    let fork = self::log(50, "another");
    let came = cosigned(&fork, 50, &witness, &mut remembered, PATIENCE);
    assert_eq!(came, Err(NotCosigned::Answered(Failed::Inconsistent)));
    assert_eq!(shown(&server), Some(40));
}

#[test]
fn silence_and_lies_are_no_cosignatures() {
    let log = log(50, "");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let lying = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |of: &TcpListener| format!("http://{}", of.local_addr().unwrap());
    let (silent_url, lying_url) = (url(&silent), url(&lying));
    let lies = std::thread::spawn(move || {
        let (mut asker, _) = lying.accept().unwrap();
        let (mut asked, mut part) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"=\n") {
            let read = asker.read(&mut part).unwrap();
            asked.extend_from_slice(&part[..read]);
        }
        let line = "— w.example AAAA\n";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
        asker.write_all((head + line).as_bytes()).unwrap();
    });
    let named = |url: &str| -> WitnessAddress {
        let other = tlog::note::Cosigner::from_seed("w.example", &[3; 32]).unwrap();
        format!("{} {url}", other.verifier()).parse().unwrap()
    };
    for (url, limit) in [
        (silent_url, Duration::from_millis(300)),
        ("http://127.0.0.1:1".to_owned(), PATIENCE),
    ] {
        let came = cosigned(&log, 50, &named(&url), &mut 0, limit);
        assert!(
            matches!(came, Err(NotCosigned::Unreachable(_))),
            "{url}: {came:?}"
        );
    }
    let came = cosigned(&log, 50, &named(&lying_url), &mut 0, PATIENCE);
    let invalid = matches!(came, Err(NotCosigned::Answered(Failed::Invalid(_))));
    assert!(invalid, "{came:?}");
    lies.join().unwrap();
}

#[test]
fn a_witness_is_named_by_key_and_url() {
    let cosigner = tlog::note::Cosigner::from_seed("w.example", &[3; 32]).unwrap();
    let key = cosigner.verifier().to_string();
    let read = |text: &str| text.parse::<WitnessAddress>();
    assert!(read(&format!("{key} https://w.example/base/")).is_ok());
    for bad in [
        "",
        &key,
        "https://w.example",
        &format!("{key} ftp://w.example"),
        &format!("{key} https://w.example x"),
        &format!("{} https://w.example", log(0, "").vkey()),
        &format!("{key} https://w.example/?q"),
        &format!("{key} https://w.example/#q"),
        &format!("{key} ftp://user:hush@w.example"),
        &format!("{key} https://user:hush@w.example:port"),
        "https://user:hush@w.example",
    ] {
        let why = read(bad).unwrap_err();
        assert!(!why.contains("hush"), "{why}");
    }
}
