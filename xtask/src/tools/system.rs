//! Programs of the system: used when they are there, installed where that is allowed (root, on
//! Debian and its kin), named loudly when they stay missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::sh;

/// Programs that tests of version control drive, with their Debian packages.
const VERSION_CONTROL: [(&str, &str); 3] =
    [("git", "git"), ("hg", "mercurial"), ("svn", "subversion")];

/// What is missing for the tests of version control, one line each.
pub fn version_control() -> Vec<String> {
    let skipped = |(program, package): &(&str, &str)| {
        format!("skipped: {program} is missing, its tests do not run (install {package})")
    };
    // Not installed by us: on many systems that would open a port to the world.
    let sshd = Some(&("sshd", "openssh-server"))
        .filter(|_| !sh::exists("sshd") && !std::path::Path::new("/usr/sbin/sshd").is_file());
    VERSION_CONTROL
        .iter()
        .filter(|(program, package)| !sh::exists(program) && !apt(package, program))
        .chain(sshd)
        .map(skipped)
        .collect()
}

/// A program that there is no way around.
pub fn need(program: &str, package: &str) -> Result<()> {
    if sh::exists(program) || apt(package, program) {
        return Ok(());
    }
    bail!("{program} is missing: install the package {package}")
}

/// rustfmt and clippy, which a minimal toolchain lacks.
pub fn rust_components() -> Result<()> {
    for (name, args) in [
        ("rustfmt", ["fmt", "--version"]),
        ("clippy", ["clippy", "--version"]),
    ] {
        if sh::succeeds(sh::cargo().args(args)) {
            continue;
        }
        println!("installing {name}");
        if !sh::succeeds(sh::command("rustup").args(["component", "add", name])) {
            bail!("{name} is missing: rustup component add {name}");
        }
    }
    Ok(())
}

fn apt(package: &str, program: &str) -> bool {
    if !rustix::process::geteuid().is_root() || !sh::exists("apt-get") {
        return false;
    }
    println!("installing {package} with apt-get");
    let install = || apt_get(&["install", "-y", "--no-install-recommends", package]);
    (install() || (apt_get(&["update"]) && install())) && sh::exists(program)
}

fn apt_get(args: &[&str]) -> bool {
    let mut command: Command = sh::command("apt-get");
    command
        .args([
            "-q",
            "-o",
            "Acquire::http::Timeout=20",
            "-o",
            "Acquire::Retries=1",
        ])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's start scripts take this for "not the time to start a service".
        .env("RUNLEVEL", "1");
    sh::succeeds(&mut command)
}
