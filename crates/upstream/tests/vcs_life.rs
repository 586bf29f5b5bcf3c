//! The life of clones and of the programs that fill them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Home, Table, have, mv, path, rev};
use gomod::pattern::Patterns;
use upstream::vcs::{Direct, DirectError};

const M: &str = "github.com/modkeep-test/x";

/// The directories of clones in the cache.
fn clones(home: &Home) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.path().join("cache")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path))
        } else {
            files.push(path)
        }
    }
    files
}

fn repo(home: &Home) -> PathBuf {
    let work = home.make_repo(
        "x",
        &[("go.mod", "module x\n"), ("sub/go.mod", "module x/sub\n")],
    );
    home.git_in(&work, &["tag", "v1.0.0"]);
    home.git_in(&work, &["tag", "sub/v1.0.0"]);
    work
}

#[tokio::test]
async fn modules_of_one_repository_share_one_clone() {
    let home = Home::new();
    repo(&home);
    let direct = home.direct();
    direct
        .zip(&mv(M, "v1.0.0"), &home.out("a.zip"))
        .await
        .unwrap();
    direct
        .zip(&mv(&format!("{M}/sub"), "v1.0.0"), &home.out("b.zip"))
        .await
        .unwrap();
    assert_eq!(clones(&home).len(), 1);
}

