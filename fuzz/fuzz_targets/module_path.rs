//! Paths: no panic, escaping can be undone, and a module is an import path is a file.
#![no_main]

use gomod::escape::unescape_path;
use gomod::path::{ModulePath, check_file_path_bytes, check_import_path};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = check_file_path_bytes(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let import = check_import_path(text);
    assert!(import.is_err() || file.is_ok());
    if let Ok(path) = ModulePath::parse(text) {
        assert!(import.is_ok());
        assert_eq!(format!("{}{}", path.prefix(), path.major()), text);
        assert_eq!(unescape_path(&path.escaped()), Ok(path));
    }
    if let Ok(path) = unescape_path(text) {
        assert_eq!(path.escaped(), text);
    }
});
