//! The access log: one line a request, text or JSON, written by a thread of its own so that a slow
//! disk or terminal never slows an answer. Lines that do not fit the queue are counted and dropped.

use serde::Serialize;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lines that may wait.
const QUEUE: usize = 8192;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFormat {
    /// For people: `time client method path status bytes micros cache id`.
    Text,
    /// For machines: one object a line.
    Json,
}

/// One request.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub time: f64,
    pub id: String,
    pub client: String,
    pub method: String,
    pub path: String,
    pub status: u16,
    pub bytes: Option<u64>,
    pub micros: u64,
    pub cache: &'static str,
    pub agent: String,
}

/// The sending side.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl AccessLog {
    /// Starts the writing thread.
    pub fn start(format: AccessFormat, out: Box<dyn Write + Send>) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(format, out, &lines))?;
        Ok(Self {
            queue,
            dropped: Arc::default(),
        })
    }

    pub(crate) fn write(&self, line: Line) {
        if self.queue.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Unix time with microseconds.
pub(crate) fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64()
}

fn write_all(format: AccessFormat, out: Box<dyn Write + Send>, lines: &Receiver<Line>) {
    let mut out = std::io::BufWriter::with_capacity(64 << 10, out);
    while let Ok(first) = lines.recv() {
        // A log that cannot be written must not stop the server; there is nowhere to say so.
        let _ = write_line(format, &mut out, &first);
        while let Ok(next) = lines.try_recv() {
            let _ = write_line(format, &mut out, &next);
        }
        let _ = out.flush();
    }
}

fn write_line(format: AccessFormat, out: &mut impl Write, line: &Line) -> std::io::Result<()> {
    match format {
        AccessFormat::Json => {
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")
        }
        AccessFormat::Text => {
            let bytes = line.bytes.map_or_else(|| "-".to_owned(), |b| b.to_string());
            let path = line.path.escape_default();
            let Line {
                time,
                id,
                client,
                method,
                status,
                micros,
                cache,
                ..
            } = line;
            writeln!(
                out,
                "{time:.3} {client} {method} {path} {status} {bytes}B {micros}us {cache} {id}"
            )
        }
    }
}
