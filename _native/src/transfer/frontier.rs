//! SHA-256 along what is there of a file without a gap, and what is done when that is all of it.

use std::io;

use super::board::{Board, DigestJob};
use super::file::{Block, Source};
use super::part::Part;
use super::tree::{self, BlockSum, BlockSums, BLOCK};
use super::{Fetched, TransferError};
use crate::hash::running::{self, Running};

/// Bytes read at once: they stay in the cache between reading and digesting.
const CHUNK: usize = 512 * 1024;
const BLOCK_BYTES: usize = 1024 * 1024;

/// How far one file was digested.
pub struct Digest {
    sha256: Running,
    /// Of a file of one block; longer ones are digested by their blocks.
    blake3: Box<blake3::Hasher>,
    at: u64,
}

/// What came of a stretch.
pub enum Digested {
    Further(Digest),
    /// A block is not what the journal says.
    Damaged(Digest),
    Whole {
        sha256: [u8; 32],
        blake3: [u8; 32],
    },
    Unreadable(io::Error),
}

impl Digest {
    pub fn new() -> Self {
        Self { sha256: Running::new(), blake3: Box::default(), at: 0 }
    }

    pub fn at(&self) -> u64 {
        self.at
    }

    fn take(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.take_first(bytes);
        self.at += bytes.len() as u64;
    }

    fn take_first(&mut self, bytes: &[u8]) {
        if self.at < BLOCK {
            self.blake3.update(bytes);
        }
    }

    /// Digests a stretch of the part.
    fn run(mut self, part: &Part, job: &DigestJob, buffer: &mut [u8]) -> io::Result<Digested> {
        let end = job.stretch.end;
        if let Some(expected) = job.stretch.expected {
            let length = usize::try_from(end - self.at).unwrap_or(BLOCK_BYTES);
            part.read_at(&mut buffer[..length], self.at)?;
            if sum_of(self.at, &buffer[..length]) != Some(expected) {
                return Ok(Digested::Damaged(self));
            }
            return Ok(self.take_read(buffer, length, job));
        }
        while end - self.at > CHUNK as u64 {
            part.read_at(&mut buffer[..CHUNK], self.at)?;
            self.take(&buffer[..CHUNK]);
        }
        let length = usize::try_from(end - self.at).unwrap_or(CHUNK);
        part.read_at(&mut buffer[..length], self.at)?;
        Ok(self.take_read(buffer, length, job))
    }

    /// Takes the last bytes of a stretch.
    fn take_read(mut self, buffer: &mut [u8], length: usize, job: &DigestJob) -> Digested {
        if !job.stretch.is_last {
            self.take(&buffer[..length]);
            return Digested::Further(self);
        }
        self.take_first(&buffer[..length]);
        let whole = length / running::BLOCK * running::BLOCK;
        self.sha256.update(&buffer[..whole]);
        let blake3 = match job.sums.as_slice() {
            [] | [_] => *self.blake3.finalize().as_bytes(),
            sums => tree::root(job.stretch.end, sums),
        };
        Digested::Whole { sha256: self.sha256.finish(&mut buffer[whole..], length - whole), blake3 }
    }
}

fn sum_of(start: u64, bytes: &[u8]) -> Option<BlockSum> {
    let mut sums = BlockSums::new(start);
    let mut found = None;
    sums.update(bytes, |_, sum| found = Some(sum));
    found.or_else(|| sums.last().map(|(_, sum)| sum))
}

/// The sums of a file's blocks, of which each is there.
pub fn sums_of(blocks: &[Block]) -> Vec<BlockSum> {
    let sums = blocks.iter().filter_map(|block| match block {
        Block::Missing => None,
        Block::Restored(sum) | Block::There(sum) => Some(*sum),
    });
    sums.collect()
}

/// Digests whatever can be, until no file needs it any more.
pub fn work(board: &Board<'_>) {
    let mut buffer = vec![0; BLOCK_BYTES + running::PADDING];
    while let Some((job, digest)) = board.next_digest() {
        let digested = digest.run(&job.part, &job, &mut buffer).unwrap_or_else(Digested::Unreadable);
        match digested {
            Digested::Whole { sha256, blake3 } => {
                let outcome = finish(&job, sha256, blake3);
                board.settle_whole(&job, outcome);
            }
            other => board.note_digested(&job, other),
        }
    }
}

/// Makes a file whose bytes are all there the target, if they are the right ones.
fn finish(job: &DigestJob, sha256: [u8; 32], blake3: [u8; 32]) -> Result<Fetched, TransferError> {
    let source: &Source = &job.source;
    if source.plan.sha256.is_some_and(|expected| expected != sha256) {
        job.part.disown()?;
        return Err(TransferError::WrongDigest(sha256));
    }
    let size = job.stretch.end;
    job.part.publish(size)?;
    let host = job.facts.located.as_ref().and_then(|url| url.host_str()).map(str::to_owned);
    Ok(Fetched {
        sha256,
        blake3,
        size,
        etag: job.facts.etag.clone(),
        host,
        fetched_bytes: 0,
        block_sums: job.sums.concat(),
    })
}
