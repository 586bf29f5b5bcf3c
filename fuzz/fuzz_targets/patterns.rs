//! Pattern lists and GOVCS: no panic, whatever the glob and the path.
#![no_main]

use gomod::govcs::GoVcs;
use gomod::pattern::Patterns;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (setting, path) = text.split_once('\n').unwrap_or((text, "a.b/c"));
    if let Ok(patterns) = Patterns::parse(setting) {
        assert!(!patterns.matches(path) || !patterns.is_empty());
    }
    if let Ok(rules) = GoVcs::parse(setting) {
        let _ = rules.with_defaults().allows(path, false, "git");
    }
});
