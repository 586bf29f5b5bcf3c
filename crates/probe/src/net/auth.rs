//! Credentials by the go command's rules.
//!
//! Source: cmd/go/internal/auth (netrc.go, auth.go) and cmd/go/internal/web. netrc entries are
//! looked up by the text of the URL without `https://`, cut at its slashes from the right: a
//! machine without port does not match a URL with one. They are never used for `http://`. A login
//! in the URL itself wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doctor::mask;
use doctor::net::{Credential, CredentialsSeen};
use url::Url;

use super::goauth::{self, Refused};

/// One netrc entry.
#[derive(Clone, PartialEq, Eq)]
struct Machine {
    machine: String,
    login: String,
    password: String,
}

/// What is sent to addresses below a prefix, as GOAUTH's sources gave it.
type Known = HashMap<String, Login>;

/// All credentials that the go command would find; those of commands once they were run.
#[derive(Clone, Default)]
pub struct Credentials {
    machines: Vec<Machine>,
    goauth: String,
    known: Arc<Mutex<Known>>,
}

/// A login to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Headers: `Authorization`, and whatever else a command of GOAUTH says.
    pub headers: Vec<(String, String)>,
    /// The same for facts.
    pub shown: Credential,
}

impl Credentials {
    /// From the text of a netrc file and GOAUTH.
    pub fn new(netrc: &str, goauth: &str) -> Self {
        let credentials = Self {
            machines: parse(netrc),
            goauth: goauth.to_owned(),
            known: Arc::default(),
        };
        if credentials.uses_netrc() {
            credentials.take_netrc();
        }
        credentials
    }

    /// Runs the commands of GOAUTH, the last one first, so that earlier ones have the last word.
    /// Returns whether another login is known for a refused request than before.
    pub async fn ask_commands(&self, refused: Option<Refused<'_>>, patience: Duration) -> bool {
        let before = refused.and_then(|refused| self.find(refused.url));
        let commands = self.goauth.split(';').map(str::trim).rev();
        for command in commands.filter(|command| !command.is_empty() && *command != "off") {
            if command == "netrc" {
                self.take_netrc();
                continue;
            }
            // A command that fails leaves what is known; the check D13 says why it fails.
            let Ok(answer) = goauth::run(command, refused, patience).await else {
                continue;
            };
            for (prefix, headers) in answer {
                self.store(&prefix, login_of_command(command, headers));
            }
        }
        let after = refused.and_then(|refused| self.find(refused.url));
        after.is_some() && after != before
    }

    /// Whether GOAUTH has more than netrc.
    pub fn has_commands(&self) -> bool {
        let mut commands = self.goauth.split(';').map(str::trim);
        commands.any(|command| !matches!(command, "" | "off" | "netrc"))
    }

    /// Of several entries for a machine the first one counts.
    fn take_netrc(&self) {
        for machine in self.machines.iter().rev() {
            let login = login("netrc", &machine.login, &machine.password);
            self.store(&machine.machine, login);
        }
    }

    fn store(&self, prefix: &str, login: Login) {
        let prefix = prefix.strip_prefix("https://").unwrap_or(prefix);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match login.headers.is_empty() {
            true => known.remove(&prefix),
            false => known.insert(prefix, login),
        };
    }

    /// The login for a URL.
    pub fn find(&self, url: &Url) -> Option<Login> {
        if url.scheme() != "https" {
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            let password = url.password().unwrap_or_default();
            return Some(login("url", &decoded(url.username()), &decoded(password)));
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let text = url.as_str();
        let mut rest = text.strip_prefix("https://")?.trim_end_matches('/');
        loop {
            if let Some(found) = known.get(rest) {
                return Some(found.clone());
            }
            rest = &rest[..rest.rfind('/')?];
        }
    }

    /// An entry for the host of a URL that is there and not used, and why.
    pub fn unused(&self, url: &Url) -> Option<CredentialsSeen> {
        let host = url.host_str()?;
        let same_host = |machine: &Machine| {
            let place = machine.machine.split('/').next().unwrap_or_default();
            let name = place.rsplit_once(':').map_or(place, |(name, _)| name);
            name.eq_ignore_ascii_case(host)
        };
        let found = self.machines.iter().find(|machine| same_host(machine))?;
        let wanted = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let why = if url.scheme() != "https" {
            "the go command uses netrc for https only".to_owned()
        } else if !self.uses_netrc() {
            format!("GOAUTH={} leaves netrc out", mask::logins(&self.goauth))
        } else {
            format!("the go command looks for \"machine {wanted}\"")
        };
        Some(CredentialsSeen {
            machine: found.machine.clone(),
            why,
        })
    }

    /// Passwords, as they are and as they are sent. Never shown.
    pub fn secrets(&self) -> Vec<String> {
        let both = |machine: &Machine| [machine.login.clone(), machine.password.clone()];
        let mut found: Vec<String> = self.machines.iter().flat_map(both).collect();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, value) in known.values().flat_map(|login| &login.headers) {
            found.push(
                value
                    .split_whitespace()
                    .next_back()
                    .unwrap_or_default()
                    .to_owned(),
            );
            found.extend(password_of(value));
        }
        found
    }

    fn uses_netrc(&self) -> bool {
        let commands = self.goauth.split(';');
        self.goauth.is_empty()
            || commands
                .map(|command| command.split_whitespace().next())
                .any(|word| word == Some("netrc"))
    }
}

