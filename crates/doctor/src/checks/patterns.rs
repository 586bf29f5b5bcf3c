//! D07 and D08: do the private patterns match what they are meant to, and who is asked for what?
//!
//! Patterns are globs on module paths, element by element (`MatchPrefixPatterns` of x/mod). A
//! pattern with a scheme, a port or a space is no error for the go command: it matches nothing,
//! and private names go to public services.

use std::collections::BTreeSet;

use gomod::pattern::Patterns;

use super::proxy_list;
use super::settings::place;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{EnvFacts, Facts};

/// The settings that are such lists.
const LISTS: &[&str] = &["GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE"];

pub fn checks(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let mut checks: Vec<Check> = LISTS.iter().filter_map(|name| list(name, env)).collect();
    if checks.is_empty() {
        checks.push(Check::ok("D07", "GOPRIVATE", "no private patterns are set"));
    }
    checks.extend(coverage(facts, env));
    checks
}

fn list(name: &'static str, env: &EnvFacts) -> Option<Check> {
    let setting = env.setting(name);
    // Of GONOPROXY and GONOSUMDB only what is set for themselves: the rest is GOPRIVATE's.
    let own = setting.origin != crate::facts::Origin::Default;
    if !own || setting.value.is_empty() {
        return None;
    }
    let Some((pattern, why)) = first_wrong(&setting.value) else {
        return Some(Check::ok("D07", name, setting.value));
    };
    let place = place(setting.origin, env);
    let evidence = [
        format!("{name}={} from the {place}", setting.value),
        format!("{pattern:?} {why}"),
    ];
    let meant = meant(&pattern);
    let subject = Subject {
        module: meant.clone(),
        ..Subject::default()
    };
    let meant = meant.map_or(String::new(), |meant| format!("; {meant} is meant"));
    let detail = format!("the pattern {pattern:?} {why}{meant}");
    let check = Check::fail("D07", name, detail);
    Some(
        check
            .because("goprivate_pattern_invalid", 0.97, evidence)
            .about(subject),
    )
}

/// The first pattern that can never match, and why.
fn first_wrong(value: &str) -> Option<(String, &'static str)> {
    value
        .split(',')
        .find_map(|pattern| Some((pattern.to_owned(), wrong(pattern)?)))
}

fn wrong(pattern: &str) -> Option<&'static str> {
    let bare = pattern.trim_end_matches('/');
    if bare.is_empty() {
        return None;
    }
    if pattern.contains("://") {
        return Some("is a URL: a module path has no scheme, so it matches nothing");
    }
    if pattern.contains([';', '|', '，', '；']) {
        return Some("holds a separator of another list: here it is a comma");
    }
    if pattern.contains(char::is_whitespace) {
        return Some("holds a space, which is part of the pattern: it matches nothing");
    }
    if pattern.contains(['"', '\'', '“', '”']) {
        return Some("holds quotes, which are part of the pattern: it matches nothing");
    }
    if pattern.contains("...") {
        return Some("holds '...', which means nothing here: a prefix covers all below it");
    }
    let first = bare.split('/').next().unwrap_or_default();
    if first.contains(':') && !first.contains('[') {
        return Some("holds a port: module paths have none, so it matches nothing");
    }
    if first.contains('@') {
        return Some("holds a login: module paths have none, so it matches nothing");
    }
    if first.starts_with('.') {
        return Some("begins with a dot: for all hosts of a domain it is written *.domain");
    }
    if first.is_empty() {
        return Some("begins with a slash: module paths do not");
    }
    if bare.ends_with(".git") {
        return Some("ends in .git: module paths of hosting services do not");
    }
    if first.chars().any(|c| c.is_ascii_uppercase()) && first.contains('.') {
        return Some("holds upper-case letters in the host: module paths there are lower case");
    }
    let parsed = Patterns::parse(pattern).ok()?;
    (!parsed.warnings().is_empty())
        .then_some("is malformed (path.Match): the go command ignores it")
}

