//! A relayed checksum database: kept answers against nginx, and what being checked costs a download.

use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gomod::h1::hash_mod;
use gomod::zip::hash_zip;
use testkit::{Behaviour, MemLog, Upstream, tree};
use tlog::tile::{HEIGHT, new_tiles};

use super::download::go;
use super::nginx::Nginx;
use super::report::Target;
use super::{Bench, alternate, http, wrk};
use crate::server::Server;
use crate::sh;

const NAME: &str = "sum.bench.example";

/// Modules of the generated project, and the records of others before theirs.
const MODULES: usize = 36;
const OTHERS: usize = 20_000;

/// How far away the upstream is that a project is downloaded from.
const FAR: Duration = Duration::from_millis(100);

const CONNECTIONS: usize = 32;

pub fn run(bench: &mut Bench) -> Result<()> {
    let root = bench.work.join("sumdb-tree");
    let dir = bench.work.join("sumdb-project");
    std::fs::create_dir_all(&dir)?;
    let (key, lookup) = generate(&root, &dir)?;
    let upstream = Upstream::start_blocking(std::fs::canonicalize(&root)?.as_path())?;
    hits(bench, &root, &upstream, &key, &lookup)?;
    checked(bench, &dir, &upstream, &key)
}

/// Writes a proxy's tree and its relay of a database; the key, and the path of one lookup.
fn generate(root: &Path, dir: &Path) -> Result<(String, String)> {
    let mut project = tree::project(MODULES)?;
    let mut log = MemLog::new(NAME, [1; 32])?;
    for n in 0..OTHERS {
        log.append(&format!("other.example/m v1.0.{n} h1:x\n"));
    }
    for (path, version) in &project.modules {
        let base = format!("{}/@v/{}", tree::escape(path), tree::escape(version));
        let file = |ending: &str| {
            let bytes = project.tree.get(&format!("{base}.{ending}"));
            bytes.cloned().context("a file of the project")
        };
        let zip = hash_zip(Cursor::new(file("zip")?))?.to_string();
        log.add(path, version, &zip, &hash_mod(&file("mod")?).to_string());
    }
    let mut put = |path: String| {
        if let Some(bytes) = log.answer(&path, false) {
            project.tree.put(&format!("sumdb/{NAME}/{path}"), bytes);
        }
    };
    ["supported", "latest"]
        .map(str::to_owned)
        .into_iter()
        .for_each(&mut put);
    let mut lookup = String::new();
    for (path, version) in &project.modules {
        lookup = format!("lookup/{}@{}", tree::escape(path), tree::escape(version));
        put(lookup.clone());
    }
    new_tiles(HEIGHT, 0, log.size())
        .iter()
        .map(|t| t.path())
        .for_each(put);
    project.tree.write_to(root)?;
    std::fs::write(dir.join("go.mod"), &project.go_mod)?;
    Ok((log.vkey(), format!("sumdb/{NAME}/{lookup}")))
}

fn settings(key: &str) -> [(&str, &str); 2] {
    [("MODKEEP_SUMDB", key), ("MODKEEP_VERIFY", "strict")]
}

fn hits(
    bench: &mut Bench,
    root: &Path,
    upstream: &Upstream,
    key: &str,
    lookup: &str,
) -> Result<()> {
    let server = Server::start_with(&bench.work.join("sumdb"), &upstream.url(), &settings(key))?;
    let nginx = Nginx::start(&bench.work, root)?;
    let tile = format!("sumdb/{NAME}/tile/8/0/000");
    let seconds = if bench.quick { 1 } else { 2 };
    for (name, path) in [("lookup", lookup), ("tile", tile.as_str())] {
        http::get_all(&server.url, vec![path.to_owned(); 2])?;
        let (ours, theirs) = (
            format!("{}/{path}", server.url),
            format!("{}/{path}", nginx.url),
        );
        let (a, b) = alternate(
            bench.rounds(),
            || Ok(wrk::run(&ours, CONNECTIONS, seconds)?.requests_per_s),
            || Ok(wrk::run(&theirs, CONNECTIONS, seconds)?.requests_per_s),
        )?;
        bench.report.row(
            &format!("hit sumdb {name}, {CONNECTIONS} connections"),
            (format!("{a:.0}/s"), format!("nginx {b:.0}/s")),
            (a / b, ""),
            Target::AtLeast(0.9),
        );
    }
    server.stop()?;
    nginx.stop()
}

/// A cold download with every file proved before it is served, and with nothing checked.
fn checked(bench: &mut Bench, dir: &Path, upstream: &Upstream, key: &str) -> Result<()> {
    let rounds = if bench.quick { 2 } else { 7 };
    let data = bench.work.join("sumdb-cold");
    for far in [Duration::ZERO, FAR] {
        upstream.set(Behaviour::new().latency(far));
        let cold = |settings: &[(&str, &str)]| -> Result<f64> {
            for old in [&data, &dir.join("modcache")] {
                if old.exists() {
                    std::fs::remove_dir_all(old)?;
                }
            }
            let server = Server::start_with(&data, &upstream.url(), settings)?;
            let mut command = go(dir, &server.url)?;
            rustix::fs::sync();
            let begun = Instant::now();
            sh::run(command.args(["mod", "download"]))?;
            let took = begun.elapsed().as_secs_f64();
            server.stop()?;
            Ok(took)
        };
        let (a, b) = alternate(
            rounds,
            || cold(&settings(key)),
            || cold(&[("MODKEEP_SUMDB", "off")]),
        )?;
        let added = (a - b) * 1e3 / MODULES as f64;
        bench.report.row(
            &format!(
                "go mod download, cold, all proved, upstream {} ms away: {added:+.1} ms a module",
                far.as_millis()
            ),
            (format!("{a:.2} s"), format!("unchecked {b:.2} s")),
            (a / b, ""),
            Target::AtMost(1.1),
        );
    }
    Ok(())
}
