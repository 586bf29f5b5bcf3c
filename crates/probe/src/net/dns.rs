//! Name resolution: by the system, and by each configured DNS server asked directly.
//!
//! The system's answer is what a program gets; the servers' own answers tell why. Both are asked
//! at once. Answers are remembered, so that each name is asked for once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use doctor::net::{Dns, DnsAnswer, ServerAnswer, SystemAnswer};
use futures_util::future::join_all;
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Servers of resolv.conf that are used, as in libc and Go.
const SERVERS_MAX: usize = 3;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// How long the servers' own answers are waited for when the system has answered already.
const GRACE: Duration = Duration::from_millis(400);

/// Who is asked for names.
#[derive(Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    system: bool,
    known: Mutex<HashMap<String, Arc<Dns>>>,
}

impl Resolver {
    /// The system, and the servers of resolv.conf.
    pub fn system() -> Self {
        let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self {
            servers: servers_of(&text),
            system: true,
            known: Mutex::default(),
        }
    }

    /// These servers and nobody else.
    pub fn of(servers: &[SocketAddr]) -> Self {
        Self {
            servers: servers.iter().copied().take(SERVERS_MAX).collect(),
            system: false,
            known: Mutex::default(),
        }
    }

    /// The servers, as facts name them.
    pub fn servers(&self) -> Vec<String> {
        self.servers.iter().map(ToString::to_string).collect()
    }

    /// Resolves a name in at most `limit`. An address is its own answer.
    pub async fn resolve(&self, name: &str, limit: Duration) -> Arc<Dns> {
        if let Some(known) = self.lock().get(name) {
            return Arc::clone(known);
        }
        let found = Arc::new(self.ask(name, limit).await);
        self.lock().insert(name.to_owned(), Arc::clone(&found));
        found
    }

