//! The faults, each with the cause that must be named first.

#![allow(
    clippy::unit_arg,
    reason = "what is done and that it could be done, in one line each"
)]

use super::lab::*;
use crate::golang::{SUMDB, log_of, relay};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::Duration;
use testkit::{Behaviour, Fault, MemLog, Module, Tree, Upstream};

/// Number, name, the cause (with a variant where it matters), and how it is made. False: it cannot be
/// made on this system.
pub type Scenario = (u8, &'static str, &'static str, fn(&mut Lab) -> bool);

fn yes(_: impl Sized) -> bool {
    true
}

fn body(bytes: impl Into<Vec<u8>>) -> Behaviour {
    Behaviour::new().fault(Fault::Body(bytes.into().into()))
}

/// A server without TLS or HTTP of its own in front of nothing.
fn raw(lab: &mut Lab, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> bool {
    let at = listen("127.0.0.1:0", serve);
    lab.goproxy = https(PROXY, at);
    true
}

fn forward(lab: &mut Lab, answer: &'static str) -> bool {
    let at = listen("127.0.0.1:0", move |mut stream| {
        first_bytes(&mut stream);
        let _ = stream.write_all(answer.as_bytes());
    });
    lab.set("HTTPS_PROXY", &format!("http://{at}"));
    true
}

/// A second proxy with these contents, by name.
fn second(lab: &mut Lab, tree: Tree) -> String {
    let upstream = Upstream::start_blocking(tree).unwrap();
    let at = tls(&lab.authority, Cert::Good, upstream.address());
    lab.others.push(upstream);
    https(SECOND, at)
}

/// The relay of a log whose record of the module is what `change` makes of it.
fn other_log(lab: &Lab, change: impl Fn(String, String) -> (String, String)) {
    let module = module();
    let (zip, go_mod) = crate::golang::sums(&module);
    let (zip, go_mod) = change(zip, go_mod);
    let mut log = MemLog::new(SUMDB, [7; 32]).unwrap();
    log.add(MODULE, VERSION, &zip, &go_mod);
    let mut tree = Tree::new();
    tree.add(&module).unwrap();
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&module]);
    lab.back.replace(tree);
}

