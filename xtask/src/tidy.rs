//! House style that neither rustfmt nor clippy knows, kept as a check because a rule that is
//! only written down is soon forgotten.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::sh;

/// A file longer than this, tests apart, holds more than one thing.
const FILE_LINES_MAX: usize = 600;

/// Marks of unfinished work. Joined here, so that this file does not find itself.
const OPEN_ENDS: [&str; 4] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("#[ign", "ore"),
];

pub fn run() -> Result<()> {
    let root = sh::root();
    let mut found = Vec::new();
    for file in files(&root)? {
        let name = file.strip_prefix(&root).unwrap_or(&file).to_owned();
        let kind = file.extension().and_then(|e| e.to_str());
        if !matches!(kind, Some("rs" | "md" | "toml")) {
            continue;
        }
        let text = std::fs::read_to_string(&file)?;
        match kind {
            Some("rs") => found.extend(rust(&name, &text)),
            Some("md") => found.extend(links(&root, &name, &text)),
            _ => {}
        }
        if name.ends_with("clippy.toml") {
            found.extend(unheeded(&root, &name));
        }
        found.extend(open_ends(&name, &text));
    }
    for line in &found {
        eprintln!("{line}");
    }
    if !found.is_empty() {
        bail!("{} places to tidy", found.len());
    }
    println!("tidy");
    Ok(())
}

/// Every file of the project; what builds and tools leave behind is not part of it.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let foreign =
                name.starts_with('.') || matches!(&*name, "target" | "vectors" | "corpus");
            if !foreign {
                found.extend(files(&entry.path())?);
            }
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn rust(name: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let own = text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .count();
    let of_tests = name.components().any(|part| {
        matches!(
            part.as_os_str().to_str(),
            Some("tests" | "fuzz" | "benches")
        )
    });
    if own > FILE_LINES_MAX && !of_tests {
        found.push(format!(
            "{}: {own} lines before its tests, at most {FILE_LINES_MAX}",
            name.display()
        ));
    }
    if !text.starts_with("//!") {
        found.push(format!(
            "{}:1: begins without //!: say why the file exists",
            name.display()
        ));
    }
    found
}

fn open_ends(name: &Path, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let mark = OPEN_ENDS.iter().find(|mark| line.contains(**mark))?;
            Some(format!("{}:{}: {mark}", name.display(), index + 1))
        })
        .collect()
}

/// A crate's list of forbidden calls counts only where its `lib.rs` asks for it.
fn unheeded(root: &Path, name: &Path) -> Option<String> {
    let lib = root.join(name).with_file_name("src").join("lib.rs");
    let heeded = std::fs::read_to_string(&lib)
        .is_ok_and(|text| text.contains("#![warn(clippy::disallowed_methods)]"));
    (!heeded).then(|| {
        format!(
            "{}: its crate's lib.rs lacks #![warn(clippy::disallowed_methods)]",
            name.display()
        )
    })
}

/// Relative links of a document must lead to a file that is there.
fn links(root: &Path, name: &Path, text: &str) -> Vec<String> {
    let dir = root.join(name.parent().unwrap_or(Path::new("")));
    targets(text)
        .filter(|target| {
            let file = target.split('#').next().unwrap_or_default();
            !file.is_empty() && !dir.join(file).exists()
        })
        .map(|target| format!("{}: its link {target} leads nowhere", name.display()))
        .collect()
}

fn targets(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{open_ends, rust, targets};

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "see [a](x.md) and [b](https://b.example)\n```\n[c](no)\n```\n[d](y.md#z)";
        let found: Vec<_> = targets(text).collect();
        assert_eq!(found, ["x.md", "y.md#z"]);
    }

    #[test]
    fn long_files_and_missing_first_lines_are_named() {
        let long = format!("//! why\n{}", "x\n".repeat(700));
        assert_eq!(rust(Path::new("a/src/b.rs"), &long).len(), 1);
        assert_eq!(rust(Path::new("a/tests/b.rs"), &long).len(), 0);
        assert_eq!(rust(Path::new("a/src/b.rs"), "fn a() {}\n").len(), 1);
    }

    #[test]
    fn open_ends_are_named_with_their_line() {
        let text = format!("a\n// {}: later\n", concat!("TO", "DO"));
        assert_eq!(open_ends(Path::new("a.rs"), &text).len(), 1);
    }
}
