//! `modkeep run -- go ...`: one go command with a modkeep in front, and the cause when it fails.

use super::{colored, explain::lang};
use crate::boot;
use crate::config::default_data;
use crate::exit::{BAD, Failed};
use crate::goenv::{GoEnv, go_of};
use crate::run::{
    Checked, Ended, Front, Recorded, Seen, Snapshot, check, run as run_child, settings, told,
};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use doctor::render;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The file of versions that are still to be checked, in the user's data directory.
const PENDING: &str = "unverified.json";

/// A pending file larger than this is not one.
const PENDING_BYTES_MAX: u64 = 16 << 20;

pub fn command() -> Command {
    Command::new("run")
        .about("Run a go command; when it fails, say why")
        .long_about(
            "Run a go command with a modkeep of its own in front; when it fails, say why.\n\n  \
               modkeep run -- go mod download\n  modkeep run -- go build ./...\n\n\
             Its output and exit status pass unchanged. The modkeep in front asks the proxies of GOPROXY, in\n\
             their order; private modules and `direct` stay with the go command. Nothing is kept afterwards,\n\
             unless --data says where. When the command fails, the likely causes follow on standard error.",
        )
        .arg(
            Arg::new("unverified-once")
                .long("unverified-once")
                .action(ArgAction::SetTrue)
                .help("Without the checksum database this once; what came is checked right afterwards.\nAlone, without a command: check again what could not be checked then"),
        )
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Keep what is fetched here [default: a directory that is gone afterwards]"),
        )
        .arg(
            Arg::new("command")
                .value_name("go ...")
                .value_parser(value_parser!(OsString))
                .last(true)
                .num_args(0..)
                .help("The command and its arguments, after --"),
        )
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let command: Vec<OsString> = args
        .get_many("command")
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let unverified = args.get_flag("unverified-once");
    if command.is_empty() && !unverified {
        return Err(Failed::usage(
            "nothing to run; it looks like modkeep run -- go build ./...",
        ));
    }
    let env = GoEnv::read(&go_of(&command));
    let runtime = boot::runtime()?;
    let done = runtime.block_on(async {
        if command.is_empty() {
            return afterwards(&env, pending()?, 0).await;
        }
        let snapshot = unverified.then(|| Snapshot::take(&env));
        let (ended, seen) = in_front(args, &env, &command, unverified).await?;
        if ended.code != 0 {
            explain(args, &env, &command, &ended, &seen);
        }
        match snapshot {
            None => Ok(ExitCode::from(ended.code)),
            Some(snapshot) => {
                let mut came = snapshot.came();
                came.extend(
                    pending()?
                        .into_iter()
                        .filter(|old| !came.contains(old))
                        .collect::<Vec<_>>(),
                );
                afterwards(&env, came, ended.code).await
            }
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done
}

/// Runs the command with a front, or as it is where there is nothing to stand in front of.
async fn in_front(
    args: &ArgMatches,
    env: &GoEnv,
    command: &[OsString],
    unverified: bool,
) -> Result<(Ended, Seen), Failed> {
    let mut child_env = Vec::new();
    if unverified {
        // Narrower than GOSUMDB=off: go.sum still holds, and toolchains stay verified.
        child_env.push(("GONOSUMDB", "*".to_owned()));
    }
    let temporary = tempfile::tempdir().map_err(Failed::unknown)?;
    let data = args.get_one::<PathBuf>("data").cloned();
    let front = match env.guessed {
        // Without a go command there is nothing to be in front of: it says so itself.
        Some(_) => Ok(None),
        None => Front::start(env, &data.unwrap_or_else(|| temporary.path().join("data"))).await,
    };
    let front = front.unwrap_or_else(|why| {
        // A GOPROXY that cannot be read is what the go command will fail on, in its own words.
        tracing::debug!(%why, "no front");
        None
    });
    if let Some(front) = &front {
        child_env.push(("GOPROXY", front.goproxy()));
    }
    let ended = run_child(command, &child_env).await?;
    let seen = match front {
        Some(front) => front.stop().await,
        None => Seen::default(),
    };
    Ok((ended, seen))
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn explain(args: &ArgMatches, env: &GoEnv, command: &[OsString], ended: &Ended, seen: &Seen) {
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    let color = colored(args, &std::io::stderr());
    let words: Vec<_> = command.iter().map(|w| w.to_string_lossy()).collect();
    let report = doctor::explain(&told(&ended.said, seen), &settings(env, &words.join(" ")));
    let lines = seen.lines();
    if report.findings.is_empty() && lines.is_empty() {
        return;
    }
    eprintln!("\n--- modkeep: why this failed ---");
    if !report.findings.is_empty() {
        eprint!("{}", render::report(&report, lang, color));
    }
    if !lines.is_empty() {
        eprintln!("\nThe proxies, as seen from the front:");
        for line in lines {
            eprintln!("  {line}");
        }
    }
}

/// Checks what came without proof, says so, and remembers what could not be checked.
async fn afterwards(env: &GoEnv, came: Vec<Recorded>, code: u8) -> Result<ExitCode, Failed> {
    let total = came.len();
    let checked = check(env, came).await?;
    remember(&checked)?;
    report(&checked, total);
    Ok(
        match (code, checked.bad.is_empty(), checked.open.is_empty()) {
            (0, false, _) => ExitCode::from(BAD),
            (code, _, _) => ExitCode::from(code),
        },
    )
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn report(checked: &Checked, total: usize) {
    eprintln!(
        "\nmodkeep: {total} versions came without proof; {} are proved now, {} bad, {} without a record, {} open",
        checked.proved,
        checked.bad.len(),
        checked.unknown.len(),
        checked.open.len()
    );
    for (version, found, want) in &checked.bad {
        eprintln!(
            "  BAD {}@{}: came {found}, recorded {want}\n      do not use it: go clean -modcache, take its lines out of go.sum, then modkeep compare {0}@{1}",
            version.module, version.version
        );
    }
    for version in &checked.unknown {
        eprintln!(
            "  no record: {}@{} (private? then it belongs into GOPRIVATE)",
            version.module, version.version
        );
    }
    if let Some((version, why)) = checked.open.first() {
        eprintln!(
            "  open: {}@{} and {} more: {}\n  check again later: modkeep run --unverified-once",
            version.module,
            version.version,
            checked.open.len() - 1,
            why.lines().next().unwrap_or_default()
        );
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    schema: String,
    versions: Vec<Recorded>,
}

fn pending_file() -> Option<PathBuf> {
    default_data().map(|dir| dir.join(PENDING))
}

/// What an earlier run could not check.
fn pending() -> Result<Vec<Recorded>, Failed> {
    let Some(file) = pending_file() else {
        return Ok(Vec::new());
    };
    let shown = |e: &dyn std::fmt::Display| {
        Failed::unknown(format!("{}: {e}; move it away", file.display()))
    };
    match std::fs::metadata(&file) {
        Err(_) => return Ok(Vec::new()),
        Ok(meta) if meta.len() > PENDING_BYTES_MAX => return Err(shown(&"too large")),
        Ok(_) => {}
    }
    let bytes = std::fs::read(&file).map_err(|e| shown(&e))?;
    let pending: Pending = serde_json::from_slice(&bytes).map_err(|e| shown(&e))?;
    Ok(pending.versions)
}

fn remember(checked: &Checked) -> Result<(), Failed> {
    let Some(file) = pending_file() else {
        return Ok(());
    };
    let versions: Vec<Recorded> = checked.open.iter().map(|(r, _)| r.clone()).collect();
    if versions.is_empty() {
        // It may never have been there.
        let _ = std::fs::remove_file(&file);
        return Ok(());
    }
    let shown = |e: std::io::Error| Failed::unknown(format!("{}: {e}", file.display()));
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(shown)?;
    }
    let pending = Pending {
        schema: "modkeep.unverified/1".into(),
        versions,
    };
    let text = serde_json::to_vec_pretty(&pending).map_err(Failed::unknown)?;
    // Renamed into place: a run that is cut leaves the old record whole.
    let half = file.with_extension("half");
    std::fs::write(&half, text)
        .and_then(|()| std::fs::rename(&half, &file))
        .map_err(shown)
}
