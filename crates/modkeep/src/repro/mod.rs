//! A reproducible pull environment: a fingerprint, its check elsewhere, and a bundle that holds
//! everything the go command would ask for.
//!
//! Nothing of the project is changed: the go command works on a copy of the files that say what is
//! pulled, because some of its commands write to them.

mod archive;
mod bundle;
mod lock;
mod proofs;
mod pull;
mod replay;
mod skeleton;

pub use archive::pack;
pub use bundle::bundle;
pub use lock::{take, unpulled};
pub use replay::{read_lock, replay};

/// The lock file inside a bundle, and its default name in a project.
pub const LOCK: &str = "modkeep.repro.json";
