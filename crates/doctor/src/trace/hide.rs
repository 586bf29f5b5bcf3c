//! Private names, taken out of what goes to strangers.
//!
//! The same name becomes the same word everywhere, so a reader still sees which request went where.

use crate::facts::Facts;
use crate::net::{Hop, NetFacts};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Settings whose values name what is private.
const PRIVATE: &[&str] = &["GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOVCS"];

/// Hosts that everybody knows: their name tells nothing, what stands behind it does.
const KNOWN: &[&str] = &[
    "github.com",
    "gitlab.com",
    "bitbucket.org",
    "codeberg.org",
    "gitee.com",
    "golang.org",
    "google.golang.org",
    "gopkg.in",
    "proxy.golang.org",
    "sum.golang.org",
    "sum.golang.google.cn",
    "storage.googleapis.com",
    "goproxy.io",
    "goproxy.cn",
    "localhost",
];

/// Names shorter than this are in too many other words.
const NAME_MIN: usize = 3;

/// Words to be replaced.
#[derive(Debug, Default)]
pub struct Hidden {
    words: BTreeMap<String, String>,
    found: Option<Regex>,
}

impl Hidden {
    /// What is private in these facts; `more` are names of this machine: user, home, host.
    pub fn of(facts: &Facts, more: &[String]) -> Self {
        let mut names = Names::default();
        let settings = serde_json::to_value(&facts.env).unwrap_or_default();
        collect(&settings, &mut names);
        if let Some(net) = &facts.net {
            let private = net.private == Some(true);
            if let Some(asked) = facts.asked.as_ref().filter(|_| private) {
                names.module(&asked.module);
            }
            hosts(net, private, &mut names);
        }
        for name in more {
            names.word(name);
        }
        names.into_hidden()
    }

    /// The text without them.
    pub fn apply(&self, text: &str) -> String {
        let Some(found) = &self.found else {
            return text.to_owned();
        };
        found
            .replace_all(text, |hit: &regex::Captures<'_>| {
                let word = hit[0].to_lowercase();
                self.words.get(&word).cloned().unwrap_or("private".into())
            })
            .into_owned()
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn word(&mut self, name: &str) {
        let name = name.trim().to_lowercase();
        if name.len() >= NAME_MIN && !KNOWN.contains(&name.as_str()) {
            self.0.insert(name);
        }
    }

    /// A module path or pattern: the whole, what is behind a known host, and each of its names.
    fn module(&mut self, path: &str) {
        let path = path.trim().trim_start_matches("*.").trim_matches('/');
        if path.is_empty() || path.starts_with('*') {
            return;
        }
        self.word(path);
        for (index, name) in path.split('/').enumerate() {
            let version = name
                .strip_prefix('v')
                .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
            if version || name.contains(['*', '?', '[']) {
                continue;
            }
            self.word(name);
            // How upper-case letters stand in addresses.
            let escaped = escape(name);
            if escaped != name {
                self.word(&escaped);
            }
            if index == 0 {
                self.word(name.split(':').next().unwrap_or_default());
            }
        }
    }

    fn into_hidden(self) -> Hidden {
        let mut words: Vec<String> = self.0.into_iter().collect();
        // The longest first: a name within a longer one must not break it.
        words.sort_by_key(|w| std::cmp::Reverse(w.len()));
        let any: Vec<String> = words.iter().map(|w| pattern(w)).collect();
        let found = RegexBuilder::new(&any.join("|"))
            .case_insensitive(true)
            .size_limit(16 << 20)
            .build();
        let numbered = words.into_iter().enumerate();
        let words: BTreeMap<String, String> = numbered
            .map(|(n, word)| {
                let host = word.contains('.') && !word.contains('/');
                let mark = if host {
                    format!("private-{}.example", n + 1)
                } else {
                    format!("private-{}", n + 1)
                };
                (word, mark)
            })
            .collect();
        Hidden {
            found: found.ok().filter(|_| !words.is_empty()),
            words,
        }
    }
}

/// A name where it stands for itself, not inside of another word.
fn pattern(word: &str) -> String {
    let edge = |c: Option<char>| match c {
        Some(c) if c.is_alphanumeric() || c == '_' => r"\b",
        _ => "",
    };
    let (first, last) = (edge(word.chars().next()), edge(word.chars().last()));
    format!("{first}{}{last}", regex::escape(word))
}

