//! go.mod files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{rows, text};
use gomod::modfile::{ModFile, module_path};
use proptest::prelude::*;

fn lax(text: &str) -> ModFile {
    ModFile::parse_lax("go.mod", text.as_bytes()).unwrap()
}

fn strict_error(text: &str) -> String {
    ModFile::parse_strict("go.mod", text.as_bytes())
        .unwrap_err()
        .to_string()
}

#[test]
fn deprecations_are_those_of_golang_mod() {
    for row in rows("modfile_deprecated.json") {
        let file = lax(text(&row, "in"));
        let got = file.deprecated.unwrap_or_default();
        assert_eq!(got, text(&row, "want"), "{}", text(&row, "desc"));
    }
}

#[test]
fn rationales_are_those_of_golang_mod() {
    for row in rows("modfile_retract_rationale.json") {
        let file = lax(text(&row, "in"));
        let retract = &file.retract[0];
        assert_eq!(
            retract.rationale,
            text(&row, "want"),
            "{}",
            text(&row, "desc")
        );
        assert_eq!([&*retract.low, &*retract.high], ["v1.0.0", "v1.0.0"]);
    }
}

#[test]
fn module_paths_are_those_of_golang_mod() {
    for row in rows("modfile_modulepath.json") {
        let input = text(&row, "input");
        assert_eq!(
            module_path(input.as_bytes()),
            text(&row, "expected"),
            "{input:?}"
        );
    }
}

#[test]
fn every_directive_of_a_main_module_is_read() {
    let file = ModFile::parse_strict(
        "go.mod",
        br#"
// Deprecated: use example.com/n.
module "example.com/m"

go 1.24.1

toolchain go1.25.0

godebug (
	default=go1.21
)

require (
	example.com/a v1.2.3
	example.com/b/v2 v2.0.0 // indirect
	example.com/c v1.0.0 // indirect; and why
	example.com/d v1 // not indirect
)

exclude example.com/a v1.2.4

replace (
	example.com/a => ../a
	example.com/b/v2 v2.0.0 => example.com/bb/v2 v2.0.1
)

retract (
	v1.0.1 // too early
	[v1.1.0, v1.1.9]
)

tool example.com/a/cmd/x

ignore ./node_modules
"#,
    )
    .unwrap();
    assert_eq!(file.module.as_deref(), Some("example.com/m"));
    assert_eq!(file.deprecated.as_deref(), Some("use example.com/n."));
    assert_eq!(file.go.as_deref(), Some("1.24.1"));
    assert_eq!(file.toolchain.as_deref(), Some("go1.25.0"));
    assert_eq!(file.godebug, [("default".into(), "go1.21".into())]);
    let requires: Vec<_> = file
        .require
        .iter()
        .map(|r| (&*r.path, &*r.version, r.indirect))
        .collect();
    assert_eq!(
        requires,
        [
            ("example.com/a", "v1.2.3", false),
            ("example.com/b/v2", "v2.0.0", true),
            ("example.com/c", "v1.0.0", true),
            ("example.com/d", "v1.0.0", false),
        ]
    );
    assert_eq!(file.exclude[0].version, "v1.2.4");
    assert_eq!(file.replace[0].new, "../a");
    assert_eq!(file.replace[1].new_version.as_deref(), Some("v2.0.1"));
    assert_eq!(file.retract[0].rationale, "too early");
    assert_eq!(
        [&*file.retract[1].low, &*file.retract[1].high],
        ["v1.1.0", "v1.1.9"]
    );
    assert_eq!(file.tool, ["example.com/a/cmd/x"]);
    assert_eq!(file.ignore, ["./node_modules"]);
    assert!(file.is_pruned());
}

#[test]
fn a_dependency_may_say_what_a_later_go_understands() {
    let file = lax(
        "module m\n\ngo 1.99.x\nfuture [ a => b\nfuture (\n\tx\n)\nreplace nonsense\nexclude x\n\
         retract (v1, v2)\nretract [v1, v2] and more\nrequire a.b/c v1.0.0\n",
    );
    assert_eq!(file.module.as_deref(), Some("m"));
    assert_eq!(file.go.as_deref(), Some("1.99"));
    assert_eq!((file.retract.len(), file.require.len()), (1, 1));
    assert!(file.replace.is_empty() && file.exclude.is_empty());
    assert!(!lax("module m\ngo 1.16\n").is_pruned() && !lax("module m\n").is_pruned());
}

