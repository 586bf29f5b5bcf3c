//! One go command with a modkeep of its own in front.
//!
//! The front asks the proxies that the go command would ask, in the same order, keeps what comes
//! in a directory that is gone afterwards, and remembers what failed: the go command's words name
//! a symptom, the front has seen the answers. It judges no sums itself and fetches nothing ahead,
//! so that nobody learns a name that the go command alone would not have told.
//!
//! The road not taken: giving the front `direct` and private modules too. The go command reaches
//! those with the user's own keys and agents, which a server has not.

mod child;
mod front;
mod unproved;
mod words;

pub use child::{Ended, run};
pub use front::Front;
pub use unproved::{Checked, Recorded, Snapshot, check};
pub use words::{Seen, settings, told};
