//! Failures before an answer: names, addresses, forward proxies, handshakes, silence.

use std::net::IpAddr;

use super::blame::Blame;
use super::tls;
use super::{Dns, DnsAnswer, Exchange, Failure, Fault, Hop, NetFacts, Phase, Tcp, What};

/// What is to blame for a hop that failed.
pub fn blame(net: &NetFacts, what: What, exchange: &Exchange, hop: &Hop) -> Option<Blame> {
    let failure = hop.failure.as_ref()?;
    if failure.fault == Fault::Late {
        return None;
    }
    if let Some(blame) = forward(net, hop, failure) {
        return Some(blame);
    }
    let found = match failure.phase {
        Phase::Dns => dns(hop),
        Phase::Connect => connect(exchange, hop, failure),
        Phase::Forward => Blame::nameless("D15").seen(failure.text.clone()),
        Phase::Tls => tls::blame(net, hop, failure),
        Phase::Headers => headers(net, what, hop, failure),
        Phase::Body => body(what, hop, failure),
    };
    Some(found.also(other_host(net, hop)))
}

/// A forward proxy that is not come to, or says no.
fn forward(net: &NetFacts, hop: &Hop, failure: &Failure) -> Option<Blame> {
    let proxy = hop.forward.as_ref()?;
    let named = format!("{}={}", proxy.variable, proxy.url);
    let said = match failure.phase {
        Phase::Dns | Phase::Connect => failure.text.clone(),
        Phase::Forward => failure.text.clone(),
        _ => return None,
    };
    let label = match proxy.status {
        Some(407) => "http_proxy_auth",
        Some(400..=499) => "http_proxy_denied",
        _ => "http_proxy_misconfig",
    };
    let without = net.deep.as_ref().and_then(|deep| deep.without_forward);
    let without = without.map(|works| match works {
        true => format!("{} can be connected to without it (NO_PROXY)", hop.host),
        false => format!("{} cannot be connected to without it", hop.host),
    });
    let blame = Blame::new("D15", label, 0.96)
        .seen(format!(
            "{named} on the way to {}:{}: {said}",
            hop.host, hop.port
        ))
        .also(without);
    Some(blame)
}

fn dns(hop: &Hop) -> Blame {
    let Some(dns) = &hop.dns else {
        return Blame::nameless("D20").seen("no address");
    };
    let blame = Blame::new("D20", "dns_failure", 0.96);
    let blame = match dns_variant(dns) {
        Some(variant) => blame.variant(variant),
        None => blame,
    };
    let system = dns.system.as_ref().and_then(|answer| {
        let error = answer.error.as_ref()?;
        Some(format!(
            "the system's resolver: {error} after {} ms",
            answer.took_ms
        ))
    });
    blame
        .seen(format!("{}: no address after {} ms", dns.name, dns.took_ms))
        .also(server_lines(dns))
        .also(system)
}

/// What the DNS servers' answers come to.
fn dns_variant(dns: &Dns) -> Option<&'static str> {
    let answers = || dns.servers.iter().flat_map(|server| server.both());
    if dns.servers.is_empty() || answers().next().is_none() {
        return None;
    }
    // The go command goes on to the next server after a failure; the first word counts.
    let said = |code: &str| answers().any(|answer| answer.rcode.as_deref() == Some(code));
    let by_code = [
        ("NXDOMAIN", "nxdomain"),
        ("NOERROR", "nodata"),
        ("REFUSED", "refused"),
        ("SERVFAIL", "servfail"),
    ];
    let found = by_code.into_iter().find(|(code, _)| said(code));
    match found {
        Some((_, variant)) => Some(variant),
        None if answers().all(|answer| answer.rcode.is_none()) => Some("timeout"),
        None => Some("servfail"),
    }
}

/// One line for each server and question.
pub fn server_lines(dns: &Dns) -> Vec<String> {
    let line = |server: &str, question: &str, answer: &DnsAnswer| {
        let said = match (&answer.rcode, &answer.error) {
            (Some(code), _) if answer.addresses.is_empty() => format!("{code}, no address"),
            (Some(code), _) => format!("{code} {}", answer.addresses.join(" ")),
            (None, Some(error)) => error.clone(),
            (None, None) => "no answer".to_owned(),
        };
        format!("{server} {question}: {said} ({} ms)", answer.took_ms)
    };
    let mut lines = Vec::new();
    for server in &dns.servers {
        lines.extend(server.a.as_ref().map(|a| line(&server.server, "A", a)));
        lines.extend(
            server
                .aaaa
                .as_ref()
                .map(|a| line(&server.server, "AAAA", a)),
        );
    }
    lines
}

fn connect(exchange: &Exchange, hop: &Hop, failure: &Failure) -> Blame {
    let place = format!("{}:{}", hop.host, hop.port);
    let blame = if let Some(strange) = strange_address(hop) {
        Blame::new("D20", "dns_hijack", 0.85).seen(strange)
    } else if failure.fault == Fault::Unreachable
        && !hop.tcp.is_empty()
        && hop.tcp.iter().all(|t| t.v6)
    {
        Blame::new("D22", "ipv6_broken", 0.9).seen(format!(
            "{place} has IPv6 addresses only, and this machine has no way there"
        ))
    } else {
        // Any answer beats silence: it was meant for this connection.
        let has = |fault| hop.tcp.iter().any(|tried| tried.fault == Some(fault));
        let kind = [
            Fault::Refused,
            Fault::Reset,
            Fault::TimedOut,
            Fault::Unreachable,
        ]
        .into_iter()
        .find(|fault| has(*fault))
        .unwrap_or(failure.fault);
        named_connect(exchange, kind, &place, failure)
    };
    blame.also(hop.tcp.iter().map(tcp_line))
}

