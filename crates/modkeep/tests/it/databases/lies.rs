//! A database that lies in every way: nothing of it is handed on or kept, it is named in an alarm,
//! and the honest database works afterwards.

use super::*;
use testkit::{Behaviour, Fault};

/// What a lie looks like on its way.
struct Lie {
    name: &'static str,
    /// Requests whose path holds this are answered with the lie.
    on: &'static str,
    behaviour: Behaviour,
    /// The kind of the alarm; none for what is no lie but an outage.
    alarm: Option<&'static str>,
}

fn body(bytes: impl Into<Vec<u8>>) -> Behaviour {
    Behaviour::new().fault(Fault::Body(bytes.into().into()))
}

fn text(answer: Option<Vec<u8>>) -> String {
    String::from_utf8(answer.unwrap()).unwrap()
}

/// Every lie about the second of three modules, whose database has two more records.
fn lies() -> Vec<Lie> {
    let modules = modules(3);
    let log = log(&modules);
    let foreign = {
        let mut other = MemLog::new(SUMDB, [9; 32]).unwrap();
        for module in &modules {
            let (zip, go_mod) = sums(module);
            other.add(module.path(), module.version(), &zip, &go_mod);
        }
        other
    };
    let honest = text(log.lookup("example.com/m", "v1.0.2"));
    let (right, _) = sums(&module(2));
    let (wrong, _) = sums(&module(3));
    let lie = |name, on, behaviour| Lie {
        name,
        on,
        behaviour,
        alarm: Some("bad-answer"),
    };
    let outage = |name, on, behaviour| Lie {
        name,
        on,
        behaviour,
        alarm: None,
    };
    let bad_tile = |bytes: Vec<u8>| body(bytes);
    vec![
        lie(
            "a record with another hash",
            "lookup/",
            body(honest.replace(&right, &wrong)),
        ),
        lie(
            "a record with another number",
            "lookup/",
            body(honest.replacen('1', "0", 1)),
        ),
        lie(
            "a number beyond the tree",
            "lookup/",
            body(honest.replacen('1', "7", 1)),
        ),
        lie(
            "the record of another version",
            "lookup/",
            body(text(log.lookup("example.com/m", "v1.0.3"))),
        ),
        lie(
            "a record without a line of this module",
            "lookup/",
            body(text(log.record_at(0, 3))),
        ),
        lie(
            "a record signed by somebody else",
            "lookup/",
            body(text(foreign.lookup("example.com/m", "v1.0.2"))),
        ),
        lie(
            "a record without a signed tree",
            "lookup/",
            body(honest.split("\n\n").next().unwrap().to_owned() + "\n"),
        ),
        lie("an empty answer", "lookup/", body("")),
        lie(
            "a web page",
            "lookup/",
            body("<html><body>Please log in</body></html>"),
        ),
        lie(
            "bytes that are no text",
            "lookup/",
            body(vec![0xff, 0xfe, 0x00, 0x31]),
        ),
        lie(
            "a tile with a wrong hash",
            "tile/8/0",
            Behaviour::new().fault(Fault::Corrupt(40)),
        ),
        lie("a tile of zeros", "tile/8/0", bad_tile(vec![0; 96])),
        lie("a short tile", "tile/8/0", bad_tile(vec![0; 95])),
        lie("a long tile", "tile/8/0", bad_tile(vec![0; 97])),
        outage(
            "an error",
            SUMDB,
            Behaviour::status(500, "the disk is on fire"),
        ),
        outage(
            "no permission",
            SUMDB,
            Behaviour::status(403, "not for you"),
        ),
        outage(
            "a closed connection",
            SUMDB,
            Behaviour::new().fault(Fault::Close),
        ),
        outage(
            "a cut answer",
            "lookup/",
            Behaviour::new().fault(Fault::Truncate(20)),
        ),
        outage(
            "an endless answer",
            "lookup/",
            Behaviour::new().fault(Fault::Endless),
        ),
        outage(
            "an endless tile",
            "tile/8/0",
            Behaviour::new().fault(Fault::Endless),
        ),
        outage("no answer", "lookup/", Behaviour::new().fault(Fault::Hang)),
        outage(
            "an answer that stops",
            "lookup/",
            Behaviour::new().fault(Fault::HangAfter(20)),
        ),
    ]
}