/// What the writer of a wrong pattern meant, as far as that is plain.
fn meant(pattern: &str) -> Option<String> {
    let rest = pattern.trim();
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest
        .trim_end_matches("...")
        .trim_matches(|c| matches!(c, '/' | '"' | '\''));
    let rest = rest.strip_suffix(".git").unwrap_or(rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let host = match host.strip_prefix('.') {
        Some(domain) => format!("*.{domain}"),
        None => host,
    };
    let whole = match path {
        "" => host.clone(),
        path => format!("{host}/{path}"),
    };
    let sound = !host.is_empty() && wrong(&whole).is_none() && whole != pattern;
    sound.then_some(whole)
}

/// The whole list as it was meant, if that is plain for every wrong pattern of it.
pub fn meant_patterns(value: &str) -> Option<String> {
    let patterns: Option<Vec<String>> = value
        .split([',', ';'])
        .map(|pattern| match wrong(pattern) {
            Some(_) => meant(pattern),
            None => Some(pattern.to_owned()),
        })
        .collect();
    patterns.map(|patterns| patterns.join(","))
}

/// What the settings do with one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Fetched through GOPROXY.
    pub proxied: bool,
    /// Compared with the checksum database.
    pub verified: bool,
    /// Private by GOPRIVATE.
    pub private: bool,
}

/// The routes that the settings choose.
pub struct Router {
    private: Patterns,
    no_proxy: Patterns,
    no_sumdb: Patterns,
    direct_only: bool,
    sumdb_off: bool,
}

impl Router {
    /// Of these settings; lists that are too long match nothing.
    pub fn new(env: &EnvFacts) -> Self {
        let patterns = |name| Patterns::parse(&env.setting(name).value).unwrap_or_default();
        let goproxy = env.setting("GOPROXY").value;
        Self {
            private: patterns("GOPRIVATE"),
            no_proxy: patterns("GONOPROXY"),
            no_sumdb: patterns("GONOSUMDB"),
            direct_only: proxy_list::entries(&goproxy)
                .first()
                .is_some_and(|e| e.text == "direct"),
            sumdb_off: env.setting("GOSUMDB").value == "off",
        }
    }

    /// Where a module is fetched and whether it is verified.
    pub fn route(&self, module: &str) -> Route {
        Route {
            proxied: !self.direct_only && !self.no_proxy.matches(module),
            verified: !self.sumdb_off && !self.no_sumdb.matches(module),
            private: self.private.matches(module),
        }
    }
}

/// Modules that go.mod requires or that were asked for.
pub fn modules(facts: &Facts) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    found.extend(facts.asked.iter().map(|asked| asked.module.clone()));
    if let Some(file) = super::project::mod_file(facts) {
        let replaced = |path: &str| {
            let local = |r: &&gomod::modfile::Replace| r.old == path && r.new_version.is_none();
            file.replace.iter().find(local).is_some()
        };
        let required = file.require.iter().filter(|r| !replaced(&r.path));
        found.extend(required.map(|require| require.path.clone()));
    }
    found
}

fn coverage(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let modules = modules(facts);
    if modules.is_empty() {
        return vec![Check::skipped(
            "D08",
            "modules",
            "no requirement and no module was asked about",
        )];
    }
    let router = Router::new(env);
    let mut checks = Vec::new();
    let (mut proxied, mut verified) = (0, 0);
    for module in &modules {
        let route = router.route(module);
        proxied += usize::from(route.proxied);
        verified += usize::from(route.verified);
        checks.extend(overridden(module, route, env));
        checks.extend(leak(module, route, env));
    }
    checks.truncate(LEAKS_MAX);
    let total = modules.len();
    let detail = format!(
        "of {total} modules {proxied} come through GOPROXY and {verified} are compared with the checksum database"
    );
    checks.push(Check::ok("D08", "modules", detail));
    checks
}

/// More of the same tell nothing new.
const LEAKS_MAX: usize = 8;

/// GOPRIVATE covers a module, and one of the two settings that override it does not.
fn overridden(module: &str, route: Route, env: &EnvFacts) -> Option<Check> {
    if !route.private || !route.verified {
        return None;
    }
    let setting = env.setting("GONOSUMDB");
    let place = place(setting.origin, env);
    let detail = format!(
        "GOPRIVATE covers it, but GONOSUMDB={} overrides GOPRIVATE: its name goes to the checksum database",
        setting.value
    );
    let evidence = [
        format!("GOPRIVATE={}", env.setting("GOPRIVATE").value),
        format!(
            "GONOSUMDB={} from the {place} does not cover {module}",
            setting.value
        ),
    ];
    let check = Check::warn("D08", module, detail);
    Some(
        check
            .because("goprivate_pattern_invalid", 0.85, evidence)
            .about(about(module)),
    )
}

