//! Hostile peers: giant and endless bodies, slow clients, odd paths, redirects to where a public
//! name may not lead, and secrets that must not leak.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::{Connection, Launch, Server, eventually, run_in};

const MOD: &str = "/example.com/m/@v/v1.0.0.mod";
const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const LIST: &str = "/example.com/m/@v/list";
const INFO: &str = "/example.com/m/@v/v1.0.0.info";

fn tree(size: usize) -> Tree {
    let mut tree = Tree::new();
    for name in ["m", "other"] {
        let module = Module::new(&format!("example.com/{name}"), "v1.0.0").filler(size);
        tree.add(&module).unwrap();
    }
    tree
}

fn started(size: usize) -> (Upstream, Server) {
    let upstream = Upstream::start_blocking(tree(size)).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--upstream-timeout", "5s", "--crawl-time", "5s"])
        .start();
    (upstream, server)
}

/// Resident memory in KiB.
fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_endless_small_file_is_ended_at_its_limit() {
    let (upstream, server) = started(0);
    for path in [
        INFO,
        MOD,
        LIST,
        "/example.com/m/@latest",
        "/example.com/m/@v/main.info",
    ] {
        upstream.on(path, Behaviour::new().fault(Fault::Endless));
        let began = Instant::now();
        let answer = server.get(path);
        answer.refuses(502, "larger than");
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{path}: {:?}",
            began.elapsed()
        );
    }
    // The upstream as such is fine.
    assert_eq!(server.get("/example.com/other/@v/list").status, 200);
    assert!(
        resident_kib(&server) < 200 << 10,
        "{} KiB",
        resident_kib(&server)
    );
}

#[test]
fn a_giant_zip_is_refused_by_its_announced_size() {
    let dir = tempfile::tempdir().unwrap();
    tree(0).write_to(dir.path()).unwrap();
    // A hole of half a GiB and a bit: costs no disk.
    let zip = std::fs::File::create(dir.path().join(&ZIP[1..])).unwrap();
    zip.set_len((500 << 20) + 1).unwrap();
    let upstream = Upstream::start_blocking(dir.path()).unwrap();
    let server = Server::over(&upstream.url());
    let began = Instant::now();
    server
        .get(ZIP)
        .refuses(502, "larger than a module zip may be");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_compressed_bomb_is_ended_at_the_limit_of_what_it_unfolds_to() {
    // 40 MiB of newlines in some KiB: a list may have 16 MiB.
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..40 {
        packer.write_all(&[b'\n'; 1 << 20]).unwrap();
    }
    let bomb = packer.finish().unwrap();
    let (upstream, server) = started(0);
    let gzip = Behaviour::new()
        .fault(Fault::Body(bomb.into()))
        .header("Content-Encoding", "gzip");
    upstream.on(LIST, gzip);
    server.get(LIST).refuses(502, "larger than");
}

#[test]
fn slow_clients_do_not_hold_up_others_and_are_ended() {
    let upstream = Upstream::start_blocking(tree(0)).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--client-timeout", "1s"])
        .start();
    assert_eq!(server.get(MOD).status, 200);
    let begin = |text: &str| {
        let mut connection = Connection::open(server.address());
        connection.send_raw(text.as_bytes()).unwrap();
        connection
    };
    // Nothing at all, a letter that may begin any protocol, half a head.
    let mut slow: Vec<_> = [
        "",
        "P",
        "PRI * HT",
        "GET /example.com",
        "GET / HTTP/1.1\r\nHost: x\r\nA",
    ]
    .iter()
    .flat_map(|text| (0..40).map(move |_| text))
    .map(|text| begin(text))
    .collect();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(server.get(MOD).status, 200);
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    for connection in &mut slow {
        // What it says before it hangs up does not matter.
        let mut said = Vec::new();
        let ended = connection.stream.read_to_end(&mut said);
        let reset = |e: std::io::Error| e.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.is_err_and(reset), "it is still open");
    }
    eventually("only the one that asks is open", || {
        server.metric("modkeep_connections") == 1
    });
}

#[test]
fn idle_connections_give_their_places_to_those_who_wait() {
    let upstream = Upstream::start_blocking(tree(0)).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--connections", "3", "--client-timeout", "1s"])
        .start();
    let idle: Vec<_> = (0..9).map(|_| Connection::open(server.address())).collect();
    let began = Instant::now();
    assert_eq!(server.get(MOD).status, 200);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    drop(idle);
}

