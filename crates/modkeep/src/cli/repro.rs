//! `modkeep repro lock|check|bundle|replay`: a reproducible pull environment.

use super::explain::print;
use super::json_flag;
use crate::boot;
use crate::exit::{BAD, Failed};
use crate::goenv::GoEnv;
use crate::repro::{LOCK, bundle, read_lock, replay, take, unpulled};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use doctor::repro::{Difference, Lock};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Differences that are printed; all are in the JSON document.
const SHOWN: usize = 20;

pub fn command() -> Command {
    Command::new("repro")
        .about("A reproducible pull environment: lock, check, bundle, replay")
        .long_about(
            "A reproducible pull environment.\n\n  \
               modkeep repro lock                   fingerprint how this project's modules are pulled\n  \
               modkeep repro check                  compare this machine with the fingerprint; name the first difference\n  \
               modkeep repro bundle pull.tar.gz     everything the go command asks for, proofs included, in one file\n  \
               modkeep repro replay pull.tar.gz     build the module graph from it with the network cut off\n\n\
             Nothing of the project is changed: the go command works on a copy.",
        )
        .subcommand_required(true)
        .subcommand(
            Command::new("lock")
                .about("Write the fingerprint")
                .arg(cold())
                .arg(Arg::new("out").long("out").value_name("FILE").default_value(LOCK).help("Where to; - is standard output")),
        )
        .subcommand(
            Command::new("check")
                .about("Compare this machine with a fingerprint")
                .arg(Arg::new("lock").value_name("LOCK").default_value(LOCK).help("The fingerprint"))
                .arg(cold())
                .arg(json_flag()),
        )
        .subcommand(
            Command::new("bundle")
                .about("Write a self-contained GOPROXY tree with a container file")
                .arg(Arg::new("to").value_name("DIR|FILE").required(true).value_parser(value_parser!(PathBuf)).help("A new directory, or a new file that ends in .tar.gz"))
                .arg(json_flag()),
        )
        .subcommand(
            Command::new("replay")
                .about("Build the module graph from a bundle alone")
                .arg(Arg::new("bundle").value_name("BUNDLE").required(true).value_parser(value_parser!(PathBuf)).help("The directory or file"))
                .arg(json_flag()),
        )
}

