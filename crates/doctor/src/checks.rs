//! The checks that need no network, by group. Each file states what it looks at and the source of
//! its rule.

mod access;
mod disk;
mod flags;
mod go;
mod helpers;
mod imports;
mod modes;
mod patterns;
mod project;
mod proxy_list;
mod settings;
mod sumdb_setting;
mod sums;
mod toolchain;
mod versions;

use crate::check::Check;
use crate::facts::Facts;

pub use disk::{LEFTOVER_OLD_S, LOCK_HANGS_S};
pub use patterns::meant_patterns;

/// D01 to D17: the go command, its settings, credentials and helpers.
pub fn env(facts: &Facts) -> Vec<Check> {
    let mut checks = go::checks(facts);
    let Some(env) = &facts.env else {
        checks.push(late("D02", "settings"));
        return checks;
    };
    checks.extend(settings::checks(facts, env));
    checks.extend(proxy_list::checks(env));
    checks.push(sumdb_setting::check(env));
    checks.extend(patterns::checks(facts, env));
    checks.push(flags::check(facts, env));
    checks.extend(modes::checks(facts, env));
    checks.push(toolchain::check(facts, env));
    checks.extend(access::checks(facts, env));
    checks.extend(helpers::checks(facts, env));
    checks
}

/// D40 to D44: caches, locks, space.
pub fn local(facts: &Facts) -> Vec<Check> {
    match &facts.local {
        Some(local) => disk::checks(facts, local),
        None => vec![late("D40", "cache directories")],
    }
}

/// D50 to D60: the project's files.
pub fn project(facts: &Facts) -> Vec<Check> {
    match &facts.project {
        Some(project) => project::checks(facts, project),
        None => vec![late("D50", "project")],
    }
}

/// What was asked for and was not gathered.
fn late(id: &'static str, subject: &str) -> Check {
    Check::unknown(id, subject, "not found out within the time budget")
}
