//! The data files are complete: every cause has a page in both languages, every rule compiles,
//! and no rule was made of one case's names.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

use doctor::cause::{self, Class};
use doctor::{Env, Lang, explain, render};

const LABELS: &str = include_str!("cases/labels.txt");

const PLACEHOLDERS: &[&str] = &[
    "mod", "module", "modhost", "version", "host", "url", "proxy", "declared",
];

fn chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_file_of_the_directory_is_compiled_in_and_parses() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/causes");
    let files: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
    assert_eq!(files.len(), cause::sources().len());
    for file in files {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = cause::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(path.file_stem().unwrap(), parsed.label.as_str());
        assert!(cause::find(&parsed.label).is_some(), "{}", parsed.label);
    }
}

#[test]
fn every_root_cause_of_the_taxonomy_is_known() {
    for label in LABELS.lines() {
        assert!(cause::find(label).is_some(), "{label} has no file");
    }
    for alias in [
        "connect_unreachable",
        "tls_stall",
        "proxy_divergent",
        "dns_failure:timeout",
    ] {
        assert!(cause::find(alias).is_some(), "{alias}");
    }
    assert!(cause::find("no_such_cause").is_none());
}

#[test]
fn labels_and_aliases_are_unique() {
    let mut seen = BTreeSet::new();
    for cause in cause::all() {
        for name in std::iter::once(&cause.label).chain(&cause.aliases) {
            assert!(seen.insert(name), "{name} twice");
        }
    }
}

#[test]
fn every_cause_has_a_page_in_english_and_in_chinese() {
    for cause in cause::all() {
        for lang in [Lang::En, Lang::Zh] {
            let prose = cause.prose(lang);
            for text in [&prose.title, &prose.see, &prose.means, &prose.prove] {
                assert!(!text.trim().is_empty(), "{}: empty {lang:?}", cause.label);
                assert_eq!(chinese(text), lang == Lang::Zh, "{}: {text}", cause.label);
            }
            for remedy in &cause.remedy {
                assert_eq!(
                    chinese(remedy.text(lang)),
                    lang == Lang::Zh,
                    "{}",
                    cause.label
                );
            }
            for avoid in &cause.avoid {
                assert!(!avoid.advice(lang).is_empty(), "{}", cause.label);
                assert_eq!(
                    chinese(avoid.why(lang)),
                    lang == Lang::Zh,
                    "{}",
                    cause.label
                );
            }
        }
        assert!(!cause.shows.is_empty(), "{}", cause.label);
        assert!(!cause.remedy.is_empty(), "{}", cause.label);
        assert!(!cause.avoid.is_empty(), "{}", cause.label);
        assert!(cause.prove_command.is_some(), "{}", cause.label);
    }
}

#[test]
fn the_safest_remedy_stands_first_and_lowered_verification_last() {
    for cause in cause::all() {
        let dangerous = cause.remedy.iter().position(|r| r.class == Class::C);
        let first_dangerous = dangerous.unwrap_or(cause.remedy.len());
        let after = &cause.remedy[first_dangerous..];
        assert!(after.iter().all(|r| r.class == Class::C), "{}", cause.label);
        assert!(
            first_dangerous > 0,
            "{}: only dangerous remedies",
            cause.label
        );
    }
}

#[test]
fn every_rule_compiles_and_says_something() {
    for cause in cause::all() {
        for pattern in cause.patterns() {
            let regex = pattern
                .compile()
                .unwrap_or_else(|e| panic!("{}: {e}", cause.label));
            assert!(
                !regex.is_match(""),
                "{}: {} matches nothing at all",
                cause.label,
                pattern.source()
            );
        }
        for sign in &cause.signs {
            let conditioned = sign.text.is_some() || sign.fact.is_some();
            assert!(
                conditioned && (1..=100).contains(&sign.weight),
                "{}",
                cause.label
            );
        }
    }
}

#[test]
fn commands_use_only_known_placeholders() {
    for cause in cause::all() {
        let commands = cause.remedy.iter().filter_map(|r| r.command.as_ref());
        for command in commands.chain(&cause.prove_command) {
            for part in command.split('{').skip(1) {
                let Some((name, _)) = part.split_once('}') else {
                    continue;
                };
                let word = name.bytes().all(|b| b.is_ascii_lowercase());
                let known = PLACEHOLDERS.contains(&name);
                // awk and the shell have braces too.
                assert!(known || !word, "{}: {{{name}}}", cause.label);
            }
        }
    }
}

/// Owners and hosts of the cases are made up, so a rule that holds one was made of that case.
#[test]
fn no_rule_holds_a_name_from_a_case() {
    let cases = include_str!("cases/public.jsonl");
    let mut names = BTreeSet::new();
    for part in cases.split("github.com/").skip(1) {
        let owner = part
            .split(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap();
        names.insert(owner.to_ascii_lowercase());
    }
    for part in cases.split(".example") {
        let host = part
            .rsplit(|c: char| !c.is_ascii_alphanumeric())
            .next()
            .unwrap();
        names.insert(host.to_ascii_lowercase());
    }
    names.retain(|name| name.len() >= 6);
    assert!(names.len() > 50);
    for cause in cause::all() {
        for pattern in cause.patterns() {
            let source = pattern.source().to_ascii_lowercase();
            let found = names.iter().find(|name| source.contains(name.as_str()));
            assert!(found.is_none(), "{}: {found:?}", cause.label);
        }
    }
}

#[test]
fn what_a_page_shows_leads_to_the_page() {
    let mut lost = Vec::new();
    for cause in cause::all()
        .iter()
        .filter(|c| c.reports > 0 && !c.signs.is_empty())
    {
        // What begins with a bracket describes, it does not quote.
        for shown in cause.shows.iter().filter(|s| !s.starts_with('(')) {
            let report = explain(shown, &Env::new());
            let found = report
                .findings
                .iter()
                .take(6)
                .any(|f| f.cause.label == cause.label);
            if !found {
                lost.push(format!("{}: {shown}", cause.label));
            }
        }
    }
    assert!(lost.len() <= 4, "{lost:#?}");
}

#[test]
fn pages_and_lists_exist_in_both_languages() {
    for lang in [Lang::En, Lang::Zh] {
        let list = render::list(lang, false);
        for cause in cause::all() {
            assert!(list.contains(&cause.label));
            let page = render::page(cause, lang, false);
            assert!(page.contains(&cause.prose(lang).means), "{}", cause.label);
            assert!(!page.contains('\u{1b}'));
            assert!(render::page(cause, lang, true).contains('\u{1b}'));
        }
    }
}
