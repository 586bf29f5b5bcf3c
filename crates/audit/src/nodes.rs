//! Single hashes of a tree, out of the tiles that hold them. Nothing here is checked: what is made
//! of the hashes must lead to a signed root.

use crate::source::{Form, Lack, Source};
use bytes::Bytes;
use std::collections::HashMap;
use tlog::tile::{HEIGHT, Tile};
use tlog::tree::{Node, check_consistency, consistency_nodes, prove_consistency, root, root_nodes};
use tlog::{Hash, TreeHead};

/// Tiles that were fetched, as wide as one tree has them.
#[derive(Debug, Default)]
pub struct Tiles(HashMap<Tile, Bytes>);

/// What two signed heads are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The newer tree begins with the older one.
    Consistent,
    /// It does not, and this proves it: at the older size the newer tree has this root, and the
    /// proof leads from there to the newer root.
    Fork {
        /// The other root.
        root: Hash,
        /// The consistency proof.
        proof: Vec<Hash>,
    },
    /// The tiles do not fit the newer head, so nothing is proved.
    Unproved,
}

impl Tiles {
    /// Fetches the tiles from which these nodes of the tree of `size` are computed.
    pub async fn fetch(
        source: &Source,
        form: Form,
        size: u64,
        nodes: &[Node],
    ) -> Result<Self, (String, Lack)> {
        let mut tiles = Self::default();
        for node in nodes {
            let Some(tile) = in_tree(*node, size) else {
                continue;
            };
            if tiles.0.contains_key(&tile) {
                continue;
            }
            let got = source.hashes(form, tile).await;
            tiles
                .0
                .insert(tile, got.map_err(|lack| (form.path(tile), lack))?);
        }
        Ok(tiles)
    }

    /// A node of the tree of `size`.
    pub fn hash(&self, size: u64, node: Node) -> Option<Hash> {
        let tile = in_tree(node, size)?;
        tile.node_hash(self.0.get(&tile)?, node)
    }
}

/// Finds out what two heads of one log are to each other.
pub async fn compare(
    source: &Source,
    form: Form,
    older: TreeHead,
    newer: TreeHead,
) -> Result<Relation, (String, Lack)> {
    if older == newer || older.size == 0 {
        return Ok(Relation::Consistent);
    }
    if older.size == newer.size {
        return Ok(Relation::Fork {
            root: newer.hash,
            proof: Vec::new(),
        });
    }
    let mut nodes = root_nodes(older.size);
    nodes.extend(consistency_nodes(newer.size, older.size).unwrap_or_default());
    let tiles = Tiles::fetch(source, form, newer.size, &nodes).await?;
    let read = |node| tiles.hash(newer.size, node);
    let computed = root(older.size, read)
        .ok()
        .zip(prove_consistency(newer.size, older.size, read).ok());
    let Some((root, proof)) = computed else {
        return Ok(Relation::Unproved);
    };
    if check_consistency(&proof, newer.size, &newer.hash, older.size, &root).is_err() {
        return Ok(Relation::Unproved);
    }
    Ok(match root == older.hash {
        true => Relation::Consistent,
        false => Relation::Fork { root, proof },
    })
}

/// The tile that holds a node, as wide as the tree has it.
fn in_tree(node: Node, size: u64) -> Option<Tile> {
    let tile = Tile::for_node(HEIGHT, node)?;
    Tile::in_tree(HEIGHT, tile.level(), tile.n(), size)
}
