//! A trace as text: one line for each request, bars over a common time, and what each phase took.

use super::{Outcome, Route, Trace, fallback, outcome_of, rate};
use crate::net::{Content, Dns, Exchange, Hop, Http, Phase, Step, Stop, Tcp, Tls, Try};
use crate::{Lang, render};
use std::fmt::Write as _;

/// Characters of a bar.
const BAR: u64 = 32;

/// Headers that tell about caches and proxies on the way.
const TOLD: &[&str] = &[
    "server",
    "via",
    "age",
    "cache-control",
    "cache-status",
    "x-cache",
    "cf-cache-status",
    "cf-ray",
    "etag",
    "retry-after",
    "content-type",
    "www-authenticate",
];

/// Lines of an error of version control that are shown.
const ERROR_LINES_MAX: usize = 8;

/// Bytes of a header that are shown.
const HEADER_MAX: usize = 120;

pub fn text(trace: &Trace<'_>, lang: Lang, color: bool) -> String {
    let mut out = String::new();
    let net = trace.net;
    let _ = writeln!(out, "{}", trace.asked);
    if let Some(list) = &net.goproxy {
        let _ = writeln!(out, "  GOPROXY={list}");
    }
    if net.private == Some(true) {
        let _ = writeln!(out, "  private (GONOPROXY): no proxy is asked");
    }
    if let Some(version) = &net.version {
        let _ = writeln!(out, "  means {version}");
    }
    for step in &net.steps {
        put_step(&mut out, step, trace.took_ms().max(1));
    }
    if let Some(sumdb) = &net.sumdb {
        out.push('\n');
        let name = &sumdb.name;
        let _ = match (&sumdb.problem, sumdb.size) {
            (Some(problem), _) => writeln!(out, "{name}: NOT PROVED: {}", problem.text),
            (None, Some(size)) => writeln!(out, "{name}: proved in a tree of {size} records"),
            (None, None) => writeln!(out, "{name}: not asked for a proof"),
        };
    }
    for source in &net.sums {
        let sum = source.zip.as_deref().unwrap_or("-");
        let _ = writeln!(out, "  {}: {sum}", source.name);
    }
    if let Some(route) = trace.route {
        put_route(&mut out, route);
    }
    put_end(&mut out, trace, lang, color);
    out
}

fn put_step(out: &mut String, step: &Step, whole: u64) {
    let _ = writeln!(out, "\n{}", step.what.word());
    for (index, one) in step.tries.iter().enumerate() {
        put_try(out, one, whole);
        if let Some(next) = fallback(step, index) {
            let _ = writeln!(out, "    -> {next}");
        }
    }
    if step.tries.is_empty() {
        let _ = writeln!(out, "  nobody is left to ask (off, or the list ends)");
    }
}

fn put_try(out: &mut String, one: &Try, whole: u64) {
    let exchange = &one.exchange;
    let comparison = if one.beyond { " (for comparison)" } else { "" };
    let (took, size) = match &one.vcs {
        Some(run) if run.error.is_none() => (run.took_ms, format!(", {}", bytes(run.bytes))),
        Some(run) => (run.took_ms, String::new()),
        None => (exchange.took_ms, size(exchange)),
    };
    let said = outcome_of(one);
    let _ = writeln!(
        out,
        "  {}{comparison}: {said}, {}{size}",
        one.place,
        time(took)
    );
    for exchange in &one.before {
        put_exchange(out, exchange, whole);
    }
    if one.vcs.is_none() || !exchange.hops.is_empty() {
        put_exchange(out, exchange, whole);
    }
    if let Some(run) = &one.vcs {
        let cells = bar(run.at_ms, vec![('v', run.took_ms)], whole);
        let _ = writeln!(
            out,
            "    [{cells}]\n    version control, {}",
            time(run.took_ms)
        );
        for line in run
            .error
            .iter()
            .flat_map(|error| error.lines())
            .take(ERROR_LINES_MAX)
        {
            let _ = writeln!(out, "      {line}");
        }
        if let Some(h1) = &run.h1 {
            let _ = writeln!(out, "      {h1}");
        }
    }
}

fn put_exchange(out: &mut String, exchange: &Exchange, whole: u64) {
    let _ = writeln!(
        out,
        "    [{}]",
        bar(exchange.at_ms, phases(exchange), whole)
    );
    if let Some(credential) = &exchange.credential {
        let _ = writeln!(
            out,
            "    logs in as {} ({})",
            credential.login, credential.source
        );
    }
    if exchange.hops.is_empty() {
        let _ = writeln!(out, "    {}", exchange.url);
    }
    for hop in &exchange.hops {
        put_hop(out, hop);
    }
}

