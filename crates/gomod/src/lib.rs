//! The law of Go modules, as pure functions over checked types.
//!
//! Text from outside becomes a checked type once, at the door: [`path::ModulePath`],
//! [`version::Version`], [`version::ModuleVersion`], [`version::Revision`],
//! [`request::Request`]. Holding one is the proof that the rule was applied, so nothing behind
//! the door takes a bare string for a module or a version.
//!
//! The crate has no clock, file system or network: bytes and times are arguments.
#![warn(clippy::disallowed_methods)]

pub mod escape;
pub mod gosum;
pub mod govcs;
pub mod h1;
pub mod info;
pub mod list;
pub mod modfile;
pub mod path;
pub mod pattern;
pub mod pseudo;
pub mod quote;
pub mod request;
pub mod semver;
pub mod time;
pub mod unicode;
pub mod version;
pub mod zip;
