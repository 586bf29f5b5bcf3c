//! A proof to carry away: no panic, one spelling, and nobody's signature proves nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::Hash;
use tlog::note::Signer;
use tlog::proof::{Proof, Trust};

fuzz_target!(|bytes: &[u8]| {
    let Ok(proof) = Proof::parse(bytes) else {
        return;
    };
    assert_eq!(proof.to_string().as_bytes(), bytes);
    let Ok(signer) = Signer::from_seed("fuzz.example", &[1; 32]) else {
        return;
    };
    let trust = Trust {
        origin: "fuzz.example".to_owned(),
        log: vec![signer.verifier().clone()],
        witnesses: Vec::new(),
        quorum: 0,
    };
    assert!(proof.verify(&Hash::leaf(bytes), &trust).is_err());
});
