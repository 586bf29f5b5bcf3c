//! The project's own chores, in Rust so that a machine with nothing but a toolchain can do them:
//! `cargo xtask ci` is the whole test command, the rest are its parts and the benchmarks.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool speaks through its streams"
)]

mod bench;
mod ci;
mod conformance;
mod server;
mod sh;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores. The usual call: cargo xtask ci
#[derive(Parser)]
#[command(name = "cargo xtask", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Everything that must hold before a change goes in; .ci/run calls nothing else
    Ci(ci::Options),
    /// Installs what the tests need into target/tools (a Go toolchain, cargo-deny)
    Tools(tools::Options),
    /// Compares modkeep with nginx and with its upstream; a whole run writes docs/BENCHMARKS.md
    Bench(bench::Options),
    /// Runs the go command's own scripts with modkeep as their proxy
    Conformance(conformance::Options),
    /// The house style that no other tool checks: file length, open ends, links, first lines
    Tidy,
}

fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Ci(options) => ci::run(&options),
        Chore::Tools(options) => tools::run(&options),
        Chore::Bench(options) => bench::run(&options),
        Chore::Conformance(options) => conformance::run(&options),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