fn check(lie: &Lie) {
    let (upstream, log) = honest(3);
    let server = launch(&upstream, &log)
        .args(["--verify", "strict"])
        .args([
            "--upstream-timeout",
            "1s",
            "--crawl-time",
            "1s",
            "--answer-timeout",
            "5s",
        ])
        .start();
    upstream.on(lie.on, lie.behaviour.clone());
    let name = lie.name;
    let answer = server.get(&lookup(2));
    let wanted: &[u16] = if lie.alarm.is_some() {
        &[502]
    } else {
        &[502, 503]
    };
    assert!(
        wanted.contains(&answer.status),
        "{name}: {} {}",
        answer.status,
        answer.text()
    );
    assert!(
        !answer.text().contains("h1:") || answer.status != 200,
        "{name}"
    );
    for path in [zip(2), go_mod(2)] {
        let file = server.get(&path);
        assert!(
            matches!(file.status, 502..=504) || !file.whole,
            "{name}: {path} {}",
            file.status
        );
        assert!(!is_kept(&server, &path), "{name}: {path}");
    }
    assert!(!is_kept(&server, &lookup(2)), "{name}");
    match lie.alarm {
        Some(kind) => assert!(has_alarm(&server, kind), "{name}: {}", server.stderr()),
        None => assert_eq!(alarms(&server), [], "{name}"),
    }
    upstream.heal();
    // An upstream that failed is asked again after a moment.
    crate::common::eventually(name, || server.get(&lookup(2)).status == 200);
    is_honest(&server, &log, 2);
    crate::common::eventually(name, || server.get(&zip(2)).status == 200);
    // What was learned during the lie is not among what is kept.
    let ended = server.kill();
    drop(upstream);
    let server = Launch::again(&ended).args(["--sumdb", &log.vkey()]).start();
    is_honest(&server, &log, 2);
    assert!(is_kept(&server, &zip(2)), "{name}");
}

#[test]
fn a_lie_is_not_handed_on_not_kept_and_named_and_an_outage_is_an_outage() {
    let lies = Arc::new(lies());
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (lies, next) = (Arc::clone(&lies), Arc::clone(&next));
            std::thread::spawn(move || {
                while let Some(lie) =
                    lies.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    check(lie);
                }
            })
        })
        .collect();
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Two logs of one key that agree on the first record and on nothing after it.
fn forks() -> (Vec<Module>, MemLog, MemLog) {
    let modules = modules(4);
    let mut honest = log(&modules[..1]);
    let mut forked = honest.clone();
    for module in &modules[1..] {
        let (zip, go_mod) = sums(module);
        honest.add(module.path(), module.version(), &zip, &go_mod);
    }
    forked.append("a record that nobody saw\n");
    for module in &modules[1..] {
        let (zip, go_mod) = sums(module);
        forked.add(module.path(), module.version(), &zip, &go_mod);
    }
    (modules, honest, forked)
}

/// Shows a server that has proved the honest log a fork of it, signed with the right key.
fn show_fork(server: &Server, upstream: &Upstream, log: &MemLog) {
    let (modules, _, forked) = forks();
    upstream.replace(tree_of(&modules, &forked));
    let answer = server.get(&lookup(4));
    assert!(
        matches!(answer.status, 502 | 503),
        "{} {}",
        answer.status,
        answer.text()
    );
    assert!(!is_kept(server, &lookup(4)));
    assert!(has_alarm(server, "fork"), "{}", server.stderr());
    // What was proved before is still served, new things are not.
    is_honest(server, log, 2);
    assert_eq!(
        server.get(&lookup(3)).status,
        503,
        "no trust in a database that forked"
    );
    let ready = server.get("/-/readyz").json();
    assert_eq!(ready["sumdbs"][0]["contradicted_itself"], true, "{ready}");
    crate::common::eventually("the evidence is written", || evidence(server).is_some());
    let evidence = std::fs::read_to_string(evidence(server).unwrap()).unwrap();
    let signatures = evidence.matches(&format!("— {SUMDB} ")).count();
    assert!(signatures >= 2, "both signed heads: {evidence}");
}

fn evidence(server: &Server) -> Option<std::path::PathBuf> {
    let fork = alarms(server)
        .into_iter()
        .find(|(kind, _)| kind == "fork")?;
    fork.1["evidence"].as_str().map(Into::into)
}