pub const FAULTS: &[Scenario] = &[
    (2, "NXDOMAIN", "dns_failure:nxdomain", |lab| {
        yes(lab.dns.set(PROXY, Says::Code(3)))
    }),
    (3, "SERVFAIL", "dns_failure:servfail", |lab| {
        yes(lab.dns.set(PROXY, Says::Code(2)))
    }),
    (4, "REFUSED", "dns_failure:refused", |lab| {
        yes(lab.dns.set(PROXY, Says::Code(5)))
    }),
    (5, "no address", "dns_failure:nodata", |lab| {
        yes(lab.dns.set(PROXY, Says::NoData))
    }),
    (6, "no answer of DNS", "dns_failure:timeout", |lab| {
        yes(lab.dns.set(PROXY, Says::Nothing))
    }),
    (7, "a slow DNS server", "slow_resolver", |lab| {
        yes(lab.dns.set(PROXY, Says::Late(Duration::from_secs(3))))
    }),
    (8, "a name points to a foreign host", "dns_hijack", |lab| {
        let port = lab.goproxy.rsplit(':').next().unwrap().to_owned();
        let at = format!("127.0.0.2:{port}");
        if std::net::TcpListener::bind(&at).is_err() {
            return false;
        }
        tls_at(&lab.authority, Cert::OtherName, lab.back.address(), &at);
        let lying = Dns::start();
        lying.set(PROXY, Says::Address(IpAddr::from([127, 0, 0, 2])));
        lab.resolvers.insert(0, lying.address);
        true
    }),
    (9, "nobody listens", "connect_refused", |lab| {
        lab.goproxy = format!("https://{PROXY}:{}", closed_port());
        true
    }),
    (11, "a black hole", "connect_timeout", |lab| {
        let Some(hole) = BlackHole::new(Ipv4Addr::LOCALHOST.into()) else {
            return false;
        };
        lab.goproxy = https(PROXY, hole.address);
        lab.holes.push(hole);
        true
    }),
    (
        12,
        "a dead proxy before a bar",
        "dead_proxy_in_list",
        |lab| {
            let Some(hole) = BlackHole::new(Ipv4Addr::LOCALHOST.into()) else {
                return false;
            };
            lab.goproxy = format!("{}|{}", https(SECOND, hole.address), lab.goproxy);
            lab.holes.push(hole);
            true
        },
    ),
    (13, "a reset", "connection_reset", |lab| {
        raw(lab, |mut stream| {
            first_bytes(&mut stream);
            let socket = socket2::Socket::from(stream);
            // A close without linger is a reset.
            let _ = socket.set_linger(Some(Duration::ZERO));
        })
    }),
    (14, "closed after the first bytes", "tls_closed", |lab| {
        raw(lab, |mut stream| {
            first_bytes(&mut stream);
        })
    }),
    (15, "TLS never answers", "tls_handshake_timeout", |lab| {
        raw(lab, |mut stream| {
            first_bytes(&mut stream);
            std::thread::sleep(Duration::from_secs(60));
        })
    }),
    (17, "an unknown authority", "tls_intercept", |lab| {
        yes(lab.certificate(Cert::Foreign))
    }),
    (18, "no authorities at all", "ca_bundle_missing", |lab| {
        lab.set("SSL_CERT_FILE", "/nowhere/roots.pem");
        true
    }),
    (19, "an expired certificate", "tls_cert_expired", |lab| {
        yes(lab.certificate(Cert::Expired))
    }),
    (20, "a clock one day behind", "clock_skew", |lab| {
        lab.certificate(Cert::NotYet);
        let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86_400);
        let date = httpdate::fmt_http_date(tomorrow);
        lab.back.set(Behaviour::new().header("date", &date));
        true
    }),
    (
        21,
        "a certificate for another name",
        "tls_hostname_mismatch",
        |lab| yes(lab.certificate(Cert::OtherName)),
    ),
    (22, "http on the https port", "http_on_https_port", |lab| {
        lab.goproxy = https(PROXY, lab.back.address());
        true
    }),
    (
        23,
        "401, netrc without the port",
        "proxy_auth_401:netrc_not_matched",
        |lab| {
            lab.project.write(
                ".netrc",
                format!("machine {PROXY} login u password sesame\n"),
            );
            yes(lab.back.set(
                Behaviour::status(401, "who are you").header("www-authenticate", "Basic realm=x"),
            ))
        },
    ),
    (
        24,
        "401, wrong password",
        "proxy_auth_401:rejected",
        |lab| {
            let port = lab.goproxy.rsplit(':').next().unwrap().to_owned();
            let text = format!(
                "machine {PROXY}:{port} login u password sesame\nmachine {PROXY} login u password sesame\n"
            );
            lab.project.write(".netrc", text);
            yes(lab.back.set(
                Behaviour::status(401, "who are you").header("www-authenticate", "Basic realm=x"),
            ))
        },
    ),
    (25, "403 for the zip", "proxy_forbidden", |lab| {
        yes(lab
            .back
            .on(".zip", Behaviour::status(403, "not by our policy")))
    }),
    (
        26,
        "404 for a private module",
        "proxy_404_private_module",
        |lab| {
            lab.dns.set(
                "git.corp.example",
                Says::Address(IpAddr::from([10, 1, 2, 3])),
            );
            lab.asked = "git.corp.example/team/secret@v1.0.0".into();
            true
        },
    ),
    (27, "429", "proxy_rate_limited", |lab| {
        yes(lab
            .back
            .set(Behaviour::status(429, "slow down").header("retry-after", "60")))
    }),
    (28, "500 before a comma", "upstream_5xx", |lab| {
        lab.back.set(Behaviour::status(500, "on fire"));
        let good = second(lab, tree().0);
        lab.goproxy = format!("{},{good}", lab.goproxy);
        true
    }),
    (29, "a loop of redirects", "redirect_loop", |lab| {
        let to = format!("{}/{MODULE}/@v/{VERSION}.info", lab.goproxy);
        yes(lab.back.set(Behaviour::new().fault(Fault::Redirect(to))))
    }),
    (30, "https leads to http", "insecure_redirect", |lab| {
        let to = format!("http://{SECOND}:80/x");
        yes(lab
            .back
            .on(".zip", Behaviour::new().fault(Fault::Redirect(to))))
    }),
    (31, "a login page", "captive_or_hijacked_response", |lab| {
        let page = "<!DOCTYPE html><html><title>Welcome</title><body>Please log in</body></html>";
        yes(lab.back.set(body(page).header("content-type", "text/html")))
    }),
    (
        32,
        "the zip is a page",
        "proxy_corrupt_content:html",
        |lab| {
            yes(lab.back.on(
                ".zip",
                body("<!DOCTYPE html><html><body>Not here</body></html>"),
            ))
        },
    ),
    (
        32,
        "the zip is empty",
        "proxy_corrupt_content:empty",
        |lab| yes(lab.back.on(".zip", body(""))),
    ),
    (
        32,
        "the zip is cut without a length",
        "proxy_corrupt_content:cut",
        |lab| {
            let zip = module().zip().unwrap();
            yes(lab.back.on(".zip", body(zip[..zip.len() / 2].to_vec())))
        },
    ),
    (33, "the zip is cut", "truncated_transfer", |lab| {
        yes(lab
            .back
            .on(".zip", Behaviour::new().fault(Fault::Truncate(50_000))))
    }),
    (
        34,
        "the zip's files lie elsewhere",
        "proxy_corrupt_content:prefix",
        |lab| {
            let other = Module::new("m", "v1.0.0").file("m.go", "package m\n");
            yes(lab.back.on(".zip", body(other.zip().unwrap())))
        },
    ),
    (35, "a zip of 600 MB", "zip_too_large", |lab| {
        let size = 600 << 20;
        let at = listen("127.0.0.1:0", move |mut stream| {
            first_bytes(&mut stream);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: {size}\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let zeros = vec![0; 1 << 20];
            while stream.write_all(&zeros).is_ok() {}
        });
        let storage = tls(&lab.authority, Cert::Good, at);
        let to = format!("{}/m.zip", https(STORAGE, storage));
        yes(lab
            .back
            .on(".zip", Behaviour::new().fault(Fault::Redirect(to))))
    }),
    (36, "no headers ever", "server_stall:headers", |lab| {
        yes(lab.back.set(Behaviour::new().fault(Fault::Hang)))
    }),
    (37, "one byte a second", "server_stall:body", |lab| {
        yes(lab.back.on(".zip", Behaviour::new().bytes_per_second(1)))
    }),
    (
        38,
        "the zip's storage is a black hole",
        "connect_timeout:cdn_hop",
        |lab| {
            let Some(hole) = BlackHole::new(Ipv4Addr::LOCALHOST.into()) else {
                return false;
            };
            let to = format!("{}/m.zip", https(STORAGE, hole.address));
            lab.holes.push(hole);
            yes(lab
                .back
                .on(".zip", Behaviour::new().fault(Fault::Redirect(to))))
        },
    ),
    (
        39,
        "the proxy has other bytes",
        "checksum_mismatch_proxy_divergent",
        |lab| {
            let evil = Module::new(MODULE, VERSION).file("m.go", "package m // evil\n");
            let good = second(lab, tree().0);
            lab.goproxy = format!("{},{good}", lab.goproxy);
            yes(lab.back.on(".zip", body(evil.zip().unwrap())))
        },
    ),
    (40, "the database alone differs", "sumdb_divergent", |lab| {
        other_log(lab, |_, go_mod| (go_mod.clone(), go_mod));
        let same = second(lab, tree().0);
        lab.goproxy = format!("{},{same}", lab.goproxy);
        true
    }),
    (41, "signed by a foreign key", "sumdb_key_mismatch", |lab| {
        let module = module();
        let mut foreign = MemLog::new(SUMDB, [9; 32]).unwrap();
        let (zip, go_mod) = crate::golang::sums(&module);
        foreign.add(MODULE, VERSION, &zip, &go_mod);
        let mut tree = Tree::new();
        tree.add(&module).unwrap();
        relay(&mut tree, &format!("sumdb/{SUMDB}/"), &foreign, &[&module]);
        yes(lab.back.replace(tree))
    }),
    (
        42,
        "supported answers 400",
        "sumdb_mirror_inconsistent",
        |lab| {
            yes(lab
                .back
                .on("supported", Behaviour::status(400, "bad request")))
        },
    ),
    (
        43,
        "a tile is missing",
        "sumdb_mirror_inconsistent",
        |lab| yes(lab.back.on("tile/", Behaviour::status(404, "not found"))),
    ),
    (44, "the database hangs", "server_stall:sumdb", |lab| {
        yes(lab.back.on("lookup/", Behaviour::new().fault(Fault::Hang)))
    }),
    (
        45,
        "nobody relays the database and it is blocked",
        "sumdb_unreachable",
        |lab| {
            let mut plain = Tree::new();
            plain.add(&module()).unwrap();
            lab.dns
                .set(SUMDB, Says::Address(Ipv4Addr::LOCALHOST.into()));
            yes(lab.back.replace(plain))
        },
    ),
    (
        46,
        "GOPRIVATE is an address",
        "goprivate_pattern_invalid",
        |lab| {
            lab.set("GOPRIVATE", "https://git.corp.example");
            true
        },
    ),
    (
        47,
        "the kept head is zeros",
        "sumdb_local_state_corrupt",
        |lab| {
            let dir = lab.project.path(&format!("gopath/pkg/sumdb/{SUMDB}"));
            std::fs::create_dir_all(&dir).unwrap();
            yes(std::fs::write(dir.join("latest"), [0; 100]).unwrap())
        },
    ),
    (
        48,
        "the forward proxy wants a login",
        "http_proxy_auth",
        |lab| {
            forward(
                lab,
                "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
            )
        },
    ),
    (
        48,
        "the forward proxy forbids",
        "http_proxy_denied",
        |lab| forward(lab, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        48,
        "the forward proxy is closed",
        "http_proxy_misconfig",
        |lab| {
            lab.set(
                "HTTPS_PROXY",
                &format!("http://127.0.0.1:{}", closed_port()),
            );
            true
        },
    ),
    (50, "IPv6 is a black hole", "ipv6_broken", |lab| {
        let Some(hole) = BlackHole::new(Ipv6Addr::LOCALHOST.into()) else {
            return false;
        };
        // The good server listens at the same port of the other family.
        let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", hole.address.port())) else {
            return false;
        };
        drop(listener);
        let back = lab.back.address();
        let at = tls_at(
            &lab.authority,
            Cert::Good,
            back,
            &format!("127.0.0.1:{}", hole.address.port()),
        );
        lab.dns.set(
            PROXY,
            Says::Both(Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()),
        );
        lab.goproxy = https(PROXY, at);
        lab.holes.push(hole);
        true
    }),
];

