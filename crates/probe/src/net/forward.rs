//! Forward proxies: which URL goes through which, and how to get through.
//!
//! Source of the rules: golang.org/x/net/http/httpproxy and net/http. `HTTPS_PROXY` for https,
//! `HTTP_PROXY` for http, upper case before lower case; localhost and loopback addresses never;
//! NO_PROXY holds hosts (with their subdomains), `.domains`, addresses, networks, `*`, each with
//! an optional port.

use std::net::IpAddr;
use std::time::Duration;

use doctor::mask;
use doctor::net::Forward;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::auth::{basic, decoded};
use super::tls::Stream;

/// What a proxy may say to CONNECT before it is cut.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The settings.
#[derive(Clone, Debug, Default)]
pub struct Forwards {
    http: Option<Named>,
    https: Option<Named>,
    except: Vec<String>,
}

/// A proxy and the variable that names it.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its address, with its login.
    pub url: Url,
    /// The variable.
    pub variable: String,
}

impl Forwards {
    /// From variables of the operating system.
    pub fn new<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Self {
        let any = |names: [&str; 2]| {
            let found = names
                .into_iter()
                .find_map(|n| Some((n.to_owned(), variable(n)?)));
            found.filter(|(_, value)| !value.is_empty())
        };
        let named = |names| {
            let (variable, value) = any(names)?;
            Some(Named {
                url: parse(value)?,
                variable,
            })
        };
        let except = any(["NO_PROXY", "no_proxy"])
            .map(|(_, value)| value)
            .unwrap_or_default();
        Self {
            http: named(["HTTP_PROXY", "http_proxy"]),
            https: named(["HTTPS_PROXY", "https_proxy"]),
            except: except.split(',').map(|e| e.trim().to_lowercase()).collect(),
        }
    }

    /// The proxy for a URL.
    pub fn for_url(&self, url: &Url) -> Option<&Named> {
        let named = match url.scheme() {
            "https" => self.https.as_ref(),
            "http" => self.http.as_ref(),
            _ => None,
        }?;
        let host = url.host_str()?.trim_matches(['[', ']']).to_lowercase();
        let port = url.port_or_known_default()?;
        (!self.excepted(&host, port)).then_some(named)
    }

    fn excepted(&self, host: &str, port: u16) -> bool {
        let ip: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        let rules = self.except.iter().filter(|rule| !rule.is_empty());
        rules.into_iter().any(|rule| covers(rule, host, ip, port))
    }
}

impl Named {
    /// For facts.
    pub fn shown(&self) -> Forward {
        Forward {
            url: mask::logins(self.url.as_str())
                .trim_end_matches('/')
                .to_owned(),
            variable: self.variable.clone(),
            ..Forward::default()
        }
    }

    /// `Proxy-Authorization`, if the address holds a login.
    pub fn authorization(&self) -> Option<String> {
        if self.url.username().is_empty() && self.url.password().is_none() {
            return None;
        }
        let password = self.url.password().unwrap_or_default();
        Some(basic(&decoded(self.url.username()), &decoded(password)))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        let known = self.url.port_or_known_default();
        known.unwrap_or(1080)
    }
}

fn parse(value: &str) -> Option<Url> {
    let whole = Url::parse(value).ok().filter(Url::has_host);
    whole.or_else(|| Url::parse(&format!("http://{value}")).ok())
}

fn covers(rule: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if rule == "*" {
        return true;
    }
    if let Some((network, bits)) = rule.split_once('/') {
        let parsed = (network.parse::<IpAddr>(), bits.parse::<u32>());
        return match (ip, parsed) {
            (Some(ip), (Ok(network), Ok(bits))) => within(ip, network, bits),
            _ => false,
        };
    }
    let (name, wanted) = match rule.rsplit_once(':') {
        Some((name, wanted)) if !name.contains(':') || name.ends_with(']') => (name, Some(wanted)),
        _ => (rule, None),
    };
    if wanted.is_some_and(|wanted| wanted != port.to_string()) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    if let Ok(address) = name.parse::<IpAddr>() {
        return ip == Some(address);
    }
    let name = name
        .strip_prefix('*')
        .filter(|n| n.starts_with('.'))
        .unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => !name.is_empty() && (host == name || host.ends_with(&format!(".{name}"))),
    }
}

fn within(ip: IpAddr, network: IpAddr, bits: u32) -> bool {
    let cut = |ip: u128, width: u32| match bits {
        0 => 0,
        bits => ip >> width.saturating_sub(bits).min(127),
    };
    match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => {
            cut(u32::from(a).into(), 32) == cut(u32::from(b).into(), 32)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => cut(a.into(), 128) == cut(b.into(), 128),
        _ => false,
    }
}

/// What came of asking for a tunnel.
pub enum Tunnel {
    /// It stands.
    Stands(Stream),
    /// The proxy said no, with this status.
    Refused(u16),
    /// The proxy did not keep to the rules or the connection ended: why.
    Broken(std::io::Error),
}

