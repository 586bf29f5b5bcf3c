//! Reads a transparency log as an auditor does: from outside, believing nothing but a key.
//!
//! - [`source`]: where a log is, a URL or a directory of its static files, in either spelling;
//! - [`heads`]: its signed heads;
//! - [`check`]: everything replayed, in parallel, with the tile named that holds a wrong byte;
//! - [`monitor`]: following it for ever, every new head proved to continue the last one;
//! - [`prove`]: a proof of one record, to be carried away.
//!
//! The three answers a check can have are kept apart everywhere: good, bad (a [`Finding`]: somebody
//! signed or serves what cannot be), and not found out ([`Lack::Failed`]).

pub mod check;
mod finding;
mod grammar;
pub mod heads;
pub mod monitor;
mod names;
mod nodes;
pub mod prove;
mod replay;
pub mod source;
mod work;

pub use finding::{Finding, Findings};
pub use grammar::{GoRecord, oddity};
pub use source::{Form, Lack, Source};
