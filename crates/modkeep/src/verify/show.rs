//! A report as text, as JSON and as annotations of a CI system.

use super::{Bad, Reason, Report, Unknown, What};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// In place of a database's name when there is none.
pub const NOBODY: &str = "nobody";

/// Names shown of a long list; `--json` has all.
const SHOWN: usize = 20;

/// What the command line prints.
pub fn text(report: &Report, database: &str) -> String {
    let mut out = String::new();
    for bad in &report.bad {
        put_bad(&mut out, bad);
    }
    for reason in [
        Reason::NeverLogged,
        Reason::Unreachable,
        Reason::Unreadable,
        Reason::Algorithm,
    ] {
        let of: Vec<&Unknown> = report
            .unknown
            .iter()
            .filter(|u| u.reason == reason)
            .collect();
        put_unknown(&mut out, reason, &of, database);
    }
    if !report.private.is_empty() {
        let names: Vec<String> = report
            .private
            .iter()
            .map(|(m, v)| format!("{m}@{v}"))
            .collect();
        let said = match database {
            NOBODY => "no checksum database was asked, so only what lies here was compared",
            _ => "private, so nobody was asked",
        };
        let _ = writeln!(out, "{said} ({}):", report.private.len());
        put_list(&mut out, &names);
    }
    let _ = writeln!(
        out,
        "{} checked: {} proved by {database}, {} wrong, {} not known, {} private versions",
        report.checked,
        report.proved,
        report.bad.len(),
        report.unknown.len(),
        report.private.len()
    );
    out
}

fn put_bad(out: &mut String, bad: &Bad) {
    let (module, version) = &bad.name;
    let _ = writeln!(out, "WRONG {module}@{version}: {}", subject(bad.what));
    let width = bad.source.len().max(bad.against.len());
    let _ = writeln!(out, "  {:width$}  {}", bad.source, bad.got);
    let _ = writeln!(out, "  {:width$}  {}", bad.against, bad.want);
    for line in &bad.detail {
        let _ = writeln!(out, "    {line}");
    }
    let next = match bad.what {
        What::Zip | What::Dir | What::Mod => "go clean -modcache, and download again",
        What::Store => "modkeep purge it; it is fetched again when it is asked for",
        What::GoSum => "find the odd one out",
    };
    let _ = writeln!(out, "  next: {next}");
    if !version.is_empty() {
        let _ = writeln!(out, "        modkeep compare {module}@{version}");
    }
}

fn subject(what: What) -> &'static str {
    match what {
        What::GoSum => "the go.sum line is not what is recorded",
        What::Zip => "the zip in the module cache is not what is recorded",
        What::Dir => "the extracted files are not those of the module",
        What::Mod => "the .mod in the module cache is not what is recorded",
        What::Store => "the kept file is not what it was",
    }
}

fn put_unknown(out: &mut String, reason: Reason, of: &[&Unknown], database: &str) {
    if of.is_empty() {
        return;
    }
    let said = match reason {
        Reason::NeverLogged => format!(
            "never logged by {database}: private modules that are not declared (GOPRIVATE, --private),\nor versions that nobody ever downloaded through it"
        ),
        Reason::Unreachable => format!("{database} could not be asked"),
        Reason::Unreadable => "could not be read".into(),
        Reason::Algorithm => "lines with a hash of an unknown kind".into(),
    };
    let _ = writeln!(out, "{said} ({}):", of.len());
    let names: Vec<String> = of
        .iter()
        .map(|u| format!("{}@{}  ({})", u.name.0, u.name.1, u.source))
        .collect();
    put_list(out, &names);
    if matches!(reason, Reason::Unreachable | Reason::Unreadable) {
        // Often one cause for all of them.
        let mut whys: BTreeMap<&str, usize> = BTreeMap::new();
        for unknown in of {
            *whys.entry(cause(unknown)).or_default() += 1;
        }
        for (why, times) in whys.into_iter().take(3) {
            let _ = writeln!(out, "  {times} times: {why}");
        }
    }
}

/// The reason without the subject in front of it.
fn cause(unknown: &Unknown) -> &str {
    let line = unknown.why.lines().next().unwrap_or_default();
    let subject = format!("{}@{}: ", unknown.name.0, unknown.name.1);
    line.strip_prefix(&subject).unwrap_or(line)
}

fn put_list(out: &mut String, names: &[String]) {
    for name in names.iter().take(SHOWN) {
        let _ = writeln!(out, "  {name}");
    }
    if names.len() > SHOWN {
        let _ = writeln!(out, "  and {} more (--json has all)", names.len() - SHOWN);
    }
}

