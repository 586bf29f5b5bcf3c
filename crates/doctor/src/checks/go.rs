//! D01: is there a go command, does it run, and does it belong to the tree it thinks it does?
//!
//! A go command whose GOROOT is another release's tree fails in ways that look like broken
//! modules. Two go commands on PATH are a trap only if their releases differ.

use super::late;
use crate::check::Check;
use crate::facts::{Facts, GoBinary};

pub fn checks(facts: &Facts) -> Vec<Check> {
    let took = facts.took("go");
    let Some(found) = facts.go.as_ref().and_then(|go| go.on_path.as_ref()) else {
        return vec![late("D01", "go")];
    };
    let Some(first) = found.first() else {
        let text = "no go command on PATH";
        return vec![Check::fail("D01", "go", text).because("go_missing", 1.0, [])];
    };
    let mut checks = vec![runs(first).took(took)];
    checks.extend(others(first, &found[1..]));
    checks
}

fn runs(go: &GoBinary) -> Check {
    if let Some(error) = &go.error {
        return Check::fail("D01", &go.path, format!("does not run: {error}"));
    }
    let Some(version) = &go.version else {
        return Check::unknown("D01", &go.path, "its version is not known");
    };
    match (&go.goroot, &go.goroot_version) {
        (Some(root), Some(tree)) if tree != version => {
            let detail = format!("is {version}, but GOROOT={root} holds {tree}");
            let other_go = format!("{} version: {version}", go.path);
            let other_tree = format!("{root}/VERSION: {tree}");
            Check::fail("D01", &go.path, detail).because(
                "goroot_wrong",
                0.98,
                [other_go, other_tree],
            )
        }
        (Some(root), None) => {
            let detail =
                format!("is {version}, but GOROOT={root} has no VERSION: it is no Go tree");
            Check::fail("D01", &go.path, detail).because("goroot_wrong", 0.9, [])
        }
        (Some(root), _) => Check::ok("D01", &go.path, format!("{version}, GOROOT={root}")),
        (None, _) => Check::ok("D01", &go.path, version),
    }
}

/// Further go commands, later on PATH: worth a word only if they are of another release.
fn others(first: &GoBinary, rest: &[GoBinary]) -> Option<Check> {
    let differs = |go: &&GoBinary| {
        go.real != first.real && go.version.is_some() && go.version != first.version
    };
    let other = rest.iter().find(differs)?;
    let version = other.version.as_deref().unwrap_or("unknown");
    let own = first.version.as_deref().unwrap_or("unknown");
    let detail = format!(
        "{} ({own}) is used; {} ({version}) comes later on PATH: a tool that looks there first uses another Go",
        first.path, other.path
    );
    Some(Check::warn("D01", "PATH", detail))
}
