//! The network: what probes saw, and the rules that name a cause from it.

use serde::{Deserialize, Serialize};

use crate::check::Check;
use crate::facts::Facts;

/// What the probes saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetFacts {}

/// The checks D20 to D35, as far as the facts tell.
pub fn checks(facts: &Facts) -> Vec<Check> {
    match &facts.net {
        Some(NetFacts {}) | None => Vec::new(),
    }
}
