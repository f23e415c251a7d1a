//! One ordered parallel map over a slice, on scoped threads.
//!
//! Work is blocking file access in bursts of milliseconds: threads made for the burst cost less
//! (about 20 µs each) than a pool that a forked child would inherit without its threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::control::Control;

/// Items handed to a worker at once: few enough to balance, enough to keep the counter cold.
const BLOCK: usize = 32;

/// Workers to use when the caller does not say: one per core, at most eight (disks saturate).
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// Applies `f` to every item, results in the order of `items`.
///
/// Returns `None` when `control` was cancelled. A panic in `f` is passed on.
pub fn map<I: Sync, R: Send>(
    items: &[I],
    workers: usize,
    control: &Control,
    f: impl Fn(&I) -> R + Sync,
) -> Option<Vec<R>> {
    let blocks = items.len().div_ceil(BLOCK);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut out: Vec<(usize, Vec<R>)> = Vec::new();
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks || control.cancel.is_set() {
                return out;
            }
            let slice = &items[block * BLOCK..items.len().min((block + 1) * BLOCK)];
            // What is left out of a cancelled block is missed by nobody: such work gives nothing.
            let part = slice.iter().map_while(|item| (!control.cancel.is_set()).then(|| f(item)));
            out.push((block, part.collect()));
        }
    };
    let workers = workers.clamp(1, blocks.max(1));
    let mut parts = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut parts = work();
        for other in others {
            match other.join() {
                Ok(part) => parts.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    if control.cancel.is_set() {
        return None;
    }
    parts.sort_unstable_by_key(|(block, _)| *block);
    Some(parts.into_iter().flat_map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::CancelFlag;

    #[test]
    fn keeps_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled = map(&items, 4, &Control::default(), |n| n * 2).unwrap();
        assert_eq!(doubled, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(map(&[] as &[usize], 4, &Control::default(), |n| *n), Some(vec![]));
    }

    #[test]
    fn ends_when_cancelled() {
        let cancel = CancelFlag::default();
        cancel.set();
        assert_eq!(map(&[1, 2, 3], 2, &Control::new(cancel), |n| *n), None);
    }

    #[test]
    #[should_panic(expected = "as asked")]
    fn passes_a_panic_on() {
        let items: Vec<usize> = (0..1000).collect();
        let _ = map(&items, 2, &Control::default(), |n| assert!(*n != 999, "as asked"));
    }
}
