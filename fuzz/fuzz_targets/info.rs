//! A `.info` body: no panic, and what is read survives being written.
#![no_main]

use gomod::info::Info;
use gomod::version::Revision;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(info) = Info::parse(body) else {
        return;
    };
    let again = Info::parse(info.to_json().as_bytes());
    assert_eq!(again.map(|again| again.to_json()), Ok(info.to_json()));
    if let Ok(path) = "example.com/m".parse() {
        let _ = info.check(&path, &Revision::from(info.version()));
    }
});
