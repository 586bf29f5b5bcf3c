//! A go.mod: no panic, and what is strictly right reads the same leniently.
#![no_main]

use gomod::modfile::{ModFile, module_path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lax = ModFile::parse_lax("go.mod", bytes);
    if let Ok(strict) = ModFile::parse_strict("go.mod", bytes) {
        assert_eq!(Ok(strict), lax);
    }
    let _ = module_path(bytes);
});
