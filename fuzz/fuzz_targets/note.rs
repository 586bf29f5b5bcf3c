//! A signed note and a key: no panic, a forged note does not open, and what opens is read again
//! the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::note::{Note, Signature, Signer, VerifierKey, write};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    let _ = Signer::parse_secret(&text);
    for line in text.lines() {
        if let Ok(signature) = Signature::parse_line(line) {
            assert_eq!(signature.to_line().trim_end_matches('\n'), line);
        }
    }
    let Ok(signer) = Signer::from_seed("fuzz.example", &[1; 32]) else {
        return;
    };
    let known = [signer.verifier().clone()];
    assert!(Note::open(bytes, &known).is_err(), "nobody signed this");
    // The input as the text of a note that is signed.
    if let Ok(message) = write(&text, &[], &[signer.sign(&text)]) {
        let opened = Note::open(&message, &known).map(|note| note.text);
        assert_eq!(opened.as_deref(), Ok(&*text));
    }
});
