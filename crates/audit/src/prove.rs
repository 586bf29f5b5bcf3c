//! Proofs of one record, to be carried away (`.tlog-proof`).
//!
//! The proof's extra data is the record itself, so that one file says which sums a module version
//! has and proves it.

use crate::finding::Finding;
use crate::heads::{Asked, Head, Keys, ask};
use crate::nodes::Tiles;
use crate::source::{Form, Lack, NOTE_BYTES_MAX, Source};
use gomod::version::ModuleVersion;
use tlog::Hash;
use tlog::proof::Proof;
use tlog::record::{Record, SumOf, go_sum_lines};
use tlog::tree::{check_inclusion, inclusion_nodes, prove_inclusion};

/// A record and its proof.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The proof, the record in its extra data.
    pub proof: Proof,
    /// The record's text.
    pub record: String,
    /// The head it is proved under.
    pub head: Head,
}

/// Why there is no proof.
#[derive(Clone, Debug)]
pub enum ProveError {
    /// The log has no record of this version, in its own words.
    NotLogged(String),
    /// The log is not to be believed.
    Bad(Finding),
    /// It could not be found out.
    Unknown(String),
}

/// Looks a module version up and proves its record, under the log's checkpoint where it has one
/// (witnesses cosign that), and under the head of the lookup otherwise.
pub async fn prove(
    source: &Source,
    keys: &Keys,
    version: &ModuleVersion,
) -> Result<Carried, ProveError> {
    let path = format!(
        "lookup/{}@{}",
        version.path().escaped(),
        version.version().escaped()
    );
    let answer = match source.get(&path, NOTE_BYTES_MAX).await {
        Ok(answer) => answer,
        Err(Lack::Absent) => {
            return Err(ProveError::NotLogged(format!(
                "{version}: the log has no record of it"
            )));
        }
        Err(Lack::Failed(what)) => return Err(ProveError::Unknown(what)),
    };
    let bad = |what: &str| ProveError::Bad(Finding::file("record", &path, what));
    let (record, note) = Record::parse(&answer).map_err(|_| bad("the answer holds no record"))?;
    let mut zip = go_sum_lines(
        record.text,
        version.path().as_str(),
        version.version().as_str(),
        SumOf::Zip,
    );
    if zip.next().is_none() {
        return Err(bad("the record is about something else"));
    }
    let looked_up = keys.open(Form::Go, note).map_err(ProveError::Bad)?;
    let head = match ask(source, keys, Form::C2sp).await {
        Asked::Head(head) if head.tree.size > record.id => head,
        Asked::Bad(finding) => return Err(ProveError::Bad(finding)),
        _ => looked_up,
    };
    if head.tree.size <= record.id {
        return Err(bad("the record is not in the signed tree yet"));
    }
    let hashes = inclusion(source, &head, &record).await?;
    Ok(Carried {
        proof: Proof {
            extra: Some(record.text.as_bytes().to_vec()),
            index: record.id,
            hashes,
            checkpoint: String::from_utf8_lossy(&head.note).into_owned(),
        },
        record: record.text.to_owned(),
        head,
    })
}

async fn inclusion(
    source: &Source,
    head: &Head,
    record: &Record<'_>,
) -> Result<Vec<Hash>, ProveError> {
    let tree = head.tree;
    let wrong = || {
        let what = "the log's tiles do not prove the record that it answered";
        ProveError::Bad(Finding::record("record", head.form.head(), record.id, what))
    };
    let nodes = inclusion_nodes(tree.size, record.id).map_err(|_| wrong())?;
    let tiles = Tiles::fetch(source, head.form, tree.size, &nodes).await;
    let tiles = tiles.map_err(|(file, lack)| match lack {
        Lack::Absent => ProveError::Bad(Finding::file("missing", &file, "it is missing")),
        Lack::Failed(what) => ProveError::Unknown(format!("{file}: {what}")),
    })?;
    let hashes = prove_inclusion(tree.size, record.id, |node| tiles.hash(tree.size, node))
        .map_err(|_| wrong())?;
    let leaf = Hash::leaf(record.text.as_bytes());
    check_inclusion(&hashes, tree.size, &tree.hash, record.id, &leaf).map_err(|_| wrong())?;
    Ok(hashes)
}
