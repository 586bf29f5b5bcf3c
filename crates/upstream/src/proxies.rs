//! The go command's GOPROXY grammar: where to ask, in which order, and when to go on to the next.
//!
//! Source of the rules: `go help goproxy` and cmd/go/internal/modfetch/proxy.go. A comma goes on
//! only after "not here" (404, 410), a bar after any error; `direct` and `off` end the list.

use std::fmt;
use std::path::PathBuf;
use url::Url;

/// Most entries in a list: more is a mistake.
const ENTRIES_MAX: usize = 32;

/// Where an entry points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A GOPROXY server; no trailing slash in its path.
    Http(Url),
    /// A GOPROXY tree in the file system.
    File(PathBuf),
    /// The version control systems themselves.
    Direct,
    /// Nobody.
    Off,
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where to ask.
    pub place: Place,
    /// Whether any error, not only "not here", leads on to the next entry (`|`).
    pub on_any_error: bool,
}

/// A parsed list, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyList {
    /// In the order of asking.
    pub entries: Vec<Entry>,
}

/// Why a list cannot be used, in the go command's words where it has some.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ProxyListError(String);

impl ProxyList {
    /// Parses a GOPROXY value.
    pub fn parse(text: &str) -> Result<Self, ProxyListError> {
        let mut entries = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find([',', '|']).unwrap_or(rest.len());
            let (name, on_any_error) = (rest[..end].trim(), rest[end..].starts_with('|'));
            rest = rest.get(end + 1..).unwrap_or("");
            if name.is_empty() {
                continue;
            }
            let place = parse_place(name)?;
            let last = matches!(place, Place::Direct | Place::Off);
            entries.push(Entry {
                place,
                on_any_error,
            });
            if last {
                break;
            }
            if entries.len() > ENTRIES_MAX {
                return Err(ProxyListError(format!("more than {ENTRIES_MAX} upstreams")));
            }
        }
        if entries.is_empty() {
            return Err(ProxyListError(
                "the upstream list contains no entries; try https://proxy.golang.org,direct".into(),
            ));
        }
        Ok(Self { entries })
    }
}

fn parse_place(name: &str) -> Result<Place, ProxyListError> {
    let wrong = |why: &str| ProxyListError(format!("{why}: {}", mask(name)));
    match name {
        "direct" => return Ok(Place::Direct),
        "off" => return Ok(Place::Off),
        "noproxy" => return Err(wrong("noproxy is not an upstream")),
        _ => {}
    }
    if !name.contains("://") {
        return Err(wrong(
            "invalid proxy URL missing scheme (must be https, http, file)",
        ));
    }
    let mut url = Url::parse(name).map_err(|e| wrong(&format!("invalid proxy URL ({e})")))?;
    match url.scheme() {
        "http" | "https" => {}
        "file" => {
            let path = url.to_file_path().ok();
            let plain = url.host().is_none() && url.query().is_none() && url.fragment().is_none();
            return path
                .filter(|_| plain)
                .map(Place::File)
                .ok_or_else(|| wrong("invalid file:// proxy URL with non-path elements"));
        }
        _ => {
            return Err(wrong(
                "invalid proxy URL scheme (must be https, http, file)",
            ));
        }
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a proxy URL has no query and no fragment"));
    }
    let local = matches!(url.host(), Some(url::Host::Ipv4(ip)) if ip.is_loopback())
        || url.host_str() == Some("localhost");
    if url.scheme() == "http" && url.password().is_some() && !local {
        return Err(wrong("refusing to pass credentials to insecure URL"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(Place::Http(url))
}

/// A URL as it may be shown: without user name and password.
pub fn show(url: &Url) -> String {
    let mut shown = url.clone();
    // Only fails for URLs that cannot carry credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.as_str().trim_end_matches('/').to_owned()
}

/// Text that may hold a URL with credentials, made fit to be shown.
fn mask(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://***{}", &text[..scheme], &text[at..])
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Http(url) => f.write_str(&show(url)),
            Place::File(path) => write!(f, "file://{}", path.display()),
            Place::Direct => f.write_str("direct"),
            Place::Off => f.write_str("off"),
        }
    }
}

impl fmt::Display for ProxyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            let last = i + 1 == self.entries.len();
            write!(
                f,
                "{}{}",
                entry.place,
                if last {
                    ""
                } else if entry.on_any_error {
                    "|"
                } else {
                    ","
                }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn separators_say_when_to_go_on() {
        let list =
            ProxyList::parse("https://a.example/x/|http://b.example,direct,https://never.example")
                .unwrap();
        assert_eq!(
            list.to_string(),
            "https://a.example/x|http://b.example,direct"
        );
        assert!(list.entries[0].on_any_error);
        assert!(!list.entries[1].on_any_error);
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for (text, part) in [
            ("", "no entries"),
            (",|", "no entries"),
            ("proxy.example", "missing scheme"),
            ("ftp://a", "scheme (must be"),
            ("file://host/path", "non-path"),
            ("http://u:secret@a.example", "refusing to pass credentials"),
            ("noproxy", "not an upstream"),
        ] {
            let error = ProxyList::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_never_shown() {
        let list = ProxyList::parse("https://user:secret@a.example").unwrap();
        assert_eq!(list.to_string(), "https://a.example");
    }
}
