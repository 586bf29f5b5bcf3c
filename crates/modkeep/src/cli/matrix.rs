//! `modkeep doctor M@V --matrix`: one change at a time, and what it proves.

use super::colored;
use super::explain::{lang, print};
use crate::boot;
use crate::exit::{BAD, Failed};
use crate::goenv::GoEnv;
use crate::matrix;
use clap::ArgMatches;
use doctor::matrix::{Conclusion, End, Outcome, conclude};
use doctor::{Finding, Lang, cause, explain::Subject};
use gomod::version::ModuleVersion;
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the trials for a version and prints what they prove. `patience` is the time for each.
pub fn run(args: &ArgMatches, module: &str, patience: Duration) -> Result<ExitCode, Failed> {
    let version = ModuleVersion::parse(module).map_err(|e| {
        Failed::usage(format!(
            "{e}; --matrix needs M@V, such as example.com/m@v1.2.3"
        ))
    })?;
    let env = GoEnv::read("go".as_ref());
    let runtime = boot::runtime()?;
    let outcomes = runtime.block_on(matrix::run(&env, &version, patience));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let outcomes = outcomes?;
    let conclusion = conclude(&outcomes);
    let lang = lang(args.get_one::<String>("lang").map(String::as_str));
    match args.get_flag("json") {
        true => print(&document(&version, &outcomes, &conclusion, lang)?)?,
        false => print(&screen(
            &version,
            &outcomes,
            &conclusion,
            lang,
            colored(args, &std::io::stdout()),
        ))?,
    };
    Ok(if conclusion.fails {
        ExitCode::from(BAD)
    } else {
        ExitCode::SUCCESS
    })
}

fn finding(version: &ModuleVersion, conclusion: &Conclusion) -> Option<Finding> {
    Some(Finding {
        cause: cause::find(conclusion.label.as_deref()?)?,
        variant: None,
        confidence: 1.0,
        evidence: conclusion.proves.clone(),
        subject: Subject {
            module: Some(version.path().to_string()),
            version: Some(version.version().to_string()),
            ..Subject::default()
        },
        failure: 1,
    })
}

fn document(
    version: &ModuleVersion,
    outcomes: &[Outcome],
    conclusion: &Conclusion,
    lang: Lang,
) -> Result<String, Failed> {
    let findings: Vec<Finding> = finding(version, conclusion).into_iter().collect();
    let views: Vec<_> = findings.iter().map(|f| f.view(lang)).collect();
    let document = json!({
        "schema": "modkeep.doctor/1",
        "findings": views,
        "checks": [],
        "matrix": { "module": version.to_string(), "trials": outcomes, "conclusion": conclusion },
    });
    Ok(serde_json::to_string_pretty(&document).map_err(Failed::unknown)? + "\n")
}

fn screen(
    version: &ModuleVersion,
    outcomes: &[Outcome],
    conclusion: &Conclusion,
    lang: Lang,
    color: bool,
) -> String {
    let bold = |text: &str| {
        if color {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    };
    let mut out = format!(
        "{}\n\n",
        bold(&format!(
            "{version} under other settings, one change at a time"
        ))
    );
    let width = outcomes
        .iter()
        .map(|o| o.trial.shown().chars().count())
        .max()
        .unwrap_or(0);
    for outcome in outcomes {
        let (state, detail) = match &outcome.end {
            End::Works { .. } => ("works", String::new()),
            End::TimedOut => ("hangs", String::new()),
            End::Fails { label, said } => {
                ("fails", label.clone().unwrap_or_else(|| first_line(said)))
            }
        };
        let cost = match (outcome.trial.cost(), &outcome.end) {
            ((class, why), End::Works { .. }) => format!("{} ({why})", class.letter()),
            _ => String::new(),
        };
        let seconds = outcome.took_ms as f64 / 1000.0;
        let line = format!(
            "  {:<width$}  {state}  {seconds:>5.1} s  {detail}{cost}",
            outcome.trial.shown()
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(out, "\n{}", bold("What this proves"));
    for line in &conclusion.proves {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(cause) = conclusion.label.as_deref().and_then(cause::find) {
        let _ = writeln!(
            out,
            "  cause: {} ({})",
            cause.label,
            cause.prose(lang).title
        );
        let _ = writeln!(out, "  more: modkeep explain {}", cause.label);
    }
    if let Some(fix) = &conclusion.fix {
        let _ = writeln!(
            out,
            "\n{}\n  A (everything stays verified)\n    $ {fix}",
            bold("Fix it")
        );
    }
    out
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .replace(char::is_control, " ")
}
