//! The network: what probes saw, and the rules that name a cause from it.
//!
//! The law: the first question that nobody answered is the failure, as for the go command; one
//! cause is named for it, from measured figures. What merely costs time while downloads work is a
//! warning. What was not found out is unknown.

mod blame;
mod connection;
mod facts;
mod lines;
mod mismatch;
mod network;
mod status;
mod sumdb;
mod tls;
mod warnings;

pub use blame::{Blame, failed_try};
pub use connection::*;
pub use facts::*;

use crate::check::{Check, State};
use crate::explain::Subject;
use crate::facts::Facts;

/// The checks D20 to D35, as far as the facts tell.
pub fn checks(facts: &Facts) -> Vec<Check> {
    let Some(net) = &facts.net else {
        return vec![Check::unknown(
            "D25",
            "network",
            "not found out within the time budget",
        )];
    };
    if let Some(text) = &net.nothing {
        return vec![Check::skipped("D25", "GOPROXY", text.clone())];
    }
    let mut checks = lines::checks(net);
    let blamed = match &facts.asked {
        Some(_) => blame::of_download(facts, net).map(|blame| vec![(State::Fail, blame)]),
        None => Some(blame::of_endpoints(facts, net)),
    };
    for (state, blame) in blamed.into_iter().flatten() {
        checks.push(blame.check(state, subject(facts, net)));
    }
    checks.extend(warnings::checks(net, &subject(facts, net)));
    if facts.asked.is_some() && !checks.iter().any(|check| check.state == State::Fail) {
        checks.extend(lines::unfinished(net));
    }
    checks
}

/// What commands are filled with.
fn subject(facts: &Facts, net: &NetFacts) -> Subject {
    let asked = facts.asked.as_ref();
    let version = net.version.clone();
    Subject {
        module: asked.map(|asked| asked.module.clone()),
        version: version.or_else(|| asked.and_then(|asked| asked.version.clone())),
        proxy: net.goproxy.as_deref().and_then(first_proxy),
        ..Subject::default()
    }
}

fn first_proxy(list: &str) -> Option<String> {
    let mut entries = list.split([',', '|']).map(str::trim);
    let found = entries.find(|e| e.starts_with("https://") || e.starts_with("http://"));
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests;