fn cold() -> Arg {
    Arg::new("cold")
        .long("cold")
        .action(ArgAction::SetTrue)
        .help("Fetch everything anew, into an empty module cache: every route is known then")
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let env = GoEnv::read("go".as_ref());
    let runtime = boot::runtime()?;
    let done = runtime.block_on(async {
        match args.subcommand() {
            Some(("lock", args)) => run_lock(args, &env).await,
            Some(("check", args)) => run_check(args, &env).await,
            Some(("bundle", args)) => run_bundle(args, &env).await,
            Some(("replay", args)) => run_replay(args, &env).await,
            _ => Ok(ExitCode::from(2)),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn run_lock(args: &ArgMatches, env: &GoEnv) -> Result<ExitCode, Failed> {
    let lock = take(env, args.get_flag("cold")).await?.lock;
    let text = serde_json::to_string_pretty(&lock).map_err(Failed::unknown)? + "\n";
    let out = args.get_one::<String>("out").map_or(LOCK, String::as_str);
    if out == "-" {
        return print(&text);
    }
    std::fs::write(out, text).map_err(|e| Failed::unknown(format!("{out}: {e}")))?;
    let mut said = format!(
        "{out}: {} modules, {}\n",
        lock.modules.len(),
        lock.go.version
    );
    warn(&mut said, &lock);
    print(&said)
}

fn warn(out: &mut String, lock: &Lock) {
    for warning in &lock.warnings {
        let _ = writeln!(out, "  warning: {warning}");
    }
}

async fn run_check(args: &ArgMatches, env: &GoEnv) -> Result<ExitCode, Failed> {
    let file = args.get_one::<String>("lock").map_or(LOCK, String::as_str);
    let locked = read_lock(Path::new(file))?;
    let (here, pull_error) = match take(env, args.get_flag("cold")).await {
        Ok(taken) => (taken.lock, None),
        Err(why) => (unpulled(env)?, Some(why.to_string())),
    };
    let mut found = locked.differences(&here);
    if pull_error.is_some() {
        // What was not pulled is unknown, not different.
        found.retain(|d| !matches!(d.kind, "module" | "route"));
    }
    let bad = found.iter().any(|d| d.decides);
    if args.get_flag("json") {
        let document = json!({ "schema": "modkeep.repro/1", "same": !bad && pull_error.is_none(), "differences": found, "error": pull_error });
        json_out(&document)?;
    } else {
        print(&check_screen(&locked, &found, pull_error.as_deref()))?;
    }
    Ok(match (bad, pull_error) {
        (true, _) => ExitCode::from(BAD),
        (false, Some(_)) => ExitCode::from(3),
        (false, None) => ExitCode::SUCCESS,
    })
}

fn check_screen(locked: &Lock, found: &[Difference], pull_error: Option<&str>) -> String {
    let mut out = String::new();
    let deciding = found.iter().filter(|d| d.decides).count();
    match found.first().filter(|d| d.decides) {
        Some(first) => {
            let _ = writeln!(out, "First difference: {}", sentence(first));
        }
        None if pull_error.is_none() => {
            let _ = writeln!(
                out,
                "The same pull: {} modules, {}",
                locked.modules.len(),
                locked.go.version
            );
        }
        None => {}
    }
    if let Some(why) = pull_error {
        let _ = writeln!(
            out,
            "The modules cannot be pulled here: {}",
            why.replace('\n', "\n  ")
        );
    }
    let rest = found.iter().skip(usize::from(deciding > 0));
    for difference in rest.take(SHOWN) {
        let mark = if difference.decides { "also" } else { "note" };
        let _ = writeln!(out, "  {mark}: {}", sentence(difference));
    }
    let more = found.len().saturating_sub(SHOWN + 1);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more (--json has all)");
    }
    out
}

fn sentence(d: &Difference) -> String {
    let side = |side: &Option<String>| {
        side.clone()
            .filter(|s| !s.is_empty())
            .unwrap_or_else(|| "(none)".into())
    };
    format!(
        "{} {}: locked {}, here {}",
        d.kind,
        d.name,
        side(&d.locked),
        side(&d.here)
    )
    .replace(char::is_control, " ")
}

async fn run_bundle(args: &ArgMatches, env: &GoEnv) -> Result<ExitCode, Failed> {
    let to = args.get_one::<PathBuf>("to").cloned().unwrap_or_default();
    let made = bundle(env, &to).await?;
    let modules = made.lock.modules.len();
    if args.get_flag("json") {
        return json_out(&json!({
            "schema": "modkeep.repro/1",
            "bundle": to.display().to_string(),
            "modules": modules,
            "records": made.records,
            "files": made.files.0,
            "bytes": made.files.1,
            "warnings": made.lock.warnings,
        }));
    }
    let mut said = format!(
        "{}: {modules} modules, {} files, {} bytes, {} proved records of the checksum database\n  modkeep repro replay {0}\n",
        to.display(),
        made.files.0,
        made.files.1,
        made.records
    );
    if made.records == 0 && modules > 0 {
        said.push_str("  warning: no record of a checksum database is in it: go.sum alone vouches for the bytes\n");
    }
    warn(&mut said, &made.lock);
    print(&said)
}

async fn run_replay(args: &ArgMatches, env: &GoEnv) -> Result<ExitCode, Failed> {
    let bundle = args
        .get_one::<PathBuf>("bundle")
        .cloned()
        .unwrap_or_default();
    let done = replay(env, &bundle).await?;
    let modules = done.lock.modules.len();
    if args.get_flag("json") {
        let document = json!({
            "schema": "modkeep.repro/1",
            "hermetic": done.bad.is_empty() && done.cut,
            "network": if done.cut { "cut off" } else { "not cut off" },
            "modules": modules,
            "graph": done.graph,
            "bad": done.bad,
        });
        json_out(&document)?;
    } else {
        let network = match done.cut {
            true => "with the network cut off",
            false => {
                "WITHOUT cutting the network off (this system does not allow it): GOPROXY was the bundle alone"
            }
        };
        let mut said = match done.bad.is_empty() {
            true => format!(
                "Replayed {network}: {modules} modules with their locked hashes, a graph of {}\n",
                done.graph
            ),
            false => format!("The replay failed, {network}:\n"),
        };
        for bad in &done.bad {
            let _ = writeln!(said, "  {}", bad.replace('\n', "\n    "));
        }
        print(&said)?;
    }
    Ok(if done.bad.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD)
    })
}

fn json_out(document: &Value) -> Result<ExitCode, Failed> {
    print(&(serde_json::to_string_pretty(document).map_err(Failed::unknown)? + "\n"))
}
