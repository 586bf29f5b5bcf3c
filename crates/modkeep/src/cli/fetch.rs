//! `modkeep fetch`: bring modules into the store, by the same path and checks as a client's miss.

use super::{json_flag, server_flag, settings, with_settings};
use crate::boot;
use crate::exit::{BAD, Failed};
use clap::{Arg, ArgMatches, Command, value_parser};
use gomod::gosum::GoSum;
use gomod::modfile::ModFile;
use indicatif::{ProgressBar, ProgressStyle};
use keep::{Keep, Query};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A go.mod or go.sum larger than this is not one.
const FROM_MAX: u64 = 64 << 20;

pub fn command() -> Command {
    let command = Command::new("fetch")
        .about("Bring modules into the store")
        .long_about(
            "Bring modules into the store, by the same path and checks as a client's miss.\n\n\
               modkeep fetch --from go.sum\n  modkeep fetch golang.org/x/text@v0.30.0 rsc.io/quote@latest\n\n\
             Q is latest, a version, a version prefix (v1, v1.2), a branch or a commit hash.",
        )
        .arg(Arg::new("module").value_name("M@Q").num_args(0..).help("Modules to bring; M alone means M@latest"))
        .arg(Arg::new("from").long("from").value_name("FILE").help("Bring all that a go.mod or go.sum names"))
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .default_value("16")
                .value_parser(value_parser!(u16).range(1..=256))
                .help("Modules at once"),
        )
        .arg(server_flag())
        .arg(json_flag());
    with_settings(command, false)
}

/// What became of one query.
type Outcome = (Query, Result<Value, String>);

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let queries = queries(args)?;
    let jobs = usize::from(*args.get_one::<u16>("jobs").unwrap_or(&16));
    let runtime = boot::runtime()?;
    let bar = match args.get_flag("quiet") {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(queries.len() as u64),
    };
    let outcomes = match args.get_one::<String>("server") {
        Some(server) => {
            let server: Arc<str> = server.as_str().into();
            runtime.block_on(all(queries, jobs, bar, move |q| {
                through(Arc::clone(&server), q)
            }))
        }
        None => {
            let settings = settings(args)?;
            boot::event_log(&settings)?;
            runtime.block_on(async {
                let keep = boot::keep(&settings)?;
                Ok::<_, Failed>(all(queries, jobs, bar, move |q| here(keep.clone(), q)).await)
            })?
        }
    };
    report(&outcomes, args.get_flag("json"))
}

fn queries(args: &ArgMatches) -> Result<Vec<Query>, Failed> {
    let mut queries = Vec::new();
    for text in args.get_many::<String>("module").into_iter().flatten() {
        queries.push(Query::parse(text).map_err(Failed::usage)?);
    }
    if let Some(file) = args.get_one::<String>("from") {
        queries.extend(named_in(Path::new(file))?);
    }
    match queries.is_empty() {
        true => Err(Failed::usage("nothing to fetch: give M@Q or --from go.sum")),
        false => Ok(queries),
    }
}

/// Every version that a go.sum or go.mod names. A go.sum line of a `/go.mod` alone wants only that.
fn named_in(file: &Path) -> Result<Vec<Query>, Failed> {
    let wrong = |e: String| Failed::usage(format!("{}: {e}", file.display()));
    let size = std::fs::metadata(file)
        .map_err(|e| wrong(e.to_string()))?
        .len();
    if size > FROM_MAX {
        return Err(wrong(format!(
            "is {size} bytes long; at most {FROM_MAX} are read"
        )));
    }
    let bytes = std::fs::read(file).map_err(|e| wrong(e.to_string()))?;
    let mut wanted: Vec<(String, bool)> = Vec::new();
    if file.extension().is_some_and(|e| e == "mod") {
        let parsed = ModFile::parse_lax(&file.display().to_string(), &bytes)
            .map_err(|e| wrong(e.to_string()))?;
        wanted.extend(
            parsed
                .require
                .iter()
                .map(|r| (format!("{}@{}", r.path, r.version), false)),
        );
    } else {
        let sums =
            GoSum::parse(&file.display().to_string(), &bytes).map_err(|e| wrong(e.to_string()))?;
        let whole: BTreeSet<String> = sums
            .lines()
            .filter(|l| !l.go_mod)
            .map(|l| format!("{}@{}", l.path, l.version))
            .collect();
        let mods = sums
            .lines()
            .filter(|l| l.go_mod)
            .map(|l| format!("{}@{}", l.path, l.version));
        let mods: BTreeSet<String> = mods.filter(|m| !whole.contains(m)).collect();
        wanted.extend(
            whole
                .into_iter()
                .map(|m| (m, false))
                .chain(mods.into_iter().map(|m| (m, true))),
        );
    }
    let parse = |(text, mod_only): (String, bool)| {
        Query::parse(&text)
            .map(|q| Query { mod_only, ..q })
            .map_err(|e| wrong(e.to_string()))
    };
    wanted.into_iter().map(parse).collect()
}

