//! What a caller may change and look at while files are fetched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bucket::Bucket;

/// Shared by a running transfer and whoever steers it.
pub struct Steering {
    is_paused: AtomicBool,
    pub(super) bucket: Bucket,
    snapshot: Mutex<Snapshot>,
}

/// How far a transfer has come.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub files_done: usize,
    pub done_bytes: u64,
    /// None while the size of a file is not known.
    pub total_bytes: Option<u64>,
    /// Bytes of bodies that came, those that were not used too.
    pub fetched_bytes: u64,
    /// Over the last seconds.
    pub rate_bytes_s: u64,
    /// Requests that are being answered.
    pub connections: usize,
    pub is_paused: bool,
    pub files: Vec<FileProgress>,
}

/// How far one file has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProgress {
    pub state: FileState,
    pub done_bytes: u64,
    pub size_bytes: Option<u64>,
    /// What went wrong last, while nothing has gone well since.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    Waiting,
    Transferring,
    /// All bytes are there, not all of them are digested.
    Verifying,
    Done,
    Failed,
}

impl FileState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Transferring => "transferring",
            Self::Verifying => "verifying",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Steering {
    pub fn new(limit_bytes_s: Option<u64>) -> Self {
        let is_paused = AtomicBool::new(false);
        Self { is_paused, bucket: Bucket::new(limit_bytes_s), snapshot: Mutex::default() }
    }

    /// Closes all connections; what they have brought is kept.
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::Relaxed);
    }

    pub fn resume(&self) {
        self.is_paused.store(false, Ordering::Relaxed);
    }

    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Ordering::Relaxed)
    }

    pub fn limit_rate(&self, bytes_s: Option<u64>) {
        self.bucket.set_rate(bytes_s);
    }

    /// The state of a moment ago: at most 50 ms.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    pub(super) fn show(&self, snapshot: Snapshot) {
        *self.lock() = snapshot;
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
