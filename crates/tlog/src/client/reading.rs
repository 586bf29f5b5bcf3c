//! Reading hashes out of tiles that nobody vouches for.
//!
//! The tiles on the right edge of a tree prove its root together, and every hash in them is proved
//! by it. Every other tile is full and is proved by one hash of the tile above. So each tile here
//! either is on the edge or has its parent here; there is no third kind that could go unchecked
//! (CVE-2026-56865: older Go clients counted from the wrong end and skipped some).

use bytes::Bytes;

use super::session::{Supply, TileRequest};
use super::{DATA_TILE_BYTES_MAX, Error};
use crate::hash::Hash;
use crate::head::TreeHead;
use crate::tile::{Tile, edge_tiles, subtree_hash};
use crate::tree::{Node, root};

/// The tiles one question needs, and how far they have come.
#[derive(Debug)]
pub(super) struct Reading {
    tree: TreeHead,
    slots: Vec<Slot>,
    /// A data tile is proved by its records' hashes, which is for the session to do.
    data: Option<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// The tile as wide as the tree has it.
    tile: Tile,
    place: Place,
    state: State,
    /// No kept copy is taken any more.
    fresh: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Proved by the root, with the others on the edge.
    Edge,
    /// Proved by its hash in the tile at this place, which comes earlier.
    Below(usize),
    /// Proved by its records.
    Data,
}

#[derive(Debug)]
enum State {
    Wanted(Tile),
    Have { content: Bytes, kept: bool },
    Failed(Error),
}

impl Reading {
    /// Plans to read `wanted` nodes of `tree`, and `data` beside them.
    pub(super) fn new(
        height: u8,
        tree: TreeHead,
        wanted: &[Node],
        data: Option<Tile>,
    ) -> Result<Self, Error> {
        let mut reading = Self {
            tree,
            slots: Vec::new(),
            data: data.map(|tile| Slot::new(tile, Place::Data)),
        };
        for tile in edge_tiles(height, tree.size) {
            reading.slots.push(Slot::new(tile, Place::Edge));
        }
        for node in wanted {
            reading.plan(height, *node)?;
        }
        Ok(reading)
    }

    /// Reads nothing.
    pub(super) fn empty() -> Self {
        Self {
            tree: TreeHead::EMPTY,
            slots: Vec::new(),
            data: None,
        }
    }

    /// Adds the tile of `node` and those above it that are not planned yet, from the top.
    fn plan(&mut self, height: u8, node: Node) -> Result<(), Error> {
        let size = self.tree.size;
        let lost = Error::Inconsistent { size };
        let narrow = Tile::for_node(height, node).ok_or(lost.clone())?;
        let tile = Tile::in_tree(height, narrow.level(), narrow.n(), size).ok_or(lost.clone())?;
        let mut missing = Vec::new();
        let mut next = tile;
        let mut above = loop {
            if let Some(place) = self.slots.iter().position(|slot| slot.tile == next) {
                break place;
            }
            missing.push(next);
            next = next.parent(size).ok_or(lost.clone())?;
        };
        for tile in missing.into_iter().rev() {
            self.slots.push(Slot::new(tile, Place::Below(above)));
            above = self.slots.len() - 1;
        }
        Ok(())
    }

    /// The tiles still to come; the first failure, if there was one.
    pub(super) fn requests(&self) -> Result<Vec<TileRequest>, Error> {
        let mut requests = Vec::new();
        for slot in self.all() {
            match &slot.state {
                State::Wanted(tile) => requests.push(TileRequest {
                    tile: *tile,
                    fresh: slot.fresh,
                }),
                State::Failed(error) => return Err(error.clone()),
                State::Have { .. } => {}
            }
        }
        Ok(requests)
    }

    pub(super) fn supply(&mut self, tile: Tile, supply: Supply) {
        let slots = self.slots.iter_mut().chain(&mut self.data);
        for slot in slots {
            if matches!(slot.state, State::Wanted(asked) if asked == tile) {
                slot.take(tile, supply);
                return;
            }
        }
    }

    /// Proves every tile: those on the edge against the root, each other one against its parent.
    pub(super) fn authenticate(&self) -> Result<(), Error> {
        let wrong = Error::Inconsistent {
            size: self.tree.size,
        };
        if root(self.tree.size, |node| self.edge_hash(node)) != Ok(self.tree.hash) {
            return Err(wrong);
        }
        for slot in &self.slots {
            let Place::Below(above) = slot.place else {
                continue;
            };
            let parent = self.slots.get(above);
            let proved = parent
                .zip(slot.tile.root_node())
                .and_then(|(parent, node)| parent.tile.node_hash(parent.content()?, node));
            let found = slot.content().and_then(|content| subtree_hash(content));
            if proved.is_none() || found != proved {
                return Err(wrong);
            }
        }
        Ok(())
    }