fn named_connect(exchange: &Exchange, kind: Fault, place: &str, failure: &Failure) -> Blame {
    let text = &failure.text;
    match kind {
        Fault::Refused => Blame::new("D21", "connect_refused", 0.95)
            .seen(format!("{place}: every address refuses the connection")),
        Fault::TimedOut => {
            let silent = format!(
                "{place}: no answer to a connection in {} ms",
                failure.waited_ms
            );
            let blame = Blame::new("D21", "connect_timeout", 0.95);
            match exchange.hops.len() {
                0 | 1 => blame.seen(silent),
                _ => blame
                    .variant("cdn_hop")
                    .seen(format!("{silent}; {} redirects there", exchange.url)),
            }
        }
        Fault::Unreachable => Blame::new("D21", "no_route", 0.95).seen(format!("{place}: {text}")),
        Fault::Reset => Blame::new("D21", "connection_reset", 0.9).seen(format!("{place}: {text}")),
        _ => Blame::nameless("D21").seen(format!("{place}: {text}")),
    }
}

/// One line for an address tried.
pub fn tcp_line(tried: &Tcp) -> String {
    match &tried.error {
        Some(error) => format!("{}: {error} ({} ms)", tried.address, tried.took_ms),
        None if tried.connected => format!("{}: connected in {} ms", tried.address, tried.took_ms),
        None => format!("{}: not waited for", tried.address),
    }
}

/// A public name that leads to an address of private or no networks.
pub fn strange_address(hop: &Hop) -> Option<String> {
    if hop.forward.is_some() || !is_public_name(&hop.host) {
        return None;
    }
    let dns = hop.dns.as_ref()?;
    let strange = |address: &&String| address.parse().is_ok_and(|ip| !is_public(ip));
    let all = !dns.addresses.is_empty() && dns.addresses.iter().all(|a| strange(&a));
    all.then(|| {
        let found = dns.addresses.join(" ");
        format!(
            "{}: a public name that resolves to {found}, which no public server has",
            hop.host
        )
    })
}

/// Names whose servers are known to be public: those the go command itself ships with, and code
/// hosts. Any other name may be anybody's own.
fn is_public_name(host: &str) -> bool {
    const PROXIES: &[&str] = &[
        "proxy.golang.org",
        "sum.golang.org",
        "sum.golang.google.cn",
        "goproxy.cn",
        "goproxy.io",
        "storage.googleapis.com",
    ];
    PROXIES.contains(&host) || is_public_host(host)
}

/// Whether a host serves public code.
pub fn is_public_host(host: &str) -> bool {
    const HOSTS: &str = include_str!("../../data/public-hosts.txt");
    let mut lines = HOSTS.lines().filter(|line| !line.starts_with('#'));
    lines.any(|line| line.trim() == host)
}

/// Whether an address is one of the public network's.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || a >= 224)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public(ip.into()),
            None => (ip.segments()[0] & 0xe000) == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8],
        },
    }
}

fn headers(net: &NetFacts, what: What, hop: &Hop, failure: &Failure) -> Blame {
    match failure.fault {
        Fault::TimedOut => silence(net, what, hop, failure),
        Fault::Reset | Fault::Closed => Blame::new("D25", "connection_reset", 0.93).seen(format!(
            "{}: the connection ended after the request: {}",
            hop.url, failure.text
        )),
        Fault::Local => Blame::nameless("D26").seen(format!("{}: {}", hop.url, failure.text)),
        _ => Blame::nameless("D25").seen(format!("{}: {}", hop.url, failure.text)),
    }
}

/// No answer to a request: who is slow?
fn silence(net: &NetFacts, what: What, hop: &Hop, failure: &Failure) -> Blame {
    let stall = Blame::new("D28", "server_stall", 0.92);
    let seen = format!(
        "{}: connected, and no answer to the request in {} ms",
        hop.url, failure.waited_ms
    );
    if what.is_sumdb() {
        return stall.variant("sumdb").seen(seen);
    }
    let control = net.deep.as_ref().and_then(|deep| deep.control.as_ref());
    // An answer to a known module means that the proxy lives and waits for somebody else.
    let answer = control.filter(|c| c.is_good() || c.is_absent());
    match answer {
        Some(control) => stall.variant("upstream").seen(seen).seen(format!(
            "{} answers {} in {} ms: the server works and waits for this module's origin",
            hop.host, control.url, control.took_ms
        )),
        None => stall.variant("headers").seen(seen),
    }
}

fn body(what: What, hop: &Hop, failure: &Failure) -> Blame {
    let seen = format!("{}: {}", hop.url, failure.text);
    match failure.fault {
        Fault::TimedOut => {
            let variant = if what.is_sumdb() { "sumdb" } else { "body" };
            Blame::new("D28", "server_stall", 0.92)
                .variant(variant)
                .seen(seen)
        }
        Fault::Cut | Fault::Closed => Blame::new("D28", "truncated_transfer", 0.95).seen(seen),
        Fault::Reset => Blame::new("D28", "connection_reset", 0.93).seen(seen),
        Fault::TooLarge => Blame::new("D28", "zip_too_large", 0.97)
            .seen(format!("{seen}; the go command takes 524288000 at most")),
        _ => Blame::nameless("D28").seen(seen),
    }
}

/// Whether anything else on this network answers.
fn other_host(net: &NetFacts, hop: &Hop) -> Option<String> {
    let other = net.deep.as_ref()?.other.as_ref()?;
    let last = other.last()?;
    if last.host == hop.host {
        return None;
    }
    Some(match (other.status(), &last.failure) {
        (Some(status), None) => format!(
            "{} answers on the same network (status {status})",
            last.host
        ),
        (_, Some(failure)) => format!("{} does not answer either: {}", last.host, failure.text),
        (None, None) => return None,
    })
}
