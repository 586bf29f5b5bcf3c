//! netrc and GOAUTH: which logins there are, never what they are.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::facts::{AuthCommand, Netrc, NetrcMachine};
use doctor::mask;

use super::Settings;
use super::process::run;

/// A larger netrc is not one.
const NETRC_BYTES_MAX: u64 = 1 << 20;

/// Entries that are kept.
const MACHINES_MAX: usize = 500;

/// The go command waits for ever; a command that asks a person never answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the netrc file that the go command would read.
pub fn netrc(settings: &Settings) -> Option<Netrc> {
    let named = settings.os("NETRC");
    let path = match named {
        Some(path) => PathBuf::from(path),
        None => settings.home()?.join(".netrc"),
    };
    let mut netrc = Netrc {
        path: path.display().to_string(),
        from_variable: named.is_some(),
        ..Netrc::default()
    };
    let meta = match std::fs::metadata(&path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            netrc.exists = Some(false);
            return Some(netrc);
        }
        Err(error) => {
            netrc.error = Some(error.to_string());
            return Some(netrc);
        }
    };
    netrc.exists = Some(true);
    netrc.mode = Some(meta.mode());
    netrc.uid = Some(meta.uid());
    if !meta.is_file() || meta.len() > NETRC_BYTES_MAX {
        netrc.error = Some("not a small file".into());
        return Some(netrc);
    }
    match std::fs::read(&path) {
        Ok(bytes) => take(&mut netrc, &String::from_utf8_lossy(&bytes)),
        Err(error) => netrc.error = Some(error.to_string()),
    }
    Some(netrc)
}

/// As the go command reads it: cmd/go/internal/auth/netrc.go.
fn take(netrc: &mut Netrc, text: &str) {
    let mut now: (Option<&str>, Option<&str>, bool) = (None, None, false);
    let mut in_macro = false;
    let mut named: Vec<&str> = Vec::new();
    for line in text.lines() {
        if in_macro {
            in_macro = !line.is_empty();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        netrc.has_default |= words.contains(&"default");
        for pair in words.chunks_exact(2) {
            match pair[0] {
                "machine" => {
                    now = (Some(pair[1]), None, false);
                    named.push(pair[1]);
                }
                "login" => now.1 = Some(pair[1]),
                "password" => now.2 = true,
                "macdef" => in_macro = true,
                _ => {}
            }
            if let (Some(machine), Some(login), true) = now {
                if netrc.machines.len() < MACHINES_MAX {
                    netrc.machines.push(NetrcMachine {
                        machine: machine
                            .trim_start_matches("https://")
                            .trim_end_matches('/')
                            .to_owned(),
                        login: mask::name(login),
                    });
                }
                named.retain(|name| *name != machine);
                now = (None, None, false);
            }
        }
    }
    named.truncate(MACHINES_MAX);
    netrc.incomplete = named.into_iter().map(str::to_owned).collect();
}

/// Tries each command of GOAUTH as the go command does at its start: without a URL.
pub async fn auth(settings: &Settings) -> Vec<AuthCommand> {
    let value = settings.get("GOAUTH");
    let mut tried = Vec::new();
    for command in value.split(';').map(str::trim) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let Some((first, args)) = words.split_first() else {
            continue;
        };
        if !matches!(*first, "netrc" | "off" | "git") {
            tried.push(try_command(settings, first, args).await);
        }
    }
    tried
}

async fn try_command(settings: &Settings, first: &str, args: &[&str]) -> AuthCommand {
    let mut command = AuthCommand {
        name: first.to_owned(),
        ..AuthCommand::default()
    };
    let program = match first.contains('/') {
        true => Some(PathBuf::from(first)).filter(|path| path.is_file()),
        false => settings.find(first).into_iter().next(),
    };
    command.found = Some(program.is_some());
    let Some(program) = program else {
        return command;
    };
    match run(Path::new(&program), args, &[], PATIENCE).await {
        Ok(ended) => {
            command.answered = Some(true);
            command.status = ended.status;
            command.malformed = malformed(&ended.stdout).map(str::to_owned);
        }
        Err(_) => command.answered = Some(false),
    }
    command
}

/// What is wrong with an answer, without quoting it: it holds secrets. Source of the form:
/// `parseUserAuth` of cmd/go/internal/auth: URLs, an empty line, headers, an empty line.
fn malformed(text: &str) -> Option<&'static str> {
    let mut rest = text;
    let mut next = || {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        Some((line, after.is_empty()))
    };
    if text.is_empty() {
        return None;
    }
    loop {
        loop {
            let Some((line, _)) = next() else {
                return Some("invalid format: missing empty line after URLs");
            };
            if line.is_empty() {
                break;
            }
            if !line.contains("://") && !line.starts_with('/') {
                return Some("could not parse URL");
            }
        }
        loop {
            let Some((line, last)) = next() else {
                return Some("invalid format: missing empty line after headers");
            };
            if line.is_empty() {
                if last {
                    return None;
                }
                break;
            }
            let name = line.split_once(": ").map_or("", |(name, _)| name);
            let sound = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty() || !name.chars().all(sound) {
                return Some("invalid format: invalid header line");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_masked_and_incomplete_entries_told() {
        let mut netrc = Netrc::default();
        take(
            &mut netrc,
            "machine a.example login carol password s\nmachine b.example:1\nlogin x\nmacdef m\nmachine no\n\nmachine c.example login y\ndefault login z password q\n",
        );
        assert_eq!(netrc.machines.len(), 1);
        assert_eq!(netrc.machines[0].login, "c***(5)");
        assert_eq!(netrc.incomplete, ["b.example:1", "c.example"]);
        assert!(netrc.has_default);
    }

    #[test]
    fn answers_of_auth_commands_are_parsed_as_go_does() {
        assert_eq!(
            malformed("https://a.example\n\nAuthorization: Basic x\n\n"),
            None
        );
        assert_eq!(malformed(""), None);
        assert!(malformed("https://a.example\n").is_some());
        assert!(malformed("https://a.example\n\nAuthorization\n\n").is_some());
        assert!(malformed("login:").is_some());
        assert!(malformed("https://a.example\n\nA: b\n").is_some());
    }
}