#[test]
fn slow_readers_do_not_hold_up_others() {
    let (_upstream, server) = started(8 << 20);
    let want = tree(8 << 20).get(ZIP).unwrap().clone();
    // Some come while it is fetched, some when it is kept; none takes a byte of the body.
    let begin = || {
        let mut connection = Connection::open(server.address());
        connection.send("GET", ZIP, &[], b"");
        connection
    };
    let mut slow: Vec<_> = (0..20).map(|_| begin()).collect();
    server.get(ZIP).is(&want);
    slow.extend((0..20).map(|_| begin()));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(server.get(MOD).status, 200);
    }
    server.get(ZIP).is(&want);
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let resident = resident_kib(&server);
    assert!(
        resident < 120 << 10,
        "{resident} KiB while 40 readers sleep"
    );
    let last = slow.pop().unwrap().head(false).finish();
    last.is(&want);
}

#[test]
fn a_slow_upstream_of_one_module_does_not_hold_up_another() {
    let (upstream, server) = started(0);
    upstream.on(
        "/example.com/m/",
        Behaviour::new().latency(Duration::from_secs(3)),
    );
    std::thread::scope(|scope| {
        for at in 0..40 {
            let server = &server;
            scope.spawn(move || server.get(&format!("/example.com/m/@v/v1.0.{at}.mod")));
        }
        std::thread::sleep(Duration::from_millis(200));
        let began = Instant::now();
        for end in [
            "@v/list",
            "@v/v1.0.0.info",
            "@v/v1.0.0.mod",
            "@v/v1.0.0.zip",
        ] {
            assert_eq!(server.get(&format!("/example.com/other/{end}")).status, 200);
        }
        assert!(
            began.elapsed() < Duration::from_secs(2),
            "{:?}",
            began.elapsed()
        );
    });
}

/// A repeatable stream of numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Pieces that mean something to somebody: this server, a file system, a shell, a decoder.
const PIECES: &[&str] = &[
    "example.com",
    "/m",
    "/@v/",
    "list",
    "v1.0.0",
    ".info",
    ".mod",
    ".zip",
    "@latest",
    "/",
    "//",
    "/../",
    "/./",
    "%2e%2e",
    "%2E",
    "%2f",
    "%5c",
    "%00",
    "%0d%0a",
    "%ff",
    "%c0%af",
    "%e2%80%ae",
    "%",
    "%2",
    "%zz",
    "!",
    "!!",
    "!A",
    "%21a",
    "-x",
    "~1",
    "aux",
    "con.txt",
    ":",
    "@",
    "*",
    "$(id)",
    "%24%28id%29",
    "`",
    "%60",
    ";",
    "|",
    "&",
    "'",
    "\"",
    "<",
    ">",
    "{",
    "}",
    "\\",
    "^",
    "sumdb/",
    "sum.golang.org/",
    "lookup/",
    "tile/8/0/",
    "/-/",
    "cached-only/",
    "http://127.0.0.1/",
    "\u{e9}",
    "%C3%A9",
    "+",
    "%2B",
    "v2",
    "/v2/",
    "gopkg.in/x.v1",
    "....",
    "etc/passwd",
    "~",
    "=",
    ",",
];

fn odd_path(dice: &mut Dice) -> Vec<u8> {
    let mut path = b"/".to_vec();
    for _ in 0..=dice.roll(8) {
        path.extend_from_slice(PIECES[dice.roll(PIECES.len())].as_bytes());
        match dice.roll(40) {
            0 => path.extend(std::iter::repeat_n(b'a', dice.roll(6000))),
            // Any byte but those that end the request line.
            1 => path.push(u8::try_from(dice.roll(256)).unwrap()),
            _ => {}
        }
    }
    path.retain(|b| !b" \r\n\t".contains(b));
    path
}

