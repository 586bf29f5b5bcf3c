//! One request of the go command with the redirects it leads to, and what the body turns out to be.
//!
//! Source of the rules: net/http (ten requests, which statuses redirect, credentials stay with
//! their host) and cmd/go/internal/web (https never leads to http).

use std::io::Cursor;
use std::time::{Duration, Instant};

use doctor::mask;
use doctor::net::{Content, Exchange, Failure, Fault, Hop, Phase, Stop, What};
use gomod::h1::hash_mod;
use gomod::info::Info;
use gomod::version::ModuleVersion;
use gomod::zip::{ZipError, verify};
use url::Url;

use super::dns::millis;
use super::goauth::Refused;
use super::hop::{Ask, Asked, ask, shown};
use super::prober::Prober;

/// Requests that one request may lead to, as in the go command.
const HOPS_MAX: usize = 10;

/// A command of GOAUTH is given up after this.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// A small file is read up to this size.
pub const SMALL_BYTES_MAX: u64 = 16 << 20;

/// A zip up to this size is kept in memory and looked into; a larger one is only measured.
pub const ZIP_BYTES_MAX: u64 = 64 << 20;

/// A request's outcome with its body.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// What is written down.
    pub exchange: Exchange,
    /// The body, if it was good and small enough to keep.
    pub body: Vec<u8>,
    /// The sum of a good zip or go.mod.
    pub h1: Option<String>,
}

/// Asks for a file of a module or of a checksum database.
pub async fn fetch(
    prober: &Prober,
    url: &Url,
    what: What,
    module: Option<&ModuleVersion>,
) -> Fetched {
    let began = Instant::now();
    if let Some(told) = &prober.told {
        told(&shown(url));
    }
    let mut fetched = Fetched {
        exchange: Exchange {
            url: shown(url),
            at_ms: millis(prober.began.elapsed()),
            ..Exchange::default()
        },
        ..Fetched::default()
    };
    if url.scheme() == "file" {
        from_file(url, &mut fetched);
    } else if url.scheme() == "http" && url.password().is_some() {
        let text = "refusing to pass credentials to insecure URL";
        fetched.exchange.hops.push(refused(url, text));
    } else {
        follow(prober, url, what, &mut fetched).await;
    }
    if fetched.exchange.file_error.is_none() {
        judge(&mut fetched, what, module);
    }
    fetched.exchange.took_ms = millis(began.elapsed());
    fetched
}

/// Asks; and once more where a command of GOAUTH has a login for what was refused.
async fn follow(prober: &Prober, url: &Url, what: What, fetched: &mut Fetched) {
    walk(prober, url, what, fetched).await;
    let credentials = &prober.credentials;
    let replays = prober.told.is_some() && credentials.has_commands();
    let refused = matches!(fetched.exchange.status(), Some(400..500)) && url.scheme() == "https";
    if !replays || !refused {
        return;
    }
    let head = fetched.exchange.last().map(head).unwrap_or_default();
    let refused = Refused { url, head: &head };
    let Ok(patience) = prober.left(COMMAND_TIME) else {
        return;
    };
    if credentials.ask_commands(Some(refused), patience).await {
        walk(prober, url, what, fetched).await;
    }
}

/// The head of an answer, as commands of GOAUTH read it.
fn head(hop: &Hop) -> String {
    let Some(http) = &hop.http else {
        return String::new();
    };
    let status = hyper::StatusCode::from_u16(http.status).ok();
    let reason = status
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default();
    let mut text = format!("{} {} {reason}\n", http.version, http.status);
    for (name, value) in &http.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text + "\n"
}

async fn walk(prober: &Prober, url: &Url, what: What, fetched: &mut Fetched) {
    let login = prober.credentials.find(url);
    fetched.exchange.credential = login.as_ref().map(|login| login.shown.clone());
    let keep_max = match what {
        What::Zip => ZIP_BYTES_MAX,
        _ => SMALL_BYTES_MAX,
    };
    let mut at = url.clone();
    for _ in 0..HOPS_MAX {
        let mut request = Ask::new(at.clone(), keep_max);
        let same = at.scheme() == "https"
            && (at.host(), at.port_or_known_default()) == (url.host(), url.port_or_known_default());
        let login = login.as_ref().filter(|_| same);
        request.login = login.map_or_else(Vec::new, |login| login.headers.clone());
        let Asked {
            hop,
            body,
            location,
        } = ask(prober, &request).await;
        let next = location.filter(|_| is_redirect(&hop));
        fetched.exchange.hops.push(hop);
        let Some(next) = next else {
            fetched.body = body;
            return;
        };
        match at.join(&next) {
            Ok(to) if at.scheme() == "https" && to.scheme() != "https" => {
                fetched.exchange.stopped = Some(Stop::Insecure(shown(&to)));
                return;
            }
            Ok(to) if matches!(to.scheme(), "http" | "https") => at = to,
            _ => {
                fetched.exchange.stopped = Some(Stop::Malformed(mask::logins(&next)));
                return;
            }
        }
    }
    fetched.exchange.stopped = Some(Stop::Loop);
}

