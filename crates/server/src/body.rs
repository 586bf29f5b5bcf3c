//! Response bodies: small content at once, blobs block by block, growing files as they grow.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use keep::Keep;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use store::{BlobReader, SpoolError, SpoolReader, StoreError};
use tokio::task::JoinHandle;

/// A body of ours.
pub(crate) enum Reply {
    /// In memory.
    Full(Full<Bytes>),
    /// From disk.
    Blob(BlobBody),
    /// From a growing file.
    Spool(SpoolBody),
}

impl Reply {
    pub fn empty() -> Self {
        Reply::full(Bytes::new())
    }

    pub fn full(bytes: Bytes) -> Self {
        Reply::Full(Full::new(bytes))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Reply::Full(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Reply::Blob(body) => body
                .poll_next(cx)
                .map(|next| next.map(|r| r.map(Frame::data))),
            Reply::Spool(body) => body
                .poll_next(cx)
                .map(|next| next.map(|r| r.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Full(body) => body.is_end_stream(),
            Reply::Blob(body) => body.left == 0,
            Reply::Spool(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Full(body) => body.size_hint(),
            Reply::Blob(body) => SizeHint::with_exact(body.left),
            Reply::Spool(body) => body
                .left
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

type Read = (BlobReader, Result<Option<Bytes>, StoreError>);

/// Reads a blob. What the system has in memory is read at once; only the disk is waited for on
/// another thread.
pub(crate) struct BlobBody {
    keep: Keep,
    reader: Option<BlobReader>,
    waiting: Option<JoinHandle<Read>>,
    left: u64,
}

impl BlobBody {
    pub fn new(keep: Keep, reader: BlobReader) -> Self {
        Self {
            keep,
            left: reader.remaining(),
            reader: Some(reader),
            waiting: None,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(mut reader) = self.reader.take() {
            if let Some(read) = reader.next_cached() {
                return Poll::Ready(self.give(reader, read.map(Some)));
            }
            self.waiting = Some(tokio::task::spawn_blocking(move || {
                let read = reader.next_blocking();
                (reader, read)
            }));
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(waiting).poll(cx));
        self.waiting = None;
        Poll::Ready(match read {
            Ok((reader, read)) => self.give(reader, read),
            Err(_) => Some(Err(io::Error::other("the reading thread is gone"))),
        })
    }

    fn give(
        &mut self,
        reader: BlobReader,
        read: Result<Option<Bytes>, StoreError>,
    ) -> Option<io::Result<Bytes>> {
        match read {
            Ok(Some(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.reader = Some(reader);
                Some(Ok(bytes))
            }
            Ok(None) => None,
            Err(error) => {
                // The connection is cut: the client must not take this for a whole file.
                let text = error.to_string();
                let (keep, key) = (self.keep.clone(), reader.blob().key().clone());
                tokio::spawn(async move {
                    if matches!(error, StoreError::Damaged { .. }) {
                        keep.found_damaged(&key, &error).await;
                    }
                });
                Some(Err(io::Error::other(text)))
            }
        }
    }
}

type Next = (SpoolReader, Result<Option<Bytes>, SpoolError>);

/// Follows a growing file.
pub(crate) struct SpoolBody {
    next: Pin<Box<dyn Future<Output = Next> + Send>>,
    left: Option<u64>,
    ended: bool,
}

impl SpoolBody {
    pub fn new(reader: SpoolReader, total: Option<u64>) -> Self {
        Self {
            next: Box::pin(read(reader)),
            left: total,
            ended: false,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let (reader, next) = ready!(self.next.as_mut().poll(cx));
        Poll::Ready(match next {
            Ok(Some(bytes)) => {
                self.left = self.left.map(|l| l.saturating_sub(bytes.len() as u64));
                self.next = Box::pin(read(reader));
                Some(Ok(bytes))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                Some(Err(io::Error::other(error)))
            }
        })
    }
}

async fn read(mut reader: SpoolReader) -> Next {
    let next = reader.next().await;
    (reader, next)
}
