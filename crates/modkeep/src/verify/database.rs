//! The proved records of many versions.

use super::Name;
use futures_util::{StreamExt as _, stream};
use gomod::version::ModuleVersion;
use keep::{Keep, Sums};
use std::collections::BTreeMap;
use tlog::record::SumOf;

/// Questions at once: the answers come from far away, and cost the asker little.
const AT_ONCE: usize = 64;

/// What a database says of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Its hashes, with a proof that held.
    Known {
        zip: Option<String>,
        go_mod: Option<String>,
    },
    /// It has none.
    Absent,
    /// It is not asked.
    Private,
    /// It could not be asked.
    Unreachable(String),
}

impl Record {
    /// The recorded hash of one file.
    pub fn hash(&self, of_go_mod: bool) -> Option<&str> {
        match self {
            Record::Known { go_mod, .. } if of_go_mod => go_mod.as_deref(),
            Record::Known { zip, .. } => zip.as_deref(),
            _ => None,
        }
    }
}

/// Asks about all of them; `done` is called after each.
pub async fn records(
    keep: &Keep,
    names: impl IntoIterator<Item = Name>,
    done: impl Fn(),
) -> BTreeMap<Name, Record> {
    let questions = names.into_iter().map(|name| async {
        let record = record(keep, &name).await;
        done();
        (name, record)
    });
    stream::iter(questions)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn record(keep: &Keep, (module, version): &Name) -> Record {
    let Ok(version) = ModuleVersion::parse(&format!("{module}@{version}")) else {
        // Told where it was read; no database can have it.
        return Record::Absent;
    };
    let sums = keep.sums(version.path(), version.version().as_str()).await;
    match sums {
        Sums::Known(sums) => Record::Known {
            zip: sums.h1(SumOf::Zip).map(str::to_owned),
            go_mod: sums.h1(SumOf::GoMod).map(str::to_owned),
        },
        Sums::Unknown => Record::Absent,
        Sums::NotAsked => Record::Private,
        Sums::Unavailable(why) => Record::Unreachable(why),
    }
}
