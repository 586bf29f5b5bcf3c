//! Notes and keys: the examples of Go's `note` package and of C2SP, and what must be refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use tlog::note::{
    Algorithm, Cosigner, KeyError, Note, NoteError, SIGNATURES_MAX, Signature, Signer, VerifierKey,
    sign, write,
};

const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SECRET: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
const PETER_LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(text: &str) -> VerifierKey {
    text.parse().unwrap()
}

fn peter() -> Signer {
    Signer::parse_secret(PETER_SECRET).unwrap()
}

fn open(lines: &str, known: &[VerifierKey]) -> Result<Note, NoteError> {
    Note::open(format!("{TEXT}\n{lines}").as_bytes(), known)
}

fn lines(signatures: &[Signature]) -> String {
    signatures.iter().map(Signature::to_line).collect()
}

#[test]
fn keys_survive_being_written_and_read() {
    for text in [PETER, ENOCH] {
        assert_eq!(key(text).to_string(), text);
    }
    let signer = peter();
    assert_eq!(signer.to_secret(), PETER_SECRET);
    assert_eq!(signer.verifier(), &key(PETER));
    assert_eq!(signer.verifier().name(), "PeterNeumann");
    assert_eq!(signer.verifier().key_hash(), 0xc74f_20a3);
}

#[test]
fn every_part_of_a_key_and_every_changed_byte_is_refused() {
    for (text, is_key) in [
        (
            PETER,
            (|text| text.parse::<VerifierKey>().is_ok()) as fn(&str) -> bool,
        ),
        (PETER_SECRET, |text| Signer::parse_secret(text).is_ok()),
    ] {
        assert!(is_key(text));
        for i in 0..=text.len() {
            for j in i + 1..=text.len() {
                assert_eq!(is_key(&text[i..j]), (i, j) == (0, text.len()));
            }
        }
        for i in 0..text.len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[i] += 1;
            assert!(!is_key(std::str::from_utf8(&bytes).unwrap()), "byte {i}");
        }
    }
}

#[test]
fn keys_of_other_kinds_and_lengths_are_refused() {
    let longer = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    let unknown = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert!(longer.parse::<VerifierKey>().is_err());
    assert_eq!(unknown.parse::<VerifierKey>(), Err(KeyError::Algorithm));
    let other = PETER.replace("c74f20a3", "c74f20a4");
    assert_eq!(other.parse::<VerifierKey>(), Err(KeyError::Hash));
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\u{2003}b", "a\nb"] {
        assert_eq!(
            Signer::from_seed(name, &[1; 32]).map(|_| ()),
            Err(KeyError::Malformed),
            "{name:?}"
        );
    }
    let cosigner = Cosigner::from_seed("w", &[1; 32]).unwrap();
    assert!(Signer::parse_secret(&cosigner.to_secret()).is_err());
    assert!(Cosigner::parse_secret(PETER_SECRET).is_err());
}

#[test]
fn a_secret_is_not_shown() {
    let shown = format!("{:?}", peter());
    assert!(!shown.contains("AYEKFALV"), "{shown}");
    let cosigner = Cosigner::from_seed("w", &[1; 32]).unwrap();
    let secret = cosigner.to_secret();
    let seed = secret.rsplit('+').next().unwrap();
    assert!(!format!("{cosigner:?}").contains(seed));
}

#[test]
fn signing_gives_gos_bytes() {
    let message = sign(TEXT, &[&peter()]).unwrap();
    assert_eq!(
        String::from_utf8(message).unwrap(),
        format!("{TEXT}\n{PETER_LINE}")
    );
}

#[test]
fn a_new_signature_replaces_the_old_one_of_its_key() {
    let note = open(&format!("{PETER_LINE}{ENOCH_LINE}"), &[key(PETER)]).unwrap();
    let had = [note.verified, note.unverified].concat();
    let message = write(TEXT, &had, &[peter().sign(TEXT)]).unwrap();
    assert_eq!(
        String::from_utf8(message).unwrap(),
        format!("{TEXT}\n{ENOCH_LINE}{PETER_LINE}")
    );
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let signature = peter().sign(TEXT);
    for text in ["", "abc", "a\u{1}\n", "a\r\n"] {
        assert_eq!(
            sign(text, &[&peter()]),
            Err(NoteError::Malformed),
            "{text:?}"
        );
    }
    assert_eq!(sign(TEXT, &[]), Err(NoteError::Malformed));
    let many = vec![signature; SIGNATURES_MAX + 1];
    assert_eq!(write(TEXT, &many, &[]), Err(NoteError::Malformed));
    assert!(write(TEXT, &many[1..], &[]).is_ok());
}

