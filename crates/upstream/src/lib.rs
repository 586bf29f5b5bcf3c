//! The only crate that dials or spawns.
//!
//! Everything that comes back from here is somebody else's word: bounded in size and time, and
//! checked by the caller before it is believed.

mod api;
mod body;
mod chain;
mod exchange;
mod failure;
pub mod goimport;
mod guard;
mod health;
mod net;
mod netrc;
mod origin;
mod pages;
mod proxies;
mod sums;
pub mod vcs;

pub use api::{ApiClient, api_client};
pub use body::Body;
pub use chain::{Asking, Calls, Chain, Found, Patience};
pub use exchange::Exchanged;
pub use failure::Failure;
pub use guard::is_public;
pub use health::Status;
pub use net::{Encoding, Net, NetError, NetSettings, Reach};
pub use netrc::Netrc;
pub use origin::{DIRECT, Origin};
pub use proxies::{Entry, Place, ProxyList, ProxyListError, show};
pub use sums::SumSource;