/// A module whose host looks private is asked at public services.
fn leak(module: &str, route: Route, env: &EnvFacts) -> Option<Check> {
    if route.private || !route.verified {
        return None;
    }
    let host = module.split('/').next().unwrap_or_default();
    let why = private_looking(host, env)?;
    let public = super::sumdb_setting::is_public(env);
    if !public {
        return None;
    }
    let detail = format!(
        "{why}, yet its name goes to the public checksum database: GOPRIVATE does not cover it"
    );
    let evidence = [
        format!("{module}: {why}"),
        format!("GOPRIVATE={}", env.setting("GOPRIVATE").value),
    ];
    let check = Check::warn("D08", module, detail);
    Some(
        check
            .because("sumdb_private_410", 0.6, evidence)
            .about(about(module)),
    )
}

fn about(module: &str) -> Subject {
    Subject {
        module: Some(module.to_owned()),
        ..Subject::default()
    }
}

/// Ends of names that no public name server knows (RFC 6762, RFC 8375, ICANN's list of names that
/// are never delegated).
const PRIVATE_ENDS: &[&str] = &[
    ".local",
    ".internal",
    ".intranet",
    ".corp",
    ".lan",
    ".home",
    ".private",
    ".localdomain",
    ".home.arpa",
    ".intern",
    ".localhost",
];

fn private_looking(host: &str, env: &EnvFacts) -> Option<&'static str> {
    if PRIVATE_ENDS.iter().any(|end| host.ends_with(end)) {
        return Some("its host is a private name");
    }
    let wrong_pattern = LISTS.iter().take(3).any(|name| {
        let value = env.setting(name).value;
        value.split(',').any(|pattern| {
            wrong(pattern).is_some()
                && meant(pattern).is_some_and(|meant| {
                    Patterns::parse(&meant).is_ok_and(|patterns| patterns.matches(host))
                })
        })
    });
    wrong_pattern.then_some("a pattern that is written wrongly names its host")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::State;
    use crate::facts::Asked;

    fn facts(os: &[(&str, &str)], module: &str) -> Facts {
        let os = os.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Facts {
            asked: Some(Asked {
                module: module.into(),
                version: None,
            }),
            env: Some(EnvFacts {
                os: Some(os.collect()),
                ..EnvFacts::default()
            }),
            ..Facts::default()
        }
    }

    fn run(os: &[(&str, &str)], module: &str) -> Vec<Check> {
        let facts = facts(os, module);
        checks(&facts, facts.env.as_ref().unwrap())
    }

    #[test]
    fn patterns_that_match_nothing_are_failures_and_what_is_meant_is_told() {
        for (pattern, meant_) in [
            ("https://git.corp.example", Some("git.corp.example")),
            ("git.corp.example:8443/team", Some("git.corp.example/team")),
            (".corp.example", Some("*.corp.example")),
            ("a.example; b.example", None),
            ("a.example, b.example", Some("b.example")),
            ("git@git.corp.example", Some("git.corp.example")),
            ("git.corp.example/...", Some("git.corp.example")),
            ("[a-", None),
            ("GitHub.com/Org", Some("github.com/Org")),
        ] {
            let check = run(&[("GOPRIVATE", pattern)], "example.com/m").remove(0);
            assert_eq!(check.state, State::Fail, "{pattern}");
            assert_eq!(
                check.finding.unwrap().subject.module.as_deref(),
                meant_,
                "{pattern}"
            );
        }
        for good in [
            "git.corp.example",
            "*.corp.example,github.com/org/*",
            "*",
            "none",
            "a.example/b/",
        ] {
            assert_eq!(
                run(&[("GOPRIVATE", good)], "x.example/m")[0].state,
                State::Ok,
                "{good}"
            );
        }
    }

    #[test]
    fn private_names_that_go_to_public_services_are_told() {
        let labels = |os: &[(&str, &str)], module: &str| -> Vec<&str> {
            let checks = run(os, module);
            checks
                .iter()
                .filter(|c| c.id == "D08")
                .filter_map(|c| c.finding.as_ref().map(|f| f.label))
                .collect()
        };
        assert_eq!(labels(&[], "git.acme.internal/x"), ["sumdb_private_410"]);
        assert_eq!(
            labels(&[("GOPRIVATE", "git.acme.internal")], "git.acme.internal/x"),
            [""; 0]
        );
        let overridden = [
            ("GOPRIVATE", "git.acme.example"),
            ("GONOSUMDB", "other.example"),
        ];
        assert_eq!(
            labels(&overridden, "git.acme.example/x"),
            ["goprivate_pattern_invalid"]
        );
        assert_eq!(
            labels(
                &[("GOPRIVATE", "https://git.acme.example")],
                "git.acme.example/x"
            ),
            ["sumdb_private_410"]
        );
        assert_eq!(labels(&[], "example.com/m"), [""; 0]);
    }
}
