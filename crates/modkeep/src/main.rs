//! The modkeep command: argv, settings, wiring.

mod boot;
mod cli;
mod compare;
mod config;
mod exit;
mod goenv;
mod log_key;
mod matrix;
mod mirrors;
mod repro;
mod run;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = cli::command().get_matches();
    let done = match matches.subcommand() {
        Some(("serve", args)) => cli::serve::run(args),
        Some(("fetch", args)) => cli::fetch::run(args),
        Some(("purge", args)) => cli::purge::run(args),
        Some(("explain", args)) => cli::explain::run(args),
        Some(("run", args)) => cli::run::run(args),
        Some(("doctor", args)) => cli::doctor::run(args),
        Some(("trace", args)) => cli::trace::run(args),
        Some(("log", args)) => cli::log::run(args),
        Some(("compare", args)) => cli::compare::run(args),
        Some(("mirrors", args)) => cli::mirrors::run(args),
        Some(("repro", args)) => cli::repro::run(args),
        Some(("verify", args)) => cli::verify::run(args),
        Some(("witness", args)) => cli::witness::run(args),
        Some(("config", args)) => cli::config::run(args),
        Some(("completions", args)) => cli::meta::completions(args),
        Some(("man", _)) => cli::meta::man(),
        _ => Ok(ExitCode::from(2)),
    };
    done.unwrap_or_else(exit::Failed::report)
}
