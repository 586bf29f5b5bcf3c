//! A way out that leads to public addresses only, for programs that follow redirects themselves.
//!
//! git can be told not to follow redirects and which addresses a name has; hg and svn cannot.
//! For public modules they are given an HTTP proxy of ours on loopback, which looks every name up
//! itself, connects to public addresses only, and lives as long as the call. It does `CONNECT`
//! and nothing else, so public modules are reached over https only.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::error::DirectError;
use crate::guard::is_public;

/// A request head of a proxy client is a few hundred bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Time to say what is wanted, and to connect.
const STEP_TIME: Duration = Duration::from_secs(30);

/// A running proxy; it ends, with all connections, when dropped.
pub(crate) struct Egress {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Egress {
    pub(crate) async fn start() -> Result<Self, DirectError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            // Dropped with the task, the set ends every connection.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serve(client));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream) {
    let opened = tokio::time::timeout(STEP_TIME, open(&mut client)).await;
    let Ok(Ok(mut server)) = opened else {
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        client.write_all(refusal).await.ok();
        return;
    };
    if client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.is_ok() {
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .ok();
    }
}

/// Reads the request and connects to the first of its addresses, all of which must be public.
async fn open(client: &mut TcpStream) -> std::io::Result<TcpStream> {
    let refused = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        // Byte by byte, so that nothing behind the head is taken; it is short and local.
        head.push(client.read_u8().await?);
        if head.len() > HEAD_BYTES_MAX {
            return Err(refused());
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut words = text.split_ascii_whitespace();
    let (Some("CONNECT"), Some(target)) = (words.next(), words.next()) else {
        return Err(refused());
    };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(target).await?.collect();
    if addresses.is_empty() || !addresses.iter().all(|address| is_public(address.ip())) {
        return Err(refused());
    }
    TcpStream::connect(addresses.as_slice()).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn ask(egress: &Egress, request: &str) -> String {
        let mut client = TcpStream::connect(egress.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn private_addresses_and_other_methods_are_refused() {
        let egress = Egress::start().await.unwrap();
        let inner = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = inner.local_addr().unwrap().port();
        for target in [
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            "10.0.0.1:443".into(),
            "[::1]:443".into(),
        ] {
            let reply = ask(
                &egress,
                &format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n"),
            )
            .await;
            assert!(reply.starts_with("HTTP/1.1 403"), "{target}: {reply}");
        }
        let reply = ask(&egress, "GET http://127.0.0.1/ HTTP/1.1\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 403"), "{reply}");
    }

    #[tokio::test]
    async fn it_ends_when_dropped() {
        let egress = Egress::start().await.unwrap();
        let address = egress.address;
        drop(egress);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
