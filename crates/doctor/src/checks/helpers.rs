//! D15 to D17: forward proxies as they are set, git and ssh, and the box that all runs in.
//!
//! Source of the proxy rules: golang.org/x/net/http/httpproxy: upper case before lower case,
//! `ALL_PROXY` is not looked at, loopback addresses are never proxied.

use super::patterns::{Router, modules};
use super::proxy_list;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{ContainerFacts, EnvFacts, Facts, GitFacts, SshFacts, Tool};

pub fn checks(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let mut checks = forward(env);
    let took = facts.took("tools");
    checks.extend(vcs(facts, env).into_iter().map(|check| check.took(took)));
    checks.extend(boxed(facts, env));
    checks
}

fn forward(env: &EnvFacts) -> Vec<Check> {
    if env.os.is_none() {
        return vec![Check::unknown("D15", "proxy variables", "not looked at")];
    }
    let mut checks: Vec<Check> = ["HTTPS_PROXY", "HTTP_PROXY"]
        .iter()
        .filter_map(|name| variable(name, env))
        .collect();
    checks.extend(exceptions(env));
    if checks.is_empty() {
        let all = set(env, "ALL_PROXY").or(set(env, "all_proxy"));
        checks.push(match all {
            Some(value) => {
                let detail = format!("ALL_PROXY={value} is not looked at by go: curl goes through it, go does not; set HTTPS_PROXY");
                Check::warn("D15", "ALL_PROXY", detail).because("http_proxy_misconfig", 0.6, [])
            }
            None => Check::ok("D15", "HTTPS_PROXY", "no forward proxy is set"),
        });
    }
    checks
}

fn set<'e>(env: &'e EnvFacts, name: &str) -> Option<&'e str> {
    env.os(name).filter(|value| !value.is_empty())
}

fn variable(name: &'static str, env: &EnvFacts) -> Option<Check> {
    let lower_name = name.to_ascii_lowercase();
    let (upper, lower) = (set(env, name), set(env, &lower_name));
    let value = upper.or(lower)?;
    if let Some(why) = bad_proxy(value) {
        let detail = format!("{value}: {why}");
        let line = format!("{name}={value}");
        return Some(Check::fail("D15", name, detail.clone()).because(
            "http_proxy_misconfig",
            0.9,
            [line, detail],
        ));
    }
    match (upper, lower) {
        (Some(upper), Some(lower)) if upper != lower => {
            let detail = format!(
                "{name}={upper} and {lower_name}={lower} differ: go uses the first, curl the second"
            );
            Some(Check::warn("D15", name, detail).because("http_proxy_misconfig", 0.5, []))
        }
        _ => Some(Check::ok(
            "D15",
            name,
            format!("{value}; loopback addresses are never proxied"),
        )),
    }
}

fn bad_proxy(value: &str) -> Option<&'static str> {
    if value.contains(char::is_whitespace) || value.contains(['"', '\'', '“', '”']) {
        return Some("holds spaces or quotes");
    }
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let known = matches!(
        &*scheme.to_ascii_lowercase(),
        "http" | "https" | "socks5" | "socks5h"
    );
    if !known {
        return Some("its scheme is none that Go knows: http, https, socks5, socks5h");
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (name, port) = match host.rsplit_once(':').filter(|_| !host.ends_with(']')) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    if name.is_empty() {
        return Some("names no host");
    }
    port.is_some_and(|port| port.parse::<u16>().is_err())
        .then_some("its port is no number")
}

fn exceptions(env: &EnvFacts) -> Option<Check> {
    let value = set(env, "NO_PROXY").or(set(env, "no_proxy"))?;
    let wrong = value
        .split(',')
        .map(str::trim)
        .find(|part| part.contains("://") || part.contains(' '));
    Some(match wrong {
        Some(part) => {
            let detail = format!(
                "{part:?} matches nothing: entries are host names, .domains, addresses and networks, separated by commas"
            );
            Check::warn("D15", "NO_PROXY", detail).because("http_proxy_misconfig", 0.5, [])
        }
        None => Check::ok("D15", "NO_PROXY", value),
    })
}

/// Whether some module will be fetched from version control.
fn direct_module(facts: &Facts, env: &EnvFacts) -> Option<String> {
    let router = Router::new(env);
    modules(facts)
        .into_iter()
        .find(|module| !router.route(module).proxied)
}

