//! Our own log beside a bare file that is synced for groups of the same records, by turns; and a
//! log of very many records.
//!
//! The measuring is done by `crates/ledger/examples/log-bench.rs`, a program of its own, so that
//! each run has a fresh process and xtask itself need not be built for speed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use super::report::Target;
use super::{Bench, alternate, median};
use crate::sh;

/// Clients that each wait for their record before they append the next.
const CLIENTS: [u32; 3] = [1, 64, 1024];

pub fn run(bench: &mut Bench, records: u64) -> Result<()> {
    sh::run(sh::cargo().args([
        "build",
        "--release",
        "-p",
        "ledger",
        "--example",
        "log-bench",
    ]))?;
    let tool = Tool {
        program: sh::target().join("release/examples/log-bench"),
        dir: bench.work.join("log-bench"),
        seconds: if bench.quick { 1 } else { 3 },
    };
    for clients in CLIENTS {
        appends(bench, &tool, clients)?;
    }
    scale(bench, &tool, records)
}

fn appends(bench: &mut Bench, tool: &Tool, clients: u32) -> Result<()> {
    let mut waits = Vec::new();
    let (ours, bare) = alternate(
        bench.rounds(),
        || {
            let run = tool.load("append", clients)?;
            waits.push(number(&run, "p50_ms")?);
            number(&run, "per_second")
        },
        || number(&tool.load("bare", clients)?, "per_second"),
    )?;
    let who = if clients == 1 { "client" } else { "clients" };
    bench.report.row(
        &format!("log: appends, {clients} {who}"),
        (format!("{ours:.0}/s"), format!("bare file {bare:.0}/s")),
        (ours / bare, ""),
        Target::AtLeast(0.5),
    );
    if clients == 1 {
        let wait = median(waits);
        bench.report.row(
            "log: an append's wait, p50",
            (format!("{wait:.2} ms"), "-".to_owned()),
            (wait, " ms"),
            Target::AtMost(5.0),
        );
    }
    Ok(())
}

/// A log of `records` records: opening it, finding in it, the memory that takes.
fn scale(bench: &mut Bench, tool: &Tool, records: u64) -> Result<()> {
    let begun = Instant::now();
    tool.fresh()?;
    tool.ask(&["build", tool.dir()?, &records.to_string()])?;
    let built = begun.elapsed().as_secs_f64();
    println!("     a log of {records} records made in {built:.0} s");
    let lookups = if bench.quick { "2000" } else { "20000" };
    let run = tool.ask(&["scale", tool.dir()?, lookups])?;
    let millions = records as f64 / 1e6;
    for (what, name, unit, limit) in [
        ("open", "open_ms", " ms", 5000.0),
        ("lookup, p99, warm", "lookup_p99_ms", " ms", 1.0),
        ("resident memory, peak", "resident_mib", " MiB", 200.0),
    ] {
        let figure = number(&run, name)?;
        bench.report.row(
            &format!("log of {millions} million: {what}"),
            (format!("{figure:.2}{unit}"), "-".to_owned()),
            (figure, unit),
            Target::AtMost(limit),
        );
    }
    std::fs::remove_dir_all(&tool.dir)?;
    Ok(())
}

struct Tool {
    program: PathBuf,
    dir: PathBuf,
    seconds: u32,
}

impl Tool {
    fn dir(&self) -> Result<&str> {
        self.dir
            .to_str()
            .context("the target directory's name is not text")
    }

    fn fresh(&self) -> Result<()> {
        if Path::new(&self.dir).exists() {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }

    fn load(&self, what: &str, clients: u32) -> Result<Value> {
        self.fresh()?;
        let (clients, seconds) = (clients.to_string(), self.seconds.to_string());
        self.ask(&[what, self.dir()?, &clients, &seconds])
    }

    fn ask(&self, args: &[&str]) -> Result<Value> {
        let text = sh::output(sh::command(&self.program).args(args))?;
        serde_json::from_str(&text).with_context(|| format!("log-bench said {text:?}"))
    }
}

fn number(run: &Value, name: &str) -> Result<f64> {
    run[name]
        .as_f64()
        .with_context(|| format!("log-bench did not say {name}"))
}
