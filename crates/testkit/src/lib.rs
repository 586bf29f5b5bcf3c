//! Stand-ins for the world around modkeep, for tests and benchmarks: module trees made from
//! nothing ([`tree`]), an upstream that is as slow, broken or dishonest as told ([`upstream`]), a
//! disk that lies ([`disk`]) and a checksum database that can be forked, rewound and made to lie
//! ([`sumdb`]).
//!
//! Nothing here knows how modkeep works inside. What a test proves with these parts it proves
//! against the protocol, so the parts stay useful when the inside is rebuilt.

pub mod disk;
pub mod sumdb;
pub mod tree;
pub mod upstream;

pub use disk::{Lie, LyingDisk, Step};
pub use sumdb::MemLog;
pub use tree::{Module, Tree};
pub use upstream::{Behaviour, Fault, Source, Upstream};
