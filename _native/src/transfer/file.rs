//! What is known of one file while it is fetched.

use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::frontier::Digest;
use super::part::Part;
use super::pieces::{Pieces, UNKNOWN};
use super::steering::{FileProgress, FileState};
use super::tree::{BlockSum, BLOCK};
use super::{Fetched, FilePlan, Options, TransferError};

/// Digests wait until so much is there, so that they are not woken for each read.
const DIGEST_MIN: u64 = 256 * 1024;
/// So much may wait for digests before more is asked for. PERF: what has just been written is still in the cache of the
/// processor when it is read.
const BACKLOG: u64 = 16 * BLOCK;
/// So much is digested before the board is told.
const DIGEST_MAX: u64 = 4 * BLOCK;

/// Where a file comes from; the same as long as the call lasts.
pub struct Source {
    pub plan: FilePlan,
    pub first: Url,
    /// Whether the host of `first` has a public address; then it may lead to such ones only.
    pub is_public: AtomicBool,
}

/// What the first answer told.
#[derive(Debug, Clone)]
pub struct Facts {
    pub size: Option<u64>,
    pub etag: Option<String>,
    pub is_ranged: bool,
    /// Where redirects led to; None when nothing was asked for.
    pub located: Option<Url>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Waiting,
    Opening,
    Open,
}

/// A block, and its sum where it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    Missing,
    /// Said to be there by a journal; believed when it was read.
    Restored(BlockSum),
    There(BlockSum),
}

pub struct File {
    pub source: Arc<Source>,
    pub phase: Phase,
    /// Counts how often the file was begun anew; what belongs to an earlier time is dropped.
    pub generation: u64,
    pub part: Option<Arc<Part>>,
    pub facts: Option<Arc<Facts>>,
    pub pieces: Pieces,
    pub blocks: Vec<Block>,
    /// None while a thread has it.
    pub digest: Option<Digest>,
    /// Bytes that were digested.
    pub hashed: u64,
    pub fetched: u64,
    pub active: usize,
    pub patience: Patience,
    pub outcome: Option<Result<Fetched, TransferError>>,
}

/// How often a file has failed, and when it is tried again.
pub struct Patience {
    failures: u32,
    last: Option<Instant>,
    pub not_before: Option<Instant>,
    peak: u64,
    /// Connections that its servers seem to bear.
    pub width: usize,
    pub reason: Option<String>,
}

/// A stretch to be digested.
#[derive(Debug, PartialEq, Eq)]
pub struct Stretch {
    pub end: u64,
    /// The stretch is one block, and must have this sum.
    pub expected: Option<BlockSum>,
    /// The file ends there.
    pub is_last: bool,
}

impl File {
    pub fn new(source: Source, connections: usize) -> Self {
        Self {
            source: Arc::new(source),
            phase: Phase::Waiting,
            generation: 0,
            part: None,
            facts: None,
            pieces: Pieces::new(UNKNOWN),
            blocks: Vec::new(),
            digest: None,
            hashed: 0,
            fetched: 0,
            active: 0,
            patience: Patience {
                failures: 0,
                last: None,
                not_before: None,
                peak: 0,
                width: connections,
                reason: None,
            },
            outcome: None,
        }
    }

    /// Takes up what the first answer told; digests begin at the beginning.
    pub fn open(&mut self, part: Arc<Part>, facts: Arc<Facts>, blocks: Vec<Block>) {
        self.generation += 1;
        self.phase = Phase::Open;
        self.part = Some(part);
        let there = blocks.iter().enumerate().filter(|(_, block)| **block != Block::Missing);
        self.pieces =
            Pieces::with_blocks(facts.size.unwrap_or(UNKNOWN), there.map(|(number, _)| number as u64));
        self.facts = Some(facts);
        self.blocks = blocks;
        self.digest = Some(Digest::new());
        self.hashed = 0;
    }

    /// Notes what came of the file; whoever still uses the part is the last to close it.
    pub fn settle(&mut self, outcome: Result<Fetched, TransferError>) {
        if let (Err(_), Some(part)) = (&outcome, &self.part) {
            part.remove_if_empty();
        }
        self.outcome = Some(outcome);
        self.part = None;
        self.digest = None;
    }