#[test]
fn ten_thousand_odd_paths_get_an_answer_each_and_never_a_file_or_a_bug() {
    let (upstream, server) = started(0);
    let mut dice = Dice(42);
    let mut answers = [0_usize; 6];
    let mut connection: Option<Connection> = None;
    for _ in 0..10_000 {
        let path = odd_path(&mut dice);
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(&path);
        request.extend_from_slice(b" HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut open = connection
            .take()
            .unwrap_or_else(|| Connection::open(server.address()));
        open.send_raw(&request).unwrap();
        let (status, closes) = read_answer(&mut open);
        let shown = String::from_utf8_lossy(&path).into_owned();
        assert!(
            status != 500 && (200..600).contains(&status),
            "{shown}: {status}"
        );
        answers[usize::from(status / 100)] += 1;
        if !closes {
            connection = Some(open);
        }
    }
    assert!(answers[4] > 8_000, "{answers:?}");
    for seen in upstream.seen() {
        let path = seen.path;
        let climbs = path.split('/').any(|part| part == ".." || part == ".");
        assert!(
            !climbs && !path.contains("//") && !path.contains('\\'),
            "{path}"
        );
        let graphic = path.bytes().all(|b| b.is_ascii_graphic());
        assert!(
            graphic && !path.to_ascii_lowercase().contains("%0"),
            "{path}"
        );
    }
    assert_eq!(server.get(MOD).status, 200);
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
    let entries: Vec<_> = std::fs::read_dir(server.home())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(
        entries,
        ["data"],
        "nothing was written outside the data directory"
    );
}

/// Reads one answer of a connection that may live on; its status, and whether it does not.
fn read_answer(connection: &mut Connection) -> (u16, bool) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        match connection.stream.read(&mut buffer) {
            Ok(0) | Err(_) => panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head[9..12].parse().unwrap();
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))
        .map_or(0, |l| l.parse::<usize>().unwrap());
    while bytes.len() < end + length {
        match connection.stream.read(&mut buffer) {
            Ok(0) | Err(_) => return (status, true),
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
    (status, head.contains("connection: close"))
}

#[test]
fn text_that_is_no_request_is_refused_and_harms_nobody() {
    let (_upstream, server) = started(0);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let heads = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(20_000));
    for text in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all, whatever it is",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        long.as_bytes(),
        heads.as_bytes(),
    ] {
        let mut connection = Connection::open(server.address());
        // It may hang up before all of it was sent.
        let _ = connection.send_raw(text);
        let _ = connection.stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _ = connection.stream.read_to_end(&mut said);
        let first = String::from_utf8_lossy(&said)
            .lines()
            .next()
            .unwrap_or("")
            .to_owned();
        assert!(
            !first.contains(" 200 ") && !first.contains(" 500 "),
            "{first}"
        );
        assert_eq!(server.get(MOD).status, 200);
    }
    // The body of a request is nobody's business but the API's, and there it is bounded.
    let huge = format!("{{\"module\":\"{}\"}}", "a".repeat(1 << 20));
    let mut connection = Connection::open(server.address());
    let head = format!(
        "POST /-/api/v1/purge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        huge.len()
    );
    connection.send_raw(head.as_bytes()).unwrap();
    let _ = connection.send_raw(huge.as_bytes());
    if let Ok(answer) = connection.try_head(false) {
        assert_eq!(answer.answer.status, 400);
    }
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

#[test]
fn a_redirect_may_not_lead_to_a_private_address() {
    let inside = Upstream::start_blocking(tree(0)).unwrap();
    let port = inside.address().port();
    let (upstream, server) = started(0);
    assert_eq!(server.get("/example.com/other/@v/list").status, 200);
    let hosts = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LOCALHOST.:{port}"),
        format!("a.localhost:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.1:{port}"),
        format!("0:{port}"),
        "169.254.169.254".to_owned(),
        "10.0.0.1".to_owned(),
        "192.168.0.1".to_owned(),
        "[fe80::1]".to_owned(),
        "[fd00::1]".to_owned(),
        "100.64.0.1".to_owned(),
    ];
    for (at, host) in hosts.iter().enumerate() {
        for scheme in ["http", "https"] {
            upstream.on(
                "/example.com/m/",
                Behaviour::new().fault(Fault::Redirect(format!("{scheme}://{host}{LIST}"))),
            );
            for end in [format!("@v/v1.{at}.0.zip"), "@v/list".to_owned()] {
                let answer = server.get(&format!("/example.com/m/{end}"));
                answer.refuses(502, "private address");
            }
        }
        // It concerns one module: the upstream is asked for others all the same.
        assert_ne!(
            server
                .get(&format!("/example.com/other/@v/v1.{at}.0.mod"))
                .status,
            502
        );
    }
    assert_eq!(inside.connections(), 0, "{:?}", inside.seen());
}

