//! Mercurial and Subversion served for real, held against answers of the real go command.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/answers.rs"]
mod answers;
mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use answers::{assert_same, cases};
use common::{Home, Table, have, path, rev};
use gomod::pattern::Patterns;
use upstream::vcs::{Direct, DirectError};

const HG: [&str; 6] = [
    "hello",
    "hgrepo1",
    "legacytest",
    "prefixtagtests",
    "tagtests",
    "traps",
];

/// A server process that ends with the test.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `hg serve` of all repositories of the test data, on a port of its choice.
fn serve_hg(home: &Home) -> Server {
    for name in HG {
        let repo = home.repo(name);
        let bundle = common::bundles().join(format!("{name}.hg"));
        home.run(home.path(), "hg", &["init", repo.to_str().unwrap()]);
        home.run(&repo, "hg", &["unbundle", "-q", bundle.to_str().unwrap()]);
    }
    // Bundles hold no bookmarks.
    for (name, at) in [("v2", "v2.0.2"), ("v2.3.4", "v2.0.1")] {
        home.run(
            &home.repo("hgrepo1"),
            "hg",
            &["book", "-q", name, "-r", at, "--force"],
        );
    }
    let paths = format!("[paths]\n/ = {}/*\n", home.repos().display());
    home.write("web.conf", &paths);
    // With its logs in files, nothing is written to the pipe that says the port.
    let args = [
        "serve",
        "--webdir-conf",
        "web.conf",
        "-p",
        "0",
        "--address",
        "127.0.0.1",
        "-A",
        "access.log",
        "-E",
        "error.log",
    ];
    let mut child = home
        .command(home.path(), "hg", &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    // "listening at http://localhost:PORT/ (bound to 127.0.0.1:PORT)"
    let port = line
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches(&[')', '\n'][..])
        .to_owned();
    Server {
        child,
        url: format!("http://127.0.0.1:{port}"),
    }
}

fn page(table: &mut Table, module: &str, vcs: &str, url: &str) {
    let html = format!("<meta name=\"go-import\" content=\"127.0.0.1/{module} {vcs} {url}\">");
    for below in ["", "/v2", "/sub", "/sub/v2"] {
        let at = format!("https://127.0.0.1/{module}{below}?go-get=1");
        table.0.insert(at, (200, html.clone().into_bytes()));
    }
}

fn direct(home: &Home, table: Table) -> Direct {
    let change = |settings: &mut upstream::vcs::DirectSettings| {
        settings.private = Patterns::parse("127.0.0.1").unwrap();
        // hg takes its time: one pull for all questions.
        settings.limits.refs_fresh = std::time::Duration::from_secs(600);
    };
    home.direct_of(change, table)
}

fn hg_direct(home: &Home, server: &Server) -> Direct {
    let mut table = Table::default();
    for name in HG {
        page(&mut table, name, "hg", &format!("{}/{name}", server.url));
    }
    direct(home, table)
}

#[tokio::test(flavor = "multi_thread")]
async fn mercurial_repositories_give_the_answers_of_go() {
    if !have("hg") {
        return;
    }
    let home = Home::new();
    let server = serve_hg(&home);
    let mut cases = cases("expected_hg_svn.json");
    cases.retain(|case| !case.path.contains("svn"));
    // One hash of each repository will do: hg takes its time.
    let mut seen = std::collections::HashSet::new();
    let is_hash = |query: &str| query.len() == 12 && query.chars().all(|c| c.is_ascii_hexdigit());
    cases.retain(|case| !is_hash(&case.query) || seen.insert(case.path.clone()));
    // The refusals of /v2 are all of one kind.
    let mut kinds = std::collections::HashMap::<String, usize>::new();
    cases.retain(|case| {
        let count = kinds.entry(case.path.clone()).or_default();
        *count += 1;
        !case.path.ends_with("/v2") || *count <= 4
    });
    let (good, refused) = assert_same(&hg_direct(&home, &server), &home, &cases).await;
    assert!(good >= 45 && refused >= 12, "{good} and {refused} cases");
}

#[tokio::test]
async fn a_mercurial_query_is_never_a_revision_expression() {
    if !have("hg") {
        return;
    }
    let home = Home::new();
    let server = serve_hg(&home);
    let direct = hg_direct(&home, &server);
    for query in [
        "all()",
        "tip^",
        "first(all())",
        "-1:0",
        "'tip'",
        "sort(all(),date)",
    ] {
        let Ok(revision) = gomod::version::Revision::parse(query) else {
            continue;
        };
        let error = direct
            .info(&path("127.0.0.1/hello"), &revision)
            .await
            .unwrap_err();
        assert!(error.is_not_found(), "{query}: {error:?}");
    }
}

#[tokio::test]
async fn settings_and_hooks_of_the_users_hgrc_do_not_change_bytes() {
    if !have("hg") {
        return;
    }
    let home = Home::new();
    let server = serve_hg(&home);
    let direct = hg_direct(&home, &server);
    let version = common::mv("127.0.0.1/traps", "v1.0.0");
    let plain = direct.zip(&version, &home.out("a.zip")).await.unwrap();
    drop(direct);
    std::fs::remove_dir_all(home.path().join("cache")).unwrap();
    let ran = home.path().join("ran");
    home.write(
        ".hgrc",
        &format!(
            "[extensions]\neol =\nkeyword =\n[decode]\n** = tr a z\n[encode]\n** = tr a z\n[hooks]\npre-archive = touch {0}\nincoming = touch {0}\n[ui]\narchivemeta = false\n",
            ran.display()
        ),
    );
    let altered = hg_direct(&home, &server)
        .zip(&version, &home.out("b.zip"))
        .await
        .unwrap();
    assert_eq!(plain, altered);
}

#[tokio::test]
async fn a_mercurial_server_without_the_repository_is_not_taken_for_trouble() {
    if !have("hg") {
        return;
    }
    let home = Home::new();
    let server = serve_hg(&home);
    let mut table = Table::default();
    page(&mut table, "none", "hg", &format!("{}/none", server.url));
    page(&mut table, "down", "hg", "http://127.0.0.1:9/x");
    let direct = direct(&home, table);
    let error = direct
        .info(&path("127.0.0.1/none"), &rev("tip"))
        .await
        .unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    let error = direct
        .info(&path("127.0.0.1/down"), &rev("tip"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, DirectError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_mercurial_password_is_used_and_left_nowhere() {
    if !have("hg") {
        return;
    }
    let home = Home::new();
    // hgweb leaves passwords to the server before it: a relay that wants one.
    let server = serve_hg(&home);
    let relay = relay_with_password(
        server.url.trim_start_matches("http://").to_owned(),
        "bot:hunter2-hg",
    );
    let mut table = Table::default();
    page(&mut table, "hello", "hg", &format!("http://{relay}/hello"));
    let direct = home.direct_of(
        |s| {
            s.private = Patterns::parse("127.0.0.1").unwrap();
            s.credentials.add(&relay.to_string(), "bot", "hunter2-hg");
        },
        table,
    );
    direct
        .info(&path("127.0.0.1/hello"), &rev("tip"))
        .await
        .unwrap();
    let found = home
        .command(home.path(), "grep", &["-rl", "hunter2-hg", "cache"])
        .output()
        .unwrap();
    assert!(
        found.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&found.stdout)
    );
}

/// Passes requests on if they hold the password, which appears on no command line meanwhile.
fn relay_with_password(to: String, pair: &str) -> std::net::SocketAddr {
    use base64::Engine as _;
    use std::io::{Read as _, Write as _};
    let wanted = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    );
    let secret = pair.split(':').next_back().unwrap().to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0usize);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if !lower.starts_with("connection:") && !lower.starts_with("keep-alive") {
                    head.push_str(&line);
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&line).contains(&secret));
            }
            if !head.contains(&wanted) {
                let refusal = b"HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(refusal).unwrap();
                continue;
            }
            let mut server = std::net::TcpStream::connect(&to).unwrap();
            server
                .write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())
                .unwrap();
            server.write_all(&body).unwrap();
            std::io::copy(&mut server, &mut stream).ok();
        }
    });
    address
}

