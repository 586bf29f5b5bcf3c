//! Request ids: the same one in the `X-Request-Id` header and in the log.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A client's own id is taken over if it is no longer than this.
const LEN_MAX: usize = 64;

/// The id of a request: the client's, if it is harmless, or a new one.
pub(crate) fn request_id(given: Option<&[u8]>) -> String {
    let harmless = |id: &&str| {
        !id.is_empty()
            && id.len() <= LEN_MAX
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if let Some(id) = given.and_then(|g| str::from_utf8(g).ok()).filter(harmless) {
        return id.to_owned();
    }
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static START: OnceLock<u64> = OnceLock::new();
    // Unique across restarts: microseconds of the start, then a count.
    let start = START.get_or_init(|| {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_micros() as u64);
        now & 0xff_ffff_ffff
    });
    format!("{start:010x}-{:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        assert_eq!(request_id(Some(b"ci-42")), "ci-42");
        for bad in [&b"a b"[..], b"", b"x\n", &[0xff], &[b'a'; 65]] {
            assert_ne!(request_id(Some(bad)).as_bytes(), bad);
        }
        assert_ne!(request_id(None), request_id(None));
    }
}
