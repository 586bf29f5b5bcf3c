//! Lines that a terminal or a narrow window broke at its width.
//!
//! A hard break inside a word defeats every pattern. Lines exactly as long as the longest one,
//! followed by one that does not look like a beginning, are joined in a second reading of the
//! failure; the first reading stays, since an ordinary text has a longest line too.

/// No terminal of use is narrower; shorter texts were not broken by a width.
const WIDTH_MIN: usize = 40;

/// The text with broken lines joined, or none if nothing looks broken.
pub fn joined(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let width = lines.iter().map(|line| line.chars().count()).max()?;
    if width < WIDTH_MIN || lines.len() < 2 {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    for (index, line) in lines.iter().enumerate() {
        out.push_str(line);
        // A trailing blank at the break was trimmed away: one less than the width is full too.
        let full = line.chars().count() + 1 >= width;
        let next = lines.get(index + 1);
        let continues = next.is_some_and(|n| !n.is_empty() && !n.starts_with(['\t', ' ']));
        if full && continues {
            changed = true;
            if line.chars().count() < width {
                out.push(' ');
            }
        } else {
            out.push('\n');
        }
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_line_broken_inside_a_word_is_joined() {
        let whole = "go: github.com/some/module@v1.0.0: Get \"https://p.example/x\": dial tcp: lookup p.example: no such host";
        let broken = format!("{}\n{}\n", &whole[..60], &whole[60..]);
        assert!(joined(&broken).unwrap().contains(whole));
    }

    #[test]
    fn short_and_indented_lines_stay() {
        assert!(joined("go: a\ngo: b\n").is_none());
        let text = format!("{}\n\tnext\n", "x".repeat(80));
        assert!(joined(&text).is_none());
    }
}
