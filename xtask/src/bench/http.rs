//! The smallest client that can time a first byte, and a wide one that fills a store.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// When the body of one answer began and ended, from the moment of connecting.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub first_byte: Duration,
    pub end: Duration,
    pub body_bytes: u64,
}

/// One request on its own connection; anything but 200 and a whole body is an error.
pub fn timed(address: SocketAddr, path: &str) -> Result<Timing> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let body_at = loop {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "{path}: closed within the head");
        head.extend_from_slice(&buffer[..n]);
        if let Some(at) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut body_bytes = (head.len() - body_at) as u64;
    let mut first_byte = (body_bytes > 0).then(|| begun.elapsed());
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        first_byte.get_or_insert_with(|| begun.elapsed());
        body_bytes += n as u64;
    }
    let end = begun.elapsed();
    check(&head[..body_at], body_bytes).with_context(|| path.to_owned())?;
    Ok(Timing {
        first_byte: first_byte.unwrap_or(end),
        end,
        body_bytes,
    })
}

fn check(head: &[u8], body_bytes: u64) -> Result<()> {
    let head = String::from_utf8_lossy(head);
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200"), "{status}");
    let promised = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<u64>().ok());
    if let Some(promised) = promised {
        ensure!(promised == body_bytes, "{body_bytes} of {promised} bytes");
    }
    Ok(())
}

/// Asks for every path once, 32 at a time.
pub fn get_all(base: &str, paths: Vec<String>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(120))
        .build()?;
    let paths = Arc::new(std::sync::Mutex::new(paths));
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (client, base, paths) = (client.clone(), base.to_owned(), Arc::clone(&paths));
            tasks.spawn(async move {
                loop {
                    let next = paths.lock().ok().and_then(|mut paths| paths.pop());
                    let Some(path) = next else {
                        return Ok(());
                    };
                    let answer = client.get(format!("{base}/{path}")).send().await?;
                    let status = answer.status();
                    let body = answer.bytes().await?;
                    if !status.is_success() {
                        bail!("{path}: {status}: {}", String::from_utf8_lossy(&body));
                    }
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok(())
    })
}
