//! `modkeep doctor`: checks this machine and this project, and names causes by evidence.

mod fix;

use super::explain::{lang, print};
use super::{colored, json_flag};
use crate::exit::{BAD, Failed};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use doctor::check::{Report, Verdict, diagnose};
use doctor::facts::{Asked, FILE_BYTES_MAX, Facts, Group};
use doctor::fix::Fix;
use doctor::screen::screen;
use indicatif::{MultiProgress, ProgressBar};
use probe::net::Told;
use probe::{Progress, Request, Watcher};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Status of a diagnosis that could not find out what it was asked.
const UNKNOWN: u8 = 3;

pub fn command() -> Command {
    Command::new("doctor")
        .about("Why do my go commands fail? Checks this machine and this project")
        .long_about(
            "Why do my go commands fail? Checks this machine and this project: settings and where each comes from,\n\
             network, checksum database, caches, go.mod and go.sum; names the causes with evidence and the least\n\
             dangerous fix.\n\n\
               modkeep doctor\n  modkeep doctor example.com/module@v1.2.3\n  modkeep doctor --only env,project\n\n\
             Nothing is changed without --fix. What is not found out in time is unknown, which is never bad.",
        )
        .arg(
            Arg::new("module")
                .value_name("M@V")
                .help("The module that fails, with or without version"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("GROUPS")
                .value_delimiter(',')
                .value_parser(["env", "net", "local", "project"])
                .action(ArgAction::Append)
                .help("Only these groups of checks [default: all]"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("TIME")
                .default_value("10s")
                .help("Time for everything together, such as 10s or 1m"),
        )
        .arg(resolver_flag())
        .arg(
            Arg::new("save-facts")
                .long("save-facts")
                .value_name("FILE")
                .help("Save what was found, secrets masked, to be judged again elsewhere"),
        )
        .arg(
            Arg::new("fix")
                .long("fix")
                .value_name("project")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("safe")
                .value_parser(["safe", "project"])
                .help("Apply what is safe and can be taken back; =project also go mod tidy and vendor")
                .long_help(
                    "Apply what is safe, after showing the difference, and keep a way back: bad lines of go env -w,\n\
                     damaged local state, permissions of netrc. --fix=project also runs go mod tidy and go mod vendor\n\
                     where they are the remedy. What lowers verification is never done.",
                ),
        )
        .arg(
            Arg::new("facts")
                .long("facts")
                .value_name("FILE")
                .conflicts_with_all(["save-facts", "timeout", "module", "fix"])
                .help("Judge a saved file instead of this machine"),
        )
        .arg(
            Arg::new("matrix")
                .long("matrix")
                .action(ArgAction::SetTrue)
                .requires("module")
                .conflicts_with_all(["only", "save-facts", "facts", "fix"])
                .help("Try the download of M@V under other settings, one change at a time [--timeout: for each, 45s]"),
        )
        .arg(json_flag())
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    if args.get_flag("matrix") {
        return run_matrix(args);
    }
    let facts = match args.get_one::<String>("facts") {
        Some(file) => read(Path::new(file))?,
        None => gather(args)?,
    };
    if let Some(file) = args.get_one::<String>("save-facts") {
        let text = facts.to_json().map_err(Failed::unknown)? + "\n";
        std::fs::write(file, text).map_err(|e| Failed::usage(format!("{file}: {e}")))?;
    }
    let report = diagnose(&facts);
    let verdict = match args.get_one::<String>("fix") {
        None => {
            show(args, &report, None)?;
            report.verdict()
        }
        Some(how) => {
            let planned = doctor::fix::plan(&facts, &report, how == "project");
            repair(args, &report, &planned)?
        }
    };
    Ok(match verdict {
        Verdict::Healthy => ExitCode::SUCCESS,
        Verdict::Failing => ExitCode::from(BAD),
        Verdict::Unknown => ExitCode::from(UNKNOWN),
    })
}

/// The download under other settings. The go command's own limits are longer than the checks' budget.
fn run_matrix(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let module = args.get_one::<String>("module").map_or("", String::as_str);
    let given = args.value_source("timeout") == Some(ValueSource::CommandLine);
    let timeout = args.get_one::<String>("timeout").filter(|_| given);
    let patience = duration(timeout.map_or("45s", String::as_str))?;
    super::matrix::run(args, module, patience)
}

/// Shows report and differences, changes, looks again.
fn repair(args: &ArgMatches, report: &Report, planned: &[Fix]) -> Result<Verdict, Failed> {
    let json = args.get_flag("json");
    if !json {
        show(args, report, None)?;
        print(&differences(planned))?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut backup = fix::Backup::new(&fix::state_dir(), now.map_or(0, |now| now.as_secs()));
    let done: Vec<Result<(), String>> = planned.iter().map(|fix| backup.apply(fix)).collect();
    let undo = backup.undo();
    let verdict = match planned.is_empty() {
        true => report.verdict(),
        false => diagnose(&gather(args)?).verdict(),
    };
    if json {
        let fixes = serde_json::json!({ "fixes": fixes_json(planned, &done), "undo": undo });
        show(args, report, Some(&fixes))?;
        return Ok(verdict);
    }
    let mut text = String::new();
    for (fix, done) in planned.iter().zip(&done) {
        let _ = match done {
            Ok(()) => writeln!(text, "[done] {} {}", fix.id, fix.why),
            Err(error) => writeln!(text, "[not done] {} {error}", fix.id),
        };
    }
    if let Some(undo) = undo {
        let _ = writeln!(text, "To take it back: {undo}");
    }
    print(&text)?;
    Ok(verdict)
}

fn differences(planned: &[Fix]) -> String {
    if planned.is_empty() {
        return "\nNothing can be fixed safely from here.\n".to_owned();
    }
    let mut text = String::from("\n");
    for fix in planned {
        let _ = writeln!(text, "{} ({}): {}", fix.id, fix.class.letter(), fix.why);
        for line in fix.difference() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn fixes_json(planned: &[Fix], done: &[Result<(), String>]) -> Vec<serde_json::Value> {
    let both = planned.iter().zip(done);
    both.map(|(fix, done)| {
        serde_json::json!({
            "id": fix.id,
            "class": fix.class.letter(),
            "why": fix.why,
            "difference": fix.difference(),
            "done": done.is_ok(),
            "error": done.as_ref().err(),
        })
    })
    .collect()
}

fn show(
    args: &ArgMatches,
    report: &Report,
    more: Option<&serde_json::Value>,
) -> Result<ExitCode, Failed> {
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    if args.get_flag("json") {
        let mut document = serde_json::to_value(report.document(lang)).map_err(Failed::unknown)?;
        if let (Some(document), Some(more)) =
            (document.as_object_mut(), more.and_then(|m| m.as_object()))
        {
            document.extend(more.clone());
        }
        let text = serde_json::to_string_pretty(&document).map_err(Failed::unknown)?;
        return print(&(text + "\n"));
    }
    let color = colored(args, &std::io::stdout());
    print(&screen(report, lang, color, args.get_flag("verbose")))
}

fn read(file: &Path) -> Result<Facts, Failed> {
    let wrong = |e: &dyn std::fmt::Display| Failed::usage(format!("{}: {e}", file.display()));
    let opened = std::fs::File::open(file).map_err(|e| wrong(&e))?;
    let mut bytes = Vec::new();
    let taken = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    taken.map_err(|e| wrong(&e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(&format!(
            "larger than {FILE_BYTES_MAX} bytes: not a facts file"
        )));
    }
    Facts::parse(&bytes).map_err(|e| wrong(&e))
}

fn gather(args: &ArgMatches) -> Result<Facts, Failed> {
    let request = request(args)?;
    let live = Live::new(!args.get_flag("quiet") && !args.get_flag("json"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failed::unknown)?;
    let facts = runtime.block_on(probe::gather(&request, &live.watcher()));
    // A look at a hanging disk cannot be taken back; it ends with the process.
    runtime.shutdown_background();
    live.end();
    Ok(facts)
}

fn request(args: &ArgMatches) -> Result<Request, Failed> {
    let words = args.get_many::<String>("only").into_iter().flatten();
    let groups = words.filter_map(|word| Group::parse(word)).collect();
    let timeout = args
        .get_one::<String>("timeout")
        .map_or("10s", String::as_str);
    Ok(Request {
        dir: std::env::current_dir().map_err(Failed::unknown)?,
        asked: args
            .get_one::<String>("module")
            .map(|text| asked(text))
            .transpose()?,
        groups,
        budget: duration(timeout)?,
        resolvers: resolvers(args)?,
        replay: None,
    })
}

pub(super) fn asked(text: &str) -> Result<Asked, Failed> {
    let (module, version) = match text.split_once('@') {
        Some((module, version)) => (module, Some(version)),
        None => (text, None),
    };
    let wrong = |why: &dyn std::fmt::Display| Failed::usage(format!("{text}: {why}"));
    gomod::path::ModulePath::parse(module).map_err(|e| wrong(&e))?;
    if let Some(version) = version {
        // `<v1.2.3` and its like are queries too.
        let bare = version.trim_start_matches(['<', '>', '=']);
        gomod::version::Revision::parse(bare).map_err(|e| wrong(&e))?;
    }
    Ok(Asked {
        module: module.to_owned(),
        version: version.map(str::to_owned),
    })
}

/// The `--resolver` flag.
pub(super) fn resolver_flag() -> Arg {
    Arg::new("resolver")
        .long("resolver")
        .value_name("ADDR[:PORT]")
        .action(ArgAction::Append)
        .help("Ask this DNS server for names instead of the system's; may be repeated")
}

/// The DNS servers of `--resolver`.
pub(super) fn resolvers(args: &ArgMatches) -> Result<Vec<SocketAddr>, Failed> {
    let given = args.get_many::<String>("resolver").into_iter().flatten();
    let parse = |text: &String| {
        let whole = text.parse::<SocketAddr>().ok();
        let bare = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53));
        whole.or_else(bare).ok_or_else(|| {
            Failed::usage(format!(
                "--resolver {text}: it looks like 192.0.2.1 or 192.0.2.1:53"
            ))
        })
    };
    given.map(parse).collect()
}

/// A time such as `10s`, `500ms`, `1m`; at most an hour.
pub(super) fn duration(text: &str) -> Result<Duration, Failed> {
    let wrong = || Failed::usage(format!("--timeout {text}: it looks like 10s, 500ms or 1m"));
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let time = match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(wrong()),
    };
    let allowed = Duration::from_millis(1)..=Duration::from_secs(3600);
    if allowed.contains(&time) {
        Ok(time)
    } else {
        Err(wrong())
    }
}

/// What is being looked at, on a terminal: a line for each part, gone when the report comes.
pub(super) struct Live {
    bars: MultiProgress,
    shown: bool,
}

impl Live {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            bars: MultiProgress::new(),
            shown: wanted && std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn watcher(&self) -> Watcher {
        if !self.shown {
            return Arc::new(|_| {});
        }
        let bars = self.bars.clone();
        let lines: Mutex<HashMap<&'static str, ProgressBar>> = Mutex::default();
        Arc::new(move |progress| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            match progress {
                Progress::Began(part) => {
                    let line = bars.add(ProgressBar::new_spinner().with_message(part));
                    line.enable_steady_tick(Duration::from_millis(100));
                    lines.insert(part, line);
                }
                Progress::Done(part) => {
                    if let Some(line) = lines.remove(part) {
                        line.finish_and_clear();
                    }
                }
            }
        })
    }

    /// A line with the request that is on its way.
    pub(super) fn told(&self) -> Told {
        if !self.shown {
            return Arc::new(|_| {});
        }
        let line = self.bars.add(ProgressBar::new_spinner());
        line.enable_steady_tick(Duration::from_millis(100));
        Arc::new(move |what| {
            line.set_message(what.chars().filter(|c| !c.is_control()).collect::<String>())
        })
    }

    pub(super) fn end(&self) {
        // Lines of late parts; a terminal that is gone cannot be cleared.
        let _ = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_have_units_and_an_end() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for wrong in [
            "",
            "s",
            "-1s",
            "1h",
            "0s",
            "2d",
            "99999999999999999999s",
            "3601s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
