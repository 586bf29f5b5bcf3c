//! `modkeep log monitor`: following a log for ever.

use super::place;
use crate::boot;
use crate::cli::{json_flag, settings, with_settings};
use crate::config::{Typed, duration, patterns};
use crate::exit::{BAD, Failed, UNKNOWN};
use audit::monitor::{Options, Round, State, round};
use audit::{Finding, Source};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};

/// Tiles at once: what is new since the last round is mostly one.
const JOBS: usize = 8;

pub fn command() -> Command {
    let command = Command::new("monitor")
        .about("Follow a log: every new head must continue the last one; report new versions")
        .long_about(
            "Follow a log: every new head must continue the last one, every new record is read, and new versions of \
             watched modules are reported.\n\n\
               modkeep log monitor https://keep.example/sumdb/sum.example.com --key sum.example.com+... --watch 'git.example.com/*'\n  \
               modkeep log monitor https://sum.golang.org --once --watch github.com/you\n\n\
             What was seen last is in the --state file. A fork (two signed heads that contradict each other) ends it \
             with exit status 1, and the evidence goes to a file beside the state; anything else that is wrong is \
             reported and the next round looks again. With --once: one round; exit status 1 if something is wrong, 3 \
             if the log could not be read.",
        )
        .args(place::args(""))
        .arg(
            Arg::new("watch")
                .long("watch")
                .value_name("PATTERNS")
                .action(ArgAction::Append)
                .help("Report new versions of these modules (GOPRIVATE grammar; '*' alone: of all)"),
        )
        .arg(Arg::new("state").long("state").value_name("FILE").help("What was seen last [default: in the data directory]"))
        .arg(Arg::new("once").long("once").action(ArgAction::SetTrue).help("One round, then end"))
        .arg(Arg::new("from-start").long("from-start").action(ArgAction::SetTrue).help("Without a state: begin with the first record"))
        .arg(time("interval", "1m", "Time between two rounds"))
        .arg(time("stale", "24h", "Warn when the log has not grown for this time; 0s: never"))
        .arg(json_flag());
    with_settings(command, false)
}

fn time(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("TIME")
        .default_value(default)
        .help(help)
}

/// What a run needs to know.
struct Watch {
    source: Source,
    options: Options,
    state: PathBuf,
    interval: Duration,
    stale: Duration,
    webhook: Option<String>,
    json: bool,
    quiet: bool,
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    let place = place::find(args, &settings)?;
    let watch = watch(args, &settings, &place)?;
    let once = args.get_flag("once");
    boot::runtime()?.block_on(async {
        let mut term = signal(SignalKind::terminate()).map_err(Failed::unknown)?;
        let mut int = signal(SignalKind::interrupt()).map_err(Failed::unknown)?;
        let stopped = async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        };
        tokio::select! {
            ended = follow(&watch, once) => ended,
            () = stopped => Ok(ExitCode::SUCCESS),
        }
    })
}

fn watch(args: &ArgMatches, settings: &Typed, place: &place::Place) -> Result<Watch, Failed> {
    let given: Vec<&str> = args
        .get_many::<String>("watch")
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let given = given.join(",");
    let watch_all = given.trim() == "*";
    let read = match watch_all {
        true => patterns(""),
        false => patterns(&given),
    };
    let time = |name: &str| {
        let text = args.get_one::<String>(name).map_or("", String::as_str);
        duration(text).map_err(|e| Failed::usage(format!("--{name}: {e}")))
    };
    let key = place
        .keys
        .log
        .first()
        .map(|key| format!("{}-{:08x}", key.name(), key.key_hash()));
    let state = match args.get_one::<String>("state") {
        Some(file) => PathBuf::from(file),
        None => default_state(settings, &key.unwrap_or_default())?,
    };
    Ok(Watch {
        source: place.source.clone(),
        options: Options {
            keys: place.keys.clone(),
            watch: read.map_err(|e| Failed::usage(format!("--watch: {e}")))?,
            watch_all,
            jobs: JOBS,
            from_start: args.get_flag("from-start"),
        },
        state,
        interval: time("interval")?.max(Duration::from_secs(1)),
        stale: time("stale")?,
        webhook: settings.keep.webhook.clone(),
        json: args.get_flag("json"),
        quiet: args.get_flag("quiet"),
    })
}

fn default_state(settings: &Typed, log: &str) -> Result<PathBuf, Failed> {
    let dir = settings.data.join("monitor");
    std::fs::create_dir_all(&dir)
        .map_err(|e| Failed::unknown(format!("{}: {e}", dir.display())))?;
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ".-".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = log.chars().map(plain).collect();
    Ok(dir.join(format!("{name}.json")))
}

