//! What all probes of one run share: resolver, authorities, clock, credentials, time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doctor::net::{Failure, Fault, Phase, Roots};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};

use super::auth::Credentials;
use super::dns::Resolver;
use super::forward::Forwards;
use super::hop::failed;
use super::limits::Limits;
use super::targets::Told;
use super::tls::Handshakes;

/// What is shared.
pub struct Prober {
    /// Who is asked for names.
    pub resolver: Resolver,
    /// Who shakes hands.
    pub handshakes: Handshakes,
    /// Which authorities it trusts.
    pub roots: Roots,
    /// Forward proxies.
    pub forwards: Forwards,
    /// Credentials.
    pub credentials: Credentials,
    /// Time for each phase.
    pub limits: Limits,
    /// When it began.
    pub began: Instant,
    /// Told of each request when it begins.
    pub told: Option<Told>,
    deadline: Mutex<Instant>,
    pool: Mutex<HashMap<String, Sender>>,
    alive: Mutex<HashMap<String, IpAddr>>,
}

/// A connection that may be used again.
pub enum Sender {
    /// HTTP/1.1.
    One(http1::SendRequest<Empty<Bytes>>),
    /// HTTP/2.
    Two(http2::SendRequest<Empty<Bytes>>),
}

impl Prober {
    /// All parts together; nothing is asked after `time`.
    pub fn new(
        resolver: Resolver,
        (handshakes, roots): (Handshakes, Roots),
        (forwards, credentials): (Forwards, Credentials),
        time: Duration,
    ) -> Self {
        let limits = Limits::within(time);
        let began = Instant::now();
        Self {
            resolver,
            handshakes,
            roots,
            forwards,
            credentials,
            limits,
            began,
            told: None,
            deadline: Mutex::new(began + time.saturating_sub(limits.deep)),
            pool: Mutex::default(),
            alive: Mutex::default(),
        }
    }

    /// Lets the questions after a failure use the time kept for them.
    pub fn extend(&self) {
        let mut deadline = lock(&self.deadline);
        *deadline = (*deadline).max(Instant::now()) + self.limits.deep;
    }

    /// At most `limit`, at most what is left.
    ///
    /// # Errors
    /// Nothing is left: nothing will be known.
    pub fn left(&self, limit: Duration) -> Result<Duration, Failure> {
        let left = lock(&self.deadline).saturating_duration_since(Instant::now());
        if left.is_zero() {
            let text = "the time for the whole diagnosis ended";
            return Err(failed(Phase::Headers, Fault::Late, text));
        }
        Ok(left.min(limit))
    }

    /// A connection that may be used again.
    pub fn pooled(&self, key: &str) -> Option<Sender> {
        let found = lock(&self.pool).remove(key)?;
        let open = match &found {
            Sender::One(sender) => !sender.is_closed(),
            Sender::Two(sender) => !sender.is_closed(),
        };
        open.then_some(found)
    }

    /// Keeps a connection.
    pub fn pool(&self, key: String, sender: Sender) {
        lock(&self.pool).insert(key, sender);
    }

    /// The address that answered before, else all.
    pub fn preferred(&self, host: &str, port: u16, all: &[IpAddr]) -> Vec<IpAddr> {
        match lock(&self.alive).get(&format!("{host}:{port}")) {
            Some(ip) => vec![*ip],
            None => all.to_vec(),
        }
    }

    /// Remembers which address answered.
    pub fn remember(&self, host: &str, port: u16, address: Option<&str>) {
        let ip = address.and_then(|a| a.parse::<std::net::SocketAddr>().ok());
        if let Some(socket) = ip {
            lock(&self.alive).insert(format!("{host}:{port}"), socket.ip());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
