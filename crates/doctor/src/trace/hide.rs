//! Secrets and private names, taken out of what goes to strangers.
//!
//! The same name becomes the same word everywhere, so a reader still sees which request went where:
//! hosts become `private-1.example`, names in paths `private-2`, addresses others of their kind. What
//! is not known to be public is private: a bug report too obscure can be asked about, one too open
//! cannot be taken back. Structure is kept: only values of JSON are changed, and never its words.

mod hosts;
mod names;
mod rules;

use crate::facts::Facts;
use regex::Regex;
use serde_json::Value;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use names::Here;
use rules::{Kind, Rules};

/// Keys whose values are words of the format, whatever private names look like.
const FORMAT: &[&str] = &[
    "alpn", "class", "content", "fault", "groups", "id", "kind", "label", "os_name", "outcome",
    "phase", "problem", "rcode", "schema", "source", "state", "what", "level", "variant",
];

/// Variables that hold commands of one's own: that they are set is enough.
const COMMANDS: &[&str] = &["GIT_SSH_COMMAND", "GIT_SSH", "GIT_ASKPASS", "SSH_AUTH_SOCK"];

/// A word of the format is not longer.
const WORD_MAX: usize = 40;

/// What is to be replaced, and by what it was.
#[derive(Debug)]
pub struct Hidden {
    rules: Rules,
    marks: HashMap<String, usize>,
    addresses: HashMap<IpAddr, IpAddr>,
    numbers: Regex,
}

impl Hidden {
    /// What is private in these facts, on this machine.
    ///
    /// # Errors
    /// There are more names than can be looked for: then nothing may be given away.
    pub fn of(facts: &Facts, here: &Here) -> Result<Self, String> {
        let names = names::of(facts, here);
        let addresses = names.addresses.clone();
        let mut hidden = Self {
            rules: Rules::new(names)?,
            marks: HashMap::new(),
            addresses: HashMap::new(),
            // Candidates for addresses; what they are is asked of their parser.
            numbers: Regex::new(r"[0-9A-Fa-f:]*[:.][0-9A-Fa-f:.]+").map_err(|e| e.to_string())?,
        };
        for address in addresses {
            hidden.stand_in(address);
        }
        Ok(hidden)
    }

    /// A text without them.
    pub fn text(&mut self, text: &str) -> String {
        let hits = self.rules.hits(text);
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to, kind) in hits {
            out.push_str(&self.numbers_hidden(&text[at..from]));
            out.push_str(&self.mark(&kind));
            at = to;
        }
        out.push_str(&self.numbers_hidden(&text[at..]));
        out
    }

    /// A document without them.
    pub fn json(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(list) => list.iter().map(|inner| self.json(inner)).collect(),
            Value::Object(object) => {
                let mut changed = serde_json::Map::new();
                for (key, inner) in object {
                    let kept = FORMAT.contains(&key.as_str()) && is_word(inner);
                    let inner = if kept {
                        inner.clone()
                    } else {
                        self.json(inner)
                    };
                    changed.insert(key.clone(), inner);
                }
                Value::Object(changed)
            }
            other => other.clone(),
        }
    }

    /// The facts without them, and without what a download has nothing to do with: the project's files,
    /// caches, commands that helpers are called with.
    pub fn facts(&mut self, facts: &Facts) -> Value {
        let mut facts = facts.clone();
        (facts.project, facts.local) = (None, None);
        facts.took_ms.remove("project");
        if let Some(env) = &mut facts.env {
            for (name, value) in env.os.iter_mut().flatten() {
                if COMMANDS.contains(&name.as_str()) && !value.is_empty() {
                    *value = "***".into();
                }
            }
            if let Some(git) = &mut env.git {
                git.safe_directories.clear();
                for helper in &mut git.helpers {
                    *helper = match helper.starts_with('!') {
                        true => "!***".into(),
                        false => helper.split(' ').next().unwrap_or_default().to_owned(),
                    };
                }
            }
        }
        self.json(&serde_json::to_value(&facts).unwrap_or_default())
    }

    fn mark(&mut self, kind: &Kind) -> String {
        let (name, ending) = match kind {
            Kind::Secret => return "***".into(),
            Kind::Home => return "~".into(),
            Kind::Host(name) => (name, ".example"),
            Kind::Name(name) => (name, ""),
        };
        let next = self.marks.len() + 1;
        let number = *self.marks.entry(name.clone()).or_insert(next);
        format!("private-{number}{ending}")
    }

    /// Addresses of inside, and those of hidden hosts, each by another of its kind.
    fn numbers_hidden(&mut self, text: &str) -> String {
        let candidates: Vec<(usize, usize)> = self
            .numbers
            .find_iter(text)
            .map(|hit| (hit.start(), hit.end()))
            .collect();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to) in candidates {
            let Some((length, address)) = address_in(&text[from..to]) else {
                continue;
            };
            // `10.0.0.0/8` names a network that everybody has.
            let network = text[from + length..].starts_with('/')
                && text[from + length + 1..].starts_with(|c: char| c.is_ascii_digit());
            let known = self.addresses.get(&address).copied();
            let instead = match known {
                Some(instead) => instead,
                None if is_inside(address) && !network => self.stand_in(address),
                None => continue,
            };
            out.push_str(&text[at..from]);
            out.push_str(&instead.to_string());
            at = from + length;
        }
        out.push_str(&text[at..]);
        out
    }

    fn stand_in(&mut self, address: IpAddr) -> IpAddr {
        if address.is_loopback() || address.is_unspecified() {
            return address;
        }
        let number = u16::try_from(self.addresses.len() + 1).unwrap_or(u16::MAX);
        let [high, low] = number.to_be_bytes();
        let instead = match (address, is_inside(address)) {
            (IpAddr::V4(_), true) => Ipv4Addr::new(10, 0, high, low).into(),
            // The networks that are set apart for documentation.
            (IpAddr::V4(_), false) => Ipv4Addr::new(203, 0, 113, low).into(),
            (IpAddr::V6(_), true) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number).into(),
            (IpAddr::V6(_), false) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number).into(),
        };
        *self.addresses.entry(address).or_insert(instead)
    }
}

/// An address that means nothing outside.
pub(crate) fn is_inside(address: IpAddr) -> bool {
    match address {
        // 100.64.0.0/10 is what carriers and some VPNs use inside.
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xfe00) == 0xfc00,
    }
}

/// The address at the beginning of a run of figures, dots and colons: `10.0.0.7:53` is one with a port,
/// `10.0.0.7.` one at the end of a sentence.
fn address_in(run: &str) -> Option<(usize, IpAddr)> {
    let trimmed = run.trim_end_matches(['.', ':']);
    let tries = [
        Some(trimmed),
        trimmed.rsplit_once(':').map(|(head, _)| head),
    ];
    let mut tries = tries.into_iter().flatten();
    tries.find_map(|text| Some((text.len(), text.parse().ok()?)))
}

fn is_word(value: &Value) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.' | '/');
    match value {
        Value::String(text) => text.len() <= WORD_MAX && text.chars().all(plain),
        Value::Array(list) => list.iter().all(is_word),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
