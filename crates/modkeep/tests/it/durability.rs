//! Kept means kept: kills at any moment, full and read-only disks, damaged bytes, a second owner.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::{
    Answer, Connection, Ended, Follow, Launch, Server, command, eventually, run_in,
};

/// Longer than what fits into a catalog row.
const BLOB: usize = 600 << 10;

const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const MOD: &str = "/example.com/m/@v/v1.0.0.mod";

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.add(&Module::new("example.com/m", "v1.0.0").filler(BLOB))
        .unwrap();
    tree
}

fn started() -> (Upstream, Server) {
    let upstream = Upstream::start_blocking(tree()).unwrap();
    let server = Server::over(&upstream.url());
    (upstream, server)
}

/// Files below a directory, without those of version control.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path),
        }
    }
    found
}

fn the_blob(data: &Path) -> PathBuf {
    let blobs = files_below(&data.join("blobs"));
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    blobs[0].clone()
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// As [`Server::get`], but a server that dies meanwhile is no reason to panic.
fn ask(server: std::net::SocketAddr, path: &str) -> Option<Answer> {
    let stream = std::net::TcpStream::connect(server).ok()?;
    stream
        .set_read_timeout(Some(crate::common::PATIENCE))
        .ok()?;
    let mut connection = Connection { stream };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    connection.send_raw(request.as_bytes()).ok()?;
    Some(connection.try_head(false).ok()?.finish())
}

/// Kills by the hundred.
mod kills {
    use super::*;

    /// More files than two hundred short lives can ask for.
    const MODULES: usize = 12_000;
    const KILLS: usize = 200;

    struct World {
        tree: Tree,
        paths: Vec<String>,
        next: AtomicUsize,
        /// What was answered whole before the server died.
        whole: Mutex<Vec<String>>,
        /// What was asked for in the life before.
        asked: Mutex<Vec<String>>,
        hits: AtomicUsize,
    }

    fn world() -> World {
        let mut tree = Tree::new();
        let mut paths = Vec::new();
        // Versions of few modules share most of a zip's making.
        for i in 0..MODULES {
            let (path, version) = (format!("example.com/m{}", i % 7), format!("v1.0.{i}"));
            let mut module = Module::new(&path, &version);
            if i % 12 == 5 {
                module = module.filler(BLOB / 2);
            }
            let base = format!("{path}/@v/{version}");
            tree.put(&format!("{base}.info"), module.info());
            tree.put(&format!("{base}.mod"), module.go_mod_bytes());
            tree.put(&format!("{base}.zip"), module.zip().unwrap());
            for kind in [".info", ".mod", ".zip"] {
                paths.push(format!("/{base}{kind}"));
            }
        }
        World {
            tree,
            paths,
            next: AtomicUsize::new(0),
            whole: Mutex::default(),
            asked: Mutex::default(),
            hits: AtomicUsize::new(0),
        }
    }

    impl World {
        /// Asks for what nobody asked for before, until the server is gone.
        fn stream_of_misses(&self, server: std::net::SocketAddr, over: &AtomicBool) {
            while !over.load(Ordering::Relaxed) {
                let next = self.next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = self.paths.get(next) else {
                    return;
                };
                self.asked.lock().unwrap().push(path.clone());
                match ask(server, path) {
                    Some(answer) if answer.status == 200 && answer.whole => {
                        answer.is(self.tree.get(path).unwrap());
                        self.whole.lock().unwrap().push(path.clone());
                    }
                    Some(answer) => assert!(answer.status == 200, "{}", answer.text()),
                    None => {}
                }
            }
        }

        /// What the store has, without anybody's help: each acknowledged file, and of the others all
        /// or nothing.
        fn verify(&self, server: &Server, acknowledged: &[String], others: &[String]) {
            for path in acknowledged {
                let kept = server.get(&format!("/cached-only{path}"));
                assert_eq!(kept.status, 200, "{path} was lost: {}", kept.text());
                kept.is(self.tree.get(path).unwrap());
            }
            for path in others {
                let kept = server.get(&format!("/cached-only{path}"));
                if kept.status != 404 {
                    kept.is(self.tree.get(path).unwrap());
                    self.hits.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// One life: verify the last one's deeds, answer misses, die.
    fn live(world: &World, launch: Launch, dice: &mut u64) -> Ended {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let server = launch.start();
        let asked = std::mem::take(&mut *world.asked.lock().unwrap());
        let fresh: Vec<String> = {
            let whole = world.whole.lock().unwrap();
            let recent = whole.len().saturating_sub(asked.len());
            whole[recent..].to_vec()
        };
        world.verify(&server, &fresh, &asked);
        let left: Vec<PathBuf> = files_below(&server.data().join("spool"));
        assert!(left.is_empty(), "{left:?}");
        let address = server.address();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| world.stream_of_misses(address, &over));
            }
            std::thread::sleep(Duration::from_micros((*dice >> 33) % 40_000));
            let ended = server.kill();
            over.store(true, Ordering::Relaxed);
            ended
        })
    }

    /// Kills a server that is still starting: recovery must survive being interrupted too.
    fn die_young(ended: &Ended, after: Duration) {
        let mut child = command(ended.data.parent().unwrap())
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--upstream",
                "off",
                "--data",
            ])
            .arg(&ended.data)
            .env("MODKEEP_SUMDB", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn hundreds_of_kills_lose_nothing_answered_and_show_nothing_half() {
        let world = world();
        let upstream = Upstream::start_blocking(world.tree.clone()).unwrap();
        let mut dice = 20_240_607;
        let mut ended = live(&world, Launch::new().upstream(&upstream.url()), &mut dice);
        for kill in 1..KILLS {
            if kill % 5 == 0 {
                die_young(&ended, Duration::from_millis(dice >> 33 & 31));
            }
            let launch = Launch::again(&ended).upstream(&upstream.url());
            ended = live(&world, launch, &mut dice);
        }
        drop(upstream);
        let server = Launch::again(&ended).start();
        let whole = world.whole.lock().unwrap().clone();
        // On a busy machine many lives end before their first answer.
        assert!(whole.len() > KILLS / 4, "only {} answers", whole.len());
        world.verify(&server, &whole, &world.asked.lock().unwrap().clone());
        println!("{} whole answers in {KILLS} lives", whole.len());
    }
}

/// A file system of its own for a data directory; `None` where it cannot be had.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn over(dir: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir)
            .output();
        match mounted.is_ok_and(|m| m.status.success()) {
            true => Some(Self(dir.to_owned())),
            false => {
                eprintln!("passed over: this user may not mount a small disk");
                None
            }
        }
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let file = File::create(self.0.join("ballast")).unwrap();
        let mut at = 0;
        while file.write_all_at(&[7; 512], at).is_ok() {
            at += 512;
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_503_with_the_reason_while_hits_go_on_and_it_recovers() {
    let mut tree = tree();
    for name in ["a", "b", "c", "d"] {
        let module = Module::new(&format!("example.com/{name}"), "v1.0.0");
        tree.add(&module.filler(100 << 10)).unwrap();
        let large = Module::new(&format!("example.com/{name}"), "v1.1.0");
        tree.add(&large.filler(BLOB)).unwrap();
    }
    let upstream = Upstream::start_blocking(tree.clone()).unwrap();
    let launch = Launch::new().upstream(&upstream.url());
    let Some(disk) = Tmpfs::over(launch.data(), "4m") else {
        return;
    };
    let server = launch.start();
    server.get(ZIP).is(tree.get(ZIP).unwrap());
    server.get(MOD).is(tree.get(MOD).unwrap());
    assert_eq!(server.get("/-/readyz").status, 200);
    disk.fill();
    let small = server.get("/example.com/a/@v/v1.0.0.zip");
    small.refuses(503, "example.com/a@v1.0.0");
    small.refuses(503, "space");
    assert!(small.header("retry-after").is_some());
    assert_eq!(small.header("cache-control"), Some("no-store"));
    for _ in 0..3 {
        let large = server.get("/example.com/a/@v/v1.1.0.zip");
        assert!(large.status == 503 || !large.whole, "{}", large.status);
    }
    // Nobody can be refused for long by a disk that is full: what is there is served.
    server.get(ZIP).is(tree.get(ZIP).unwrap());
    server.get(MOD).is(tree.get(MOD).unwrap());
    let ready = server.get("/-/readyz");
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["ready"], false);
    assert_eq!(ready.json()["store"]["writable"], false);
    assert!(ready.json()["store"]["error"].is_string());
    assert_eq!(server.get("/-/healthz").status, 200);
    disk.free();
    assert_eq!(server.get("/-/readyz").status, 200);
    for path in [
        "/example.com/a/@v/v1.0.0.zip",
        "/example.com/a/@v/v1.1.0.zip",
        "/example.com/b/@v/v1.0.0.mod",
        "/example.com/b/@v/list",
    ] {
        server.get(path).is(tree.get(path).unwrap());
    }
    // And over a restart, what was answered is there.
    drop(upstream);
    let server = Launch::again(&server.kill()).start();
    for path in [ZIP, MOD, "/example.com/a/@v/v1.1.0.zip"] {
        server.get(path).is(tree.get(path).unwrap());
    }
    assert!(files_below(&server.data().join("spool")).is_empty());
    drop(server);
}

#[test]
fn a_disk_that_fills_up_under_load_loses_nothing_that_was_answered() {
    let mut tree = Tree::new();
    let mut paths = Vec::new();
    for i in 0..60 {
        let module = Module::new(&format!("example.com/m{i}"), "v1.0.0");
        tree.add(&module.filler(if i % 4 == 0 { 300 << 10 } else { 60 << 10 }))
            .unwrap();
        paths.push(format!("/example.com/m{i}/@v/v1.0.0.zip"));
        paths.push(format!("/example.com/m{i}/@v/v1.0.0.mod"));
    }
    let upstream = Upstream::start_blocking(tree.clone()).unwrap();
    let launch = Launch::new().upstream(&upstream.url());
    let Some(_disk) = Tmpfs::over(launch.data(), "3m") else {
        return;
    };
    let server = launch.start();
    let address = server.address();
    let answered = Mutex::new(Vec::new());
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for part in paths.chunks(30) {
            let (tree, answered, refused) = (&tree, &answered, &refused);
            scope.spawn(move || {
                for path in part {
                    let answer = ask(address, path).unwrap();
                    match (answer.status, answer.whole) {
                        (200, true) => {
                            answer.is(tree.get(path).unwrap());
                            answered.lock().unwrap().push(path.clone());
                        }
                        (200 | 503, _) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        (other, _) => panic!("{other} {}", answer.text()),
                    }
                }
            });
        }
    });
    let answered = answered.into_inner().unwrap();
    assert!(refused.into_inner() > 5 && answered.len() > 5);
    drop(upstream);
    let server = Launch::again(&server.kill()).start();
    for path in &answered {
        server.get(path).is(tree.get(path).unwrap());
    }
    drop(server);
}

