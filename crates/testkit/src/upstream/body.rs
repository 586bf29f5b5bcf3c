//! Answers' bodies: bytes of a tree or a file, no faster than told, and ending as told.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

/// Big enough that copying is cheap, small enough that a rate of a few MB/s flows evenly.
const CHUNK_BYTES: usize = 64 << 10;

/// Where a body's bytes come from.
pub(super) enum Content {
    Memory(Bytes),
    File(File),
    /// Zeros without end.
    Zeros,
}

/// How a body ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// After its last byte, as promised.
    Whole,
    /// After so many bytes, by waiting for ever.
    Hang(u64),
    /// After so many bytes, by closing the connection.
    Cut(u64),
}

/// A body for hyper. `length` is what the header promises, `None` for no promise.
pub(super) struct Flow {
    content: Content,
    length: Option<u64>,
    ending: Ending,
    /// Bytes a second, if bounded.
    rate: Option<u64>,
    /// The offset whose byte is spoilt.
    spoilt: Option<u64>,
    sent: u64,
    begun: Instant,
    pause: Option<Pin<Box<Sleep>>>,
    buffer: Vec<u8>,
}

impl Flow {
    pub(super) fn new(content: Content, length: Option<u64>) -> Self {
        Self {
            content,
            length,
            ending: Ending::Whole,
            rate: None,
            spoilt: None,
            sent: 0,
            begun: Instant::now(),
            pause: None,
            buffer: Vec::new(),
        }
    }

    pub(super) fn text(text: &str) -> Self {
        let length = text.len() as u64;
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        Self::new(Content::Memory(bytes), Some(length))
    }

    pub(super) fn ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    pub(super) fn rate(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    pub(super) fn spoilt(mut self, offset: u64) -> Self {
        let last = self.length.unwrap_or(0).saturating_sub(1);
        self.spoilt = Some(offset.min(last));
        self
    }

    /// Bytes that may still be sent before the ending, at most one chunk.
    fn allowance(&self) -> usize {
        let end = match self.ending {
            Ending::Whole => self.length.unwrap_or(u64::MAX),
            Ending::Hang(at) | Ending::Cut(at) => at.min(self.length.unwrap_or(u64::MAX)),
        };
        let left = end.saturating_sub(self.sent);
        let chunk = match self.rate {
            // A twentieth of a second's worth, so that slow lines trickle and do not jerk.
            Some(rate) => (rate / 20).clamp(1, CHUNK_BYTES as u64),
            None => CHUNK_BYTES as u64,
        };
        usize::try_from(left.min(chunk)).unwrap_or(CHUNK_BYTES)
    }

    fn read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        match &mut self.content {
            Content::Zeros => Poll::Ready(Ok(Bytes::from(vec![0; most]))),
            Content::Memory(bytes) => {
                let take = most.min(bytes.len());
                Poll::Ready(Ok(bytes.split_to(take)))
            }
            Content::File(file) => {
                self.buffer.resize(most, 0);
                let mut buf = ReadBuf::new(&mut self.buffer);
                ready!(Pin::new(file).poll_read(cx, &mut buf))?;
                Poll::Ready(Ok(Bytes::copy_from_slice(buf.filled())))
            }
        }
    }

    fn spoil(&self, bytes: Bytes) -> Bytes {
        let Some(at) = self.spoilt.and_then(|at| at.checked_sub(self.sent)) else {
            return bytes;
        };
        match usize::try_from(at) {
            Ok(at) if at < bytes.len() => {
                let mut own = bytes.to_vec();
                own[at] ^= 0x10;
                own.into()
            }
            _ => bytes,
        }
    }

    /// Waits until what was handed to hyper is on the wire: an error would throw it away.
    fn flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(Duration::from_millis(20))));
        pause.as_mut().poll(cx)
    }

    /// Waits until the rate allows the next byte.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rate) = self.rate else {
            return Poll::Ready(());
        };
        if self.pause.is_none() {
            #[allow(
                clippy::cast_precision_loss,
                reason = "a pause needs no exact nanosecond"
            )]
            let due = Duration::from_secs_f64(self.sent as f64 / rate as f64);
            let early = due.saturating_sub(self.begun.elapsed());
            if early.is_zero() {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(tokio::time::sleep(early)));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = None;
        Poll::Ready(())
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let most = this.allowance();
        if most == 0 {
            return match this.ending {
                Ending::Whole => Poll::Ready(None),
                Ending::Hang(_) => Poll::Pending,
                Ending::Cut(_) => {
                    ready!(this.flushed(cx));
                    Poll::Ready(Some(Err(io::Error::other("cut as told"))))
                }
            };
        }
        ready!(this.wait(cx));
        let bytes = ready!(this.read(cx, most))?;
        if bytes.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = this.spoil(bytes);
        this.sent += bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.ending, Ending::Whole) && self.length == Some(self.sent)
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.sent)),
            None => SizeHint::default(),
        }
    }
}