fn escape(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The patterns of settings, wherever in the facts they stand.
fn collect(value: &Value, names: &mut Names) {
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                match inner {
                    Value::String(text) if PRIVATE.contains(&key.as_str()) => {
                        patterns(text, names);
                    }
                    // A setting with its origin beside it.
                    Value::Object(_) if PRIVATE.contains(&key.as_str()) => {
                        for text in inner.as_object().into_iter().flatten() {
                            if let Some(text) = text.1.as_str() {
                                patterns(text, names);
                            }
                        }
                    }
                    inner => collect(inner, names),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, names)),
        _ => {}
    }
}

fn patterns(text: &str, names: &mut Names) {
    for pattern in text.split(',') {
        // GOVCS has rules behind a colon.
        let path = pattern.split(':').next().unwrap_or_default();
        if !matches!(path, "public" | "private") {
            names.module(path);
        }
    }
}

/// Hosts of the walk that only exist inside: by their address, or because the module is private.
fn hosts(net: &NetFacts, private: bool, names: &mut Names) {
    let tries = net.steps.iter().flat_map(|s| &s.tries);
    let origin = net.deep.iter().filter_map(|d| d.origin.as_ref());
    let exchanges = tries
        .map(|t| &t.exchange)
        .chain(origin.clone().flat_map(|o| &o.exchanges));
    for hop in exchanges.flat_map(|e| &e.hops) {
        if private || inside(hop) {
            names.word(&hop.host);
        }
        if let Some(forward) = &hop.forward
            && let Some(host) = host_of(&forward.url)
        {
            names.word(host);
        }
    }
    if private {
        for repository in origin.filter_map(|o| o.repository.as_ref()) {
            let behind = repository
                .split_once("://")
                .map_or(repository.as_str(), |r| r.1);
            names.module(behind.trim_end_matches(".git"));
        }
    }
}

fn host_of(url: &str) -> Option<&str> {
    let behind = url.split_once("://").map_or(url, |r| r.1);
    let host = behind.split('/').next()?;
    let host = host.rsplit('@').next()?;
    host.split(':').next()
}

fn inside(hop: &Hop) -> bool {
    if hop.host.parse::<IpAddr>().is_ok() {
        return false;
    }
    let addresses = hop.dns.iter().flat_map(|d| &d.addresses);
    addresses
        .filter_map(|a| a.parse::<IpAddr>().ok())
        .any(|ip| match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => (ip.segments()[0] & 0xfe00) == 0xfc00,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn facts(module: &str, private: bool) -> Facts {
        let text = json!({
            "schema": "modkeep.facts/1",
            "asked": {"module": module, "version": "v1.0.0"},
            "env": {"os": {"GOPRIVATE": "*.corp.example,github.com/Secret-Org", "HOME": "/home/carol"}},
            "net": {"private": private, "steps": [{"what": "info", "tries": [{"place": "direct", "exchange": {
                "url": "https://git.corp.example/x",
                "hops": [{"url": "https://git.corp.example/x", "host": "git.corp.example",
                          "dns": {"addresses": ["10.0.0.7"]}}]}}]}]},
        });
        Facts::parse(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn private_names_are_gone_in_every_spelling_and_stay_told_apart() {
        let hidden = Hidden::of(
            &facts("github.com/Secret-Org/Payments/v2", true),
            &["carol".into()],
        );
        let text = "GET https://github.com/!secret-!org/!payments/v2/@v/v1.0.0.info\n\
            github.com/Secret-Org/Payments/v2@v1.0.0: git@github.com:secret-org/payments.git\n\
            https://git.corp.example/x /home/carol/project GOPRIVATE=*.corp.example proxy.golang.org";
        let shown = hidden.apply(text);
        for secret in ["secret", "payments", "corp.example", "carol"] {
            assert!(!shown.to_lowercase().contains(secret), "{secret}: {shown}");
        }
        for kept in ["github.com", "proxy.golang.org", "@v/v1.0.0.info", "/v2"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn public_names_stay() {
        let hidden = Hidden::of(&facts("rsc.io/quote", false), &[]);
        let text = "https://proxy.golang.org/rsc.io/quote/@v/v1.0.0.zip";
        assert_eq!(hidden.apply(text), text);
        assert!(!hidden.apply("https://git.corp.example/x").contains("corp"));
        assert_eq!(Hidden::default().apply(text), text);
    }
}
