//! Witnessing: the request, the witness's decision, the log's reading of the answer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{NAME, SEED, log};
use tlog::Hash;
use tlog::head::{Checkpoint, TreeHead};
use tlog::note::{Cosigner, Signer, VerifierKey, sign};
use tlog::witness::{
    AddCheckpoint, Failed, Next, PROOF_LINES_MAX, Refusal, SIZE_CONTENT_TYPE, WitnessedLog, next,
    open,
};

/// The example request of c2sp.org/tlog-witness.
const EXAMPLE: &str = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";

/// Trees and proofs by RFC 6962 §2.1, word for word, over hashes of leaves.
mod naive {
    use sha2::{Digest, Sha256};

    pub type Row = [u8; 32];

    pub fn leaf(i: u64) -> Row {
        Sha256::digest([&[0][..], &i.to_be_bytes()].concat()).into()
    }

    pub fn root(leaves: &[Row]) -> Row {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let k = split(leaves.len());
                let (left, right) = (root(&leaves[..k]), root(&leaves[k..]));
                Sha256::digest([&[1][..], &left, &right].concat()).into()
            }
        }
    }

    pub fn proof(m: usize, leaves: &[Row]) -> Vec<Row> {
        subproof(m, leaves, true)
    }

    fn subproof(m: usize, leaves: &[Row], complete: bool) -> Vec<Row> {
        let n = leaves.len();
        if m == n {
            return if complete { vec![] } else { vec![root(leaves)] };
        }
        let k = split(n);
        let (mut hashes, last) = if m <= k {
            (subproof(m, &leaves[..k], complete), root(&leaves[k..]))
        } else {
            (subproof(m - k, &leaves[k..], false), root(&leaves[..k]))
        };
        hashes.push(last);
        hashes
    }

    fn split(n: usize) -> usize {
        n.next_power_of_two() / 2
    }
}

fn leaves(n: u64) -> Vec<naive::Row> {
    (0..n).map(naive::leaf).collect()
}

fn signer() -> Signer {
    Signer::from_seed(NAME, &SEED).unwrap()
}

fn known() -> Vec<WitnessedLog> {
    vec![WitnessedLog {
        origin: NAME.to_owned(),
        keys: vec![signer().verifier().clone()],
    }]
}

fn tree(n: u64) -> TreeHead {
    TreeHead {
        size: n,
        hash: Hash(naive::root(&leaves(n))),
    }
}

fn checkpoint(origin: &str, head: TreeHead, signer: &Signer) -> String {
    let text = Checkpoint {
        origin: origin.to_owned(),
        head,
        extensions: Vec::new(),
    }
    .to_text();
    String::from_utf8(sign(&text, &[signer]).unwrap()).unwrap()
}

/// An honest request to go on from `old` to `new`.
fn request(old: u64, new: u64) -> AddCheckpoint {
    let proof = match old {
        0 => Vec::new(),
        old => naive::proof(old as usize, &leaves(new)),
    };
    AddCheckpoint {
        old,
        proof: proof.into_iter().map(Hash).collect(),
        checkpoint: checkpoint(NAME, tree(new), &signer()),
    }
}

fn decide(request: &AddCheckpoint, remembered: u64) -> Result<(), Refusal> {
    open(request, &known())?.judge(&tree(remembered))
}

#[test]
fn the_specifications_example_is_read_and_written_again() {
    let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!((request.old, request.proof.len()), (20_852_014, 4));
    assert!(
        request
            .checkpoint
            .starts_with("example.com/behind-the-sofa\n20852163\n")
    );
    assert_eq!(request.to_string(), EXAMPLE);
    // Nobody knows its log here; the same request from a known log lacks its signature.
    assert_eq!(open(&request, &known()), Err(Refusal::UnknownOrigin));
    let mut logs = known();
    logs[0].origin = "example.com/behind-the-sofa".to_owned();
    assert_eq!(open(&request, &logs), Err(Refusal::Unsigned));
}

