//! The questions after a failure: those that tell its causes apart.

use std::net::{IpAddr, SocketAddr};

use doctor::net::{
    CertProblem, Content, Deep, Exchange, Failure, Fault, Hop, NetFacts, OriginSeen, Phase, Step,
    What,
};
use gomod::version::ModuleVersion;
use url::Url;

use super::fetch::fetch;
use super::hop::{Ask, ask};
use super::origin;
use super::plan::{Place, below};
use super::prober::Prober;
use super::sumdb::web;
use super::tcp;
use super::tls::{Hello, Stream};
use super::walk::{CONTROL, Growing, Walk};

/// A name that is nobody's, for handshakes with another name to the same address.
const OTHER_NAME: &str = "other.example";

/// The segment size that passes every tunnel there is (the IPv6 minimum less headers).
const SMALL_SEGMENT: u32 = 536;

/// Bytes of a page that are looked at.
const PAGE_BYTES_MAX: u64 = 64 << 10;

/// Asks further about the first question that failed.
pub async fn look(walk: &Walk<'_>, module: Option<&ModuleVersion>) {
    let failed = {
        let facts = lock(walk.facts);
        first_failed(&facts).map(|(step, exchange)| (step.what, exchange.clone()))
    };
    let Some((what, exchange)) = failed else {
        return;
    };
    walk.prober.extend();
    let mut deep = lock(walk.facts).deep.clone().unwrap_or_default();
    match exchange.last() {
        Some(Hop {
            failure: Some(failure),
            ..
        }) => {
            let hop = exchange.last().cloned().unwrap_or_default();
            network(walk, &hop, failure, what, &mut deep).await;
        }
        Some(hop) => {
            let hop = hop.clone();
            status(walk, &exchange, &hop, what, module, &mut deep).await;
        }
        None => {}
    }
    walk.note(|facts| facts.deep = Some(deep));
}

/// The question that nobody answered, and the exchange whose error the go command would show.
fn first_failed(facts: &NetFacts) -> Option<(&Step, &Exchange)> {
    let failed = facts.steps.iter().find(|step| {
        let tile_moved = matches!(step.what, What::Tile | What::Supported)
            && step.tries.iter().all(|one| one.exchange.is_absent());
        step.answered().is_none() && !tile_moved
    })?;
    let asked = || failed.tries.iter().filter(|one| !one.beyond);
    let hard = asked().rev().find(|one| !one.exchange.is_absent());
    let shown = hard.or_else(|| asked().next_back())?;
    Some((failed, &shown.exchange))
}

async fn network(walk: &Walk<'_>, hop: &Hop, failure: &Failure, what: What, deep: &mut Deep) {
    let prober = walk.prober;
    if failure.fault == Fault::Late {
        return;
    }
    let (other, control) = tokio::join!(other_host(walk, hop), async {
        match failure.phase {
            Phase::Headers | Phase::Body if !what.is_sumdb() => same_endpoint(walk, hop).await,
            _ => None,
        }
    });
    (deep.other, deep.control) = (other, control);
    if hop.forward.is_some() {
        deep.without_forward = without_forward(prober, hop).await;
        return;
    }
    if failure.phase == Phase::Tls {
        handshake(prober, hop, failure, deep).await;
    }
}

async fn handshake(prober: &Prober, hop: &Hop, failure: &Failure, deep: &mut Deep) {
    match failure.fault {
        Fault::TimedOut => {
            let (name, small) = tokio::join!(
                answers(prober, hop, OTHER_NAME, None),
                answers(prober, hop, &hop.host, Some(SMALL_SEGMENT)),
            );
            (deep.other_name, deep.small_packets) = (name, small);
        }
        Fault::Closed | Fault::Reset => {
            deep.other_name = answers(prober, hop, OTHER_NAME, None).await;
        }
        Fault::Certificate => {
            let problem = hop.tls.as_ref().and_then(|tls| tls.problem);
            match problem {
                Some(CertProblem::Expired | CertProblem::NotYetValid) => {
                    deep.plain = Some(page(prober, hop, true).await);
                }
                Some(CertProblem::WrongName) => {
                    deep.owners = owners(prober, hop).await;
                    deep.plain = Some(page(prober, hop, true).await);
                }
                _ => deep.plain = Some(page(prober, hop, true).await),
            }
        }
        _ => {}
    }
}

async fn status(
    walk: &Walk<'_>,
    exchange: &Exchange,
    hop: &Hop,
    what: What,
    module: Option<&ModuleVersion>,
    deep: &mut Deep,
) {
    let prober = walk.prober;
    let status = hop.http.as_ref().map_or(0, |http| http.status);
    if status == 401 {
        let url = Url::parse(&exchange.url).ok();
        let unused = url.and_then(|url| prober.credentials.unused(&url));
        walk.note(|facts| facts.credentials = unused);
    }
    if what.is_sumdb() || matches!(what, What::Control) {
        return;
    }
    deep.control = same_endpoint(walk, hop).await;
    if let (404 | 410, Some(module)) = (status, module) {
        deep.versions = versions(walk, exchange, module).await;
        // The go command has not gone to the origin: neither does who only repeats it.
        if deep.origin.is_none() && walk.targets.replay.is_none() {
            let path = module.path().as_str();
            let seen: OriginSeen = origin::look(walk, path, Some(module)).await;
            deep.origin = Some(seen);
        }
    }
    if matches!(exchange.content, Some(Content::Html)) {
        deep.plain = Some(page(prober, hop, false).await);
    }
}

