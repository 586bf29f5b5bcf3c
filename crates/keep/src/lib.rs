//! The use cases of modkeep, one file each.
//!
//! `serve` decides where a request is answered from; `small`, `zip` and `answers` are the three
//! kinds of miss; `flight` makes many askers one fetch; `ahead` fetches what a go command will ask
//! next; `purge` forgets; `witness` cosigns other logs; `cosign` asks others to cosign ours, and
//! `cosigning` decides when, and what is shown meanwhile. Nothing here knows HTTP serving, and nothing
//! here touches a disk or a socket but through `store` and `upstream`.
#![warn(clippy::disallowed_methods)]

mod ahead;
mod alarm;
mod answers;
pub mod cosign;
mod cosigning;
mod counters;
mod database;
mod fetch;
mod flight;
mod intake;
mod moved;
mod own_log;
mod proof;
mod purge;
mod refusal;
mod reply;
mod serve;
mod small;
mod state;
mod sumdb;
pub mod witness;
mod zip;

pub use alarm::{Alarm, AlarmKind};
pub use cosigning::{Policy, WitnessReport, WitnessState, Witnesses};
pub use counters::{Counter, Counters};
pub use database::{Database, Databases, Sums};
pub use fetch::{Fetched, Query, QueryError};
pub use own_log::OwnLog;
pub use refusal::{Blame, Refusal};
pub use reply::{Content, Lifetime, Media, Origin, Reply, Small};
pub use serve::{Keep, Settings};
pub use state::{LogReport, Report, VersionReport};
