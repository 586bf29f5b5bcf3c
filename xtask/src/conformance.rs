//! The go command's own scripts with modkeep in between. The harness is not part of this
//! repository (it needs a Go source tree and brings its own); here is how it is to be called.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::server::{self, Server};
use crate::{sh, tools};

/// Where the harness puts the scripts' own test proxy; it is fixed there.
const SCRIPTS_PROXY: &str = "http://127.0.0.1:18091/mod";
/// The checksum database of the scripts' test proxy: its key stands in cmd/go's tests.
const SCRIPTS_SUMDB: &str =
    "localhost.localdev/sumdb+00000c67+AcTrnkbUA+TU4heY3hkjiSES/DSQniBqIeQ/YppAUtK6";
/// This fixture's record is wrong on purpose; the script wants it served all the same.
const SCRIPTS_NO_SUMDB: &str = "example.com/dotname";

#[derive(Args)]
pub struct Options {
    /// The harness script, or the folder it lies in
    #[arg(long, value_name = "PATH", default_value = "conformance/go_scripts.py")]
    harness: PathBuf,
    /// The checksum database given to modkeep (GOSUMDB grammar)
    #[arg(long, value_name = "SPEC", default_value = SCRIPTS_SUMDB)]
    sumdb: String,
    /// Keep modkeep's data and log here instead of target/conformance
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Arguments for the harness, such as --decisive-only or --run REGEX
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(options: &Options) -> Result<()> {
    let mut harness = sh::root().join(&options.harness);
    if harness.is_dir() {
        harness = harness.join("go_scripts.py");
    }
    if !harness.is_file() {
        println!(
            "skipped: no harness at {} (name it with --harness PATH)",
            options.harness.display()
        );
        return Ok(());
    }
    if !sh::exists("python3") {
        bail!("the harness is a Python script and there is no python3 here");
    }
    server::build()?;
    let work = match &options.work {
        Some(dir) => dir.clone(),
        None => sh::target().join("conformance"),
    };
    let data = work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let settings = [
        ("MODKEEP_SUMDB", options.sumdb.as_str()),
        ("MODKEEP_NO_SUMDB", SCRIPTS_NO_SUMDB),
    ];
    let server = Server::start_with(&data, SCRIPTS_PROXY, &settings)?;
    println!("modkeep at {}", server.url);
    let done = sh::run(
        sh::command("python3")
            .arg(&harness)
            .args(["--modkeep", &server.url])
            .args(["--go-version", tools::go::VERSION, "--work"])
            .arg(sh::target().join("go-scripts"))
            .arg("--log")
            .arg(work.join("scripts.log"))
            .args(&options.rest),
    );
    server.stop()?;
    done
}