/// `Basic`'s value for a login.
pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine;
    let pair = format!("{name}:{password}");
    let coded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {coded}")
}

/// A part of a URL as it was meant; broken escapes stand for themselves.
pub fn decoded(text: &str) -> String {
    let decoded = gomod::escape::percent_decode(text);
    decoded.map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

fn login(source: &str, name: &str, password: &str) -> Login {
    Login {
        headers: vec![("Authorization".into(), basic(name, password))],
        shown: Credential {
            source: source.to_owned(),
            login: mask::name(name),
        },
    }
}

fn login_of_command(command: &str, headers: Vec<(String, String)>) -> Login {
    let program = command.split_whitespace().next().unwrap_or_default();
    Login {
        headers,
        shown: Credential {
            source: format!("GOAUTH {program}"),
            login: "***".into(),
        },
    }
}

/// The password of a `Basic` header.
fn password_of(header: &str) -> Option<String> {
    use base64::Engine;
    let coded = header.strip_prefix("Basic ")?;
    let pair = base64::engine::general_purpose::STANDARD
        .decode(coded)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

/// Pairs of words, as the go command reads them: a `default` ends nothing and gives nothing, a
/// macro ends at the next empty line.
fn parse(text: &str) -> Vec<Machine> {
    let mut machines = Vec::new();
    let mut now = Machine {
        machine: String::new(),
        login: String::new(),
        password: String::new(),
    };
    let mut in_macro = false;
    for line in text.split('\n') {
        if in_macro {
            in_macro = !line.is_empty();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let (pairs, rest) = words.as_chunks::<2>();
        for [name, value] in pairs {
            match *name {
                "machine" => {
                    now = Machine {
                        machine: (*value).to_owned(),
                        login: String::new(),
                        password: String::new(),
                    }
                }
                "login" => (*value).clone_into(&mut now.login),
                "password" => (*value).clone_into(&mut now.password),
                "macdef" => in_macro = true,
                _ => {}
            }
            if !now.machine.is_empty() && !now.login.is_empty() && !now.password.is_empty() {
                let machine = now.machine.trim_end_matches('/');
                now.machine = machine.trim_start_matches("https://").to_owned();
                machines.push(now.clone());
                now.machine.clear();
                now.login.clear();
                now.password.clear();
            }
        }
        if rest == ["default"] {
            break;
        }
    }
    machines
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(credentials: &Credentials, url: &str) -> Option<String> {
        let login = credentials.find(&Url::parse(url).unwrap())?;
        Some(login.headers[0].1.clone())
    }

    #[test]
    fn machines_match_the_text_of_the_url() {
        let netrc = "machine proxy.test login u password p\nmachine p.test:9100 login v password q\nmachine h.test/team login w password r\n";
        let credentials = Credentials::new(netrc, "netrc");
        assert_eq!(
            at(&credentials, "https://proxy.test/x"),
            Some(basic("u", "p"))
        );
        assert_eq!(at(&credentials, "https://proxy.test:9100/x"), None);
        assert_eq!(
            at(&credentials, "https://p.test:9100/x"),
            Some(basic("v", "q"))
        );
        assert_eq!(at(&credentials, "http://proxy.test/x"), None);
        assert_eq!(
            at(&credentials, "https://h.test/team/x"),
            Some(basic("w", "r"))
        );
        assert_eq!(at(&credentials, "https://h.test/teams"), None);
        let url = Url::parse("https://proxy.test:9100/x").unwrap();
        let unused = credentials.unused(&url).unwrap();
        assert_eq!(unused.machine, "proxy.test");
        assert!(unused.why.contains("proxy.test:9100"));
    }

    #[tokio::test]
    async fn commands_of_goauth_are_believed_the_first_one_most() {
        let say = |url: &str, token: &str| {
            format!("sh -c 'echo {url}, echo, echo \"Authorization: Bearer {token}\", echo'")
                .replace(',', " &&")
        };
        let goauth = format!(
            "{} ;netrc; {}",
            say("https://a.example/x", "one"),
            say("https://a.example", "two")
        );
        let credentials = Credentials::new("machine a.example login u password p\n", &goauth);
        assert!(credentials.has_commands());
        credentials
            .ask_commands(None, Duration::from_secs(20))
            .await;
        assert_eq!(
            at(&credentials, "https://a.example/x/y").as_deref(),
            Some("Bearer one")
        );
        assert_eq!(
            at(&credentials, "https://a.example/z"),
            Some(basic("u", "p")),
            "netrc is named earlier"
        );
        assert_eq!(at(&credentials, "https://b.example/x"), None);
        let secrets = credentials.secrets();
        assert!(
            secrets.contains(&"one".to_owned()) && secrets.contains(&"p".to_owned()),
            "{secrets:?}"
        );
    }

    #[test]
    fn a_login_in_the_url_wins_and_goauth_may_leave_netrc_out() {
        let credentials = Credentials::new("machine a.test login u password p", "off");
        assert_eq!(at(&credentials, "https://a.test/"), None);
        let given = at(&credentials, "https://x:%40y@a.test/").unwrap();
        assert_eq!(given, basic("x", "@y"));
        assert_eq!(
            basic("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }
}
