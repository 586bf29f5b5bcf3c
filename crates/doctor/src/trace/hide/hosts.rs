//! Which hosts are named, and which of them everybody knows.

use crate::facts::{EnvFacts, Facts};
use crate::net::{Exchange, Hop, NetFacts};
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::is_inside;
use super::names::{COMMON, NAME_MIN, values};

/// Settings that hold lists of hosts without a scheme.
const HOSTS: &[&str] = &[
    "NO_PROXY",
    "no_proxy",
    "GOPROXY",
    "GOSUMDB",
    "HTTP_PROXY",
    "HTTPS_PROXY",
];

/// Hosts that everybody knows: their name tells nothing, what stands behind it does.
const KNOWN: &[&str] = &[
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "gitee.com",
    "golang.org",
    "go.dev",
    "google.golang.org",
    "gopkg.in",
    "go.uber.org",
    "k8s.io",
    "sum.golang.org",
    "sum.golang.google.cn",
    "storage.googleapis.com",
    "git.sr.ht",
    "go.googlesource.com",
    "localhost",
    "other.example",
];

/// Hosts that answered from a public address to somebody without a login.
pub(super) fn public_hosts(facts: &Facts, private: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let (Some(asked), false) = (&facts.asked, private) {
        found.insert(
            asked
                .module
                .split('/')
                .next()
                .unwrap_or_default()
                .to_lowercase(),
        );
    }
    let Some(net) = facts.net.as_ref().filter(|_| !private) else {
        return found;
    };
    for exchange in exchanges(net).filter(|exchange| exchange.credential.is_none()) {
        for hop in exchange.hops.iter().filter(|hop| hop.forward.is_none()) {
            let mut addresses = addresses(hop).peekable();
            let known = addresses.peek().is_some();
            if known && addresses.all(|ip| !is_inside(ip) && !ip.is_loopback()) {
                found.insert(hop.host.to_lowercase());
            }
        }
    }
    found
}

/// Every host that settings and requests name.
pub(super) fn mentioned(facts: &Facts, env: &EnvFacts) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut all = serde_json::to_value(env).unwrap_or_default();
    all = serde_json::json!([all, facts.go, facts.net]);
    let mut texts = Vec::new();
    strings(&all, &mut texts);
    for text in texts {
        found.extend(hosts_in(text));
    }
    for value in HOSTS.iter().flat_map(|name| values(facts, env, name)) {
        // `sum.example.com+hash+key URL`, `.example.com`, `proxy.example.com:3128`.
        for word in value.split([',', '|', ' ']) {
            found.extend(bare_host(word.split('+').next().unwrap_or_default()));
        }
    }
    for machine in env.netrc.iter().flat_map(|netrc| &netrc.machines) {
        found.extend(bare_host(&machine.machine));
    }
    let lists = [
        env.netrc.as_ref().map(|n| &n.incomplete),
        env.ssh.as_ref().map(|s| &s.unknown_hosts),
    ];
    for name in lists.into_iter().flatten().flatten() {
        found.extend(bare_host(name));
    }
    let owners = facts.net.iter().filter_map(|net| net.deep.as_ref());
    found.extend(
        owners
            .flat_map(|deep| &deep.owners)
            .filter_map(|name| bare_host(name)),
    );
    for hop in facts.net.iter().flat_map(hops) {
        found.extend(bare_host(&hop.host));
        let via = hop.http.iter().filter_map(|http| http.header("via"));
        found.extend(
            via.flat_map(str::split_whitespace)
                .filter(|w| w.contains('.'))
                .filter_map(bare_host),
        );
    }
    found
}

fn strings<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::String(text) => found.push(text),
        serde_json::Value::Array(list) => list.iter().for_each(|inner| strings(inner, found)),
        serde_json::Value::Object(object) => {
            object.values().for_each(|inner| strings(inner, found))
        }
        _ => {}
    }
}

/// Hosts of URLs, and of `user@host:path` as git writes it.
fn hosts_in(text: &str) -> Vec<String> {
    let ends = |c: char| c.is_whitespace() || "/,|\"'?#<>();".contains(c);
    let url = |(at, _): (usize, &str)| {
        let authority = text[at + 3..].split(ends).next()?;
        bare_host(authority.rsplit('@').next()?)
    };
    let scp = |(at, _): (usize, &str)| {
        let (host, _) = text[at + 1..].split(ends).next()?.split_once(':')?;
        bare_host(host)
    };
    let urls = text.match_indices("://").filter_map(url);
    urls.chain(text.match_indices('@').filter_map(scp))
        .collect()
}

/// A host without port and dots around it; nothing for addresses, words and versions.
pub(super) fn bare_host(text: &str) -> Option<String> {
    let text = text.rsplit_once("://").map_or(text, |(_, rest)| rest);
    let text = text.rsplit('@').next()?.split(['/', '?', '#']).next()?;
    let host = text
        .split(':')
        .next()?
        .trim_matches(['.', '*', '[', ']', ' '])
        .to_lowercase();
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    let version =
        |host: &str| host.starts_with('v') && host[1..].starts_with(|c: char| c.is_ascii_digit());
    let sound = host.len() >= NAME_MIN
        && host.chars().all(plain)
        && !host.contains("..")
        && !version(&host);
    let address =
        host.parse::<IpAddr>().is_ok() || host.chars().all(|c| c.is_ascii_digit() || c == '.');
    (sound && !address && !COMMON.contains(&&*host)).then_some(host)
}

pub(super) fn is_known(host: &str) -> bool {
    let mirror = |mirror: &crate::mirrors::Mirror| {
        let behind = mirror.url.split_once("://").map_or("", |(_, rest)| rest);
        behind.trim_end_matches('/') == host
    };
    let mut mirrors = crate::mirrors::known()
        .into_iter()
        .flat_map(|known| &known.mirror);
    KNOWN.contains(&host) || mirrors.any(mirror)
}

fn exchanges(net: &NetFacts) -> impl Iterator<Item = &Exchange> {
    let tries = net.steps.iter().flat_map(|step| &step.tries);
    let deep = net.deep.iter().flat_map(|deep| {
        let origin = deep.origin.iter().flat_map(|origin| &origin.exchanges);
        deep.control.iter().chain(&deep.other).chain(origin)
    });
    tries.map(|one| &one.exchange).chain(deep)
}

pub(super) fn hops(net: &NetFacts) -> impl Iterator<Item = &Hop> {
    let plain = net.deep.iter().filter_map(|deep| deep.plain.as_ref());
    exchanges(net)
        .flat_map(|exchange| &exchange.hops)
        .chain(plain)
}

pub(super) fn addresses(hop: &Hop) -> impl Iterator<Item = IpAddr> {
    let found = hop.dns.iter().flat_map(|dns| &dns.addresses);
    found.filter_map(|address| address.parse().ok())
}

pub(super) fn resolves_inside(hop: &Hop) -> bool {
    hop.host.parse::<IpAddr>().is_err() && addresses(hop).any(is_inside)
}
