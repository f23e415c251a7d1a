//! The files of one call and the workers on them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::PoisonError;
use std::thread;

use super::exchange::{Busy, Exchange};
use super::lane::Lane;
use super::overlap::{self, Ring};
use super::rotation::Turns;
use super::source::Source;
use super::{FileError, HashError, Hashed, Plan};
use crate::control::Control;

type Outcome = (usize, Result<Hashed, FileError>);

struct Batch<'a> {
    paths: &'a [PathBuf],
    targets: Option<&'a [PathBuf]>,
    next: AtomicUsize,
    plan: Plan,
    lanes_each: usize,
    control: &'a Control,
    turns: Turns,
    exchange: Exchange<Lane>,
}

/// As `super::hash_files` and `super::copy_files`; `sysfs` tells which disks rotate.
pub fn hash(
    paths: &[PathBuf],
    targets: Option<&[PathBuf]>,
    plan: Plan,
    workers: usize,
    control: &Control,
    sysfs: &Path,
) -> Result<Vec<Result<Hashed, FileError>>, HashError> {
    let workers = workers.clamp(1, paths.len().max(1));
    let batch = Batch {
        paths,
        targets,
        next: AtomicUsize::new(0),
        plan,
        // Two files are better read by two workers than by turns.
        lanes_each: plan.kernel.streams().min(paths.len().div_ceil(workers)),
        control,
        turns: Turns::new(sysfs),
        exchange: Exchange::new(workers),
    };
    let mut outcomes = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(|| Worker::run(&batch))).collect();
        let mut outcomes = Worker::run(&batch);
        for other in others {
            match other.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    if control.cancel.is_set() {
        return Err(HashError::Cancelled);
    }
    outcomes.sort_unstable_by_key(|(job, _)| *job);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

struct Worker<'a> {
    batch: &'a Batch<'a>,
    busy: Busy<'a, Lane>,
    lanes: Vec<Lane>,
    spare: Vec<Lane>,
    ring: Ring,
    outcomes: Vec<Outcome>,
}

impl<'a> Worker<'a> {
    fn run(batch: &'a Batch<'a>) -> Vec<Outcome> {
        let worker = Self {
            batch,
            busy: batch.exchange.enter(),
            lanes: Vec::new(),
            spare: Vec::new(),
            ring: Ring::default(),
            outcomes: Vec::new(),
        };
        worker.work()
    }

    fn work(mut self) -> Vec<Outcome> {
        while !self.batch.control.cancel.is_set() {
            let is_more = self.take_on();
            if !is_more && self.lanes.len() > 1 && self.busy.is_wanted() {
                if let Some(lane) = self.lanes.pop() {
                    self.busy.offer(lane);
                }
            }
            match self.lanes.as_mut_slice() {
                [] => {
                    let Some((lane, busy)) = self.busy.take() else { return self.outcomes };
                    self.busy = busy;
                    self.lanes.push(lane);
                }
                [_] if !is_more => {
                    if let Some(lane) = self.lanes.pop() {
                        self.read_out(lane);
                    }
                }
                [lane] => lane.compress(self.batch.plan.kernel),
                [one, two, ..] => one.compress_two(two, self.batch.plan.kernel),
            }
            self.go_on();
        }
        self.outcomes
    }

    /// Begins new files until all lanes are in use; returns whether there are any left.
    fn take_on(&mut self) -> bool {
        while self.lanes.len() < self.batch.lanes_each && !self.batch.control.cancel.is_set() {
            let job = self.batch.next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.batch.paths.get(job) else { return false };
            match self.open(job, path) {
                Ok(source) => self.begin(job, source),
                Err(error) => self.outcomes.push((job, Err(error))),
            }
        }
        self.batch.next.load(Ordering::Relaxed) < self.batch.paths.len()
    }

    fn open(&self, job: usize, path: &Path) -> Result<Source, FileError> {
        let source = Source::open(path)?;
        match self.batch.targets.and_then(|targets| targets.get(job)) {
            Some(target) => source.copied_to(target),
            None => Ok(source),
        }
    }

    fn begin(&mut self, job: usize, source: Source) {
        let turn = self.batch.turns.of(source.device());
        let mut lane = self.spare.pop().unwrap_or_else(|| Lane::new(self.batch.plan.algorithms));
        lane.begin(job, source);
        if let Some(turn) = turn {
            let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.read_out(lane);
        } else {
            self.fill(lane);
        }
    }

    /// Reads one file to its end, nothing else meanwhile.
    fn read_out(&mut self, mut lane: Lane) {
        let Batch { plan, control, .. } = self.batch;
        while !control.cancel.is_set() {
            lane.compress(plan.kernel);
            if lane.is_read() {
                return self.settle(lane, None);
            }
            let is_long = lane.wants_sha256() && lane.left() >= overlap::MIN_BYTES;
            let outcome = if is_long {
                overlap::read_out(&mut lane, &mut self.ring, plan.kernel, control)
            } else {
                lane.fill(control)
            };
            if let Err(error) = outcome {
                return self.settle(lane, Some(error));
            }
        }
    }

    /// Reads on, or settles, wherever nothing is left to be compressed.
    fn go_on(&mut self) {
        for index in (0..self.lanes.len()).rev() {
            if self.lanes[index].pending() == 0 {
                let lane = self.lanes.swap_remove(index);
                if lane.is_read() {
                    self.settle(lane, None);
                } else {
                    self.fill(lane);
                }
            }
        }
    }

    fn fill(&mut self, mut lane: Lane) {
        match lane.fill(self.batch.control) {
            Ok(()) => self.lanes.push(lane),
            Err(error) => self.settle(lane, Some(error)),
        }
    }

    fn settle(&mut self, mut lane: Lane, error: Option<FileError>) {
        let finished = lane.finish();
        self.outcomes.extend(finished.map(|(job, outcome)| (job, error.map_or(outcome, Err))));
        self.spare.push(lane);
    }
}