async fn follow(watch: &Watch, once: bool) -> Result<ExitCode, Failed> {
    let mut raised: Vec<Finding> = Vec::new();
    loop {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        let state = State::read(&watch.state).map_err(Failed::usage)?;
        let round = round(&watch.source, &watch.options, state.as_ref(), now)
            .await
            .map_err(Failed::usage)?;
        let stale = staleness(watch, &round, state.as_ref(), now);
        let evidence = keep_evidence(watch, &round, now);
        tell(watch, &round, stale, evidence.as_deref(), once);
        // Told before it is remembered: a version may be told twice, but never not at all.
        if let Some(state) = &round.state {
            let wrong =
                |e: std::io::Error| Failed::unknown(format!("{}: {e}", watch.state.display()));
            state.write(&watch.state).map_err(wrong)?;
        }
        for finding in round.findings.all().iter().filter(|f| !raised.contains(f)) {
            raise(watch, finding, evidence.as_deref(), now).await;
        }
        raised = round.findings.all().to_vec();
        let forked = raised.iter().any(|finding| finding.kind == "fork");
        if once || forked {
            return Ok(match (raised.is_empty(), round.unknown.is_empty()) {
                (false, _) => ExitCode::from(BAD),
                (true, false) => ExitCode::from(UNKNOWN),
                (true, true) => ExitCode::SUCCESS,
            });
        }
        tokio::time::sleep(watch.interval).await;
    }
}

/// For how long the log has not grown, if that is too long.
fn staleness(watch: &Watch, round: &Round, before: Option<&State>, now: u64) -> Option<u64> {
    let state = round.state.as_ref().or(before)?;
    let age = now.saturating_sub(state.grown());
    (!watch.stale.is_zero() && age > watch.stale.as_secs()).then_some(age)
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn keep_evidence(watch: &Watch, round: &Round, now: u64) -> Option<PathBuf> {
    let text = round.evidence.as_ref()?;
    let kind = round
        .findings
        .all()
        .first()
        .map_or("evidence", |f| f.kind.as_str());
    let path = watch.state.with_extension(format!("{kind}-{now}.txt"));
    match std::fs::write(&path, text) {
        Ok(()) => Some(path),
        Err(e) => {
            eprintln!("modkeep: {}: {e}\n{text}", path.display());
            None
        }
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
fn tell(watch: &Watch, round: &Round, stale: Option<u64>, evidence: Option<&Path>, once: bool) {
    let grew = round.before != round.now.as_ref().map(|head| head.tree);
    let news = grew || !round.findings.is_empty() || !round.unknown.is_empty();
    if watch.json {
        if once || news {
            println!("{}", document(watch, round, stale, evidence));
        }
        return;
    }
    for new in &round.new {
        println!("{}@{} {}", new.module, new.version, new.h1);
    }
    if round.left_out > 0 {
        println!("... and {} more", round.left_out);
    }
    if let (Some(head), true) = (&round.now, round.state.is_some() && grew && !watch.quiet) {
        let before = round
            .before
            .map_or_else(|| "nothing".to_owned(), |tree| tree.size.to_string());
        eprintln!(
            "{}: {before} -> {} records, {}",
            watch.source, head.tree.size, head.tree.hash
        );
    }
    for what in &round.unknown {
        eprintln!("modkeep: {}: {what}", watch.source);
    }
    if let Some(age) = stale {
        eprintln!(
            "modkeep: {}: STALE: the log has not grown for {} hours",
            watch.source,
            age / 3600
        );
    }
    for finding in round.findings.all() {
        eprintln!("modkeep: {}: {finding}", watch.source);
    }
    if let Some(path) = evidence {
        eprintln!("modkeep: evidence: {}", path.display());
    }
}

fn document(watch: &Watch, round: &Round, stale: Option<u64>, evidence: Option<&Path>) -> Value {
    json!({
        "schema": "modkeep.log.monitor/1",
        "log": watch.source.to_string(),
        "ok": round.findings.is_empty() && round.unknown.is_empty(),
        "before": round.before.map(|tree| tree.size),
        "records": round.now.as_ref().map(|head| head.tree.size),
        "root": round.now.as_ref().map(|head| head.tree.hash.to_string()),
        "witnesses": round.now.as_ref().map(|head| head.witnesses.clone()),
        "new": round.new,
        "left_out": round.left_out,
        "findings": round.findings.all(),
        "unknown": round.unknown,
        "stale_seconds": stale,
        "evidence": evidence,
    })
}

/// Posts an alarm, in the form that the server's alarms have.
#[expect(clippy::print_stderr, reason = "the command line's own voice")]
async fn raise(watch: &Watch, finding: &Finding, evidence: Option<&Path>, time: u64) {
    let Some(url) = &watch.webhook else {
        return;
    };
    let body = json!({
        "kind": finding.kind, "subject": watch.source.to_string(), "text": finding.to_string(),
        "evidence": evidence, "time": time,
    });
    let posted = match upstream::api_client() {
        Ok(client) => client
            .post_json(url, body.to_string(), None)
            .await
            .map(drop),
        Err(e) => Err(e.to_string()),
    };
    if let Err(e) = posted {
        eprintln!("modkeep: the alarm could not be posted: {e}");
    }
}
