//! A go.sum: no panic, and every line is found again.
#![no_main]

use gomod::gosum::GoSum;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(sums) = GoSum::parse("go.sum", bytes) else {
        return;
    };
    for line in sums.lines() {
        let mut same = sums.find(&line.path, &line.version, line.go_mod);
        assert!(same.any(|found| found == line));
        let _ = (line.hash(), line.is_known());
    }
});
