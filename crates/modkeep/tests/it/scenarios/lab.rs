//! A machine with a network of its own for one fault: names, certificates, a TLS server in front of a
//! proxy, and addresses that do not answer. All on loopback, nothing needs privilege.

use crate::golang::{Project, SUMDB, log_of, relay};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use testkit::{Module, Tree, Upstream};

/// The proxy's name, and another one's.
pub const PROXY: &str = "proxy.scen.example";
pub const SECOND: &str = "second.scen.example";
pub const STORAGE: &str = "storage.scen.example";

pub const MODULE: &str = "github.com/some/m";
pub const VERSION: &str = "v1.0.0";

/// What a DNS server says of a name.
#[derive(Clone, Copy, Debug)]
pub enum Says {
    Address(IpAddr),
    Both(IpAddr, IpAddr),
    /// This response code.
    Code(u8),
    NoData,
    Nothing,
    Late(Duration),
}

/// A DNS server that does as told; names it does not know do not exist.
pub struct Dns {
    pub address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Says>>>,
}

impl Dns {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let names: Arc<Mutex<HashMap<String, Says>>> = Arc::default();
        let known = Arc::clone(&names);
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                let Some((name, kind)) = question(&buffer[..n]) else {
                    continue;
                };
                let says = known.lock().unwrap().get(&name).copied();
                let says = says.unwrap_or(Says::Code(3));
                let (query, socket) = (buffer[..n].to_vec(), socket.try_clone().unwrap());
                std::thread::spawn(move || {
                    let says = match says {
                        Says::Nothing => return,
                        Says::Late(time) => {
                            std::thread::sleep(time);
                            Says::Address(Ipv4Addr::LOCALHOST.into())
                        }
                        other => other,
                    };
                    let _ = socket.send_to(&answer(&query, kind, says), from);
                });
            }
        });
        let dns = Self { address, names };
        for name in [PROXY, SECOND, STORAGE] {
            dns.set(name, Says::Address(Ipv4Addr::LOCALHOST.into()));
        }
        dns
    }

    pub fn set(&self, name: &str, says: Says) {
        self.names.lock().unwrap().insert(name.to_owned(), says);
    }
}

/// Name and type of the first question.
fn question(query: &[u8]) -> Option<(String, u16)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at + 1..at + 1 + length)?).to_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
    Some((labels.join("."), kind))
}

fn answer(query: &[u8], kind: u16, says: Says) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let addresses: Vec<IpAddr> = match says {
        Says::Address(ip) => vec![ip],
        Says::Both(a, b) => vec![a, b],
        _ => Vec::new(),
    };
    let fitting: Vec<Vec<u8>> = addresses
        .into_iter()
        .filter_map(|ip| match (ip, kind) {
            (IpAddr::V4(ip), 1) => Some(ip.octets().to_vec()),
            (IpAddr::V6(ip), 28) => Some(ip.octets().to_vec()),
            _ => None,
        })
        .collect();
    let code = match says {
        Says::Code(code) => code,
        _ => 0,
    };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, fitting.len() as u8, 0, 0, 0, 0]);
    out.extend(&query[12..end]);
    for bytes in fitting {
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60, 0, bytes.len() as u8]);
        out.extend(bytes);
    }
    out
}

/// What a certificate is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cert {
    Good,
    Expired,
    /// Valid from tomorrow on.
    NotYet,
    /// For another name.
    OtherName,
    /// By an authority that nobody trusts.
    Foreign,
}

/// An authority, and the file of its certificate.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn config(&self, cert: Cert) -> Arc<ServerConfig> {
        let names = match cert {
            Cert::OtherName => vec!["other.scen.example".to_owned()],
            _ => [PROXY, SECOND, STORAGE].map(str::to_owned).to_vec(),
        };
        let mut params = CertificateParams::new(names).unwrap();
        let day = Duration::from_secs(86_400);
        let now = SystemTime::now();
        let (from, until) = match cert {
            Cert::Expired => (now - 60 * day, now - 30 * day),
            Cert::NotYet => (now + day / 2, now + 60 * day),
            _ => (now - day, now + 60 * day),
        };
        (params.not_before, params.not_after) = (from.into(), until.into());
        let key = KeyPair::generate().unwrap();
        let signed = match cert {
            Cert::Foreign => params.signed_by(&key, &Authority::new().issuer),
            _ => params.signed_by(&key, &self.issuer),
        };
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.unwrap().der().clone()], private);
        Arc::new(config.unwrap())
    }
}

/// A TLS server on loopback; what came through goes to a server without TLS.
pub fn tls(authority: &Authority, cert: Cert, back: SocketAddr) -> SocketAddr {
    tls_at(authority, cert, back, "127.0.0.1:0")
}

