//! Why does my go command fail? Diagnosis without a server.
//!
//! The law of this crate: knowledge is data, judgement is pure. What is known about each root
//! cause (its signs in a text, its page in two languages, its remedies) lives in files under
//! `data/causes`, which a contributor extends without touching code. The engine takes text and
//! settings as arguments and returns findings; it reads no file, clock or network.
//!
//! The road not taken: one hand-written matcher per message. Go's wording changes with every
//! release, and the same words have several causes, so rules carry weights and all causes that
//! fit are ranked, with the evidence that each rests on.

pub mod cause;
pub mod explain;
pub mod render;

pub use cause::{Cause, Lang};
pub use explain::{Env, Finding, Report, explain, explain_with};
