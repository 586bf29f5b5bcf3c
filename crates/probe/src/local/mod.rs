//! What can be found out without the network.

mod go;
mod process;
mod settings;

use doctor::facts::Group;

pub use settings::Settings;

use crate::{Found, Request, wants};

/// A part of gathering: all parts run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The go commands on PATH.
    Go,
}

/// Every part and the group it serves.
const PARTS: &[(Part, Group)] = &[(Part::Go, Group::Env)];

/// The parts that a request needs.
pub(crate) fn parts(request: &Request) -> Vec<Part> {
    let needed = PARTS.iter().filter(|(_, group)| wants(request, *group));
    needed.map(|(part, _)| *part).collect()
}

impl Part {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
        }
    }

    pub(crate) async fn look(self, _request: &Request, settings: &Settings) -> Found {
        match self {
            Self::Go => {
                let found = go::look(settings).await;
                Box::new(move |facts| facts.go = Some(found))
            }
        }
    }
}
