//! Every line of a trace, from made-up measurements.

#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

fn net(steps: Value) -> NetFacts {
    let mut net =
        json!({"goproxy": "https://a.example|https://b.example,direct", "private": false});
    net["steps"] = steps;
    serde_json::from_value(net).unwrap()
}

fn hop(status: u16) -> Value {
    json!({"url": "https://a.example/m/@v/v1.0.0.zip", "host": "a.example", "port": 443,
        "dns": {"addresses": ["192.0.2.1"], "took_ms": 10,
            "system": {"addresses": ["192.0.2.1"], "took_ms": 10},
            "servers": [{"server": "192.0.2.53:53", "a": {"rcode": "NOERROR", "addresses": ["192.0.2.1"], "took_ms": 9},
                "aaaa": {"rcode": "NXDOMAIN", "took_ms": 8}}]},
        "tcp": [{"address": "[2001:db8::1]:443", "v6": true, "error": "no answer in 600 ms", "took_ms": 600},
            {"address": "192.0.2.1:443", "connected": true, "took_ms": 20}],
        "tls": {"sni": "a.example", "version": "TLSv1.3", "alpn": "h2", "took_ms": 30,
            "chain": [{"subject": "CN=a.example", "issuer": "CN=Some CA"}]},
        "http": {"version": "HTTP/2.0", "status": status, "first_byte_ms": 40, "bytes": 204_800, "announced": 204_800,
            "body_ms": 100, "complete": true, "headers": [["age", "17"], ["x-cache", "HIT"], ["etag", "\"x\""],
            ["set-cookie", "never shown"]]},
        "took_ms": 800})
}

fn one(place: &str, content: Value, hops: Value) -> Value {
    json!({"place": place, "exchange": {"url": "https://a.example/m", "hops": hops, "content": content,
        "at_ms": 0, "took_ms": 800}})
}

fn shown(net: &NetFacts, lang: Lang, color: bool) -> (String, Value, Outcome) {
    let report = Report::default();
    let trace = Trace {
        asked: "m.example/m@v1.0.0",
        net,
        route: None,
        report: &report,
    };
    (trace.text(lang, color), trace.json(lang), trace.outcome())
}

#[test]
fn a_request_is_shown_phase_by_phase() {
    let net = net(
        json!([{"what": "zip", "tries": [one("https://a.example", json!("good"), json!([hop(200)]))]}]),
    );
    let (text, document, outcome) = shown(&net, Lang::En, false);
    assert_eq!(outcome, Outcome::Complete);
    for part in [
        "zip\n  https://a.example: 200, 800 ms, 200 KiB, 2000 KiB/s\n",
        "name     system: 192.0.2.1, 10 ms; 192.0.2.53:53: 192.0.2.1 NXDOMAIN, 9 ms",
        "connect  [2001:db8::1]:443 (IPv6): no answer in 600 ms, 600 ms",
        "connect  192.0.2.1:443 (IPv4): connected, 20 ms",
        "tls      TLSv1.3 h2, issued by CN=Some CA, 30 ms",
        "answer   HTTP/2.0 200, first byte 40 ms, 200 KiB in 100 ms\n",
        "age: 17",
        "x-cache: HIT",
        "etag: \"x\"",
        "complete in 800 ms",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("never shown"));
    assert_eq!(document["schema"], "modkeep.trace/1");
    assert_eq!(
        document.as_object().unwrap().keys().next().unwrap(),
        "schema"
    );
    assert_eq!(
        (&document["took_ms"], &document["bytes"]),
        (&json!(800), &json!(204_800))
    );
    assert_eq!(document["steps"][0]["tries"][0]["rate"], 2_048_000);
}

