//! wrk, run and read.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::process;
use crate::sh;

/// One run's result.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests: f64,
    pub requests_per_s: f64,
    pub bytes_per_s: f64,
}

/// A run against `url`.
pub fn run(url: &str, connections: usize, seconds: u64) -> Result<Load> {
    let text = sh::output(&mut command(url, connections, seconds))?;
    read(&text).with_context(|| format!("wrk {url}:\n{text}"))
}

/// The same, with the server's CPU time for each request in microseconds.
pub fn run_with_cpu(url: &str, pid: u32, connections: usize, seconds: u64) -> Result<(Load, f64)> {
    let before = process::cpu_us(pid)?;
    let load = run(url, connections, seconds)?;
    let after = process::cpu_us(pid)?;
    Ok((load, (after - before) / load.requests.max(1.0)))
}

/// A load in the background, for what is measured beside it.
pub fn background(url: &str, connections: usize, seconds: u64) -> Result<Child> {
    command(url, connections, seconds)
        .stdout(Stdio::null())
        .spawn()
        .context("could not start wrk")
}

/// The same with requests made by a Lua script; their statuses do not matter.
pub fn scripted(url: &str, connections: usize, seconds: u64, script: &Path) -> Result<Child> {
    command(url, connections, seconds)
        .arg("-s")
        .arg(script)
        .stdout(Stdio::null())
        .spawn()
        .context("could not start wrk")
}

fn command(url: &str, connections: usize, seconds: u64) -> Command {
    let mut command = sh::command("wrk");
    // Two threads: one would itself be the limit, and hide which server is the faster one.
    command
        .args(["-t2", "--timeout", "30s"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .arg(url);
    command
}

fn read(text: &str) -> Result<Load> {
    if let Some(bad) = text
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        bail!("{}", bad.trim());
    }
    let after = |label: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .map(str::trim)
            .with_context(|| format!("no {label}"))
    };
    let requests = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .context("no count")?
        .0
        .parse()?;
    Ok(Load {
        requests,
        requests_per_s: after("Requests/sec:")?.parse()?,
        bytes_per_s: bytes(after("Transfer/sec:")?)?,
    })
}

fn bytes(text: &str) -> Result<f64> {
    let units = [("GB", 30), ("MB", 20), ("KB", 10), ("B", 0)];
    for (unit, shift) in units {
        if let Some(number) = text.strip_suffix(unit) {
            let number: f64 = number.parse()?;
            return Ok(number * f64::from(1_u32 << shift));
        }
    }
    bail!("{text}: not a size")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::read;

    const GOOD: &str = "\
Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  60000 requests in 2.00s, 15.62MB read
Requests/sec:  30000.50
Transfer/sec:      7.50MB
";

    #[test]
    fn a_report_is_read() {
        let load = read(GOOD).unwrap();
        assert!((load.requests - 60_000.0).abs() < 0.1);
        assert!((load.requests_per_s - 30_000.5).abs() < 0.1);
        assert!((load.bytes_per_s - 7.5 * 1048576.0).abs() < 0.1);
    }

    #[test]
    fn answers_that_are_not_200_spoil_a_run() {
        let bad = format!("{GOOD}  Non-2xx or 3xx responses: 12\n");
        assert!(read(&bad).is_err());
    }
}
