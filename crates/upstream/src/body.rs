//! The bytes of an answer, with a watch on their pace.

use crate::failure::{Failure, causes};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

/// Bytes read from a file at once.
const READ: usize = 64 << 10;

/// A body that is being read.
#[derive(Debug)]
pub struct Body {
    from: From,
}

#[derive(Debug)]
enum From {
    Http {
        answer: reqwest::Response,
        who: String,
        pace: Pace,
    },
    File(tokio::fs::File),
    Whole(Option<Bytes>),
}

/// A window of time in which a minimum must arrive.
#[derive(Debug)]
struct Pace {
    window: Duration,
    least: u64,
    ends: Instant,
    seen: u64,
}

impl Body {
    pub(crate) fn http(
        answer: reqwest::Response,
        who: String,
        window: Duration,
        least: u64,
    ) -> Self {
        let pace = Pace {
            window,
            least,
            ends: Instant::now() + window,
            seen: 0,
        };
        Self {
            from: From::Http { answer, who, pace },
        }
    }

    pub(crate) fn file(file: tokio::fs::File) -> Self {
        Self {
            from: From::File(file),
        }
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self {
            from: From::Whole(Some(bytes)),
        }
    }

    /// The next bytes; `None` at the proper end. A cut body is a failure, a crawling one too.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match &mut self.from {
            From::Http { answer, who, pace } => pace.next(answer, who).await,
            From::Whole(bytes) => Ok(bytes.take().filter(|b| !b.is_empty())),
            From::File(file) => {
                let mut buffer = BytesMut::with_capacity(READ);
                let n = file
                    .read_buf(&mut buffer)
                    .await
                    .map_err(|e| Failure::Failed(format!("file: {e}")))?;
                Ok((n > 0).then(|| buffer.freeze()))
            }
        }
    }
}

impl Pace {
    async fn next(
        &mut self,
        answer: &mut reqwest::Response,
        who: &str,
    ) -> Result<Option<Bytes>, Failure> {
        loop {
            match tokio::time::timeout_at(self.ends, answer.chunk()).await {
                Ok(Ok(chunk)) => {
                    self.seen += chunk.as_ref().map_or(0, |c| c.len() as u64);
                    return Ok(chunk);
                }
                Ok(Err(e)) => {
                    return Err(Failure::Failed(format!(
                        "{who}: the answer was cut: {}",
                        causes(e)
                    )));
                }
                Err(_) if self.seen < self.least => {
                    let secs = self.window.as_secs_f32();
                    return Err(Failure::TimedOut(format!(
                        "{who}: crawling, {} bytes in {secs} s",
                        self.seen
                    )));
                }
                Err(_) => {
                    self.ends = Instant::now() + self.window;
                    self.seen = 0;
                }
            }
        }
    }
}
