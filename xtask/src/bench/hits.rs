//! What is kept, against nginx.

use std::time::Duration;

use anyhow::Result;
use testkit::Behaviour;

use super::fixture::{Fixture, MANY, SIZES, zip_path};
use super::report::Target;
use super::{Bench, alternate, median, wrk};

/// Connections of a load on small files.
const CONNECTIONS: usize = 32;
/// Clients that ask lists while `.info` is measured.
const LIST_CLIENTS: usize = 40;

/// How far away the upstream of lists that nobody has asked for yet is.
const FAR: Duration = Duration::from_millis(200);
/// For wrk: every request asks for another list.
const NEW_LISTS: &str = "\
local n = 0
request = function()
  n = n + 1
  return wrk.format('GET', '/bench.example/unknown' .. n .. '/@v/list')
end
";

/// `.info`, `.mod`, lists, `@latest`: requests a second and CPU time of each.
pub fn small(bench: &mut Bench, fixture: &Fixture) -> Result<()> {
    let files = [
        (".info", "bench.example/small/@v/v1.1.0.info".to_owned()),
        (".mod", "bench.example/small/@v/v1.1.0.mod".to_owned()),
        ("list of 3", "bench.example/small/@v/list".to_owned()),
        (
            &*format!("list of {MANY}"),
            "bench.example/many/@v/list".to_owned(),
        ),
        ("@latest", "bench.example/small/@latest".to_owned()),
    ];
    let seconds = if bench.quick { 1 } else { 2 };
    for (name, path) in &files {
        let (ours, theirs) = fixture.urls(path);
        let (mut our_cpu, mut their_cpu) = (Vec::new(), Vec::new());
        let (a, b) = alternate(
            bench.rounds(),
            || {
                let pid = fixture.modkeep.pid();
                let (load, cpu) = wrk::run_with_cpu(&ours, pid, CONNECTIONS, seconds)?;
                our_cpu.push(cpu);
                Ok(load.requests_per_s)
            },
            || {
                let pid = fixture.nginx.pid();
                let (load, cpu) = wrk::run_with_cpu(&theirs, pid, CONNECTIONS, seconds)?;
                their_cpu.push(cpu);
                Ok(load.requests_per_s)
            },
        )?;
        let floor = if name.starts_with('.') { 1.0 } else { 0.9 };
        bench.report.row(
            &format!("hit {name}, {CONNECTIONS} connections"),
            (format!("{a:.0}/s"), format!("nginx {b:.0}/s")),
            (a / b, ""),
            Target::AtLeast(floor),
        );
        let (a, b) = (median(our_cpu), median(their_cpu));
        bench.report.row(
            &format!("hit {name}: CPU a request"),
            (format!("{a:.1} us"), format!("nginx {b:.1} us")),
            (a / b, ""),
            Target::AtMost(1.0),
        );
    }
    Ok(())
}

/// Zips of every size.
pub fn zips(bench: &mut Bench, fixture: &Fixture) -> Result<()> {
    for (name, bytes, connections) in SIZES {
        let (ours, theirs) = fixture.urls(&zip_path(bytes));
        let seconds = match (bench.quick, bytes > 4 << 20) {
            (true, false) => 1,
            (false, true) => 4,
            _ => 2,
        };
        let (a, b) = alternate(
            bench.rounds(),
            || Ok(wrk::run(&ours, connections, seconds)?.bytes_per_s / 1e6),
            || Ok(wrk::run(&theirs, connections, seconds)?.bytes_per_s / 1e6),
        )?;
        bench.report.row(
            &format!("hit zip {name}, {connections} connections"),
            (format!("{a:.0} MB/s"), format!("nginx {b:.0} MB/s")),
            (a / b, ""),
            Target::AtLeast(0.9),
        );
    }
    Ok(())
}

/// What is left of `.info`'s rate while others ask lists; nginx shows what sharing the CPU costs.
pub fn lists(bench: &mut Bench, fixture: &Fixture) -> Result<()> {
    let seconds = if bench.quick { 1 } else { 2 };
    let (info, nginx_info) = fixture.urls("bench.example/small/@v/v1.1.0.info");
    let (list, nginx_list) = fixture.urls("bench.example/many/@v/list");
    let left = |info: &str, list: &str| -> Result<f64> {
        let alone = wrk::run(info, CONNECTIONS, seconds)?;
        let mut others = wrk::background(list, LIST_CLIENTS, seconds + 1)?;
        std::thread::sleep(std::time::Duration::from_millis(300));
        let beside = wrk::run(info, CONNECTIONS, seconds);
        others.wait()?;
        Ok(beside?.requests_per_s / alone.requests_per_s)
    };
    let (a, b) = alternate(
        bench.rounds(),
        || left(&info, &list),
        || left(&nginx_info, &nginx_list),
    )?;
    bench.report.row(
        &format!(".info left while {LIST_CLIENTS} clients ask a list of {MANY}"),
        (
            format!("{:.0} %", a * 100.0),
            format!("nginx {:.0} %", b * 100.0),
        ),
        (a / b, ""),
        Target::AtLeast(0.9),
    );
    lists_from_afar(bench, fixture, seconds)
}

/// The same while every list asked for is a new one and its upstream far away: those clients
/// wait, and nobody else should.
fn lists_from_afar(bench: &mut Bench, fixture: &Fixture, seconds: u64) -> Result<()> {
    fixture
        .upstream
        .on("/unknown", Behaviour::new().latency(FAR));
    let (info, _) = fixture.urls("bench.example/small/@v/v1.1.0.info");
    let script = bench.work.join("lists.lua");
    std::fs::write(&script, NEW_LISTS)?;
    let mut left = Vec::new();
    for _ in 0..bench.rounds() {
        let alone = wrk::run(&info, CONNECTIONS, seconds)?;
        let mut others = wrk::scripted(&fixture.modkeep.url, LIST_CLIENTS, seconds + 1, &script)?;
        std::thread::sleep(Duration::from_millis(300));
        let beside = wrk::run(&info, CONNECTIONS, seconds);
        others.wait()?;
        left.push(beside?.requests_per_s / alone.requests_per_s);
    }
    fixture.upstream.heal();
    let left = median(left);
    bench.report.row(
        &format!(
            ".info left while {LIST_CLIENTS} clients ask new lists {} ms away",
            FAR.as_millis()
        ),
        (format!("{:.0} %", left * 100.0), "alone 100 %".to_owned()),
        (left, ""),
        Target::AtLeast(0.9),
    );
    Ok(())
}
