//! `modkeep log`: our own checksum database, and those of others.

mod own;

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
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    match args.subcommand() {
        Some(("init", args)) => own::init(args),
        Some(("status", args)) => own::status(args),
        Some(("key", args)) => own::key(args),
        Some(("recover", args)) => own::recover(args),
        Some(("adopt", args)) => own::adopt(args),
        _ => Ok(ExitCode::from(2)),
    }
}
