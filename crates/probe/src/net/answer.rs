//! Answers: their headers, their bodies with rate and stalls, and what an error means.

use std::time::{Duration, Instant, UNIX_EPOCH};

use doctor::mask;
use doctor::net::{Failure, Fault, Http, Phase};
use gomod::zip::MAX_ZIP_FILE;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Incoming};
use sha2::{Digest, Sha256};

use super::dns::millis;
use super::hop::Ask;
use super::limits::{STALL_BYTES, STALL_TIME};
use super::prober::Prober;
use super::tcp;

/// Headers that tell something and hold no secret.
const KEPT: &[&str] = &[
    "server",
    "via",
    "date",
    "age",
    "cache-control",
    "content-type",
    "content-length",
    "etag",
    "retry-after",
    "www-authenticate",
    "x-cache",
    "x-cache-hits",
    "x-proxy-cache",
    "cache-status",
    "last-modified",
    "x-served-by",
    "cf-ray",
    "cf-cache-status",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "ratelimit-policy",
];

/// The status and what the headers tell.
pub fn head(response: &Response<Incoming>, first_byte: Duration, now: i64) -> Http {
    let headers = response.headers();
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        Some(mask::logins(&value.chars().take(300).collect::<String>()))
    };
    let kept = KEPT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), text(name)?)));
    let date = headers.get("date").and_then(|d| d.to_str().ok());
    let seconds = date
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    Http {
        version: format!("{:?}", response.version()),
        status: response.status().as_u16(),
        headers: kept.collect(),
        // An answer from a cache is as old as it says.
        clock_ahead_s: seconds
            .filter(|_| !headers.contains_key("age"))
            .map(|s| s - now),
        first_byte_ms: millis(first_byte),
        announced: response.body().size_hint().exact(),
        ..Http::default()
    }
}

/// Reads a body until its end, a stall, or the end of the time for everything.
pub async fn body(
    prober: &Prober,
    ask: &Ask,
    response: Response<Incoming>,
    http: &mut Http,
    kept: &mut Vec<u8>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut incoming = response.into_body();
    let mut sum = Sha256::new();
    let ended = loop {
        if http.announced.unwrap_or(0).max(http.bytes) > MAX_ZIP_FILE {
            let size = http.announced.unwrap_or(http.bytes);
            break Err(failure_of(Fault::TooLarge, format!("{size} bytes"), began));
        }
        let window = prober.limits.body;
        let Ok(left) = prober.left(window) else {
            break Ok(false);
        };
        let next = tokio::time::timeout(left, incoming.frame()).await;
        http.body_ms = millis(began.elapsed());
        match next {
            Ok(Some(Ok(frame))) => {
                let Ok(bytes) = frame.into_data() else {
                    continue;
                };
                http.bytes += bytes.len() as u64;
                sum.update(&bytes);
                if (kept.len() + bytes.len()) as u64 <= ask.keep_max {
                    kept.extend_from_slice(&bytes);
                }
            }
            Ok(Some(Err(error))) => break Err(broken(&error, http, began)),
            Ok(None) => break Ok(true),
            Err(_) if left < window && !is_stalled(http.bytes, began.elapsed()) => break Ok(false),
            Err(_) => {}
        }
        if began.elapsed() >= window && is_stalled(http.bytes, began.elapsed()) {
            let text = format!(
                "{} bytes of the body in {} ms",
                http.bytes,
                began.elapsed().as_millis()
            );
            break Err(failure_of(Fault::TimedOut, text, began));
        }
    };
    http.body_ms = millis(began.elapsed());
    http.complete = matches!(ended, Ok(true));
    if http.complete {
        http.sha256 = Some(hex::encode(sum.finalize()));
    }
    ended.map(|_| ())
}

fn is_stalled(bytes: u64, time: Duration) -> bool {
    let wanted = u128::from(STALL_BYTES) * time.as_millis() / STALL_TIME.as_millis();
    u128::from(bytes) < wanted
}

fn broken(error: &hyper::Error, http: &Http, began: Instant) -> Failure {
    let found = failure(error, Phase::Body);
    let announced = match http.announced {
        Some(size) => format!("{} of {size} bytes came", http.bytes),
        None => format!("{} bytes came, and no end", http.bytes),
    };
    Failure {
        text: format!("{announced}: {}", found.text),
        waited_ms: millis(began.elapsed()),
        ..found
    }
}

fn failure_of(fault: Fault, text: String, began: Instant) -> Failure {
    Failure {
        phase: Phase::Body,
        fault,
        text,
        waited_ms: millis(began.elapsed()),
    }
}

/// What an error of the HTTP library means.
pub fn failure(error: &hyper::Error, phase: Phase) -> Failure {
    let mut fault = Fault::Protocol;
    let mut words = error.to_string();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            fault = match tcp::fault(io) {
                Fault::Local => Fault::Protocol,
                other => other,
            };
        }
        cause = inner.source();
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        fault = Fault::Closed;
    }
    if phase == Phase::Body && fault == Fault::Closed || is_cut(error, phase) {
        fault = Fault::Cut;
    }
    Failure {
        phase,
        fault,
        text: words,
        waited_ms: 0,
    }
}

/// HTTP/2 counts bytes itself; HTTP/1 says that the message is incomplete.
fn is_cut(error: &hyper::Error, phase: Phase) -> bool {
    phase == Phase::Body && error.is_incomplete_message()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_stalled_below_64_kib_in_ten_seconds() {
        let second = Duration::from_secs(1);
        assert!(is_stalled(1000, second));
        assert!(!is_stalled(7000, second));
        assert!(!is_stalled(64 << 10, second * 10));
        assert!(!is_stalled(0, Duration::ZERO));
    }
}
