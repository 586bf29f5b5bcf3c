//! A question in progress.

use std::fmt;

use bytes::Bytes;

use super::{Error, reading::Reading};
use crate::tile::Tile;

/// A question whose answer is being proved. See the module for how to drive it.
///
/// It ends after at most six rounds. A tile is asked for once, once more as the full tile if it is
/// not found, and both again if a kept one did not fit: four rounds. That a kept tile of the right
/// length is wrong shows only when all are there, which may be after those four; then the last two
/// follow.
pub struct Session<T> {
    reading: Reading,
    finish: Box<Finish<T>>,
}

type Finish<T> = dyn Fn(&Reading) -> Result<T, Error> + Send + Sync;

/// What a session wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// These tiles: [`Session::supply`] each of them, in any order.
    Need(Vec<TileRequest>),
    /// Nothing: here is what was proved.
    Done(T),
}

/// A tile that a session needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileRequest {
    /// The tile: at `/tile/...` of the database.
    pub tile: Tile,
    /// A kept copy was supplied and did not fit: ask the database, whatever is kept.
    pub fresh: bool,
}

/// What came of a request for a tile. None of it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supply {
    /// The tile as it was kept. In place of a partial tile the full one will do.
    Kept(Bytes),
    /// The tile as the database sent it.
    Fetched(Bytes),
    /// The database does not have it (404 or 410). A session then asks for the full tile, which
    /// replaces partial ones.
    NotFound,
}

impl<T> Session<T> {
    pub(super) fn new(
        reading: Reading,
        finish: impl Fn(&Reading) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            reading,
            finish: Box::new(finish),
        }
    }

    /// What to do next. After an error or [`Step::Done`] the session has served its purpose.
    pub fn step(&mut self) -> Result<Step<T>, Error> {
        let requests = self.reading.requests()?;
        if !requests.is_empty() {
            return Ok(Step::Need(requests));
        }
        let proved = self
            .reading
            .authenticate()
            .and_then(|()| (self.finish)(&self.reading));
        match proved {
            Ok(done) => Ok(Step::Done(done)),
            Err(error) if error.depends_on_tiles() && self.reading.refresh() => {
                Ok(Step::Need(self.reading.requests()?))
            }
            Err(error) => Err(error),
        }
    }

    /// Hands over what came of a request. A tile that was not asked for is ignored.
    pub fn supply(&mut self, tile: Tile, supply: Supply) {
        self.reading.supply(tile, supply);
    }
}

impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(&self.reading).finish()
    }
}
