//! `modkeep explain`: likely root causes of a failing go command, from its text alone.

use super::{colored, json_flag};
use crate::exit::{BAD, Failed};
use clap::{Arg, ArgAction, ArgMatches, Command};
use doctor::{Env, Lang, cause, render};
use std::io::{Read, Write};
use std::process::ExitCode;

/// More text than this is cut at its front: the failure is at the end.
const TEXT_MAX: u64 = 64 << 20;

pub fn command() -> Command {
    Command::new("explain")
        .about("Why does my go command fail? Likely root causes, from its text")
        .long_about(
            "Why does my go command fail? Likely root causes, from its text, with evidence, how to prove each,\n\
             the least dangerous fix, and the advice not to follow.\n\n\
               go build ./... 2>&1 | modkeep explain\n  modkeep explain build.log\n  modkeep explain checksum_mismatch\n\n\
             Nothing is sent anywhere and nothing is changed.",
        )
        .arg(
            Arg::new("what")
                .value_name("FILE|LABEL")
                .help("A file with the text, - or nothing for standard input, or a cause's label"),
        )
        .arg(Arg::new("command").long("command").value_name("go ...").help("The command that failed"))
        .arg(
            Arg::new("env")
                .long("env")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("A go setting that was in force, such as GOPROXY=off"),
        )
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("List every known cause"))
        .arg(json_flag())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    let color = colored(args, &std::io::stdout());
    if args.get_flag("list") {
        return print(&render::list(lang, color));
    }
    let what = args.get_one::<String>("what").map(String::as_str);
    if let Some(label) = what.filter(|w| *w != "-" && !std::path::Path::new(w).exists()) {
        return match cause::find(label) {
            Some(cause) => print(&render::page(cause, lang, color)),
            None => Err(Failed::usage(format!(
                "{label}: neither a file nor a known cause; modkeep explain --list names them all"
            ))),
        };
    }
    let text = read(what)?;
    let mut env = Env::default();
    for pair in args.get_many::<String>("env").into_iter().flatten() {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failed::usage(format!("--env {pair}: it looks like GOPROXY=off")))?;
        env = env.with(name, value);
    }
    if let Some(command) = args.get_one::<String>("command") {
        env = env.with_command(command);
    }
    let report = doctor::explain(&text, &env);
    let shown = match args.get_flag("json") {
        true => report.to_json(lang).map_err(Failed::unknown)? + "\n",
        false => render::report(&report, lang, color),
    };
    print(&shown)?;
    // A text that nothing is known of was not explained.
    Ok(if report.findings.is_empty() {
        ExitCode::from(BAD)
    } else {
        ExitCode::SUCCESS
    })
}

fn read(what: Option<&str>) -> Result<String, Failed> {
    let mut bytes = Vec::new();
    match what.filter(|w| *w != "-") {
        Some(file) => {
            let wrong = |e: std::io::Error| Failed::usage(format!("{file}: {e}"));
            let opened = std::fs::File::open(file).map_err(wrong)?;
            opened
                .take(TEXT_MAX)
                .read_to_end(&mut bytes)
                .map_err(wrong)?;
        }
        None => {
            std::io::stdin()
                .lock()
                .take(TEXT_MAX)
                .read_to_end(&mut bytes)
                .map_err(Failed::unknown)?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The language asked for, else the locale's.
pub(super) fn lang(asked: Option<&str>) -> Lang {
    let locale = || {
        ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
    };
    let chosen = asked.map(str::to_owned).or_else(locale).unwrap_or_default();
    if chosen.starts_with("zh") {
        Lang::Zh
    } else {
        Lang::En
    }
}

pub(super) fn print(text: &str) -> Result<ExitCode, Failed> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // `modkeep explain | head` is no failure.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failed::unknown(e)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_cause_that_the_server_names_has_a_page() {
        let missing: Vec<_> = keep::Refusal::labels()
            .filter(|label| doctor::cause::find(label).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
