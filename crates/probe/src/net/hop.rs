//! One request to one server, phase by phase.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doctor::mask;
use doctor::net::{Failure, Fault, Hop, Phase};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use url::Url;

use super::dns::millis;
use super::forward::{Named, Tunnel, socks, tunnel};
use super::prober::{Prober, Sender};
use super::tls::{Hello, Stream};
use super::{answer, tcp};

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The address.
    pub url: Url,
    /// Headers of a login.
    pub login: Vec<(String, String)>,
    /// Bytes of the body that are kept; the rest is only counted.
    pub keep_max: u64,
    /// Accept any certificate, to look. Nothing secret may be sent then.
    pub look: bool,
    /// Do not use or keep connections.
    pub alone: bool,
}

impl Ask {
    /// A plain request that keeps at most `keep_max` bytes.
    pub fn new(url: Url, keep_max: u64) -> Self {
        Self {
            url,
            login: Vec::new(),
            keep_max,
            look: false,
            alone: false,
        }
    }
}

/// A hop that failed, or its connection.
type Ended<T> = Result<T, Failure>;

/// What came of it.
#[derive(Debug, Default)]
pub struct Asked {
    /// What is written down.
    pub hop: Hop,
    /// The bytes of the body that were kept.
    pub body: Vec<u8>,
    /// Where it redirects to, as it came.
    pub location: Option<String>,
}

/// A URL fit to be written down: no login, and no values of its query, which sign the addresses
/// of storage hosts.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url
        .query()
        .is_some_and(|query| query != "go-get=1" && !query.starts_with("service="))
    {
        url.set_query(Some("***"));
    }
    url.set_fragment(None);
    mask::logins(url.as_str())
}

/// Asks one server, following nothing.
pub async fn ask(prober: &Prober, ask: &Ask) -> Asked {
    let began = Instant::now();
    let mut asked = Asked::default();
    asked.hop.url = shown(&ask.url);
    asked.hop.host = ask.url.host_str().unwrap_or_default().to_owned();
    asked.hop.port = ask.url.port_or_known_default().unwrap_or(0);
    if let Err(failure) = run(prober, ask, &mut asked).await {
        asked.hop.failure = Some(failure);
    }
    asked.hop.took_ms = millis(began.elapsed());
    asked
}

async fn run(prober: &Prober, ask: &Ask, asked: &mut Asked) -> Ended<()> {
    let hop = &mut asked.hop;
    if hop.host.is_empty() {
        return Err(failed(Phase::Dns, Fault::Protocol, "the URL names no host"));
    }
    let key = format!("{}:{}:{}", ask.url.scheme(), hop.host, hop.port);
    if !ask.alone
        && let Some(mut sender) = prober.pooled(&key)
    {
        let again = exchange(prober, ask, asked, &mut sender).await;
        let lost = |f: &Failure| {
            matches!(f.phase, Phase::Headers) && matches!(f.fault, Fault::Closed | Fault::Reset)
        };
        match again {
            // An idle connection may have been closed meanwhile: that says nothing.
            Err(failure) if lost(&failure) && asked.hop.http.is_none() => {}
            other => {
                asked.hop.reused = true;
                keep(prober, ask, &asked.hop, key, sender);
                return other;
            }
        }
    }
    let mut sender = open(prober, ask, &mut asked.hop).await?;
    exchange(prober, ask, asked, &mut sender).await?;
    keep(prober, ask, &asked.hop, key, sender);
    Ok(())
}

fn keep(prober: &Prober, ask: &Ask, hop: &Hop, key: String, sender: Sender) {
    let whole = hop.http.as_ref().is_some_and(|http| http.complete);
    if whole && hop.failure.is_none() && !ask.alone && !ask.look {
        prober.pool(key, sender);
    }
}

