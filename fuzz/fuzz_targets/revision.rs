//! Revisions: no panic, and escaping can be undone.
#![no_main]

use gomod::escape::unescape_version;
use gomod::version::Revision;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(revision) = Revision::parse(text) {
        let _ = revision.as_version();
        assert_eq!(unescape_version(&revision.escaped()), Ok(revision));
    }
    if let Ok(revision) = unescape_version(text) {
        assert_eq!(revision.escaped(), text);
    }
});
