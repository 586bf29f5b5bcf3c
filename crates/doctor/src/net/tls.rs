//! Handshakes that failed: which of the many reasons.

use super::blame::Blame;
use super::network::strange_address;
use super::{Cert, CertProblem, Deep, Failure, Fault, Hop, NetFacts, Tls};

/// A clock that differs by more explains a certificate's dates, in seconds: servers' clocks and
/// certificates' first hours are no better than this.
const SKEW_SECONDS: i64 = 60;

/// What is to blame for a handshake that failed.
pub fn blame(net: &NetFacts, hop: &Hop, failure: &Failure) -> Blame {
    let deep = net.deep.clone().unwrap_or_default();
    let place = format!("{}:{}", hop.host, hop.port);
    match failure.fault {
        Fault::PlainHttp => Blame::new("D23", "http_on_https_port", 0.97)
            .seen(format!("{place} answers the TLS handshake with plain HTTP")),
        Fault::Certificate => match &hop.tls {
            Some(tls) => certificate(net, &deep, hop, tls),
            None => Blame::nameless("D23").seen(failure.text.clone()),
        },
        Fault::TimedOut if deep.small_packets == Some(true) && deep.other_name != Some(true) => {
            Blame::new("D29", "mtu_blackhole", 0.93)
                .seen(format!("{place}: {}", failure.text))
                .seen("the same handshake in packets of 536 bytes gets an answer")
        }
        Fault::TimedOut => Blame::new("D23", "tls_handshake_timeout", 0.93)
            .seen(format!("{place}: {}", failure.text))
            .also(filter_line(&deep, hop))
            .also(small_line(&deep)),
        Fault::Closed => Blame::new("D23", "tls_closed", 0.93)
            .seen(format!(
                "{place} closes the connection during the handshake"
            ))
            .also(filter_line(&deep, hop)),
        Fault::Reset => Blame::new("D23", "connection_reset", 0.93)
            .seen(format!(
                "{place}: reset during the handshake ({})",
                failure.text
            ))
            .also(filter_line(&deep, hop)),
        _ => Blame::nameless("D23").seen(format!("{place}: {}", failure.text)),
    }
}

/// Whether somebody on the way looks at the name.
fn filter_line(deep: &Deep, hop: &Hop) -> Option<String> {
    deep.other_name.map(|works| match works {
        true => format!(
            "a handshake with another name to the same address gets an answer: something on the way filters {}",
            hop.host
        ),
        false => "a handshake with another name to the same address fares no better".to_owned(),
    })
}

fn small_line(deep: &Deep) -> Option<String> {
    let works = deep.small_packets?;
    (!works).then(|| "the same handshake in small packets gets no answer either".to_owned())
}

fn certificate(net: &NetFacts, deep: &Deep, hop: &Hop, tls: &Tls) -> Blame {
    let own = tls.chain.first();
    let blame = match tls.problem {
        Some(CertProblem::Expired) => expired(deep, hop, tls),
        Some(CertProblem::NotYetValid) => not_yet(deep, hop, tls),
        Some(CertProblem::WrongName) => wrong_name(deep, hop, own),
        Some(CertProblem::UnknownIssuer) => unknown(net, deep, hop, tls),
        Some(CertProblem::Other) | None => {
            Blame::nameless("D23").seen(format!("{}: the certificate is not acceptable", hop.host))
        }
    };
    blame
        .also(own.map(describe))
        .also(tls.chain.get(1).map(describe))
}

fn describe(cert: &Cert) -> String {
    format!(
        "certificate of {}, issued by {}, for {}",
        cert.subject,
        cert.issuer,
        match cert.names.is_empty() {
            true => "no host".to_owned(),
            false => cert.names.join(" "),
        }
    )
}

/// By how much the other side's clock is ahead of ours.
fn ahead(deep: &Deep) -> Option<i64> {
    deep.plain.as_ref()?.http.as_ref()?.clock_ahead_s
}

fn expired(deep: &Deep, hop: &Hop, tls: &Tls) -> Blame {
    let end = tls.chain.first().map_or(0, |own| own.not_after);
    let over = tls.now - end;
    let seen = format!(
        "{}: the certificate ended {over} s ago by this machine's clock",
        hop.host
    );
    match ahead(deep) {
        Some(ahead) if ahead < -SKEW_SECONDS && tls.now + ahead < end => Blame::new(
            "D24",
            "clock_skew",
            0.95,
        )
        .seen(seen)
        .seen(format!(
            "the server's clock is {} s behind this machine's: by it the certificate is good",
            -ahead
        )),
        Some(ahead) => Blame::new("D23", "tls_cert_expired", 0.96)
            .seen(seen)
            .seen(format!(
                "the server's clock differs by {ahead} s: the clock is not the reason"
            )),
        None => Blame::new("D23", "tls_cert_expired", 0.9).seen(seen),
    }
}

