//! An entry bundle: no panic, and bytes are a bundle in one spelling or in none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::entries::{entry_bundle, parse_entry_bundle};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entries) = parse_entry_bundle(bytes) {
        assert_eq!(entry_bundle(entries).as_deref(), Ok(bytes));
    }
});