fn vcs(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let Some(tools) = &env.tools else {
        return vec![Check::unknown("D16", "git", "not looked at")];
    };
    let tool = |name: &str| tools.iter().find(|tool| tool.name == name);
    let direct = direct_module(facts, env);
    let mut checks = vec![git(tool("git"), direct.as_deref(), env)];
    if let Some(git) = &env.git {
        checks.extend(rewriting(git, tool("ssh"), env.ssh.as_ref()));
        checks.extend(login(git, direct.as_deref(), env));
    }
    checks
}

fn git(git: Option<&Tool>, direct: Option<&str>, env: &EnvFacts) -> Check {
    let Some(git) = git else {
        return Check::unknown("D16", "git", "not looked at");
    };
    let subject = || Subject {
        module: direct.map(str::to_owned),
        ..Subject::default()
    };
    if git.path.is_none() {
        let goproxy = env.setting("GOPROXY").value;
        let only = proxy_list::entries(&goproxy)
            .first()
            .is_some_and(|entry| entry.text == "direct");
        return match direct {
            Some(module) => {
                let detail = format!("not on PATH, and {module} is fetched directly");
                Check::fail("D16", "git", detail)
                    .because("git_missing", 0.95, [])
                    .about(subject())
            }
            None if only => Check::fail("D16", "git", "not on PATH, and GOPROXY=direct needs it")
                .because("git_missing", 0.9, []),
            None => Check::skipped(
                "D16",
                "git",
                "not on PATH; only modules fetched directly need it",
            ),
        };
    }
    match (&git.version, &git.error) {
        (_, Some(error)) => {
            let detail = format!("does not run: {error}");
            Check::fail("D16", "git", detail)
                .because("git_missing", 0.8, [])
                .about(subject())
        }
        (Some(version), None) => Check::ok("D16", "git", version),
        (None, None) => Check::unknown("D16", "git", "its version is not known"),
    }
}

fn rewriting(git: &GitFacts, ssh: Option<&Tool>, keys: Option<&SshFacts>) -> Vec<Check> {
    if let Some(error) = &git.error {
        return vec![Check::unknown("D16", "git config", error)];
    }
    let mut checks = Vec::new();
    if git.ssl_verify_off {
        checks.push(Check::warn(
            "D16",
            "http.sslVerify",
            "switched off: git takes any certificate",
        ));
    }
    for rule in &git.instead_of {
        let to_ssh = rule.base.starts_with("ssh://")
            || (rule.base.contains('@') && !rule.base.contains("://"));
        let name = format!("url.{}.insteadOf", rule.base);
        let line = format!("{name}={}", rule.prefix);
        let host = ssh_host(&rule.base);
        let subject = Subject {
            host: host.clone(),
            ..Subject::default()
        };
        let wrong = if !to_ssh {
            None
        } else if ssh.is_some_and(|ssh| ssh.path.is_none()) {
            Some(("leads to ssh, and there is no ssh on PATH", 0.9, true))
        } else if keys.is_some_and(|keys| keys.keys.is_empty() && keys.agent == Some(false)) {
            Some((
                "leads to ssh, and there is neither a key in ~/.ssh nor an agent",
                0.75,
                false,
            ))
        } else if keys
            .zip(host.as_ref())
            .is_some_and(|(keys, host)| keys.unknown_hosts.contains(host))
        {
            Some((
                "leads to a host that known_hosts does not know: ssh would ask, and go cannot answer",
                0.7,
                false,
            ))
        } else {
            None
        };
        checks.push(match wrong {
            Some((why, sure, true)) => Check::fail("D16", &name, format!("{} {why}", rule.prefix))
                .because("auth_required_git_ssh", sure, [line])
                .about(subject),
            Some((why, sure, false)) => Check::warn("D16", &name, format!("{} {why}", rule.prefix))
                .because("auth_required_git_ssh", sure, [line])
                .about(subject),
            None => Check::ok(
                "D16",
                name,
                format!("{} is fetched from {}", rule.prefix, rule.base),
            ),
        });
    }
    checks
}

/// The host of `ssh://git@host/` or `git@host:`.
fn ssh_host(base: &str) -> Option<String> {
    let rest = base.strip_prefix("ssh://").unwrap_or(base);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = rest.split([':', '/']).next()?;
    (!host.is_empty()).then(|| host.to_owned())
}

