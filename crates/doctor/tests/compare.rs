//! The table of the mismatch bisect, row by row, and what is said beside it.

use doctor::compare::{Agreement, Kind, Of, Source, Verdict, judge};

/// go.sum, cache, two proxies, database, origin: a letter is a hash, `-` is none.
fn row(text: &str) -> Vec<Source> {
    let kinds = [
        Kind::GoSum,
        Kind::Cache,
        Kind::Proxy,
        Kind::Proxy,
        Kind::Sumdb,
        Kind::Origin,
        Kind::Store,
    ];
    let names = ["go.sum", "cache", "P1", "P2", "database", "origin", "store"];
    let cells = text.split_whitespace().zip(kinds).zip(names);
    let source = |((cell, kind), name): ((&str, Kind), &str)| {
        let mut source = Source::new(name, kind);
        if cell != "-" {
            source.h1 = Some(format!("h1:{cell}"));
        }
        source
    };
    cells.map(source).collect()
}

fn named(text: &str) -> (Option<&'static str>, String) {
    let verdict = judge(&row(text));
    (verdict.label, verdict.odd.join(" "))
}

#[test]
fn every_row_of_the_table_has_its_verdict() {
    let rows = [
        // G  C  Pi Pj S  O
        ("x a a a a a", "checksum_mismatch_gosum_wrong", "go.sum"),
        ("a x a a a a", "cache_corrupt", "cache"),
        ("a - x a a a", "checksum_mismatch_proxy_divergent", "P1"),
        ("a - a a a x", "checksum_mismatch_tag_moved", "origin"),
        ("a - a a x a", "sumdb_divergent", "database"),
        (
            "a b c d e f",
            "checksum_mismatch_unresolved",
            "go.sum cache P1 P2 origin",
        ),
    ];
    for (cells, label, odd) in rows {
        assert_eq!(named(cells), (Some(label), odd.into()), "{cells}");
    }
}

#[test]
fn a_tag_moved_before_the_first_record_shows_by_a_second_route() {
    let mut sources = row("x - x x a x");
    let mut second = Source::new("database, directly", Kind::Sumdb);
    second.h1 = Some("h1:a".into());
    sources.push(second.clone());
    let verdict = judge(&sources);
    assert_eq!(
        (verdict.label, verdict.variant),
        (
            Some("checksum_mismatch_tag_moved"),
            Some("around_first_record")
        )
    );
    // Two routes that contradict each other are the alarm.
    sources.pop();
    second.h1 = Some("h1:b".into());
    sources.push(second);
    let verdict = judge(&sources);
    assert_eq!(
        (verdict.label, verdict.variant),
        (Some("sumdb_divergent"), Some("two_records"))
    );
    assert_eq!(verdict.odd, ["database", "database, directly"]);
    // Nobody here remembers anything, and even the origin has other bytes.
    assert_eq!(named("- - x x a x").0, Some("checksum_mismatch_tag_moved"));
    // The origin was not asked: the record stands alone against all.
    assert_eq!(named("- - x x a -").0, Some("sumdb_divergent"));
    assert_eq!(named("x x x - a -").0, Some("sumdb_divergent"));
}

#[test]
fn without_a_record_go_sum_is_the_memory() {
    let verdict = judge(&row("x x x x - x"));
    assert_eq!((verdict.agreement, verdict.label), (Agreement::Agree, None));
    assert!(
        verdict.also.iter().any(|l| l.contains("no proof")),
        "{:?}",
        verdict.also
    );
    assert_eq!(
        named("a - x - - x"),
        (Some("checksum_mismatch_tag_moved"), "go.sum".into())
    );
    assert_eq!(
        named("a a a - - x"),
        (Some("checksum_mismatch_tag_moved"), "origin".into())
    );
    assert_eq!(
        named("a x a - - -"),
        (Some("cache_corrupt"), "cache".into())
    );
    assert_eq!(
        named("a a x a - a"),
        (Some("checksum_mismatch_proxy_divergent"), "P1".into())
    );
    assert_eq!(named("a b c - - -").0, Some("checksum_mismatch_unresolved"));
    assert_eq!(named("a b - - - -").0, Some("checksum_mismatch_unresolved"));
}

