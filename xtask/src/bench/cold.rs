//! A zip that is not kept yet: how much later than from the upstream its first byte comes.

use anyhow::{Result, ensure};
use testkit::{Behaviour, Module, Tree, Upstream};

use super::report::Target;
use super::{Bench, http, median};
use crate::server::Server;

pub fn run(bench: &mut Bench) -> Result<()> {
    let slow = Behaviour::new().bytes_per_second(4_000_000);
    one(bench, "16 MiB over 4 MB/s", 16 << 20, slow)?;
    one(bench, "100 MiB, fast upstream", 100 << 20, Behaviour::new())
}

fn one(bench: &mut Bench, name: &str, bytes: usize, behaviour: Behaviour) -> Result<()> {
    const PATH: &str = "bench.example/cold/@v/v1.0.0.zip";
    let mut tree = Tree::new();
    tree.add(&Module::new("bench.example/cold", "v1.0.0").filler(bytes))?;
    // From disk, as a static server has it: out of memory 100 MiB would come faster than any
    // disk can take them.
    let root = bench.work.join("cold-tree");
    tree.write_to(&root)?;
    drop(tree);
    let upstream = Upstream::start_blocking(root.as_path())?;
    upstream.set(behaviour);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let rounds = if bench.quick { 1 } else { 5 };
    for _ in 0..rounds {
        let data = bench.work.join("cold");
        let server = Server::start(&data, &upstream.url())?;
        let through = http::timed(server.address()?, PATH)?;
        server.stop()?;
        std::fs::remove_dir_all(&data)?;
        let straight = http::timed(upstream.address(), PATH)?;
        ensure!(
            through.body_bytes == straight.body_bytes,
            "not the same zip"
        );
        ours.push(through);
        theirs.push(straight);
    }
    let first = |all: &[http::Timing]| {
        median(
            all.iter()
                .map(|t| t.first_byte.as_secs_f64() * 1e3)
                .collect(),
        )
    };
    let end = |all: &[http::Timing]| median(all.iter().map(|t| t.end.as_secs_f64()).collect());
    let (a, b) = (first(&ours), first(&theirs));
    bench.report.row(
        &format!("cold zip, {name}: first byte"),
        (format!("{a:.1} ms"), format!("upstream {b:.1} ms")),
        (a - b, " ms later"),
        Target::AtMost(50.0),
    );
    let (a, b) = (end(&ours), end(&theirs));
    bench.report.row(
        &format!("cold zip, {name}: end"),
        (format!("{a:.2} s"), format!("upstream {b:.2} s")),
        (a / b, ""),
        Target::AtMost(1.3),
    );
    Ok(())
}
