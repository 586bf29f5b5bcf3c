//! Facts of one exchange after the other, and what must be blamed for them.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::cause;
use crate::check::diagnose;
use crate::facts::{Asked, Group};

fn facts(net: NetFacts) -> Facts {
    Facts {
        asked: Some(Asked {
            module: "example.com/m".into(),
            version: Some("v1.0.0".into()),
        }),
        groups: vec![Group::Net],
        net: Some(net),
        ..Facts::default()
    }
}

fn step(what: What, hop: Hop) -> Step {
    Step {
        what,
        tries: vec![Try {
            before: Vec::new(),
            vcs: None,
            place: "https://p.test".into(),
            on_any_error: false,
            beyond: false,
            exchange: Exchange {
                url: "https://p.test/x".into(),
                hops: vec![hop],
                ..Exchange::default()
            },
        }],
    }
}

fn failing(phase: Phase, fault: Fault) -> Hop {
    Hop {
        host: "p.test".into(),
        port: 443,
        failure: Some(Failure {
            phase,
            fault,
            text: "x".into(),
            waited_ms: 1,
        }),
        ..Hop::default()
    }
}

fn named(net: NetFacts) -> Vec<String> {
    let report = diagnose(&facts(net));
    let name = |f: &crate::Finding| match &f.variant {
        Some(variant) => format!("{}:{variant}", f.cause.label),
        None => f.cause.label.clone(),
    };
    report.findings.iter().map(name).collect()
}

fn one(hop: Hop) -> Vec<String> {
    named(NetFacts {
        steps: vec![step(What::Info, hop)],
        ..NetFacts::default()
    })
}

#[test]
fn every_phase_and_kind_of_failure_has_its_name() {
    for (phase, fault, want) in [
        (Phase::Connect, Fault::Refused, "connect_refused"),
        (Phase::Connect, Fault::TimedOut, "connect_timeout"),
        (Phase::Connect, Fault::Unreachable, "no_route"),
        (Phase::Tls, Fault::Reset, "connection_reset"),
        (Phase::Tls, Fault::Closed, "tls_closed"),
        (Phase::Tls, Fault::TimedOut, "tls_handshake_timeout"),
        (Phase::Tls, Fault::PlainHttp, "http_on_https_port"),
        (Phase::Headers, Fault::TimedOut, "server_stall:headers"),
        (Phase::Headers, Fault::Closed, "connection_reset"),
        (Phase::Body, Fault::TimedOut, "server_stall:body"),
        (Phase::Body, Fault::Cut, "truncated_transfer"),
        (Phase::Body, Fault::TooLarge, "zip_too_large"),
    ] {
        assert_eq!(one(failing(phase, fault)), [want], "{phase:?} {fault:?}");
    }
}

#[test]
fn what_the_time_did_not_allow_is_unknown() {
    let late = NetFacts {
        steps: vec![step(What::Info, failing(Phase::Headers, Fault::Late))],
        ..NetFacts::default()
    };
    let report = diagnose(&facts(late));
    assert!(report.findings.is_empty());
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.state == State::Unknown)
    );
    let none = Facts {
        net: None,
        ..facts(NetFacts::default())
    };
    assert!(diagnose(&none).findings.is_empty());
}

#[test]
fn dns_codes_are_told_apart() {
    for (rcode, want) in [
        (Some("NXDOMAIN"), "dns_failure:nxdomain"),
        (Some("SERVFAIL"), "dns_failure:servfail"),
        (Some("REFUSED"), "dns_failure:refused"),
        (Some("NOERROR"), "dns_failure:nodata"),
        (None, "dns_failure:timeout"),
    ] {
        let answer = DnsAnswer {
            rcode: rcode.map(str::to_owned),
            ..DnsAnswer::default()
        };
        let mut hop = failing(Phase::Dns, Fault::NoAddress);
        hop.dns = Some(Dns {
            name: "p.test".into(),
            servers: vec![ServerAnswer {
                server: "192.0.2.1:53".into(),
                a: Some(answer.clone()),
                aaaa: Some(answer),
            }],
            ..Dns::default()
        });
        assert_eq!(one(hop), [want]);
    }
}

