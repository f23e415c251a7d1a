//! Files that change workers: whoever has two when no new ones are left gives one to whoever has none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Where workers meet. `T` is what they pass on.
pub struct Exchange<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    waiting: AtomicUsize,
}

struct State<T> {
    offered: Vec<T>,
    /// Workers that may still offer something.
    busy: usize,
}

/// A worker that may still offer something; dropped, it no longer does.
pub struct Busy<'a, T>(&'a Exchange<T>);

impl<T> Exchange<T> {
    pub fn new(workers: usize) -> Self {
        let state = State { offered: Vec::new(), busy: workers };
        Self { state: Mutex::new(state), changed: Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// Called once by each worker, so that the others know when to stop waiting for it.
    pub fn enter(&self) -> Busy<'_, T> {
        Busy(self)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, T> Busy<'a, T> {
    /// Whether a worker waits for something to do.
    pub fn is_wanted(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    pub fn offer(&self, item: T) {
        self.0.lock().offered.push(item);
        self.0.changed.notify_one();
    }

    /// Waits for something to do; nothing comes when all others are done or wait too.
    pub fn take(self) -> Option<(T, Self)> {
        let exchange: &'a Exchange<T> = self.0;
        exchange.waiting.fetch_add(1, Ordering::Relaxed);
        drop(self);
        let mut state = exchange.lock();
        let taken = loop {
            if let Some(item) = state.offered.pop() {
                state.busy += 1;
                break Some(item);
            }
            if state.busy == 0 {
                break None;
            }
            state = exchange.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        exchange.waiting.fetch_sub(1, Ordering::Relaxed);
        taken.map(|item| (item, Self(exchange)))
    }
}

impl<T> Drop for Busy<'_, T> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_is_offered_is_taken_and_nobody_waits_for_ever() {
        let exchange = Exchange::new(3);
        let taken: Vec<Option<u32>> = thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..2).map(|_| scope.spawn(|| exchange.enter().take().map(|(item, _busy)| item))).collect();
            let busy = exchange.enter();
            while !busy.is_wanted() {
                thread::yield_now();
            }
            busy.offer(7);
            drop(busy);
            waiting.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), [&7]);
    }

    #[test]
    fn a_worker_that_panics_is_not_waited_for() {
        let exchange = Exchange::<u32>::new(2);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let _busy = exchange.enter();
                panic!("as asked");
            });
            assert!(exchange.enter().take().is_none());
            assert!(other.join().is_err());
        });
    }
}
