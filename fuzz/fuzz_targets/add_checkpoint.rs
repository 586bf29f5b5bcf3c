//! A request to a witness and a witness's answer: no panic, one spelling, nothing is cosigned that
//! nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::note::Signer;
use tlog::witness::{AddCheckpoint, Next, SIZE_CONTENT_TYPE, WitnessedLog, next, open};

fuzz_target!(|bytes: &[u8]| {
    let Ok(signer) = Signer::from_seed("fuzz.example", &[1; 32]) else {
        return;
    };
    let key = signer.verifier().clone();
    for status in [200, 409] {
        let next = next(&key, ("text\n", 9, 3), (status, SIZE_CONTENT_TYPE, bytes));
        assert!(!matches!(next, Next::Cosigned(..)));
    }
    let Ok(request) = AddCheckpoint::parse(bytes) else {
        return;
    };
    assert_eq!(request.to_string().as_bytes(), bytes);
    let origin = request.checkpoint.lines().next().unwrap_or_default();
    let logs = [WitnessedLog {
        origin: origin.to_owned(),
        keys: vec![key],
    }];
    assert!(open(&request, &logs).is_err());
});
