//! A trace as text: one line for each request, bars over a common time, and what each phase took.

use super::words::{Words, words};
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
    "x-cache-hits",
    "x-proxy-cache",
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

/// How everything is put.
#[derive(Clone, Copy)]
struct Style {
    lang: Lang,
    words: &'static Words,
    color: bool,
    /// Milliseconds that a whole bar stands for.
    whole: u64,
}

pub fn text(trace: &Trace<'_>, lang: Lang, color: bool) -> String {
    let style = Style {
        lang,
        words: words(lang),
        color,
        whole: trace.took_ms().max(1),
    };
    let (mut out, net, words) = (String::new(), trace.net, style.words);
    let _ = writeln!(out, "{}", style.bold(&printable(trace.asked)));
    if let Some(list) = &net.goproxy {
        let _ = writeln!(out, "  GOPROXY={}", printable(list));
    }
    if net.private == Some(true) {
        let _ = writeln!(out, "  {}", words.private);
    }
    if let Some(version) = &net.version {
        let _ = writeln!(out, "  {} {}", words.means, printable(version));
    }
    for step in &net.steps {
        put_step(&mut out, step, style);
    }
    if let Some(sumdb) = &net.sumdb {
        let name = printable(&sumdb.name);
        let said = match (&sumdb.problem, sumdb.size) {
            (Some(problem), _) => format!("{}: {}", words.not_proved, printable(&problem.text)),
            (None, Some(size)) => format!("{} {size} {}", words.proved, words.records),
            (None, None) => words.not_asked.to_owned(),
        };
        let _ = writeln!(out, "\n{name}: {}", said.trim_end());
    }
    for source in &net.sums {
        let sum = source.zip.as_deref().unwrap_or("-");
        let _ = writeln!(out, "  {}: {}", printable(&source.name), printable(sum));
    }
    if let Some(route) = trace.route {
        put_route(&mut out, route, words);
    }
    put_end(&mut out, trace, style);
    out
}

fn put_step(out: &mut String, step: &Step, style: Style) {
    let _ = writeln!(out, "\n{}", style.bold(step.what.word()));
    for (index, one) in step.tries.iter().enumerate() {
        put_try(out, one, style);
        if let Some(next) = fallback(step, index) {
            let _ = writeln!(out, "    -> {}", next.text(style.lang));
        }
    }
    if step.tries.is_empty() {
        let _ = writeln!(out, "  {}", style.words.nobody);
    }
}

fn put_try(out: &mut String, one: &Try, style: Style) {
    let (exchange, words) = (&one.exchange, style.words);
    let comparison = if one.beyond { words.comparison } else { "" };
    let (took, size) = match &one.vcs {
        Some(run) if run.error.is_none() => (run.took_ms, format!(", {}", bytes(run.bytes))),
        Some(run) => (run.took_ms, String::new()),
        None => (exchange.took_ms, size(exchange)),
    };
    let said = style.judged(&printable(&outcome_of(one, words)), one.is_good());
    let place = printable(&one.place);
    let _ = writeln!(out, "  {place}{comparison}: {said}, {}{size}", time(took));
    for exchange in &one.before {
        put_exchange(out, exchange, style);
    }
    if one.vcs.is_none() || !exchange.hops.is_empty() {
        put_exchange(out, exchange, style);
    }
    if let Some(run) = &one.vcs {
        let cells = bar(run.at_ms, vec![('v', run.took_ms)], style);
        let _ = writeln!(
            out,
            "    [{cells}]\n    {}, {}",
            words.vcs,
            time(run.took_ms)
        );
        for line in run
            .error
            .iter()
            .flat_map(|error| error.lines())
            .take(ERROR_LINES_MAX)
        {
            let _ = writeln!(out, "      {}", printable(line));
        }
        if let Some(h1) = &run.h1 {
            let _ = writeln!(out, "      {h1}");
        }
    }
}

