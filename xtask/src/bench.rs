//! Benchmarks as ratios: modkeep beside nginx serving the same files, and beside its own
//! upstream asked directly, in one run on one machine. Absolute figures of a shared machine mean
//! little; which of two neighbours is faster, alternating, with medians, means something.

mod cold;
pub mod download;
mod fixture;
mod herd;
mod hits;
mod http;
mod log;
mod memory;
mod nginx;
mod process;
mod ready;
mod report;
mod sumdb;
mod vcs;
mod verify;
mod wrk;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{server, sh, tools};
use fixture::Fixture;
use report::Report;

#[derive(Args)]
pub struct Options {
    /// Only these parts; a report is written only when all have run
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Shorter and fewer runs: shows that it works and what is far off
    #[arg(long)]
    quick: bool,
    /// A GOPROXY tree to download the project of --project from, instead of a generated one
    #[arg(long, value_name = "DIR", requires = "project")]
    corpus: Option<PathBuf>,
    /// The project (go.mod, go.sum) whose modules lie in --corpus
    #[arg(long, value_name = "DIR", requires = "corpus")]
    project: Option<PathBuf>,
    /// How long the log of the part `log` is; 60000000 is the size of sum.golang.org (14 GB of disk)
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    log_records: u64,
    /// The date that the report carries, instead of today's
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
    /// Write the report here, also when it is not a whole run
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// .info, .mod, lists and @latest that are kept, and the CPU time of each request
    Hits,
    /// Zips that are kept, 8 KiB to 100 MiB
    Zips,
    /// .info while 40 clients ask lists
    Lists,
    /// Resident memory under load
    Memory,
    /// From start to ready, with an empty and a full store
    Ready,
    /// 50 clients miss one .mod
    Herd,
    /// First byte and end of a zip that is not kept
    Cold,
    /// go mod download of a whole project, cold and warm
    Download,
    /// Our own log: appends beside a bare synced file, and a log of --log-records
    Log,
    /// Twenty versions of a large repository, straight from git
    Vcs,
    /// A relayed checksum database, and what being checked costs
    Sumdb,
    /// A module cache is verified
    Verify,
}

/// What every part needs to know.
pub struct Bench {
    quick: bool,
    work: PathBuf,
    report: Report,
}

impl Bench {
    /// How many alternating runs a median is taken of.
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 7 }
    }
}

pub fn run(options: &Options) -> Result<()> {
    if options.parts != [Part::Log] {
        tools::for_bench()?;
        server::build()?;
    }
    let work = sh::target().join("bench");
    if work.exists() {
        std::fs::remove_dir_all(&work)?;
    }
    std::fs::create_dir_all(&work)?;
    let mut bench = Bench {
        quick: options.quick,
        work,
        report: Report::new(options.quick),
    };
    let wanted = |part: Part| options.parts.is_empty() || options.parts.contains(&part);
    warm(&mut bench, &wanted)?;
    if wanted(Part::Ready) {
        ready::run(&mut bench)?;
    }
    if wanted(Part::Herd) {
        herd::run(&mut bench)?;
    }
    if wanted(Part::Cold) {
        cold::run(&mut bench)?;
    }
    if wanted(Part::Download) {
        let given = options.corpus.as_deref().zip(options.project.as_deref());
        download::run(&mut bench, given)?;
    }
    if wanted(Part::Log) {
        log::run(&mut bench, options.log_records)?;
    }
    if wanted(Part::Vcs) {
        vcs::run(&mut bench)?;
    }
    if wanted(Part::Sumdb) {
        sumdb::run(&mut bench)?;
    }
    if wanted(Part::Verify) {
        let given = options.corpus.as_deref().zip(options.project.as_deref());
        verify::run(&mut bench, given)?;
    }
    let whole = options.parts.is_empty() && !options.quick;
    let out = match &options.out {
        Some(file) => Some(file.clone()),
        None => whole.then(|| sh::root().join("docs/BENCHMARKS.md")),
    };
    println!("\n{}", bench.report.table());
    if let Some(file) = out {
        std::fs::write(&file, bench.report.document(options.date.as_deref())?)?;
        println!("written: {}", file.display());
    }
    std::fs::remove_dir_all(&bench.work)?;
    Ok(())
}

/// A part that needs the warm pair.
type Measure = fn(&mut Bench, &Fixture) -> Result<()>;

/// The parts that ask one warm server and one nginx.
fn warm(bench: &mut Bench, wanted: &dyn Fn(Part) -> bool) -> Result<()> {
    let parts: [(Part, Measure); 4] = [
        (Part::Hits, hits::small),
        (Part::Zips, hits::zips),
        (Part::Lists, hits::lists),
        (Part::Memory, memory::run),
    ];
    if !parts.iter().any(|(part, _)| wanted(*part)) {
        return Ok(());
    }
    let fixture = Fixture::start(&bench.work)?;
    for (part, run) in parts {
        if wanted(part) {
            run(bench, &fixture)?;
        }
    }
    fixture.stop()
}

/// Runs both sides in turn, the first one changing, and gives both medians.
fn alternate(
    rounds: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut theirs: impl FnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            a.push(ours()?);
            b.push(theirs()?);
        } else {
            b.push(theirs()?);
            a.push(ours()?);
        }
    }
    Ok((median(a), median(b)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
