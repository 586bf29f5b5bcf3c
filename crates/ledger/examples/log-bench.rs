//! What `cargo xtask bench log` runs, built for speed: one measurement per call, its result as one
//! line of JSON.
//!
//! ```text
//! log-bench append DIR CLIENTS SECONDS [WITNESS]   a log, each client waits for its record
//! log-bench bare DIR CLIENTS SECONDS               the same clients, a file and a sync, no log
//! log-bench build DIR RECORDS                      a log of many records
//! log-bench scale DIR LOOKUPS                      what such a log needs
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ledger::{Ledger, NewRecord, Options};
use tlog::note::Signer;
use tokio::sync::{mpsc, oneshot};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match args[..] {
        ["append", dir, clients, seconds] => append(dir, None, number(clients), number(seconds)),
        ["append", dir, clients, seconds, witness] => {
            append(dir, Some(witness), number(clients), number(seconds));
        }
        ["bare", dir, clients, seconds] => bare(dir, number(clients), number(seconds)),
        ["build", dir, records] => build(dir, number(records)),
        ["scale", dir, lookups] => scale(dir, number(lookups)),
        _ => panic!("see the head of this file"),
    }
}

fn options(dir: &str) -> Options {
    let signer = Signer::from_seed("bench.example/log", &[7; 32]).unwrap();
    Options::new(dir, signer)
}

/// Looks like a public module's record: about 150 bytes.
fn record(n: u64) -> NewRecord {
    let (module, version) = coordinate(n);
    let sum = |salt: u64| {
        let mixed = (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!("h1:{mixed:016x}{n:027x}=")
    };
    NewRecord::go_sum(&module, &version, &sum(1), &sum(2)).unwrap()
}

fn coordinate(n: u64) -> (String, String) {
    let module = format!("github.com/owner{}/project{}", n % 9973, n % 99_991);
    (module, format!("v1.{}.{}", n / 1000, n % 1000))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().build().unwrap()
}

/// Runs clients that each do one thing after the other, and prints how often and how long.
fn clients<F, D>(count: u64, seconds: u64, act: F)
where
    F: Fn(u64) -> D + Clone + Send + 'static,
    D: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut times: Vec<Duration> = runtime().block_on(async {
        let clients: Vec<_> = (0..count)
            .map(|_| {
                let (next, act) = (Arc::clone(&next), act.clone());
                tokio::spawn(async move {
                    let mut times = Vec::new();
                    while Instant::now() < end {
                        let begin = Instant::now();
                        act(next.fetch_add(1, Ordering::Relaxed)).await;
                        times.push(begin.elapsed());
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for client in clients {
            times.extend(client.await.unwrap());
        }
        times
    });
    let took = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    println!(
        "{{\"per_second\": {:.1}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}}}",
        times.len() as f64 / took,
        millis(&times, 50),
        millis(&times, 99)
    );
}

fn millis(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1000.0
}

fn append(dir: &str, witness: Option<&str>, count: u64, seconds: u64) {
    let mut options = options(dir);
    options.witness = witness.map(Into::into);
    let ledger = Arc::new(Ledger::create(options).unwrap());
    clients(count, seconds, move |n| {
        let ledger = Arc::clone(&ledger);
        async move {
            ledger.append(vec![record(n)]).await.unwrap();
        }
    });
}

/// As many records as wait, in one write and one sync: what a disk gives at best.
fn bare(dir: &str, count: u64, seconds: u64) {
    std::fs::create_dir_all(dir).unwrap();
    let mut file = File::create(Path::new(dir).join("bare")).unwrap();
    let (queue, mut waiting) = mpsc::channel::<(NewRecord, oneshot::Sender<()>)>(4096);
    let writer = std::thread::spawn(move || {
        while let Some(first) = waiting.blocking_recv() {
            let mut group = vec![first];
            while let Ok(next) = waiting.try_recv() {
                group.push(next);
            }
            let bytes: Vec<u8> = group.iter().flat_map(|(r, _)| r.text().bytes()).collect();
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
            for (_, reply) in group {
                let _ = reply.send(());
            }
        }
    });
    clients(count, seconds, move |n| {
        let queue = queue.clone();
        async move {
            let (reply, done) = oneshot::channel();
            queue.send((record(n), reply)).await.unwrap();
            done.await.unwrap();
        }
    });
    writer.join().unwrap();
}

fn build(dir: &str, records: u64) {
    let begin = Instant::now();
    let ledger = ledger::build(options(dir), (0..records).map(|n| Ok(record(n)))).unwrap();
    assert_eq!(ledger.reader().head().size, records);
    ledger.close();
    println!("{{\"seconds\": {:.1}}}", begin.elapsed().as_secs_f64());
}

fn scale(dir: &str, lookups: u64) {
    let begin = Instant::now();
    let ledger = Ledger::open(options(dir)).unwrap();
    let open = begin.elapsed().as_secs_f64() * 1000.0;
    let size = ledger.reader().head().size;
    let mut times = Vec::new();
    // Twice the same: the second time is warm.
    for _ in 0..2 {
        times.clear();
        let mut n = 1_u64;
        for _ in 0..lookups {
            n = n
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let id = (n >> 20) % size;
            let (module, version) = coordinate(id);
            let begin = Instant::now();
            let found = ledger.reader().lookup(&module, &version).unwrap();
            times.push(begin.elapsed());
            assert_eq!(found.unwrap().id, id);
        }
    }
    times.sort_unstable();
    let begin = Instant::now();
    let id = ledger.append_blocking(vec![record(size)]).unwrap()[0];
    let appended = begin.elapsed().as_secs_f64() * 1000.0;
    ledger.reader().prove_inclusion(id, size + 1).unwrap();
    println!(
        "{{\"open_ms\": {open:.1}, \"lookup_p50_ms\": {:.4}, \"lookup_p99_ms\": {:.4}, \
         \"append_ms\": {appended:.2}, \"resident_mib\": {:.1}}}",
        millis(&times, 50),
        millis(&times, 99),
        resident_mib()
    );
}

/// The most that was ever resident.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(f64::NAN)
        / 1024.0
}
