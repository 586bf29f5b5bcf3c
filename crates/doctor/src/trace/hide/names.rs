//! Which names are private: what settings say, what resolves to addresses of inside, and whatever is
//! not known to be public.

use crate::facts::{EnvFacts, Facts};
use crate::net::{Hop, NetFacts};
use gomod::pattern::Patterns;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::hosts::{
    addresses, bare_host, hops, is_known, mentioned, public_hosts, resolves_inside,
};

/// Settings whose patterns are about private modules.
const PRIVATE: &[&str] = &["GOPRIVATE", "GONOPROXY", "GONOSUMDB"];

/// Those, and others with patterns or rules for hosts.
const PATTERNS: &[&str] = &["GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOVCS"];

/// Words of paths that name nothing by themselves; within a whole path they are masked all the same.
pub(super) const COMMON: &[&str] = &[
    "api",
    "app",
    "apps",
    "build",
    "certificate",
    "client",
    "cloud",
    "cmd",
    "code",
    "common",
    "config",
    "connect",
    "core",
    "database",
    "default",
    "dev",
    "direct",
    "dns",
    "error",
    "example",
    "failed",
    "file",
    "files",
    "found",
    "git",
    "github",
    "gitlab",
    "go",
    "golang",
    "google",
    "home",
    "host",
    "http",
    "https",
    "info",
    "internal",
    "lib",
    "libs",
    "linux",
    "list",
    "local",
    "main",
    "master",
    "mod",
    "module",
    "modules",
    "name",
    "net",
    "network",
    "none",
    "off",
    "org",
    "pkg",
    "platform",
    "port",
    "private",
    "project",
    "projects",
    "proxy",
    "public",
    "release",
    "repo",
    "repos",
    "root",
    "route",
    "scm",
    "server",
    "service",
    "services",
    "src",
    "ssh",
    "status",
    "sumdb",
    "svc",
    "team",
    "teams",
    "test",
    "time",
    "tls",
    "tmp",
    "tool",
    "tools",
    "user",
    "users",
    "util",
    "utils",
    "vendor",
    "version",
    "web",
    "zip",
    "latest",
];

/// Endings below which everybody may register: the name is one label longer.
const SHARED: &[&str] = &[
    "co", "com", "org", "net", "gov", "edu", "ac", "or", "ne", "go",
];

/// Words shorter than this are in too many others.
pub(super) const NAME_MIN: usize = 3;

/// Authorities whose names tell nothing about who uses them.
const ISSUERS: &[&str] = &[
    "Let's Encrypt",
    "DigiCert",
    "Google Trust",
    "Sectigo",
    "GlobalSign",
    "Amazon",
    "GoDaddy",
    "Entrust",
    "ZeroSSL",
    "GTS",
    "ISRG",
];

/// What only the machine itself can tell.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// The home directory.
    pub home: Option<String>,
    /// User, host name, working directory.
    pub names: Vec<String>,
    /// Passwords and tokens, as they are.
    pub secrets: Vec<String>,
}

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Passwords and tokens.
    pub secrets: BTreeSet<String>,
    /// The home directory.
    pub home: Option<String>,
    /// Domains; what stands before them belongs to them.
    pub hosts: BTreeSet<String>,
    /// Other words in lower case, with their canonical form.
    pub words: HashMap<String, String>,
    /// Addresses of hidden hosts.
    pub addresses: BTreeSet<IpAddr>,
}

