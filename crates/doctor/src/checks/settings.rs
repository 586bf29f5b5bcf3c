//! D02 and D03: where each setting comes from, and variables that no setting has.
//!
//! The operating system wins over the file of `go env -w`, so a file can be right and useless.
//! A misspelt variable is not an error for the go command: it is silently without effect.

use crate::check::Check;
use crate::facts::{EnvFacts, EnvFile, Facts, Origin, is_known, is_runtime, known};

/// Settings that decide about downloads: the ones whose source is shown.
const DOWNLOADS: &[&str] = &[
    "GOPROXY",
    "GOSUMDB",
    "GOPRIVATE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOINSECURE",
    "GOVCS",
    "GOAUTH",
    "GOFLAGS",
    "GO111MODULE",
    "GOTOOLCHAIN",
    "GOWORK",
    "GOPATH",
    "GOMODCACHE",
    "GOCACHE",
    "GOTMPDIR",
    "GOROOT",
];

/// Names that pages recommend and that never were settings, with what is meant.
const FOLKLORE: &[(&str, &str)] = &[
    ("GONOSUMCHECK", "GONOSUMDB"),
    ("GONOCHECKSUM", "GONOSUMDB"),
    ("GOSUMCHECK", "GOSUMDB"),
    ("GOCHECKSUM", "GOSUMDB"),
    ("GONOVERIFY", "GONOSUMDB"),
    ("GOMODPROXY", "GOPROXY"),
    ("GOMODULE", "GO111MODULE"),
    ("GOMODULES", "GO111MODULE"),
    ("GOSSLVERIFY", "GOINSECURE"),
    ("GONOSSL", "GOINSECURE"),
];

pub fn checks(facts: &Facts, env: &EnvFacts) -> Vec<Check> {
    let mut checks = sources(env);
    checks.extend(env.user_file.as_ref().map(|file| user_file(file, env)));
    checks.extend(other_user(env));
    checks.extend(unknown(env));
    let took = facts.took("settings");
    checks.into_iter().map(|check| check.took(took)).collect()
}

/// How a source is called on screens.
pub fn place(origin: Origin, env: &EnvFacts) -> String {
    let file = |file: &Option<EnvFile>, name: &str| match file {
        Some(file) => format!("{name} ({})", file.path),
        None => name.to_owned(),
    };
    match origin {
        Origin::Os => "operating system".to_owned(),
        Origin::UserFile => file(&env.user_file, "go env -w"),
        Origin::GorootFile => file(&env.goroot_file, "the Go tree"),
        Origin::Default => "default".to_owned(),
    }
}

fn sources(env: &EnvFacts) -> Vec<Check> {
    let mut found = Vec::new();
    for name in DOWNLOADS {
        let setting = env.setting(name);
        let hidden = setting
            .hidden
            .iter()
            .find(|(origin, value)| *origin == Origin::UserFile && *value != setting.value);
        if let Some((origin, value)) = hidden {
            let (winner, loser) = (place(setting.origin, env), place(*origin, env));
            let detail = format!(
                "{} from the {winner} hides {value} from {loser}",
                shown(&setting.value)
            );
            let evidence = [
                format!("{winner}: {name}={}", setting.value),
                format!("{loser}: {name}={value}"),
            ];
            found.push(Check::warn("D02", *name, detail).because(
                "go_env_precedence",
                0.9,
                evidence,
            ));
        } else if setting.origin != Origin::Default {
            let detail = format!(
                "{} from the {}",
                shown(&setting.value),
                place(setting.origin, env)
            );
            found.push(Check::ok("D02", *name, detail));
        }
    }
    if found.is_empty() {
        found.push(Check::ok("D02", "settings", "all are the defaults"));
    }
    found
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}

