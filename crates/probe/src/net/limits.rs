//! Time for each phase, scaled to the time for everything.

use std::time::Duration;

/// What one name, connection, handshake, answer and body may take.
///
/// Given time enough: DNS 5 s as the go command waits for one server, 3 s for an address, 5 s for
/// a handshake, 10 s for the first byte, 10 s for 64 KiB. Given less, each takes a share, so that
/// what was begun can still be judged when the whole time ends.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until a name is given up.
    pub dns: Duration,
    /// Until an address is given up.
    pub connect: Duration,
    /// Until a handshake is given up.
    pub tls: Duration,
    /// Until the first byte of an answer is given up.
    pub headers: Duration,
    /// Window in which a body's rate is judged.
    pub body: Duration,
    /// For the questions after a failure.
    pub deep: Duration,
}

/// Bytes a body brings in ten seconds unless it is stalled.
pub const STALL_BYTES: u64 = 64 << 10;

/// The time that [`STALL_BYTES`] is about.
pub const STALL_TIME: Duration = Duration::from_secs(10);

impl Limits {
    /// The limits within a time for everything.
    pub fn within(total: Duration) -> Self {
        let share = |seconds: u64, percent: u32| {
            Duration::from_secs(seconds).min(total.saturating_mul(percent) / 100)
        };
        Self {
            dns: share(5, 45),
            connect: share(3, 30),
            tls: share(5, 35),
            headers: share(10, 45),
            body: share(10, 35),
            deep: share(3, 25),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_hold_any_one_stall_and_the_questions_after_it() {
        let total = Duration::from_secs(10);
        let limits = Limits::within(total);
        let phases = [
            limits.dns,
            limits.connect,
            limits.tls,
            limits.headers,
            limits.body,
        ];
        for phase in phases {
            assert!(phase + limits.deep < total * 9 / 10, "{phase:?}");
        }
    }
}