#[test]
fn signatures_are_sorted_into_verified_and_unverified() {
    let both = format!("{PETER_LINE}{ENOCH_LINE}");
    let note = open(&both, &[key(PETER)]).unwrap();
    assert_eq!(note.text, TEXT);
    assert_eq!(lines(&note.verified), PETER_LINE);
    assert_eq!(lines(&note.unverified), ENOCH_LINE);
    let note = open(&both, &[key(PETER), key(ENOCH)]).unwrap();
    assert_eq!(lines(&note.verified), both);
    assert_eq!(note.unverified, []);
    assert_eq!(open(&both, &[]), Err(NoteError::Unverified));
}

#[test]
fn one_bad_signature_by_a_known_key_spoils_the_note() {
    let bad = format!("{}ABCD{}", &PETER_LINE[..60], &PETER_LINE[60..]);
    let wrong = NoteError::InvalidSignature {
        name: "PeterNeumann".to_owned(),
        key_hash: 0xc74f_20a3,
    };
    assert_eq!(open(&bad, &[key(PETER)]), Err(wrong.clone()));
    let known = [key(PETER), key(ENOCH)];
    assert_eq!(
        open(&format!("{ENOCH_LINE}{bad}"), &known),
        Err(wrong.clone())
    );
    assert_eq!(
        wrong.to_string(),
        "invalid signature for key PeterNeumann+c74f20a3"
    );
    // By an unknown key it is merely there.
    assert!(open(&format!("{ENOCH_LINE}{bad}"), &[key(ENOCH)]).is_ok());
    // Behind a good one of the same key it is dropped unread, as Go does.
    assert!(open(&format!("{PETER_LINE}{bad}"), &[key(PETER)]).is_ok());
}

#[test]
fn known_keys_must_not_collide() {
    let known = [key(ENOCH), key(PETER), key(ENOCH)];
    let error = open(ENOCH_LINE, &known).unwrap_err();
    assert_eq!(error.to_string(), "ambiguous key EnochRoot+af0cfe78");
    assert!(open(PETER_LINE, &known).is_ok());
}

#[test]
fn a_hundred_signatures_are_read_and_no_more() {
    for known in [&[key(PETER)][..], &[]] {
        let error = open(&PETER_LINE.repeat(101), known);
        assert_eq!(error, Err(NoteError::Malformed));
    }
    assert!(open(&PETER_LINE.repeat(100), &[key(PETER)]).is_ok());
}

#[test]
fn repeated_signatures_are_dropped() {
    let other = format!("{}ABCD{}", &ENOCH_LINE[..60], &ENOCH_LINE[60..]);
    let all = format!("{PETER_LINE}{PETER_LINE}{ENOCH_LINE}{ENOCH_LINE}{other}");
    let note = open(&all, &[key(PETER)]).unwrap();
    assert_eq!(lines(&note.verified), PETER_LINE);
    assert_eq!(lines(&note.unverified), format!("{ENOCH_LINE}{other}"));
}

#[test]
fn malformed_notes_are_refused() {
    let short = &PETER_LINE[..PETER_LINE.len() - 1];
    let spaced = PETER_LINE.replace("PeterNeumann", "Bad Name");
    for message in [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{short}"),
        format!("\u{1}{TEXT}\n{PETER_LINE}"),
        format!("{TEXT}\r\n\n{PETER_LINE}"),
        format!("{TEXT}\n{spaced}"),
        format!("{TEXT}\n{PETER_LINE}Unexpected line.\n"),
        format!("{TEXT}\n{PETER_LINE}\n"),
        format!("{TEXT}\n— PeterNeumann\n"),
        format!("{TEXT}\n— PeterNeumann \n"),
        format!("{TEXT}\n— PeterNeumann AAAAAA==\n"),
        format!("{TEXT}\n- PeterNeumann x08go/Y=\n"),
        String::new(),
        "\n\n".to_owned(),
    ] {
        let opened = Note::open(message.as_bytes(), &[key(PETER)]);
        assert_eq!(opened, Err(NoteError::Malformed), "{message:?}");
    }
    let mut bytes = vec![0xff];
    bytes.extend(format!("{TEXT}\n{PETER_LINE}").bytes());
    assert_eq!(Note::open(&bytes, &[key(PETER)]), Err(NoteError::Malformed));
}

