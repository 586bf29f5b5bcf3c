//! D13 and D14: which hosts may be insecure, which tools may run, and with which logins.
//!
//! Source of the netrc rules: cmd/go/internal/auth: an entry is looked up by the text of the URL
//! (so a port in the URL must stand in the entry, which curl does not ask for), it is used over
//! https only, and a `default` entry is passed over.

use gomod::govcs::GoVcs;

use super::patterns::{Router, modules};
use super::proxy_list::{self, Entry};
use super::settings::place;
use crate::check::Check;
use crate::explain::Subject;
use crate::facts::{AuthCommand, EnvFacts, Facts, Netrc};

pub fn checks(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let mut checks = vec![govcs(facts, env)];
    checks.extend(goauth(facts, env));
    checks.extend(netrc(facts, env));
    checks
}

fn govcs(facts: &Facts, env: &EnvFacts) -> Check {
    let setting = env.setting("GOVCS");
    let line = format!(
        "GOVCS={} from the {}",
        setting.value,
        place(setting.origin, env)
    );
    if setting.value.is_empty() {
        return Check::ok(
            "D13",
            "GOVCS",
            "the default: git and hg for public modules, anything for private ones",
        );
    }
    let rules = match GoVcs::parse(&setting.value) {
        Ok(rules) => rules.with_defaults(),
        Err(why) => {
            let check = Check::fail("D13", "GOVCS", why.to_string());
            return check.because("govcs_disallowed", 0.95, [line, why.to_string()]);
        }
    };
    let router = Router::new(env);
    let refused = modules(facts).into_iter().find(|module| {
        let route = router.route(module);
        !route.proxied && !rules.allows(module, route.private, "git")
    });
    match refused {
        Some(module) => {
            let detail = format!("{module} is fetched directly, and GOVCS forbids git for it");
            let subject = Subject {
                module: Some(module),
                ..Subject::default()
            };
            Check::warn("D13", "GOVCS", detail.clone())
                .because("govcs_disallowed", 0.8, [line, detail])
                .about(subject)
        }
        None => Check::ok("D13", "GOVCS", setting.value),
    }
}

fn goauth(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let setting = env.setting("GOAUTH");
    let line = format!(
        "GOAUTH={} from the {}",
        setting.value,
        place(setting.origin, env)
    );
    let wrong = |what: String| {
        let check = Check::fail("D13", "GOAUTH", what.clone());
        check.because("proxy_auth_401", 0.85, [line.clone(), what])
    };
    let words: Vec<&str> = setting.value.split(';').map(str::trim).collect();
    if words.iter().any(|word| word.is_empty()) {
        return vec![wrong("GOAUTH encountered an empty command".into())];
    }
    if words.len() > 1
        && words
            .iter()
            .any(|word| word.split_whitespace().next() == Some("off"))
    {
        return vec![wrong(
            "GOAUTH=off cannot be combined with other authentication commands".into(),
        )];
    }
    let dirless = words.iter().find(|word| {
        let mut parts = word.split_whitespace();
        parts.next() == Some("git")
            && (parts.next().is_none_or(|dir| !dir.starts_with('/')) || parts.next().is_some())
    });
    if dirless.is_some() {
        return vec![wrong(
            "GOAUTH=git dir requires one absolute path to a git working directory".into(),
        )];
    }
    let tried = env.auth.iter().flatten();
    let mut checks: Vec<Check> = tried
        .map(|command| auth_command(command, &wrong, facts))
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok("D13", "GOAUTH", setting.value));
    }
    checks
}

fn auth_command(command: &AuthCommand, wrong: &impl Fn(String) -> Check, facts: &Facts) -> Check {
    let name = &command.name;
    let took = facts.took("auth");
    if command.found == Some(false) {
        return wrong(format!("the command {name} is not there")).took(took);
    }
    if command.answered == Some(false) {
        return wrong(format!(
            "the command {name} does not answer in time; it must not ask anything"
        ))
        .took(took);
    }
    if let Some(status) = command.status.filter(|status| *status != 0) {
        return wrong(format!("the command {name} ends with status {status}")).took(took);
    }
    match (&command.malformed, command.answered) {
        (Some(what), _) => wrong(format!(
            "cannot parse output of GOAUTH command {name}: {what}"
        ))
        .took(took),
        (None, Some(true)) => Check::ok("D13", "GOAUTH", format!("{name} answers")).took(took),
        (None, _) => Check::unknown("D13", "GOAUTH", format!("{name} was not tried")),
    }
}

fn netrc(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let Some(netrc) = &env.netrc else {
        return vec![Check::unknown("D14", "netrc", "not looked at")];
    };
    if let Some(check) = unusable(netrc) {
        return vec![check];
    }
    if netrc.exists != Some(true) {
        return vec![Check::ok(
            "D14",
            &netrc.path,
            "not there: no logins from netrc",
        )];
    }
    let mut checks = Vec::new();
    let goproxy = env.setting("GOPROXY").value;
    let servers = proxy_list::entries(&goproxy);
    for server in servers.iter().filter(|entry| entry.is_server()) {
        checks.extend(not_matched(netrc, server, env));
    }
    checks.extend(mode(netrc));
    if let Some(machine) = netrc.incomplete.first() {
        let detail =
            format!("machine {machine} has no login or no password: the go command passes it over");
        checks.push(Check::warn("D14", &netrc.path, detail));
    }
    if checks.is_empty() {
        checks.push(Check::ok("D14", &netrc.path, summary(netrc)));
    }
    let took = facts.took("auth");
    checks.into_iter().map(|check| check.took(took)).collect()
}

