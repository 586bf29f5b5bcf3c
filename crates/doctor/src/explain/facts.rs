//! What no regular expression can say about a failure: comparisons and lists.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::env::Env;
use super::subject::{Subject, host_of};
use crate::cause::Fact;

const PUBLIC_HOSTS: &str = include_str!("../../data/public-hosts.txt");

/// Code hosts on which a repository is always exactly `host/owner/name`.
const TWO_PART_HOSTS: &[&str] = &["github.com", "bitbucket.org", "gitee.com", "codeberg.org"];

/// The facts of one failure.
pub fn facts(text: &str, subject: &Subject, env: &Env) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    if let Some(host) = module_host(text, subject) {
        let public = is_public(&host);
        facts.insert(if public {
            Fact::PublicHost
        } else {
            Fact::PrivateHost
        });
    }
    facts.extend(proxy_facts(env));
    facts.extend(path_facts(subject));
    if repo_above_module(text, subject) {
        facts.insert(Fact::RepoAboveModule);
    }
    let lists = ["GOPRIVATE", "GONOPROXY", "GONOSUMDB"];
    if lists.iter().filter_map(|name| env.get(name)).any(suspect) {
        facts.insert(Fact::GoprivateSuspect);
    }
    facts
}

/// The host that the code comes from: git's own words first, else the module path.
fn module_host(text: &str, subject: &Subject) -> Option<String> {
    static ASKED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?:for|access|repository|读取|访问) '?(?:https?|ssh)://(?:[^/@\s]+@)?([^/'\s:]+)",
        )
        .ok()
    });
    let asked = ASKED.as_ref().and_then(|re| re.captures(text));
    let asked = asked.and_then(|found| Some(found.get(1)?.as_str().to_owned()));
    asked.or_else(|| subject.module_host().map(str::to_owned))
}

fn is_public(host: &str) -> bool {
    let listed = |line: &str| !line.starts_with('#') && line.eq_ignore_ascii_case(host);
    PUBLIC_HOSTS.lines().map(str::trim).any(listed)
}

fn proxy_facts(env: &Env) -> Vec<Fact> {
    let entries = env.goproxy();
    let Some(first) = entries.first() else {
        return Vec::new();
    };
    if *first == "direct" && entries.len() == 1 {
        return vec![Fact::GoproxyDirectOnly];
    }
    let mirror = host_of(first).is_some_and(|host| host != "proxy.golang.org");
    match (mirror, entries.contains(&"direct")) {
        (true, false) => vec![Fact::Mirror, Fact::MirrorOnly],
        (true, true) => vec![Fact::Mirror],
        (false, _) => Vec::new(),
    }
}

fn path_facts(subject: &Subject) -> Option<Fact> {
    let declared = subject.declared.as_deref()?;
    let required = subject.module.as_deref()?;
    if declared != required && declared.eq_ignore_ascii_case(required) {
        return Some(Fact::CaseOnlyDifference);
    }
    let number = declared.strip_prefix(required)?.strip_prefix("/v")?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(Fact::DeclaredAddsMajor)
}

/// Whether a repository URL in the text names a path above the module's, on a host with groups.
fn repo_above_module(text: &str, subject: &Subject) -> bool {
    static REPO: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?:https?|ssh)://(?:[^/@\s]+@)?([^/'\s]+)/([^'\s?]+?)(?:\.git)?/?(?:['\s:]|$)")
            .ok()
    });
    let (Some(repo), Some(module)) = (&*REPO, subject.module.as_deref()) else {
        return false;
    };
    repo.captures_iter(text).any(|found| {
        let host = &found[1];
        let above = format!("{host}/{}/", &found[2]);
        !TWO_PART_HOSTS.contains(&host) && module.starts_with(&above)
    })
}

/// Whether a list of path patterns holds one that cannot match a module path.
fn suspect(list: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .any(|pattern| {
            pattern.contains("://")
                || pattern.contains([';', ' ', '|', '@', '\\', '"'])
                || pattern.starts_with(['.', '/'])
                || pattern.contains("**")
                || has_port(pattern)
                || pattern.ends_with(".git")
        })
}

fn has_port(pattern: &str) -> bool {
    let host = pattern.split('/').next().unwrap_or(pattern);
    let port = host.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts_of(text: &str, env: &Env) -> BTreeSet<Fact> {
        facts(text, &Subject::of(text, &env.goproxy()), env)
    }

    #[test]
    fn a_group_taken_for_a_repository_is_seen() {
        let text = "go get git.corp.example/team/sub/lib: git ls-remote -q https://git.corp.example/team.git in /x: exit status 128";
        assert!(facts_of(text, &Env::new()).contains(&Fact::RepoAboveModule));
        let text = "github.com/a/b/c: git ls-remote https://github.com/a/b in /x: exit status 128";
        assert!(!facts_of(text, &Env::new()).contains(&Fact::RepoAboveModule));
    }

    #[test]
    fn paths_that_differ_only_by_case_are_told_from_a_missing_major() {
        let of = |a: &str, b: &str| {
            let text = format!("module declares its path as: {a}\n\tbut was required as: {b}");
            facts_of(&text, &Env::new())
        };
        assert!(of("x.example/a/b", "x.example/A/b").contains(&Fact::CaseOnlyDifference));
        assert!(of("x.example/a/v2", "x.example/a").contains(&Fact::DeclaredAddsMajor));
        assert!(!of("x.example/b", "x.example/a").contains(&Fact::CaseOnlyDifference));
    }

    #[test]
    fn patterns_that_cannot_match_are_suspect() {
        for list in [
            "https://git.corp.example",
            "git.corp.example:8443/x",
            "a.example;b.example",
            ".corp.example",
        ] {
            assert!(suspect(list), "{list}");
        }
        for list in ["git.corp.example", "*.corp.example,github.com/us/*", ""] {
            assert!(!suspect(list), "{list}");
        }
    }
}