#[test]
fn other_redirects_are_followed_within_limits() {
    let (upstream, server) = started(0);
    let to = |path: &str| Behaviour::new().fault(Fault::Redirect(path.to_owned()));
    // On the same host, relative and absolute.
    upstream.on(
        "/example.com/m/@v/v1.0.0.mod",
        to("/example.com/other/@v/v1.0.0.mod"),
    );
    upstream.on(
        "/example.com/m/@v/list",
        to(&format!("{}/example.com/other/@v/list", upstream.url())),
    );
    server
        .get(MOD)
        .is(tree(0).get("example.com/other/@v/v1.0.0.mod").unwrap());
    server.get(LIST).is("v1.0.0\n");
    upstream.on("/loop/", to("/example.com/loop/@v/list"));
    server
        .get("/example.com/loop/@v/list")
        .refuses(502, "redirects");
    assert!(
        upstream.hits_of("/loop/") <= 11,
        "{}",
        upstream.hits_of("/loop/")
    );
    for bad in [
        "file:///etc/passwd",
        "ftp://example.com/x",
        "gopher://x",
        "http://",
        "javascript:1",
        "data:,x",
    ] {
        upstream.on("/bad/", to(bad));
        let answer = server.get("/example.com/bad/@v/list");
        assert_eq!(answer.status, 502, "{bad}: {}", answer.text());
        assert!(!answer.text().contains("root:"));
    }
    assert_eq!(
        server.get("/example.com/other/@latest").status,
        200,
        "the upstream is asked all the same"
    );
}

#[test]
fn a_clients_credentials_go_nowhere() {
    let (upstream, server) = started(0);
    let secret = [
        ("Authorization", "Basic c2VjcmV0OnNlY3JldA=="),
        ("Cookie", "session=c2VjcmV0"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
    ];
    for path in [MOD, ZIP, LIST] {
        assert_eq!(server.get_with(path, &secret).status, 200);
    }
    let seen = format!("{:?}", upstream.seen());
    assert!(
        !seen.contains("c2VjcmV0") && !seen.contains("203.0.113.9"),
        "{seen}"
    );
}

/// Two upstreams, the first with credentials in its URL, and both in one list.
fn authorizations(upstream: &Upstream) -> Vec<Option<String>> {
    let of = |seen: testkit::upstream::Seen| {
        let found = seen.headers.into_iter().find(|(n, _)| n == "authorization");
        found.map(|(_, v)| v)
    };
    upstream.seen().into_iter().map(of).collect()
}

#[test]
fn credentials_of_a_url_are_for_its_host_only_and_are_never_shown() {
    let first = Upstream::start_blocking(Tree::new()).unwrap();
    let second = Upstream::start_blocking(tree(0)).unwrap();
    let list = format!(
        "http://us%65r:hunter%32@{}|{}",
        first.address(),
        second.url()
    );
    let server = Launch::new()
        .upstream(&list)
        .args(["--access-log", "-", "--log-level", "trace"])
        .start();
    assert_eq!(server.get(MOD).status, 200);
    // "user:hunter2"
    let basic = "Basic dXNlcjpodW50ZXIy".to_owned();
    assert_eq!(authorizations(&first), [Some(basic.clone())]);
    assert_eq!(authorizations(&second), [None]);
    // A redirect to another host does not carry them along, wherever it is refused or not.
    first.on(
        "/same/",
        Behaviour::new().fault(Fault::Redirect("/elsewhere".into())),
    );
    server.get("/example.com/same/@v/list");
    assert!(
        authorizations(&first)
            .iter()
            .all(|a| a.as_ref() == Some(&basic))
    );
    let mut texts = String::new();
    for behaviour in [
        Behaviour::status(500, "boom"),
        Behaviour::status(401, "who are you"),
        Behaviour::new().fault(Fault::Redirect("http://127.0.0.1:1/".into())),
        Behaviour::new().fault(Fault::Body("<html>".into())),
        Behaviour::new().fault(Fault::Close),
    ] {
        first.set(behaviour.clone());
        second.set(behaviour);
        texts.push_str(&server.get("/example.com/x/@v/list").text());
        texts.push_str(&server.get("/-/readyz").text());
    }
    texts.push_str(&server.get("/-/metrics").text());
    let report = server.get("/-/api/v1/versions/example.com/m@v1.0.0");
    texts.push_str(&report.text());
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["config", "show"][..],
        &["config", "check"],
        &["config", "show", "--json"],
    ] {
        let ran = run_in(home.path(), args, &[("MODKEEP_UPSTREAM", &list)]);
        texts.push_str(&format!("{ran:?}"));
    }
    let broken = [("MODKEEP_UPSTREAM", "http://user:hunter2@proxy.example.com")];
    let ran = run_in(home.path(), &["config", "check"], &broken);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    texts.push_str(&format!("{ran:?}"));
    let ended = server.stop();
    texts.push_str(&ended.stderr);
    assert!(
        texts.contains(&first.address().to_string()),
        "the host itself is named"
    );
    for secret in ["hunter", "dXNlcjpodW50ZXIy", "us%65r"] {
        assert!(!texts.contains(secret), "{secret} in {texts}");
    }
}