fn not_yet(deep: &Deep, hop: &Hop, tls: &Tls) -> Blame {
    let start = tls.chain.first().map_or(0, |own| own.not_before);
    let wait = start - tls.now;
    let seen = format!(
        "{}: the certificate begins {wait} s from now by this machine's clock",
        hop.host
    );
    let (sure, clock) = match ahead(deep) {
        Some(ahead) if ahead > SKEW_SECONDS => (
            0.97,
            Some(format!(
                "the server's clock is {ahead} s ahead of this machine's"
            )),
        ),
        Some(ahead) => (
            0.7,
            Some(format!("the server's clock differs by {ahead} s")),
        ),
        None => (0.85, None),
    };
    // Nobody issues certificates for later: a clock that runs behind is by far the likeliest.
    Blame::new("D24", "clock_skew", sure).seen(seen).also(clock)
}

fn wrong_name(deep: &Deep, hop: &Hop, own: Option<&Cert>) -> Blame {
    let names = own.map(|own| own.names.join(" ")).unwrap_or_default();
    let seen = format!("{}: the certificate is for {names}", hop.host);
    if let Some(strange) = strange_address(hop) {
        return Blame::new("D20", "dns_hijack", 0.9)
            .seen(seen)
            .seen(strange);
    }
    if let Some(line) = servers_differ(hop) {
        return Blame::new("D20", "dns_hijack", 0.88).seen(seen).seen(line);
    }
    let foreign = deep
        .owners
        .iter()
        .find(|owner| !same_owner(owner, &hop.host));
    if let Some(owner) = foreign {
        return Blame::new("D20", "dns_hijack", 0.8)
            .seen(seen)
            .seen(format!(
                "{owner} has the same address: {} was led to another's server",
                hop.host
            ));
    }
    Blame::new("D23", "tls_hostname_mismatch", 0.93).seen(seen)
}

/// Two DNS servers that agree on no address.
fn servers_differ(hop: &Hop) -> Option<String> {
    let dns = hop.dns.as_ref()?;
    let answers: Vec<(&str, Vec<&String>)> = dns
        .servers
        .iter()
        .map(|server| {
            let found = server.both().flat_map(|answer| &answer.addresses);
            (server.server.as_str(), found.collect::<Vec<_>>())
        })
        .filter(|(_, found)| !found.is_empty())
        .collect();
    let (first, ours) = answers.first()?;
    let apart = |(_, theirs): &&(&str, Vec<&String>)| !theirs.iter().any(|a| ours.contains(a));
    let (other, theirs) = answers.iter().skip(1).find(apart)?;
    let list = |found: &[&String]| {
        found
            .iter()
            .map(|a| a.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    Some(format!(
        "the DNS servers differ: {first} says {}, {other} says {}",
        list(ours),
        list(theirs)
    ))
}

/// Whether two names share their last two labels.
fn same_owner(a: &str, b: &str) -> bool {
    let tail = |name: &str| {
        let labels: Vec<String> = name
            .to_lowercase()
            .rsplit('.')
            .take(2)
            .map(str::to_owned)
            .collect();
        labels
    };
    tail(a) == tail(b)
}

fn unknown(net: &NetFacts, deep: &Deep, hop: &Hop, tls: &Tls) -> Blame {
    let roots = net.roots.clone().unwrap_or_default();
    let store = match (&roots.error, &roots.source) {
        (Some(error), _) => error.clone(),
        (None, Some(source)) => format!("{} authorities from {source}", roots.count),
        (None, None) => format!("{} authorities", roots.count),
    };
    if roots.count == 0 {
        return Blame::new("D23", "ca_bundle_missing", 0.97).seen(format!(
            "{}: no certificate authority is known on this machine ({store})",
            hop.host
        ));
    }
    if tls.public == Some(true) {
        return Blame::new("D23", "ca_bundle_missing", 0.93).seen(format!(
            "{}: signed by a public authority that this machine's store lacks ({store})",
            hop.host
        ));
    }
    let issuer = tls
        .chain
        .last()
        .map(|last| last.issuer.clone())
        .unwrap_or_default();
    let seen = format!(
        "{}: signed by {issuer}, which is not among the {store}",
        hop.host
    );
    let elsewhere = deep.other.as_ref().and_then(|other| {
        let last = other.last()?;
        let theirs = last.tls.as_ref()?.chain.last()?;
        let same = theirs.issuer == issuer && last.host != hop.host;
        same.then(|| {
            format!(
                "{} shows the same issuer: something on the way signs for everybody",
                last.host
            )
        })
    });
    let sure = if elsewhere.is_some() { 0.97 } else { 0.85 };
    Blame::new("D23", "tls_intercept", sure)
        .seen(seen)
        .also(elsewhere)
}
