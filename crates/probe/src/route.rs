//! The way to an address, router by router, without privilege.
//!
//! Datagrams with small times to live are sent all at once; routers that drop one say so, and Linux
//! gives their word to the socket that sent it (IP_RECVERR). Elsewhere there is no way without
//! privilege, and that is said.

use doctor::trace::{Route, RouteHop};
use std::net::IpAddr;
use std::time::Duration;

/// Routers at most: the Internet is about twenty wide.
#[cfg(target_os = "linux")]
const TTL_MAX: u8 = 24;

/// The way to `address` (`IP` or `IP:PORT`); takes at most `limit`.
pub async fn route(host: &str, address: &str, limit: Duration) -> Route {
    let mut route = Route {
        host: host.to_owned(),
        address: address.to_owned(),
        ..Route::default()
    };
    let ip = address
        .parse::<std::net::SocketAddr>()
        .map(|a| a.ip())
        .or_else(|_| address.parse::<IpAddr>());
    let Ok(ip) = ip else {
        route.unavailable = Some("it is not known which address was asked".into());
        return route;
    };
    route.address = ip.to_string();
    let walked = tokio::task::spawn_blocking(move || walk(ip, limit)).await;
    match walked.unwrap_or_else(|_| Err("the look at the way was lost".into())) {
        Ok((hops, reached)) => (route.hops, route.reached) = (hops, reached),
        Err(why) => route.unavailable = Some(why),
    }
    route
}

#[cfg(not(target_os = "linux"))]
fn walk(_: IpAddr, _: Duration) -> Result<(Vec<RouteHop>, bool), String> {
    Err("this system has no way to ask for it without privilege".into())
}

#[cfg(target_os = "linux")]
fn walk(ip: IpAddr, limit: Duration) -> Result<(Vec<RouteHop>, bool), String> {
    use std::time::Instant;
    let began = Instant::now();
    let mut asked = Vec::new();
    for ttl in 1..=TTL_MAX {
        asked.push(linux::Asked::send(ip, ttl).map_err(|e| e.to_string())?);
    }
    let mut reached_at: Option<u8> = None;
    while began.elapsed() < limit {
        for one in asked.iter_mut().filter(|a| a.hop.address.is_none()) {
            if one.heard(began.elapsed()) && one.hop.address == Some(ip.to_string()) {
                let ttl = one.hop.ttl;
                reached_at = Some(reached_at.map_or(ttl, |known| known.min(ttl)));
            }
        }
        let needed = usize::from(reached_at.unwrap_or(TTL_MAX));
        if asked.iter().take(needed).all(|a| a.hop.address.is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut hops: Vec<RouteHop> = asked.into_iter().map(|a| a.hop).collect();
    hops.truncate(usize::from(reached_at.unwrap_or(TTL_MAX)));
    // Silence behind the last router that answered tells nothing more.
    let last = hops.iter().rposition(|h| h.address.is_some());
    hops.truncate(last.map_or(0, |at| at + 1));
    Ok((hops, reached_at.is_some()))
}

#[cfg(target_os = "linux")]
mod linux {
    use doctor::trace::RouteHop;
    use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
    use socket2::{Domain, Protocol, Socket, Type};
    use std::io::{self, IoSliceMut};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    /// Where traceroute sends to: ports at which nobody listens.
    const PORT: u16 = 33_434;

    /// A datagram on its way.
    pub struct Asked {
        socket: Socket,
        pub hop: RouteHop,
    }

    impl Asked {
        pub fn send(ip: IpAddr, ttl: u8) -> io::Result<Self> {
            let domain = match ip {
                IpAddr::V4(_) => Domain::IPV4,
                IpAddr::V6(_) => Domain::IPV6,
            };
            let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            match ip {
                IpAddr::V4(_) => {
                    socket.set_ttl_v4(ttl.into())?;
                    setsockopt(&socket, Ipv4RecvErr, &true)?;
                }
                IpAddr::V6(_) => {
                    socket.set_unicast_hops_v6(ttl.into())?;
                    setsockopt(&socket, Ipv6RecvErr, &true)?;
                }
            }
            let to = SocketAddr::new(ip, PORT + u16::from(ttl));
            socket.connect(&to.into())?;
            socket.send(b"modkeep trace")?;
            let hop = RouteHop {
                ttl,
                ..RouteHop::default()
            };
            Ok(Self { socket, hop })
        }

        /// Whether a router has spoken by now.
        pub fn heard(&mut self, after: Duration) -> bool {
            let mut data = [0; 64];
            let mut parts = [IoSliceMut::new(&mut data)];
            let mut space = nix::cmsg_space!([u8; 128]);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let fd = self.socket.as_raw_fd();
            let Ok(message) = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags)
            else {
                return false;
            };
            let Ok(notes) = message.cmsgs() else {
                return false;
            };
            for note in notes {
                let from = match note {
                    ControlMessageOwned::Ipv4RecvErr(_, Some(from)) => {
                        IpAddr::V4(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))
                    }
                    ControlMessageOwned::Ipv6RecvErr(_, Some(from)) => {
                        IpAddr::V6(Ipv6Addr::from(from.sin6_addr.s6_addr))
                    }
                    _ => continue,
                };
                self.hop.address = Some(from.to_string());
                self.hop.took_ms = after.as_secs_f64() * 1e3;
                return true;
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn this_machine_is_one_step_away() {
        let route = route("localhost", "127.0.0.1:80", Duration::from_secs(5)).await;
        if route.unavailable.is_none() {
            assert!(route.reached, "{route:?}");
            assert_eq!(route.hops.len(), 1);
            assert_eq!(route.hops[0].address.as_deref(), Some("127.0.0.1"));
        }
    }

    #[tokio::test]
    async fn what_is_no_address_has_no_way() {
        let route = route("x", "nonsense", Duration::from_secs(1)).await;
        assert!(route.unavailable.is_some());
    }
}
