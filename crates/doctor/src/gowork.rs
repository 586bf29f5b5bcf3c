//! go.work, as far as a diagnosis needs it: go line, toolchain, `use` directories, `replace` lines.
//!
//! Lenient on purpose: what the go command refuses in it is told in its own words by `explain`.

/// A parsed go.work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoWork {
    /// The go line.
    pub go: Option<String>,
    /// The toolchain line.
    pub toolchain: Option<String>,
    /// Directories of `use`, as written.
    pub uses: Vec<String>,
    /// Left and right side of `replace` lines, versions included.
    pub replaces: Vec<(String, String)>,
    /// The first line that is nothing of this: number and text.
    pub odd: Option<(usize, String)>,
}

/// Directories that are looked at; more is no workspace.
const USES_MAX: usize = 2000;

/// Reads a file's text.
pub fn parse(text: &str) -> GoWork {
    let mut work = GoWork::default();
    let mut block: Option<String> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if line == ")" {
            block = None;
            continue;
        }
        let (verb, rest) = match &block {
            Some(verb) => (verb.clone(), line),
            None => {
                let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
                (verb.to_owned(), rest.trim())
            }
        };
        if block.is_none() && rest == "(" {
            block = Some(verb);
            continue;
        }
        if !take(&mut work, &verb, rest) && work.odd.is_none() {
            work.odd = Some((index + 1, line.chars().take(120).collect()));
        }
    }
    work
}

fn take(work: &mut GoWork, verb: &str, rest: &str) -> bool {
    let bare = rest.trim_matches(|c| matches!(c, '"' | '`'));
    match verb {
        "go" if !bare.is_empty() => work.go = Some(bare.to_owned()),
        "toolchain" if !bare.is_empty() => work.toolchain = Some(bare.to_owned()),
        "use" if !bare.is_empty() && work.uses.len() < USES_MAX => work.uses.push(bare.to_owned()),
        "replace" => match rest.split_once("=>") {
            Some((old, new)) => work
                .replaces
                .push((old.trim().to_owned(), new.trim().to_owned())),
            None => return false,
        },
        "godebug" => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_blocks_are_read_and_the_first_odd_line_told() {
        let work = parse(
            "go 1.22 // x\n\nuse (\n\t./a\n\t\"./b c\"\n)\nuse ./d\nreplace x.example/m v1.0.0 => ../m\nwat\n",
        );
        assert_eq!(work.go.as_deref(), Some("1.22"));
        assert_eq!(work.uses, ["./a", "./b c", "./d"]);
        assert_eq!(
            work.replaces,
            [("x.example/m v1.0.0".to_owned(), "../m".to_owned())]
        );
        assert_eq!(work.odd, Some((9, "wat".to_owned())));
    }
}
