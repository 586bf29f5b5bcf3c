//! Many clients, one `.mod` that nobody has yet: the upstream must see one question and no zip.

use std::sync::Barrier;
use std::time::Duration;

use anyhow::{Result, anyhow};
use testkit::{Behaviour, Module, Tree, Upstream};

use super::report::Target;
use super::{Bench, http};
use crate::server::Server;

const CLIENTS: usize = 50;

pub fn run(bench: &mut Bench) -> Result<()> {
    let mut tree = Tree::new();
    tree.add(&Module::new("bench.example/herd", "v1.0.0").filler(1 << 20))?;
    let upstream = Upstream::start_blocking(tree)?;
    // Long enough that all of them ask before the first is answered.
    upstream.set(Behaviour::new().latency(Duration::from_millis(200)));
    let server = Server::start(&bench.work.join("herd"), &upstream.url())?;
    let address = server.address()?;
    let barrier = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    http::timed(address, "bench.example/herd/@v/v1.0.0.mod")
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(|_| anyhow!("a client died"))??;
        }
        anyhow::Ok(())
    })?;
    let (mods, zips) = (upstream.hits_of(".mod"), upstream.hits_of(".zip"));
    server.stop()?;
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let fetched = (mods + zips) as f64;
    bench.report.row(
        &format!("{CLIENTS} clients miss one .mod: fetches upstream"),
        (format!("{mods} .mod, {zips} .zip"), "-".to_owned()),
        (fetched, " files"),
        Target::AtMost(1.0),
    );
    Ok(())
}
