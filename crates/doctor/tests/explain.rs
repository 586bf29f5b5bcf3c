//! What `explain` promises besides being right: shape, several failures, settings, hostile text.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use doctor::{Env, Lang, Report, explain, render};
use serde_json::Value;

const REFUSED: &str = "go: a.example/m@v1.0.0: Get \"https://p.example/a.example/m/@v/v1.0.0.info\": dial tcp 192.0.2.1:443: connect: connection refused\n";
const MISSING: &str = "main.go:4:2: missing go.sum entry for module providing package a.example/m; to add:\n\tgo mod download a.example/m\n";

fn labels(report: &Report) -> Vec<&str> {
    report
        .findings
        .iter()
        .map(|f| f.cause.label.as_str())
        .collect()
}

#[test]
fn the_document_has_the_agreed_shape() {
    let report = explain(REFUSED, &Env::new());
    let text = report.to_json(Lang::En).unwrap();
    assert!(
        text.trim_start_matches(['{', '\n', ' '])
            .starts_with("\"schema\": \"modkeep.explain/1\"")
    );
    let document: Value = serde_json::from_str(&text).unwrap();
    let finding = &document["findings"][0];
    assert_eq!(finding["label"], "connect_refused");
    assert!(finding["variant"].is_null());
    let confidence = finding["confidence"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&confidence));
    assert!(
        finding["evidence"][0]
            .as_str()
            .unwrap()
            .contains("connection refused")
    );
    assert!(finding["title"].is_string());
    for remedy in finding["remedy"].as_array().unwrap() {
        assert!(["A", "B", "C"].contains(&remedy["class"].as_str().unwrap()));
        assert!(remedy["text"].is_string());
        assert!(remedy["command"].is_null() || remedy["command"].is_string());
    }
    assert!(finding["avoid"][0]["advice"].is_string() && finding["avoid"][0]["why"].is_string());
    assert!(
        finding["prove"]
            .as_str()
            .unwrap()
            .contains("https://p.example/")
    );
}

#[test]
fn variants_are_named_where_the_text_tells() {
    let text = "go: m: Get \"https://p.example/m/@v/list\": dial tcp: lookup p.example on 192.0.2.53:53: server misbehaving";
    let report = explain(text, &Env::new());
    assert_eq!(report.findings[0].variant.as_deref(), Some("servfail"));
}

#[test]
fn two_failures_in_one_text_are_told_apart() {
    let text = format!("go: downloading a.example/m v1.0.0\n{REFUSED}{MISSING}{REFUSED}");
    let report = explain(&text, &Env::new());
    let mut first_two = labels(&report)[..2].to_vec();
    first_two.sort_unstable();
    assert_eq!(first_two, ["connect_refused", "missing_go_sum_entry"]);
    assert_ne!(report.findings[0].failure, report.findings[1].failure);
    let screen = render::report(&report, Lang::En, false);
    assert!(screen.contains("[1/2]") && screen.contains("[2/2]"));
}

#[test]
fn settings_count_as_evidence_and_are_shown_without_passwords() {
    let text =
        "verifying a.example/m@v1.0.0: checksum mismatch\n\tdownloaded: h1:a\n\tgo.sum:     h1:b\n";
    let mirror = Env::parse("GOPROXY=https://user:secret@mirror.example");
    let report = explain(text, &mirror);
    assert_eq!(labels(&report)[0], "checksum_mismatch_proxy_divergent");
    let evidence = report.findings[0].evidence.join("\n");
    assert!(evidence.contains("GOPROXY=https://mirror.example"));
    assert!(!report.to_json(Lang::En).unwrap().contains("secret"));
    let direct = explain(text, &Env::parse("GOPROXY=direct"));
    assert_eq!(labels(&direct)[0], "checksum_mismatch_tag_moved");
}

#[test]
fn settings_printed_in_the_text_count_too() {
    let text = "$ go env\nGOPROXY=\"direct,https://p.example\"\n$ go mod tidy\ngo: a.example/m@v1.0.0: Get \"https://a.example/m?go-get=1\": dial tcp 192.0.2.1:443: i/o timeout\n";
    let report = explain(text, &Env::new());
    assert_eq!(labels(&report)[0], "goproxy_order_direct_first");
}

#[test]
fn a_text_without_a_failure_gives_nothing() {
    for text in [
        "",
        "\n\n",
        "ok  \ta.example/m\t0.01s\n",
        "go: downloading a.example/m v1.0.0\n",
        "hello",
    ] {
        let report = explain(text, &Env::new());
        assert!(
            report.findings.is_empty(),
            "{text:?}: {:?}",
            labels(&report)
        );
    }
    assert!(render::report(&Report::default(), Lang::Zh, false).contains("没有"));
}

#[test]
fn commands_never_carry_what_a_shell_would_run() {
    let text = "go: a.example/$(reboot)@v1.0.0;reboot: Get \"https://p.example/`reboot`/@v/list\": dial tcp: lookup p.example: no such host";
    let report = explain(text, &Env::new());
    for finding in &report.findings {
        let remedies = finding
            .cause
            .remedy
            .iter()
            .filter_map(|r| r.command.as_deref());
        let commands = remedies
            .map(|c| finding.subject.fill(c))
            .chain(finding.prove());
        for command in commands {
            assert!(!command.contains("reboot"), "{command}");
        }
    }
}

#[test]
fn hostile_texts_end_in_time_and_without_panic() {
    let begun = Instant::now();
    let texts = [
        "\u{1b}[".repeat(200_000),
        "go: ".repeat(300_000),
        "a.example/b@v1: ".repeat(80_000),
        "x".repeat(3_000_000),
        "go: a.example/m: checksum mismatch\n".repeat(40_000),
        (0..50_000)
            .map(|n| format!("go: m{n}.example/x@v1.0.{n}: EOF {n}\n"))
            .collect(),
        "\\n\\t".repeat(200_000),
        "\u{0}\u{ffff}é\u{10ffff}\r".repeat(100_000),
        "GOPROXY=".repeat(100_000),
    ];
    for text in &texts {
        let report = explain(text, &Env::new());
        let _ = render::report(&report, Lang::Zh, true);
        assert!(report.findings.len() <= 60);
    }
    // A debug build on a busy machine; a release build needs a fraction.
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}
