//! A client must keep pace: ask something, and take what it asked for.
//!
//! HTTP/1 has its own watches: hyper's for the head of a request, [`crate::stall`]'s for a socket
//! that takes nothing. Neither sees an HTTP/2 client that answers every ping and never allows a byte
//! of a body, nor one that opens a connection and says nothing that tells which protocol it speaks.
//! Each body notes here since when it has been waiting for its client, and a connection whose client
//! lets one wait too long is cut.

use crate::body::Reply;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Bodies remembered before those that have ended are forgotten, at the least.
const FORGET_FROM: usize = 64;

/// What a connection's client is doing.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    bodies: Mutex<Bodies>,
    /// Requests that have no answer yet.
    unanswered: AtomicUsize,
    /// Milliseconds after `start` of the last request that came or body that ended; 0 before the
    /// first.
    last: AtomicU64,
    multiplexed: AtomicBool,
}

/// The bodies under way, and some that have ended.
#[derive(Debug)]
struct Bodies {
    all: Vec<Weak<Since>>,
    /// So many before the ended ones are looked for: twice those that lived the last time.
    forget_at: usize,
}

/// Milliseconds after the start since when a body waits for its client, plus one; 0: it does not.
type Since = AtomicU64;

impl Pace {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            bodies: Mutex::new(Bodies {
                all: Vec::new(),
                forget_at: FORGET_FROM,
            }),
            unanswered: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        })
    }

    /// A request has come; it is being answered until the result is dropped or has its body.
    pub fn asked(self: &Arc<Self>, version: hyper::Version) -> Asked {
        if version == hyper::Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        self.last.store(self.now(), Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        Asked(Arc::clone(self))
    }

    fn begin(self: &Arc<Self>) -> Waiting {
        let since = Arc::new(Since::new(self.now()));
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        if bodies.all.len() >= bodies.forget_at {
            bodies.all.retain(|b| b.strong_count() > 0);
            bodies.forget_at = FORGET_FROM.max(bodies.all.len() * 2);
        }
        bodies.all.push(Arc::downgrade(&since));
        Waiting {
            pace: Arc::clone(self),
            since,
        }
    }

    /// Waits until the client has fallen behind: no request at all, or a body that it does not take,
    /// or nothing to do over HTTP/2 for longer than well-behaved clients keep an idle connection.
    pub async fn lost(&self, limit: Duration) {
        let look = (limit / 4).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(look).await;
            if self.is_behind(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)) {
                return;
            }
        }
    }

    fn is_behind(&self, limit: u64) -> bool {
        let now = self.now();
        let last = self.last.load(Ordering::Relaxed);
        if last == 0 {
            return now > limit;
        }
        if !self.multiplexed.load(Ordering::Relaxed) {
            return false;
        }
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.all.retain(|b| b.strong_count() > 0);
        if bodies.all.is_empty() {
            // The go command keeps an idle connection for 90 s: twice the usual minute lets it be
            // the one that closes it.
            let idle = self.unanswered.load(Ordering::Relaxed) == 0;
            return idle && now.saturating_sub(last) > limit.saturating_mul(2);
        }
        let mut waiting = bodies.all.iter().filter_map(Weak::upgrade);
        waiting.any(|since| match since.load(Ordering::Relaxed) {
            0 => false,
            since => now.saturating_sub(since) > limit,
        })
    }

    /// Never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// A body and since when it waits for its client.
pub(crate) struct Paced {
    body: Reply,
    since: Option<Waiting>,
}

/// A request that is being answered.
pub(crate) struct Asked(Arc<Pace>);

impl Asked {
    /// The answer's body, watched where the socket alone does not tell.
    pub fn watch(&self, body: Reply) -> Paced {
        let watched = self.0.multiplexed.load(Ordering::Relaxed);
        Paced {
            body,
            since: watched.then(|| self.0.begin()),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Waiting {
    pace: Arc<Pace>,
    since: Arc<Since>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pace.last.store(self.pace.now(), Ordering::Relaxed);
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(Waiting { pace, since }) = &self.since {
            // Pending is our own or the upstream's slowness; a frame is the client's to take before
            // it is asked for the next.
            let from = if polled.is_pending() { 0 } else { pace.now() };
            since.store(from, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    async fn is_lost(pace: &Pace, within: u64) -> bool {
        tokio::time::timeout(Duration::from_secs(within), pace.lost(LIMIT))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_asks_nothing_is_lost() {
        assert!(is_lost(&Pace::new(), 80).await);
        let pace = Pace::new();
        drop(pace.asked(hyper::Version::HTTP_11));
        assert!(!is_lost(&pace, 10_000).await, "hyper watches over HTTP/1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_a_body_is_lost_and_one_that_waits_for_us_is_not() {
        let pace = Pace::new();
        let asked = pace.asked(hyper::Version::HTTP_2);
        assert!(!is_lost(&pace, 10_000).await);
        let body = asked.watch(Reply::full(Bytes::from_static(b"x")));
        drop(asked);
        assert!(!is_lost(&pace, 50).await);
        assert!(is_lost(&pace, 40).await);
        let since = &body.since.as_ref().unwrap().since;
        since.store(0, Ordering::Relaxed);
        assert!(!is_lost(&pace, 10_000).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_client_is_kept_for_two_minutes() {
        let pace = Pace::new();
        let body = pace.asked(hyper::Version::HTTP_2).watch(Reply::empty());
        tokio::time::advance(Duration::from_secs(50)).await;
        drop(body);
        assert!(!is_lost(&pace, 110).await);
        assert!(is_lost(&pace, 40).await);
    }

    #[tokio::test]
    async fn bodies_that_have_ended_are_forgotten() {
        let pace = Pace::new();
        let asked = pace.asked(hyper::Version::HTTP_2);
        let _one = asked.watch(Reply::empty());
        for _ in 0..10_000 {
            drop(asked.watch(Reply::empty()));
        }
        assert!(pace.bodies.lock().unwrap().all.len() <= FORGET_FROM);
    }
}
