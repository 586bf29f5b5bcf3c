//! A zip: no panic, and all ways to check it agree.
#![no_main]

use gomod::version::ModuleVersion;
use gomod::zip::{check, hash_zip, report, verify, verify_parallel};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let version = ModuleVersion::parse("example.com/m@v1.0.0").unwrap();
    let size = bytes.len() as u64;
    let whole = verify(Cursor::new(bytes), size, &version).ok();
    let parallel = verify_parallel(|| Ok(Cursor::new(bytes)), size, &version, 2);
    assert_eq!(whole, parallel.ok());
    let hash = hash_zip(Cursor::new(bytes)).ok();
    if let Some(whole) = whole {
        assert_eq!(Some(whole.h1), hash);
        assert!(check(Cursor::new(bytes), size, &version).is_ok());
    }
    let _ = report(Cursor::new(bytes), size, &version);
});