#[test]
fn certificates_are_judged_by_clock_store_and_owner() {
    let tls = |problem, now, ahead: Option<i64>, roots: usize, public| {
        let mut hop = failing(Phase::Tls, Fault::Certificate);
        hop.tls = Some(Tls {
            problem: Some(problem),
            public,
            now,
            chain: vec![Cert {
                names: vec!["other.example".into()],
                not_before: 1000,
                not_after: 2000,
                ..Cert::default()
            }],
            ..Tls::default()
        });
        let plain = Hop {
            http: Some(Http {
                clock_ahead_s: ahead,
                ..Http::default()
            }),
            ..Hop::default()
        };
        named(NetFacts {
            steps: vec![step(What::Info, hop)],
            roots: Some(Roots {
                count: roots,
                ..Roots::default()
            }),
            deep: Some(Deep {
                plain: Some(plain),
                ..Deep::default()
            }),
            ..NetFacts::default()
        })
    };
    use CertProblem as P;
    assert_eq!(
        tls(P::Expired, 3000, Some(0), 1, None),
        ["tls_cert_expired"]
    );
    assert_eq!(tls(P::Expired, 3000, Some(-1500), 1, None), ["clock_skew"]);
    assert_eq!(tls(P::NotYetValid, 500, None, 1, None), ["clock_skew"]);
    assert_eq!(
        tls(P::WrongName, 1500, None, 1, None),
        ["tls_hostname_mismatch"]
    );
    assert_eq!(
        tls(P::UnknownIssuer, 1500, None, 1, Some(false)),
        ["tls_intercept"]
    );
    assert_eq!(
        tls(P::UnknownIssuer, 1500, None, 1, Some(true)),
        ["ca_bundle_missing"]
    );
    assert_eq!(
        tls(P::UnknownIssuer, 1500, None, 0, Some(false)),
        ["ca_bundle_missing"]
    );
}

#[test]
fn the_odd_one_out_is_named_when_hashes_differ() {
    let source = |name: &str, sumdb, zip: &str| SumSource {
        name: name.into(),
        sumdb,
        zip: Some(zip.into()),
        go_mod: None,
    };
    let judge = |sums: Vec<SumSource>| {
        named(NetFacts {
            sums,
            ..NetFacts::default()
        })
    };
    let p = |zip| source("https://p", false, zip);
    let q = |zip| source("https://q", false, zip);
    let (s, g) = (
        |zip| source("db", true, zip),
        |zip| source("go.sum", false, zip),
    );
    assert_eq!(
        judge(vec![p("x"), s("a")]),
        ["checksum_mismatch_proxy_divergent"]
    );
    assert_eq!(
        judge(vec![p("x"), q("a"), s("a")]),
        ["checksum_mismatch_proxy_divergent"]
    );
    assert_eq!(judge(vec![p("a"), q("a"), s("x")]), ["sumdb_divergent"]);
    assert_eq!(judge(vec![p("a"), s("x"), s("a")]), ["sumdb_divergent"]);
    assert_eq!(
        judge(vec![p("a"), g("x"), s("a")]),
        ["checksum_mismatch_gosum_wrong"]
    );
    assert_eq!(
        judge(vec![p("a"), g("x"), q("a")]),
        ["checksum_mismatch_gosum_wrong"]
    );
    assert_eq!(
        judge(vec![p("x"), g("a")]),
        ["checksum_mismatch_proxy_divergent"]
    );
}

#[test]
fn every_label_that_the_rules_use_has_a_page() {
    let sources = [
        include_str!("blame.rs"),
        include_str!("network.rs"),
        include_str!("tls.rs"),
        include_str!("status.rs"),
        include_str!("sumdb.rs"),
        include_str!("mismatch.rs"),
        include_str!("warnings.rs"),
    ];
    let mut seen = 0;
    for source in sources {
        for part in source.split("Blame::new(\"").skip(1) {
            let label = part.split('"').nth(2).unwrap();
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                continue;
            }
            assert!(cause::find(label).is_some(), "{label}");
            seen += 1;
        }
    }
    assert!(seen > 30);
}