fn unusable(netrc: &Netrc) -> Option<Check> {
    let error = netrc.error.as_ref()?;
    let detail = format!("cannot be read, so no login is sent: {error}");
    let check = Check::warn("D14", &netrc.path, detail);
    Some(
        check
            .because("proxy_auth_401", 0.6, [])
            .variant("netrc_not_matched"),
    )
}

fn summary(netrc: &Netrc) -> String {
    let machines = netrc
        .machines
        .iter()
        .map(|entry| format!("{} as {}", entry.machine, entry.login));
    let mut text = machines.take(8).collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text = "no usable entry".into();
    }
    if netrc.has_default {
        text.push_str("; its default entry is not used by go");
    }
    text
}

/// A login for this server stands in the file and Go will not send it.
fn not_matched(netrc: &Netrc, server: &Entry<'_>, env: &EnvFacts) -> Option<Check> {
    let url = server.url();
    let (scheme, rest) = url.split_once("://")?;
    if rest
        .split('/')
        .next()
        .is_some_and(|authority| authority.contains('@'))
    {
        return None;
    }
    let host_port = server.host_port();
    let host = host_port
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok());
    let (host, port) = host.map_or((&*host_port, None), |(host, port)| (host, Some(port)));
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let covers = |machine: &str, authority: &str| {
        let (name, prefix) = machine.split_once('/').unwrap_or((machine, ""));
        name == authority
            && (prefix.is_empty() || path == prefix || path.starts_with(&format!("{prefix}/")))
    };
    let used = netrc
        .machines
        .iter()
        .any(|entry| covers(&entry.machine, &host_port));
    let meant = netrc
        .machines
        .iter()
        .find(|entry| covers(&entry.machine, host));
    let evidence = |what: String| {
        let entry = meant.map(|entry| {
            format!(
                "{}: machine {} login {}",
                netrc.path, entry.machine, entry.login
            )
        });
        [Some(format!("GOPROXY entry {url}")), entry, Some(what)]
            .into_iter()
            .flatten()
    };
    let subject = || Subject {
        host: Some(host_port.clone()),
        url: Some(url.clone()),
        proxy: Some(url.clone()),
        ..Subject::default()
    };
    if scheme == "http" && (used || meant.is_some()) {
        let detail =
            format!("the login for {host} is not sent to {url}: Go uses netrc over https only");
        let check = Check::warn("D14", &netrc.path, detail.clone());
        return Some(
            check
                .because("proxy_auth_401", 0.85, evidence(detail))
                .variant("netrc_not_matched")
                .about(subject()),
        );
    }
    if used {
        let setting = env.setting("GOAUTH");
        let off = !setting.value.split(';').any(|word| word.trim() == "netrc");
        let detail = format!(
            "GOAUTH={} leaves netrc out, so the login for {host_port} is not sent",
            setting.value
        );
        let check = off.then(|| Check::warn("D14", &netrc.path, detail.clone()))?;
        return Some(
            check
                .because("proxy_auth_401", 0.8, evidence(detail))
                .variant("netrc_not_matched")
                .about(subject()),
        );
    }
    let port = port?;
    meant?;
    let detail = format!(
        "machine {host} does not match {url}: Go compares the URL's text, so the entry must be machine {host}:{port}"
    );
    let check = Check::warn("D14", &netrc.path, detail.clone());
    Some(
        check
            .because("proxy_auth_401", 0.85, evidence(detail))
            .variant("netrc_not_matched")
            .about(subject()),
    )
}

/// Others can read the passwords.
fn mode(netrc: &Netrc) -> Option<Check> {
    let mode = netrc.mode.filter(|mode| mode & 0o077 != 0)?;
    let detail = format!(
        "mode {:03o}: others on this machine can read the passwords; chmod 600",
        mode & 0o777
    );
    (!netrc.machines.is_empty()).then(|| Check::warn("D14", &netrc.path, detail))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::check::State;
    use crate::facts::NetrcMachine;

    fn netrc_checks(goproxy: &str, machine: &str, goauth: &str) -> Vec<Check> {
        let os = [("GOPROXY", goproxy), ("GOAUTH", goauth)];
        let env = EnvFacts {
            os: Some(
                os.iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            ),
            netrc: Some(Netrc {
                path: "/home/u/.netrc".into(),
                exists: Some(true),
                mode: Some(0o100_600),
                machines: vec![NetrcMachine {
                    machine: machine.into(),
                    login: "u***(1)".into(),
                }],
                ..Netrc::default()
            }),
            ..EnvFacts::default()
        };
        netrc(&Facts::default(), &env)
    }

    #[test]
    fn a_login_that_go_will_not_send_is_told() {
        for (proxy, machine, auth, told) in [
            ("https://proxy.test:9100/x", "proxy.test", "", true),
            ("https://proxy.test:9100/x", "proxy.test:9100", "", false),
            ("https://proxy.test/x", "proxy.test", "", false),
            ("http://proxy.test/x", "proxy.test", "", true),
            ("https://proxy.test/x", "proxy.test/x", "", false),
            ("https://proxy.test:9100/x", "proxy.test/x", "", true),
            ("https://proxy.test/x", "proxy.test", "off", true),
            ("https://proxy.test/x", "other.test", "off", false),
            ("https://u:p@proxy.test:1/x", "proxy.test", "", false),
        ] {
            let check = netrc_checks(proxy, machine, auth).remove(0);
            assert_eq!(
                check.state == State::Warn,
                told,
                "{proxy} {machine} {auth}: {}",
                check.detail
            );
            let variant = check.finding.and_then(|finding| finding.variant);
            assert_eq!(variant.as_deref(), told.then_some("netrc_not_matched"));
        }
    }
}
