//! Proof that a database signed two trees of which neither continues the other.

use std::fmt;

use super::SignedHead;
use crate::hash::Hash;
use crate::note::{Note, VerifierKey};
use crate::tree::{Node, check_consistency, prove_consistency};

/// Two signed heads and what shows that they contradict each other. It convinces anyone who
/// knows the key, without the database's help: see [`Evidence::holds`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    older: SignedHead,
    newer: SignedHead,
    /// The root that the newer tree has at the older one's size.
    root: Hash,
    /// The proof that it has.
    proof: Vec<Hash>,
}

impl Evidence {
    /// Two roots for one size: the notes say it all.
    pub(super) fn same_size(held: SignedHead, offered: SignedHead) -> Self {
        Self {
            root: offered.tree().hash,
            older: held,
            newer: offered,
            proof: Vec::new(),
        }
    }

    pub(super) fn proved(
        older: SignedHead,
        newer: SignedHead,
        root: Hash,
        read: impl FnMut(Node) -> Option<Hash>,
    ) -> Self {
        // The tiles that gave the root hold every hash of the proof; were one missing, the two
        // notes would still be worth keeping.
        let proof = prove_consistency(newer.tree().size, older.tree().size, read);
        Self {
            older,
            newer,
            root,
            proof: proof.unwrap_or_default(),
        }
    }

    /// The head of the smaller tree; of two trees of one size, the one that was held.
    pub fn older(&self) -> &SignedHead {
        &self.older
    }

    /// The head of the larger tree.
    pub fn newer(&self) -> &SignedHead {
        &self.newer
    }

    /// Whether it convinces: `key` signed both notes, and the newer tree is proved to have had
    /// another root at the older one's size.
    pub fn holds(&self, key: &VerifierKey) -> bool {
        let keys = std::slice::from_ref(key);
        let signed = |head: &SignedHead| Note::open(head.note(), keys).is_ok();
        let (older, newer) = (self.older.tree(), self.newer.tree());
        let proved =
            check_consistency(&self.proof, newer.size, &newer.hash, older.size, &self.root);
        signed(&self.older) && signed(&self.newer) && self.root != older.hash && proved.is_ok()
    }
}

/// The report to write to a file and to send to whoever runs the database: both notes and the
/// proof, in the order of the go command's report.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "SECURITY ERROR")?;
        writeln!(
            f,
            "The checksum database signed two trees that contradict each other.\n"
        )?;
        for (name, head) in [("old", &self.older), ("new", &self.newer)] {
            writeln!(f, "{name} database:")?;
            for line in String::from_utf8_lossy(head.note()).lines() {
                writeln!(f, "\t{line}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "proof of misbehavior:")?;
        writeln!(f, "\t{}", self.root)?;
        for hash in &self.proof {
            writeln!(f, "\t{hash}")?;
        }
        Ok(())
    }
}
