//! What was found on a machine, apart from what it means.
//!
//! Gathering does I/O and may be wrong or late; judging is pure. Everything between the two is in
//! this tree, so that a machine's facts can be saved, sent to somebody else and judged again, and
//! so that tests replay them. Every fact is an option: `None` means *not found out*, which is
//! never bad. Values are masked when they are gathered: no password is ever in here.

mod disk;
mod env;
mod known;
mod project;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use disk::{
    CacheFacts, Damage, DamageKind, DirFacts, Leftover, LocalFacts, LockFacts, SumdbFacts,
    SumdbFile, VcsClone,
};
pub use env::{
    AuthCommand, ContainerFacts, EnvFacts, EnvFile, GitFacts, GoBinary, GoFacts, InsteadOf, Netrc,
    NetrcMachine, Origin, Setting, SshFacts, Tool,
};
pub use known::{is_known, is_runtime, known};
pub use project::{
    FileText, Import, LocalModule, ProjectFacts, Provider, RequiredModule, Seen, Vendor, WorkFacts,
};

use crate::net::NetFacts;

/// The first key of a facts file.
pub const SCHEMA: &str = "modkeep.facts/1";

/// A larger facts file is not one: all lists in it are bounded when they are gathered.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// A part of the diagnosis that can be asked for on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// The go command, its settings, credentials and helpers.
    Env,
    /// Name resolution, connections, proxies, checksum database.
    Net,
    /// Caches, locks, space.
    Local,
    /// go.mod, go.sum, vendor, go.work.
    Project,
}

impl Group {
    /// All, in the order of screens.
    pub const ALL: [Self; 4] = [Self::Env, Self::Net, Self::Local, Self::Project];

    /// The word of `--only`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Net => "net",
            Self::Local => "local",
            Self::Project => "project",
        }
    }

    /// The group a word of `--only` means.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.word() == word)
    }
}

/// The module that the user asks about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its path.
    pub module: String,
    /// Its version or query.
    pub version: Option<String>,
}

/// Everything that was found out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// [`SCHEMA`].
    pub schema: String,
    /// When gathering began, in seconds since 1970 by this machine's clock.
    pub taken_at: Option<u64>,
    /// What it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// The groups that were asked for; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Milliseconds that each part of gathering took.
    pub took_ms: BTreeMap<String, u64>,
    /// The go command itself.
    pub go: Option<GoFacts>,
    /// Settings, credentials, helpers.
    pub env: Option<EnvFacts>,
    /// Caches and disks.
    pub local: Option<LocalFacts>,
    /// The project's files.
    pub project: Option<ProjectFacts>,
    /// The network.
    pub net: Option<NetFacts>,
}

/// Why a facts file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// Not JSON, or not of this shape.
    #[error("not a facts file: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another schema.
    #[error("its schema is {found:?}; this modkeep reads {SCHEMA:?}")]
    Schema {
        /// What stands there.
        found: String,
    },
}

impl Facts {
    /// Reads a saved file.
    ///
    /// # Errors
    /// Says what is wrong with its shape, or that it is of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, FactsError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            schema: String,
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.schema != SCHEMA {
            return Err(FactsError::Schema { found: head.schema });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The file that [`Self::parse`] reads.
    ///
    /// # Errors
    /// None in practice: all keys are strings.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// Whether a group was asked for.
    pub fn wants(&self, group: Group) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }

    /// Milliseconds of a part of gathering; 0 if unknown.
    pub fn took(&self, part: &str) -> u64 {
        self.took_ms.get(part).copied().unwrap_or(0)
    }

    /// The value in force of a setting of the go command.
    pub fn setting(&self, name: &str) -> Option<Setting> {
        Some(self.env.as_ref()?.setting(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_saved_file_reads_back_and_another_schema_is_refused() {
        let facts = Facts {
            schema: SCHEMA.into(),
            taken_at: Some(7),
            groups: vec![Group::Env],
            ..Facts::default()
        };
        let again = Facts::parse(facts.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(again.taken_at, Some(7));
        assert!(again.wants(Group::Env) && !again.wants(Group::Net));
        assert!(Facts::parse(br#"{"schema":"modkeep.facts/9"}"#).is_err());
        assert!(Facts::parse(b"{}").is_err());
        assert!(Facts::parse(b"[").is_err());
    }
}
