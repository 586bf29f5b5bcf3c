//! A checker of trees and proofs that is written from RFC 9162 alone: it shares no line with the code
//! under test, so a mistake in `tlog` cannot agree with itself here.

use sha2::{Digest, Sha256};

pub type Sum = [u8; 32];

fn sum(prefix: u8, parts: &[&[u8]]) -> Sum {
    let mut hash = Sha256::new();
    hash.update([prefix]);
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// The hash of a record.
pub fn leaf(text: &str) -> Sum {
    sum(0, &[text.as_bytes()])
}

fn node(left: &Sum, right: &Sum) -> Sum {
    sum(1, &[left, right])
}

/// Section 2.1.1.
pub fn root(texts: &[String]) -> Sum {
    match texts {
        [] => Sha256::digest([]).into(),
        [one] => leaf(one),
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node(&root(left), &root(right))
        }
    }
}

/// Section 2.1.3.2.
pub fn is_included(index: u64, leaf: &Sum, size: u64, proof: &[Sum], root: &Sum) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, *leaf);
    for other in proof {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = node(other, &hash);
            while place.is_multiple_of(2) && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            hash = node(&hash, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// Section 2.1.4.2, for 0 < old < new.
pub fn is_consistent(old: u64, old_root: &Sum, new: u64, new_root: &Sum, proof: &[Sum]) -> bool {
    let whole = old.is_power_of_two().then_some(*old_root);
    let mut path = whole.iter().chain(proof);
    let Some(first) = path.next().copied() else {
        return false;
    };
    let (mut place, mut last) = (old - 1, new - 1);
    while place % 2 == 1 {
        (place, last) = (place >> 1, last >> 1);
    }
    let (mut before, mut after) = (first, first);
    for other in path {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            (before, after) = (node(other, &before), node(other, &after));
            while place.is_multiple_of(2) && place != 0 {
                (place, last) = (place >> 1, last >> 1);
            }
        } else {
            after = node(&after, other);
        }
        (place, last) = (place >> 1, last >> 1);
    }
    last == 0 && before == *old_root && after == *new_root
}

#[test]
fn the_auditor_takes_good_proofs_and_no_others() {
    let texts: Vec<String> = (0..5).map(|n| format!("record {n}\n")).collect();
    let roots: Vec<Sum> = (0..=5).map(|size| root(&texts[..size])).collect();
    let leaves: Vec<Sum> = texts.iter().map(|text| leaf(text)).collect();
    let (low, high) = (node(&leaves[0], &leaves[1]), node(&leaves[2], &leaves[3]));
    let proof = [leaves[3], low, leaves[4]];
    assert!(is_included(2, &leaves[2], 5, &proof, &roots[5]));
    assert!(!is_included(1, &leaves[2], 5, &proof, &roots[5]));
    assert!(!is_included(2, &leaves[1], 5, &proof, &roots[5]));
    assert!(!is_included(2, &leaves[2], 5, &proof[..2], &roots[5]));
    let proof = [leaves[2], leaves[3], low, leaves[4]];
    assert!(is_consistent(3, &roots[3], 5, &roots[5], &proof));
    assert!(!is_consistent(3, &roots[2], 5, &roots[5], &proof));
    assert!(is_consistent(
        2,
        &roots[2],
        5,
        &roots[5],
        &[high, leaves[4]]
    ));
    assert!(!is_consistent(
        2,
        &roots[2],
        5,
        &roots[4],
        &[high, leaves[4]]
    ));
}
