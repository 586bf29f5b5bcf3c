//! Making a log of very many records at once: for imports, and for trying out how a log of that
//! size behaves.
//!
//! Nothing is shown until all is done, so nothing needs to be durable before: frames are as big as
//! they may be and each file is synced once.

use tlog::note::Signer;

use crate::commit::{HeadSigner, State};
use crate::error::LedgerError;
use crate::record::NewRecord;
use crate::segments::{Scan, Scanned, Segments};
use crate::{Ledger, Options, open};

/// Records and bytes of one frame: below half of what a frame may have, see
/// [`crate::frame::FRAME_BYTES_MAX`].
const RECORDS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 12 << 20;

/// Makes a log that holds `records`, in this order, and opens it. No version may come twice.
///
/// If it fails or is interrupted, what it left is of no use: remove it before trying again.
///
/// # Errors
/// As [`Ledger::create`] and [`Ledger::open`]; [`LedgerError::Damaged`] names two records of one
/// version; and the first error that `records` gives.
pub fn build(
    options: Options,
    records: impl IntoIterator<Item = Result<NewRecord, LedgerError>>,
) -> Result<Ledger, LedgerError> {
    open::create(&options)?;
    let lock = open::lock(&options.dir)?;
    let segments = Segments::open(&options.dir.join("frames"), true)?;
    let mut state = genesis(&segments, &options.signer)?;
    let mut signer = HeadSigner::new(options.signer.clone(), state.head);
    let mut batch = Vec::new();
    let mut bytes = 0;
    for record in records {
        let record = record?;
        bytes += record.text().len();
        batch.push(record);
        if batch.len() == RECORDS_MAX || bytes >= BYTES_MAX {
            append(&options, &segments, &mut state, &mut signer, &batch)?;
            batch.clear();
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        append(&options, &segments, &mut state, &mut signer, &batch)?;
    }
    segments.sync(&*options.disk, state.end)?;
    drop(lock);
    Ledger::open(options)
}

/// The state behind the first frame, which was just written.
fn genesis(segments: &Segments, signer: &Signer) -> Result<State, LedgerError> {
    let mut state = State::start();
    match Scan::new(segments, state.end).next()? {
        Scanned::Frame(at, frame, bytes) => {
            let step = state
                .replay(at, frame, bytes, &[])
                .map_err(|what| LedgerError::damaged(signer.verifier().name(), what))?;
            state.advance(&step);
            Ok(state)
        }
        _ => Err(LedgerError::damaged("frames", "it does not begin")),
    }
}

fn append(
    options: &Options,
    segments: &Segments,
    state: &mut State,
    signer: &mut HeadSigner,
    batch: &[NewRecord],
) -> Result<(), LedgerError> {
    let disk = &*options.disk;
    let (step, bytes) = state.plan(batch, signer, options.limits.segment_bytes)?;
    if step.at.segment != state.end.segment {
        segments.sync(disk, state.end)?;
    }
    segments.put(disk, step.at, &bytes)?;
    state.advance(&step);
    Ok(())
}