#[test]
fn a_read_only_data_directory_is_a_clear_error() {
    let (_upstream, server) = started();
    server.get(MOD);
    let ended = server.stop();
    let data = &ended.data;
    // The superuser writes wherever the mount allows it, others where the permissions do.
    let mount = |args: &[&str]| {
        let ran = Command::new("mount").args(args).arg(data).output();
        ran.is_ok_and(|r| r.status.success())
    };
    let mounted = mount(&["--bind", data.to_str().unwrap()]) && mount(&["-o", "remount,bind,ro"]);
    use std::os::unix::fs::PermissionsExt;
    let mode = |mode| {
        let _ = std::fs::set_permissions(data, std::fs::Permissions::from_mode(mode));
    };
    if !mounted {
        mode(0o555);
    }
    if std::fs::write(data.join("probe"), b"").is_err() {
        let Err(ran) = Launch::again(&ended).try_start() else {
            panic!("it started");
        };
        assert_eq!(ran.code, Some(3), "{ran:?}");
        let text = &ran.stderr;
        assert!(text.contains(data.to_str().unwrap()), "{text}");
        assert!(
            text.to_lowercase().contains("read-only") || text.contains("denied"),
            "{text}"
        );
        assert!(!text.contains("panicked"), "{text}");
    }
    if mounted {
        let _ = Command::new("umount").arg(data).status();
    }
    mode(0o755);
    Launch::again(&ended).start();
}