/// Asks an HTTP proxy for a tunnel.
pub async fn tunnel(
    mut stream: Stream,
    host: &str,
    port: u16,
    authorization: Option<&str>,
    limit: Duration,
) -> Tunnel {
    let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(authorization) = authorization {
        head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    head.push_str("\r\n");
    let asked = async {
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > HEAD_BYTES_MAX {
                return Err(std::io::Error::other("its answer to CONNECT has no end"));
            }
            answer.push(stream.read_u8().await?);
        }
        let line = String::from_utf8_lossy(&answer);
        let status = line.split_whitespace().nth(1).and_then(|s| s.parse().ok());
        status
            .filter(|_| line.starts_with("HTTP/"))
            .ok_or_else(|| std::io::Error::other("its answer to CONNECT is not HTTP"))
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(200..=299)) => Tunnel::Stands(stream),
        Ok(Ok(status)) => Tunnel::Refused(status),
        Ok(Err(error)) => Tunnel::Broken(error),
        Err(_) => Tunnel::Broken(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer to CONNECT in {} ms", limit.as_millis()),
        )),
    }
}

/// Asks a SOCKS 5 proxy (RFC 1928, 1929) for a tunnel; the proxy resolves the name.
pub async fn socks(
    mut stream: Stream,
    host: &str,
    port: u16,
    login: Option<(&str, &str)>,
    limit: Duration,
) -> Tunnel {
    let asked = async {
        let other = |text: &str| std::io::Error::other(text.to_owned());
        stream
            .write_all(&[5, 1, if login.is_some() { 2 } else { 0 }])
            .await?;
        let mut chosen = [0; 2];
        stream.read_exact(&mut chosen).await?;
        match (chosen, login) {
            ([5, 0], _) => {}
            ([5, 2], Some((name, password))) => {
                let size =
                    |text: &str| u8::try_from(text.len()).map_err(|_| other("login too long"));
                let mut message = vec![1, size(name)?];
                message.extend_from_slice(name.as_bytes());
                message.push(size(password)?);
                message.extend_from_slice(password.as_bytes());
                stream.write_all(&message).await?;
                stream.read_exact(&mut chosen).await?;
                if chosen[1] != 0 {
                    return Ok(Some(407));
                }
            }
            ([5, 255], _) => return Ok(Some(407)),
            _ => return Err(other("it does not speak SOCKS 5")),
        }
        let size = u8::try_from(host.len()).map_err(|_| other("host name too long"))?;
        let mut message = vec![5, 1, 0, 3, size];
        message.extend_from_slice(host.as_bytes());
        message.extend_from_slice(&port.to_be_bytes());
        stream.write_all(&message).await?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).await?;
        if head[1] == 2 {
            return Ok(Some(403));
        }
        if head[1] != 0 {
            return Err(other(&format!(
                "it could not connect (SOCKS reply {})",
                head[1]
            )));
        }
        let rest = match head[3] {
            1 => 6,
            4 => 18,
            _ => usize::from(stream.read_u8().await?) + 2,
        };
        let mut bound = vec![0; rest];
        stream.read_exact(&mut bound).await?;
        Ok(None)
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(Ok(None)) => Tunnel::Stands(stream),
        Ok(Ok(Some(status))) => Tunnel::Refused(status),
        Ok(Err(error)) => Tunnel::Broken(error),
        Err(_) => Tunnel::Broken(std::io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn through(vars: &[(&str, &'static str)], url: &str) -> Option<String> {
        let forwards = Forwards::new(|name| {
            vars.iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| *value)
        });
        let url = Url::parse(url).unwrap();
        forwards.for_url(&url).map(|named| named.url.to_string())
    }

    #[test]
    fn schemes_exceptions_and_this_machine_are_told_apart() {
        let vars = [
            ("HTTPS_PROXY", "p.example:3128"),
            ("http_proxy", "http://q.example"),
            (
                "NO_PROXY",
                "a.example, .b.example,10.0.0.0/8,c.example:8443,192.0.2.7",
            ),
        ];
        let p = Some("http://p.example:3128/".to_owned());
        for (url, want) in [
            ("https://x.example/", p.clone()),
            ("http://x.example/", Some("http://q.example/".into())),
            ("https://localhost:1/", None),
            ("https://127.0.0.1/", None),
            ("https://a.example/", None),
            ("https://sub.a.example/", None),
            ("https://b.example/", p.clone()),
            ("https://sub.b.example/", None),
            ("https://10.1.2.3/", None),
            ("https://11.1.2.3/", p.clone()),
            ("https://192.0.2.7/", None),
            ("https://c.example/", p.clone()),
            ("https://c.example:8443/", None),
        ] {
            assert_eq!(through(&vars, url), want, "{url}");
        }
        assert_eq!(
            through(&[("HTTPS_PROXY", "h"), ("NO_PROXY", "*")], "https://x/"),
            None
        );
    }
}
