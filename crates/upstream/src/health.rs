//! What is remembered of an upstream's health, so that a dead or crawling one costs its time limit
//! once and not at every request.
//!
//! Up until it cannot be reached, does not answer in time, or crawls; then down, and asked by nobody
//! but a probe in the background, which repeats a question that went well (or asks for the root) with
//! growing pauses. Any complete answer brings it up again. A status of 5xx is an answer:
//! it concerns one file, so it changes nothing here.

use crate::failure::Failure;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Pauses between probes: short enough that a restarted upstream is used again at once.
const PROBE_FIRST: Duration = Duration::from_millis(500);
const PROBE_MAX: Duration = Duration::from_secs(15);

/// An upstream that falls again within this time after it rose answers small probes and fails at real
/// work (it crawls, say). Each time the first pause is four times as long, up to the limit.
const RELAPSE: Duration = Duration::from_secs(60);
const RELAPSE_PAUSE_MAX: Duration = Duration::from_secs(120);

/// One upstream's state, as shown in readiness and metrics.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name, without credentials.
    pub name: String,
    /// Whether it is asked.
    pub up: bool,
    /// Why not.
    pub reason: Option<String>,
    /// For how long not.
    pub down_for: Option<Duration>,
}

#[derive(Debug)]
struct Down {
    failure: Failure,
    since: Instant,
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Health {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    down: Option<Down>,
    /// A path that went well: what a probe asks again.
    good: Option<String>,
    /// When it came up the last time, and how often it fell soon after.
    rose: Option<Instant>,
    relapses: u32,
}

impl Health {
    /// Why the upstream is not to be asked now.
    pub fn down(&self) -> Option<Failure> {
        let state = self.lock();
        let down = state.down.as_ref()?;
        let secs = down.since.elapsed().as_secs();
        let again =
            |text: &str| format!("{text} (remembered for {secs} s; probed in the background)");
        Some(match &down.failure {
            Failure::TimedOut(text) => Failure::TimedOut(again(text)),
            other => Failure::Failed(again(other.text())),
        })
    }

    /// Remembers a question that went well.
    pub fn good(&self, path: &str) {
        let mut state = self.lock();
        if state.good.is_none() {
            state.good = Some(path.to_owned());
        }
    }

    /// Remembers that it is down. The caller who gets pauses has to start the probe.
    pub fn fell(&self, failure: Failure) -> Option<impl Iterator<Item = Duration> + use<>> {
        let mut state = self.lock();
        if state.down.is_some() {
            return None;
        }
        state.down = Some(Down {
            failure,
            since: Instant::now(),
        });
        let again = state.rose.is_some_and(|rose| rose.elapsed() < RELAPSE);
        state.relapses = if again { state.relapses + 1 } else { 0 };
        Some(pauses(state.relapses))
    }

    /// It answers again.
    pub fn rose(&self) {
        let mut state = self.lock();
        state.down = None;
        state.rose = Some(Instant::now());
    }

    /// What a probe should ask: what went well before, else the root, where any answer will do. Never
    /// the question that failed: one file that hangs for ever must not take away all others.
    pub fn probe_path(&self) -> String {
        self.lock().good.clone().unwrap_or_default()
    }

    /// For people and metrics.
    pub fn status(&self, name: String) -> Status {
        let state = self.lock();
        let down = state.down.as_ref();
        Status {
            name,
            up: down.is_none(),
            reason: down.map(|d| d.failure.text().to_owned()),
            down_for: down.map(|d| d.since.elapsed()),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pauses before each probe, for ever.
fn pauses(relapses: u32) -> impl Iterator<Item = Duration> {
    let first = PROBE_FIRST.saturating_mul(4u32.saturating_pow(relapses));
    let first = first.min(RELAPSE_PAUSE_MAX);
    std::iter::successors(Some(first), |d| Some((*d * 2).min(PROBE_MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn failure() -> Failure {
        Failure::TimedOut("crawls".into())
    }

    #[tokio::test(start_paused = true)]
    async fn who_falls_again_at_once_is_left_alone_for_longer() {
        let health = Health::default();
        let mut firsts = Vec::new();
        for _ in 0..6 {
            let mut pauses = health.fell(failure()).unwrap();
            assert!(health.fell(failure()).is_none(), "one probe is enough");
            firsts.push(pauses.next().unwrap().as_millis());
            assert!(pauses.take(9).all(|pause| pause <= PROBE_MAX));
            health.rose();
            tokio::time::advance(Duration::from_secs(20)).await;
        }
        assert_eq!(firsts, [500, 2000, 8000, 32_000, 120_000, 120_000]);
        tokio::time::advance(RELAPSE).await;
        assert_eq!(health.fell(failure()).unwrap().next(), Some(PROBE_FIRST));
    }
}
