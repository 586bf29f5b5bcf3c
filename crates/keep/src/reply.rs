//! What is served.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use store::{Blob, Spool};
use tokio::time::Instant;

/// What kind of text or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `.info` and `@latest`.
    Json,
    /// `.mod`, lists, checksum database records.
    Text,
    /// Zips and tiles.
    Zip,
    /// Checksum database tiles.
    Bytes,
}

/// How long a reply stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// For ever: a file of a version.
    Forever,
    /// As long as this: a list.
    Brief(Duration),
}

/// Where a reply came from, for logs, metrics and the `Cache-Status` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// From memory or the store.
    Hit,
    /// Kept, but older than it should be.
    Stale,
    /// Fetched for this request.
    Miss,
    /// Another request was fetching it already.
    Joined,
}

/// Small content in memory.
#[derive(Debug)]
pub struct Small {
    /// The bytes.
    pub body: Bytes,
    /// What they are.
    pub media: Media,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// Until when it is fresh; `None` for ever.
    pub fresh_until: Option<Instant>,
    /// Whether shared caches may hold it.
    pub public: bool,
}

impl Small {
    /// How long a cache may hold it from now on.
    pub fn lifetime(&self) -> Lifetime {
        match self.fresh_until {
            None => Lifetime::Forever,
            Some(until) => Lifetime::Brief(until.saturating_duration_since(Instant::now())),
        }
    }
}

/// The bytes of a reply.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Small(Arc<Small>),
    /// On disk.
    Blob {
        /// The checked content.
        blob: Arc<Blob>,
        /// The entity tag, with its quotes.
        etag: String,
        /// Whether shared caches may hold it.
        public: bool,
    },
    /// Still arriving.
    Growing(Spool),
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its bytes.
    pub content: Content,
    /// Where they came from.
    pub origin: Origin,
}

/// The entity tag of content with this SHA-256: half of it is plenty to tell two contents apart.
pub(crate) fn etag(sha256: &[u8; 32]) -> String {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in &sha256[..16] {
        for digit in [byte >> 4, byte & 15] {
            tag.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    tag.push('"');
    tag
}
