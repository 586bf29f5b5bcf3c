//! The only crate that knows HTTP serving.
//!
//! `listen` and `tls` accept connections; `route` is the one place where a path chooses its answer;
//! `gate` answers GOPROXY requests, `own` what is under `/-/`; `status` is the only map from blame
//! to status.
#![warn(clippy::disallowed_methods)]

mod access;
mod body;
mod gate;
mod id;
mod listen;
mod metrics;
mod own;
mod pace;
mod range;
mod route;
mod stall;
mod status;
mod tls;
mod witness;

pub use access::{AccessFormat, AccessLog};
pub use listen::Address;
pub use tls::TlsError;
pub use witness::WitnessServer;

pub(crate) use listen::Peer;

use body::Reply;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use keep::Keep;
use listen::{Listener, Stream};
use metrics::Metrics;
use pace::Pace;
use route::{Counted, Router};
use stall::Stall;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tls::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; at least one.
    pub listen: Vec<Address>,
    /// Certificate and key files, for HTTPS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Base path, `/` or `/some/where`.
    pub prefix: String,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Time for a request's head, also between two requests of a connection.
    pub head_timeout: Duration,
    /// Time in which a client must take something of its answer.
    pub stall_timeout: Duration,
    /// Time for running requests to finish after the signal to stop.
    pub grace: Duration,
    /// What the API asks of who wants to change something.
    pub admin_token: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            tls: None,
            prefix: "/".into(),
            connections: 4096,
            head_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(20),
            admin_token: None,
        }
    }
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// TLS handshakes must end within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A request's head may be this long: a path of 4 KiB and some headers.
const HEAD_MAX: usize = 32 << 10;

/// A server that listens but does not answer yet.
pub struct Server(Listening<Router>);

impl Server {
    /// Opens the listeners.
    pub async fn bind(
        settings: Settings,
        keep: Keep,
        log: Option<AccessLog>,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new(keep.clone(), log.clone());
        let router = Router::new(keep, metrics, log, &settings);
        Listening::open(settings, router).await.map(Self)
    }

    /// The addresses as clients write them, base path included.
    pub fn urls(&self) -> io::Result<Vec<String>> {
        self.0.urls()
    }

    /// Answers until `stop` is ready, then lets running requests finish.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.0.run(stop).await;
    }
}

/// Who answers the requests of a listener.
pub(crate) trait Service: Send + Sync + 'static {
    /// A connection was opened; dropping the result closes it.
    fn opened(&self) -> Counted;

    /// Answers a request.
    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = hyper::Response<Reply>> + Send;
}

/// Open listeners, and who answers there.
struct Listening<S> {
    listeners: Vec<Listener>,
    tls: Option<Tls>,
    service: Arc<S>,
    settings: Settings,
}

impl<S: Service> Listening<S> {
    async fn open(settings: Settings, service: S) -> Result<Self, StartError> {
        let tls = settings
            .tls
            .as_ref()
            .map(|(cert, key)| Tls::watch(cert, key))
            .transpose()?;
        let mut listeners = Vec::new();
        for address in &settings.listen {
            let opened = Listener::open(address).await;
            listeners.push(opened.map_err(|source| StartError::Listen {
                address: address.clone(),
                source,
            })?);
        }
        Ok(Self {
            listeners,
            tls,
            service: Arc::new(service),
            settings,
        })
    }

    fn urls(&self) -> io::Result<Vec<String>> {
        let prefix = self.settings.prefix.trim_end_matches('/');
        self.listeners
            .iter()
            .map(|l| {
                l.url(self.tls.is_some())
                    .map(|url| format!("{url}{prefix}"))
            })
            .collect()
    }

    async fn run(self, stop: impl Future<Output = ()>) {
        let graceful = Arc::new(GracefulShutdown::new());
        let slots = Arc::new(Semaphore::new(self.settings.connections));
        let settings = self.settings.clone();
        let accepting: Vec<_> = self
            .listeners
            .into_iter()
            .map(|listener| {
                let conn = Acceptor {
                    tls: self.tls.clone(),
                    service: Arc::clone(&self.service),
                    settings: settings.clone(),
                };
                tokio::spawn(accept(
                    listener,
                    Arc::new(conn),
                    Arc::clone(&slots),
                    Arc::clone(&graceful),
                ))
            })
            .collect();
        stop.await;
        for task in accepting {
            task.abort();
            // Aborted is what it should be.
            let _ = task.await;
        }
        // Only the accepting tasks shared it, and they have ended.
        if let Some(graceful) = Arc::into_inner(graceful)
            && tokio::time::timeout(self.settings.grace, graceful.shutdown())
                .await
                .is_err()
        {
            tracing::warn!("some requests did not finish in time and were cut");
        }
    }
}

struct Acceptor<S> {
    tls: Option<Tls>,
    service: Arc<S>,
    settings: Settings,
}

async fn accept<S: Service>(
    listener: Listener,
    acceptor: Arc<Acceptor<S>>,
    slots: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
) {
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, watcher) = (Arc::clone(&acceptor), graceful.watcher());
                tokio::spawn(async move { acceptor.serve(stream, peer, watcher, slot).await });
            }
            Err(error) => {
                // Mostly too many open files: the next ones may be closed in a moment.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

impl<R: Service> Acceptor<R> {
    async fn serve(
        &self,
        stream: Stream,
        peer: Peer,
        watcher: Watcher,
        slot: OwnedSemaphorePermit,
    ) {
        match (stream, &self.tls) {
            (Stream::Unix(stream), _) => self.connection(stream, peer, watcher).await,
            (Stream::Tcp(stream), None) => self.connection(stream, peer, watcher).await,
            (Stream::Tcp(stream), Some(tls)) => {
                let handshake = tokio_rustls::TlsAcceptor::from(tls.current()).accept(stream);
                match tokio::time::timeout(HANDSHAKE, handshake).await {
                    Ok(Ok(stream)) => self.connection(stream, peer, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
                }
            }
        }
        drop(slot);
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        peer: Peer,
        watcher: Watcher,
    ) {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.settings.head_timeout)
            .max_buf_size(HEAD_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(HEAD_MAX as u32)
            .max_concurrent_streams(256)
            .keep_alive_interval(Duration::from_secs(30));
        let router = Arc::clone(&self.service);
        let open = router.opened();
        let pace = Pace::new();
        let service = {
            let pace = Arc::clone(&pace);
            service_fn(move |request: hyper::Request<Incoming>| {
                let (router, peer) = (Arc::clone(&router), peer.clone());
                let asked = pace.asked(request.version());
                async move {
                    let response = router.answer(request, &peer).await;
                    Ok::<_, std::convert::Infallible>(response.map(|body| asked.watch(body)))
                }
            })
        };
        let io = TokioIo::new(Stall::new(stream, self.settings.stall_timeout));
        let connection = builder.serve_connection(io, service).into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended badly");
                }
            }
            () = pace.lost(self.settings.stall_timeout) => {
                tracing::debug!("cut a connection whose client does not keep pace");
            }
        }
        drop(open);
    }
}
