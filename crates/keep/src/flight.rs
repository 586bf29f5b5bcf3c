//! Single flight: one fetch however many ask, and a client that leaves does not stop it.
//!
//! The work runs in a task of its own. It publishes stages; whoever joins sees the latest one and
//! waits for those to come.

use gomod::request::Request;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Flights under way, by what was asked.
#[derive(Debug)]
pub(crate) struct Flights<T> {
    map: Arc<Mutex<HashMap<Request, watch::Receiver<Option<T>>>>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self {
            map: Arc::default(),
        }
    }
}

/// What the work uses to tell those who wait.
#[derive(Debug)]
pub(crate) struct Publisher<T> {
    stage: watch::Sender<Option<T>>,
}

impl<T> Publisher<T> {
    pub fn publish(&self, stage: T) {
        self.stage.send_replace(Some(stage));
    }
}

/// A passenger's view of a flight.
#[derive(Debug)]
pub(crate) struct Passenger<T> {
    stage: watch::Receiver<Option<T>>,
}

impl<T: Clone> Passenger<T> {
    /// The first stage, now or later, that `wanted` accepts. `None`: the work ended without one.
    pub async fn wait(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Option<T> {
        self.stage
            .wait_for(|s| s.as_ref().is_some_and(&mut wanted))
            .await
            .ok()
            .and_then(|s| s.clone())
    }
}

impl<T: Send + Sync + 'static> Flights<T> {
    /// Joins the flight for `key`, which `start` begins if there is none. True: this call began it.
    pub fn join<F>(
        &self,
        key: &Request,
        start: impl FnOnce(Publisher<T>) -> F,
    ) -> (Passenger<T>, bool)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = map.get(key) {
            return (
                Passenger {
                    stage: stage.clone(),
                },
                false,
            );
        }
        let (sender, stage) = watch::channel(None);
        map.insert(key.clone(), stage.clone());
        drop(map);
        // Landed however the work ends, by panic too.
        let landing = Landing {
            map: Arc::clone(&self.map),
            key: key.clone(),
        };
        let work = start(Publisher { stage: sender });
        tokio::spawn(async move {
            let _landing = landing;
            work.await;
        });
        (Passenger { stage }, true)
    }

    /// Number of flights under way.
    pub fn len(&self) -> usize {
        self.map
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

struct Landing<T> {
    map: Arc<Mutex<HashMap<Request, watch::Receiver<Option<T>>>>>,
    key: Request,
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        self.map
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
