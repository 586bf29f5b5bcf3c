//! modkeep driven from outside, as its users drive it: the real binary, real sockets, real signals,
//! and an upstream that is as slow, broken or dishonest as a test needs.
//!
//! One binary with a module for each subject, so that it links once. Nothing here looks inside
//! modkeep: what is shown is shown by answers, logs, metrics, exit statuses, and by what the
//! upstream was asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod cli;
mod common;
mod compare;
mod cosigned;
mod databases;
mod docs;
mod doctor;
mod durability;
mod e2e;
mod freshness;
mod golang;
mod hostile;
mod logtools;
mod lookahead;
mod matrix;
mod mirrors;
mod misses;
mod operating;
mod own_log;
mod protocol;
mod repro;
mod run;
mod scenarios;
mod trace;
mod upstreams;
mod vcs;
mod verify;
mod witness;
