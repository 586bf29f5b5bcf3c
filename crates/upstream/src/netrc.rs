//! Credentials from `.netrc`, as the go command reads it: `machine HOST login NAME password SECRET`.
//!
//! Source of the rules: cmd/go/internal/auth/netrc.go. A machine may be `host`, `host:port` or
//! `host/path-prefix`.

use std::path::PathBuf;
use url::Url;

/// A netrc larger than this is not one.
const SIZE_MAX: u64 = 1 << 20;

/// The entries of a netrc file.
#[derive(Clone, Default)]
pub struct Netrc {
    lines: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    machine: String,
    login: String,
    password: String,
}

impl std::fmt::Debug for Netrc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Netrc({} machines)", self.lines.len())
    }
}

impl Netrc {
    /// Reads `$NETRC`, else `~/.netrc`; no file means no entries.
    pub fn load() -> Self {
        let path = std::env::var_os("NETRC")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc")));
        let read = |p: PathBuf| {
            let small = std::fs::metadata(&p)
                .ok()
                .filter(|m| m.is_file() && m.len() <= SIZE_MAX);
            small.and_then(|_| std::fs::read_to_string(p).ok())
        };
        path.and_then(read)
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// Parses the text of a netrc file; what is not understood is passed over.
    pub fn parse(text: &str) -> Self {
        let mut lines = Vec::new();
        let mut now = (None, None, None);
        let mut in_macro = false;
        for line in text.lines() {
            if in_macro {
                in_macro = !line.trim().is_empty();
                continue;
            }
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "machine" => now = (words.next(), None, None),
                    // Only machines that are named get credentials.
                    "default" => now = (None, None, None),
                    "login" => now.1 = words.next(),
                    "password" => now.2 = words.next(),
                    "macdef" => {
                        in_macro = true;
                        break;
                    }
                    _ => {}
                }
                if let (Some(machine), Some(login), Some(password)) = now {
                    lines.push(Line {
                        machine: machine.into(),
                        login: login.into(),
                        password: password.into(),
                    });
                    now = (None, None, None);
                }
            }
        }
        Self { lines }
    }

    /// Login and password for a URL: the longest machine that covers it.
    pub fn find(&self, url: &Url) -> Option<(&str, &str)> {
        let host = url.host_str()?;
        let with_port = url.port().map(|p| format!("{host}:{p}"));
        let covers = |machine: &str| {
            let (name, prefix) = machine.split_once('/').unwrap_or((machine, ""));
            let path = url.path().trim_start_matches('/');
            (name == host || Some(name) == with_port.as_deref())
                && (prefix.is_empty()
                    || path
                        .strip_prefix(prefix)
                        .is_some_and(|r| r.is_empty() || r.starts_with('/')))
        };
        let best = self
            .lines
            .iter()
            .filter(|l| covers(&l.machine))
            .max_by_key(|l| l.machine.len())?;
        Some((&best.login, &best.password))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_longest_machine_wins_and_other_hosts_get_nothing() {
        let netrc = Netrc::parse(
            "machine a.example login u password p\nmachine a.example/team login t password q\nmacdef x\n machine b.example\n\ndefault login d password d\n",
        );
        let at = |u: &str| {
            netrc
                .find(&Url::parse(u).unwrap())
                .map(|(l, _)| l.to_owned())
        };
        assert_eq!(at("https://a.example/x").as_deref(), Some("u"));
        assert_eq!(at("https://a.example/team/x").as_deref(), Some("t"));
        assert_eq!(at("https://a.example/teams"), Some("u".into()));
        assert_eq!(at("https://b.example/"), None);
    }
}