fn size(exchange: &Exchange) -> String {
    let Some(http) = exchange.last().and_then(|h| h.http.as_ref()) else {
        return String::new();
    };
    let rate = rate(exchange).filter(|_| http.bytes >= 64 << 10);
    let rate = rate.map_or_else(String::new, |r| format!(", {}/s", bytes(r)));
    format!(", {}{rate}", bytes(http.bytes))
}

fn put_hop(out: &mut String, hop: &Hop) {
    let _ = writeln!(out, "    {}", hop.url);
    let mut phases = Vec::new();
    if hop.reused {
        phases.push("connection of before".to_owned());
    }
    if let Some(forward) = &hop.forward {
        let status = forward
            .status
            .map_or_else(String::new, |s| format!(" answered {s}"));
        phases.push(format!(
            "through {} ({}){status}",
            forward.url, forward.variable
        ));
    }
    phases.extend(hop.dns.as_ref().map(dns));
    phases.extend(hop.tcp.iter().map(tcp));
    phases.extend(hop.tls.as_ref().map(tls));
    phases.extend(hop.http.as_ref().map(http));
    for phase in phases {
        let _ = writeln!(out, "      {phase}");
    }
    let headers = hop.http.iter().flat_map(|h| &h.headers);
    for (name, value) in headers.filter(|(name, _)| TOLD.contains(&name.as_str())) {
        let shown: String = value.chars().take(HEADER_MAX).collect();
        let _ = writeln!(out, "      {name}: {shown}");
    }
    if let Some(failure) = &hop.failure {
        let phase = phase(failure.phase);
        let _ = writeln!(out, "      FAILED at {phase}: {}", failure.text);
    }
    if let Some(to) = hop.http.as_ref().and_then(|h| h.location.as_ref()) {
        let _ = writeln!(out, "      redirects to {to}");
    }
}

fn dns(dns: &Dns) -> String {
    let mut parts = Vec::new();
    if let Some(system) = &dns.system {
        let said = match &system.error {
            Some(error) => error.clone(),
            None => system.addresses.join(" "),
        };
        parts.push(format!("system: {said}, {}", time(system.took_ms)));
    }
    for server in &dns.servers {
        let mut addresses = Vec::new();
        let mut problems = Vec::new();
        for answer in server.both() {
            addresses.extend(answer.addresses.iter().cloned());
            problems.extend(answer.error.clone());
            problems.extend(answer.rcode.clone().filter(|code| code != "NOERROR"));
        }
        problems.dedup();
        addresses.extend(problems);
        let took = server.both().map(|a| a.took_ms).max().unwrap_or(0);
        parts.push(format!(
            "{}: {}, {}",
            server.server,
            addresses.join(" "),
            time(took)
        ));
    }
    if parts.is_empty() {
        parts.push(dns.addresses.join(" "));
    }
    format!("name     {}", parts.join("; "))
}

fn tcp(tcp: &Tcp) -> String {
    let family = if tcp.v6 { "IPv6" } else { "IPv4" };
    let said = match (&tcp.error, tcp.connected) {
        (_, true) => "connected".to_owned(),
        (Some(error), _) => error.clone(),
        (None, false) => "no answer yet when another address answered".into(),
    };
    format!(
        "connect  {} ({family}): {said}, {}",
        tcp.address,
        time(tcp.took_ms)
    )
}

fn tls(tls: &Tls) -> String {
    let version = tls.version.as_deref().unwrap_or("no handshake");
    let alpn = tls
        .alpn
        .as_ref()
        .map_or_else(String::new, |a| format!(" {a}"));
    let issuer = tls
        .chain
        .first()
        .map_or_else(String::new, |c| format!(", issued by {}", c.issuer));
    let problem = tls
        .problem
        .map_or_else(String::new, |p| format!(", {p:?}").to_lowercase());
    format!(
        "tls      {version}{alpn}{issuer}{problem}, {}",
        time(tls.took_ms)
    )
}

fn http(http: &Http) -> String {
    let announced = match http.announced {
        Some(all) if all != http.bytes => format!(" of {}", bytes(all)),
        _ => String::new(),
    };
    let cut = if http.complete {
        ""
    } else {
        ", not to its end"
    };
    format!(
        "answer   {} {}, first byte {}, {}{announced} in {}{cut}",
        http.version,
        http.status,
        time(http.first_byte_ms),
        bytes(http.bytes),
        time(http.body_ms)
    )
}