/// A private module over https without any login that git could use unasked.
fn login(git: &GitFacts, direct: Option<&str>, env: &EnvFacts) -> Option<Check> {
    let module = direct?;
    let host = module.split('/').next()?;
    let private = Router::new(env).route(module).private;
    let rewritten = git.instead_of.iter().any(|rule| rule.prefix.contains(host));
    let netrc = env.netrc.as_ref()?;
    let known = netrc
        .machines
        .iter()
        .any(|entry| entry.machine.split(['/', ':']).next() == Some(host));
    let asks = git.helpers.is_empty() && set(env, "GIT_ASKPASS").is_none();
    if !private || rewritten || known || !asks || git.error.is_some() {
        return None;
    }
    let detail = format!(
        "{module} is private and fetched by git over https, but git has no credential helper, no insteadOf rule and no netrc entry for {host}"
    );
    let subject = Subject {
        module: Some(module.to_owned()),
        host: Some(host.to_owned()),
        ..Subject::default()
    };
    Some(
        Check::warn("D16", "git login", detail)
            .because("auth_required_git", 0.5, [])
            .about(subject),
    )
}

fn boxed(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let took = facts.took("container");
    let Some(container) = &env.container else {
        return vec![Check::unknown("D17", "container", "not looked at")];
    };
    let mut checks = vec![roots(container)];
    checks.push(home(container, env));
    if container.nameservers.as_ref().is_some_and(Vec::is_empty) {
        checks.push(Check::warn(
            "D17",
            "/etc/resolv.conf",
            "names no server: names are asked at 127.0.0.1",
        ));
    }
    checks.extend(image(facts, env));
    let kind = container.kind.as_deref().unwrap_or("no container");
    checks.push(Check::ok("D17", "container", kind));
    checks.into_iter().map(|check| check.took(took)).collect()
}

fn roots(container: &ContainerFacts) -> Check {
    let file = container
        .ca_file
        .as_deref()
        .unwrap_or("certificate authorities");
    if let Some(error) = &container.ca_error {
        return Check::fail("D17", file, error).because("ca_bundle_missing", 0.95, []);
    }
    match container.ca_count {
        Some(0) => {
            let detail = "no certificate authority is installed: every https connection fails";
            Check::fail("D17", file, detail).because("ca_bundle_missing", 0.97, [])
        }
        Some(count) => Check::ok("D17", file, format!("{count} certificate authorities")),
        None => Check::unknown("D17", file, "not counted: the system keeps them elsewhere"),
    }
}

fn home(container: &ContainerFacts, env: &EnvFacts) -> Check {
    let Some(home) = &env.home else {
        let settled =
            !env.setting("GOMODCACHE").value.is_empty() && !env.setting("GOCACHE").value.is_empty();
        let detail = "HOME is not set: the caches have no place unless GOMODCACHE and GOCACHE are";
        return match settled {
            true => Check::ok("D17", "HOME", "not set, but GOMODCACHE and GOCACHE are"),
            false => Check::fail("D17", "HOME", detail).because("cache_permission", 0.9, []),
        };
    };
    match container.home_writable {
        Some(false) => Check::warn(
            "D17",
            "HOME",
            format!("{home} cannot be written by user {}", env.uid.unwrap_or(0)),
        ),
        Some(true) => Check::ok("D17", "HOME", home),
        None => Check::unknown("D17", "HOME", "not looked at"),
    }
}

/// A Dockerfile downloads modules without the GOPROXY that is needed here.
fn image(facts: &Facts, env: &EnvFacts) -> Option<Check> {
    let setting = env.setting("GOPROXY");
    let chosen = matches!(
        setting.origin,
        crate::facts::Origin::Os | crate::facts::Origin::UserFile
    );
    let lines = &facts.project.as_ref()?.docker;
    let run = lines
        .iter()
        .find(|(_, _, text)| text.to_ascii_uppercase().starts_with("RUN"))?;
    let named = lines
        .iter()
        .any(|(file, _, text)| *file == run.0 && text.contains("GOPROXY"));
    (chosen && !named).then(|| {
        let detail = format!("line {}: {}: this machine needs GOPROXY={}, and the image's build is not told (ARG GOPROXY, or ENV)", run.1, run.2, setting.value);
        Check::warn("D17", &run.0, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_as_go_reads_them() {
        for good in [
            "http://p.example:3128",
            "p.example:3128",
            "p.example",
            "socks5://127.0.0.1:1080",
            "http://***:***@p.example:1/",
            "http://[::1]:3128",
        ] {
            assert_eq!(bad_proxy(good), None, "{good}");
        }
        for bad in [
            "socks4://p:1",
            "http://",
            "http://:3128",
            "http://p:port",
            "\"http://p\"",
            "ftp://p",
        ] {
            assert!(bad_proxy(bad).is_some(), "{bad}");
        }
        assert_eq!(ssh_host("git@h.example:").as_deref(), Some("h.example"));
        assert_eq!(
            ssh_host("ssh://git@h.example/").as_deref(),
            Some("h.example")
        );
    }
}
