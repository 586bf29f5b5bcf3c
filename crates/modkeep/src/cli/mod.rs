//! The command line, one file for each verb.

pub mod compare;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod fetch;
pub mod log;
mod matrix;
pub mod meta;
pub mod mirrors;
pub mod purge;
pub mod repro;
pub mod run;
pub mod serve;
pub mod trace;
pub mod verify;
pub mod witness;

use crate::config::{ConfigFile, Typed, Values, add_flags, collect, find};
use crate::exit::Failed;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::io::IsTerminal;

/// The whole command line.
pub fn command() -> Command {
    Command::new("modkeep")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Stands between Go developers and everything they depend on")
        .after_help("The usual call:\n  modkeep serve\n  go env -w GOPROXY=http://127.0.0.1:8080")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(everywhere())
        .subcommand(serve::command())
        .subcommand(fetch::command())
        .subcommand(purge::command())
        .subcommand(verify::command())
        .subcommand(log::command())
        .subcommand(explain::command())
        .subcommand(run::command())
        .subcommand(compare::command())
        .subcommand(mirrors::command())
        .subcommand(repro::command())
        .subcommand(doctor::command())
        .subcommand(trace::command())
        .subcommand(witness::command())
        .subcommand(config::command())
        .subcommands(meta::commands())
}

/// Flags that every command has.
fn everywhere() -> [Arg; 4] {
    [
        Arg::new("quiet")
            .short('q')
            .long("quiet")
            .global(true)
            .action(ArgAction::SetTrue)
            .conflicts_with("verbose")
            .help("Only results and errors: no progress, no events"),
        Arg::new("verbose")
            .short('v')
            .long("verbose")
            .global(true)
            .action(ArgAction::SetTrue)
            .help("More events (as --log-level debug)"),
        Arg::new("color")
            .long("color")
            .global(true)
            .value_name("WHEN")
            .value_parser(["auto", "always", "never"])
            .default_value("auto")
            .help("Colours; NO_COLOR turns them off too"),
        Arg::new("lang")
            .long("lang")
            .global(true)
            .value_name("en|zh")
            .value_parser(["en", "zh"])
            .help("Language of explanations [default: from the locale]"),
    ]
}

/// Whether a stream gets colours.
fn colored(args: &ArgMatches, stream: &impl IsTerminal) -> bool {
    match args.get_one::<String>("color").map(String::as_str) {
        Some("always") => true,
        Some("never") => false,
        _ => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// The `--json` flag.
fn json_flag() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print one JSON document on standard output")
}

/// The `--server` flag.
fn server_flag() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .help("Do it through a running modkeep at this address")
}

/// Settings flags for a command that opens the store itself.
fn with_settings(command: Command, server: bool) -> Command {
    add_flags(command, server)
}

/// All values from all sources.
fn values(args: &ArgMatches) -> Result<Values, Failed> {
    let named = args.get_one::<String>("config").map(String::as_str);
    let file = find(named).map(|path| ConfigFile::read(&path)).transpose();
    let file = file.map_err(Failed::usage)?;
    collect(args, file.as_ref()).map_err(|problems| Failed::usage(lines(&problems)))
}

/// All settings, typed.
fn settings(args: &ArgMatches) -> Result<Typed, Failed> {
    let mut settings = Typed::from_values(&values(args)?).map_err(|p| Failed::usage(lines(&p)))?;
    settings.log_color = colored(args, &std::io::stderr());
    if args.get_flag("quiet") {
        settings.log_level = "error".into();
    } else if args.get_flag("verbose") {
        settings.log_level = "debug".into();
    }
    Ok(settings)
}

fn lines(problems: &[crate::config::Problem]) -> String {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\nmodkeep: ")
}