/// Name, address, forward proxy, handshake.
async fn open(prober: &Prober, ask: &Ask, hop: &mut Hop) -> Ended<Sender> {
    let forward = prober.forwards.for_url(&ask.url).cloned();
    let secure = ask.url.scheme() == "https";
    let (host, port) = match &forward {
        Some(named) => {
            hop.forward = Some(named.shown());
            let host = named.url.host_str().unwrap_or_default();
            (host.to_owned(), named.port())
        }
        None => (hop.host.clone(), hop.port),
    };
    let mut stream = connect(prober, hop, &host, port).await?;
    if let Some(named) = &forward {
        stream = through(prober, hop, named, stream, secure).await?;
    }
    if !secure {
        return plain(stream).await;
    }
    let name = hop.host.trim_matches(['[', ']']).to_owned();
    let hello = Hello {
        name: &name,
        alpn: &[b"h2", b"http/1.1"],
        look: ask.look,
        limit: prober.left(prober.limits.tls)?,
    };
    let (tls, shaken) = prober.handshakes.shake(stream, hello).await;
    let h2 = tls.alpn.as_deref() == Some("h2");
    hop.tls = Some(tls);
    let stream = shaken?;
    if !h2 {
        return plain(Box::new(stream)).await;
    }
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|e| answer::failure(&e, Phase::Headers))?;
    tokio::spawn(connection);
    Ok(Sender::Two(sender))
}

async fn plain(stream: Stream) -> Ended<Sender> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|e| answer::failure(&e, Phase::Headers))?;
    tokio::spawn(connection);
    Ok(Sender::One(sender))
}

async fn connect(prober: &Prober, hop: &mut Hop, host: &str, port: u16) -> Ended<Stream> {
    let limit = prober.left(prober.limits.dns)?;
    let found = prober.resolver.resolve(host, limit).await;
    let dns = (*found).clone();
    let addresses: Vec<IpAddr> = dns
        .addresses
        .iter()
        .filter_map(|a| a.parse().ok())
        .collect();
    let system = dns.system.as_ref().and_then(|s| s.error.clone());
    let waited = dns.took_ms;
    hop.dns = Some(dns);
    if addresses.is_empty() {
        let text = system.unwrap_or_else(|| "no address".into());
        return Err(Failure {
            phase: Phase::Dns,
            fault: Fault::NoAddress,
            text: format!("{host}: {text}"),
            waited_ms: waited,
        });
    }
    let addresses = prober.preferred(host, port, &addresses);
    let limit = prober.left(prober.limits.connect)?;
    let began = Instant::now();
    let (stream, tried) = tcp::connect(&addresses, port, limit).await;
    let error = tried
        .iter()
        .rev()
        .find_map(|t| Some((t.fault?, t.error.clone()?)));
    let alive = tried
        .iter()
        .find(|t| t.connected)
        .map(|t| t.address.clone());
    hop.tcp = tried;
    match stream {
        Some(stream) => {
            prober.remember(host, port, alive.as_deref());
            Ok(Box::new(stream))
        }
        None => {
            let (fault, text) = error.unwrap_or((Fault::TimedOut, "no address answered".into()));
            Err(Failure {
                phase: Phase::Connect,
                fault,
                text,
                waited_ms: millis(began.elapsed()),
            })
        }
    }
}

/// Through a forward proxy.
async fn through(
    prober: &Prober,
    hop: &mut Hop,
    named: &Named,
    stream: Stream,
    secure: bool,
) -> Ended<Stream> {
    let limit = prober.left(prober.limits.tls)?;
    let stream = match named.url.scheme() {
        "https" => proxy_tls(prober, named, stream, limit).await?,
        _ => stream,
    };
    let tunnelled = match named.url.scheme() {
        "socks5" | "socks5h" => {
            let login = named.url.password().map(|p| (named.url.username(), p));
            socks(stream, &hop.host, hop.port, login, limit).await
        }
        _ if secure => {
            let login = named.authorization();
            tunnel(stream, &hop.host, hop.port, login.as_deref(), limit).await
        }
        _ => Tunnel::Stands(stream),
    };
    let seen = hop.forward.get_or_insert_default();
    match tunnelled {
        Tunnel::Stands(stream) => {
            seen.reached = true;
            Ok(stream)
        }
        Tunnel::Refused(status) => {
            seen.reached = true;
            seen.status = Some(status);
            let text = format!("the forward proxy answered CONNECT with {status}");
            Err(failed(Phase::Forward, Fault::ForwardStatus, &text))
        }
        Tunnel::Broken(error) => {
            let fault = tcp::fault(&error);
            Err(failed(Phase::Forward, fault, &error.to_string()))
        }
    }
}