fn is_redirect(hop: &Hop) -> bool {
    let http = hop.http.as_ref().filter(|_| hop.failure.is_none());
    http.is_some_and(|http| matches!(http.status, 301 | 302 | 303 | 307 | 308))
}

fn refused(url: &Url, text: &str) -> Hop {
    Hop {
        url: shown(url),
        host: url.host_str().unwrap_or_default().to_owned(),
        port: url.port_or_known_default().unwrap_or(0),
        failure: Some(Failure {
            phase: Phase::Headers,
            fault: Fault::Local,
            text: text.to_owned(),
            waited_ms: 0,
        }),
        ..Hop::default()
    }
}

fn from_file(url: &Url, fetched: &mut Fetched) {
    let read = url
        .to_file_path()
        .map_err(|()| "not a path".to_owned())
        .and_then(|path| {
            let meta = std::fs::metadata(&path).map_err(|e| e.to_string())?;
            match meta.len() <= ZIP_BYTES_MAX {
                true => std::fs::read(&path).map_err(|e| e.to_string()),
                false => Err("too large to look into".into()),
            }
        });
    match read {
        Ok(bytes) => fetched.body = bytes,
        Err(error) => fetched.exchange.file_error = Some(error),
    }
}

/// Looks into a body that came with status 200.
fn judge(fetched: &mut Fetched, what: What, module: Option<&ModuleVersion>) {
    let last = fetched.exchange.last();
    let http = last.and_then(|hop| hop.http.as_ref());
    let broke = last.is_some_and(|hop| hop.failure.is_some());
    let answered = fetched.exchange.hops.is_empty() || fetched.exchange.status() == Some(200);
    if broke || !answered || fetched.exchange.stopped.is_some() {
        // The text of a refusal may still tell who spoke.
        if is_page(&fetched.body) && http.is_some() && !broke {
            fetched.exchange.content = Some(Content::Html);
        }
        return;
    }
    let whole = http.is_none_or(|http| http.complete && http.bytes == fetched.body.len() as u64);
    let content = match whole {
        false if !is_page(&fetched.body) => Content::Unread,
        _ => content(fetched, what, module),
    };
    fetched.exchange.content = Some(content);
}

fn content(fetched: &mut Fetched, what: What, module: Option<&ModuleVersion>) -> Content {
    let body = &fetched.body;
    let asks_page = matches!(what, What::Discovery | What::Refs);
    if is_page(body) && !asks_page {
        return Content::Html;
    }
    let may_be_empty = matches!(what, What::List | What::Supported | What::Discovery);
    if body.is_empty() && !may_be_empty {
        return Content::Empty;
    }
    match what {
        What::Info | What::Latest | What::Control => match Info::parse(body) {
            Ok(_) => Content::Good,
            Err(error) => Content::Bad(error.to_string()),
        },
        What::Mod => {
            fetched.h1 = Some(hash_mod(body).to_string());
            Content::Good
        }
        What::Zip => {
            let (content, h1) = zip(body, module);
            fetched.h1 = h1;
            content
        }
        _ => Content::Good,
    }
}

fn zip(body: &[u8], module: Option<&ModuleVersion>) -> (Content, Option<String>) {
    let Some(module) = module else {
        return (Content::Good, None);
    };
    match verify(Cursor::new(body), body.len() as u64, module) {
        Ok(checked) => (Content::Good, Some(checked.h1.to_string())),
        Err(ZipError::Format(_)) if body.starts_with(b"PK") => (Content::CutZip, None),
        Err(error) => {
            let text = error.to_string();
            let strange = text.split_once("has unexpected file ");
            match strange {
                Some((_, name)) => (Content::Prefix(name.chars().take(200).collect()), None),
                None => (Content::Bad(text.chars().take(300).collect()), None),
            }
        }
    }
}

/// Whether bytes are a web page.
pub fn is_page(body: &[u8]) -> bool {
    let text = body.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let begins = |tag: &str| {
        let head = text.get(..tag.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(tag.as_bytes()))
    };
    [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<script",
        "<meta",
    ]
    .iter()
    .any(|tag| begins(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_modules() {
        assert!(is_page(b"\n <!DOCTYPE HTML><p>"));
        assert!(is_page(b"<html>"));
        assert!(!is_page(b"{\"Version\":\"v1.0.0\"}"));
        assert!(!is_page(b"module a.example/b\n"));
        assert!(!is_page(b""));
    }
}
