//! The most memory that the warm server has had resident, after loads of every kind at once.

use anyhow::Result;

use super::fixture::{COLD_ZIPS, Fixture, SIZES, cold_path, zip_path};
use super::report::Target;
use super::{Bench, http, process, wrk};

pub fn run(bench: &mut Bench, fixture: &Fixture) -> Result<()> {
    let seconds = if bench.quick { 2 } else { 8 };
    for side in [&fixture.modkeep.url, &fixture.nginx.url] {
        let mut loads = vec![
            wrk::background(
                &format!("{side}/bench.example/small/@v/v1.0.0.mod"),
                64,
                seconds,
            )?,
            wrk::background(&format!("{side}/bench.example/many/@v/list"), 64, seconds)?,
        ];
        for (_, bytes, _) in SIZES {
            let url = format!("{side}/{}", zip_path(bytes));
            loads.push(wrk::background(&url, 32, seconds)?);
        }
        // Misses among the hits, each asked by several clients at once.
        let misses = (0..COLD_ZIPS * 4).map(|n| cold_path(n % COLD_ZIPS));
        http::get_all(side, misses.collect())?;
        for load in &mut loads {
            load.wait()?;
        }
    }
    let ours = process::tree_peak_mib(fixture.modkeep.pid())?;
    let theirs = process::tree_peak_mib(fixture.nginx.pid())?;
    bench.report.row(
        "resident memory, peak under all loads at once",
        (format!("{ours:.0} MiB"), format!("nginx {theirs:.0} MiB")),
        (ours, " MiB"),
        Target::AtMost(64.0),
    );
    Ok(())
}