    /// Has the file be begun anew; what belongs to this time is dropped.
    pub fn close(&mut self) {
        self.generation += 1;
        self.phase = Phase::Waiting;
        self.digest = None;
    }

    /// Notes a block that was written.
    pub fn note_block(&mut self, number: u64, sum: BlockSum) {
        let Ok(place) = usize::try_from(number) else { return };
        if self.blocks.len() <= place {
            self.blocks.resize(place + 1, Block::Missing);
        }
        self.blocks[place] = Block::There(sum);
    }

    pub fn size(&self) -> Option<u64> {
        self.facts.as_ref().and(Some(self.pieces.size())).filter(|size| *size != UNKNOWN)
    }

    /// Where the host that sends the bytes is; before that is known, the first one.
    pub fn host(&self) -> &str {
        let located = self.facts.as_ref().and_then(|facts| facts.located.as_ref());
        located.unwrap_or(&self.source.first).host_str().unwrap_or_default()
    }

    /// Whether digests lag behind the bytes, so that more of them would only wait.
    pub fn has_backlog(&self) -> bool {
        self.pieces.contiguous() > self.hashed + BACKLOG
    }

    /// What can be digested next, if that is worth a thread's time.
    pub fn stretch(&self) -> Option<Stretch> {
        if self.outcome.is_some() || self.phase != Phase::Open {
            return None;
        }
        let (at, there, size) = (self.hashed, self.pieces.contiguous(), self.pieces.size());
        let block = |number: u64| usize::try_from(number).ok().and_then(|number| self.blocks.get(number));
        if let Some(Block::Restored(sum)) = block(at / BLOCK) {
            let end = (at + BLOCK).min(size);
            return Some(Stretch { end, expected: Some(*sum), is_last: end == size });
        }
        let mut end = if there == size { there } else { there / 64 * 64 }.min(at + DIGEST_MAX);
        let is_restored = |number: &u64| matches!(block(*number), Some(Block::Restored(_)));
        if let Some(number) = (at / BLOCK..end.div_ceil(BLOCK)).find(is_restored) {
            end = end.min(number * BLOCK);
        }
        let is_last = end == size;
        (is_last || end >= at + DIGEST_MIN).then_some(Stretch { end, expected: None, is_last })
    }

    /// Notes an attempt that failed, begun at `started`; gives the error back when the file is given up.
    pub fn note_failure(
        &mut self,
        error: TransferError,
        wait: Option<Duration>,
        is_overload: bool,
        started: Instant,
        options: &Options,
    ) -> Option<TransferError> {
        let now = Instant::now();
        let done = self.pieces.done();
        let patience = &mut self.patience;
        if done > patience.peak {
            patience.peak = done;
            patience.failures = 0;
        }
        // Connections that fail together fail once.
        if patience.last.is_none_or(|last| started >= last) {
            patience.failures += 1;
            patience.last = Some(now);
            if is_overload && self.active > 0 {
                patience.width = (patience.width / 2).max(1);
            }
        }
        patience.reason = Some(error.to_string());
        let own = match patience.failures {
            0 | 1 => Duration::ZERO,
            n => options.retry_wait.saturating_mul(1 << (n - 2).min(20)).min(options.max_wait),
        };
        if patience.failures > options.retries || wait.is_some_and(|wait| wait > options.max_wait) {
            return Some(error);
        }
        patience.not_before = Some(now + wait.unwrap_or(own));
        None
    }

    pub fn progress(&self) -> FileProgress {
        let size = self.size();
        let state = match &self.outcome {
            Some(Ok(_)) => FileState::Done,
            Some(Err(_)) => FileState::Failed,
            None if self.phase == Phase::Open && size == Some(self.pieces.done()) => FileState::Verifying,
            None if self.active > 0 => FileState::Transferring,
            None => FileState::Waiting,
        };
        let reason = match &self.outcome {
            Some(Err(error)) => Some(error.to_string()),
            _ => self.patience.reason.clone(),
        };
        let done_bytes = if self.phase == Phase::Open { self.pieces.done() } else { 0 };
        FileProgress { state, done_bytes, size_bytes: size.or(self.source.plan.size), reason }
    }
}
