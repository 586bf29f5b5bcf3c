//! From the start of the process to `modkeep ready`, with nothing and with much in the store.

use std::path::Path;

use anyhow::Result;
use testkit::{Module, Tree, Upstream};

use super::report::Target;
use super::{Bench, http, median};
use crate::server::Server;

/// Versions of one module in the full store.
const VERSIONS_EACH: usize = 10;

pub fn run(bench: &mut Bench) -> Result<()> {
    let empty = bench.work.join("empty");
    let starts = bench.rounds() * 2;
    let took = median(
        (0..starts)
            .map(|round| start(&empty.join(round.to_string()), "off"))
            .collect::<Result<_>>()?,
    );
    row(bench, "start to ready, empty store", took);

    let versions = if bench.quick { 1_000 } else { 20_000 };
    let full = bench.work.join("full");
    fill(&full, versions)?;
    let took = median(
        (0..starts)
            .map(|_| start(&full, "off"))
            .collect::<Result<_>>()?,
    );
    row(
        bench,
        &format!("start to ready, {versions} versions kept"),
        took,
    );
    Ok(())
}

fn row(bench: &mut Bench, work: &str, ms: f64) {
    bench.report.row(
        work,
        (format!("{ms:.1} ms"), "-".to_owned()),
        (ms, " ms"),
        Target::AtMost(20.0),
    );
}

fn start(data: &Path, upstream: &str) -> Result<f64> {
    let server = Server::start(data, upstream)?;
    let took = server.ready_after.as_secs_f64() * 1e3;
    server.stop()?;
    Ok(took)
}

/// Brings `versions` versions into the store, each with its three files, by asking for them.
fn fill(data: &Path, versions: usize) -> Result<()> {
    let mut tree = Tree::new();
    for index in 0..versions {
        let path = format!("bench.example/full/m{}", index / VERSIONS_EACH);
        let version = format!("v1.{}.0", index % VERSIONS_EACH);
        tree.add(&Module::new(&path, &version))?;
    }
    let paths = tree
        .iter()
        .map(|(path, _)| path.to_owned())
        .filter(|path| path.contains("/@v/v"))
        .collect();
    let upstream = Upstream::start_blocking(tree)?;
    let server = Server::start(data, &upstream.url())?;
    let begun = std::time::Instant::now();
    http::get_all(&server.url, paths)?;
    println!(
        "    filled with {versions} versions in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    server.stop()
}