#[test]
fn credentials_of_a_netrc_are_for_the_machine_it_names() {
    let first = Upstream::start_blocking(Tree::new()).unwrap();
    let second = Upstream::start_blocking(tree(0)).unwrap();
    let launch = Launch::new().upstream(&format!("{},{}", first.url(), second.url()));
    let text = format!("machine {} login user password hunter2\n", first.address());
    std::fs::write(launch.home().join(".netrc"), text).unwrap();
    let server = launch.args(["--log-level", "debug"]).start();
    assert_eq!(server.get(MOD).status, 200);
    assert_eq!(
        authorizations(&first),
        [Some("Basic dXNlcjpodW50ZXIy".to_owned())]
    );
    assert_eq!(authorizations(&second), [None]);
    assert!(!server.stop().stderr.contains("hunter2"));
}

#[test]
fn a_private_name_reaches_no_public_upstream_by_any_path() {
    let mut tree = tree(0);
    tree.add(&Module::new("corp.example/secret", "v1.0.0"))
        .unwrap();
    let upstream = Upstream::start_blocking(tree).unwrap();
    let server = Launch::new()
        .upstream(&upstream.url())
        .args(["--private", "corp.example,*.corp.example"])
        .args(["--sumdb", "sum.golang.org"])
        .start();
    for name in [
        "corp.example/secret",
        "corp.example/!secret",
        "a.corp.example/x/v2",
        "corp.example/%73ecret",
    ] {
        for end in [
            "@v/list",
            "@latest",
            "@v/v1.0.0.info",
            "@v/v2.0.0.mod",
            "@v/v1.0.0.zip",
            "@v/main.info",
        ] {
            let answer = server.get(&format!("/{name}/{end}"));
            assert!(answer.status >= 400, "{name}/{end}");
        }
        let lookup = server.get(&format!("/sumdb/sum.golang.org/lookup/{name}@v1.0.0"));
        lookup.refuses(403, "private");
        // Nor does an odd one that only looks like it.
        server.get(&format!("/sumdb/sum.golang.org/lookup/{name}"));
        server.get(&format!("/sumdb/sum.golang.org/lookup/{name}@"));
    }
    for seen in upstream.seen() {
        assert!(!seen.path.contains("corp"), "{}", seen.path);
    }
}

#[test]
fn an_upstreams_text_cannot_write_into_the_clients_terminal_or_headers() {
    let (upstream, server) = started(0);
    for status in [404, 403, 500] {
        upstream.set(Behaviour::status(
            status,
            "bad\u{1b}[31m\u{7}\r\nSet-Cookie: a=b\n\n\u{0}end",
        ));
        let answer = server.get(&format!("/example.com/s{status}/@v/list"));
        let text = answer.text();
        assert!(
            !text
                .chars()
                .any(|c| c.is_control() && c != '\n' && c != '\t'),
            "{text:?}"
        );
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let long = "x".repeat(100_000);
    upstream.set(Behaviour::status(500, &long));
    let answer = server.get("/example.com/long/@v/list");
    assert!(answer.body.len() <= 648, "{}", answer.body.len());
}