    /// The addresses of a name, if it is known or can be found out in time.
    pub async fn addresses(&self, name: &str, limit: Duration) -> Vec<IpAddr> {
        let found = self.resolve(name, limit).await;
        let addresses = found.addresses.iter();
        addresses.filter_map(|ip| ip.parse().ok()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Dns>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, name: &str, limit: Duration) -> Dns {
        let began = Instant::now();
        let mut dns = Dns {
            name: name.to_owned(),
            ..Dns::default()
        };
        if let Some(fixed) = fixed(name) {
            dns.addresses = fixed.iter().map(ToString::to_string).collect();
            return dns;
        }
        let seen: Vec<Mutex<ServerAnswer>> = self.servers.iter().map(unanswered).collect();
        let servers = join_all(self.servers.iter().zip(&seen).map(|(server, seen)| async {
            ask_server(*server, name, limit, seen).await;
        }));
        tokio::pin!(servers);
        if self.system {
            let system = system(name, limit);
            tokio::pin!(system);
            let answer = tokio::select! {
                answer = &mut system => answer,
                _ = &mut servers => system.await,
            };
            let left = match answer.addresses.is_empty() {
                true => limit.saturating_sub(began.elapsed()),
                false => GRACE.min(limit.saturating_sub(began.elapsed())),
            };
            // Polling on after the end is not allowed; a server that has answered is in `seen`.
            let _late = tokio::time::timeout(left, settled(&seen, &mut servers)).await;
            dns.addresses.clone_from(&answer.addresses);
            dns.took_ms = answer.took_ms;
            dns.system = Some(answer);
        } else {
            servers.await;
        }
        dns.servers = seen
            .iter()
            .map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect();
        if dns.addresses.is_empty() {
            take_from_servers(&mut dns);
            dns.took_ms = dns.took_ms.max(millis(began.elapsed()));
        }
        dns
    }
}

/// Waits until every server has answered, driving those that have not.
async fn settled(seen: &[Mutex<ServerAnswer>], servers: impl Future) {
    let done = |seen: &Mutex<ServerAnswer>| {
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.a.is_some() && seen.aaaa.is_some()
    };
    if !seen.iter().all(done) {
        servers.await;
    }
}

fn unanswered(server: &SocketAddr) -> Mutex<ServerAnswer> {
    Mutex::new(ServerAnswer {
        server: server.to_string(),
        ..ServerAnswer::default()
    })
}

/// As the go command's own resolver does: servers in order, the next one after no answer or a
/// server's failure; A before AAAA.
fn take_from_servers(dns: &mut Dns) {
    let mut waited = 0;
    for server in &dns.servers {
        let found: Vec<String> = server.both().flat_map(|a| a.addresses.clone()).collect();
        let took = server.both().map(|answer| answer.took_ms).max();
        waited += took.unwrap_or(0);
        if !found.is_empty() {
            dns.addresses = found;
            dns.took_ms = waited;
            return;
        }
        let final_word = |a: &DnsAnswer| matches!(a.rcode.as_deref(), Some("NXDOMAIN" | "NOERROR"));
        if server.both().next().is_some() && server.both().all(final_word) {
            return;
        }
    }
}

fn fixed(name: &str) -> Option<Vec<IpAddr>> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse() {
        return Some(vec![ip]);
    }
    let local = name.eq_ignore_ascii_case("localhost");
    local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

async fn system(name: &str, limit: Duration) -> SystemAnswer {
    let began = Instant::now();
    let asked = tokio::time::timeout(limit, tokio::net::lookup_host((name.to_owned(), 443))).await;
    let mut answer = SystemAnswer::default();
    match asked {
        Ok(Ok(found)) => {
            for address in found.map(|socket| socket.ip().to_string()) {
                if !answer.addresses.contains(&address) && answer.addresses.len() < ADDRESSES_MAX {
                    answer.addresses.push(address);
                }
            }
            if answer.addresses.is_empty() {
                answer.error = Some("no address".into());
            }
        }
        Ok(Err(error)) => answer.error = Some(error.to_string()),
        Err(_) => answer.error = Some(format!("no answer in {} ms", limit.as_millis())),
    }
    answer.took_ms = millis(began.elapsed());
    answer
}

async fn ask_server(server: SocketAddr, name: &str, limit: Duration, seen: &Mutex<ServerAnswer>) {
    let one = |kind: RecordType| async move {
        let answer = query(server, name, kind, limit).await;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            RecordType::A => seen.a = Some(answer),
            _ => seen.aaaa = Some(answer),
        }
    };
    tokio::join!(one(RecordType::A), one(RecordType::AAAA));
}

/// One question to one server: UDP, again after a third of the time, TCP if it does not fit.
async fn query(server: SocketAddr, name: &str, kind: RecordType, limit: Duration) -> DnsAnswer {
    let began = Instant::now();
    let mut answer = match tokio::time::timeout(limit, asked(server, name, kind, limit)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => DnsAnswer {
            error: Some(error),
            ..DnsAnswer::default()
        },
        Err(_) => DnsAnswer {
            error: Some(format!("no answer in {} ms", limit.as_millis())),
            ..DnsAnswer::default()
        },
    };
    answer.took_ms = millis(began.elapsed());
    answer
}

async fn asked(
    server: SocketAddr,
    name: &str,
    kind: RecordType,
    limit: Duration,
) -> Result<DnsAnswer, String> {
    let mut absolute = Name::from_utf8(name).map_err(|e| e.to_string())?;
    absolute.set_fqdn(true);
    let mut message = Message::query();
    message.add_query(Query::query(absolute, kind));
    message.metadata.recursion_desired = true;
    let bytes = message.to_vec().map_err(|e| e.to_string())?;
    let answered = over_udp(server, &bytes, message.metadata.id, limit).await?;
    if !answered.metadata.truncation {
        return Ok(read(&answered, false));
    }
    let whole = over_tcp(server, &bytes).await?;
    Ok(read(&whole, true))
}

