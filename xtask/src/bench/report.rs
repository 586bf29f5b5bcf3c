//! The table: what was compared, both figures, the one number that counts and its target.

use std::fmt::Write as _;

use anyhow::Result;

use crate::sh;
use crate::tools::go;

/// What a figure has to be.
#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

struct Row {
    work: String,
    ours: String,
    other: String,
    figure: String,
    target: String,
    met: bool,
}

pub struct Report {
    quick: bool,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(quick: bool) -> Self {
        Self {
            quick,
            rows: Vec::new(),
        }
    }

    /// A row whose `figure` (in `unit`, empty for a ratio) has a target. Said at once, too.
    pub fn row(
        &mut self,
        work: &str,
        (ours, other): (String, String),
        (figure, unit): (f64, &str),
        target: Target,
    ) {
        let (met, sign, bound) = match target {
            Target::AtLeast(bound) => (figure >= bound, ">=", bound),
            Target::AtMost(bound) => (figure <= bound, "<=", bound),
        };
        let digits = if unit.is_empty() { 2 } else { 1 };
        let row = Row {
            work: work.to_owned(),
            ours,
            other,
            figure: format!("{figure:.digits$}{unit}"),
            target: format!("{sign} {bound}{unit}"),
            met,
        };
        println!(
            "{} {}: {} / {}, {} ({})",
            if met { "ok  " } else { "MISS" },
            row.work,
            row.ours,
            row.other,
            row.figure,
            row.target
        );
        self.rows.push(row);
    }

    /// The rows as a Markdown table, aligned for a terminal too.
    pub fn table(&self) -> String {
        let head = ["work", "modkeep", "other", "figure", "target", "met"];
        let rows: Vec<[&str; 6]> = std::iter::once(head)
            .chain(self.rows.iter().map(|row| {
                let met = if row.met { "yes" } else { "**no**" };
                [
                    &*row.work,
                    &row.ours,
                    &row.other,
                    &row.figure,
                    &row.target,
                    met,
                ]
            }))
            .collect();
        let width = |column: usize| {
            let longest = rows.iter().map(|row| row[column].chars().count()).max();
            longest.unwrap_or(0)
        };
        let widths: Vec<usize> = (0..6).map(width).collect();
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if index == 0 {
                for width in &widths {
                    let _ = write!(text, "| {} ", "-".repeat(*width));
                }
                text.push_str("|\n");
            }
        }
        text
    }

    /// docs/BENCHMARKS.md.
    pub fn document(&self, date: Option<&str>) -> Result<String> {
        let date = match date {
            Some(date) => date.to_owned(),
            None => sh::output(sh::command("date").arg("+%Y-%m-%d"))?,
        };
        let missed = self.rows.iter().filter(|row| !row.met).count();
        Ok(format!(
            "# Benchmarks\n\n\
             Written by `cargo xtask bench`; do not edit. A release build of modkeep, nginx\n\
             serving the same files and the upstream asked directly, in one run, by turns;\n\
             every figure is a median{}. Absolute numbers belong to this machine, ratios\n\
             travel. \"figure\" is modkeep's value divided by the other's unless it has a unit.\n\n\
             {} of {} targets met.\n\n{}\n\
             ## Machine\n\n{}\n\n\
             ## How\n\n\
             - Hits and zips: `wrk` over kept loopback connections (32 for small files), client\n  \
               and server sharing the cores. CPU a request is user and system time of the whole\n  \
               process tree from `/proc`, divided by wrk's count.\n\
             - nginx: `worker_processes auto`, `sendfile on`, `access_log off`, its own files on\n  \
               the same disk. modkeep: built-in settings, an upstream on loopback, `--sumdb off`,\n  \
               its log to a file.\n\
             - Cold zips and herds: a new data directory for each run. \"other\" is the upstream\n  \
               itself, asked by the same client.\n\
             - Downloads: the real go command with an empty module cache, fetching a project's\n  \
               modules; latency is added by the upstream to every request.\n\
             - Log: clients that each wait for their record before the next. \"bare file\" is the\n  \
               same clients and records, all that wait written at once and synced, without a log.\n",
            if self.quick {
                " of few short runs (--quick)"
            } else {
                ""
            },
            self.rows.len() - missed,
            self.rows.len(),
            self.table(),
            machine(date.trim()),
        ))
    }
}

fn machine(date: &str) -> String {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = file("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = file("/proc/meminfo")
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map_or(0, |kib| kib.div_ceil(1 << 20));
    let kernel = file("/proc/sys/kernel/osrelease");
    // The series says enough; the rest is the machine's owner's business.
    let kernel = kernel.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let commit =
        sh::output(sh::command("git").args(["rev-parse", "--short", "HEAD"])).unwrap_or_default();
    format!(
        "{date}, commit {}; {model}, {cores} cores, {memory} GiB, Linux {}; {}, {}, Go {}.",
        commit.trim(),
        kernel.trim(),
        version("nginx"),
        version("wrk"),
        go::VERSION
    )
}

/// The first line of `PROGRAM -v`; both write it to stderr or stdout as they please.
fn version(program: &str) -> String {
    let Ok(out) = sh::command(program).arg("-v").output() else {
        return program.to_owned();
    };
    let all = [out.stderr, out.stdout].concat();
    let text = String::from_utf8_lossy(&all);
    let line = text.lines().next().unwrap_or(program).trim();
    let line = line.strip_prefix("nginx version: ").unwrap_or(line);
    line.split(" [").next().unwrap_or(line).to_owned()
}
