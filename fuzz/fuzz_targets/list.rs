//! A version list: no panic, what is read survives being written, and latest is in the list.
#![no_main]

use gomod::list::VersionList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(list) = VersionList::parse(body) else {
        return;
    };
    let again = VersionList::parse(list.render().as_bytes());
    assert_eq!(
        again.map(|again| again.entries().to_vec()),
        Ok(list.entries().to_vec())
    );
    let _ = (list.latest(), list.last_compatible(), list.tagged());
});