#[test]
fn a_catalog_that_is_none_is_a_clear_error() {
    let launch = Launch::new();
    std::fs::create_dir_all(launch.data()).unwrap();
    let catalog = launch.data().join("catalog.db");
    std::fs::write(&catalog, "not a catalog. ".repeat(1000)).unwrap();
    let Err(ran) = launch.try_start() else {
        panic!("it started");
    };
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains(catalog.to_str().unwrap()), "{ran:?}");
    assert!(
        ran.stderr.contains("move the data directory away"),
        "{ran:?}"
    );
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_the_first_goes_on() {
    let (upstream, server) = started();
    server.get(MOD);
    let data = server.data().to_str().unwrap().to_owned();
    let env = [
        ("MODKEEP_UPSTREAM", upstream.url()),
        ("MODKEEP_SUMDB", "off".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for args in [
        ["serve", "--listen", "127.0.0.1:0", "--data", &data].as_slice(),
        &["fetch", "example.com/m@v1.0.0", "--data", &data],
        &["purge", "example.com/m", "--data", &data],
    ] {
        let ran = run_in(server.home(), args, &env);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert_eq!(ran.stdout, "");
        for part in [
            data.as_str(),
            "another modkeep uses this data directory",
            "--server",
        ] {
            assert!(ran.stderr.contains(part), "{ran:?}");
        }
    }
    server.get(ZIP).is(tree().get(ZIP).unwrap());
    server.get(MOD).is(tree().get(MOD).unwrap());
    // A process that was killed leaves no lock behind.
    Launch::again(&server.kill()).start();
}

#[test]
fn damage_inside_a_kept_zip_is_never_served_as_whole_and_is_fetched_again() {
    let (upstream, server) = started();
    let want = tree().get(ZIP).unwrap().clone();
    server.get(ZIP).is(&want);
    flip(&the_blob(server.data()), BLOB as u64 - 1000);
    let answer = server.get(ZIP);
    assert!(answer.status != 200 || !answer.whole, "damage was served");
    assert!(want.starts_with(&answer.body), "wrong bytes were served");
    eventually("it is fetched again and right", || {
        let again = server.get(ZIP);
        again.whole && again.status == 200 && again.body == want
    });
    assert_eq!(upstream.hits(ZIP), 2);
    server.get(ZIP).is(&want);
    assert_eq!(upstream.hits(ZIP), 2);
    // Who reads before the damage is noted finds it once more.
    assert!(server.metric("modkeep_damaged_total") >= 1);
    eventually("the log says so", || {
        let log = server.stderr();
        log.contains("damaged") && log.contains("example.com/m") && log.contains("repaired")
    });
}

#[test]
fn damage_at_the_start_a_cut_and_a_lost_blob_cost_one_fetch_and_no_error() {
    let (upstream, server) = started();
    let want = tree().get(ZIP).unwrap().clone();
    server.get(ZIP).is(&want);
    let harms: [fn(&Path); 4] = [
        |blob| flip(blob, 10),
        |blob| {
            File::options()
                .write(true)
                .open(blob)
                .unwrap()
                .set_len(1000)
                .unwrap()
        },
        |blob| {
            File::options()
                .write(true)
                .open(blob)
                .unwrap()
                .set_len(0)
                .unwrap()
        },
        |blob| std::fs::remove_file(blob).unwrap(),
    ];
    for (n, harm) in harms.iter().enumerate() {
        harm(&the_blob(server.data()));
        server.get(ZIP).is(&want);
        assert_eq!(upstream.hits(ZIP), n + 2);
        server.get(ZIP).is(&want);
    }
}

#[test]
fn damage_is_an_error_and_never_404_while_nobody_can_mend_it() {
    let (upstream, server) = started();
    server.get(ZIP);
    flip(&the_blob(server.data()), 10);
    upstream.set(Behaviour::status(500, "boom"));
    let answer = server.get(ZIP);
    assert_eq!(answer.status, 502, "{}", answer.text());
    // Other bytes than were kept do not become the file.
    let mut other = Tree::new();
    other
        .add(&Module::new("example.com/m", "v1.0.0").file("x.go", "package m\n"))
        .unwrap();
    upstream.heal();
    upstream.replace(other);
    let answer = server.get(ZIP);
    assert!(answer.status == 502 || !answer.whole, "{}", answer.status);
    upstream.replace(tree());
    server.get(ZIP).is(tree().get(ZIP).unwrap());
}

#[test]
fn a_range_of_a_damaged_zip_is_right_or_refused() {
    let (upstream, server) = started();
    let want = tree().get(ZIP).unwrap().clone();
    server.get(ZIP).is(&want);
    upstream.set(Behaviour::new().fault(Fault::Close));
    flip(&the_blob(server.data()), 300_000);
    // The damage may show before the head of the answer is out: then there is none.
    let range = |from: usize, to: usize| {
        let mut connection = Connection::open(server.address());
        let header = format!("bytes={from}-{}", to - 1);
        connection.send("GET", ZIP, &[("Range", &header)], b"");
        connection.try_head(false).ok().map(Follow::finish)
    };
    let sound = range(0, 1000).expect("an answer");
    assert_eq!(sound.status, 206);
    assert_eq!(sound.body, want[..1000]);
    if let Some(bad) = range(299_990, 300_010) {
        assert!(bad.status != 206 || !bad.whole || bad.body == want[299_990..300_010]);
        assert!(bad.status != 206 || want[299_990..].starts_with(&bad.body));
    }
}

#[test]
fn damage_inside_the_catalog_is_noticed_and_fetched_again() {
    let mut tree = Tree::new();
    let module =
        Module::new("example.com/m", "v1.0.0").go_mod("module example.com/m // UNMISTAKABLE\n");
    tree.add(&module).unwrap();
    let upstream = Upstream::start_blocking(tree.clone()).unwrap();
    let server = Server::over(&upstream.url());
    server.get(MOD).is(tree.get(MOD).unwrap());
    let ended = server.stop();
    let catalog = ended.data.join("catalog.db");
    // Into the database itself: a damaged journal would only lose its last commits.
    let db = rusqlite::Connection::open(&catalog).unwrap();
    db.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))
        .unwrap();
    drop(db);
    let bytes = std::fs::read(&catalog).unwrap();
    let at = bytes.windows(12).position(|w| w == b"UNMISTAKABLE");
    flip(&catalog, at.expect("the catalog holds the text") as u64);
    let server = Launch::again(&ended).upstream(&upstream.url()).start();
    server.get(MOD).is(tree.get(MOD).unwrap());
    assert_eq!(upstream.hits(MOD), 2);
    assert_eq!(server.metric("modkeep_damaged_total"), 1);
}

