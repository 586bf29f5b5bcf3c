//! `modkeep log`: our own checksum database, and those of others.

mod carry;
mod check;
mod monitor;
mod own;
mod place;
mod proof;
mod replay;

use crate::exit::Failed;
use clap::{ArgMatches, Command};
use std::process::ExitCode;

pub fn command() -> Command {
    Command::new("log")
        .about("Our own checksum database: make it, look at it, check it")
        .long_about(
            "Our own checksum database: one transparency log for private modules, public ones and toolchains.\n\n\
               modkeep log init sum.example.com        makes the key and the log, prints the GOSUMDB value\n  \
               modkeep serve --log-name sum.example.com\n  \
               modkeep log status",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(own::commands())
        .subcommand(check::command())
        .subcommand(monitor::command())
        .subcommands(carry::commands())
        .subcommands(proof::commands())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    match args.subcommand() {
        Some(("init", args)) => own::init(args),
        Some(("status", args)) => own::status(args),
        Some(("key", args)) => own::key(args),
        Some(("recover", args)) => own::recover(args),
        Some(("adopt", args)) => own::adopt(args),
        Some(("check", args)) => check::run(args),
        Some(("monitor", args)) => monitor::run(args),
        Some(("export", args)) => carry::export_run(args),
        Some(("import", args)) => carry::import_run(args),
        Some(("prove", args)) => proof::prove_run(args),
        Some(("verify-proof", args)) => proof::verify_run(args),
        _ => Ok(ExitCode::from(2)),
    }
}
