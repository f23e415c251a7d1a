//! Breadth first: folders are listed in parallel and appended in the order in which they were found.
//!
//! So the result is the same whatever the threads do, and a folder's index is known before its
//! entries are looked at. The tree itself is the queue: each folder in it is listed once. Threads
//! share folders, not levels, so a narrow level makes nobody wait for the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::listing::{Listing, Source};
use super::tree::{Kind, Tree};
use super::{Options, ScanError};
use crate::control::Control;

/// Deepest level entered. Links are not followed, so only a bind mount into itself gets near it.
const MAX_DEPTH: usize = 128;

/// Most entries a walk holds: indexes are 32 bits wide.
pub const MAX_ENTRIES: usize = u32::MAX as usize / 64;

/// Most folders handed to a thread at once: enough to keep the lock cold.
const BLOCK: usize = 32;

struct Folder {
    index: u32,
    depth: usize,
    /// Below the root.
    path: String,
}

struct Block {
    ticket: u64,
    folders: Vec<Folder>,
}

#[derive(Default)]
struct State {
    tree: Tree,
    /// Every folder before it was handed out.
    cursor: usize,
    /// Folders behind it.
    waiting: usize,
    /// Number of the next block to hand out.
    next_ticket: u64,
    /// Number of the next block to append; those that came early lie in `early`.
    next_append: u64,
    early: BTreeMap<u64, Vec<(u32, Listing)>>,
    error: Option<ScanError>,
    is_over: bool,
}

struct Walk<'w, S> {
    source: S,
    options: &'w Options,
    workers: usize,
    control: &'w Control,
    state: Mutex<State>,
    changed: Condvar,
}

pub fn walk<S: Source>(
    root: &Path,
    options: &Options,
    workers: usize,
    control: &Control,
) -> Result<Tree, ScanError> {
    let source = S::open(root)?;
    let mut state = State { waiting: 1, ..State::default() };
    let stat = source.stat()?;
    state.tree.push(0, "", Kind::Folder, (!options.names_only).then_some(&stat));
    if options.links && !options.names_only {
        state.tree.link_counts.push(stat.link_count);
    }
    let workers = workers.max(1);
    let walk = Walk { source, options, workers, control, state: Mutex::new(state), changed: Condvar::new() };
    thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(|| walk.work())).collect();
        walk.work();
        for other in others {
            if let Err(panic) = other.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let state = walk.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.error.map_or(Ok(state.tree), Err)
}

impl<S: Source> Walk<'_, S> {
    fn work(&self) {
        // A thread that panics must not leave the others waiting for its listings.
        let _ends_all = EndOnPanic { state: &self.state, changed: &self.changed };
        let mut scratch = S::Scratch::default();
        while let Some(block) = self.next_block() {
            let mut listings = Vec::with_capacity(block.folders.len());
            for folder in &block.folders {
                if self.control.cancel.is_set() {
                    self.end(ScanError::Cancelled);
                    return;
                }
                let listing = self.list(folder, &mut scratch);
                self.control.advance(listing.entries.len() as u64);
                listings.push((folder.index, listing));
            }
            self.lock().take_up(block.ticket, listings, self.options);
        }
    }

    fn list(&self, folder: &Folder, scratch: &mut S::Scratch) -> Listing {
        if folder.depth >= MAX_DEPTH {
            return Listing::of_problem(&folder.path, "too-deep");
        }
        self.source.list(&folder.path, self.options, scratch)
    }

    /// Waits until there are folders to list; None when the walk is over.
    fn next_block(&self) -> Option<Block> {
        let mut state = self.lock();
        loop {
            if state.waiting > 0 && !state.is_over {
                let block = state.hand_out(self.workers);
                if state.waiting > 0 {
                    self.changed.notify_all();
                }
                return Some(block);
            }
            if state.is_over || state.next_append == state.next_ticket {
                state.is_over = true;
                self.changed.notify_all();
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn end(&self, error: ScanError) {
        let mut state = self.lock();
        state.error = Some(error);
        state.is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Poisoned: another thread panicked, which `EndOnPanic` told everyone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hand_out(&mut self, workers: usize) -> Block {
        // Small blocks at the end of the work keep all threads busy to its end.
        let count = (self.waiting / (2 * workers)).clamp(1, BLOCK);
        let mut folders = Vec::with_capacity(count);
        while folders.len() < count {
            if self.tree.kinds[self.cursor] == Kind::Folder as u8 {
                let mut path = String::new();
                let depth = self.tree.write_path(self.cursor, std::path::MAIN_SEPARATOR, &mut path);
                // `MAX_ENTRIES` keeps indexes within 32 bits.
                folders.push(Folder { index: u32::try_from(self.cursor).unwrap_or(u32::MAX), depth, path });
            }
            self.cursor += 1;
        }
        self.waiting -= count;
        self.next_ticket += 1;
        Block { ticket: self.next_ticket - 1, folders }
    }

    /// Takes up listings in the order in which their folders were handed out.
    fn take_up(&mut self, ticket: u64, listings: Vec<(u32, Listing)>, options: &Options) {
        self.early.insert(ticket, listings);
        while let Some(listings) = self.early.remove(&self.next_append) {
            self.next_append += 1;
            for (folder, listing) in listings {
                self.append(folder, listing, options);
            }
        }
    }

    fn append(&mut self, folder: u32, mut listing: Listing, options: &Options) {
        self.tree.problems.append(&mut listing.problems);
        let stops_here = listing.is_leaf && folder != 0;
        for entry in &listing.entries {
            if entry.kind == Kind::Folder {
                if stops_here {
                    continue;
                }
                self.waiting += 1;
            }
            let stat = (!options.names_only).then_some(&entry.stat);
            self.tree.push(folder, listing.name(entry), entry.kind, stat);
            if options.links && !options.names_only {
                self.tree.link_counts.push(entry.stat.link_count);
            }
        }
        if self.tree.len() > MAX_ENTRIES || self.tree.names.len() > u32::MAX as usize / 2 {
            self.error = Some(ScanError::TooLarge);
            self.is_over = true;
        }
    }
}

struct EndOnPanic<'w> {
    state: &'w Mutex<State>,
    changed: &'w Condvar,
}

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).is_over = true;
            self.changed.notify_all();
        }
    }
}