#[test]
fn a_full_store_starts_as_fast_as_an_empty_one() {
    let empty = Launch::new().start();
    let without = empty.ready_after;
    let ended = empty.stop();
    let files: usize = 20_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = std::sync::Arc::new(store::Store::open(&ended.data).unwrap());
        let mut keeping = tokio::task::JoinSet::new();
        for i in 0..files {
            let store = std::sync::Arc::clone(&store);
            keeping.spawn(async move {
                let key = store::FileKey {
                    module: gomod::path::ModulePath::parse("example.com/m").unwrap(),
                    version: gomod::version::Version::parse(&format!("v1.0.{i}")).unwrap(),
                    kind: store::Kind::Mod,
                };
                let body = format!("module example.com/m\n\n// {}\n", "x".repeat(400));
                let file = store::NewFile {
                    key,
                    content: store::Content::Small(body.into_bytes().into()),
                    h1: None,
                    source: "test".into(),
                    inner: None,
                    proof: store::Proof::NotAsked,
                };
                store.keep(file).await.unwrap();
            });
        }
        while keeping.join_next().await.is_some() {}
    });
    let began = Instant::now();
    let full = Launch::again(&ended).start();
    println!(
        "ready after {without:?} without and {:?} with {files} files",
        full.ready_after
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    let answer = full.get("/example.com/m/@v/v1.0.19999.mod");
    assert_eq!(answer.status, 200);
    let counts: BTreeMap<&str, u64> = ["modkeep_stored_files"]
        .into_iter()
        .map(|name| (name, full.metric(name)))
        .collect();
    assert_eq!(counts["modkeep_stored_files"], files as u64);
}