/// The same at this address.
pub fn tls_at(authority: &Authority, cert: Cert, back: SocketAddr, at: &str) -> SocketAddr {
    let config = authority.config(cert);
    listen(at, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut client = StreamOwned::new(connection, stream);
        let mut head = Vec::new();
        let mut byte = [0; 4096];
        while !head.ends_with(b"\r\n\r\n") {
            match client.read(&mut byte) {
                Ok(n @ 1..) => head.extend_from_slice(&byte[..n]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let Ok(mut server) = TcpStream::connect(back) else {
            return;
        };
        let _ = server.write_all(head.as_bytes());
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            if client
                .write_all(&buffer[..n])
                .and_then(|()| client.flush())
                .is_err()
            {
                return;
            }
        }
        client.conn.send_close_notify();
        let _ = client.flush();
        let _ = client.sock.shutdown(Shutdown::Write);
    })
}

/// A server whose every connection `serve` gets.
pub fn listen(at: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Waits for the first bytes of a client.
pub fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let n = stream.read(&mut buffer).unwrap_or(0);
    buffer.truncate(n);
    buffer
}

/// An address whose queue of connections is full: what is sent to it is dropped, as by a black hole.
pub struct BlackHole {
    pub address: SocketAddr,
    _held: Vec<TcpStream>,
    _listener: socket2::Socket,
}

impl BlackHole {
    pub fn new(ip: IpAddr) -> Option<Self> {
        let domain = socket2::Domain::for_address(SocketAddr::new(ip, 0));
        let listener = socket2::Socket::new(domain, socket2::Type::STREAM, None).ok()?;
        listener.bind(&SocketAddr::new(ip, 0).into()).ok()?;
        listener.listen(0).ok()?;
        let address = listener.local_addr().ok()?.as_socket()?;
        let mut held = Vec::new();
        for _ in 0..8 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => held.push(stream),
                Err(_) => {
                    return Some(Self {
                        address,
                        _held: held,
                        _listener: listener,
                    });
                }
            }
        }
        None
    }
}

/// A port at which nobody listens.
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn module() -> Module {
    Module::new(MODULE, VERSION)
        .file("m.go", "package m\n")
        .file("data", testkit::tree::noise(3, 200_000))
}

/// A proxy with the module that relays a database, and the database's key.
pub fn proxy() -> (Upstream, String) {
    let (tree, key) = tree();
    (Upstream::start_blocking(tree).unwrap(), key)
}

pub fn tree() -> (Tree, String) {
    let (module, mut tree) = (module(), Tree::new());
    tree.add(&module).unwrap();
    let log = log_of(&[&module]);
    relay(&mut tree, &format!("sumdb/{SUMDB}/"), &log, &[&module]);
    (tree, log.vkey())
}

/// One machine.
pub struct Lab {
    pub project: Project,
    pub dns: Dns,
    pub authority: Authority,
    /// The proxy behind [`PROXY`], without TLS.
    pub back: Upstream,
    pub key: String,
    pub goproxy: String,
    pub asked: String,
    pub resolvers: Vec<SocketAddr>,
    pub env: Vec<(String, String)>,
    /// What must live as long as the question.
    pub holes: Vec<BlackHole>,
    pub others: Vec<Upstream>,
}

impl Lab {
    /// A healthy one; `None` when there is no go command.
    pub fn new() -> Option<Self> {
        let (back, key) = proxy();
        let (dns, authority) = (Dns::start(), Authority::new());
        let front = tls(&authority, Cert::Good, back.address());
        let project = Project::new("off")?;
        project.write("roots.pem", authority.pem());
        Some(Self {
            goproxy: https(PROXY, front),
            asked: format!("{MODULE}@{VERSION}"),
            resolvers: vec![dns.address],
            project,
            dns,
            authority,
            back,
            key,
            env: Vec::new(),
            holes: Vec::new(),
            others: Vec::new(),
        })
    }

    /// With a TLS server of this kind in front of the proxy.
    pub fn certificate(&mut self, cert: Cert) {
        let front = tls(&self.authority, cert, self.back.address());
        self.goproxy = https(PROXY, front);
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// `modkeep doctor` of it, which also saves its facts.
    pub fn doctor(&mut self) -> Value {
        let roots = self.project.path("roots.pem").display().to_string();
        let mut env = vec![
            ("GOPROXY".to_owned(), self.goproxy.clone()),
            ("GOSUMDB".to_owned(), self.key.clone()),
            ("SSL_CERT_FILE".to_owned(), roots),
            ("SSL_CERT_DIR".to_owned(), "/nowhere".to_owned()),
        ];
        env.append(&mut self.env);
        let mut command = self.project.command(&["doctor", &self.asked, "--json"]);
        command.args(["--only", "env,net,local", "--save-facts", "facts.json"]);
        for resolver in &self.resolvers {
            command.args(["--resolver", &resolver.to_string()]);
        }
        parse(command.envs(env))
    }

    /// The saved facts, judged again.
    pub fn replay(&self) -> Value {
        let args = ["doctor", "--json", "--facts", "facts.json"];
        parse(&mut self.project.command(&args))
    }
}

fn parse(command: &mut std::process::Command) -> Value {
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e} {output:?}"))
}

/// An address by name.
pub fn https(name: &str, at: SocketAddr) -> String {
    format!("https://{name}:{}", at.port())
}

pub fn http(name: &str, at: SocketAddr) -> String {
    format!("http://{name}:{}", at.port())
}