    /// After a failure: asks the database for every tile of which a kept copy was used. False if
    /// there is none.
    pub(super) fn refresh(&mut self) -> bool {
        let mut any = false;
        for slot in self.slots.iter_mut().chain(&mut self.data) {
            if matches!(slot.state, State::Have { kept: true, .. }) {
                slot.ask_fresh();
                any = true;
            }
        }
        any
    }

    /// The hash of a planned node. Only what was authenticated may be asked for.
    pub(super) fn hash(&self, node: Node) -> Option<Hash> {
        self.find(node, |_| true)
    }

    /// The content of a planned tile of hashes.
    pub(super) fn content(&self, tile: Tile) -> Option<Bytes> {
        let slot = self.slots.iter().find(|slot| slot.tile == tile)?;
        slot.content().cloned()
    }

    /// The content of the data tile: of the tile as asked for, or of the full one.
    pub(super) fn data(&self) -> Option<Bytes> {
        self.data.as_ref()?.content().cloned()
    }

    /// The tiles of hashes that came from the database, to be kept.
    pub(super) fn fetched(&self) -> Vec<(Tile, Bytes)> {
        self.slots
            .iter()
            .filter_map(|slot| match &slot.state {
                State::Have {
                    content,
                    kept: false,
                } => Some((slot.tile, content.clone())),
                _ => None,
            })
            .collect()
    }

    /// Whether the data tile came from the database.
    pub(super) fn data_fetched(&self) -> bool {
        self.data
            .as_ref()
            .is_some_and(|slot| matches!(slot.state, State::Have { kept: false, .. }))
    }

    fn edge_hash(&self, node: Node) -> Option<Hash> {
        self.find(node, |slot| matches!(slot.place, Place::Edge))
    }

    fn find(&self, node: Node, accept: impl Fn(&Slot) -> bool) -> Option<Hash> {
        self.slots
            .iter()
            .filter(|slot| accept(slot))
            .find_map(|slot| slot.tile.node_hash(slot.content()?, node))
    }

    fn all(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().chain(&self.data)
    }
}

impl Slot {
    fn new(tile: Tile, place: Place) -> Self {
        Self {
            tile,
            place,
            state: State::Wanted(tile),
            fresh: false,
        }
    }

    fn content(&self) -> Option<&Bytes> {
        match &self.state {
            State::Have { content, .. } => Some(content),
            State::Wanted(_) | State::Failed(_) => None,
        }
    }

    fn ask_fresh(&mut self) {
        self.fresh = true;
        self.state = State::Wanted(self.tile);
    }

    fn take(&mut self, asked: Tile, supply: Supply) {
        match supply {
            Supply::Kept(content) if !self.fresh => {
                let full = self.tile.full();
                let kept = [self.tile, full]
                    .into_iter()
                    .find_map(|tile| self.cut(tile, &content).ok());
                match kept {
                    Some(content) => {
                        self.state = State::Have {
                            content,
                            kept: true,
                        };
                    }
                    None => self.ask_fresh(),
                }
            }
            Supply::Kept(content) | Supply::Fetched(content) => {
                self.state = match self.cut(asked, &content) {
                    Ok(content) => State::Have {
                        content,
                        kept: false,
                    },
                    Err(error) => State::Failed(error),
                };
            }
            Supply::NotFound => {
                let full = self.tile.full();
                self.state = if asked == full {
                    State::Failed(Error::TileMissing(self.tile))
                } else {
                    State::Wanted(full)
                };
            }
        }
    }

    /// The content as wide as the tree has the tile, if it is exactly that of the tile asked for.
    /// A data tile is taken as it is.
    fn cut(&self, asked: Tile, content: &Bytes) -> Result<Bytes, Error> {
        if let Place::Data = self.place {
            super::bounded("data tile", content.len(), DATA_TILE_BYTES_MAX)?;
            return Ok(content.clone());
        }
        let found = content.len();
        if found != asked.byte_len() {
            return Err(Error::TileLength { tile: asked, found });
        }
        Ok(content.slice(..self.tile.byte_len()))
    }
}