/// The `modkeep.verify/1` document.
pub fn json(report: &Report, database: &str) -> Value {
    let bad = |b: &Bad| {
        json!({
            "module": b.name.0,
            "version": b.name.1,
            "what": b.what.word(),
            "want": b.want,
            "got": b.got,
            "source": b.source,
            "against": b.against,
            "line": b.line,
            "detail": b.detail,
        })
    };
    let unknown = |u: &Unknown| {
        json!({
            "module": u.name.0,
            "version": u.name.1,
            "what": u.what.word(),
            "reason": u.reason.word(),
            "source": u.source,
            "line": u.line,
            "why": u.why,
        })
    };
    let private = |(m, v): &(String, String)| json!({ "module": m, "version": v });
    json!({
        "schema": "modkeep.verify/1",
        "database": database,
        "checked": report.checked,
        "proved": report.proved,
        "bad": report.bad.iter().map(bad).collect::<Vec<_>>(),
        "unknown": report.unknown.iter().map(unknown).collect::<Vec<_>>(),
        "private": report.private.iter().map(private).collect::<Vec<_>>(),
    })
}

/// One thing to point at in a change.
struct Note {
    error: bool,
    file: String,
    line: usize,
    title: String,
    text: String,
}

fn notes(report: &Report) -> Vec<Note> {
    let file = |source: &str, line: Option<usize>| match line {
        Some(n) => source
            .strip_suffix(&format!(":{n}"))
            .unwrap_or(source)
            .to_owned(),
        None => "go.sum".into(),
    };
    let bad = report.bad.iter().map(|b| Note {
        error: true,
        file: file(&b.source, b.line),
        line: b.line.unwrap_or(1),
        title: format!("{}@{} is not what is recorded", b.name.0, b.name.1),
        text: format!("{}: {}; {}: {}", b.source, b.got, b.against, b.want),
    });
    let unknown = report.unknown.iter().map(|u| Note {
        error: u.reason == Reason::NeverLogged,
        file: file(&u.source, u.line),
        line: u.line.unwrap_or(1),
        title: format!("{}@{} is not proved", u.name.0, u.name.1),
        text: u.why.lines().next().unwrap_or_default().to_owned(),
    });
    bad.chain(unknown).collect()
}

/// Workflow commands of GitHub Actions, one line for each finding.
///
/// Source of the rule: docs.github.com, "Workflow commands for GitHub Actions".
pub fn github(report: &Report) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for note in notes(report) {
        let _ = writeln!(
            out,
            "::{} file={},line={},title={}::{}",
            if note.error { "error" } else { "warning" },
            property(&note.file),
            note.line,
            property(&note.title),
            data(&note.text)
        );
    }
    out
}

/// A code quality report of GitLab, to be kept as an artifact of this kind.
///
/// Source of the rule: docs.gitlab.com, "Code Quality", the report format.
pub fn gitlab(report: &Report) -> Value {
    let note = |n: Note| {
        let mark = format!("{}\n{}\n{}\n{}", n.file, n.line, n.title, n.text);
        let fingerprint: String = Sha256::digest(mark)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        json!({
            "description": format!("{}: {}", n.title, n.text),
            "check_name": "modkeep verify",
            "fingerprint": fingerprint,
            "severity": if n.error { "critical" } else { "minor" },
            "location": { "path": n.file, "lines": { "begin": n.line } },
        })
    };
    Value::Array(notes(report).into_iter().map(note).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let bad = Bad {
            name: ("m.example/m".into(), "v1.0.0".into()),
            what: What::GoSum,
            want: "h1:a".into(),
            got: "h1:b".into(),
            source: "sub/go.sum:7".into(),
            against: "sum.golang.org".into(),
            line: Some(7),
            detail: Vec::new(),
        };
        let unknown = Unknown {
            name: ("m.example/n".into(), "v1.0.0".into()),
            what: What::Zip,
            reason: Reason::Unreachable,
            source: "/cache/n.zip".into(),
            line: None,
            why: "50 %\nmore".into(),
        };
        Report {
            checked: 2,
            bad: vec![bad],
            unknown: vec![unknown],
            ..Report::default()
        }
    }

    #[test]
    fn annotations_point_at_the_line() {
        assert_eq!(
            github(&report()),
            "::error file=sub/go.sum,line=7,title=m.example/m@v1.0.0 is not what is recorded::sub/go.sum:7: h1:b; sum.golang.org: h1:a\n\
             ::warning file=go.sum,line=1,title=m.example/n@v1.0.0 is not proved::50 %25\n"
        );
        let quality = gitlab(&report());
        assert_eq!(quality[0]["location"]["path"], "sub/go.sum");
        assert_eq!(quality[0]["location"]["lines"]["begin"], 7);
        assert_eq!(quality[0]["severity"], "critical");
        assert_ne!(quality[0]["fingerprint"], quality[1]["fingerprint"]);
    }

    #[test]
    fn the_text_names_both_hashes_and_the_next_step() {
        let text = text(&report(), "sum.golang.org");
        for part in [
            "WRONG m.example/m@v1.0.0",
            "sub/go.sum:7    h1:b",
            "sum.golang.org  h1:a",
            "modkeep compare m.example/m@v1.0.0",
            "could not be asked (1)",
            "2 checked: 0 proved",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
