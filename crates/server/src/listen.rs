//! Where the server listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::str::FromStr;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Connections that the kernel may hold until they are accepted.
const BACKLOG: u32 = 1024;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `HOST:PORT`; port 0 takes any free one.
    Tcp(String),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err("unix: needs a path, as in unix:/run/modkeep.sock".into()),
                false => Ok(Address::Unix(path.into())),
            };
        }
        match text.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => Ok(Address::Tcp(text.into())),
            _ => Err(format!(
                "{text:?} is no address; it looks like 127.0.0.1:8080 or unix:/run/modkeep.sock"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    Unix,
}

impl Peer {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Peer::Unix => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => write!(f, "{}", address.ip()),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

/// An open listener.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// An accepted connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    pub async fn open(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(name) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                for found in tokio::net::lookup_host(name).await? {
                    match open_tcp(found) {
                        Ok(listener) => return Ok(Listener::Tcp(listener)),
                        Err(e) => last = e,
                    }
                }
                Err(last)
            }
            Address::Unix(path) => {
                // A socket that nobody listens on is left from a process that was killed.
                let stale = std::fs::symlink_metadata(path)
                    .is_ok_and(|m| m.file_type().is_socket())
                    && std::os::unix::net::UnixStream::connect(path).is_err();
                if stale {
                    std::fs::remove_file(path)?;
                }
                Ok(Listener::Unix(UnixListener::bind(path)?, path.clone()))
            }
        }
    }

    /// The address as clients write it.
    pub fn url(&self, tls: bool) -> io::Result<String> {
        let scheme = if tls { "https" } else { "http" };
        Ok(match self {
            Listener::Tcp(listener) => format!("{scheme}://{}", listener.local_addr()?),
            Listener::Unix(_, path) => format!("unix:{}", path.display()),
        })
    }

    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Unix))
            }
        }
    }
}

fn open_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A restart must not wait for old connections to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // What cannot be removed is found stale at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}
