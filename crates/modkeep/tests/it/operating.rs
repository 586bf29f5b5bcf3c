//! What an operator meets: starting, stopping, listeners, certificates, logs, limits, the API.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::{Behaviour, Fault, Module, Tree, Upstream};

use crate::common::{Connection, Launch, PATIENCE, Server, eventually};

const ZIP: &str = "/example.com/m/@v/v1.0.0.zip";
const MOD: &str = "/example.com/m/@v/v1.0.0.mod";

fn tree() -> Tree {
    let mut tree = Tree::new();
    tree.add(&Module::new("example.com/m", "v1.0.0").filler(600 << 10))
        .unwrap();
    tree
}

fn upstream() -> Upstream {
    Upstream::start_blocking(tree()).unwrap()
}

/// Speaks HTTP/1.1 over anything.
fn ask(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: modkeep.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A peer that forgets to end TLS properly has ended all the same.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn refuses_connections(address: std::net::SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

mod stopping {
    use super::*;

    #[test]
    fn a_running_download_finishes_new_connections_are_refused_and_the_exit_is_0() {
        for signal in [Signal::TERM, Signal::INT] {
            let upstream = upstream();
            upstream.on(".zip", Behaviour::new().bytes_per_second(400 << 10));
            let server = Server::over(&upstream.url());
            let idle = Connection::open(server.address());
            let mut download = server.follow("GET", ZIP, &[]);
            download.until(50_000);
            let address = server.address();
            server.signal(signal);
            eventually("new connections are refused", || {
                refuses_connections(address)
            });
            let answer = download.finish();
            answer.is(tree().get(ZIP).unwrap());
            let ended = server.wait();
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            drop(idle);
            // What was downloaded while stopping is kept.
            drop(upstream);
            Launch::again(&ended)
                .start()
                .get(ZIP)
                .is(tree().get(ZIP).unwrap());
        }
    }

    #[test]
    fn requests_that_take_too_long_are_cut_after_the_grace() {
        let upstream = upstream();
        upstream.on(".zip", Behaviour::new().fault(Fault::HangAfter(300_000)));
        let server = Launch::new()
            .upstream(&upstream.url())
            .args(["--grace", "500ms"])
            .start();
        let mut download = server.follow("GET", ZIP, &[]);
        download.until(100_000);
        let began = Instant::now();
        let ended = server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(began.elapsed() >= Duration::from_millis(450));
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        assert!(!download.finish().whole);
    }

    #[test]
    fn idle_connections_do_not_delay_the_end() {
        let server = Server::over("off");
        let address = server.address();
        // One that was never used, one that has been, one that has begun to ask.
        let unused = Connection::open(address);
        let mut used = Connection::open(address);
        used.send_raw(b"GET /-/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut first = [0; 12];
        used.stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        let began = Instant::now();
        let ended = server.stop();
        assert_eq!(ended.code, Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        drop((unused, used));
    }

    #[test]
    fn a_server_ends_in_the_middle_of_anything() {
        // A slow upstream, a background refresh, look-ahead: none may hold the end up.
        let upstream = upstream();
        upstream.set(Behaviour::new().latency(Duration::from_secs(10)));
        let server = Launch::new()
            .upstream(&upstream.url())
            .look_ahead()
            .args(["--grace", "300ms"])
            .start();
        let waiting: Vec<_> = (0..5)
            .map(|i| {
                let mut connection = Connection::open(server.address());
                let path = format!("/example.com/m{i}/@v/list");
                connection.send("GET", &path, &[], b"");
                connection
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        let ended = server.stop();
        assert_eq!(ended.code, Some(0));
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        drop(waiting);
    }
}

mod listening {
    use super::*;

    fn over_unix(path: &Path, what: &str) -> String {
        ask(UnixStream::connect(path).unwrap(), what)
    }

    #[test]
    fn several_listeners_each_have_a_ready_line_and_answer() {
        let upstream = upstream();
        let launch = Launch::new().upstream(&upstream.url());
        let socket = launch.home().join("modkeep.sock");
        let unix = format!("unix:{}", socket.display());
        let mut server = launch
            .args(["--listen", "[::1]:0", "--listen", &unix])
            .start();
        assert_ne!(server.address().port(), 0);
        let second = server.stdout_line();
        let url = second
            .trim_end()
            .strip_prefix("modkeep ready http://")
            .unwrap();
        let second: std::net::SocketAddr = url.parse().unwrap();
        assert!(second.is_ipv6());
        assert_eq!(server.stdout_line(), format!("modkeep ready {unix}\n"));
        let body = String::from_utf8(tree().get(MOD).unwrap().to_vec()).unwrap();
        assert!(over_unix(&socket, MOD).ends_with(&body));
        assert!(ask(TcpStream::connect(second).unwrap(), MOD).ends_with(&body));
        server.get(MOD).is(&body);
        assert_eq!(upstream.hits(MOD), 1);
        let hint = server.stderr();
        assert!(
            hint.contains(&format!("go env -w GOPROXY={}", server.url)),
            "{hint}"
        );
        assert_eq!(server.stop().code, Some(0));
        assert!(!socket.exists(), "the socket is removed at the end");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let launch = Launch::new();
        let socket = launch.home().join("modkeep.sock");
        let unix = format!("unix:{}", socket.display());
        let server = launch.args(["--listen", &unix]).start();
        let second = Launch::new();
        let Err(ran) = second.args(["--listen", &unix]).try_start() else {
            panic!("two servers on one socket");
        };
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.stderr.contains(&unix), "{ran:?}");
        eventually("the first still answers", || {
            over_unix(&socket, "/-/healthz").starts_with("HTTP/1.1 200")
        });
        let ended = server.kill();
        assert!(socket.exists(), "a killed server leaves its socket");
        let again = Launch::again(&ended).args(["--listen", &unix]).start();
        assert!(over_unix(&socket, "/-/healthz").starts_with("HTTP/1.1 200"));
        drop(again);
        // Anything else than a socket is somebody's.
        std::fs::remove_file(&socket).unwrap();
        std::fs::write(&socket, "precious").unwrap();
        let Err(ran) = Launch::again(&ended).args(["--listen", &unix]).try_start() else {
            panic!("it replaced a file");
        };
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
    }

    #[test]
    fn an_address_that_is_taken_or_is_not_ours_is_a_clear_error() {
        let first = Server::over("off");
        let taken = first.address().to_string();
        for address in [taken.as_str(), "192.0.2.1:8080", "no.such.name.invalid:80"] {
            let Err(ran) = Launch::new().args(["--listen", address]).try_start() else {
                panic!("it listens on {address}");
            };
            assert_eq!(ran.code, Some(3), "{ran:?}");
            assert!(ran.stderr.contains(address), "{ran:?}");
        }
        for address in ["8080", "127.0.0.1", "127.0.0.1:99999", "unix:", "x:y"] {
            let Err(ran) = Launch::new().args(["--listen", address]).try_start() else {
                panic!("it listens on {address}");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains("--listen"), "{ran:?}");
        }
    }

    #[test]
    fn a_restart_takes_the_same_port_at_once() {
        let server = Server::over("off");
        server.get("/-/healthz");
        let address = server.address().to_string();
        let ended = server.kill();
        let again = Launch::again(&ended).args(["--listen", &address]).start();
        drop(again);
    }

    #[test]
    fn everything_is_below_the_prefix() {
        let upstream = upstream();
        for (given, prefix) in [("/go", "/go"), ("/a/b/", "/a/b"), ("/", "")] {
            let server = Launch::new()
                .upstream(&upstream.url())
                .args(["--prefix", given])
                .start();
            assert_eq!(server.url, format!("http://{}{prefix}", server.address()));
            server
                .get(&format!("{prefix}{MOD}"))
                .is(tree().get(MOD).unwrap());
            server
                .get(&format!("{prefix}/cached-only{MOD}"))
                .is(tree().get(MOD).unwrap());
            for own in ["/-/healthz", "/-/readyz", "/-/metrics"] {
                assert_eq!(server.get(&format!("{prefix}{own}")).status, 200);
            }
            if !prefix.is_empty() {
                assert_eq!(server.get(MOD).status, 404);
                assert_eq!(server.get("/-/healthz").status, 404);
                assert_eq!(server.get(&format!("{prefix}x{MOD}")).status, 404);
            }
        }
    }
}

mod https {
    use super::*;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::pki_types::{CertificateDer, ServerName};

    struct Pair {
        cert: PathBuf,
        key: PathBuf,
        der: CertificateDer<'static>,
    }

    /// A certificate of its own making, written where the server finds it.
    fn pair(dir: &Path) -> Pair {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let pair = Pair {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            der: cert.der().clone(),
        };
        std::fs::write(&pair.cert, cert.pem()).unwrap();
        std::fs::write(&pair.key, signing_key.serialize_pem()).unwrap();
        pair
    }

    fn launch(pair: &Pair) -> Launch {
        Launch::new()
            .arg("--tls-cert")
            .arg(&pair.cert)
            .arg("--tls-key")
            .arg(&pair.key)
    }

    /// A connection of a client that trusts this certificate alone.
    fn connect(
        server: &Server,
        trusted: &CertificateDer<'static>,
    ) -> Result<rustls::StreamOwned<rustls::ClientConnection, TcpStream>, String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tcp = TcpStream::connect(server.address()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp).map_err(|e| e.to_string())?;
        }
        Ok(rustls::StreamOwned::new(tls, tcp))
    }

    #[test]
    fn a_client_gets_everything_over_http_1_1_and_2() {
        let home = tempfile::tempdir().unwrap();
        let pair = pair(home.path());
        let upstream = upstream();
        let server = launch(&pair).upstream(&upstream.url()).start();
        assert!(server.url.starts_with("https://"), "{}", server.url);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let trusted = reqwest::Certificate::from_der(&pair.der).unwrap();
        let builder = || {
            let client = reqwest::Client::builder().no_proxy();
            client.tls_certs_only([trusted.clone()])
        };
        for (client, version) in [
            (builder().http1_only(), reqwest::Version::HTTP_11),
            (builder(), reqwest::Version::HTTP_2),
        ] {
            let client = client.build().unwrap();
            for path in [MOD, ZIP, ZIP] {
                let url = format!("{}{path}", server.url);
                let (got, body) = runtime.block_on(async {
                    let answer = client.get(url).send().await.unwrap();
                    assert_eq!(answer.status().as_u16(), 200);
                    (answer.version(), answer.bytes().await.unwrap())
                });
                assert_eq!(got, version);
                assert!(body == tree().get(path).unwrap(), "{path}");
            }
        }
        assert_eq!(upstream.hits(ZIP), 1);
    }

    #[test]
    fn a_plain_client_and_a_silent_one_harm_nobody() {
        let home = tempfile::tempdir().unwrap();
        let pair = pair(home.path());
        let server = launch(&pair).start();
        let silent: Vec<_> = (0..20)
            .map(|_| Connection::open(server.address()))
            .collect();
        let mut plain = Connection::open(server.address());
        plain
            .send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut said = Vec::new();
        let _ = plain.stream.read_to_end(&mut said);
        assert!(!said.starts_with(b"HTTP/1.1 200"));
        let answer = ask(connect(&server, &pair.der).unwrap(), "/-/healthz");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        drop(silent);
    }

    #[test]
    fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        let old = pair(home.path());
        let server = launch(&old).start();
        connect(&server, &old.der).unwrap();
        // Half-written files leave the old certificate in force.
        let good = std::fs::read(&old.cert).unwrap();
        std::fs::write(&old.cert, &good[..good.len() / 2]).unwrap();
        eventually("the log says that it was not reloaded", || {
            server.stderr().contains("certificate not reloaded")
        });
        connect(&server, &old.der).unwrap();
        let new = pair(home.path());
        eventually("the new certificate is shown", || {
            connect(&server, &new.der).is_ok()
        });
        assert!(connect(&server, &old.der).is_err());
        assert!(server.stderr().contains("certificate reloaded"));
    }

    #[test]
    fn certificate_files_that_cannot_be_used_are_clear_errors() {
        let home = tempfile::tempdir().unwrap();
        let good = pair(home.path());
        let other_dir = home.path().join("other");
        std::fs::create_dir(&other_dir).unwrap();
        let other = pair(&other_dir);
        let empty = home.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let garbage = home.path().join("garbage.pem");
        let text = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n";
        std::fs::write(&garbage, text).unwrap();
        let missing = home.path().join("missing.pem");
        for (cert, key, part) in [
            (&missing, &good.key, "missing.pem"),
            (&good.cert, &missing, "missing.pem"),
            (&empty, &good.key, "empty.pem"),
            (&good.cert, &empty, "empty.pem"),
            (&garbage, &good.key, "garbage.pem"),
            // Key and certificate exchanged, and a key of another certificate.
            (&good.key, &good.cert, "key.pem"),
            (&good.cert, &other.key, "certificate and key"),
        ] {
            let launch = Launch::new()
                .arg("--tls-cert")
                .arg(cert)
                .arg("--tls-key")
                .arg(key);
            let Err(ran) = launch.try_start() else {
                panic!("it started with {part}");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(part), "{part}: {ran:?}");
            assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        }
        for flag in ["--tls-cert", "--tls-key"] {
            let Err(ran) = Launch::new().arg(flag).arg(&good.cert).try_start() else {
                panic!("it started with {flag} alone");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains("go together"), "{ran:?}");
        }
    }
}

mod logs {
    use super::*;

    #[test]
    fn the_access_log_is_one_line_for_each_request_as_text() {
        let upstream = upstream();
        let launch = Launch::new().upstream(&upstream.url());
        let file = launch.home().join("access.log");
        let server = launch.arg("--access-log").arg(&file).start();
        let first = server.get(MOD);
        server.get(MOD);
        server.head(ZIP);
        server.get("/x%1b[31m/@v/list");
        server.get("/-/healthz");
        let lines = || -> Vec<String> {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        eventually("five lines", || lines().len() == 5);
        let lines = lines();
        let fields: Vec<&str> = lines[0].split(' ').collect();
        assert!(fields[0].parse::<f64>().unwrap() > 1.6e9, "{}", lines[0]);
        let id = first.header("x-request-id").unwrap();
        let size = format!("{}B", first.body.len());
        assert_eq!(fields[1..6], ["127.0.0.1", "GET", MOD, "200", &size]);
        assert_eq!(fields[7..], ["miss", id]);
        assert!(lines[1].contains(" hit "), "{}", lines[1]);
        assert!(lines[2].contains(" HEAD "), "{}", lines[2]);
        assert!(!lines[3].contains('\u{1b}'), "{}", lines[3]);
        // The file is appended to by the next life.
        let ended = server.stop();
        let server = Launch::again(&ended).arg("--access-log").arg(&file).start();
        server.get("/-/healthz");
        eventually("six lines", || {
            std::fs::read_to_string(&file).unwrap().lines().count() == 6
        });
    }

    #[test]
    fn both_logs_are_one_json_object_for_each_line() {
        let upstream = upstream();
        upstream.on("/broken/", Behaviour::status(500, "boom"));
        let server = Launch::new()
            .upstream(&upstream.url())
            .args(["--access-log", "-", "--log-format", "json"])
            .start();
        server.get(MOD);
        server.get("/example.com/broken/@v/list");
        server.get_with(ZIP, &[("User-Agent", "Go-http-client/1.1 \"quoted\"")]);
        eventually("three lines and the event", || {
            let log = server.stderr();
            log.matches("\"micros\"").count() == 3 && log.contains("answered with an error")
        });
        let log = server.stderr();
        let mut access = 0;
        let mut events = 0;
        // What is said before the logs begin is for people.
        for line in log.lines().filter(|l| l.starts_with('{')) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            if line.get("micros").is_some() {
                access += 1;
                for name in [
                    "time", "id", "client", "method", "path", "status", "cache", "agent",
                ] {
                    assert!(line.get(name).is_some(), "{name}: {line}");
                }
            } else {
                events += 1;
                for name in ["timestamp", "level", "message"] {
                    assert!(line.get(name).is_some(), "{name}: {line}");
                }
            }
        }
        assert_eq!(access, 3);
        assert!(events > 0);
        let others: Vec<_> = log.lines().filter(|l| !l.starts_with('{')).collect();
        assert!(others.len() <= 2, "{others:?}");
    }

    #[test]
    fn a_secret_is_in_no_log_no_answer_and_no_metric() {
        let upstream = upstream();
        upstream.on("/broken/", Behaviour::status(500, "boom"));
        let list = upstream.url().replace("http://", "http://user:hunter2@");
        let server = Launch::new()
            .upstream(&format!("{list}|http://user:hunter2@127.0.0.1:1"))
            .args(["--access-log", "-", "--log-level", "trace"])
            .start();
        server.get(MOD).is(tree().get(MOD).unwrap());
        let mut said = String::new();
        for path in [
            "/example.com/broken/@v/list",
            ZIP,
            "/-/readyz",
            "/-/metrics",
            "/-/api/v1/versions/example.com/m@v1.0.0",
        ] {
            said.push_str(&server.get(path).text());
        }
        said.push_str(&server.stop().stderr);
        assert!(!said.contains("hunter2"), "{said}");
        for list in [
            "http://u:hunter2@",
            "ftp://u:hunter2@x",
            "http://u:hunter2@x:99999",
        ] {
            let Err(ran) = Launch::new().upstream(list).try_start() else {
                panic!("it started with {list}");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }

    #[test]
    fn an_access_log_that_cannot_be_written_is_a_clear_error() {
        let Err(ran) = Launch::new()
            .args(["--access-log", "/no/such/directory/access.log"])
            .try_start()
        else {
            panic!("it started");
        };
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.stderr.contains("/no/such/directory/access.log"),
            "{ran:?}"
        );
    }
}

mod api {
    use super::*;

    const JSON: (&str, &str) = ("Content-Type", "application/json");

    #[test]
    fn health_is_about_the_process_and_readiness_about_the_work() {
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        let health = server.get("/-/healthz");
        health.is("ok\n");
        assert_eq!(health.header("cache-control"), Some("no-store"));
        let ready = server.get("/-/readyz");
        assert_eq!(ready.status, 200);
        let body = ready.json();
        assert_eq!(body["schema"], "modkeep.ready/1");
        assert_eq!(body["ready"], true);
        assert_eq!(body["store"]["writable"], true);
        assert_eq!(body["upstreams"][0]["up"], true);
        // Upstreams that are down are told, and are no reason to take the server out of service: it
        // has a store to answer from.
        drop(upstream);
        server.get("/example.com/none/@v/list");
        eventually("the upstream is down", || {
            server.get("/-/readyz").json()["upstreams"][0]["up"] == false
        });
        let ready = server.get("/-/readyz");
        assert_eq!(ready.status, 200, "{}", ready.text());
        assert!(ready.json()["upstreams"][0]["reason"].is_string());
        assert_eq!(server.get("/-/healthz").status, 200);
        for path in ["/-/healthz", "/-/readyz", "/-/metrics"] {
            let head = server.head(path);
            assert_eq!(head.status, 200, "{path}");
            let post = server.post(path, &[], "");
            assert_eq!(post.status, 405, "{path}");
            assert_eq!(post.header("allow"), Some("GET, HEAD"));
        }
        for path in [
            "/-/",
            "/-/nothing",
            "/-/api/",
            "/-/api/v1/nothing",
            "/-/api/v2/purge",
        ] {
            let answer = server.get(path);
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
        }
    }

    #[test]
    fn fetch_and_purge_obey_this_machine_and_nobody_behind_it() {
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        let body = "{\"module\":\"example.com/m\",\"version\":\"v1.0.0\"}";
        for what in ["fetch", "purge"] {
            let path = format!("/-/api/v1/{what}");
            for header in [
                ("Origin", "https://evil.example"),
                ("Origin", "null"),
                ("X-Forwarded-For", "10.0.0.1"),
                ("Forwarded", "for=10.0.0.1"),
                ("Via", "1.1 proxy"),
            ] {
                let answer = server.post(&path, &[JSON, header], body);
                assert_eq!(answer.status, 403, "{what} {header:?}");
                let problem = answer.json();
                assert_eq!(problem["status"], 403);
                assert!(problem["detail"].is_string());
            }
            // What a form of a web page could send.
            for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let answer = server.post(&path, &[("Content-Type", kind)], body);
                assert_eq!(answer.status, 400, "{what} {kind}");
            }
            assert_eq!(server.get(&path).status, 405);
        }
        assert_eq!(upstream.hits_of(""), 0);
        let fetched = server.post("/-/api/v1/fetch", &[JSON], body);
        assert_eq!(fetched.status, 200, "{}", fetched.text());
        let fetched = fetched.json();
        assert_eq!(fetched["module"], "example.com/m");
        assert_eq!(fetched["version"], "v1.0.0");
        assert!(fetched["h1"].as_str().unwrap().starts_with("h1:"));
        assert!(fetched["gomod"].as_str().unwrap().starts_with("h1:"));
        assert_eq!(upstream.hits(ZIP), 1);
    }

    #[test]
    fn a_host_name_of_somebody_else_does_not_make_a_browser_an_operator() {
        // DNS rebinding: a web page's own name resolves to this machine.
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        let body = "{\"module\":\"example.com/m\"}";
        let headers = [
            JSON,
            ("Host", "evil.example"),
            ("Origin", "http://evil.example"),
        ];
        assert_eq!(server.post("/-/api/v1/purge", &headers, body).status, 403);
    }

    #[test]
    fn the_admin_token_is_asked_of_everybody_when_there_is_one() {
        let upstream = upstream();
        let launch = Launch::new().upstream(&upstream.url());
        let token = launch.home().join("token");
        std::fs::write(&token, "  correct horse\n").unwrap();
        let server = launch.arg("--admin-token-file").arg(&token).start();
        let body = "{\"module\":\"example.com/m\",\"version\":\"v1.0.0\"}";
        let post = |headers: &[(&str, &str)]| {
            let all: Vec<_> = [JSON].iter().chain(headers).copied().collect();
            server.post("/-/api/v1/fetch", &all, body).status
        };
        assert_eq!(post(&[]), 403);
        for wrong in [
            "Bearer ",
            "Bearer correct",
            "Basic correct horse",
            "correct horse",
        ] {
            assert_eq!(post(&[("Authorization", wrong)]), 403, "{wrong}");
        }
        assert_eq!(upstream.hits_of(""), 0);
        // With the token it does not matter where the request came from.
        let right = ("Authorization", "Bearer correct horse");
        assert_eq!(post(&[right, ("X-Forwarded-For", "10.0.0.1")]), 200);
        // Reading needs none.
        assert_eq!(server.get("/-/readyz").status, 200);
        server.get(MOD).is(tree().get(MOD).unwrap());
        for (text, part) in [("", "empty"), (" \n", "empty")] {
            std::fs::write(&token, text).unwrap();
            let launch = Launch::new().arg("--admin-token-file").arg(&token);
            let Err(ran) = launch.try_start() else {
                panic!("it started with an empty token");
            };
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains(part), "{ran:?}");
        }
    }

    #[test]
    fn bodies_are_bounded_and_bad_ones_are_refused() {
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        let long = format!("{{\"module\":\"{}\"}}", "a".repeat(100 << 10));
        for body in [
            "",
            "null",
            "{}",
            "[1]",
            "{\"module\":7}",
            "{\"module\":\"example.com/m\",\"unknown\":true}",
            "{\"module\":\"example.com/../m\"}",
            "{\"module\":\"-x\"}",
            "{\"module\":\"example.com/m\",\"version\":\"../../etc\"}",
            "{\"module\":\"example.com/m\"} trailing",
            long.as_str(),
        ] {
            for what in ["fetch", "purge"] {
                let answer = server.post_json(&format!("/-/api/v1/{what}"), body);
                let shown: String = body.chars().take(60).collect();
                assert!(
                    (400..=413).contains(&answer.status),
                    "{what} {shown}: {}",
                    answer.text()
                );
                assert_eq!(answer.json()["status"], answer.status);
            }
        }
        assert_eq!(upstream.hits_of(""), 0);
    }

    #[test]
    fn a_versions_report_says_what_is_kept_and_where_it_came_from() {
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        let report = |what: &str| server.get(&format!("/-/api/v1/versions/{what}"));
        assert_eq!(report("example.com/m@v1.0.0").status, 404);
        server.get(MOD);
        server.get(ZIP);
        let found = report("example.com/m@v1.0.0");
        assert_eq!(found.status, 200);
        assert_eq!(found.header("content-type"), Some("application/json"));
        let found = found.json();
        assert_eq!(found["module"], "example.com/m");
        assert_eq!(found["version"], "v1.0.0");
        let files = found["files"].as_array().unwrap();
        let names: Vec<_> = files.iter().map(|f| f["file"].as_str().unwrap()).collect();
        assert_eq!(names, [".mod", ".zip"]);
        for file in files {
            assert_eq!(file["sha256"].as_str().unwrap().len(), 64);
            assert!(file["h1"].as_str().unwrap().starts_with("h1:"));
            assert!(file["source"].as_str().unwrap().contains("127.0.0.1"));
            assert!(file["fetched"].as_i64().unwrap() > 1_600_000_000);
        }
        assert_eq!(files[1]["size"], tree().get(ZIP).unwrap().len());
        for bad in [
            "example.com/m",
            "example.com/m@",
            "@v1.0.0",
            "../x@v1.0.0",
            "%2e%2e@v1",
        ] {
            let answer = report(bad);
            assert!(
                matches!(answer.status, 400 | 404),
                "{bad}: {}",
                answer.status
            );
        }
    }
}

mod limits {
    use super::*;

    #[test]
    fn connections_beyond_the_limit_wait_until_one_ends() {
        let upstream = upstream();
        let server = Launch::new()
            .upstream(&upstream.url())
            .args(["--connections", "4"])
            .start();
        let mut open: Vec<_> = (0..4)
            .map(|_| {
                let mut one = Connection::open(server.address());
                one.send_raw(b"GET /-/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                    .unwrap();
                let mut head = [0; 12];
                one.stream.read_exact(&mut head).unwrap();
                one
            })
            .collect();
        let mut fifth = Connection::open(server.address());
        fifth.send("GET", "/-/healthz", &[], b"");
        let short = Some(Duration::from_millis(300));
        fifth.stream.set_read_timeout(short).unwrap();
        let early = fifth.stream.read(&mut [0; 1]);
        assert!(early.is_err(), "the fifth is answered while four are open");
        drop(open.pop());
        fifth.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        fifth.head(false).finish().is("ok\n");
        drop(open);
        assert_eq!(server.get("/-/healthz").status, 200);
    }

    #[test]
    fn more_connections_than_the_system_gives_files_do_not_stop_it() {
        let upstream = upstream();
        let server = Server::over(&upstream.url());
        server.get(ZIP).is(tree().get(ZIP).unwrap());
        // What a container with small limits gives it.
        let limited = std::process::Command::new("prlimit")
            .args(["--pid", &server.pid().to_string(), "--nofile=64:64"])
            .status();
        if !limited.is_ok_and(|s| s.success()) {
            return;
        }
        let many: Vec<_> = (0..200)
            .map(|_| TcpStream::connect(server.address()))
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        drop(many);
        eventually("it answers again", || {
            server.get("/-/healthz").status == 200
        });
        server.get(ZIP).is(tree().get(ZIP).unwrap());
    }

    #[test]
    fn a_reader_that_takes_nothing_is_cut() {
        let mut tree = Tree::new();
        tree.add(&Module::new("example.com/m", "v1.0.0").filler(12 << 20))
            .unwrap();
        let upstream = Upstream::start_blocking(tree.clone()).unwrap();
        let server = Launch::new()
            .upstream(&upstream.url())
            .args(["--client-timeout", "1s"])
            .start();
        let mut whole = server.get(ZIP);
        whole.is(tree.get(ZIP).unwrap());
        let mut lazy: Vec<_> = (0..5)
            .map(|_| {
                let mut one = Connection::open(server.address());
                one.send("GET", ZIP, &[], b"");
                one
            })
            .collect();
        eventually("their connections are there", || {
            server.metric("modkeep_connections") == 6
        });
        eventually("their connections are gone", || {
            server.metric("modkeep_connections") == 1
        });
        // One that takes its time but takes something is served to the end.
        for _ in 0..3 {
            whole = slowly(&server, Duration::from_millis(500));
            whole.is(tree.get(ZIP).unwrap());
        }
        let cut = lazy.pop().unwrap().head(false).finish();
        assert!(!cut.whole);
    }

    /// Reads a part, pauses, reads the rest.
    fn slowly(server: &Server, pause: Duration) -> crate::common::Answer {
        let mut download = server.follow("GET", ZIP, &[]);
        for part in 1..4 {
            download.until(part * 2_000_000);
            std::thread::sleep(pause);
        }
        download.finish()
    }

    #[test]
    fn memory_stays_small_under_load() {
        if cfg!(debug_assertions) {
            return;
        }
        let mut tree = Tree::new();
        for i in 0..200 {
            let module = Module::new(&format!("example.com/m{i}"), "v1.0.0");
            tree.add(&module.filler(if i % 10 == 0 { 8 << 20 } else { 100 << 10 }))
                .unwrap();
        }
        let upstream = Upstream::start_blocking(tree.clone()).unwrap();
        let server = Server::over(&upstream.url());
        std::thread::scope(|scope| {
            for client in 0..40 {
                let (server, tree) = (&server, &tree);
                scope.spawn(move || {
                    for i in 0..60 {
                        let module = (client * 7 + i * 13) % 200;
                        let path = format!("/example.com/m{module}/@v/v1.0.0.zip");
                        server.get(&path).is(tree.get(&path).unwrap());
                        let list = format!("/example.com/m{module}/@v/list");
                        assert_eq!(server.get(&list).status, 200);
                    }
                });
            }
        });
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib <= 64 << 10, "{kib} KiB at the most");
    }

    /// An HTTP/2 client made by hand, which never allows a byte of a body.
    fn greedy_and_lazy(server: &Server, streams: u32) -> TcpStream {
        let mut wire = Vec::from(*b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
            wire.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
            wire.extend_from_slice(&[kind, flags]);
            wire.extend_from_slice(&stream.to_be_bytes());
            wire.extend_from_slice(payload);
        };
        // SETTINGS_INITIAL_WINDOW_SIZE = 0.
        frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        // :method GET, :scheme http, :path and :authority as literals.
        let mut head = vec![0x82, 0x86, 0x04, ZIP.len() as u8];
        head.extend_from_slice(ZIP.as_bytes());
        head.extend_from_slice(b"\x01\x01x");
        for stream in 0..streams {
            frame(1, 0x5, stream * 2 + 1, &head);
        }
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&wire).unwrap();
        stream
    }

    #[test]
    fn an_http_2_client_that_asks_and_takes_nothing_is_cut() {
        let upstream = upstream();
        let server = Launch::new()
            .upstream(&upstream.url())
            .args(["--client-timeout", "1s"])
            .start();
        server.get(ZIP).is(tree().get(ZIP).unwrap());
        let lazy: Vec<_> = (0..5).map(|_| greedy_and_lazy(&server, 50)).collect();
        eventually("their connections are there", || {
            server.metric("modkeep_connections") == 6
        });
        eventually("their connections are gone", || {
            server.metric("modkeep_connections") == 1
        });
        // They did get heads: it was the bodies that they did not take.
        for stream in lazy {
            let mut input = BufReader::new(stream);
            assert!(!input.fill_buf().unwrap_or_default().is_empty());
        }
    }
}
