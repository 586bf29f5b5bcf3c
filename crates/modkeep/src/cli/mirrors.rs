//! `modkeep mirrors`: mirrors side by side, and which GOPROXY to set.

use super::explain::{lang, print};
use super::json_flag;
use crate::boot::{self, Links};
use crate::compare::{Asked, record};
use crate::exit::{BAD, Failed};
use crate::goenv::GoEnv;
use crate::mirrors::{Task, measure, reaches};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use doctor::mirrors::{Bytes, Known, Measured, Recommendation, Relay, known, rate_text, recommend};
use gomod::pattern::Patterns;
use gomod::version::ModuleVersion;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use upstream::{Place, ProxyList};
use url::Url;

pub fn command() -> Command {
    Command::new("mirrors")
        .about("Mirrors side by side: speed, freshness, correctness; which GOPROXY to set")
        .long_about(
            "Mirrors side by side: reachability, latency, throughput, freshness of lists, correctness of bytes\n\
             against the proved record, and whether they relay the checksum database; which GOPROXY to set, and why.\n\n\
               modkeep mirrors\n  modkeep mirrors https://goproxy.cn https://proxy.golang.org\n  modkeep mirrors --apply\n\n\
             Without addresses the well-known public mirrors are measured. Nothing is set without --apply.\n\
             Exit status: 0 good, 1 a mirror delivers wrong bytes, 3 none could be reached.",
        )
        .arg(Arg::new("url").value_name("URL").num_args(0..).help("Mirrors to measure [default: the well-known ones]"))
        .arg(
            Arg::new("module")
                .long("module")
                .value_name("M@V")
                .help("The version to measure with; its record comes from the checksum database [default: a known one]"),
        )
        .arg(Arg::new("apply").long("apply").action(ArgAction::SetTrue).help("Set the recommended GOPROXY by go env -w, after asking"))
        .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue).requires("apply").help("Set it without asking"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .default_value("20")
                .value_parser(value_parser!(u64).range(1..=600))
                .help("Time for each mirror's small requests, and for its zip"),
        )
        .arg(json_flag())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let known = known().ok_or_else(|| Failed::unknown("the list of mirrors cannot be read"))?;
    let env = GoEnv::read("go".as_ref());
    let patience = Duration::from_secs(args.get_one::<u64>("timeout").copied().unwrap_or(20));
    let urls = urls(args, known)?;
    let sample = sample(args, known, &env)?;
    let runtime = boot::runtime()?;
    let (measured, database) = runtime.block_on(async {
        let scratch = tempfile::tempdir().map_err(Failed::unknown)?;
        let links = Links::new(&env.settings(scratch.path(), "direct")?)?;
        let task = Task {
            recorded: recorded(args, known, &env, &sample, patience, scratch.path()).await,
            sample: sample.clone(),
            sumdb: env
                .sumdb()
                .map_or("sum.golang.org".into(), |d| d.verifier.name().to_owned()),
            patience,
        };
        let measured = measure(&links, &urls, &task);
        Ok::<_, Failed>(tokio::join!(measured, database(&links, &env, patience)))
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    let chosen = recommend(&measured, database);
    if args.get_flag("json") {
        let document = json!({
            "schema": "modkeep.mirrors/1",
            "module": sample.to_string(),
            "mirrors": measured,
            "database_reachable": database,
            "recommendation": chosen,
            "present": env.get("GOPROXY"),
        });
        print(&(serde_json::to_string_pretty(&document).map_err(Failed::unknown)? + "\n"))?;
    } else {
        print(&screen(args, known, &sample, &measured, &chosen))?;
    }
    if args.get_flag("apply") {
        apply(args, &env, &chosen)?;
    }
    Ok(match () {
        () if measured.iter().any(|m| matches!(m.bytes, Bytes::Wrong(_))) => ExitCode::from(BAD),
        () if measured.iter().all(|m| m.error.is_some()) => ExitCode::from(3),
        () => ExitCode::SUCCESS,
    })
}

fn urls(args: &ArgMatches, known: &Known) -> Result<Vec<Url>, Failed> {
    let given: Vec<&String> = args.get_many("url").into_iter().flatten().collect();
    let texts: Vec<&str> = match given.is_empty() {
        true => known.mirror.iter().map(|m| m.url.as_str()).collect(),
        false => given.iter().map(|t| t.as_str()).collect(),
    };
    let mut urls = Vec::new();
    for text in texts {
        let list = ProxyList::parse(text).map_err(Failed::usage)?;
        for entry in list.entries {
            match entry.place {
                Place::Http(url) if !urls.contains(&url) => urls.push(url),
                Place::Http(_) => {}
                other => {
                    return Err(Failed::usage(format!(
                        "{other}: a mirror is an http or https address"
                    )));
                }
            }
        }
    }
    Ok(urls)
}

fn sample(args: &ArgMatches, known: &Known, env: &GoEnv) -> Result<ModuleVersion, Failed> {
    let default = format!("{}@{}", known.sample.module, known.sample.version);
    let text = args.get_one::<String>("module").unwrap_or(&default);
    let version = ModuleVersion::parse(text).map_err(Failed::usage)?;
    let private = Patterns::parse(&env.private()).unwrap_or_default();
    match private.matches(version.path().as_str()) {
        true => Err(Failed::usage(format!(
            "{version} is private (GOPRIVATE, GONOPROXY): its name is sent to no mirror; choose a public --module"
        ))),
        false => Ok(version),
    }
}

/// The record to hold the sample's bytes against: the one that is known, or a proved one.
async fn recorded(
    args: &ArgMatches,
    known: &Known,
    env: &GoEnv,
    sample: &ModuleVersion,
    patience: Duration,
    scratch: &std::path::Path,
) -> Option<String> {
    if args.get_one::<String>("module").is_none() {
        return Some(known.sample.h1.clone());
    }
    let no_sumdb = Patterns::parse(&env.no_sumdb())
        .unwrap_or_default()
        .matches(sample.path().as_str());
    let asked = Asked {
        version: sample.clone(),
        env: env.clone(),
        more: Vec::new(),
        private: Patterns::default(),
        origin: false,
        store: None,
        server: None,
        patience,
    };
    record(&asked, no_sumdb, scratch, None).await.h1
}

/// Whether the database can be reached without a mirror; unknown when it is switched off.
async fn database(links: &Links, env: &GoEnv, patience: Duration) -> Option<bool> {
    let setting = env.sumdb()?;
    let address = format!("https://{}", setting.verifier.name());
    let url = setting.url.clone().or_else(|| Url::parse(&address).ok())?;
    Some(reaches(links, &url, patience).await)
}

fn screen(
    args: &ArgMatches,
    known: &Known,
    sample: &ModuleVersion,
    measured: &[Measured],
    chosen: &Recommendation,
) -> String {
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    let width = measured
        .iter()
        .map(|m| m.url.chars().count())
        .max()
        .unwrap_or(0)
        .max(6);
    let mut out = format!(
        "Measured with {sample}\n\n  {:<width$}  {:>8}  {:>11}  {:<9}  {:<16}  sumdb\n",
        "mirror", "latency", "zips", "bytes", "newest"
    );
    for m in measured {
        let latency = m.latency_ms.map_or("-".into(), |ms| format!("{ms} ms"));
        let rate = m.bytes_per_s.map_or("-".into(), rate_text);
        let bytes = match &m.bytes {
            Bytes::Correct => "correct",
            Bytes::Wrong(_) => "WRONG",
            Bytes::Unproved => "unproved",
            Bytes::Absent => "absent",
            Bytes::Failed(_) => "failed",
            Bytes::Unknown => "-",
        };
        let sumdb = match &m.sumdb {
            Relay::Yes => "relayed".into(),
            Relay::No => "direct".into(),
            Relay::Broken(status) => format!("BROKEN {status}"),
            Relay::Unknown => "-".into(),
        };
        let newest = m.newest.as_deref().unwrap_or("-");
        let _ = writeln!(
            out,
            "  {:<width$}  {latency:>8}  {rate:>11}  {bytes:<9}  {newest:<16}  {sumdb}",
            m.url
        );
        if let Some(note) = known.mirror.iter().find(|k| k.url == m.url) {
            let _ = writeln!(
                out,
                "  {:<width$}  {} ({})",
                "",
                note.operator,
                note.note(lang)
            );
        }
    }
    for (url, why) in &chosen.unfit {
        let _ = writeln!(out, "\nnot {url}: {}", why.replace(char::is_control, " "));
    }
    match &chosen.goproxy {
        Some(value) => {
            let _ = writeln!(out, "\nSet it:\n  go env -w 'GOPROXY={value}'\nWhy:");
        }
        None => out.push('\n'),
    }
    for reason in &chosen.reasons {
        let _ = writeln!(out, "  {reason}");
    }
    out
}

/// Sets the recommended value after asking, and says the way back.
#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn apply(args: &ArgMatches, env: &GoEnv, chosen: &Recommendation) -> Result<(), Failed> {
    let Some(value) = &chosen.goproxy else {
        return Err(Failed::unknown("nothing to set: no mirror is fit"));
    };
    if let Some(why) = &env.guessed {
        return Err(Failed::unknown(format!(
            "no go command to set it with: {why}"
        )));
    }
    let present = env.get("GOPROXY");
    if present == value {
        eprintln!("GOPROXY has this value already.");
        return Ok(());
    }
    if std::env::var_os("GOPROXY").is_some_and(|v| !v.is_empty()) {
        return Err(Failed::unknown(
            "GOPROXY is set in the environment, which wins over go env -w: change it where it is set (shell profile, CI, IDE)",
        ));
    }
    if !args.get_flag("yes") && !agreed(present, value)? {
        eprintln!("Nothing was changed.");
        return Ok(());
    }
    let mut go = std::process::Command::new("go");
    let done = go
        .args(["env", "-w", &format!("GOPROXY={value}")])
        .env("GOTOOLCHAIN", "local")
        .stdin(Stdio::null());
    let done = done
        .output()
        .map_err(|e| Failed::unknown(format!("go: {e}")))?;
    if !done.status.success() {
        return Err(Failed::unknown(format!(
            "go env -w: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        )));
    }
    eprintln!(
        "GOPROXY is {value} now; the way back: go env -w 'GOPROXY={present}' (or go env -u GOPROXY)"
    );
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn agreed(present: &str, value: &str) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        return Err(Failed::usage(
            "nobody to ask: add --yes to set it without asking",
        ));
    }
    eprint!("GOPROXY is now   {present}\n      and will be {value}\nSet it? [y/N] ");
    // A prompt that cannot be shown is answered by nobody.
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin()
        .read_line(&mut line)
        .map_err(Failed::unknown)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
