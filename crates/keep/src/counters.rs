//! What is counted, as plain atomics: the server turns them into metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.plus(1);
    }

    /// So many more.
    pub fn plus(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of one keep.
#[derive(Debug, Default)]
pub struct Counters {
    /// Files kept.
    pub kept: Counter,
    /// Their bytes.
    pub kept_bytes: Counter,
    /// Answers refused because a check failed.
    pub check_failed: Counter,
    /// Stored bytes found damaged.
    pub damaged: Counter,
    /// Damaged files mended by a new fetch.
    pub repaired: Counter,
    /// Answers that differ from what is kept.
    pub differs: Counter,
    /// Records appended to our own log.
    pub logged: Counter,
    /// Heads of our own log that did not get enough cosignatures in time.
    pub log_short: Counter,
    /// Alarms raised.
    pub alarms: Counter,
    /// Small files asked for ahead of the client.
    pub ahead_asked: Counter,
    /// Of these, brought.
    pub ahead_brought: Counter,
    /// Of these, not to be had.
    pub ahead_failed: Counter,
    /// Not asked for, because too many were waiting.
    pub ahead_dropped: Counter,
    /// Lists and the like refreshed in the background.
    pub refreshed: Counter,
    /// Refreshes that failed.
    pub refresh_failed: Counter,
}
