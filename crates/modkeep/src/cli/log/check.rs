//! `modkeep log check`: a full replay.

use super::{place, replay};
use crate::boot;
use crate::cli::{json_flag, settings, with_settings};
use crate::exit::{BAD, Failed, UNKNOWN};
use audit::check::{Options, Report, check};
use audit::{Form, Source};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

pub fn command() -> Command {
    let command = Command::new("check")
        .about("Replay a whole log: signatures, every tile, the root, one record for each version")
        .long_about(
            "Replay a whole log: signatures, every tile, the root, one record for each version; ours or another's.\n\n\
               modkeep log check\n  modkeep log check https://keep.example/sumdb/sum.example.com --key sum.example.com+...\n  \
               modkeep log check https://sum.golang.org --work /var/tmp/sumdb --jobs 64\n\n\
             Without an argument, or for a data directory of modkeep: every byte of the frames and of what is made \
             from them; a server may have it open. Names the file that holds a wrong byte. Exit status 1: something is wrong or missing; 3: something \
             could not be read. With --work an interrupted check goes on where it was.",
        )
        .args(place::args(""))
        .arg(
            Arg::new("form")
                .long("form")
                .value_name("go|c2sp")
                .value_parser(["go", "c2sp"])
                .help("Only this spelling of the files [default: every one that has a signed head]"),
        )
        .arg(
            Arg::new("jobs")
                .long("jobs")
                .value_name("N")
                .default_value("16")
                .value_parser(value_parser!(u16).range(1..=256))
                .help("Tiles at once"),
        )
        .arg(
            Arg::new("work")
                .long("work")
                .value_name("DIR")
                .help("Keep progress here: 24 bytes for each record [default: a temporary directory, when memory is not enough]"),
        )
        .arg(
            Arg::new("any-records")
                .long("any-records")
                .action(ArgAction::SetTrue)
                .help("The log is no checksum database: its records may be anything"),
        )
        .arg(json_flag());
    with_settings(command, false)
}

pub fn run(args: &ArgMatches) -> Result<ExitCode, Failed> {
    let settings = settings(args)?;
    if let Some(dir) = replay::dir(args, &settings) {
        return replay::check(&dir, args, &settings, args.get_flag("json"));
    }
    let place = place::find(args, &settings)?;
    let options = Options {
        keys: place.keys.clone(),
        form: args
            .get_one::<String>("form")
            .map(|form| match form.as_str() {
                "go" => Form::Go,
                _ => Form::C2sp,
            }),
        jobs: usize::from(*args.get_one::<u16>("jobs").unwrap_or(&16)),
        work: args.get_one::<String>("work").map(PathBuf::from),
        go_records: !args.get_flag("any-records"),
    };
    let bar = match args.get_flag("quiet") {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(0),
    };
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} records {eta}")
    {
        bar.set_style(style);
    }
    let progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let runtime = boot::runtime()?;
    let report = runtime.block_on(check(&place.source, &options, &progress));
    bar.finish_and_clear();
    let report = report.map_err(Failed::unknown)?;
    show(&place.source, &report, args.get_flag("json"));
    Ok(
        match (report.findings.is_empty(), report.unknown.is_empty()) {
            (false, _) => ExitCode::from(BAD),
            (true, false) => ExitCode::from(UNKNOWN),
            (true, true) => ExitCode::SUCCESS,
        },
    )
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn show(source: &Source, report: &Report, as_json: bool) {
    if as_json {
        println!("{}", document(source, report));
        return;
    }
    for head in &report.heads {
        let witnesses = match head.witnesses.as_slice() {
            [] => String::new(),
            names => format!(", cosigned by {}", names.join(", ")),
        };
        println!(
            "{}: {} records, {}{witnesses}",
            head.form.head(),
            head.tree.size,
            head.tree.hash
        );
    }
    for finding in report.findings.all() {
        println!("BAD      {finding}");
    }
    for what in &report.unknown {
        println!("UNKNOWN  {what}");
    }
    for what in &report.odd_examples {
        println!("odd      {what}");
    }
    let resumed = match report.resumed {
        0 => String::new(),
        n => format!(", {n} of them by an earlier run"),
    };
    println!(
        "{source}: {} records{resumed}, {} files, {} bytes read",
        report.records, report.files, report.bytes
    );
    let verdict = match (
        report.stopped,
        report.findings.is_empty(),
        report.unknown.is_empty(),
    ) {
        (true, _, _) => "gave up: too much is wrong or cannot be read",
        (_, false, _) => "BAD",
        (_, true, false) => "not all could be read",
        (_, true, true) => "good: every signature, tile and root, and one record for each version",
    };
    println!("{verdict}");
}

fn document(source: &Source, report: &Report) -> serde_json::Value {
    let heads: Vec<_> = report
        .heads
        .iter()
        .map(|head| {
            json!({
                "file": head.form.head(), "origin": head.origin, "records": head.tree.size,
                "root": head.tree.hash.to_string(), "witnesses": head.witnesses,
            })
        })
        .collect();
    json!({
        "schema": "modkeep.log.check/1",
        "log": source.to_string(),
        "ok": report.findings.is_empty() && report.unknown.is_empty(),
        "heads": heads,
        "records": report.records,
        "resumed": report.resumed,
        "root": report.root.map(|root| root.to_string()),
        "files": report.files,
        "bytes": report.bytes,
        "findings": report.findings.all(),
        "unknown": report.unknown,
        "odd": report.odd,
        "odd_examples": report.odd_examples,
        "stopped": report.stopped,
    })
}
