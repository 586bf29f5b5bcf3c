//! Why does my go command fail? Diagnosis without a server.
//!
//! The law of this crate: knowledge is data, judgement is pure. What is known about each root
//! cause (its signs in a text, its page in two languages, its remedies) lives in files under
//! `data/causes`, which a contributor extends without touching code. The engine takes text and
//! settings as arguments and returns findings; it reads no file, clock or network. What `doctor` knows
//! of a machine was gathered elsewhere and comes in as [`Facts`].
//!
//! The road not taken: one hand-written matcher per message. Go's wording changes with every
//! release, and the same words have several causes, so rules carry weights and all causes that
//! fit are ranked, with the evidence that each rests on.

pub mod cause;
pub mod check;
mod checks;
pub mod compare;
pub mod explain;
pub mod facts;
pub mod fix;
mod goversion;
pub mod gowork;
pub mod mask;
pub mod matrix;
pub mod mirrors;
pub mod net;
pub mod render;
pub mod repro;
pub mod screen;
pub mod trace;

pub use cause::{Cause, Lang};
pub use check::{Check, State, diagnose};
pub use explain::{Env, Finding, Report, explain, explain_with};
pub use facts::{Facts, Group};