#[test]
fn what_continues_the_remembered_head_is_cosigned_from_every_size_to_every_size() {
    for new in 0..=33 {
        for old in 0..=new {
            let request = request(old, new);
            let body = request.to_string();
            assert_eq!(AddCheckpoint::parse(body.as_bytes()), Ok(request.clone()));
            assert_eq!(decide(&request, old), Ok(()), "{old} -> {new}");
        }
    }
}

#[test]
fn a_request_gets_the_status_that_the_specification_gives_it() {
    let other = Signer::from_seed(NAME, &[9; 32]).unwrap();
    let with = |checkpoint: String, request: AddCheckpoint| AddCheckpoint {
        checkpoint,
        ..request
    };
    let wrong_root = TreeHead {
        hash: Hash::leaf(b"another tree"),
        ..tree(5)
    };
    let mut flipped = request(3, 7);
    flipped.proof[1].0[4] ^= 1;
    let mut short = request(3, 7);
    short.proof.pop();
    let mut long = request(3, 7);
    long.proof.push(Hash::EMPTY_ROOT);
    let unneeded = |old, new| AddCheckpoint {
        proof: vec![Hash::EMPTY_ROOT],
        ..request(old, new)
    };
    let empty = TreeHead {
        size: 0,
        hash: Hash::leaf(b"not empty"),
    };
    let unknown_key = checkpoint(NAME, tree(5), &Signer::from_seed("x", &[1; 32]).unwrap());
    let cases: Vec<(&str, AddCheckpoint, u64, u16)> = vec![
        ("first head", request(0, 5), 0, 200),
        ("the same again", request(5, 5), 5, 200),
        ("growth", request(3, 7), 3, 200),
        ("empty tree", request(0, 0), 0, 200),
        ("no blank line", with("x".into(), request(0, 5)), 0, 400),
        (
            "unknown origin",
            with(
                checkpoint("other.example", tree(5), &signer()),
                request(0, 5),
            ),
            0,
            404,
        ),
        (
            "unknown origin, bad signature",
            with(checkpoint("other.example", tree(5), &other), request(0, 5)),
            0,
            404,
        ),
        (
            "another key of this name",
            with(checkpoint(NAME, tree(5), &other), request(0, 5)),
            0,
            403,
        ),
        ("another name", with(unknown_key, request(0, 5)), 0, 403),
        (
            "bad signature beats old size",
            with(checkpoint(NAME, tree(5), &other), request(9, 9)),
            0,
            403,
        ),
        (
            "old beyond new",
            AddCheckpoint {
                old: 6,
                ..request(5, 5)
            },
            5,
            400,
        ),
        (
            "old beyond new, also remembered",
            AddCheckpoint {
                old: 6,
                ..request(5, 5)
            },
            6,
            400,
        ),
        ("old too small", request(3, 7), 5, 409),
        ("old too large", request(3, 7), 2, 409),
        ("smaller head than remembered", request(3, 4), 5, 409),
        ("old zero to a witness that knows", request(0, 7), 5, 409),
        (
            "old right, everything else wrong: the proof",
            flipped,
            3,
            422,
        ),
        ("short proof", short, 3, 422),
        ("long proof", long, 3, 422),
        (
            "no proof",
            AddCheckpoint {
                proof: vec![],
                ..request(3, 7)
            },
            3,
            422,
        ),
        (
            "another root for the same size",
            with(checkpoint(NAME, wrong_root, &signer()), request(5, 5)),
            5,
            422,
        ),
        (
            "another tree with the old proof",
            with(checkpoint(NAME, wrong_root, &signer()), request(3, 5)),
            3,
            422,
        ),
        ("a proof from nothing", unneeded(0, 5), 0, 422),
        ("a proof between equal sizes", unneeded(5, 5), 5, 422),
        (
            "another empty root",
            with(checkpoint(NAME, empty, &signer()), request(0, 0)),
            0,
            422,
        ),
    ];
    for (what, request, remembered, status) in cases {
        let found = decide(&request, remembered).map_or_else(|r| r.status(), |()| 200);
        assert_eq!(found, status, "{what}");
    }
    let conflict = decide(&request(3, 7), 5).unwrap_err();
    assert_eq!(
        (conflict.body().as_str(), conflict.content_type()),
        ("5\n", SIZE_CONTENT_TYPE)
    );
}

