//! git, hg, svn and ssh: are they there, and how is git set up?

use std::path::Path;
use std::time::Duration;

use doctor::facts::{GitFacts, InsteadOf, SshFacts, Tool};
use doctor::mask;

use super::Settings;
use super::process::run;

/// A program that has not said its version by then hangs.
const PATIENCE: Duration = Duration::from_secs(3);

/// Rules that are kept.
const RULES_MAX: usize = 200;

const TOOLS: &[(&str, &str)] = &[
    ("git", "--version"),
    ("hg", "--version"),
    ("svn", "--version"),
    ("ssh", "-V"),
];

/// Every tool.
pub async fn tools(settings: &Settings) -> Vec<Tool> {
    let mut found = Vec::new();
    for (name, flag) in TOOLS {
        let path = settings.find(name).into_iter().next();
        let mut tool = Tool {
            name: (*name).to_owned(),
            path: path.as_ref().map(|path| path.display().to_string()),
            ..Tool::default()
        };
        if let Some(path) = path {
            match run(&path, &[flag], &[], PATIENCE).await {
                Ok(ended) if ended.status == Some(0) => {
                    tool.version = ended.line().map(|line| line.chars().take(120).collect());
                }
                Ok(ended) => {
                    tool.error = Some(
                        ended
                            .line()
                            .unwrap_or("it fails and says nothing")
                            .chars()
                            .take(200)
                            .collect(),
                    )
                }
                Err(error) => tool.error = Some(error),
            }
        }
        found.push(tool);
    }
    found
}

/// git's settings, from every file that git itself reads.
pub async fn git(settings: &Settings, dir: &Path) -> Option<GitFacts> {
    let git = settings.find("git").into_iter().next()?;
    let mut facts = GitFacts::default();
    let dir = dir.display().to_string();
    let listed = run(
        &git,
        &["-C", &dir, "config", "--list", "-z"],
        &[("GIT_TERMINAL_PROMPT", "0")],
        PATIENCE,
    )
    .await;
    match listed {
        Ok(ended) if ended.status == Some(0) => {
            for pair in ended.stdout.split('\0').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('\n').unwrap_or((pair, ""));
                take(&mut facts, key, value);
            }
        }
        Ok(ended) => facts.error = ended.line().map(mask::logins),
        Err(error) => facts.error = Some(error),
    }
    Some(facts)
}

fn take(facts: &mut GitFacts, key: &str, value: &str) {
    let lower = key.to_ascii_lowercase();
    if let Some(base) = lower
        .strip_suffix(".insteadof")
        .and_then(|_| key.get(4..key.len() - 10))
    {
        if lower.starts_with("url.") && facts.instead_of.len() < RULES_MAX {
            facts.instead_of.push(InsteadOf {
                base: masked_base(base),
                prefix: mask::logins(value),
            });
        }
        return;
    }
    match &*lower {
        "http.proxy" => facts.http_proxy = Some(mask::logins(value)),
        "http.sslverify" => facts.ssl_verify_off = matches!(value, "false" | "0" | "no" | "off"),
        "safe.directory" => facts.safe_directories.push(value.to_owned()),
        _ if lower.starts_with("credential") && lower.ends_with(".helper") && !value.is_empty() => {
            let program = value.split_whitespace().next().unwrap_or_default();
            facts.helpers.push(program.to_owned());
        }
        _ => {}
    }
}

/// `git@` of ssh is no secret and says that ssh it is.
fn masked_base(base: &str) -> String {
    match base.starts_with("ssh://git@") || !base.contains("://") {
        true => base.to_owned(),
        false => mask::logins(base),
    }
}

/// ssh's files. `hosts` are those that insteadOf rules lead to.
pub fn ssh(settings: &Settings, git: Option<&GitFacts>) -> Option<SshFacts> {
    let dir = settings.home()?.join(".ssh");
    let known = std::fs::read_to_string(dir.join("known_hosts")).unwrap_or_default();
    let system = std::fs::read_to_string("/etc/ssh/ssh_known_hosts").unwrap_or_default();
    let lines: Vec<&str> = known.lines().chain(system.lines()).collect();
    // Hashed names cannot be compared without the key of each line: then nothing is claimed.
    let hashed = lines.iter().any(|line| line.starts_with("|1|"));
    let rules = git.map_or(&[][..], |git| &git.instead_of);
    let hosts = rules.iter().filter_map(|rule| ssh_host(&rule.base));
    let unknown = hosts.filter(|host| !hashed && !lines.iter().any(|line| names(line, host)));
    Some(SshFacts {
        keys: keys(&dir),
        agent: Some(
            settings
                .os("SSH_AUTH_SOCK")
                .is_some_and(|sock| Path::new(sock).exists()),
        ),
        known_hosts: Some(!known.trim().is_empty()),
        unknown_hosts: unknown.map(str::to_owned).collect(),
    })
}

fn ssh_host(base: &str) -> Option<&str> {
    let rest = match base.strip_prefix("ssh://") {
        Some(rest) => rest,
        None if base.contains("://") => return None,
        None => base,
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    rest.split([':', '/'])
        .next()
        .filter(|host| !host.is_empty())
}

fn names(line: &str, host: &str) -> bool {
    let first = line
        .split_whitespace()
        .find(|word| !word.starts_with('@'))
        .unwrap_or_default();
    first
        .split(',')
        .any(|name| name.trim_start_matches('[').split(']').next() == Some(host))
}

fn keys(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .take(500);
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
    let mut found: Vec<String> = entries
        .filter_map(name)
        .filter(|name| name.starts_with("id_") && !name.ends_with(".pub"))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_without_their_secrets() {
        let mut facts = GitFacts::default();
        take(
            &mut facts,
            "url.https://u:tok@h.example/.insteadof",
            "https://h.example/",
        );
        take(
            &mut facts,
            "url.git@h.example:.insteadof",
            "https://h.example/",
        );
        take(
            &mut facts,
            "credential.https://h.example.helper",
            "store --file /x",
        );
        take(&mut facts, "http.sslverify", "false");
        assert_eq!(facts.instead_of[0].base, "https://***:***@h.example/");
        assert_eq!(facts.instead_of[1].base, "git@h.example:");
        assert_eq!(facts.helpers, ["store"]);
        assert!(facts.ssl_verify_off);
        assert!(names("[h.example]:22,1.2.3.4 ssh-ed25519 AAA", "h.example"));
        assert!(!names("h.example.org ssh-ed25519 AAA", "h.example"));
    }
}
