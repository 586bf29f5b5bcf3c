//! The two Unicode questions the module rules ask: is this a letter, and do two names collide?
//!
//! Both answers come from the edition of Unicode that Go uses. Rust's own tables move with the
//! compiler, and a file name accepted here but refused by the go command would poison a cache.

mod tables;

use std::borrow::Cow;
use std::cmp::Ordering;

use tables::{FOLDS, LETTERS};

/// Whether `c` is a letter (category L), as Go's `unicode.IsLetter` answers.
pub fn is_letter(c: char) -> bool {
    let code = u32::from(c);
    LETTERS
        .binary_search_by(|&(first, last)| place(first, last, code))
        .is_ok()
}

/// The smallest member of the case-folding orbit of `c`, except that `A`-`Z` become `a`-`z`.
pub fn fold_char(c: char) -> char {
    let code = u32::from(c);
    let Ok(found) = FOLDS.binary_search_by(|&(first, last, _, _)| place(first, last, code)) else {
        return c;
    };
    let (first, _, step, delta) = FOLDS[found];
    if !(code - first).is_multiple_of(step) {
        return c;
    }
    code.checked_add_signed(delta)
        .and_then(char::from_u32)
        .unwrap_or(c)
}

/// The key under which two file names collide on a file system that ignores case.
///
/// Two names collide exactly when their keys are equal. Nothing is copied when the name is
/// already its own key, which holds for most paths in a module zip.
pub fn to_fold(name: &str) -> Cow<'_, str> {
    if name.chars().all(|c| fold_char(c) == c) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(fold_char).collect())
}

/// [`to_fold`] as an owned string.
pub fn simple_fold_key(name: &str) -> String {
    to_fold(name).into_owned()
}

/// Where the range lies, seen from `code`: the order a binary search over ranges needs.
fn place(first: u32, last: u32, code: u32) -> Ordering {
    if last < code {
        Ordering::Less
    } else if first > code {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}