/// Everything private in these facts.
pub fn of(facts: &Facts, here: &Here) -> Names {
    let mut names = Names {
        home: here
            .home
            .clone()
            .filter(|home| home.len() > 1 && home != "/root"),
        ..Names::default()
    };
    let long = |secret: &&String| secret.len() >= 4;
    names
        .secrets
        .extend(here.secrets.iter().filter(long).cloned());
    for name in &here.names {
        names.word(name, name);
    }
    let empty = EnvFacts::default();
    let env = facts.env.as_ref().unwrap_or(&empty);
    let private = asked_is_private(facts, env);
    let public = public_hosts(facts, private);
    for name in PATTERNS {
        for list in values(facts, env, name) {
            list.split(',').for_each(|pattern| names.pattern(pattern));
        }
    }
    if let Some(asked) = facts.asked.as_ref().filter(|_| private) {
        names.path(&asked.module);
        // A branch or a hash may tell as much as a name.
        let query = asked.version.as_deref().unwrap_or_default();
        if gomod::version::Version::parse(query).is_err() {
            names.word(query, query);
        }
    }
    for host in mentioned(facts, env) {
        if !is_known(&host) && !public.contains(&host) {
            names.host(&host);
        }
    }
    for key in env
        .ssh
        .iter()
        .flat_map(|ssh| &ssh.keys)
        .filter(|key| !key.starts_with("id_"))
    {
        names.word(key, key);
    }
    if let Some(net) = &facts.net {
        names.of_net(net, private);
    }
    names
}

/// A module is private when a setting says so, or when its host is only known inside.
fn asked_is_private(facts: &Facts, env: &EnvFacts) -> bool {
    let Some(asked) = &facts.asked else {
        return false;
    };
    let covered = PRIVATE
        .iter()
        .flat_map(|name| values(facts, env, name))
        .any(|list| Patterns::parse(&list).is_ok_and(|patterns| patterns.matches(&asked.module)));
    let net = facts.net.as_ref();
    let inside = net.is_some_and(|net| {
        let host = asked.module.split('/').next().unwrap_or_default();
        let deep = net.deep.iter().filter_map(|deep| deep.origin.as_ref());
        hops(net).any(|hop| hop.host == host && resolves_inside(hop))
            || deep
                .into_iter()
                .any(|origin| origin.private_address == Some(true))
    });
    covered || inside || net.is_some_and(|net| net.private == Some(true))
}

/// Values of a setting, by every source that has one.
pub(super) fn values(facts: &Facts, env: &EnvFacts, name: &str) -> Vec<String> {
    let mut found = vec![env.setting(name).value];
    found.extend(env.setting(name).hidden.into_iter().map(|(_, value)| value));
    found.extend(env.os(name).map(str::to_owned));
    let told = facts.go.as_ref().and_then(|go| go.env.as_ref()?.get(name));
    found.extend(told.cloned());
    found.retain(|value| !value.is_empty());
    found
}

impl Names {
    /// A word that names something, and how upper-case letters stand in addresses.
    fn word(&mut self, text: &str, canonical: &str) {
        let text = text.trim();
        let lower = text.to_lowercase();
        if lower.chars().count() < NAME_MIN || COMMON.contains(&&*lower) || is_known(&lower) {
            return;
        }
        let canonical = canonical.to_lowercase();
        self.words.entry(lower).or_insert_with(|| canonical.clone());
        self.words.entry(escaped(text)).or_insert(canonical);
    }

    /// A domain, and the one that it belongs to.
    fn host(&mut self, host: &str) {
        let host = host.to_lowercase();
        if is_known(&host) || !host.contains('.') {
            return self.word(&host, &host);
        }
        let labels: Vec<&str> = host.split('.').collect();
        let shared = labels.len() > 2
            && labels.last().is_some_and(|top| top.len() == 2)
            && SHARED.contains(&labels[labels.len() - 2]);
        let own = labels.len().saturating_sub(if shared { 3 } else { 2 });
        let owner = labels[own..].join(".");
        if !is_known(&owner) {
            self.hosts.insert(owner);
        }
        self.hosts.insert(host);
    }

