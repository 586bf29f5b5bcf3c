//! How often the first, or one of the first three, findings is the true cause.
//!
//! `cargo test -p doctor --test accuracy -- --nocapture` prints the figures.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;

use doctor::{Cause, Env, cause, explain, explain_with};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    id: String,
    command: Option<String>,
    env: Option<String>,
    output: String,
    accept: Vec<String>,
}

#[derive(Default)]
struct Tally {
    cases: usize,
    first: usize,
    three: usize,
}

impl Tally {
    fn add(&mut self, rank: Option<usize>) {
        self.cases += 1;
        self.first += usize::from(rank == Some(0));
        self.three += usize::from(rank.is_some_and(|r| r < 3));
    }

    fn first_percent(&self) -> f64 {
        percent(self.first, self.cases)
    }

    fn three_percent(&self) -> f64 {
        percent(self.three, self.cases)
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn cases(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn public() -> Vec<Case> {
    cases(include_str!("cases/public.jsonl"))
}

fn lab() -> Vec<Case> {
    cases(include_str!("cases/lab.jsonl"))
}

fn wordings() -> Vec<Case> {
    cases(include_str!("cases/wordings.jsonl"))
}

fn env(case: &Case) -> Env {
    let env = Env::parse(case.env.as_deref().unwrap_or_default());
    match &case.command {
        Some(command) => env.with_command(command),
        None => env,
    }
}

fn labels(case: &Case, output: &str) -> Vec<String> {
    let report = explain(output, &env(case));
    report
        .findings
        .iter()
        .map(|f| f.cause.label.clone())
        .collect()
}

fn rank(case: &Case, output: &str) -> Option<usize> {
    labels(case, output)
        .iter()
        .position(|label| case.accept.contains(label))
}

fn measure(name: &str, cases: &[Case], first_floor: f64, three_floor: f64) {
    let mut all = Tally::default();
    let mut families: BTreeMap<&str, Tally> = BTreeMap::new();
    for case in cases {
        let found = labels(case, &case.output);
        let rank = found.iter().position(|label| case.accept.contains(label));
        all.add(rank);
        let family = cause::find(&case.accept[0]).map_or("?", |c| c.family.as_str());
        families.entry(family).or_default().add(rank);
        if rank != Some(0) {
            let shown = found.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            println!("    {} wanted {}, got {shown}", case.id, case.accept[0]);
        }
    }
    for (family, tally) in &families {
        println!(
            "  {family:<12} {:>3} cases, first {:>5.1} %, first three {:>5.1} %",
            tally.cases,
            tally.first_percent(),
            tally.three_percent()
        );
    }
    println!(
        "{name}: {} cases, first {:.1} %, first three {:.1} %",
        all.cases,
        all.first_percent(),
        all.three_percent()
    );
    assert!(
        all.first_percent() >= first_floor,
        "{name}: first below {first_floor} %"
    );
    assert!(
        all.three_percent() >= three_floor,
        "{name}: first three below {three_floor} %"
    );
}

#[test]
fn failures_that_users_posted_are_named() {
    measure("public", &public(), 90.0, 96.0);
}

#[test]
fn injected_faults_are_named() {
    measure("lab", &lab(), 88.0, 93.0);
}

/// The counts of reports behind the order of equals come from the same threads as the public
/// cases. Here each family is measured without its own counts.
#[test]
fn a_family_is_named_without_the_counts_of_its_own_reports() {
    let mut all = Tally::default();
    let cases = public();
    let families: std::collections::BTreeSet<&str> =
        cause::all().iter().map(|c| c.family.as_str()).collect();
    for family in families {
        let mut tally = Tally::default();
        let of_family = |c: &&Case| cause::find(&c.accept[0]).is_some_and(|c| c.family == family);
        for case in cases.iter().filter(of_family) {
            let reports = |c: &Cause| if c.family == family { 0 } else { c.reports };
            let report = explain_with(&case.output, &env(case), reports);
            let labels = report.findings.iter().map(|f| &f.cause.label);
            let rank = labels.clone().position(|label| case.accept.contains(label));
            tally.add(rank);
            all.add(rank);
        }
        println!(
            "  without {family:<12} {:>3} cases, first {:>5.1} %, first three {:>5.1} %",
            tally.cases,
            tally.first_percent(),
            tally.three_percent()
        );
    }
    println!(
        "leave one family out: first {:.1} %, first three {:.1} %",
        all.first_percent(),
        all.three_percent()
    );
    assert!(all.first_percent() >= 75.0);
    assert!(all.three_percent() >= 92.0);
}

type Disguise = fn(&str) -> String;

/// What surrounds a text in practice must not change what it is taken for.
#[test]
fn foreign_prefixes_colours_and_line_breaks_change_nothing() {
    let disguises: [(&str, Disguise); 7] = [
        ("carriage returns", |t| t.replace('\n', "\r\n")),
        ("colours", |t| {
            each(t, |l| format!("\u{1b}[31;1m{l}\u{1b}[0m"))
        }),
        ("github", |t| {
            each(t, |l| format!("2024-05-01T10:11:12.1234567Z {l}"))
        }),
        ("docker", |t| each(t, |l| format!("#12 3.456 {l}"))),
        ("compose", |t| each(t, |l| format!("build_1  | {l}"))),
        ("terminal", |t| each(t, |l| broken(l, 80))),
        ("logfmt", |t| {
            format!(
                "level=error msg=\"err: exit status 1: stderr: {}\"",
                t.replace('"', "\\\"")
                    .replace('\n', "\\n")
                    .replace('\t', "\\t")
            )
        }),
    ];
    let cases: Vec<Case> = public().into_iter().chain(lab()).collect();
    let plain: Vec<Option<usize>> = cases.iter().map(|c| rank(c, &c.output)).collect();
    for (name, disguise) in disguises {
        let mut lost = 0;
        for (case, plain) in cases.iter().zip(&plain) {
            if *plain == Some(0) && rank(case, &disguise(&case.output)) != Some(0) {
                println!("    {name}: {}", case.id);
                lost += 1;
            }
        }
        println!("disguise {name}: {lost} of {} lost", cases.len());
        assert!(lost * 33 <= cases.len(), "{name}: {lost} lost");
    }
}

fn each(text: &str, change: impl Fn(&str) -> String) -> String {
    text.lines().map(|line| change(line) + "\n").collect()
}

fn broken(line: &str, width: usize) -> String {
    let chars: Vec<char> = line.chars().collect();
    let parts: Vec<String> = chars.chunks(width).map(|c| c.iter().collect()).collect();
    parts.join("\n")
}

#[test]
fn wordings_of_all_releases_are_understood() {
    measure("wordings", &wordings(), 95.0, 98.0);
}
