//! Git over ssh, by a real server on loopback: the user's own ssh configuration is used, and nothing
//! ever waits for somebody at a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Home, Table, mv, path, rev};
use gomod::pattern::Patterns;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use upstream::vcs::{Direct, DirectError};

const M: &str = "vanity.example/x";

/// A server that lets in who has the user's key.
struct Sshd {
    child: Child,
    port: u16,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sshd_binary() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
        .iter()
        .map(PathBuf::from)
        .find(|p| p.is_file())
}

#[allow(clippy::print_stderr)]
fn skipped() {
    eprintln!("SKIPPED: no sshd; install openssh-server");
}

fn keygen(file: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(file)
        .status();
    assert!(made.unwrap().success());
}

impl Sshd {
    /// `None`, said aloud, where there is no sshd.
    fn start(home: &Home) -> Option<Self> {
        let Some(binary) = sshd_binary() else {
            skipped();
            return None;
        };
        let at = |name: &str| home.path().join(name);
        for key in ["host_key", "user_key", "other_key"] {
            keygen(&at(key));
        }
        std::fs::copy(at("user_key.pub"), at("authorized_keys")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\n",
            at("host_key").display(),
            at("authorized_keys").display()
        );
        home.write("sshd_config", &settings);
        // Where it drops its privileges to; only needed by root.
        let _ = std::fs::create_dir_all("/run/sshd");
        let child = Command::new(binary)
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Self { child, port };
        for _ in 0..250 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(sshd);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("sshd does not listen");
    }

    /// The user's ssh configuration: this key, and whether the server's key is known.
    fn configure(&self, home: &Home, key: &str, known: bool) {
        let at = |name: &str| home.path().join(name);
        let host_key = std::fs::read_to_string(at("host_key.pub")).unwrap();
        let known_hosts = match known {
            true => format!("repo-host {host_key}"),
            false => String::new(),
        };
        home.write("known_hosts", &known_hosts);
        let user = std::env::var("USER").unwrap_or_else(|_| "root".into());
        home.write(
            "ssh_config",
            &format!(
                "Host repo-host\n  HostName 127.0.0.1\n  HostKeyAlias repo-host\n  Port {}\n  User {user}\n  \
                 IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
                self.port,
                at(key).display(),
                at("known_hosts").display()
            ),
        );
        let command = format!("ssh -F {}", at("ssh_config").display());
        home.append(".gitconfig", &format!("[core]\n\tsshCommand = {command}\n"));
    }
}

fn repository(home: &Home) -> String {
    let files = [
        ("go.mod", "module vanity.example/x\n"),
        ("x.go", "package x\n"),
    ];
    let work = home.make_repo("x", &files);
    home.git_in(&work, &["tag", "v1.0.0"]);
    format!("ssh://repo-host{}", work.display())
}

fn direct(home: &Home, url: &str) -> Direct {
    let mut table = Table::default();
    let html = format!("<meta name=\"go-import\" content=\"{M} git {url}\">");
    let page = (200, html.into_bytes());
    table.0.insert(format!("https://{M}?go-get=1"), page);
    home.direct_of(
        |settings| settings.private = Patterns::parse("vanity.example").unwrap(),
        table,
    )
}

async fn failure(direct: &Direct) -> DirectError {
    let began = std::time::Instant::now();
    let error = direct.info(&path(M), &rev("v1.0.0")).await.unwrap_err();
    assert!(began.elapsed().as_secs() < 20, "somebody was waited for");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_fetched_with_the_users_own_ssh_settings() {
    let home = Home::new();
    let Some(sshd) = Sshd::start(&home) else {
        return;
    };
    let url = repository(&home);
    sshd.configure(&home, "user_key", true);
    let direct = direct(&home, &url);
    let info = direct.info(&path(M), &rev("v1.0.0")).await.unwrap();
    assert!(info.to_json().contains("\"v1.0.0\""), "{}", info.to_json());
    let out = home.out("x.zip");
    direct.zip(&mv(M, "v1.0.0"), &out).await.unwrap();
    let names: Vec<String> = common::zip_files(&out).into_iter().map(|f| f.0).collect();
    assert_eq!(
        names,
        [
            "vanity.example/x@v1.0.0/go.mod",
            "vanity.example/x@v1.0.0/x.go"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_and_an_unknown_server_are_told_at_once() {
    let home = Home::new();
    let Some(sshd) = Sshd::start(&home) else {
        return;
    };
    let url = repository(&home);
    for (key, known, said) in [
        ("other_key", true, "Permission denied"),
        ("user_key", false, "Host key verification failed"),
    ] {
        sshd.configure(&home, key, known);
        let error = failure(&direct(&home, &url)).await;
        let text = format!("{error}");
        assert!(text.contains(said), "{text}");
        assert!(text.contains("ssh key"), "what to do: {text}");
    }
}