#[test]
fn a_bar_has_every_phase_in_order_and_its_width() {
    let net = net(
        json!([{"what": "zip", "tries": [one("https://a.example", json!("good"), json!([hop(200)]))]}]),
    );
    let (text, _, _) = shown(&net, Lang::En, false);
    let bar = text
        .lines()
        .find(|line| line.trim_start().starts_with('['))
        .unwrap()
        .trim();
    // 800 ms are 32 cells: a name of 10 ms is hidden behind the connection that follows it.
    assert_eq!(bar, format!("[{}t---====]", "c".repeat(24)));
    let (colored, _, _) = shown(&net, Lang::En, true);
    assert!(colored.contains("\u{1b}[32m"));
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn every_fallback_has_its_reason() {
    let absent = one("https://a.example", json!(null), json!([hop(404)]));
    let broken = one("https://b.example", json!(null), json!([hop(500)]));
    let origin = one("direct", json!(null), json!([hop(404)]));
    let reasons = |tries: Value| -> Vec<Option<Fallback>> {
        let net = net(json!([{"what": "info", "tries": tries}]));
        let step = &net.steps[0];
        (0..step.tries.len())
            .map(|index| fallback(step, index))
            .collect()
    };
    assert_eq!(
        reasons(json!([absent, broken])),
        [Some(Fallback::AbsentLeadsOn), Some(Fallback::CommaStops)]
    );
    let mut bar = broken.clone();
    bar["on_any_error"] = true.into();
    assert_eq!(
        reasons(json!([bar, absent])),
        [Some(Fallback::BarLeadsOn), Some(Fallback::ListEnds)]
    );
    assert_eq!(
        reasons(json!([absent, origin])),
        [Some(Fallback::AbsentLeadsOn), Some(Fallback::OriginEnds)]
    );
    for fallback in [Fallback::AbsentLeadsOn, Fallback::CommaStops] {
        assert_ne!(fallback.text(Lang::En), fallback.text(Lang::Zh));
    }
}

#[test]
fn version_control_has_the_last_word() {
    let mut tried = one("direct", json!(null), json!([hop(401)]));
    tried["vcs"] = json!({"at_ms": 5, "took_ms": 700, "bytes": 12});
    let steps = |tried: &Value| {
        let kinds = ["info", "mod", "zip"];
        json!(kinds.map(|what| json!({"what": what, "tries": [tried]})))
    };
    let (text, _, outcome) = shown(&net(steps(&tried)), Lang::En, false);
    assert_eq!(outcome, Outcome::Complete, "{text}");
    assert!(text.contains("direct: fetched, 700 ms, 12 B"), "{text}");
    tried["vcs"]["error"] = "fatal: no\nmore".into();
    let (text, _, outcome) = shown(
        &net(json!([{"what": "info", "tries": [tried]}])),
        Lang::En,
        false,
    );
    assert_eq!(outcome, Outcome::Failed);
    assert!(
        text.contains("direct: fatal: no,") && text.contains("      more\n"),
        "{text}"
    );
    tried["vcs"]["late"] = true.into();
    assert_eq!(
        shown(
            &net(json!([{"what": "info", "tries": [tried]}])),
            Lang::En,
            false
        )
        .2,
        Outcome::Unknown
    );
}

#[test]
fn what_others_say_cannot_steer_a_terminal() {
    let mut evil = hop(200);
    evil["http"]["headers"] = json!([["via", "\u{1b}]0;x\u{7}\r\n  mod"]]);
    evil["url"] = "https://a.example/\u{1b}[2J".into();
    let net = net(
        json!([{"what": "zip", "tries": [one("https://a\u{1b}.example", json!("good"), json!([evil]))]}]),
    );
    let (text, _, _) = shown(&net, Lang::En, false);
    assert!(!text.contains(['\u{1b}', '\u{7}', '\r']), "{text:?}");
}

#[test]
fn nothing_at_all_and_a_bad_setting_are_said() {
    let (text, _, outcome) = shown(&NetFacts::default(), Lang::En, false);
    assert_eq!(outcome, Outcome::Unknown);
    assert!(text.contains("--timeout"), "{text}");
    let bad = NetFacts {
        nothing: Some("invalid GOSUMDB".into()),
        ..NetFacts::default()
    };
    let (text, _, outcome) = shown(&bad, Lang::Zh, false);
    assert_eq!(outcome, Outcome::Failed);
    assert!(
        text.contains("失败") && text.contains("invalid GOSUMDB"),
        "{text}"
    );
}
