//! `modkeep config`: every setting, its value, and where it came from.

use super::{json_flag, values, with_settings};
use crate::config::{SETTINGS, Typed};
use crate::exit::Failed;
use clap::{ArgMatches, Command};
use serde_json::json;
use std::process::ExitCode;

pub fn command() -> Command {
    let show = Command::new("show")
        .about("Print every setting, its value and where it came from")
        .arg(json_flag());
    let check = Command::new("check")
        .about("Say what is wrong in the settings, with line and column")
        .arg(json_flag());
    Command::new("config")
        .about("Show or check the settings")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(show, true))
        .subcommand(with_settings(check, true))
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    match args.subcommand() {
        Some(("show", args)) => show(args),
        Some(("check", args)) => check(args),
        _ => Ok(ExitCode::from(2)),
    }
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn show(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let values = values(args)?;
    let rows = SETTINGS.iter().filter_map(|setting| {
        let value = values.0.get(setting.name)?;
        let text = value
            .texts
            .iter()
            .map(|t| masked(setting.secret, t))
            .collect::<Vec<_>>()
            .join("; ");
        Some((setting.name, text, value.origin.to_string()))
    });
    if args.get_flag("json") {
        let settings: Vec<_> = rows
            .map(|(name, value, from)| json!({ "name": name, "value": value, "from": from }))
            .collect();
        println!(
            "{}",
            json!({ "schema": "modkeep.config/1", "settings": settings })
        );
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value, from) in rows {
        println!("{name:18} {value:40} {from}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Passwords in URLs are secrets wherever they stand.
fn masked(secret: bool, text: &str) -> String {
    if secret {
        return "***".into();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(scheme) = rest.find("://") {
        let (before, after) = rest.split_at(scheme + 3);
        out.push_str(before);
        let end = after.find(['/', ',', '|']).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                out.push_str("***");
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    out + rest
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn check(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let checked = values(args)
        .and_then(|v| Typed::from_values(&v).map_err(|p| Failed::usage(super::lines(&p))));
    let failed = checked.err();
    if args.get_flag("json") {
        let problem = failed.as_ref().map(ToString::to_string);
        println!(
            "{}",
            json!({ "schema": "modkeep.config-check/1", "good": failed.is_none(), "problem": problem })
        );
    } else if failed.is_none() {
        println!("the settings are good");
    }
    failed.map_or(Ok(ExitCode::SUCCESS), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        let shown = masked(
            false,
            "https://u:secret@a.example/x,https://b.example|http://v:secret@127.0.0.1:1",
        );
        assert_eq!(
            shown,
            "https://***@a.example/x,https://b.example|http://***@127.0.0.1:1"
        );
    }
}