async fn proxy_tls(
    prober: &Prober,
    named: &Named,
    stream: Stream,
    limit: Duration,
) -> Ended<Stream> {
    let hello = Hello {
        name: named.url.host_str().unwrap_or_default(),
        alpn: &[b"http/1.1"],
        look: false,
        limit,
    };
    let (_, shaken) = prober.handshakes.shake(stream, hello).await;
    match shaken {
        Ok(stream) => Ok(Box::new(stream)),
        Err(failure) => Err(Failure {
            phase: Phase::Forward,
            text: format!("TLS with the forward proxy: {}", failure.text),
            ..failure
        }),
    }
}

/// The request and its answer.
async fn exchange(prober: &Prober, ask: &Ask, asked: &mut Asked, sender: &mut Sender) -> Ended<()> {
    let limit = prober.left(prober.limits.headers)?;
    let forward = prober.forwards.for_url(&ask.url);
    let request = request(ask, forward, sender)
        .map_err(|text| failed(Phase::Headers, Fault::Protocol, &text))?;
    let began = Instant::now();
    let response = match tokio::time::timeout(limit, send(sender, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(answer::failure(&error, Phase::Headers)),
        Err(_) => {
            return Err(Failure {
                phase: Phase::Headers,
                fault: Fault::TimedOut,
                text: format!("no answer to the request in {} ms", limit.as_millis()),
                waited_ms: millis(limit),
            });
        }
    };
    let location = response.headers().get(LOCATION);
    asked.location = location.and_then(|l| l.to_str().ok()).map(str::to_owned);
    let mut http = answer::head(&response, began.elapsed(), prober.handshakes.now());
    let joined = asked.location.as_deref().map(|to| ask.url.join(to));
    http.location = joined.and_then(Result::ok).as_ref().map(shown);
    let http = asked.hop.http.insert(http);
    answer::body(prober, ask, response, http, &mut asked.body).await
}

async fn send(
    sender: &mut Sender,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<Response<hyper::body::Incoming>> {
    match sender {
        Sender::One(sender) => {
            sender.ready().await?;
            sender.send_request(request).await
        }
        Sender::Two(sender) => {
            sender.ready().await?;
            sender.send_request(request).await
        }
    }
}

fn request(
    ask: &Ask,
    forward: Option<&Named>,
    sender: &Sender,
) -> Result<Request<Empty<Bytes>>, String> {
    let words = |e: &dyn std::fmt::Display| e.to_string();
    let mut bare = ask.url.clone();
    // Only fails for URLs that cannot carry a login.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    let relayed = forward.filter(|named| bare.scheme() == "http" && named.url.scheme() != "socks5");
    let whole = matches!(sender, Sender::Two(_)) || relayed.is_some();
    let target = match whole {
        true => bare.as_str(),
        false => &bare[url::Position::BeforePath..],
    };
    let uri: Uri = target.parse().map_err(|e| words(&e))?;
    let mut request = Request::get(uri)
        .header(USER_AGENT, concat!("modkeep/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity");
    if matches!(sender, Sender::One(_)) {
        let authority = &bare[url::Position::BeforeHost..url::Position::AfterPort];
        request = request.header(HOST, authority);
    }
    for (name, value) in &ask.login {
        let mut value = HeaderValue::from_str(value).map_err(|e| words(&e))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    if let Some(value) = relayed.and_then(Named::authorization) {
        request = request.header(hyper::header::PROXY_AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(|e| words(&e))
}

pub(crate) fn failed(phase: Phase, fault: Fault, text: &str) -> Failure {
    Failure {
        phase,
        fault,
        text: text.to_owned(),
        waited_ms: 0,
    }
}