fn user_file(file: &EnvFile, env: &EnvFacts) -> Check {
    if let Some(error) = &file.error {
        let detail = format!("cannot be read, so the go command silently goes without it: {error}");
        return Check::warn("D02", &file.path, detail);
    }
    if let Some((number, line)) = file.odd_lines.first() {
        let detail = format!(
            "line {number} is no setting and is silently passed over: {line}\n\
             a line is NAME=value, without export, quotes or spaces around"
        );
        return Check::warn("D02", &file.path, detail);
    }
    let quoted = |value: &&String| value.starts_with(['"', '\'']);
    if let Some((name, value)) = file.values.iter().find(|(_, value)| quoted(value)) {
        let detail = format!("{name}={value}: quotes are part of the value here");
        return Check::warn("D02", &file.path, detail);
    }
    let foreign = |uid: &u32| *uid != 0 && env.uid.is_some_and(|own| own != *uid);
    match (file.exists, file.uid.filter(foreign)) {
        (Some(true), Some(uid)) => {
            let detail = format!("belongs to user {uid}: somebody else's settings are in force");
            Check::warn("D02", &file.path, detail)
        }
        (Some(true), None) => {
            Check::ok("D02", &file.path, format!("{} settings", file.values.len()))
        }
        (Some(false), _) => Check::ok(
            "D02",
            &file.path,
            "not there: nothing was set with go env -w",
        ),
        (None, _) => Check::unknown("D02", &file.path, "not looked at"),
    }
}

/// `sudo`: the settings, credentials and caches are another user's than in the user's shell.
fn other_user(env: &EnvFacts) -> Option<Check> {
    let sudo = env
        .os("SUDO_USER")
        .filter(|user| !user.is_empty() && *user != "root")?;
    let home = env.home.as_deref().unwrap_or("unknown");
    let detail = format!(
        "runs under sudo for {sudo} with HOME={home}: settings, netrc and caches are not those of {sudo}'s own shell"
    );
    (env.uid == Some(0)).then(|| Check::warn("D02", "sudo", detail))
}

fn unknown(env: &EnvFacts) -> Vec<Check> {
    let mut found = Vec::new();
    for name in env.os.iter().flatten().map(|(name, _)| name) {
        let foreign = !name.starts_with("GO") || is_known(name) || is_runtime(name);
        if let Some(meant) = (!foreign).then(|| meant(name)).flatten() {
            found.push(misspelt(name, Some(meant), "operating system"));
        }
    }
    let of_file = env.user_file.iter().flat_map(|file| file.values.keys());
    for name in of_file.filter(|name| !is_known(name) && !is_runtime(name)) {
        found.push(misspelt(name, meant(name), &place(Origin::UserFile, env)));
    }
    if found.is_empty() && env.os.is_some() {
        found.push(Check::ok(
            "D03",
            "variables",
            "no GO variable looks misspelt",
        ));
    }
    found
}

fn misspelt(name: &str, meant: Option<&str>, place: &str) -> Check {
    let meant = meant.map_or(String::new(), |meant| format!("; {meant} is meant"));
    let detail = format!(
        "set in the {place}, but the go command knows no such setting: it has no effect{meant}"
    );
    let evidence = [format!("{place}: {name} is set{meant}")];
    Check::warn("D03", name, detail).because("go_env_unknown_variable", 0.95, evidence)
}

/// The setting that a name was meant to be.
fn meant(name: &str) -> Option<&'static str> {
    if let Some((_, meant)) = FOLKLORE.iter().find(|(wrong, _)| *wrong == name) {
        return Some(meant);
    }
    let plain = |name: &str| name.replace('_', "").trim_end_matches('S').to_owned();
    let close = |candidate: &&&'static str| {
        let long = candidate.len() >= 6 && name.len() >= 6;
        candidate.starts_with("GO")
            && (plain(candidate) == plain(name) || long && distance(candidate, name) <= 1)
    };
    let candidates = || known().iter();
    let first = candidates().find(close);
    first
        .or_else(|| {
            candidates()
                .filter(|c| c.len() >= 7)
                .find(|c| distance(c, name) == 2)
        })
        .copied()
}

/// Edits (insert, delete, replace, swap) between two names; work is bounded by their lengths.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 2 || a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + change);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_led_back_and_others_left_alone() {
        for (wrong, right) in [
            ("GONOSUMCHECK", Some("GONOSUMDB")),
            ("GOPROXYS", Some("GOPROXY")),
            ("GOSUMDBS", Some("GOSUMDB")),
            ("GO_PROXY", Some("GOPROXY")),
            ("GOPROXXY", Some("GOPROXY")),
            ("GORPOXY", Some("GOPROXY")),
            ("GOPRIVAT", Some("GOPRIVATE")),
            ("GO111MODULES", Some("GO111MODULE")),
            ("GOPHER_HOME", None),
            ("GOLAND_VM_OPTIONS", None),
            ("GOVERSION_X", None),
        ] {
            assert_eq!(meant(wrong), right, "{wrong}");
        }
    }
}
