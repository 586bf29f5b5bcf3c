//! How a checksum database is reached: as the go command would.
//!
//! The first upstream of the chain whose `/sumdb/NAME/supported` is there is asked, and nobody else;
//! when none relays the database it is asked itself, at `https://NAME` or where the settings say. Source
//! of the rule: cmd/go/internal/modfetch/sumdb.go. A 404 on a tile or a lookup is an answer.

use crate::chain::Chain;
use crate::failure::Failure;
use bytes::Bytes;
use gomod::request::Request;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A route is looked for again after this time: an upstream may have learnt to relay meanwhile.
const ROUTE_FRESH: Duration = Duration::from_secs(600);

/// A tile has at most 8 KiB, a lookup some hundred bytes, a data tile some tens of KiB.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// One checksum database, as seen from here.
#[derive(Clone, Debug)]
pub struct SumSource {
    name: Arc<str>,
    /// Relays that may know it; none when its address was given.
    relays: Option<Chain>,
    /// The database itself.
    itself: Chain,
    chosen: Arc<Mutex<Option<(Route, Instant)>>>,
}

#[derive(Clone, Copy, Debug)]
enum Route {
    /// Through the relay at this place of the chain.
    Relay(usize),
    Itself,
}

impl SumSource {
    /// `itself` is a chain of the database's own address alone.
    pub fn new(name: &str, relays: Option<Chain>, itself: Chain) -> Self {
        Self {
            name: name.into(),
            relays,
            itself,
            chosen: Arc::default(),
        }
    }

    /// Gives the answer to `rest`: `latest`, `lookup/M@V` (escaped) or `tile/...`; and who gave it.
    pub async fn get(&self, rest: &str) -> Result<(Bytes, String), Failure> {
        let request = self.request(rest);
        let (Route::Relay(place), Some(relays)) = (self.route().await?, &self.relays) else {
            return self
                .itself
                .small_at(None, &request, rest, ANSWER_BYTES_MAX)
                .await;
        };
        let path = request.to_path();
        let path = path.trim_start_matches('/');
        let answer = relays
            .small_at(Some(place), &request, path, ANSWER_BYTES_MAX)
            .await;
        if answer.as_ref().is_err_and(|failure| !failure.is_absent()) {
            // Perhaps another relay is better now.
            *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    fn request(&self, rest: &str) -> Request {
        Request::Sumdb {
            name: self.name.to_string(),
            rest: rest.into(),
        }
    }

    async fn route(&self) -> Result<Route, Failure> {
        let known = *self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((route, when)) = known
            && when.elapsed() < ROUTE_FRESH
        {
            return Ok(route);
        }
        let route = match &self.relays {
            Some(relays) => {
                let request = self.request("supported");
                relays
                    .first_with(&request)
                    .await?
                    .map_or(Route::Itself, Route::Relay)
            }
            None => Route::Itself,
        };
        *self.chosen.lock().unwrap_or_else(PoisonError::into_inner) = Some((route, Instant::now()));
        Ok(route)
    }
}
