//! Paths, versions, escaping and pseudo-versions against the tables of golang/mod.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cmp::Ordering;

use common::{rows, text};
use gomod::escape::{
    PercentError, escape_path, escape_version, percent_decode, percent_encode, unescape_path,
    unescape_version,
};
use gomod::path::{
    ModulePath, check_file_path, check_file_path_bytes, check_import_path, check_path_major,
    match_path_major, split_path_version,
};
use gomod::version::{ModuleVersion, Revision, Version, canonical_version};
use gomod::{pseudo, semver, time};
use proptest::prelude::*;

#[test]
fn paths_are_accepted_as_in_go() {
    for row in rows("module_checkpath.json") {
        let path = text(&row, "path");
        if path.contains('\u{fffd}') {
            continue; // Not UTF-8 in the original: see the test on bytes below.
        }
        assert_eq!(ModulePath::parse(path).is_ok(), row["ok"], "module {path}");
        assert_eq!(
            check_import_path(path).is_ok(),
            row["importOK"],
            "import {path}"
        );
        assert_eq!(check_file_path(path).is_ok(), row["fileOK"], "file {path}");
    }
}

#[test]
fn path_errors_read_as_gos() {
    let module = |path| ModulePath::parse(path).unwrap_err().to_string();
    let file = |path| check_file_path(path).unwrap_err().to_string();
    let import = |path| check_import_path(path).unwrap_err().to_string();
    let cases = [
        (module(""), r#"malformed module path "": empty string"#),
        (
            module("-a.b"),
            r#"malformed module path "-a.b": leading dash"#,
        ),
        (
            module("a.b//c"),
            r#"malformed module path "a.b//c": double slash"#,
        ),
        (
            module("a.b/"),
            r#"malformed module path "a.b/": trailing slash"#,
        ),
        (
            module("/a.b"),
            r#"malformed module path "/a.b": empty path element"#,
        ),
        (
            module("a.b/.."),
            r#"malformed module path "a.b/..": invalid path element "..""#,
        ),
        (
            module("a.b/.c"),
            r#"malformed module path "a.b/.c": leading dot in path element"#,
        ),
        (
            module("a.b/c."),
            r#"malformed module path "a.b/c.": trailing dot in path element"#,
        ),
        (
            module("a.b/c d"),
            r#"malformed module path "a.b/c d": invalid char ' '"#,
        ),
        (
            module("a.b/é"),
            r#"malformed module path "a.b/é": invalid char 'é'"#,
        ),
        (
            module("ab/c"),
            r#"malformed module path "ab/c": missing dot in first path element"#,
        ),
        (
            module("A.b/c"),
            r#"malformed module path "A.b/c": invalid char 'A' in first path element"#,
        ),
        (
            module("a.b/v1"),
            r#"malformed module path "a.b/v1": invalid version"#,
        ),
        (
            module("gopkg.in/yaml"),
            r#"malformed module path "gopkg.in/yaml": invalid version"#,
        ),
        (
            module("a.b/x/CoN.go"),
            r#"malformed module path "a.b/x/CoN.go": "CoN" disallowed as path element component on Windows"#,
        ),
        (
            module("a.b/prog~1"),
            r#"malformed module path "a.b/prog~1": trailing tilde and digits in path element"#,
        ),
        (
            file("a/b:c"),
            r#"malformed file path "a/b:c": invalid char ':'"#,
        ),
        (
            file("a/b'c"),
            r#"malformed file path "a/b'c": invalid char '\''"#,
        ),
        (
            file("a/b\nc"),
            r#"malformed file path "a/b\nc": invalid char '\n'"#,
        ),
        (
            import("a@b"),
            r#"malformed import path "a@b": invalid char '@'"#,
        ),
    ];
    for (got, wanted) in cases {
        assert_eq!(got, wanted);
    }
    let not_text = check_file_path_bytes(b"x/\xff").unwrap_err();
    assert_eq!(
        not_text.to_string(),
        r#"malformed file path "x/\xff": invalid UTF-8"#
    );
    assert_eq!(check_file_path_bytes("ä b".as_bytes()), Ok("ä b"));
}

#[test]
fn windows_short_names_are_files_but_no_modules() {
    assert!(check_file_path("prog~1").is_ok());
    for bad in ["a.b/c~1", "a.b/c~123", "a.b/~1", "a.b/c~1.x", "a.b/a~b~2"] {
        assert!(ModulePath::parse(bad).is_err(), "{bad}");
    }
    for good in [
        "a.b/c~",
        "a.b/c~x",
        "a.b/c~1x",
        "a.b/x.c~1",
        "a.b/com0",
        "a.b/com10",
    ] {
        assert!(ModulePath::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn the_major_version_is_split_off_as_in_go() {
    for row in rows("module_splitpathversion.json") {
        let (prefix, major) = (text(&row, "pathPrefix"), text(&row, "version"));
        let path = format!("{prefix}{major}");
        assert_eq!(split_path_version(&path), Some((prefix, major)), "{path}");
    }
    let more = [
        (
            "gopkg.in/yaml.v2-unstable",
            Some(("gopkg.in/yaml", ".v2-unstable")),
        ),
        ("gopkg.in/yaml.v0-unstable", None),
        ("gopkg.in/yaml.v01", None),
        ("gopkg.in/yaml.v", None),
        ("gopkg.in/yaml/v2", None),
        ("gopkg.in/yaml", None),
        ("x.y/v2", Some(("x.y", "/v2"))),
        ("x.y/z/v10", Some(("x.y/z", "/v10"))),
        ("x.y/z/v0", None),
        ("x.y/z/v1", None),
        ("x.y/z/v02", None),
        ("x.y/z/v2.0", None),
        ("x.y/z/v.", None),
        ("x.y/zv2", Some(("x.y/zv2", ""))),
        ("x.y/z/w2", Some(("x.y/z/w2", ""))),
        ("v2", Some(("v2", ""))),
        ("", Some(("", ""))),
        ("2.2", Some(("2.2", ""))),
    ];
    for (path, wanted) in more {
        assert_eq!(split_path_version(path), wanted, "{path}");
    }
}

#[test]
fn a_version_must_fit_its_path() {
    for row in rows("module_check.json") {
        let at = format!("{}@{}", text(&row, "path"), text(&row, "version"));
        assert_eq!(ModuleVersion::parse(&at).is_ok(), row["ok"], "{at}");
    }
    assert!(match_path_major(
        "v0.0.0-20160102150405-abcdef123456",
        ".v1-unstable"
    ));
    assert!(match_path_major("v2.3.4", ".v2-unstable"));
    assert!(match_path_major("v3.0.0+incompatible", ""));
    assert!(!match_path_major("v3.0.0+incompatible", "/v2"));
    let error = check_path_major("v3.0.0", "/v2").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"version "v3.0.0" invalid: should be v2, not v3"#
    );
}

#[test]
fn version_errors_read_as_gos() {
    let error = |at| ModuleVersion::parse(at).unwrap_err().to_string();
    assert_eq!(
        error("github.com/go-yaml/yaml@v2.0.0"),
        "github.com/go-yaml/yaml@v2.0.0: invalid version: should be v0 or v1, not v2"
    );
    assert_eq!(
        error("a.b/c@master"),
        "a.b/c@master: invalid version: not a semantic version"
    );
    assert_eq!(
        error("a.b/c@v1.2"),
        "a.b/c@v1.2: invalid version: not canonical, should be v1.2.0"
    );
    assert_eq!(error("a.b/c"), r#""a.b/c" is not of the form PATH@VERSION"#);
    let revision = Revision::parse("feature/x").unwrap_err();
    assert_eq!(
        revision.to_string(),
        r#"version "feature/x" invalid: disallowed version string"#
    );
}

#[test]
fn versions_are_taken_apart_as_in_go() {
    for row in rows("semver.json") {
        let version = text(&row, "in");
        assert_eq!(semver::is_valid(version), row["valid"], "{version}");
        let canonical = semver::canonical(version).unwrap_or_default();
        assert_eq!(canonical, text(&row, "canonical"), "{version}");
        let major_minor = semver::major_minor(version).unwrap_or_default();
        assert_eq!(major_minor, text(&row, "majorminor"), "{version}");
        assert_eq!(
            semver::major(version).unwrap_or_default(),
            text(&row, "major")
        );
        assert_eq!(semver::prerelease(version), text(&row, "pre"), "{version}");
        assert_eq!(semver::build(version), text(&row, "build"), "{version}");
    }
}

#[test]
fn the_table_of_versions_is_in_order() {
    // Rows of the table ascend; rows with the same canonical form are equal.
    let table = rows("semver.json");
    for (i, a) in table.iter().enumerate() {
        for (j, b) in table.iter().enumerate() {
            let wanted = match text(a, "canonical") == text(b, "canonical") {
                true => Ordering::Equal,
                false => i.cmp(&j),
            };
            let (a, b) = (text(a, "in"), text(b, "in"));
            assert_eq!(semver::compare(a, b), wanted, "{a} and {b}");
            let greater = if wanted.is_gt() { a } else { b };
            let greater = semver::canonical(greater).unwrap_or_default();
            assert_eq!(semver::max(a, b), greater, "{a} and {b}");
        }
    }
}

#[test]
fn numbers_beyond_a_machine_word_have_their_place() {
    let mut versions = [
        "v1.0.99999999999999999999999",
        "v1.0.100000000000000000000000",
        "v1.0.9",
        "v1.0.0-99999999999999999999999",
        "v1.0.0-100000000000000000000000",
        "v1.0.0-a",
        "v1.0.0+b",
        "v1.0.0+a",
        "junk",
    ];
    semver::sort(&mut versions);
    assert_eq!(
        versions,
        [
            "junk",
            "v1.0.0-99999999999999999999999",
            "v1.0.0-100000000000000000000000",
            "v1.0.0-a",
            "v1.0.0+a",
            "v1.0.0+b",
            "v1.0.9",
            "v1.0.99999999999999999999999",
            "v1.0.100000000000000000000000",
        ]
    );
}

#[test]
fn what_is_not_quite_a_version_is_refused() {
    let bad = [
        "",
        "v",
        "1.0.0",
        "v01",
        "v1.",
        "v1.02",
        "v1.2.",
        "v1.2.03",
        "v1.2.3-",
        "v1.2.3-a.",
        "v1.2.3-.a",
        "v1.2.3-01",
        "v1.2.3-a..b",
        "v1.2.3+",
        "v1.2.3+a.",
        "v1.2.3+a+b",
        "v1.2.3-ä",
        "v1.2.3 ",
        "V1.2.3",
        "v1.2.3.4",
        "v1.2.3-a_b",
        "v-1.0.0",
        "v1.2.3-a\0",
    ];
    for version in bad {
        assert!(!semver::is_valid(version), "{version}");
    }
    for version in [
        "v1.2.3-0a",
        "v1.2.3--",
        "v1.2.3---0",
        "v1.2.3+01",
        "v1.2.3-0.0+0.-",
    ] {
        assert!(semver::is_valid(version), "{version}");
    }
    for version in ["v1.2.3+meta", "v1", "v1.2", "v1.2.3+incompatible.1"] {
        assert!(Version::parse(version).is_err(), "{version}");
    }
    assert_eq!(canonical_version("v2+incompatible"), None);
    assert_eq!(
        canonical_version("v2.0.0+incompatible").unwrap(),
        "v2.0.0+incompatible"
    );
    assert_eq!(canonical_version("v2.0.0+other").unwrap(), "v2.0.0");
}

#[test]
fn pseudo_versions_are_built_and_read_as_in_go() {
    for row in rows("module_pseudo.json") {
        let (older, version) = (text(&row, "older"), text(&row, "version"));
        let built = pseudo::pseudo_version(text(&row, "major"), older, "20060102150405", "hash");
        assert_eq!(built, version);
        assert!(pseudo::is_pseudo(version), "{version}");
        assert_eq!(pseudo::rev(version).unwrap(), "hash");
        assert_eq!(pseudo::time(version).unwrap(), 1_136_214_245);
        assert_eq!(pseudo::base(version).unwrap(), older, "{version}");
    }
}

#[test]
fn near_misses_are_no_pseudo_versions() {
    let bad = [
        "v1.0.0",
        "v1.0.0-2006010215040-hash",
        "v1.0.0-200601021504055-hash",
        "v1.0.1-20060102150405-hash",
        "v1.1.0-20060102150405-hash",
        "v1.0.0-20060102150405-",
        "v1.0.0-20060102150405-ha_sh",
        "v1.2.3-1.20060102150405-hash",
        "v1.2.3-pre.20060102150405-hash",
        "v1.2.3-pre0.20060102150405-hash",
        "v1.2.3-0-20060102150405-hash",
        "v1.2-20060102150405-hash",
        "20060102150405-hash",
    ];
    for version in bad {
        assert!(!pseudo::is_pseudo(version), "{version}");
        assert!(pseudo::rev(version).is_err(), "{version}");
    }
    for good in [
        "v1.2.3-0.0.20060102150405-hash",
        "v2.0.0-a-b.0.20060102150405-Hash0",
    ] {
        assert!(pseudo::is_pseudo(good), "{good}");
    }
}

#[test]
fn senseless_bases_and_times_are_told() {
    let base = |version| pseudo::base(version).unwrap_err().to_string();
    assert_eq!(
        base("v2.0.0-20060102150405-hash+incompatible"),
        "pseudo-version \"v2.0.0-20060102150405-hash+incompatible\" invalid: \
         lacks base version, but has build metadata \"+incompatible\""
    );
    assert_eq!(
        base("v2.0.0-0.20060102150405-hash"),
        "pseudo-version \"v2.0.0-0.20060102150405-hash\" invalid: \
         version before v2.0.0 would have negative patch number"
    );
    assert_eq!(
        base("v1.0.0"),
        "pseudo-version \"v1.0.0\" invalid: syntax error"
    );
    assert_eq!(
        pseudo::time("v0.0.0-20061302150405-hash")
            .unwrap_err()
            .to_string(),
        "pseudo-version \"v0.0.0-20061302150405-hash\" invalid: malformed time \"20061302150405\""
    );
    let after = |version| pseudo::base(version).unwrap();
    assert_eq!(after("v1.2.10-0.20060102150405-hash"), "v1.2.9");
    assert_eq!(after("v1.2.100-0.20060102150405-hash"), "v1.2.99");
    assert_eq!(after("v1.2.20-0.20060102150405-hash"), "v1.2.19");
    assert_eq!(after("v1.2.1-0.20060102150405-hash"), "v1.2.0");
}

#[test]
fn the_placeholder_is_known() {
    assert_eq!(
        pseudo::zero_pseudo_version("v2"),
        "v2.0.0-00010101000000-000000000000"
    );
    assert!(pseudo::is_zero_pseudo("v0.0.0-00010101000000-000000000000"));
    assert!(!pseudo::is_zero_pseudo(
        "v0.0.0-00010101000000-000000000001"
    ));
    assert!(!pseudo::is_zero_pseudo("junk"));
}

#[test]
fn times_are_read_as_the_go_command_reads_them() {
    let seconds = |text| time::parse_rfc3339(text).map(|at| (at.unix_seconds, at.nanoseconds));
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some((0, 0)));
    assert_eq!(
        seconds("1970-01-01T1:00:00,5+01:00"),
        Some((0, 500_000_000))
    );
    assert_eq!(seconds("1970-01-01T00:00:00-24:60"), Some((90_000, 0)));
    assert_eq!(
        seconds("2006-01-02T15:04:05.5-07:00"),
        Some((1_136_239_445, 500_000_000))
    );
    assert_eq!(
        seconds("2006-01-02T15:04:05.1234567899Z"),
        Some((1_136_214_245, 123_456_789))
    );
    assert_eq!(
        seconds("2024-02-29T00:00:00+00:00"),
        Some((1_709_164_800, 0))
    );
    let bad = [
        "",
        "2006-01-02",
        "2006-01-02t15:04:05Z",
        "2006-01-02T15:04:05z",
        "2006-01-02T15:04:05",
        "2006-01-02T15:04:05.Z",
        "2006-01-02T15:04:60Z",
        "2006-01-02T24:00:00Z",
        "2023-02-29T00:00:00Z",
        "2006-01-02T15:04:05+25:00",
        "2006-01-02T15:04:05+24:61",
        "2006-01-02T005:04:05Z",
        "2006-01-02T15:04:05+0700",
        "2006-01-02T15:04:05Zx",
        "+006-01-02T15:04:05Z",
        "2006-01-02T15:04:05.5",
        "2006-00-02T15:04:05Z",
        "2006-01-0éT15:04:05Z",
    ];
    for text in bad {
        assert_eq!(seconds(text), None, "{text}");
    }
    assert_eq!(
        time::format_rfc3339(1_136_214_245).unwrap(),
        "2006-01-02T15:04:05Z"
    );
    assert_eq!(
        time::format_timestamp(-62_135_596_800).unwrap(),
        "00010101000000"
    );
    assert_eq!(time::format_timestamp(i64::MAX), None);
    assert_eq!(time::format_timestamp(i64::MIN), None);
}

#[test]
fn escaping_follows_the_table() {
    for row in rows("module_escape.json") {
        let path = text(&row, "path");
        let escaped = match text(&row, "esc") {
            "" => path,
            escaped => escaped,
        };
        assert_eq!(escape_path(path).unwrap(), escaped);
        assert_eq!(unescape_path(escaped).unwrap().as_str(), path);
    }
    for bad in rows("module_badunescape.json") {
        let bad = bad.as_str().unwrap();
        let known_good = bad == "github.com/!google!cloud!platform/omega";
        assert_eq!(unescape_path(bad).is_ok(), known_good, "{bad}");
    }
    for bad in [
        "github.com/a!",
        "github.com/!é",
        "github.com/!A",
        "é.com",
        "a.b/!!a",
    ] {
        assert!(unescape_path(bad).is_err(), "{bad}");
    }
    assert_eq!(escape_version("v1.0.0-RC1").unwrap(), "v1.0.0-!r!c1");
    assert_eq!(
        unescape_version("v1.0.0-!r!c1").unwrap().as_str(),
        "v1.0.0-RC1"
    );
    for bad in ["", "v1.0.0-RC1", "a/b", "..", "a!", "con", "x.", "é", "a*b"] {
        assert!(unescape_version(bad).is_err(), "{bad}");
    }
    assert!(escape_version("a!b").is_err());
}

#[test]
fn percent_signs_are_decoded_once_and_strictly() {
    assert_eq!(percent_decode("%21a+%2B%2b").unwrap(), "!a+++");
    assert_eq!(percent_decode("%2521").unwrap(), "%21");
    assert_eq!(percent_decode("%C3%A9").unwrap(), "é");
    for bad in ["%", "%2", "%zz", "%+1", "%é1", "a%2", "% 1"] {
        assert_eq!(percent_decode(bad), Err(PercentError::Incomplete), "{bad}");
    }
    assert_eq!(percent_decode("%ff"), Err(PercentError::NotUtf8));
    assert_eq!(percent_decode("%00"), Err(PercentError::Nul));
    assert_eq!(percent_decode("\0"), Err(PercentError::Nul));
}

#[test]
fn a_revision_has_a_longest_form() {
    let longest = "x".repeat(gomod::version::REVISION_BYTES_MAX);
    assert!(Revision::parse(&longest).is_ok());
    assert!(Revision::parse(&format!("{longest}x")).is_err());
}

#[test]
fn versions_know_what_they_are() {
    let version = |text| Version::parse(text).unwrap();
    assert!(version("v1.0.0-rc.1").is_prerelease());
    assert!(version("v0.0.0-20160102150405-abcdef123456").is_pseudo());
    assert!(version("v2.0.0+incompatible").is_incompatible());
    assert!(!version("v2.0.0").is_incompatible());
    assert!(version("v1.10.0") > version("v1.9.0"));
    assert!(version("v2.0.0+incompatible") > version("v2.0.0"));
    assert_eq!(ModulePath::parse("a.b/c/v3").unwrap().major(), "/v3");
    assert_eq!(ModulePath::parse("a.b/c/v3").unwrap().prefix(), "a.b/c");
}

/// Text made of the pieces that rules turn on, so that random text comes close to them.
fn near_a_path() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/",
        ".",
        "..",
        "-",
        "~",
        "~1",
        "!",
        "v",
        "v2",
        "/v1",
        "/v2",
        ".v3",
        "gopkg.in/",
        "a.b",
        "con",
        "COM1",
        "A",
        "é",
        "é",
        "\u{212a}",
        " ",
        "%",
        "@",
        "+",
        "0",
        "1",
        "-unstable",
        "\0",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

fn near_a_version() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "v",
        "v1",
        ".0",
        ".0.0",
        ".1",
        ".10",
        "-",
        "-0.",
        "-pre",
        ".0.",
        "20060102150405",
        "-abc",
        "+incompatible",
        "+x",
        "0",
        "00",
        "9",
        "é",
        ".",
    ]);
    prop::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn escaping_a_path_can_be_undone(path in near_a_path()) {
        if let Ok(path) = ModulePath::parse(&path) {
            let escaped = path.escaped();
            prop_assert!(!escaped.contains(|c: char| c.is_ascii_uppercase()));
            prop_assert_eq!(unescape_path(&escaped).unwrap(), path);
        }
        if let Ok(unescaped) = unescape_path(&path) {
            prop_assert_eq!(unescaped.escaped(), path);
        }
    }

    #[test]
    fn escaping_a_revision_can_be_undone(revision in "[!-~ ]{0,12}") {
        if let Ok(revision) = Revision::parse(&revision) {
            prop_assert_eq!(unescape_version(&revision.escaped()).unwrap(), revision);
        }
    }

    #[test]
    fn percent_encoding_can_be_undone(text in "[^\0]*") {
        let encoded = percent_encode(&text);
        prop_assert_eq!(percent_decode(&encoded).unwrap(), text);
    }

    #[test]
    fn a_module_is_an_import_path_and_that_a_file(path in near_a_path()) {
        if ModulePath::parse(&path).is_ok() {
            prop_assert!(check_import_path(&path).is_ok());
        }
        if check_import_path(&path).is_ok() {
            prop_assert!(check_file_path(&path).is_ok());
        }
    }

    #[test]
    fn order_is_total_and_agrees_with_equality(
        a in near_a_version(), b in near_a_version(), c in near_a_version(),
    ) {
        let order = |x: &str, y: &str| semver::compare_total(x, y);
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        prop_assert_eq!(order(&a, &b).is_eq(), a == b);
        if order(&a, &b).is_le() && order(&b, &c).is_le() {
            prop_assert!(order(&a, &c).is_le());
        }
    }

    #[test]
    fn canonical_forms_are_canonical(version in near_a_version()) {
        match canonical_version(&version) {
            Some(canonical) => {
                let parsed = Version::parse(&canonical).unwrap();
                prop_assert_eq!(Revision::from(&parsed).as_version(), Some(parsed.clone()));
                prop_assert!(Revision::parse(&canonical).is_ok());
            }
            None => prop_assert!(Version::parse(&version).is_err()),
        }
    }

    #[test]
    fn a_pseudo_version_follows_its_base(
        older in near_a_version(), seconds in -62_167_219_200_i64..253_402_300_800,
    ) {
        let stamp = time::format_timestamp(seconds).unwrap();
        prop_assert_eq!(time::parse_timestamp(&stamp), Some(seconds));
        let rfc3339 = time::format_rfc3339(seconds).unwrap();
        prop_assert_eq!(time::parse_rfc3339(&rfc3339).unwrap().unix_seconds, seconds);
        let version = pseudo::pseudo_version("v1", &older, &stamp, "abcdef");
        prop_assert!(pseudo::is_pseudo(&version), "{}", version);
        if semver::is_valid(&older) {
            prop_assert!(semver::compare(&older, &version).is_lt());
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC*", near in near_a_path()) {
        for text in [text, near] {
            let _ = ModulePath::parse(&text);
            let _ = (check_import_path(&text), check_file_path(&text));
            let _ = (Version::parse(&text), Revision::parse(&text), ModuleVersion::parse(&text));
            let _ = (split_path_version(&text), match_path_major(&text, &text));
            let _ = (pseudo::base(&text), pseudo::time(&text), pseudo::rev(&text));
            let _ = (semver::canonical(&text), semver::major_minor(&text));
            let _ = (unescape_path(&text), unescape_version(&text), percent_decode(&text));
            let _ = (time::parse_rfc3339(&text), time::parse_timestamp(&text));
        }
    }
}