#[test]
fn the_last_blank_line_ends_the_text() {
    let text = "a\n\n\nb\n\n";
    let message = sign(text, &[&peter()]).unwrap();
    assert_eq!(Note::open(&message, &[key(PETER)]).unwrap().text, text);
}

#[test]
fn no_flipped_bit_survives() {
    let message = sign(TEXT, &[&peter()]).unwrap();
    for byte in 0..message.len() {
        for bit in 0..8 {
            let mut bad = message.clone();
            bad[byte] ^= 1 << bit;
            // Two unused bits at the end of the base64 mean nothing, to Go neither.
            if byte < message.len() - 3 {
                assert!(
                    Note::open(&bad, &[key(PETER)]).is_err(),
                    "byte {byte} bit {bit}"
                );
            }
        }
    }
}

#[test]
fn a_cosignature_covers_the_time_and_the_checkpoint() {
    let cosigner = Cosigner::from_seed("witness.example.com/w1", &[3; 32]).unwrap();
    let known = cosigner.verifier().clone();
    assert_eq!(known.algorithm(), Algorithm::CosignatureV1);
    assert_eq!(known.to_string().parse(), Ok(known.clone()));
    assert_eq!(
        Cosigner::parse_secret(&cosigner.to_secret())
            .unwrap()
            .verifier(),
        &known
    );
    let text =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let cosignature = cosigner.sign(text, 1_679_315_147);
    // The key's hash, eight bytes of time, 64 of signature, as in the example of C2SP.
    assert_eq!(
        cosignature.base64().len(),
        (4_usize + 8 + 64).div_ceil(3) * 4
    );
    let message = write(text, &[], &[peter().sign(text), cosignature.clone()]).unwrap();
    let note = Note::open(&message, &[key(PETER), known.clone()]).unwrap();
    assert_eq!(note.verified.len(), 2);
    assert_eq!(known.cosigned_at(text, &cosignature), Some(1_679_315_147));
    assert_eq!(known.cosigned_at("other\n", &cosignature), None);
    assert_eq!(key(PETER).cosigned_at(text, &cosignature), None);
    assert_eq!(known.cosigned_at(text, &peter().sign(text)), None);

    // The signed message is that of the specification, byte for byte.
    let plain = Signer::from_seed("x", &[3; 32]).unwrap();
    let signed = plain.sign(&format!("cosignature/v1\ntime 1679315147\n{text}"));
    let tail = |signature: &Signature| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        STANDARD.decode(signature.base64()).unwrap().split_off(4)
    };
    assert_eq!(tail(&cosignature)[..8], 1_679_315_147_u64.to_be_bytes());
    assert_eq!(tail(&cosignature)[8..], tail(&signed));

    let mut late = tail(&cosignature);
    late[0] |= 0x80;
    assert!(!known.verify(text, &late), "a time beyond i64::MAX");
    assert!(known.verify(text, &tail(&cosignature)));
    assert!(!known.verify(text, &[]));
    assert_eq!(
        known.cosigned_at(text, &cosigner.sign(text, u64::MAX)),
        Some(i64::MAX as u64)
    );
}

#[test]
fn the_example_of_c2sp_is_read() {
    for line in [
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=",
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==",
    ] {
        let signature = Signature::parse_line(line).unwrap();
        assert_eq!(signature.to_line(), format!("{line}\n"));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_note(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Note::open(&bytes, &[key(PETER)]).is_err());
    }

    #[test]
    fn arbitrary_lines_are_read_or_refused(lines in "(— [a-zA-Z+ ]{0,6} [A-Za-z0-9+/]{0,12}={0,2}\n){0,4}") {
        let _ = open(&lines, &[key(PETER)]);
        let _ = lines.parse::<VerifierKey>();
        let _ = Signer::parse_secret(&format!("PRIVATE+KEY+{lines}"));
    }

    #[test]
    fn any_clean_text_survives_signing(text in "[^\\x00-\\x1f]{0,40}(\n[^\\x00-\\x1f]{0,10}){0,4}\n") {
        let message = sign(&text, &[&peter()]).unwrap();
        prop_assert_eq!(Note::open(&message, &[key(PETER)]).unwrap().text, text);
    }
}
