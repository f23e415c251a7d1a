//! The rest of one long file on two threads: this one reads, and computes all but SHA-256, which the other one does.
//!
//! Chunks go round in a ring. SHA-256 takes the longest, so reading and the other digests cost no time besides it.

use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::Arc;
use std::thread;

use super::buffer::Buffer;
use super::kernel::Kernel;
use super::lane::{take_in, Lane, CHUNK};
use super::sha256::{self, State};
use super::source::Source;
use super::sums::Sums;
use super::FileError;
use crate::control::Control;

/// Below this a second thread costs more than it saves: 30 µs to begin and to end it.
pub const MIN_BYTES: u64 = 1024 * 1024;

/// 4.5 ms of SHA-256: as long as the reader may wait for a processor that others use too.
const CHUNKS: usize = 16;

/// The buffers, kept for the next long file.
#[derive(Default)]
pub struct Ring(Vec<Arc<Buffer>>);

type Filled = (Arc<Buffer>, usize);

/// Reads what is left of a lane's file and takes it in; nothing is pending. Ends early when cancelled.
pub fn read_out(
    lane: &mut Lane,
    ring: &mut Ring,
    kernel: Kernel,
    control: &Control,
) -> Result<(), FileError> {
    ring.0.resize_with(CHUNKS, || Arc::new(Buffer::new(CHUNK + sha256::PADDING)));
    let Some((sums, source)) = lane.parts() else { return Ok(()) };
    let Some(mut state) = sums.sha256 else { return Ok(()) };
    let (filled, to_compress) = sync_channel::<Filled>(CHUNKS);
    let (freed, is_free) = sync_channel(CHUNKS);
    let is_last = thread::scope(|scope| {
        let compressor = scope.spawn(move || compress(&mut state, kernel, &to_compress, &freed));
        let is_last = read_into(ring, sums, source, &filled, &is_free, control);
        drop(filled);
        match compressor.join() {
            Ok(state) => sums.sha256 = Some(state),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        is_last
    })?;
    if is_last {
        lane.note_read();
    }
    Ok(())
}

fn compress(
    state: &mut State,
    kernel: Kernel,
    to_compress: &Receiver<Filled>,
    freed: &SyncSender<()>,
) -> State {
    for (buffer, length) in to_compress {
        kernel.compress(state, &buffer.bytes()[..length]);
        drop(buffer);
        // The reader is gone when it failed, and then nobody waits for room.
        let _ = freed.send(());
    }
    *state
}

/// Returns whether the file was read to its end.
fn read_into(
    ring: &mut Ring,
    sums: &mut Sums,
    source: &mut Source,
    filled: &SyncSender<Filled>,
    is_free: &Receiver<()>,
    control: &Control,
) -> Result<bool, FileError> {
    for round in 0.. {
        if control.cancel.is_set() {
            break;
        }
        if round >= CHUNKS && is_free.recv().is_err() {
            break; // the other thread panicked, which is passed on where it is joined
        }
        let slot = &mut ring.0[round % CHUNKS];
        let buffer = Arc::get_mut(slot).expect("chunks come back in the order in which they went");
        let (length, is_last) = take_in(sums, source, buffer.bytes_mut(), control)?;
        if filled.send((Arc::clone(slot), length)).is_err() || is_last {
            return Ok(is_last);
        }
    }
    Ok(false)
}