/// Runs all queries, some at once, with a progress bar on a terminal.
async fn all<F>(
    queries: Vec<Query>,
    jobs: usize,
    bar: ProgressBar,
    one: impl Fn(Query) -> F + Send + Sync + 'static,
) -> Vec<Outcome>
where
    F: Future<Output = Outcome> + Send + 'static,
{
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    let slots = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for query in queries {
        let (work, slots) = (one(query), Arc::clone(&slots));
        running.spawn(async move {
            let _slot = slots.acquire_owned().await;
            work.await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = running.join_next().await {
        if let Ok(outcome) = done {
            bar.set_message(outcome.0.module.to_string());
            outcomes.push(outcome);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    outcomes.sort_by(|(a, _), (b, _)| (&a.module, &a.query).cmp(&(&b.module, &b.query)));
    outcomes
}

async fn here(keep: Keep, query: Query) -> Outcome {
    let result = match keep.fetch(&query).await {
        Ok(got) => Ok(json!({
            "module": got.version.path().as_str(),
            "version": got.version.version().as_str(),
            "h1": got.h1,
            "gomod": got.go_mod,
        })),
        Err(refusal) => Err(refusal.text),
    };
    (query, result)
}

async fn through(server: Arc<str>, query: Query) -> Outcome {
    let body = json!({ "module": query.module.as_str(), "version": query.query, "mod_only": query.mod_only });
    let result = post(&server, "fetch", &body)
        .await
        .map_err(|f| f.to_string());
    (query, result)
}

/// Calls the API of a running server.
pub async fn post(server: &str, what: &str, body: &Value) -> Result<Value, Failed> {
    let client = upstream::api_client().map_err(Failed::usage)?;
    let url = format!("{}/-/api/v1/{what}", server.trim_end_matches('/'));
    let token = std::env::var("MODKEEP_ADMIN_TOKEN").ok();
    let (status, text) = client
        .post_json(&url, body.to_string(), token.as_deref())
        .await
        .map_err(Failed::unknown)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    match status {
        200 => Ok(answer),
        _ => {
            let detail = answer
                .get("detail")
                .and_then(Value::as_str)
                .unwrap_or(text.trim());
            Err(Failed::unknown(format!(
                "{server} answered {status}: {detail}"
            )))
        }
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line's own voice"
)]
fn report(outcomes: &[Outcome], as_json: bool) -> Result<ExitCode, Failed> {
    let failed = outcomes.iter().filter(|(_, r)| r.is_err()).count();
    if as_json {
        let modules: Vec<Value> = outcomes.iter().map(row).collect();
        println!(
            "{}",
            json!({ "schema": "modkeep.fetch/1", "failed": failed, "modules": modules })
        );
    } else {
        for (query, error) in outcomes
            .iter()
            .filter_map(|(q, r)| r.as_ref().err().map(|e| (q, e)))
        {
            eprintln!("{}@{}: {}", query.module, query.query, error.trim_end());
        }
        println!("{} in the store, {failed} failed", outcomes.len() - failed);
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD)
    })
}

fn row((query, result): &Outcome) -> Value {
    match result {
        Ok(got) => {
            let mut row = got.clone();
            if let Some(object) = row.as_object_mut() {
                object.remove("schema");
                object.insert("query".into(), query.query.clone().into());
            }
            row
        }
        Err(error) => {
            json!({ "module": query.module.as_str(), "query": query.query, "error": error })
        }
    }
}