/// `svnserve` of the test data's repository, on a free port.
fn serve_svn(home: &Home) -> Server {
    let repo = home.repo("hello");
    home.run(home.path(), "svnadmin", &["create", repo.to_str().unwrap()]);
    let dump = std::fs::File::open(common::bundles().join("hello.svndump")).unwrap();
    let args = ["load", "-q", repo.to_str().unwrap()];
    let loaded = home
        .command(home.path(), "svnadmin", &args)
        .stdin(dump)
        .status()
        .unwrap();
    assert!(loaded.success());
    start_svnserve(home, &home.repos())
}

fn start_svnserve(home: &Home, root: &Path) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let port_text = port.to_string();
    let args = [
        "-d",
        "--foreground",
        "-r",
        root.to_str().unwrap(),
        "--listen-host",
        "127.0.0.1",
        "--listen-port",
        &port_text,
    ];
    let child = home
        .command(home.path(), "svnserve", &args)
        .spawn()
        .unwrap();
    for _ in 0..200 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Server {
        child,
        url: format!("svn://127.0.0.1:{port}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subversion_repository_gives_the_answers_of_go() {
    if !have("svn") || !have("svnserve") {
        return;
    }
    let home = Home::new();
    let server = serve_svn(&home);
    let mut table = Table::default();
    page(
        &mut table,
        "hello-svn",
        "svn",
        &format!("{}/hello", server.url),
    );
    let mut cases = cases("expected_hg_svn.json");
    cases.retain(|case| case.path.contains("svn"));
    let (good, refused) = assert_same(&direct(&home, table), &home, &cases).await;
    assert!(good >= 3 && refused >= 4, "{good} and {refused} cases");
}

#[tokio::test]
async fn subversion_symlinks_and_keywords_read_nothing_of_ours() {
    if !have("svn") || !have("svnserve") {
        return;
    }
    let home = Home::new();
    let repo = home.repo("evil");
    home.run(home.path(), "svnadmin", &["create", repo.to_str().unwrap()]);
    let url = format!("file://{}", repo.display());
    let work = home.path().join("w");
    home.run(
        home.path(),
        "svn",
        &["checkout", "-q", &url, work.to_str().unwrap()],
    );
    std::fs::write(work.join("go.mod"), "module x\n").unwrap();
    std::fs::write(work.join("k.txt"), "$Id$\n").unwrap();
    home.run(&work, "svn", &["add", "-q", "go.mod", "k.txt"]);
    home.run(
        &work,
        "svn",
        &["propset", "-q", "svn:keywords", "Id", "k.txt"],
    );
    home.run(
        &work,
        "svn",
        &["propset", "-q", "svn:eol-style", "CRLF", "k.txt"],
    );
    home.run(&work, "svn", &["commit", "-q", "-m", "one"]);
    std::os::unix::fs::symlink("/etc/passwd", work.join("l")).unwrap();
    home.run(&work, "svn", &["add", "-q", "l"]);
    home.run(&work, "svn", &["commit", "-q", "-m", "two"]);
    let server = start_svnserve(&home, &home.repos());
    let mut table = Table::default();
    page(&mut table, "evil", "svn", &format!("{}/evil", server.url));
    let direct = direct(&home, table);
    let module = path("127.0.0.1/evil");
    let good = direct.info(&module, &rev("1")).await.unwrap();
    let out = home.out("x.zip");
    direct
        .zip(&common::mv("127.0.0.1/evil", &good.version), &out)
        .await
        .unwrap();
    assert!(
        common::zip_files(&out)
            .iter()
            .any(|(_, data)| data.starts_with(b"$Id$"))
    );
    let bad = direct.info(&module, &rev("2")).await.unwrap();
    let out = home.out("y.zip");
    let error = direct
        .zip(&common::mv("127.0.0.1/evil", &bad.version), &out)
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Refused { .. }), "{error:?}");
    assert!(!out.exists());
}