#[test]
fn a_body_with_another_spelling_is_refused() {
    let good = request(3, 7).to_string();
    assert!(AddCheckpoint::parse(good.as_bytes()).is_ok());
    let lines: Vec<&str> = good.splitn(3, '\n').collect();
    let rest = lines[2];
    let bad = [
        String::new(),
        "old 3".into(),
        good.replacen("old 3", "old 03", 1),
        good.replacen("old 3", "old +3", 1),
        good.replacen("old 3", "old -3", 1),
        good.replacen("old 3", "old  3", 1),
        good.replacen("old 3", "Old 3", 1),
        good.replacen("old 3", "old 9223372036854775808", 1),
        good.replacen("old 3", "old 18446744073709551616", 1),
        good.replacen('\n', "\r\n", 1),
        good.replacen(lines[1], "not!!!base64", 1),
        good.replacen(lines[1], &lines[1][..40], 1),
        good.replacen(lines[1], &format!(" {}", lines[1]), 1),
        format!("{}\n{}\n{rest}", lines[0], "AA=="),
        format!("old 3\n{}\n{}", "A".repeat(43) + "=\n", "\n\n"),
        format!(
            "old 3\n{}{good}",
            format!("{}\n", lines[1]).repeat(PROOF_LINES_MAX + 1)
        ),
        format!("\n{good}"),
    ];
    for body in bad {
        let parsed = AddCheckpoint::parse(body.as_bytes());
        let refused = parsed.and_then(|r| open(&r, &known()).map(drop));
        assert!(matches!(refused, Err(r) if r.status() == 400), "{body:?}");
    }
    let many = format!(
        "old 3\n{}\n{}",
        format!("{}\n", lines[1]).repeat(64),
        request(3, 7).checkpoint
    );
    assert_eq!(
        AddCheckpoint::parse(many.as_bytes()),
        Err(Refusal::Malformed("more than 63 proof lines"))
    );
    assert!(AddCheckpoint::parse(&[0xff; 100]).is_err());
    assert!(AddCheckpoint::parse(&vec![b'a'; 1 << 20]).is_err());
}

#[test]
fn signatures_by_unknown_keys_are_ignored_and_not_remembered() {
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let stranger = Cosigner::from_seed("stranger.example", &[4; 32]).unwrap();
    let text = checkpoint(NAME, tree(5), &signer());
    let body = text.split("\n\n").next().unwrap().to_owned() + "\n";
    let mut request = request(0, 5);
    request.checkpoint += &stranger.sign(&body, 1).to_line();
    let claim = open(&request, &known()).unwrap();
    assert_eq!(claim.text(), body);
    assert_eq!(claim.checkpoint().head, tree(5));
    let cosigned = String::from_utf8(claim.cosigned(&cosigner.sign(claim.text(), 9))).unwrap();
    assert!(cosigned.starts_with(&text) && cosigned.contains("— witness.example "));
    assert!(!cosigned.contains("stranger"), "{cosigned}");
}

fn asked(key: &VerifierKey, old: u64, status: u16, kind: &str, body: &str) -> Next {
    let text = checkpoint(NAME, tree(7), &signer());
    let text = text.split("\n\n").next().unwrap().to_owned() + "\n";
    next(key, (&text, 7, old), (status, kind, body.as_bytes()))
}

