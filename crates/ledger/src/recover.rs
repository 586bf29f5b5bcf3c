//! Rebuilding what can be rebuilt, and nothing more.

use crate::error::LedgerError;
use crate::flat::Flats;
use crate::mark::Mark;
use crate::segments::{Position, Scan, Scanned, Segments};
use crate::{Ledger, Options, index, open};

/// Removes all that is derived from the frames and makes it again by replaying them. Gives the
/// number of records. Takes minutes for a log of many millions.
///
/// The frames are not touched, but for the beginning of a commit that never was, and no head is
/// signed. A log that lost records which had been shown stays refused.
///
/// # Errors
/// As [`Ledger::open`].
pub fn recover(options: Options) -> Result<u64, LedgerError> {
    let (dir, disk) = (&options.dir, &*options.disk);
    if !dir.join("frames").is_dir() {
        return Err(LedgerError::Missing(dir.clone()));
    }
    let lock = open::lock(dir)?;
    let segments = Segments::open(&dir.join("frames"), false)?;
    // What is derived is also evidence: it goes only if the frames are at least as long.
    let (size, had) = (length(&segments)?, Flats::applied(dir));
    if size < had {
        let what = format!("it ends at record {size}, but had {had}");
        return Err(LedgerError::damaged(dir.join("frames").display(), what));
    }
    Mark::remove(dir, disk)?;
    index::remove(dir, disk)?;
    Flats::remove(dir, disk)?;
    drop(lock);
    let ledger = Ledger::open(options)?;
    ledger.flush()?;
    Ok(ledger.reader().head().size)
}

/// The size that the frames lead to.
fn length(segments: &Segments) -> Result<u64, LedgerError> {
    let mut size = 0;
    let mut scan = Scan::new(segments, Position::default());
    loop {
        match scan.next()? {
            Scanned::Frame(_, frame, _) => size = frame.new,
            Scanned::End => return Ok(size),
            Scanned::Broken(at, why) => {
                segments.check_torn(at, why)?;
                return Ok(size);
            }
        }
    }
}