/// Machines on which nothing is wrong.
pub const HEALTHY: &[Scenario] = &[
    (1, "as it is", "", |_| true),
    (1, "plain http inside of a company", "", |lab| {
        lab.goproxy = http(PROXY, lab.back.address());
        true
    }),
    (1, "two proxies", "", |lab| {
        let other = second(lab, tree().0);
        lab.goproxy = format!("{},{other}", lab.goproxy);
        true
    }),
    (1, "the first proxy has not the module", "", |lab| {
        let empty = second(lab, Tree::new());
        lab.goproxy = format!("{empty},{}", lab.goproxy);
        true
    }),
    (1, "private patterns for others", "", |lab| {
        lab.set("GOPRIVATE", "git.corp.example/*,*.internal.example");
        true
    }),
    (1, "storage elsewhere", "", |lab| {
        let (storage, _) = proxy();
        let at = tls(&lab.authority, Cert::Good, storage.address());
        let to = format!("{}/{MODULE}/@v/{VERSION}.zip", https(STORAGE, at));
        lab.others.push(storage);
        yes(lab
            .back
            .on(".zip", Behaviour::new().fault(Fault::Redirect(to))))
    }),
    (1, "a slow line", "", |lab| {
        yes(lab
            .back
            .set(Behaviour::new().latency(Duration::from_millis(150))))
    }),
    (1, "a login that is right", "", |lab| {
        lab.goproxy = lab.goproxy.replacen("https://", "https://u:sesame@", 1);
        true
    }),
    (1, "the database has its own address", "", |lab| {
        let module = module();
        let log = log_of(&[&module]);
        let mut tree = Tree::new();
        relay(&mut tree, "", &log, &[&module]);
        let url = second(lab, tree);
        lab.key = format!("{} {url}", lab.key);
        true
    }),
];