#[test]
fn a_log_believes_only_cosignatures_that_verify() {
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let key = cosigner.verifier();
    let text = Checkpoint {
        origin: NAME.to_owned(),
        head: tree(7),
        extensions: vec![],
    }
    .to_text();
    let good = cosigner.sign(&text, 1_700_000_000);
    let stranger = Cosigner::from_seed("witness.example", &[4; 32]).unwrap();
    let noise = stranger.sign(&text, 5).to_line();
    let Next::Cosigned(found, time) = asked(
        key,
        3,
        200,
        "text/plain",
        &(noise.clone() + &good.to_line()),
    ) else {
        panic!("a good line among others");
    };
    assert_eq!((found, time), (good, 1_700_000_000));
    let of_another_head = cosigner.sign(&text.replacen('7', "8", 1), 5).to_line();
    let plain = signer().sign(&text).to_line();
    for body in ["", "\n", "junk", &noise, &of_another_head, &plain] {
        let Next::Failed(Failed::Invalid(_)) = asked(key, 3, 200, "text/plain", body) else {
            panic!("{body:?} is no cosignature");
        };
    }
}

#[test]
fn a_log_tries_again_from_the_size_that_the_witness_names() {
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let key = cosigner.verifier();
    let failed = Next::Failed;
    let size = SIZE_CONTENT_TYPE;
    for (old, status, kind, body, wanted) in [
        (3, 409, size, "5\n", Next::Retry(5)),
        (
            3,
            409,
            "Text/X.tlog.size; charset=utf-8",
            "0\n",
            Next::Retry(0),
        ),
        (3, 409, size, "7\n", Next::Retry(7)),
        (3, 409, size, "8\n", failed(Failed::Ahead(8))),
        (3, 409, size, "3\n", failed(Failed::Confused)),
        (3, 409, size, "5", failed(Failed::Confused)),
        (3, 409, size, "+5\n", failed(Failed::Confused)),
        (3, 409, size, "05\n", failed(Failed::Confused)),
        (3, 409, "text/plain", "5\n", failed(Failed::Confused)),
        (
            7,
            409,
            "text/plain",
            "other root",
            failed(Failed::Inconsistent),
        ),
        (3, 422, "", "", failed(Failed::Inconsistent)),
        (3, 404, "", "", failed(Failed::Unknown(404))),
        (3, 403, "", "", failed(Failed::Unknown(403))),
        (3, 500, "", "", failed(Failed::Status(500))),
        (3, 302, "", "", failed(Failed::Status(302))),
    ] {
        assert_eq!(
            asked(key, old, status, kind, body),
            wanted,
            "{status} {body:?}"
        );
    }
}

#[test]
fn a_log_of_this_crate_satisfies_a_witness_of_this_crate() {
    let log = log(8, 300);
    let cosigner = Cosigner::from_seed("witness.example", &[3; 32]).unwrap();
    let logs = [WitnessedLog {
        origin: NAME.to_owned(),
        keys: vec![log.vkey().parse().unwrap()],
    }];
    let mut remembered = TreeHead::EMPTY;
    for size in [1, 2, 255, 256, 257, 300] {
        let proof = match remembered.size {
            0 => Vec::new(),
            old => tlog::tree::prove_consistency(size, old, |node| log.node(node)).unwrap(),
        };
        let request = AddCheckpoint {
            old: remembered.size,
            proof,
            checkpoint: String::from_utf8(log.checkpoint(size).unwrap()).unwrap(),
        };
        let claim = open(&request, &logs).unwrap();
        claim.judge(&remembered).unwrap();
        let line = cosigner.sign(claim.text(), 1).to_line();
        let answer = (200, "text/plain", line.as_bytes());
        let asked = (claim.text(), size, request.old);
        assert!(matches!(
            next(cosigner.verifier(), asked, answer),
            Next::Cosigned(_, 1)
        ));
        remembered = claim.checkpoint().head;
    }
}
