//! How running work is watched and ended from outside: a counter and a flag.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// A flag that ends work; clones share it.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one running operation shares with whoever waits for it.
#[derive(Debug, Default)]
pub struct Control {
    pub cancel: CancelFlag,
    done: AtomicU64,
}

impl Control {
    pub fn new(cancel: CancelFlag) -> Self {
        Self { cancel, done: AtomicU64::new(0) }
    }

    pub fn advance(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }

    /// Units finished so far; what a unit is, the operation says.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}