fn put_exchange(out: &mut String, exchange: &Exchange, style: Style) {
    let cells = bar(exchange.at_ms, phases(exchange), style);
    let _ = writeln!(out, "    [{cells}]");
    if let Some(credential) = &exchange.credential {
        let (login, source) = (printable(&credential.login), printable(&credential.source));
        let _ = writeln!(out, "    {} {login} ({source})", style.words.logs_in);
    }
    if exchange.hops.is_empty() {
        let _ = writeln!(out, "    {}", printable(&exchange.url));
    }
    for hop in &exchange.hops {
        put_hop(out, hop, style);
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

fn put_hop(out: &mut String, hop: &Hop, style: Style) {
    let words = style.words;
    let _ = writeln!(out, "    {}", printable(&hop.url));
    let mut phases = Vec::new();
    if hop.reused {
        phases.push(words.reused.to_owned());
    }
    if let Some(forward) = &hop.forward {
        let status = forward
            .status
            .map(|status| format!(" {} {status}", words.answered));
        let (url, status) = (&forward.url, status.unwrap_or_default());
        phases.push(format!(
            "{} {url} ({}){status}",
            words.through, forward.variable
        ));
    }
    phases.extend(hop.dns.as_ref().map(dns));
    phases.extend(hop.tcp.iter().map(|one| tcp(one, words)));
    phases.extend(hop.tls.as_ref().map(tls));
    phases.extend(hop.http.as_ref().map(|one| http(one, words)));
    let headers = hop.http.iter().flat_map(|h| &h.headers);
    for (name, value) in headers.filter(|(name, _)| TOLD.contains(&name.as_str())) {
        let shown: String = value.chars().take(HEADER_MAX).collect();
        phases.push(format!("{name}: {shown}"));
    }
    for phase in phases {
        let _ = writeln!(out, "      {}", printable(&phase));
    }
    if let Some(failure) = &hop.failure {
        let said = format!(
            "{} {}: {}",
            words.failed_at,
            phase(failure.phase),
            printable(&failure.text)
        );
        let _ = writeln!(out, "      {}", style.judged(&said, false));
    }
    if let Some(to) = hop.http.as_ref().and_then(|h| h.location.as_ref()) {
        let _ = writeln!(out, "      {} {}", words.redirects, printable(to));
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

fn tcp(tcp: &Tcp, words: &Words) -> String {
    let family = if tcp.v6 { "IPv6" } else { "IPv4" };
    let said = match (&tcp.error, tcp.connected) {
        (_, true) => words.connected.to_owned(),
        (Some(error), _) => error.clone(),
        (None, false) => words.silent.into(),
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

fn http(http: &Http, words: &Words) -> String {
    let announced = match http.announced {
        Some(all) if all != http.bytes => format!(" of {}", bytes(all)),
        _ => String::new(),
    };
    let cut = match http.complete {
        true => String::new(),
        false => format!(", {}", words.not_whole),
    };
    format!(
        "answer   {} {}, {} {}, {}{announced} in {}{cut}",
        http.version,
        http.status,
        words.first_byte,
        time(http.first_byte_ms),
        bytes(http.bytes),
        time(http.body_ms)
    )
}

fn put_route(out: &mut String, route: &Route, words: &Words) {
    let (host, address) = (printable(&route.host), printable(&route.address));
    let _ = writeln!(out, "\n{} {host} ({address})", words.route);
    if let Some(why) = &route.unavailable {
        let _ = writeln!(out, "  {}: {}", words.unavailable, printable(why));
        return;
    }
    for hop in &route.hops {
        let address = hop.address.as_deref().unwrap_or("*");
        let took = match &hop.address {
            Some(_) => format!("  {:.1} ms", hop.took_ms),
            None => String::new(),
        };
        let _ = writeln!(out, "  {:2}  {}{took}", hop.ttl, printable(address));
    }
    if !route.reached {
        let _ = writeln!(out, "  {}", words.silent_end);
    }
}

fn put_end(out: &mut String, trace: &Trace<'_>, style: Style) {
    let (words, outcome) = (style.words, trace.outcome());
    let took = match trace.net.steps.is_empty() {
        true => String::new(),
        false => format!("{}{}", words.took, time(trace.took_ms())),
    };
    let said = match outcome {
        Outcome::Complete => format!("{}{took}", words.complete),
        Outcome::Failed => format!("{}{took}", words.failed),
        Outcome::Unknown => format!("{}{took}; {}", words.unknown, words.more_time),
    };
    let _ = writeln!(
        out,
        "\n{}",
        style.judged(&said, outcome == Outcome::Complete)
    );
    if let Some(why) = &trace.net.nothing {
        let _ = writeln!(out, "{}", printable(why));
    }
    if outcome == Outcome::Complete {
        return;
    }
    if let Some(first) = trace.report.findings.first() {
        out.push('\n');
        out.push_str(&render::finding(first, style.lang, style.color));
    } else if outcome == Outcome::Failed {
        let _ = writeln!(
            out,
            "{}: modkeep doctor {}",
            words.further,
            printable(trace.asked)
        );
    }
}

impl Style {
    fn bold(self, text: &str) -> String {
        self.painted(text, "1")
    }

    fn judged(self, text: &str, good: bool) -> String {
        self.painted(text, if good { "32" } else { "31" })
    }

    fn painted(self, text: &str, code: &str) -> String {
        match self.color {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// Names and texts come from others: no control characters on a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// When a request ran, on a line for the whole download: `.` name, `c` connect, `t` TLS, `-` waiting
/// for the first byte, `=` body, `v` version control.
fn bar(mut at: u64, phases: Vec<(char, u64)>, style: Style) -> String {
    let cell = |ms: u64| (ms.saturating_mul(BAR) / style.whole).min(BAR - 1) as usize;
    let mut cells = vec![' '; BAR as usize];
    for (sign, took) in phases {
        let from = at;
        at = at.saturating_add(took);
        for place in cells.iter_mut().take(cell(at) + 1).skip(cell(from)) {
            *place = sign;
        }
    }
    let runs = cells.chunk_by(|a, b| a == b);
    runs.map(|run| style.painted(&run.iter().collect::<String>(), color_of(run[0])))
        .collect()
}

/// A colour for each phase, so that a look at the bars tells what took the time.
fn color_of(sign: char) -> &'static str {
    match sign {
        '.' => "36",
        'c' => "33",
        't' => "35",
        '=' => "32",
        'v' => "34",
        _ => "2",
    }
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
