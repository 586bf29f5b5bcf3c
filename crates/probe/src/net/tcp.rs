//! TCP connections to every address of a host, with the system's own words when they fail.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use doctor::net::{Fault, Tcp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};

use super::dns::millis;

/// Addresses of each family that are tried.
const PER_FAMILY_MAX: usize = 3;

/// How long the other family is waited for once one address stands: what the go command itself
/// allows before it tries both (Happy Eyeballs, RFC 6555), and a little more.
const GRACE: Duration = Duration::from_millis(600);

/// Tries all addresses at once; gives the first connection that stands and what came of each.
///
/// When one family answers, the other is still waited for a moment: that one of them is dead is a
/// finding of its own.
pub async fn connect(
    addresses: &[IpAddr],
    port: u16,
    limit: Duration,
) -> (Option<TcpStream>, Vec<Tcp>) {
    let chosen = chosen(addresses);
    let mut tried: Vec<Tcp> = chosen.iter().map(|ip| untried(*ip, port)).collect();
    let mut running: FuturesUnordered<_> = chosen
        .iter()
        .enumerate()
        .map(|(index, ip)| async move { (index, one(*ip, port, limit).await) })
        .collect();
    let mut first: Option<TcpStream> = None;
    let mut until = None;
    loop {
        let next = async {
            match until {
                Some(until) => tokio::time::timeout_at(until, running.next())
                    .await
                    .unwrap_or(None),
                None => running.next().await,
            }
        };
        let Some((index, (result, took))) = next.await else {
            break;
        };
        let seen = &mut tried[index];
        seen.took_ms = millis(took);
        match result {
            Ok(stream) => {
                seen.connected = true;
                first.get_or_insert(stream);
            }
            Err(error) => {
                seen.fault = Some(fault(&error));
                seen.error = Some(error.to_string());
            }
        }
        let pending = |v6: bool| {
            let of_family = || tried.iter().filter(move |t| t.v6 == v6);
            of_family().next().is_some()
                && !of_family().any(|t| t.connected)
                && of_family().any(|t| t.fault.is_none())
        };
        if first.is_some() {
            if !pending(true) && !pending(false) {
                break;
            }
            until.get_or_insert(tokio::time::Instant::now() + GRACE.min(limit));
        }
    }
    if first.is_some() {
        mark_silent(&mut tried, GRACE.min(limit));
    }
    (first, tried)
}

/// Addresses that did not answer while others did.
fn mark_silent(tried: &mut [Tcp], waited: Duration) {
    for seen in tried
        .iter_mut()
        .filter(|t| !t.connected && t.fault.is_none())
    {
        seen.error = Some(format!("no answer in {} ms", waited.as_millis()));
        seen.took_ms = millis(waited);
    }
}

/// One address.
pub async fn one(ip: IpAddr, port: u16, limit: Duration) -> (io::Result<TcpStream>, Duration) {
    let began = Instant::now();
    let dial = async {
        let socket = match ip {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        let stream = socket.connect(SocketAddr::new(ip, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let result = match tokio::time::timeout(limit, dial).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer in {} ms", limit.as_millis()),
        )),
    };
    (result, began.elapsed())
}

/// What an error of the system means.
pub fn fault(error: &io::Error) -> Fault {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => Fault::Refused,
        Kind::TimedOut => Fault::TimedOut,
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable => {
            Fault::Unreachable
        }
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Fault::Reset,
        Kind::UnexpectedEof => Fault::Closed,
        _ => Fault::Local,
    }
}

fn untried(ip: IpAddr, port: u16) -> Tcp {
    Tcp {
        address: SocketAddr::new(ip, port).to_string(),
        v6: ip.is_ipv6(),
        ..Tcp::default()
    }
}

fn chosen(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (mut v4, mut v6) = (0, 0);
    let keep = |ip: &&IpAddr| {
        let count = if ip.is_ipv6() { &mut v6 } else { &mut v4 };
        *count += 1;
        *count <= PER_FAMILY_MAX
    };
    addresses.iter().filter(keep).copied().collect()
}
