//! `modkeep log check` where modkeep itself keeps the log: the frames are replayed and everything that
//! is derived from them is compared, byte by byte.
//!
//! Asking the open log for its tiles, as is done with the logs of others, would repair on opening what
//! it should find, and would need the private key and the server stopped.

use super::place::{given_keys, text};
use crate::config::Typed;
use crate::exit::{BAD, Failed};
use clap::ArgMatches;
use ledger::{Finding, LedgerError, Report};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tlog::note::{Algorithm, VerifierKey};

/// The folder of a log that modkeep keeps, if that is what the command line means: the one of this
/// data directory, or one that is given, or the data directory around it.
pub fn dir(args: &ArgMatches, settings: &Typed) -> Option<PathBuf> {
    let Some(given) = text(args) else {
        return Some(settings.data.join("log"));
    };
    let given = Path::new(given);
    let places = [given.to_owned(), given.join("log")];
    places.into_iter().find(|dir| dir.join("frames").is_dir())
}

/// Checks it.
pub fn check(
    dir: &Path,
    args: &ArgMatches,
    settings: &Typed,
    as_json: bool,
) -> Result<ExitCode, Failed> {
    let own = text(args).is_none();
    let key = key(args, settings, own)?;
    let witness = settings.log.witness.as_deref().filter(|_| own);
    let report = ledger::check(dir, &key, witness).map_err(|error| match (&error, own) {
        (LedgerError::Missing(_), true) => Failed::usage(format!(
            "{error}\nname a log (URL or directory), or make one here: modkeep log init NAME"
        )),
        _ => Failed::unknown(error),
    })?;
    match as_json {
        true => document(dir, &key, &report),
        false => show(dir, &report),
    }
    Ok(match report.is_sound() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(BAD),
    })
}

/// The log's key: given, or that of this data directory.
fn key(args: &ArgMatches, settings: &Typed, own: bool) -> Result<VerifierKey, Failed> {
    let given = given_keys(args)?;
    let ours = |key: &VerifierKey| key.algorithm() == Algorithm::Ed25519;
    if let Some(key) = given.into_iter().find(ours) {
        return Ok(key);
    }
    let read = settings.log_setting().key.read();
    read.map(|signer| signer.verifier().clone()).map_err(|e| {
        let what = match own {
            true => "name a log (URL or directory), or make one here: modkeep log init NAME",
            false => "whose signature is to be believed? Give --key NAME+HASH+KEY",
        };
        Failed::usage(format!("{e}\n{what}"))
    })
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn show(dir: &Path, report: &Report) {
    for finding in &report.findings {
        let Finding {
            place,
            what,
            derived,
        } = finding;
        let remedy = match derived {
            true => "modkeep log recover rebuilds it",
            false => "only a good copy helps",
        };
        println!("BAD      {place}: {what} ({remedy})");
    }
    if report.more_findings > 0 {
        println!("BAD      and {} more", report.more_findings);
    }
    println!(
        "{}: {} records in {} commits, {}",
        dir.display(),
        report.size,
        report.frames,
        report.root
    );
    if report.in_use {
        println!("a server has it open: what it wrote meanwhile was left out");
    }
    if report.torn_bytes > 0 {
        let bytes = report.torn_bytes;
        println!("{bytes} bytes of a commit that did not end: the next start takes them away");
    }
    println!(
        "{}",
        match report.is_sound() {
            true => "good: every signature, byte and root, and one record for each version",
            false => "BAD",
        }
    );
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn document(dir: &Path, key: &VerifierKey, report: &Report) {
    let finding = |finding: &Finding| {
        json!({
            "kind": if finding.derived { "derived" } else { "damage" },
            "file": finding.place, "record": null, "what": finding.what,
        })
    };
    let head = json!({
        "file": "frames", "origin": key.name(), "records": report.size,
        "root": report.root.to_string(), "witnesses": [],
    });
    let document = json!({
        "schema": "modkeep.log.check/1", "log": dir, "ok": report.is_sound(), "heads": [head],
        "records": report.size, "resumed": 0, "root": report.root.to_string(),
        "commits": report.frames, "in_use": report.in_use, "torn_bytes": report.torn_bytes,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "more_findings": report.more_findings, "unknown": [], "stopped": false,
    });
    println!("{document}");
}
