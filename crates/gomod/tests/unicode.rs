//! Letters and case folding, over every code point.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{HashMap, HashSet};

use gomod::unicode::{fold_char, is_letter, to_fold};

fn vector(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn letters_are_gos_letters_for_every_code_point() {
    let table = vector("unicode_isletter_ranges.json");
    let ranges: Vec<(u32, u32)> = serde_json::from_value(table["ranges"].clone()).unwrap();
    let letters: HashSet<u32> = ranges.into_iter().flat_map(|(lo, hi)| lo..=hi).collect();
    for c in '\0'..=char::MAX {
        let code = u32::from(c);
        assert_eq!(is_letter(c), letters.contains(&code), "U+{code:04X}");
    }
}

#[test]
fn folding_is_gos_folding_for_every_code_point() {
    let pairs: Vec<(u32, u32)> =
        serde_json::from_value(vector("unicode_strtofold_pairs.json")).unwrap();
    let pairs: HashMap<u32, u32> = pairs.into_iter().collect();
    for c in '\0'..=char::MAX {
        let code = u32::from(c);
        let wanted = pairs.get(&code).copied().unwrap_or(code);
        assert_eq!(u32::from(fold_char(c)), wanted, "U+{code:04X}");
    }
}

#[test]
fn names_that_differ_only_in_case_share_a_key() {
    assert_eq!(to_fold("README.md"), "readme.md");
    assert_eq!(to_fold("\u{212a}elvin"), to_fold("Kelvin"));
    assert_eq!(to_fold("\u{17f}"), "s");
    assert_ne!(to_fold("a"), to_fold("b"));
}
