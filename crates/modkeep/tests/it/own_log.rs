//! Our own checksum database, driven by the real go command and by a checker of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use testkit::{Behaviour, MemLog, Module, Tree, Upstream};

use crate::common::{Ended, Launch, Server, eventually, run_in};
use crate::golang::{Project, log_of, relay, sums};

pub const NAME: &str = "log.test.example";

/// RFC 6962, section 2.1, word for word: slow, and nothing of ours in it.
fn root(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::new()
            .chain_update([0])
            .chain_update(leaf)
            .finalize()
            .into(),
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            Sha256::new()
                .chain_update([1])
                .chain_update(root(&leaves[..k]))
                .chain_update(root(&leaves[k..]))
                .finalize()
                .into()
        }
    }
}

/// A head as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub size: u64,
    pub root: String,
}

pub fn head_of(note: &str) -> Seen {
    let mut lines = note.lines().skip(1);
    Seen {
        size: lines.next().unwrap().parse().unwrap(),
        root: lines.next().unwrap().to_owned(),
    }
}

pub fn path(rest: &str) -> String {
    format!("/sumdb/{NAME}/{rest}")
}

pub fn latest(server: &Server) -> Seen {
    let answer = server.get(&path("latest"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    head_of(&answer.text())
}

/// Every record, by the C2SP entries.
fn entries(server: &Server, size: u64) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for n in 0..size.div_ceil(256) {
        let width = (size - n * 256).min(256);
        let part = if width < 256 {
            format!(".p/{width}")
        } else {
            String::new()
        };
        let answer = server.get(&path(&format!("tile/entries/{n:03}{part}")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut rest = &answer.body[..];
        while let Some((len, tail)) = rest.split_first_chunk::<2>() {
            let (entry, tail) = tail.split_at(u16::from_be_bytes(*len).into());
            all.push(entry.to_vec());
            rest = tail;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(all.len() as u64, size);
    all
}

/// Holds every head that was ever seen against the records of the newest.
pub fn audit(server: &Server, heads: &[Seen]) -> Vec<Vec<u8>> {
    let now = latest(server);
    let records = entries(server, now.size);
    for seen in heads.iter().chain([&now]) {
        let size = usize::try_from(seen.size).unwrap();
        assert!(
            size <= records.len(),
            "the log lost records: {seen:?}, now {now:?}"
        );
        assert_eq!(
            seen.root,
            base64(&root(&records[..size])),
            "another past: {seen:?}"
        );
    }
    let mut coordinates: Vec<_> = records
        .iter()
        .map(|record| {
            record
                .splitn(3, |b| *b == b' ')
                .take(2)
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        })
        .collect();
    coordinates.sort();
    coordinates.dedup();
    assert_eq!(
        coordinates.len(),
        records.len(),
        "a version has two records"
    );
    records
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (word >> (18 - 6 * place) & 63) as usize;
            out.push(if place > chunk.len() {
                '='
            } else {
                ALPHABET[index].into()
            });
        }
    }
    out
}

/// The value for GOSUMDB that a server announces.
pub fn gosumdb(server: &Server) -> String {
    let announced = || {
        let said = server.stderr();
        let value = said.split_once("GOSUMDB='")?.1.split_once('\'')?.0;
        Some(value.to_owned())
    };
    eventually("it announces GOSUMDB", || announced().is_some());
    announced().unwrap()
}

fn with_log(launch: Launch) -> Launch {
    let witness = launch.home().join("witness");
    launch
        .args(["--log-name", NAME])
        .arg("--log-witness-file")
        .arg(witness)
}

pub fn module(n: usize) -> Module {
    Module::new("example.com/m", &format!("v1.0.{n}"))
}

pub fn tree_of(modules: &[Module]) -> Tree {
    let mut tree = Tree::new();
    for module in modules {
        tree.add(module).unwrap();
    }
    tree
}

/// The number and the record in the answer to a lookup.
pub fn looked_up(server: &Server, coordinate: &str) -> (u64, String) {
    let answer = server.get(&path(&format!("lookup/{coordinate}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let (id, rest) = text.split_once('\n').unwrap();
    let (record, note) = rest.split_once("\n\n").unwrap();
    let id: u64 = id.parse().unwrap();
    assert!(
        head_of(note).size > id,
        "the head does not cover its record"
    );
    (id, record.to_owned())
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A private repository that the server's user reaches by an `insteadOf` of their own.
fn private_repository(home: &Path) {
    let repository = home.join("repos/team/secret");
    std::fs::create_dir_all(&repository).unwrap();
    std::fs::write(repository.join("go.mod"), "module github.com/team/secret\n").unwrap();
    std::fs::write(repository.join("a.go"), "package secret\n").unwrap();
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "."]);
    git(&repository, &["commit", "-qm", "one"]);
    git(&repository, &["tag", "v1.0.0"]);
    let config = format!(
        "[url \"file://{}/repos/\"]\n\tinsteadOf = https://github.com/\n",
        home.display()
    );
    std::fs::write(home.join(".gitconfig"), config).unwrap();
}

/// An upstream with modules and the checksum database that knows them; `--sumdb` for it.
fn public(modules: &[&Module]) -> (Upstream, String) {
    let mut tree = Tree::new();
    for module in modules {
        tree.add(module).unwrap();
    }
    let log: MemLog = log_of(modules);
    relay(&mut tree, "/sumdb/sum.test.example/", &log, modules);
    let upstream = Upstream::start_blocking(tree).unwrap();
    (upstream, log.vkey())
}

#[test]
fn one_gosumdb_value_covers_public_private_and_toolchain_modules() {
    let open = Module::new("example.com/open", "v1.2.3");
    let toolchain = Module::new("golang.org/toolchain", "v0.0.1-go1.99.0.linux-amd64");
    let (upstream, sumdb) = public(&[&open, &toolchain]);
    let launch = with_log(Launch::new().upstream(&upstream.url())).args([
        "--sumdb",
        &sumdb,
        "--private",
        "github.com/team/*",
    ]);
    private_repository(launch.home());
    let server = launch.start();
    let Some(project) = Project::new(&server.url) else {
        return;
    };
    let project = project.env("GOSUMDB", &gosumdb(&server));
    let ran = project.go(&[
        "mod",
        "download",
        "example.com/open@v1.2.3",
        "github.com/team/secret@v1.0.0",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(upstream.hits_of("secret"), 0, "a private name leaked");
    let (_, record) = looked_up(&server, "golang.org/toolchain@v0.0.1-go1.99.0.linux-amd64");
    let (zip, go_mod) = sums(&toolchain);
    assert!(
        record.contains(&zip) && record.contains(&go_mod),
        "{record}"
    );
    assert_eq!(
        upstream.hits("/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip"),
        0
    );
    let before = latest(&server);
    assert_eq!(before.size, 3);
    // The same client goes on after a crash, with the upstream gone.
    drop(upstream);
    let server = with_log(Launch::again(&server.kill())).start();
    let project = project.env("GOPROXY", &server.url);
    std::fs::remove_dir_all(project.path("cache")).unwrap();
    let ran = project.go(&[
        "mod",
        "download",
        "example.com/open@v1.2.3",
        "github.com/team/secret@v1.0.0",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    audit(&server, &[before]);
}

#[test]
fn every_form_of_a_question_is_answered_from_one_tree() {
    let modules: Vec<Module> = (0..5).map(module).collect();
    let upstream = Upstream::start_blocking(tree_of(&modules)).unwrap();
    let server = with_log(Launch::new().upstream(&upstream.url())).start();
    for n in 0..5 {
        assert_eq!(looked_up(&server, &format!("example.com/m@v1.0.{n}")).0, n);
    }
    let (go, c2sp) = (
        server.get(&path("latest")).text(),
        server.get(&path("checkpoint")).text(),
    );
    assert!(go.starts_with("go.sum database tree\n5\n"), "{go}");
    assert!(c2sp.starts_with(&format!("{NAME}\n5\n")), "{c2sp}");
    assert_eq!(head_of(&go), head_of(&c2sp));
    server.get(&path("supported")).is("");
    for (question, forever) in [
        ("latest", false),
        ("checkpoint", false),
        ("supported", false),
        ("lookup/example.com/m@v1.0.0", true),
        ("tile/8/0/000.p/5", true),
        ("tile/8/data/000.p/3", true),
        ("tile/0/000.p/2", true),
        ("tile/entries/000.p/4", true),
    ] {
        let (get, head) = (server.get(&path(question)), server.head(&path(question)));
        for header in ["etag", "content-type", "cache-control"] {
            assert!(get.header(header).is_some(), "{question}: {header}");
            assert_eq!(get.header(header), head.header(header), "{question}");
        }
        let length = get.body.len().to_string();
        assert!(head.header("content-length").is_none_or(|l| l == length));
        let cache = get.header("cache-control").unwrap();
        assert_eq!(cache.contains("immutable"), forever, "{question}: {cache}");
        let etag = get.header("etag").unwrap();
        let again = server.get_with(&path(question), &[("If-None-Match", etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{question}");
    }
    for width in 1..=5 {
        let hashes = server.get(&path(&format!("tile/8/0/000.p/{width}")));
        assert_eq!((hashes.status, hashes.body.len()), (200, 32 * width));
        server
            .get(&path(&format!("tile/0/000.p/{width}")))
            .is(&hashes.body);
        let data = server
            .get(&path(&format!("tile/8/data/000.p/{width}")))
            .text();
        assert_eq!(data.split("\n\n").count(), width);
        assert!(data.ends_with('\n') && !data.ends_with("\n\n"));
    }
    for absent in [
        "tile/8/0/000",
        "tile/8/0/000.p/6",
        "tile/8/1/000.p/1",
        "tile/8/data/001.p/1",
        "tile/entries/000",
        "tile/0/001.p/1",
    ] {
        let answer = server.get(&path(absent));
        assert_eq!(answer.status, 404, "{absent}");
        // A cache must not hold it against a client that comes with the next head.
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let head = server.head(&path(absent));
        assert_eq!((head.status, head.body.len()), (404, 0));
    }
    for bad in [
        "tile/8/0/0",
        "tile/8/0/000.p/0",
        "tile/8/0/000.p/256",
        "lookup/x",
        "lookup/a@b",
        "tile/entries/x",
        "nothing",
        "lookup/example.com/M@v1.0.0",
    ] {
        assert_eq!(server.get(&path(bad)).status, 400, "{bad}");
    }
    audit(&server, &[]);
}

#[test]
fn what_the_public_database_does_not_prove_is_not_logged() {
    let (known, unknown) = (module(1), module(2));
    let (upstream, sumdb) = public(&[&known]);
    let mut tree = tree_of(&[known.clone(), unknown]);
    relay(
        &mut tree,
        "/sumdb/sum.test.example/",
        &log_of(&[&known]),
        &[&known],
    );
    upstream.replace(tree);
    let server = with_log(Launch::new().upstream(&upstream.url()))
        .args(["--sumdb", &sumdb])
        .start();
    let answer = server.get(&path("lookup/example.com/m@v1.0.2"));
    answer.refuses(404, "has no record of it");
    assert_eq!(
        server.get("/example.com/m/@v/v1.0.2.zip").status,
        200,
        "served, marked unverified"
    );
    assert_eq!(latest(&server).size, 0);
    upstream.on("/sumdb/", Behaviour::status(500, "down"));
    server
        .get(&path("lookup/example.com/m@v1.0.1"))
        .refuses(503, "not logged yet");
    upstream.heal();
    looked_up(&server, "example.com/m@v1.0.1");
    assert_eq!(latest(&server).size, 1);
}

#[test]
fn a_request_that_forbids_fetching_appends_nothing() {
    let upstream = Upstream::start_blocking(tree_of(&[module(1)])).unwrap();
    let server = with_log(Launch::new().upstream(&upstream.url())).start();
    let lookup = path("lookup/example.com/m@v1.0.1");
    let answer = server.get_with(&lookup, &[("Disable-Module-Fetch", "true")]);
    assert_eq!(answer.status, 404);
    assert_eq!(latest(&server).size, 0);
    looked_up(&server, "example.com/m@v1.0.1");
    assert_eq!(
        server
            .get_with(&lookup, &[("Disable-Module-Fetch", "true")])
            .status,
        200
    );
}

#[test]
fn a_version_that_changed_after_it_was_logged_is_refused_with_both_hashes() {
    let first = module(1);
    let upstream = Upstream::start_blocking(tree_of(std::slice::from_ref(&first))).unwrap();
    let server = with_log(Launch::new().upstream(&upstream.url())).start();
    let (_, record) = looked_up(&server, "example.com/m@v1.0.1");
    let changed = first.clone().file("new.go", "package m\n");
    upstream.replace(tree_of(std::slice::from_ref(&changed)));
    let forgotten = server.post_json(
        "/-/api/v1/purge",
        r#"{"module":"example.com/m","version":"v1.0.1","files":true}"#,
    );
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    let answer = server.get("/example.com/m/@v/v1.0.1.zip");
    answer.refuses(502, "checksum mismatch");
    assert!(answer.text().contains(&sums(&changed).0) && answer.text().contains(&sums(&first).0));
    assert_eq!(looked_up(&server, "example.com/m@v1.0.1").1, record);
    assert!(server.metric("modkeep_alarms_total") >= 1);
}

#[test]
fn versions_kept_before_there_was_a_log_are_logged_when_they_are_looked_up() {
    let upstream = Upstream::start_blocking(tree_of(&[module(1)])).unwrap();
    let server = Launch::new().upstream(&upstream.url()).start();
    assert_eq!(server.get("/example.com/m/@v/v1.0.1.zip").status, 200);
    let ended = server.stop();
    drop(upstream);
    let server = with_log(Launch::again(&ended)).start();
    // Its .mod was never asked for, and nobody can be asked now.
    assert_ne!(server.get(&path("lookup/example.com/m@v1.0.1")).status, 200);
    let upstream = Upstream::start_blocking(tree_of(&[module(1)])).unwrap();
    let server = with_log(Launch::again(&server.stop()).upstream(&upstream.url())).start();
    looked_up(&server, "example.com/m@v1.0.1");
}

/// Copies a folder as a backup does.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(std::fs::copy(&from, &to).unwrap()),
        }
    }
}

#[test]
fn a_restored_backup_and_a_copied_folder_refuse_to_sign() {
    let upstream = Upstream::start_blocking(tree_of(&[module(1), module(2)])).unwrap();
    let server = with_log(Launch::new().upstream(&upstream.url())).start();
    looked_up(&server, "example.com/m@v1.0.1");
    let ended = server.stop();
    let backup = ended.data.with_file_name("backup");
    copy(&ended.data, &backup);
    let server = with_log(Launch::again(&ended).upstream(&upstream.url())).start();
    looked_up(&server, "example.com/m@v1.0.2");
    let after = latest(&server);
    let ended = server.stop();
    let (good, log) = (ended.data.with_file_name("good"), ended.data.clone());
    std::fs::rename(&log, &good).unwrap();
    copy(&backup, &log);
    let Err(ran) = with_log(Launch::again(&ended)).try_start() else {
        panic!("a restored backup started");
    };
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(
        ran.stderr.contains("witness") && ran.stderr.contains("older"),
        "{}",
        ran.stderr
    );
    // A copy of the newest state elsewhere would be a second writer with the same past.
    let witness = ended.data.with_file_name("witness");
    let key = good.join("log.key");
    let args = |data: &Path| {
        [
            "log",
            "status",
            "--data",
            data.to_str().unwrap(),
            "--log-witness-file",
            witness.to_str().unwrap(),
            "--log-key",
            key.to_str().unwrap(),
        ]
        .map(str::to_owned)
    };
    let copied = good.with_file_name("copied");
    copy(&good, &copied);
    let text = args(&copied);
    let ran = run_in(
        good.parent().unwrap(),
        &text.each_ref().map(String::as_str),
        &[],
    );
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("modkeep log adopt"), "{}", ran.stderr);
    // The newest state in its own place goes on.
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&good, &log).unwrap();
    let server = with_log(Launch::again(&ended)).start();
    audit(&server, &[after]);
}

#[test]
fn a_second_process_on_the_log_is_refused() {
    let server = with_log(Launch::new()).start();
    let data = server.data().to_str().unwrap().to_owned();
    let ran = run_in(server.home(), &["log", "status", "--data", &data], &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("another process"), "{}", ran.stderr);
    // Looking is not writing.
    let ran = run_in(server.home(), &["log", "check", "--data", &data], &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("a server has it open"), "{ran:?}");
}

#[test]
fn init_prints_what_a_client_needs_and_makes_a_key_once() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let data = data.to_str().unwrap();
    let ran = run_in(
        home.path(),
        &["log", "init", "sum.corp.example", "--data", data],
        &[],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let key = run_in(home.path(), &["log", "key", "--data", data], &[]).stdout;
    assert!(
        ran.stdout.contains(key.trim()) && key.starts_with("sum.corp.example+"),
        "{ran:?}"
    );
    let again = run_in(
        home.path(),
        &["log", "init", "sum.corp.example", "--data", data],
        &[],
    );
    assert_eq!(again.code, Some(3), "{again:?}");
    assert!(
        again.stderr.contains("there is a log here already"),
        "{again:?}"
    );
    for bad in ["", "x", "a b", "sum.example/../x", "sum.example/lookup"] {
        assert_eq!(
            run_in(home.path(), &["log", "init", bad, "--data", data], &[]).code,
            Some(2),
            "{bad:?}"
        );
    }
    let status = run_in(
        home.path(),
        &["log", "status", "--json", "--data", data],
        &[],
    );
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["schema"], "modkeep.log.status/1");
    assert_eq!(status["records"], 0);
    std::fs::remove_file(Path::new(data).join("log/index")).unwrap();
    let ran = run_in(home.path(), &["log", "recover", "--data", data], &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Lives of one server. Enough to hit every stage of an append; the ledger's own tests kill thousands.
const KILLS: usize = 40;

/// What clients saw in all lives.
#[derive(Default)]
struct Clients {
    next: AtomicUsize,
    acknowledged: Mutex<BTreeMap<String, (u64, String)>>,
    heads: Mutex<Vec<Seen>>,
}

impl Clients {
    fn ask(&self, server: std::net::SocketAddr, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let coordinate = format!("example.com/m@v1.0.{n}");
            let Some(text) = lookup_or_die(server, &coordinate) else {
                return;
            };
            let (id, rest) = text.split_once('\n').unwrap();
            let (record, note) = rest.split_once("\n\n").unwrap();
            self.heads.lock().unwrap().push(head_of(note));
            let seen = (id.parse().unwrap(), record.to_owned());
            self.acknowledged.lock().unwrap().insert(coordinate, seen);
        }
    }
}

/// The answer, unless the server died first.
fn lookup_or_die(server: std::net::SocketAddr, coordinate: &str) -> Option<String> {
    let mut connection = crate::common::Connection::try_open(server)?;
    connection
        .send_raw(
            format!(
                "GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                path(&format!("lookup/{coordinate}"))
            )
            .as_bytes(),
        )
        .ok()?;
    let answer = connection.try_head(false).ok()?.finish();
    (answer.status == 200 && answer.whole).then(|| answer.text())
}

#[test]
fn kills_lose_no_acknowledged_record_and_no_head_that_was_seen() {
    let modules: Vec<Module> = (0..4000).map(module).collect();
    let upstream = Upstream::start_blocking(tree_of(&modules)).unwrap();
    let clients = Clients::default();
    let mut dice: u64 = 77;
    let mut ended: Option<Ended> = None;
    for _ in 0..KILLS {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let launch = ended.as_ref().map_or_else(Launch::new, Launch::again);
        let server = with_log(launch.upstream(&upstream.url())).start();
        clients.heads.lock().unwrap().push(latest(&server));
        let (address, over) = (server.address(), AtomicBool::new(false));
        ended = Some(std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| clients.ask(address, &over));
            }
            std::thread::sleep(Duration::from_micros((dice >> 33) % 200_000));
            let ended = server.kill();
            over.store(true, Ordering::Relaxed);
            ended
        }));
    }
    let server = with_log(Launch::again(&ended.unwrap())).start();
    let records = audit(&server, &clients.heads.lock().unwrap());
    let acknowledged = clients.acknowledged.lock().unwrap();
    assert!(
        acknowledged.len() > KILLS,
        "only {} lookups",
        acknowledged.len()
    );
    for (coordinate, (id, record)) in acknowledged.iter() {
        let there = String::from_utf8_lossy(&records[usize::try_from(*id).unwrap()]).into_owned();
        assert_eq!(there.trim_end(), record, "{coordinate}");
    }
    println!("{} lookups in {KILLS} lives", acknowledged.len());
}
