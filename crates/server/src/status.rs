//! The one place where blame becomes a status, and where the text for the go command is shaped.

use keep::{Blame, Refusal};

/// What the go command shows of an error: at most 8 lines and 648 bytes, up to the first blank line.
const SHOWN_LINES: usize = 8;
const SHOWN_BYTES: usize = 648;

/// The status that a refusal is answered with.
pub(crate) fn status(blame: Blame) -> u16 {
    match blame {
        Blame::Malformed => 400,
        Blame::Absent | Blame::NotYet => 404,
        Blame::Gone => 410,
        Blame::Denied(status) => status,
        Blame::Busy => 503,
        Blame::Upstream => 502,
        Blame::Slow => 504,
        Blame::Ours => 500,
    }
}

/// How long a cache may hold a refusal, in seconds: only proved absence, and only briefly.
pub(crate) fn cacheable_secs(blame: Blame) -> Option<u64> {
    match blame {
        Blame::Absent | Blame::Gone => Some(60),
        // A cached absence of a tile would fail clients that have the head which needs it.
        Blame::NotYet
        | Blame::Malformed
        | Blame::Denied(_)
        | Blame::Busy
        | Blame::Upstream
        | Blame::Slow
        | Blame::Ours => None,
    }
}

/// The text of a refusal. Proved absence is the upstream's own text, handed on; everything else is
/// made to fit what the go command shows.
pub(crate) fn text(refusal: &Refusal) -> String {
    match refusal.blame {
        Blame::Absent | Blame::NotYet | Blame::Gone => refusal.text.clone(),
        _ => match refusal.label() {
            Some(label) => {
                let more = format!("more: modkeep explain {label}\n");
                let (lines, bytes) = (SHOWN_LINES - 1, SHOWN_BYTES - more.len());
                fit(&refusal.text, lines, bytes) + &more
            }
            None => fit(&refusal.text, SHOWN_LINES, SHOWN_BYTES),
        },
    }
}

fn fit(text: &str, lines_max: usize, bytes_max: usize) -> String {
    let lines = text
        .lines()
        .filter(|l| !l.trim().is_empty())
        .take(lines_max);
    let mut out = String::new();
    for line in lines {
        let printable: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let room = bytes_max.saturating_sub(out.len() + 1);
        let cut = printable
            .char_indices()
            .map(|(i, c)| i + c.len_utf8())
            .take_while(|end| *end <= room)
            .last();
        out.push_str(&printable[..cut.unwrap_or(0)]);
        out.push('\n');
        if cut.unwrap_or(0) < printable.len() {
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_fits_what_the_go_command_shows() {
        let long = format!("a@v1: x\n\n{}\n{}", "é".repeat(500), "b\n".repeat(20));
        for blame in [Blame::Busy, Blame::Slow, Blame::Upstream] {
            for text_of in [&long, &"x\n".repeat(20)] {
                let shown = text(&Refusal::new(blame, text_of.as_str()));
                assert!(shown.len() <= SHOWN_BYTES, "{}", shown.len());
                assert!(shown.lines().count() <= SHOWN_LINES);
                assert!(!shown.contains("\n\n"));
            }
        }
        let slow = text(&Refusal::new(Blame::Slow, "a@v1: late"));
        assert_eq!(slow, "a@v1: late\nmore: modkeep explain server_stall\n");
    }
}
