//! Several failures in one text: each block is one beginning and the lines that belong to it.
//!
//! A line begins a block if it starts at the left edge with one of the openings that the go
//! command, its tools and wrappers use, and the line before does not announce more. Everything
//! else continues, so a wrapped line or an unknown tool's words stay with what they explain.

use std::sync::LazyLock;

use regex::Regex;

use super::wrap;

/// Blocks read from the end of a text. A module graph that fails everywhere repeats itself.
const BLOCKS_MAX: usize = 60;

/// Of a longer block the beginning is read: what failed stands there, a list follows. With
/// [`BLOCKS_MAX`] this bounds what some 300 patterns run over to half a megabyte.
const BLOCK_BYTES_MAX: usize = 8 * 1024;

const BEGINS: &str = r#"(?x) ^(?:
    (?:go|vgo|goproxy|gopls|hugo|buf|xcaddy):\ | go\ (?:get|install|list|mod|build|run|test|vet|version|env|work)\b
  | verifying\ | package\ \S+: | can't\ load\ package | cannot\ find\ package | build\ \S+:
  | (?:[A-Za-z]:)?[^\s:]+\.go:\d+:\d+:\ | malformed\ go\.sum | missing\ go\.sum | \$GOPATH/ | pattern\ \S+:
  | (?:open|mkdir|stat|unzip|->\ unzip|write|read|rename|unlinkat|chmod)\ | error\ obtaining\ VCS
  | warning:\ | main\ module\ \( | no\ required\ module | cannot\ find\ (?:module|main)
  | [A-Za-z0-9.-]+\.[a-z]+/\S+@v\d\S*: | [A-Za-z0-9.-]+\.[a-z]+/\S+@v\d\S*\ requires | \S+\ imports$ | error\ while\ importing
  | module\ \S+: | \#\ get\ | Get\ " | compile:\ | note:\ module | flag\ provided | case-insensitive\ import
  | (?:export\ |set\ )?(?:GO[A-Z0-9]+|HTTPS?_PROXY)=
)"#;

/// Lines that only say what is being done.
const CHATTER: &str = r"^(?:go: (?:downloading|finding|extracting|found|trying|upgraded|downgraded|added|creating new|to add module|warning: modules disabled by default)\b|# get https?://\S+$|# get \S+: 200 |Fetching https?://|make(?:\[\d+\])?: |npm |\$ |\+ |(?:export |set )?(?:GO[A-Z0-9]+|CGO_\w+|CC|CXX|AR|PKG_CONFIG|HTTPS?_PROXY)=)";

/// One failure's lines, as printed and with broken lines joined.
#[derive(Debug)]
pub struct Block {
    /// The lines.
    pub text: String,
    /// The same with hard line breaks removed, if there seem to be any.
    pub joined: Option<String>,
    /// Whether it is only progress; such a block counts when nothing else does.
    pub chatter: bool,
}

/// Cuts a cleaned text into blocks, without repetitions, the last [`BLOCKS_MAX`] of them.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<String> = Vec::new();
    let mut previous = "";
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let begins = found.is_empty() || (matches(&BEGIN, line) && !announces(previous));
        match found.last_mut() {
            Some(block) if !begins => append(block, line),
            _ => {
                let mut block = String::new();
                append(&mut block, line);
                found.push(block);
            }
        }
        previous = line;
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|block| seen.insert(block.clone()));
    let excess = found.len().saturating_sub(BLOCKS_MAX);
    found.into_iter().skip(excess).map(block).collect()
}

fn append(block: &mut String, line: &str) {
    let mut room = BLOCK_BYTES_MAX.saturating_sub(block.len()).min(line.len());
    while !line.is_char_boundary(room) {
        room -= 1;
    }
    if room > 0 {
        block.push_str(&line[..room]);
        block.push('\n');
    }
}

static BEGIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(BEGINS).ok());
static CHAT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(CHATTER).ok());

fn matches(regex: &Option<Regex>, line: &str) -> bool {
    regex.as_ref().is_some_and(|re| re.is_match(line))
}

fn block(text: String) -> Block {
    let chatter = matches(&CHAT, &text) && text.lines().count() == 1;
    Block {
        joined: wrap::joined(&text),
        chatter,
        text,
    }
}

/// Whether a line leaves its sentence to the next one.
fn announces(line: &str) -> bool {
    let line = line.trim_end();
    line.ends_with(':')
        || line.ends_with(" requires")
        || line.ends_with(" imports")
        || line.ends_with(" tested by")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        blocks(text).into_iter().map(|b| b.text).collect()
    }

    #[test]
    fn the_openings_compile() {
        Regex::new(BEGINS).unwrap();
        Regex::new(CHATTER).unwrap();
    }

    #[test]
    fn two_failures_are_two_blocks_with_their_own_lines() {
        let found = texts(
            "go: a.example/m@v1.0.0: EOF\nverifying b.example/n@v1.0.0: checksum mismatch\n\tdownloaded: h1:x\n\nSECURITY ERROR\nThis download\n",
        );
        assert_eq!(found.len(), 2);
        assert!(found[1].ends_with("SECURITY ERROR\nThis download\n"));
    }

    #[test]
    fn a_line_that_announces_keeps_the_next_one() {
        assert_eq!(
            texts("go: errors parsing go.mod:\ngo.mod:3: usage\n").len(),
            1
        );
        assert_eq!(
            texts("x.example/a imports\n\tx.example/b: nothing\n").len(),
            1
        );
    }

    #[test]
    fn repetitions_count_once_and_progress_is_marked() {
        let found = blocks("go: downloading a.example/m v1.0.0\ngo: x\ngo: x\n");
        assert_eq!(found.len(), 2);
        assert!(found[0].chatter);
    }
}