#[tokio::test]
async fn a_subversion_password_is_used_and_a_wrong_one_named_without_it() {
    if !have("svn") || !have("svnserve") {
        return;
    }
    let home = Home::new();
    let server = serve_svn(&home);
    let conf = home.repo("hello").join("conf");
    std::fs::write(
        conf.join("svnserve.conf"),
        "[general]\nanon-access = none\npassword-db = passwd\n",
    )
    .unwrap();
    std::fs::write(conf.join("passwd"), "[users]\nbot = hunter2-svn\n").unwrap();
    let place = server.url.trim_start_matches("svn://").to_owned();
    for (secret, good) in [("hunter2-svn", true), ("wr0ng-svn", false)] {
        let mut table = Table::default();
        page(
            &mut table,
            "hello-svn",
            "svn",
            &format!("{}/hello", server.url),
        );
        let direct = home.direct_of(
            |s| {
                s.private = Patterns::parse("127.0.0.1").unwrap();
                s.credentials.add(&place, "bot", secret);
            },
            table,
        );
        let result = direct.info(&path("127.0.0.1/hello-svn"), &rev("1")).await;
        assert_eq!(result.is_ok(), good, "{result:?}");
        if let Err(error) = result {
            assert!(matches!(error, DirectError::Auth { .. }), "{error:?}");
            assert!(!error.to_string().contains(secret), "{error}");
        }
    }
}

#[tokio::test]
async fn a_public_module_is_not_fetched_with_subversion_unless_a_rule_allows() {
    let home = Home::new();
    let mut table = Table::default();
    let html = "<meta name=\"go-import\" content=\"vanity.example/x svn https://h.example/x\">";
    table.0.insert(
        "https://vanity.example/x?go-get=1".into(),
        (200, html.into()),
    );
    let error = home.direct_of(|_| {}, table);
    let error = error
        .info(&path("vanity.example/x"), &rev("1"))
        .await
        .unwrap_err();
    assert!(matches!(error, DirectError::Refused { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("GOVCS disallows using svn for public"),
        "{error}"
    );
    assert!(error.to_string().contains("--vcs"), "{error}");
}