#[test]
fn bytes_of_a_wrong_proxy_are_followed_into_go_sum_and_cache() {
    let verdict = judge(&row("x x x a a -"));
    assert_eq!(
        (verdict.label, verdict.variant),
        (
            Some("checksum_mismatch_proxy_divergent"),
            Some("already_taken_in")
        )
    );
    assert_eq!(verdict.odd, ["go.sum", "cache", "P1"]);
    assert_eq!(verdict.good.as_deref(), Some("h1:a"));
    // A proxy that took the origin's moved tag is not the culprit.
    assert_eq!(
        named("a - a x a x"),
        (Some("checksum_mismatch_tag_moved"), "P2 origin".into())
    );
    // A go.sum that nobody explains is a second fault.
    assert_eq!(named("y - x a a a").0, Some("checksum_mismatch_unresolved"));
}

#[test]
fn the_own_store_is_a_source_as_any_other() {
    assert_eq!(
        named("a a a - a - x"),
        (Some("cache_corrupt"), "store".into())
    );
    assert_eq!(
        named("- - a - a - x"),
        (Some("cache_corrupt"), "store".into())
    );
    assert_eq!(
        named("- - x - a - a").0,
        Some("checksum_mismatch_proxy_divergent")
    );
}

#[test]
fn one_answer_alone_is_no_comparison() {
    for cells in ["a - - - - -", "- - - - - -", "- - - - a -"] {
        let verdict = judge(&row(cells));
        assert_eq!(
            (verdict.agreement, verdict.label),
            (Agreement::Unknown, None),
            "{cells}"
        );
    }
    // What lies here differs from the record, and nobody served any bytes.
    assert_eq!(named("x x - - a -").0, Some("checksum_mismatch_unresolved"));
}

fn with_mods(h1: &str, go_mod: &str) -> Verdict {
    let mut sources = row(h1);
    for (source, mods) in sources.iter_mut().zip(row(go_mod)) {
        source.gomod = mods.h1;
    }
    judge(&sources)
}

#[test]
fn a_go_mod_that_alone_differs_is_judged_by_the_same_table() {
    let verdict = with_mods("a - a a a -", "m - x m m -");
    assert_eq!(
        (verdict.label, verdict.of),
        (Some("checksum_mismatch_proxy_divergent"), Of::GoMod)
    );
    assert!(
        verdict
            .also
            .iter()
            .any(|l| l.contains(".mod file is served differently")),
        "{:?}",
        verdict.also
    );
    let both = with_mods("a - x a a -", "m - x m m -");
    assert_eq!(both.of, Of::Zip);
    assert!(
        both.also
            .iter()
            .any(|l| l.contains("go.mod hash differs too (P1)")),
        "{:?}",
        both.also
    );
    // A go.sum that has only the /go.mod line still compares.
    let only = with_mods("- - - - - -", "m - m - m -");
    assert_eq!(only.agreement, Agreement::Agree);
}

#[test]
fn zips_packed_otherwise_with_the_same_hash_are_fine() {
    let mut sources = row("- - a a a -");
    sources[2].zip_sha256 = Some("01".into());
    sources[3].zip_sha256 = Some("02".into());
    let verdict = judge(&sources);
    assert_eq!(verdict.agreement, Agreement::Agree);
    assert!(
        verdict
            .also
            .iter()
            .any(|l| l.contains("P1, P2 pack the same files")),
        "{:?}",
        verdict.also
    );
}

#[test]
fn every_label_is_one_of_the_taxonomy() {
    let cells = ["a", "x", "-"];
    for number in 0..3_usize.pow(7) {
        let text: Vec<&str> = (0..7)
            .map(|place| cells[number / 3_usize.pow(place) % 3])
            .collect();
        let verdict = judge(&row(&text.join(" ")));
        assert_eq!(
            verdict.label.is_some(),
            verdict.agreement == Agreement::Differ,
            "{text:?}"
        );
        assert!(
            verdict
                .label
                .is_none_or(|l| doctor::cause::find(l).is_some()),
            "{text:?}"
        );
        assert_eq!(
            verdict.odd.is_empty(),
            verdict.label.is_none(),
            "{text:?} {verdict:?}"
        );
    }
}
