//! The checks that need no network, by group. Each file states what it looks at and the source of
//! its rule.

mod go;

use crate::check::Check;
use crate::facts::Facts;

/// D01 to D17: the go command, its settings, credentials and helpers.
pub fn env(facts: &Facts) -> Vec<Check> {
    go::checks(facts)
}

/// D40 to D44: caches, locks, space.
pub fn local(facts: &Facts) -> Vec<Check> {
    match &facts.local {
        Some(_) => Vec::new(),
        None => vec![late("D40", "caches")],
    }
}

/// D50 to D60: the project's files.
pub fn project(facts: &Facts) -> Vec<Check> {
    match &facts.project {
        Some(_) => Vec::new(),
        None => vec![late("D50", "project")],
    }
}

/// What was asked for and was not gathered.
fn late(id: &'static str, subject: &str) -> Check {
    Check::unknown(id, subject, "not found out within the time budget")
}