#[tokio::test]
async fn a_damaged_clone_is_made_anew() {
    let home = Home::new();
    repo(&home);
    let damages: [fn(&Path); 5] = [
        |clone| std::fs::remove_dir_all(clone.join("objects")).unwrap(),
        |clone| std::fs::write(clone.join("HEAD"), "nonsense").unwrap(),
        |clone| {
            for file in files_below(&clone.join("objects")) {
                std::fs::remove_file(&file).unwrap();
                std::fs::write(file, "").unwrap();
            }
        },
        |clone| {
            for file in files_below(&clone.join("objects")) {
                let mut bytes = std::fs::read(&file).unwrap();
                let middle = bytes.len() / 2;
                bytes.truncate(middle);
                std::fs::remove_file(&file).unwrap();
                std::fs::write(file, bytes).unwrap();
            }
        },
        |clone| std::fs::write(clone.join("config"), "[core\n").unwrap(),
    ];
    for (number, damage) in damages.iter().enumerate() {
        for warm in [true, false] {
            let direct = home.direct();
            direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
            let direct = if warm {
                direct
            } else {
                drop(direct);
                home.direct()
            };
            damage(&clones(&home)[0]);
            let out = home.out("x.zip");
            let result = direct.zip(&mv(M, "v1.0.0"), &out).await;
            assert!(result.is_ok(), "damage {number}, warm {warm}: {result:?}");
            std::fs::remove_file(out).unwrap();
        }
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_fetch_do_not_block_the_next() {
    let home = Home::new();
    let work = repo(&home);
    let direct = home.direct();
    direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    drop(direct);
    let clone = clones(&home).remove(0);
    for name in [
        "shallow.lock",
        "packed-refs.lock",
        "config.lock",
        "HEAD.lock",
    ] {
        std::fs::write(clone.join(name), "").unwrap();
    }
    home.commit(&work, &[("a.go", "package a\n")], "two");
    home.git_in(&work, &["tag", "v1.1.0"]);
    home.direct().info(&path(M), &rev("v1.1.0")).await.unwrap();
}

#[tokio::test]
async fn clones_are_deleted_by_age_and_by_size_and_come_back() {
    let home = Home::new();
    repo(&home);
    home.make_repo("y", &[("go.mod", "module y\n")]);
    let direct = home.direct_with(|s| s.limits.disk_bytes = 1);
    direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    direct
        .info(&path("github.com/modkeep-test/y"), &rev("main"))
        .await
        .unwrap();
    assert_eq!(clones(&home).len(), 2);
    direct.sweep().await.unwrap();
    assert_eq!(clones(&home).len(), 0);
    direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    drop(direct);
    let direct = home.direct_with(|s| s.limits.idle = Duration::ZERO);
    std::thread::sleep(Duration::from_millis(20));
    direct.sweep().await.unwrap();
    assert_eq!(clones(&home).len(), 0);
}

#[tokio::test]
async fn the_least_recently_used_clone_goes_first() {
    let home = Home::new();
    repo(&home);
    home.make_repo("y", &[("go.mod", "module y\n")]);
    let direct = home.direct();
    direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    direct
        .info(&path("github.com/modkeep-test/y"), &rev("main"))
        .await
        .unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    direct
        .zip(&mv(M, "v1.0.0"), &home.out("x.zip"))
        .await
        .unwrap();
    drop(direct);
    let total: u64 = clones(&home)
        .iter()
        .flat_map(|dir| files_below(dir))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    let direct = home.direct_with(|s| s.limits.disk_bytes = total - 1);
    direct.sweep().await.unwrap();
    let left = clones(&home);
    assert_eq!(left.len(), 1);
    let mark = std::fs::read_to_string(left[0].join("modkeep.clone")).unwrap();
    assert!(mark.contains("modkeep-test/x"), "{mark}");
}

#[tokio::test]
async fn two_processes_do_not_share_a_cache() {
    let home = Home::new();
    let first = home.direct();
    let second = Direct::new(home.settings(), std::sync::Arc::new(Table::default()));
    assert!(matches!(second, Err(DirectError::Internal { .. })));
    drop(first);
    assert!(Direct::new(home.settings(), std::sync::Arc::new(Table::default())).is_ok());
}

#[tokio::test]
async fn a_moved_tag_is_seen_and_named_by_its_new_commit() {
    let home = Home::new();
    let work = repo(&home);
    let direct = home.direct_with(|s| s.limits.refs_fresh = Duration::ZERO);
    let before = direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    let hash = home.commit(&work, &[("a.go", "package a\n")], "two");
    home.git_in(&work, &["tag", "-f", "v1.0.0"]);
    let after = direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    assert_ne!(before.origin.hash, after.origin.hash);
    assert_eq!(after.origin.hash, hash);
}

#[tokio::test]
async fn a_branch_that_became_a_directory_of_branches_is_fetched() {
    let home = Home::new();
    let work = repo(&home);
    home.git_in(&work, &["branch", "a"]);
    let direct = home.direct_with(|s| s.limits.refs_fresh = Duration::ZERO);
    direct.info(&path(M), &rev("a")).await.unwrap();
    home.git_in(&work, &["branch", "-D", "a"]);
    home.git_in(&work, &["checkout", "-q", "-b", "a/b"]);
    let hash = home.commit(&work, &[("b.go", "package b\n")], "b");
    let info = direct.info(&path(M), &rev(&hash)).await.unwrap();
    assert!(info.version.starts_with("v1.0.1-0."), "{}", info.version);
}

#[tokio::test]
async fn a_tag_pushed_a_moment_ago_is_found_although_the_refs_are_remembered() {
    let home = Home::new();
    let work = repo(&home);
    let direct = home.direct_with(|s| s.limits.refs_fresh = Duration::from_secs(600));
    direct.list(&path(M)).await.unwrap();
    home.commit(&work, &[("a.go", "package a\n")], "two");
    home.git_in(&work, &["tag", "v1.0.1"]);
    tokio::time::sleep(Duration::from_millis(600)).await;
    direct.info(&path(M), &rev("v1.0.1")).await.unwrap();
}

#[tokio::test]
async fn without_a_network_what_is_cloned_is_no_excuse_to_call_things_absent() {
    let home = Home::new();
    repo(&home);
    let direct = home.direct_with(|s| s.offline = true);
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(
        matches!(error, DirectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_list_of_ten_thousand_tags_is_quick() {
    let home = Home::new();
    let work = home.make_repo("x", &[("go.mod", "module x\n")]);
    let hash = home.git_in(&work, &["rev-parse", "HEAD"]).trim().to_owned();
    let mut packed = String::from("# pack-refs with: peeled fully-peeled sorted \n");
    let mut names: Vec<String> = (0..10_000)
        .map(|i| format!("refs/tags/v1.{}.{}", i / 100, i % 100))
        .collect();
    names.sort();
    for name in &names {
        packed.push_str(&format!("{hash} {name}\n"));
    }
    std::fs::write(work.join(".git/packed-refs"), packed).unwrap();
    let direct = home.direct();
    let started = Instant::now();
    assert_eq!(direct.list(&path(M)).await.unwrap().len(), 10_000);
    let first = started.elapsed();
    let started = Instant::now();
    for _ in 0..10 {
        direct.list(&path(M)).await.unwrap();
    }
    let again = started.elapsed() / 10;
    // Far above what it takes, far below what one process per tag would.
    assert!(first < Duration::from_secs(20), "{first:?}");
    assert!(again < Duration::from_secs(2), "{again:?}");
}

/// Run only as a child of the next test: waits for a server that says nothing.
#[tokio::test]
async fn child_that_waits_for_a_silent_server() {
    let Ok(url) = std::env::var("VCS_TEST_SILENT_URL") else {
        return;
    };
    let home = Home::new();
    let mut table = Table::default();
    let html = format!("<meta name=\"go-import\" content=\"vanity.example/x git {url}\">");
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into_bytes()),
    );
    let private = Patterns::parse("vanity.example").unwrap();
    let direct = home.direct_of(|s| s.private = private, table);
    let _ = direct.info(&path("vanity.example/x"), &rev("main")).await;
}

/// Processes whose command line holds a text.
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(text) {
            found.push(format!("{} {line}", entry.file_name().display()));
        }
    }
    found
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn programs_die_with_us_even_when_we_are_killed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/silent", listener.local_addr().unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_waits_for_a_silent_server"])
        .env("VCS_TEST_SILENT_URL", &url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // git itself and git-remote-http, which waits for the server.
    wait_for("git did not start", || processes_with(&url).len() >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("git outlived us", || processes_with(&url).is_empty());
}

#[tokio::test]
async fn a_dropped_request_takes_its_programs_with_it() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dropped", listener.local_addr().unwrap());
    let mut table = Table::default();
    let html = format!("<meta name=\"go-import\" content=\"vanity.example/x git {url}\">");
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into_bytes()),
    );
    let private = Patterns::parse("vanity.example").unwrap();
    let direct = home.direct_of(|s| s.private = private, table);
    let (module, main) = (path("vanity.example/x"), rev("main"));
    let asking = direct.info(&module, &main);
    assert!(
        tokio::time::timeout(Duration::from_millis(700), asking)
            .await
            .is_err()
    );
    wait_for("git outlived its request", || {
        processes_with(&url).is_empty()
    });
}

