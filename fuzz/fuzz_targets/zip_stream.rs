//! A zip that arrives in portions: the same outcome as for the whole.
#![no_main]

use gomod::version::ModuleVersion;
use gomod::zip::{StreamHasher, verify};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|input: (u8, &[u8])| {
    let (portion, bytes) = input;
    let version = ModuleVersion::parse("example.com/m@v1.0.0").unwrap();
    let size = bytes.len() as u64;
    let mut hasher = StreamHasher::default();
    for part in bytes.chunks(usize::from(portion) + 1) {
        hasher.push(part);
    }
    let streamed = hasher.finish(Cursor::new(bytes), size, &version);
    assert_eq!(
        streamed.ok(),
        verify(Cursor::new(bytes), size, &version).ok()
    );
});
