//! tlog
#![warn(clippy::disallowed_methods)]