/// An sshd of our own on loopback, with a key for us.
struct Sshd {
    child: std::process::Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[allow(clippy::print_stderr)]
fn start_sshd(home: &Home) -> Option<Sshd> {
    let program = Path::new("/usr/sbin/sshd");
    if !program.exists() || !have("ssh-keygen") {
        eprintln!("SKIPPED: sshd is not installed, so this test shows nothing");
        return None;
    }
    for key in ["host", "user"] {
        let file = home.path().join(key);
        let args = [
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            file.to_str().unwrap(),
        ];
        home.run(home.path(), "ssh-keygen", &args);
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dir = home.path().display();
    home.write(
        "sshd_config",
        &format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/user.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n"
        ),
    );
    std::fs::create_dir_all("/run/sshd").ok();
    let config = home.path().join("sshd_config");
    let child = Command::new(program)
        .args(["-D", "-e", "-f", config.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut sshd = Sshd { child, port };
    let mut lines = BufReader::new(sshd.child.stderr.take().unwrap()).lines();
    let listening = lines.any(|line| line.is_ok_and(|line| line.contains("Server listening")));
    std::thread::spawn(move || lines.for_each(drop));
    if !listening {
        eprintln!("SKIPPED: sshd does not start here, so this test shows nothing");
        return None;
    }
    Some(sshd)
}

fn ssh_direct(home: &Home, sshd: &Sshd, key: &str) -> Direct {
    let dir = home.path().display();
    let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
    let host = std::fs::read_to_string(home.path().join("host.pub")).unwrap();
    home.write("known", &format!("[127.0.0.1]:{} {host}", sshd.port));
    home.write(
        "ssh_config",
        &format!("Host *\n  IdentityFile {dir}/{key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {dir}/known\n  User {user}\n"),
    );
    let mut table = Table::default();
    let url = format!("ssh://127.0.0.1:{}{}", sshd.port, home.repo("x").display());
    let html = format!("<meta name=\"go-import\" content=\"vanity.example/x git {url}\">");
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into_bytes()),
    );
    home.direct_of(
        |s| {
            s.private = Patterns::parse("vanity.example").unwrap();
            let ssh = format!("ssh -F {dir}/ssh_config -o BatchMode=yes");
            s.environment.push(("GIT_SSH_COMMAND".into(), ssh));
        },
        table,
    )
}

#[tokio::test]
async fn a_repository_over_ssh_is_fetched_with_the_users_key() {
    let home = Home::new();
    repo(&home);
    let Some(sshd) = start_sshd(&home) else {
        return;
    };
    let direct = ssh_direct(&home, &sshd, "user");
    let module = "vanity.example/x";
    direct.info(&path(module), &rev("v1.0.0")).await.unwrap();
    direct
        .zip(&mv(module, "v1.0.0"), &home.out("x.zip"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_wrong_ssh_key_is_an_auth_error_that_says_what_to_do() {
    let home = Home::new();
    repo(&home);
    let Some(sshd) = start_sshd(&home) else {
        return;
    };
    let direct = ssh_direct(&home, &sshd, "host");
    let error = direct
        .info(&path("vanity.example/x"), &rev("v1.0.0"))
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Auth { .. }), "{error:?}");
    assert!(error.to_string().contains("ssh key or agent"), "{error}");
}
