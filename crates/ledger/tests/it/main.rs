//! The ledger from outside: what it promises, and that it keeps it when the disk lies, the power
//! goes, backups are restored and processes are killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod appending;
mod auditor;
mod common;
mod damage;
mod faults;
mod lying;
mod model;
mod witness;
