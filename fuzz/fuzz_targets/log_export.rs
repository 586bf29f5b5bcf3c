//! A whole log in a file, read in pieces: no panic, no endless loop, nothing is believed that
//! nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::export::Reader;
use tlog::note::Signer;

fuzz_target!(|bytes: &[u8]| {
    let Ok(signer) = Signer::from_seed("fuzz.example", &[1; 32]) else {
        return;
    };
    let mut reader = Reader::new(vec![signer.verifier().clone()]);
    for piece in bytes.chunks(13) {
        reader.push(piece);
        loop {
            match reader.next_record() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert!(reader.finish().is_err());
});