    /// A module path or the address of a repository: its host, what is behind it, and each name there.
    fn path(&mut self, path: &str) {
        let path = path.trim().trim_matches('/');
        let (host, rest) = path.split_once('/').unwrap_or((path, ""));
        if let Some(host) = bare_host(host) {
            self.host(&host);
        }
        let rest = without_major(rest);
        let plain = |name: &&str| !name.is_empty() && !name.contains(['*', '?', '[', ']']);
        if rest.contains('/') && rest.split('/').all(|name| plain(&name)) {
            self.word(rest, rest);
        }
        for name in rest.split('/').filter(plain) {
            self.word(name, name);
        }
    }

    /// A glob of a setting, or a rule such as `corp.example:git`.
    fn pattern(&mut self, pattern: &str) {
        let pattern = pattern.trim().split(':').next().unwrap_or_default();
        let (host, rest) = pattern.split_once('/').unwrap_or((pattern, ""));
        if matches!(host, "public" | "private") {
            return;
        }
        // `*.corp.example`, `git*.corp.example`: the part behind the last wildcard label.
        let labels: Vec<&str> = host.split('.').collect();
        let first = labels
            .iter()
            .rposition(|label| label.contains(['*', '?', '[']))
            .map_or(0, |at| at + 1);
        let host = labels[first..].join(".");
        self.path(&format!("{host}/{rest}"));
    }

    fn of_net(&mut self, net: &NetFacts, private: bool) {
        for hop in hops(net) {
            if !self.hides(&hop.host) {
                continue;
            }
            self.addresses.extend(addresses(hop));
            let cnames = hop
                .dns
                .iter()
                .flat_map(|dns| &dns.servers)
                .flat_map(|s| s.both());
            let cnames: Vec<String> = cnames.flat_map(|answer| answer.cnames.clone()).collect();
            cnames
                .iter()
                .filter_map(|name| bare_host(name))
                .for_each(|name| self.host(&name));
            self.certificates(hop);
            self.headers(hop);
        }
        let origin = net.deep.iter().filter_map(|deep| deep.origin.as_ref());
        for origin in origin.filter(|_| private) {
            let urls = origin
                .exchanges
                .iter()
                .flat_map(|exchange| &exchange.hops)
                .map(|hop| &hop.url);
            for url in urls.chain(&origin.repository) {
                let behind = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let path = behind.split(['?', '#']).next().unwrap_or_default();
                self.path(path.trim_end_matches("/info/refs").trim_end_matches(".git"));
            }
        }
    }

    fn hides(&self, host: &str) -> bool {
        let host = host.to_lowercase();
        self.words.contains_key(&host)
            || self
                .hosts
                .iter()
                .any(|hidden| host == *hidden || host.ends_with(&format!(".{hidden}")))
    }

    fn certificates(&mut self, hop: &Hop) {
        for cert in hop.tls.iter().flat_map(|tls| &tls.chain) {
            for name in cert.names.iter().filter_map(|name| bare_host(name)) {
                self.host(&name);
            }
            for who in [&cert.subject, &cert.issuer] {
                if !ISSUERS.iter().any(|issuer| who.contains(issuer)) {
                    self.word(who, who);
                }
            }
            self.word(&cert.sha256, &cert.sha256);
        }
    }

    /// What a hidden server says about itself.
    fn headers(&mut self, hop: &Hop) {
        for (name, value) in hop.http.iter().flat_map(|http| &http.headers) {
            match name.as_str() {
                "via" | "x-served-by" => {
                    for word in value
                        .split([',', ' ', '(', ')'])
                        .filter(|word| word.len() > 4)
                    {
                        self.word(word, word);
                    }
                }
                "www-authenticate" => {
                    let realms = value.split('"').skip(1).step_by(2);
                    realms.for_each(|realm| self.word(realm, realm));
                }
                _ => {}
            }
        }
    }
}

fn without_major(rest: &str) -> &str {
    match rest.rsplit_once('/') {
        Some((before, last)) if is_major(last) => before,
        None if is_major(rest) => "",
        _ => rest,
    }
}

fn is_major(name: &str) -> bool {
    let digits = name.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}

fn escaped(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.extend(c.to_lowercase());
    }
    out
}
