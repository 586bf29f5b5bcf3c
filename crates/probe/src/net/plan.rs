//! GOPROXY and GOSUMDB as the go command reads them, and the URLs they lead to.
//!
//! Source of the rules: cmd/go/internal/modfetch/proxy.go (proxyList, newProxyRepo) and sumdb.go
//! (dbDial).

use doctor::mask;
use gomod::escape::percent_encode;
use tlog::client::Verifier;
use url::Url;

/// Most entries that are looked at.
const ENTRIES_MAX: usize = 16;

/// The key of the Go project's checksum database.
const SUM_GOLANG_ORG: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/// Where an entry of GOPROXY leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A proxy, by http, https or file.
    Proxy(Url),
    /// The module's own host.
    Direct,
    /// Nowhere.
    Off,
}

/// An entry of GOPROXY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it leads.
    pub place: Place,
    /// The same, masked.
    pub shown: String,
    /// Whether any error leads on (`|`).
    pub on_any_error: bool,
}

/// Reads GOPROXY.
///
/// # Errors
/// What the go command would say.
pub fn proxies(goproxy: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut rest = goproxy;
    while !rest.is_empty() && entries.len() < ENTRIES_MAX {
        let end = rest.find([',', '|']).unwrap_or(rest.len());
        let (word, on_any_error) = (rest[..end].trim(), rest[end..].starts_with('|'));
        rest = rest.get(end + 1..).unwrap_or_default();
        if word.is_empty() {
            continue;
        }
        let place = place(word)?;
        let last = !matches!(place, Place::Proxy(_));
        entries.push(Entry {
            place,
            shown: mask::logins(word).trim_end_matches('/').to_owned(),
            on_any_error,
        });
        if last {
            break;
        }
    }
    if entries.is_empty() {
        return Err("GOPROXY list is not the empty string, but contains no entries".into());
    }
    Ok(entries)
}

fn place(word: &str) -> Result<Place, String> {
    match word {
        "direct" => return Ok(Place::Direct),
        "off" => return Ok(Place::Off),
        _ => {}
    }
    let bare = word.contains(['.', ':', '/']) && !word.contains(":/") && !word.starts_with('/');
    let text = match bare {
        true => format!("https://{word}"),
        false => word.to_owned(),
    };
    let shown = mask::logins(word);
    let Ok(url) = Url::parse(&text) else {
        return Err(match text.contains(":/") {
            true => format!("invalid proxy URL: {shown}"),
            false => format!("invalid proxy URL missing scheme: {shown}"),
        });
    };
    match url.scheme() {
        "http" | "https" | "file" => Ok(Place::Proxy(url)),
        _ => Err(format!(
            "invalid proxy URL scheme (must be https, http, file): {shown}"
        )),
    }
}

/// A checksum database.
#[derive(Clone, Debug)]
pub struct Sumdb {
    /// Its pinned key.
    pub verifier: Verifier,
    /// Its own address.
    pub own: Url,
    /// The address that GOSUMDB names, which no proxy relays.
    pub explicit: Option<Url>,
}

/// Reads GOSUMDB; `off` is none.
///
/// # Errors
/// What the go command would say.
pub fn sumdb(gosumdb: &str) -> Result<Option<Sumdb>, String> {
    let value = match gosumdb {
        "off" => return Ok(None),
        "sum.golang.google.cn" => "sum.golang.org https://sum.golang.google.cn",
        other => other,
    };
    let words: Vec<&str> = value.split_whitespace().collect();
    let (key, url) = match words.as_slice() {
        [] => return Err("missing GOSUMDB".into()),
        [key] => (*key, None),
        [key, url] => (*key, Some(*url)),
        _ => return Err("invalid GOSUMDB: too many fields".into()),
    };
    let key = if key == "sum.golang.org" {
        SUM_GOLANG_ORG
    } else {
        key
    };
    let invalid = |e: &dyn std::fmt::Display| format!("invalid GOSUMDB: {e}");
    let verifier = Verifier::new(key).map_err(|e| invalid(&e))?;
    let own = format!("https://{}", verifier.name());
    let explicit = url.map(Url::parse).transpose();
    Ok(Some(Sumdb {
        own: Url::parse(&own).map_err(|e| invalid(&e))?,
        explicit: explicit.map_err(|e| format!("invalid GOSUMDB URL: {e}"))?,
        verifier,
    }))
}

/// A URL below another, each segment escaped as the go command does.
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let escaped: Vec<String> = path.split('/').map(percent_encode).collect();
    let whole = format!(
        "{}/{}",
        base.path().trim_end_matches('/'),
        escaped.join("/")
    );
    url.set_path(&whole);
    url
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn gosumdb_is_read_as_the_go_command_reads_it() {
        assert!(sumdb("off").unwrap().is_none());
        let cn = sumdb("sum.golang.google.cn").unwrap().unwrap();
        assert_eq!(cn.verifier.name(), "sum.golang.org");
        assert!(cn.explicit.is_some());
        for bad in [
            "",
            " ",
            "on",
            "sum.goproxy.cn",
            "https://sum.golang.org",
            "a b c",
        ] {
            assert!(sumdb(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn goproxy_is_read_as_the_go_command_reads_it() {
        let list =
            proxies("https://u:p@a.example/x/|proxy.example:91/y, direct,https://z").unwrap();
        let shown: Vec<&str> = list.iter().map(|e| e.shown.as_str()).collect();
        assert_eq!(
            shown,
            [
                "https://***:***@a.example/x",
                "proxy.example:91/y",
                "direct"
            ]
        );
        assert!(list[0].on_any_error && !list[1].on_any_error);
        for (bad, part) in [
            (",", "contains no entries"),
            ("none", "missing scheme"),
            ("ftp://a", "must be"),
        ] {
            assert!(proxies(bad).unwrap_err().contains(part), "{bad}");
        }
        let base = Url::parse("https://a.example/x/").unwrap();
        let url = below(&base, "example.com/!m/@v/v1.0.0.info");
        assert_eq!(
            url.as_str(),
            "https://a.example/x/example.com/!m/@v/v1.0.0.info"
        );
    }
}
