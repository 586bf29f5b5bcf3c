//! A tree head and a checkpoint: no panic, and what is read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::head::{Checkpoint, TreeHead};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(head) = TreeHead::parse(bytes) {
        assert_eq!(TreeHead::parse(head.to_text().as_bytes()), Ok(head));
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(checkpoint) = Checkpoint::parse(&text) {
        assert_eq!(checkpoint.to_text(), text);
    }
});
