//! Stand-ins for the world around modkeep, for tests and benchmarks: module trees made from
//! nothing ([`tree`]) and an upstream that is as slow, broken or dishonest as told ([`upstream`]).
//!
//! Nothing here knows how modkeep works inside. What a test proves with these parts it proves
//! against the protocol, so the parts stay useful when the inside is rebuilt.

pub mod tree;
pub mod upstream;

pub use tree::{Module, Tree};
pub use upstream::{Behaviour, Fault, Source, Upstream};
