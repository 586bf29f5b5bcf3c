//! D56: do paths and versions fit the rules, and each other?

use std::collections::BTreeMap;

use gomod::path::{ModulePath, check_path_major, split_path_version};
use gomod::pseudo;
use gomod::unicode::to_fold;

use super::project::Project;
use crate::check::Check;
use crate::explain::Subject;

/// A clock may be a day off before a version "of the future" is doubted, in seconds.
const FUTURE_S: i64 = 86_400;

pub fn checks(project: &Project<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for require in &project.file.require {
        let (path, version) = (&require.path, &require.version);
        let found = malformed(path)
            .or_else(|| suffix(path, version))
            .or_else(|| incompatible(project, path, version))
            .or_else(|| date(project, path, version));
        if let Some((label, sure, detail)) = found {
            let subject = Subject {
                module: Some(path.clone()),
                version: Some(version.clone()),
                ..Subject::default()
            };
            checks.push(
                Check::fail("D56", format!("{path}@{version}"), detail)
                    .because(label, sure, [])
                    .about(subject),
            );
        }
    }
    checks.extend(case(project));
    if checks.is_empty() {
        checks.push(Check::ok("D56", "paths and versions", "fit the rules"));
    }
    checks
}

type Wrong = (&'static str, f64, String);

fn malformed(path: &str) -> Option<Wrong> {
    let error = ModulePath::parse(path).err()?;
    Some(("go_mod_parse_error", 0.8, error.to_string()))
}

fn suffix(path: &str, version: &str) -> Option<Wrong> {
    let (_, major) = split_path_version(path)?;
    let error = check_path_major(version, major).err()?;
    Some(("major_version_suffix", 0.93, error.to_string()))
}

fn incompatible(project: &Project<'_>, path: &str, version: &str) -> Option<Wrong> {
    if !version.ends_with("+incompatible") {
        return None;
    }
    let required = project.seen.required.iter().flatten();
    let known = required
        .filter(|m| m.module == path && m.version == version)
        .find_map(|m| m.declares.clone())?;
    // A module without go.mod gets one that is made up: it has no go line either.
    let has_file = project
        .seen
        .required
        .iter()
        .flatten()
        .any(|m| m.module == path && m.version == version && m.go.is_some());
    has_file.then(|| {
        (
            "incompatible_version",
            0.85,
            format!(
                "its go.mod says module {known}: a version with a go.mod cannot be +incompatible"
            ),
        )
    })
}

fn date(project: &Project<'_>, path: &str, version: &str) -> Option<Wrong> {
    if !pseudo::is_pseudo(version) {
        return None;
    }
    if let Err(error) = pseudo::base(version) {
        return Some(("invalid_pseudo_version", 0.9, error.to_string()));
    }
    let time = match pseudo::time(version) {
        Ok(time) => time,
        Err(error) => return Some(("invalid_pseudo_version", 0.9, error.to_string())),
    };
    let mut required = project.seen.required.iter().flatten();
    let commit = required
        .find(|m| m.module == path && m.version == version)
        .and_then(|m| m.time);
    if let Some(commit) = commit.filter(|commit| *commit != time) {
        let off = (commit - time).abs();
        return Some((
            "invalid_pseudo_version",
            0.9,
            format!("its date is {off} s off the commit's (UTC counts)"),
        ));
    }
    let now = i64::try_from(project.facts.taken_at?).ok()?;
    (time > now.saturating_add(FUTURE_S)).then(|| {
        (
            "invalid_pseudo_version",
            0.8,
            "its date lies in the future".to_owned(),
        )
    })
}

/// Two paths that differ by upper and lower case only.
fn case(project: &Project<'_>) -> Option<Check> {
    let mut seen: BTreeMap<String, (&str, String)> = BTreeMap::new();
    for require in &project.file.require {
        let folded = to_fold(&require.path).into_owned();
        if let Some((other, _)) = seen
            .get(&folded)
            .filter(|(other, _)| *other != require.path)
        {
            return Some(collision(other, &require.path, "both are required"));
        }
        seen.insert(folded, (&require.path, String::new()));
    }
    for import in project.seen.imports.iter().flatten() {
        let folded = to_fold(&import.path).into_owned();
        let hit = seen.iter().find(|(known, (written, _))| {
            let below = folded == **known
                || folded
                    .strip_prefix(&***known)
                    .is_some_and(|rest| rest.starts_with('/'));
            below && !import.path.starts_with(written)
        });
        if let Some((_, (written, _))) = hit {
            let own = project
                .file
                .require
                .iter()
                .any(|r| import.path.starts_with(&r.path));
            if !own {
                let place = format!("{}:{} imports the second", import.file, import.line);
                return Some(collision(written, &import.path, &place));
            }
        }
    }
    None
}

fn collision(one: &str, other: &str, why: &str) -> Check {
    let detail = format!("{one} and {other} differ by upper and lower case only; {why}");
    let subject = Subject {
        module: Some(one.to_owned()),
        declared: Some(one.to_owned()),
        ..Subject::default()
    };
    Check::fail("D56", one, detail)
        .because("case_collision", 0.93, [])
        .about(subject)
}