#[test]
fn a_fork_is_refused_proved_and_ends_the_trust() {
    let (modules, log, _) = forks();
    let upstream = Upstream::start_blocking(tree_of(&modules, &log)).unwrap();
    let server = launch(&upstream, &log).start();
    is_honest(&server, &log, 2);
    show_fork(&server, &upstream, &log);
    // A restart is a person's decision to ask again; the fork is still one, the honest log is not.
    let ended = server.kill();
    let server = again(Launch::again(&ended), &upstream, &log).start();
    show_fork(&server, &upstream, &log);
    let ended = server.kill();
    upstream.replace(tree_of(&modules, &log));
    let server = again(Launch::again(&ended), &upstream, &log).start();
    is_honest(&server, &log, 4);
    is_honest(&server, &log, 3);
}

#[test]
fn a_fork_of_one_size_is_refused_too() {
    let (modules, _, _) = forks();
    let (mut honest, mut forked) = (log(&modules[..1]), log(&modules[..1]));
    for module in &modules[1..] {
        let (zip, go_mod) = sums(module);
        honest.add(module.path(), module.version(), &zip, &go_mod);
        forked.add(module.path(), module.version(), &go_mod, &zip);
    }
    let upstream = Upstream::start_blocking(tree_of(&modules, &honest)).unwrap();
    let server = launch(&upstream, &honest).start();
    is_honest(&server, &honest, 2);
    upstream.replace(tree_of(&modules, &forked));
    assert!(matches!(server.get(&lookup(3)).status, 502 | 503));
    assert!(has_alarm(&server, "fork"), "{}", server.stderr());
    is_honest(&server, &honest, 2);
}

#[test]
fn an_older_head_of_the_same_tree_is_fine_also_after_a_restart() {
    let (upstream, log) = honest(4);
    let server = launch(&upstream, &log).start();
    is_honest(&server, &log, 4);
    // A relay that lags behind: the same answers with the head of two records.
    let older = |upstream: &Upstream| {
        for n in 1..=2 {
            let answer = log.lookup_at("example.com/m", &format!("v1.0.{n}"), 2);
            let path = format!("lookup/example.com/m@v1.0.{n}");
            upstream.on(&path, body(answer.unwrap()));
        }
        upstream.on("latest", body(log.signed(2).unwrap()));
    };
    older(&upstream);
    is_honest(&server, &log, 1);
    assert!(
        server.get(&sum("latest")).text().contains("\n4\n"),
        "never back"
    );
    let ended = server.kill();
    let server = again(Launch::again(&ended), &upstream, &log).start();
    older(&upstream);
    is_honest(&server, &log, 2);
    assert!(
        server.get(&sum("latest")).text().contains("\n4\n"),
        "never back"
    );
    assert_eq!(alarms(&server), []);
}

#[test]
fn a_rewound_tree_that_grew_otherwise_is_a_fork_also_after_a_restart() {
    let (modules, honest, _) = forks();
    let upstream = Upstream::start_blocking(tree_of(&modules, &honest)).unwrap();
    let server = launch(&upstream, &honest).start();
    is_honest(&server, &honest, 4);
    let ended = server.kill();
    // A smaller tree whose second record is another: a rewritten past.
    let mut rewound = log(&modules[..1]);
    let (zip, go_mod) = sums(&modules[2]);
    rewound.add("example.com/m", "v1.0.3", &zip, &go_mod);
    upstream.replace(tree_of(&modules, &rewound));
    let server = again(Launch::again(&ended), &upstream, &honest).start();
    assert!(matches!(server.get(&lookup(3)).status, 502 | 503));
    assert!(has_alarm(&server, "fork"), "{}", server.stderr());
    is_honest(&server, &honest, 4);
}

#[test]
fn a_kept_head_that_does_not_fit_the_key_is_told_at_the_start() {
    let (upstream, log) = honest(2);
    let server = launch(&upstream, &log).start();
    is_honest(&server, &log, 1);
    let ended = server.stop();
    let other = MemLog::new(SUMDB, [9; 32]).unwrap();
    let refused = again(Launch::again(&ended), &upstream, &other).try_start();
    let Err(ran) = refused else {
        panic!("a head signed by another key was believed")
    };
    assert!(ran.stderr.contains(SUMDB), "{ran:?}");
}