/// The texts are what golang.org/x/mod/modfile prints for the same input.
#[test]
fn mistakes_are_told_in_the_go_commands_words() {
    let cases = [
        (
            "require a.b/c",
            "go.mod:1: usage: require module/path v1.2.3",
        ),
        (
            "require (\n\ta.b/c master\n)",
            "go.mod:2:2: require a.b/c: version \"master\" invalid: must be of the form v1.2.3",
        ),
        (
            "require a.b/c v2.0.0",
            "go.mod:1: require a.b/c: version \"v2.0.0\" invalid: should be v0 or v1, not v2",
        ),
        ("require a.b/v1 v1.0.0", "go.mod:1: invalid module path"),
        (
            "replace a.b/v1 => ../x",
            "go.mod:1: replace a.b/v1: invalid module path",
        ),
        (
            "replace a.b/c => a.b/d",
            "go.mod:1: replacement module without version must be directory path (rooted or starting with . or ..)",
        ),
        (
            "replace a.b/c => a.b/d@v1.0.0",
            "go.mod:1: replacement module must match format 'path version', not 'path@version'",
        ),
        (
            "replace a.b/c => ./d v1.0.0",
            "go.mod:1: replacement module directory path \"./d\" cannot have version",
        ),
        (
            "go 1.x",
            "go.mod:1: invalid go version '1.x': must match format 1.23.0",
        ),
        ("go 1.20\ngo 1.21", "go.mod:2: repeated go statement"),
        (
            "module 'a'",
            "go.mod:1: invalid quoted string: unquoted string cannot contain quote",
        ),
        (
            "module \"\\q\"",
            "go.mod:1: invalid quoted string: invalid syntax",
        ),
        ("module \"a", "go.mod:1:8: unexpected EOF in string"),
        (
            "  module \"a\nb\"",
            "go.mod:1:12: unexpected newline in string",
        ),
        (
            "module a /* b */",
            "go.mod:1:10: mod files must use // comments (not /* */ comments)",
        ),
        (
            "module \u{7}",
            "go.mod:1:8: unexpected input character '\\a'",
        ),
        (
            "require (\n\ta.b/c v1.0.0\n",
            "go.mod:3: syntax error (unterminated block started at go.mod:1:1)",
        ),
        (
            "require (\n) x",
            "go.mod:2:4: syntax error (expected newline after closing paren)",
        ),
        ("go (\n)", "go.mod:1: unknown block type: go"),
        ("future", "go.mod:1: unknown directive: future"),
        ("retract [v1.0.0", "go.mod:1: expected ',' after version"),
        (
            "retract v1.0.0 x",
            "go.mod:1: unexpected token after version: \"x\"",
        ),
        (
            "x\ny",
            "go.mod:1: unknown directive: x\ngo.mod:2: unknown directive: y",
        ),
    ];
    for (input, want) in cases {
        assert_eq!(strict_error(input), want, "{input:?}");
    }
}

#[test]
fn a_file_full_of_mistakes_does_not_fill_the_memory_with_texts() {
    let error = ModFile::parse_strict("go.mod", "x\n".repeat(100_000).as_bytes()).unwrap_err();
    assert_eq!(error.mistakes.len(), 100);
    let large = vec![b'\n'; (16 << 20) + 1];
    let error = ModFile::parse_lax("go.mod", &large).unwrap_err();
    assert_eq!(
        error.to_string(),
        "go.mod: go.mod file too large (max size is 16777216 bytes)"
    );
}

/// Pieces from which files are made that come near to being valid.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "module",
        "go",
        "require",
        "retract",
        "replace",
        "(",
        ")",
        "[",
        "]",
        ",",
        "=>",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        "\t",
        "//",
        "// indirect",
        "/*",
        "\"",
        "\\",
        "`",
        "a.b/c",
        "v1.0.0",
        "1.21",
        "\r",
        "Deprecated:",
        "\u{feff}",
        "é",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (ModFile::parse_lax("f", &bytes), ModFile::parse_strict("f", &bytes));
        let _ = module_path(&bytes);
    }

    #[test]
    fn what_is_strictly_right_is_leniently_the_same(text in pieces()) {
        let strict = ModFile::parse_strict("f", text.as_bytes());
        let lax = ModFile::parse_lax("f", text.as_bytes());
        if let Ok(strict) = strict {
            prop_assert_eq!(Ok(strict), lax);
        }
    }
}