async fn over_udp(
    server: SocketAddr,
    bytes: &[u8],
    id: u16,
    limit: Duration,
) -> Result<Message, String> {
    let any: IpAddr = match server.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let words = |e: std::io::Error| e.to_string();
    let socket = UdpSocket::bind((any, 0)).await.map_err(words)?;
    socket.connect(server).await.map_err(words)?;
    let mut buffer = [0; 4096];
    loop {
        socket.send(bytes).await.map_err(words)?;
        let answered = async {
            loop {
                let size = socket.recv(&mut buffer).await.map_err(words)?;
                let message = Message::from_vec(&buffer[..size]);
                if let Some(message) = message.ok().filter(|m| m.metadata.id == id) {
                    return Ok(message);
                }
            }
        };
        if let Ok(answer) = tokio::time::timeout(limit / 3, answered).await {
            return answer;
        }
    }
}

async fn over_tcp(server: SocketAddr, bytes: &[u8]) -> Result<Message, String> {
    let words = |e: std::io::Error| format!("over TCP: {e}");
    let mut stream = TcpStream::connect(server).await.map_err(words)?;
    let size = u16::try_from(bytes.len()).map_err(|e| e.to_string())?;
    let mut framed = size.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await.map_err(words)?;
    let size = stream.read_u16().await.map_err(words)?;
    let mut answer = vec![0; usize::from(size)];
    stream.read_exact(&mut answer).await.map_err(words)?;
    Message::from_vec(&answer).map_err(|e| e.to_string())
}

fn read(message: &Message, tcp: bool) -> DnsAnswer {
    use hickory_proto::op::ResponseCode as Code;
    let code = match message.metadata.response_code {
        Code::NoError => "NOERROR".to_owned(),
        Code::NXDomain => "NXDOMAIN".to_owned(),
        Code::ServFail => "SERVFAIL".to_owned(),
        Code::Refused => "REFUSED".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    let mut answer = DnsAnswer {
        rcode: Some(code),
        tcp,
        ..DnsAnswer::default()
    };
    for record in message.answers.iter().take(4 * ADDRESSES_MAX) {
        match &record.data {
            RData::A(ip) if answer.addresses.len() < ADDRESSES_MAX => {
                answer.addresses.push(ip.0.to_string());
            }
            RData::AAAA(ip) if answer.addresses.len() < ADDRESSES_MAX => {
                answer.addresses.push(ip.0.to_string());
            }
            RData::CNAME(name) => answer.cnames.push(name.0.to_string()),
            _ => continue,
        }
        answer.ttl = Some(answer.ttl.map_or(record.ttl, |ttl| ttl.min(record.ttl)));
    }
    answer
}

fn servers_of(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let word = words.next().filter(|word| *word == "nameserver")?;
        let ip: IpAddr = words.next().filter(|_| !word.is_empty())?.parse().ok()?;
        Some(SocketAddr::new(ip, 53))
    };
    let named: Vec<SocketAddr> = text.lines().filter_map(address).take(SERVERS_MAX).collect();
    match named.is_empty() {
        // Without any, libc and Go ask this machine.
        true => vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 53))],
        false => named,
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_names_at_most_three_servers() {
        let text = "# c\nsearch a.example\nnameserver 192.0.2.1\nnameserver ::1 # x\nnameserver bad\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let found: Vec<String> = servers_of(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[::1]:53", "192.0.2.2:53"]);
    }

    #[test]
    fn a_server_that_says_no_ends_the_search_and_one_that_fails_does_not() {
        let answer = |rcode: &str, addresses: &[&str]| {
            Some(DnsAnswer {
                rcode: Some(rcode.into()),
                addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
                ..DnsAnswer::default()
            })
        };
        let server = |a, aaaa| ServerAnswer {
            a,
            aaaa,
            ..ServerAnswer::default()
        };
        let good = server(answer("NOERROR", &["192.0.2.9"]), answer("NOERROR", &[]));
        let no = server(answer("NXDOMAIN", &[]), answer("NXDOMAIN", &[]));
        let failed = server(answer("SERVFAIL", &[]), answer("SERVFAIL", &[]));
        let mut dns = Dns {
            servers: vec![no, good.clone()],
            ..Dns::default()
        };
        take_from_servers(&mut dns);
        assert!(dns.addresses.is_empty());
        dns.servers = vec![failed, good];
        take_from_servers(&mut dns);
        assert_eq!(dns.addresses, ["192.0.2.9"]);
    }
}