/// A well-known module at the proxy that a hop belongs to.
async fn same_endpoint(walk: &Walk<'_>, hop: &Hop) -> Option<Exchange> {
    let whose = |url: &&Url| {
        url.host_str() == Some(&hop.host) && url.port_or_known_default() == Some(hop.port)
    };
    let fits = |url: &&Url| whose(url) && hop.url.starts_with(&super::hop::shown(url));
    let mut candidates = web(walk.entries);
    let base = candidates
        .find(fits)
        .or_else(|| web(walk.entries).find(whose))?;
    let url = below(base, CONTROL);
    Some(fetch(walk.prober, &url, What::Control, None).await.exchange)
}

/// Another host that the go command uses anyway, to see whether the network works at all.
async fn other_host(walk: &Walk<'_>, hop: &Hop) -> Option<Exchange> {
    let differs = |url: &&Url| url.host_str() != Some(&hop.host);
    let entry = web(walk.entries)
        .find(differs)
        .map(|base| below(base, CONTROL));
    let sumdb = walk.sumdb.map(|sumdb| &sumdb.own).filter(differs);
    let url = entry.or_else(|| sumdb.map(|own| below(own, "latest")))?;
    let what = if url.path().ends_with("latest") {
        What::Head
    } else {
        What::Control
    };
    Some(fetch(walk.prober, &url, what, None).await.exchange)
}

async fn without_forward(prober: &Prober, hop: &Hop) -> Option<bool> {
    let limit = prober.left(prober.limits.deep).ok()?;
    let found = prober.resolver.addresses(&hop.host, limit).await;
    if found.is_empty() {
        return Some(false);
    }
    let (stream, _) = tcp::connect(&found, hop.port, limit).await;
    Some(stream.is_some())
}

/// Whether a handshake gets any answer: with another name, or in small packets.
async fn answers(prober: &Prober, hop: &Hop, name: &str, segment: Option<u32>) -> Option<bool> {
    let address = dialled(hop)?;
    let limit = prober.left(prober.limits.deep / 2).ok()?;
    let stream: Stream = match segment {
        Some(size) => Box::new(small(address, size, limit).await?),
        None => {
            let (stream, _) = tcp::one(address.ip(), address.port(), limit).await;
            Box::new(stream.ok()?)
        }
    };
    let hello = Hello {
        name,
        alpn: &[b"h2", b"http/1.1"],
        look: true,
        limit,
    };
    let (tls, _) = prober.handshakes.shake(stream, hello).await;
    Some(tls.received > 0)
}

async fn small(
    address: SocketAddr,
    segment: u32,
    limit: std::time::Duration,
) -> Option<tokio::net::TcpStream> {
    let socket = match address.is_ipv4() {
        true => tokio::net::TcpSocket::new_v4(),
        false => tokio::net::TcpSocket::new_v6(),
    };
    let socket = socket.ok()?;
    socket2::SockRef::from(&socket).set_tcp_mss(segment).ok()?;
    let dial = tokio::time::timeout(limit, socket.connect(address)).await;
    dial.ok()?.ok()
}

fn dialled(hop: &Hop) -> Option<SocketAddr> {
    let reached = hop.tcp.iter().find(|tried| tried.connected)?;
    reached.address.parse().ok()
}

/// The names of a wrong certificate that lead to the very address that was dialled: then the
/// server is who its certificate says, and our name led to it wrongly.
async fn owners(prober: &Prober, hop: &Hop) -> Vec<String> {
    let (Some(address), Some(tls)) = (dialled(hop), &hop.tls) else {
        return Vec::new();
    };
    let names = tls
        .chain
        .first()
        .map(|own| own.names.clone())
        .unwrap_or_default();
    let plain = names
        .iter()
        .filter(|name| !name.contains('*') && name.parse::<IpAddr>().is_err());
    let mut found = Vec::new();
    for name in plain.take(3) {
        let Ok(limit) = prober.left(prober.limits.deep / 2) else {
            break;
        };
        let addresses = prober.resolver.addresses(name, limit).await;
        if addresses.contains(&address.ip()) {
            found.push(name.clone());
        }
    }
    found
}

/// The root page of a host, with nothing secret sent: for its clock and for captive portals.
async fn page(prober: &Prober, hop: &Hop, secure: bool) -> Hop {
    let scheme = if secure { "https" } else { "http" };
    let port = if secure { hop.port } else { 80 };
    let Ok(url) = Url::parse(&format!("{scheme}://{}:{port}/", hop.host)) else {
        return Hop::default();
    };
    let request = Ask {
        look: secure,
        alone: true,
        ..Ask::new(url, PAGE_BYTES_MAX)
    };
    ask(prober, &request).await.hop
}

/// The versions of the module that the same proxy lists.
async fn versions(
    walk: &Walk<'_>,
    exchange: &Exchange,
    module: &ModuleVersion,
) -> Option<Vec<String>> {
    let list = format!("{}/@v/list", module.path().escaped());
    let asked = |base: &&Url| exchange.url.starts_with(&super::hop::shown(base));
    let base = walk.entries.iter().find_map(|entry| match &entry.place {
        Place::Proxy(url) => Some(url).filter(asked),
        _ => None,
    })?;
    let fetched = fetch(walk.prober, &below(base, &list), What::List, None).await;
    if !fetched.exchange.is_good() {
        return fetched.exchange.is_absent().then(Vec::new);
    }
    let text = String::from_utf8_lossy(&fetched.body);
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Some(words.take(1000).map(str::to_owned).collect())
}

fn lock(facts: &Growing) -> std::sync::MutexGuard<'_, NetFacts> {
    facts
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