fn put_route(out: &mut String, route: &Route) {
    let _ = writeln!(out, "\nroute to {} ({})", route.host, route.address);
    if let Some(why) = &route.unavailable {
        let _ = writeln!(out, "  not available: {why}");
        return;
    }
    for hop in &route.hops {
        let address = hop.address.as_deref().unwrap_or("*");
        let took = match &hop.address {
            Some(_) => format!("  {:.1} ms", hop.took_ms),
            None => String::new(),
        };
        let _ = writeln!(out, "  {:2}  {address}{took}", hop.ttl);
    }
    if !route.reached {
        let _ = writeln!(
            out,
            "  the address itself does not answer such packets (many do not)"
        );
    }
}

fn put_end(out: &mut String, trace: &Trace<'_>, lang: Lang, color: bool) {
    let took = match trace.net.steps.is_empty() {
        true => String::new(),
        false => format!(" in {}", time(trace.took_ms())),
    };
    out.push('\n');
    let _ = match trace.outcome() {
        Outcome::Complete => writeln!(out, "complete{took}"),
        Outcome::Failed => writeln!(out, "FAILED{took}"),
        Outcome::Unknown => writeln!(out, "not known: the time ended{took}; --timeout gives more"),
    };
    if let Some(why) = &trace.net.nothing {
        let _ = writeln!(out, "{why}");
    }
    if trace.outcome() == Outcome::Complete {
        return;
    }
    if let Some(first) = trace.report.findings.first() {
        out.push('\n');
        out.push_str(&render::finding(first, lang, color));
    }
}

/// When a request ran, on a line for the whole download: `.` name, `c` connect, `t` TLS, `-` waiting
/// for the first byte, `=` body, `v` version control.
fn bar(mut at: u64, phases: Vec<(char, u64)>, whole: u64) -> String {
    let cell = |ms: u64| (ms.saturating_mul(BAR) / whole).min(BAR - 1) as usize;
    let mut cells = vec![' '; BAR as usize];
    for (sign, took) in phases {
        let from = at;
        at = at.saturating_add(took);
        for place in cells.iter_mut().take(cell(at) + 1).skip(cell(from)) {
            *place = sign;
        }
    }
    cells.into_iter().collect()
}

/// What a request's time was spent on, in order.
fn phases(exchange: &Exchange) -> Vec<(char, u64)> {
    let mut phases: Vec<(char, u64)> = Vec::new();
    for hop in &exchange.hops {
        let dns = hop.dns.as_ref().map_or(0, |d| d.took_ms);
        let connect = hop.tcp.iter().map(|t| t.took_ms).max().unwrap_or(0);
        let tls = hop.tls.as_ref().map_or(0, |t| t.took_ms);
        let body = hop.http.as_ref().map_or(0, |h| h.body_ms);
        let waited = hop.took_ms.saturating_sub(dns + connect + tls + body);
        phases.extend([
            ('.', dns),
            ('c', connect),
            ('t', tls),
            ('-', waited),
            ('=', body),
        ]);
    }
    phases.retain(|(_, took)| *took > 0);
    if phases.is_empty() {
        phases.push(('-', exchange.took_ms));
    }
    phases
}

pub fn stopped(stop: &Stop) -> String {
    match stop {
        Stop::Loop => "stopped after ten redirects".into(),
        Stop::Insecure(to) => format!("stopped: https must not lead to http ({to})"),
        Stop::Malformed(to) => format!("stopped: redirects to what is no address ({to})"),
    }
}

/// What is wrong with a body; nothing when it is good.
pub fn content(content: Option<&Content>) -> Option<String> {
    Some(match content? {
        Content::Good | Content::Unread => return None,
        Content::Html => "it is a web page".into(),
        Content::Empty => "it is empty".into(),
        Content::CutZip => "the zip is cut short".into(),
        Content::Prefix(text) => format!("it begins with {text:?}"),
        Content::Bad(why) => why.clone(),
    })
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Dns => "name",
        Phase::Connect => "connect",
        Phase::Forward => "forward proxy",
        Phase::Tls => "tls",
        Phase::Headers => "answer",
        Phase::Body => "body",
    }
}

fn time(ms: u64) -> String {
    if ms < 10_000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..10_240 => format!("{n} B"),
        10_240..10_485_760 => format!("{} KiB", n >> 10),
        _ => format!("{} MiB", n >> 20),
    }
}
