//! Versions: no panic, one order whichever way it is asked, and bases precede pseudo-versions.
#![no_main]

use gomod::version::{ModuleVersion, Version, canonical_version};
use gomod::{pseudo, semver};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (a, b) = text.split_once(' ').unwrap_or((text, "v1.0.0"));
    let order = semver::compare_total(a, b);
    assert_eq!(order, semver::compare_total(b, a).reverse());
    assert_eq!(order.is_eq(), a == b);
    if let Some(canonical) = canonical_version(a) {
        assert!(Version::parse(&canonical).is_ok());
    }
    if let Ok(at) = ModuleVersion::parse(a) {
        assert_eq!(at.to_string(), a);
    }
    if let Ok(base) = pseudo::base(a) {
        assert!(base.is_empty() || semver::compare(&base, a).is_lt());
    }
    let _ = (pseudo::time(a), pseudo::rev(a));
});
