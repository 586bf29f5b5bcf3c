//! A request path: no panic, and what is read survives being written.
#![no_main]

use gomod::request::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &str| {
    if let Ok(request) = Request::parse(path) {
        assert_eq!(Request::parse(&request.to_path()), Ok(request));
    }
});
