//! What a process and its children have used, from `/proc`.

use std::collections::HashMap;

use anyhow::{Context, Result};

/// CPU time of a process tree so far, in microseconds. `/proc` counts in ticks of 10 ms on every
/// Linux that Rust supports (`USER_HZ` is 100), so measure over seconds.
pub fn cpu_us(pid: u32) -> Result<f64> {
    const TICK_US: f64 = 10_000.0;
    let ticks: u64 = tree(pid)?
        .into_iter()
        .filter_map(|pid| fields(pid).ok())
        .map(|fields| number(&fields, 11) + number(&fields, 12))
        .sum();
    #[allow(clippy::cast_precision_loss, reason = "ticks of a benchmark are few")]
    Ok(ticks as f64 * TICK_US)
}

/// The most memory that a process has had resident, in MiB.
pub fn peak_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// The same for a whole tree.
pub fn tree_peak_mib(pid: u32) -> Result<f64> {
    tree(pid)?.into_iter().map(peak_mib).sum()
}

fn tree(root: u32) -> Result<Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Ok(fields) = fields(pid)
            && let Ok(parent) = u32::try_from(number(&fields, 1))
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let more = children.remove(pid).unwrap_or_default();
        all.extend(more);
        next += 1;
    }
    Ok(all)
}

/// The fields of `/proc/PID/stat` after the name, which may itself hold blanks and brackets:
/// state is 0, the parent 1, user time 11, system time 12.
fn fields(pid: u32) -> Result<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

fn number(fields: &[String], index: usize) -> u64 {
    fields.get(index).and_then(|f| f.parse().ok()).unwrap_or(0)
}
