//! Where all threads of a call meet: who does what next, what came of it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use url::Url;

use super::fault::Fault;
use super::file::{Block, Facts, File, Phase, Source, Stretch};
use super::frontier::{sums_of, Digest, Digested};
use super::part::Part;
use super::proxy::Proxies;
use super::steering::{Snapshot, Steering};
use super::tree::BlockSum;
use super::wire::Connection;
use super::{Fetched, Options, TransferError};
use crate::control::Control;

/// Cancelling and resuming wake nobody; they are seen so soon.
const TICK: Duration = Duration::from_millis(50);

/// What all threads of a call share.
pub struct Board<'a> {
    pub options: Options,
    pub proxies: Proxies,
    pub tls: Arc<ClientConfig>,
    pub steering: &'a Steering,
    control: &'a Control,
    /// A thread of the call has panicked.
    is_broken: AtomicBool,
    state: Mutex<State>,
    /// Something may be fetched, or all is settled.
    to_fetch: Condvar,
    /// Something may be digested, or all is settled.
    to_digest: Condvar,
    settled: Condvar,
    /// Connections that nobody uses, by what they lead to.
    idle: Mutex<Vec<(String, Connection)>>,
}

struct State {
    files: Vec<File>,
    /// Requests on their way, by host.
    hosts: HashMap<String, usize>,
}

/// What a connection does next.
pub enum Job {
    Open(OpenJob),
    Fetch(FetchJob),
}

/// Find out about a file.
pub struct OpenJob {
    pub file: usize,
    pub source: Arc<Source>,
    /// If it was opened before.
    pub part: Option<Arc<Part>>,
    started: Instant,
    host: String,
}

/// Fetch a range.
pub struct FetchJob {
    pub file: usize,
    pub source: Arc<Source>,
    pub part: Arc<Part>,
    pub facts: Arc<Facts>,
    pub range: Range<u64>,
    generation: u64,
    flight: u64,
    started: Instant,
    host: String,
}

/// Digest a stretch.
pub struct DigestJob {
    pub file: usize,
    pub source: Arc<Source>,
    pub part: Arc<Part>,
    pub facts: Arc<Facts>,
    pub stretch: Stretch,
    /// Of all blocks, with the last stretch.
    pub sums: Vec<BlockSum>,
    generation: u64,
}

impl<'a> Board<'a> {
    pub fn new(
        files: Vec<File>,
        options: Options,
        proxies: Proxies,
        tls: Arc<ClientConfig>,
        steering: &'a Steering,
        control: &'a Control,
    ) -> Self {
        Self {
            options,
            proxies,
            tls,
            steering,
            control,
            is_broken: AtomicBool::new(false),
            state: Mutex::new(State { files, hosts: HashMap::new() }),
            to_fetch: Condvar::new(),
            to_digest: Condvar::new(),
            settled: Condvar::new(),
            idle: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_cancelled(&self) -> bool {
        self.control.cancel.is_set() || self.is_broken.load(Ordering::Relaxed)
    }

    /// Has all threads end, as one of them did that should not.
    pub fn break_off(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    /// Whether a connection should go on.
    pub fn is_running(&self) -> bool {
        !self.is_cancelled() && !self.steering.is_paused()
    }

    /// Waits for something to fetch; None: there will be nothing more.
    pub fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if self.is_cancelled() || state.is_settled() {
                self.to_digest.notify_all();
                return None;
            }
            if self.is_running() {
                if let Some(job) = state.choose(&self.options) {
                    self.to_fetch.notify_one(); // there may be more of it
                    return Some(job);
                }
            }
            state = self.to_fetch.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Keeps the part of a file, opened once a call.
    pub fn keep_part(&self, job: &OpenJob, part: &Arc<Part>) {
        self.lock().files[job.file].part = Some(Arc::clone(part));
    }

    /// Takes up what the first answer told of a file; the range that the answer brings is what is fetched first.
    pub fn opened(
        &self,
        job: &OpenJob,
        part: Arc<Part>,
        facts: Facts,
        blocks: Vec<Block>,
        is_whole: bool,
    ) -> Option<FetchJob> {
        let mut state = self.lock();
        let facts = Arc::new(facts);
        let file = &mut state.files[job.file];
        file.open(Arc::clone(&part), Arc::clone(&facts), blocks);
        let taken = if is_whole {
            file.pieces.take_rest()
        } else {
            file.pieces.take(self.options.piece_bytes, u64::MAX)
        };
        let fetch = taken.map(|(flight, range)| FetchJob {
            file: job.file,
            source: Arc::clone(&job.source),
            part,
            facts,
            range,
            generation: file.generation,
            flight,
            started: job.started,
            host: job.host.clone(),
        });
        self.to_fetch.notify_all();
        self.to_digest.notify_one();
        fetch
    }

    /// Notes that a range is there up to `at`, and blocks that ended on the way. Returns where the range ends now.
    ///
    /// # Errors
    /// Nobody wants it any more.
    pub fn advance(
        &self,
        job: &FetchJob,
        at: u64,
        got: usize,
        blocks: &[(u64, BlockSum)],
    ) -> Result<u64, Fault> {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        if file.generation != job.generation || file.outcome.is_some() {
            return Err(Fault::Interrupted);
        }
        file.fetched += got as u64;
        for (number, sum) in blocks {
            file.note_block(*number, *sum);
        }
        if !blocks.is_empty() {
            file.patience.reason = None;
        }
        let end = file.pieces.advance(job.flight, at).ok_or(Fault::Interrupted)?;
        if file.digest.is_some() && file.stretch().is_some() {
            self.to_digest.notify_one();
        }
        Ok(end)
    }

    /// Takes up where redirects lead to now: an address that was signed for a time is told anew.
    pub fn relocate(&self, job: &FetchJob, url: &Url) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        if file.generation == job.generation && file.outcome.is_none() {
            file.facts = Some(Arc::new(Facts { located: Some(url.clone()), ..Facts::clone(&job.facts) }));
        }
    }

    /// Takes up the size that the end of a body has told.
    pub fn end_at(&self, job: &FetchJob, size: u64) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        if file.generation == job.generation {
            file.pieces.end_at(size);
            self.to_digest.notify_one();
        }
    }

    /// Ends an attempt to find out about a file.
    pub fn end_open(&self, job: &OpenJob, fault: Option<Fault>) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        if file.phase == Phase::Opening {
            file.phase = Phase::Waiting;
        }
        state.end(job.file, &job.host, job.started, fault, &self.options);
        self.wake_all();
    }

    /// Ends a range; what it did not bring is handed out again.
    pub fn end_fetch(&self, job: &FetchJob, fault: Option<Fault>) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        let is_current = file.generation == job.generation;
        if is_current {
            file.pieces.land(job.flight);
            if !job.facts.is_ranged && file.pieces.left() > 0 {
                file.close(); // it can only be had from the beginning
            }
        }
        state.end(job.file, &job.host, job.started, fault.filter(|_| is_current), &self.options);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.settled.notify_all();
        self.to_fetch.notify_all();
        self.to_digest.notify_all();
    }

    /// Waits for something to digest; None: there will be nothing more.
    pub fn next_digest(&self) -> Option<(DigestJob, Digest)> {
        let mut state = self.lock();
        loop {
            if self.is_cancelled() || state.is_settled() {
                return None;
            }
            if let Some(found) = state.choose_digest() {
                return Some(found);
            }
            state = self.to_digest.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes a digest back that has come further, or has not.
    pub fn note_digested(&self, job: &DigestJob, digested: Digested) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        if file.generation != job.generation || file.outcome.is_some() {
            return;
        }
        let number = file.hashed / super::tree::BLOCK;
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        match digested {
            Digested::Further(digest) => {
                if let Some(sum) = job.stretch.expected {
                    file.blocks[place] = Block::There(sum);
                }
                file.hashed = digest.at();
                file.digest = Some(digest);
                self.to_fetch.notify_one();
                self.to_digest.notify_one();
                return;
            }
            Digested::Damaged(digest) => {
                file.blocks[place] = Block::Missing;
                file.pieces.lose(number);
                file.digest = Some(digest);
            }
            Digested::Unreadable(error) => file.settle(Err(error.into())),
            Digested::Whole { .. } => {}
        }
        self.wake_all();
    }

    /// Notes what came of a file whose bytes are all there.
    pub fn settle_whole(&self, job: &DigestJob, outcome: Result<Fetched, TransferError>) {
        let mut state = self.lock();
        let file = &mut state.files[job.file];
        let fetched_bytes = file.fetched;
        file.settle(outcome.map(|fetched| Fetched { fetched_bytes, ..fetched }));
        file.hashed = file.pieces.size();
        self.wake_all();
    }

    /// A connection that leads to `place` and is not used.
    pub fn take_idle(&self, place: &str) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().rposition(|(key, _)| key == place)?;
        Some(idle.swap_remove(found).1)
    }

    pub fn keep_idle(&self, place: String, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((place, connection));
    }

    pub fn drop_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Parts that are written at the moment.
    pub fn open_parts(&self) -> Vec<Arc<Part>> {
        let state = self.lock();
        let open = state.files.iter().filter(|file| file.outcome.is_none());
        open.filter_map(|file| file.part.clone()).collect()
    }

    /// How far all is; the rate is not told here.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let files: Vec<_> = state.files.iter().map(File::progress).collect();
        Snapshot {
            files_done: state.files.iter().filter(|file| matches!(file.outcome, Some(Ok(_)))).count(),
            done_bytes: files.iter().map(|file| file.done_bytes).sum(),
            total_bytes: files.iter().map(|file| file.size_bytes).sum(),
            fetched_bytes: state.files.iter().map(|file| file.fetched).sum(),
            rate_bytes_s: 0,
            connections: state.files.iter().map(|file| file.active).sum(),
            is_paused: self.steering.is_paused(),
            files,
        }
    }

    /// Waits a moment; whether all is settled.
    pub fn wait_until_settled(&self, time: Duration) -> bool {
        let state = self.lock();
        if state.is_settled() {
            return true;
        }
        self.settled.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0.is_settled()
    }

    /// What came of each file; None for those that were given up with the call.
    pub fn into_outcomes(self) -> Vec<Option<Result<Fetched, TransferError>>> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.files.into_iter().map(|file| file.outcome).collect()
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.files.iter().all(|file| file.outcome.is_some())
    }

    /// The first thing to do, in the order of the files; when all is on its way, half of what is left of something.
    fn choose(&mut self, options: &Options) -> Option<Job> {
        let now = Instant::now();
        for steals in [false, true] {
            for number in 0..self.files.len() {
                if self.may_begin(number, now, options) {
                    if let Some(job) = self.begin(number, now, steals, options) {
                        return Some(job);
                    }
                }
            }
        }
        None
    }

    fn may_begin(&self, number: usize, now: Instant, options: &Options) -> bool {
        let file = &self.files[number];
        file.outcome.is_none()
            && file.phase != Phase::Opening
            && file.patience.not_before.is_none_or(|time| time <= now)
            && file.active < file.patience.width
            && self.hosts.get(file.host()).is_none_or(|count| *count < options.connections_per_host)
    }

    fn begin(&mut self, number: usize, now: Instant, steals: bool, options: &Options) -> Option<Job> {
        let file = &mut self.files[number];
        let host = file.host().to_owned();
        let source = Arc::clone(&file.source);
        let job = if file.phase == Phase::Waiting {
            if file.active > 0 {
                return None; // connections of an earlier beginning have yet to see that it is over
            }
            file.phase = Phase::Opening;
            let part = file.part.clone();
            Job::Open(OpenJob { file: number, source, part, started: now, host: host.clone() })
        } else {
            let (facts, part) = (file.facts.clone()?, file.part.clone()?);
            let taken = match (facts.is_ranged, steals) {
                (false, _) => None,
                (true, _) if file.has_backlog() => None,
                (true, false) => {
                    let piece = file.pieces.piece(options.piece_bytes, options.connections);
                    file.pieces.take(piece, file.hashed + options.window_bytes)
                }
                (true, true) => file.pieces.steal(now),
            };
            let (flight, range) = taken?;
            let (generation, host) = (file.generation, host.clone());
            Job::Fetch(FetchJob {
                file: number,
                source,
                part,
                facts,
                range,
                generation,
                flight,
                started: now,
                host,
            })
        };
        self.files[number].active += 1;
        *self.hosts.entry(host).or_default() += 1;
        Some(job)
    }

    fn end(&mut self, number: usize, host: &str, started: Instant, fault: Option<Fault>, options: &Options) {
        if let Some(count) = self.hosts.get_mut(host) {
            *count = count.saturating_sub(1);
        }
        let file = &mut self.files[number];
        file.active -= 1;
        match fault {
            None => file.patience.width = (file.patience.width + 1).min(options.connections),
            Some(Fault::Interrupted) => {}
            _ if file.outcome.is_some() => {}
            Some(Fault::Final(error)) => file.settle(Err(error)),
            Some(Fault::Retry { error, wait, is_overload }) => {
                if let Some(error) = file.note_failure(error, wait, is_overload, started, options) {
                    file.settle(Err(error));
                }
            }
        }
    }

    fn choose_digest(&mut self) -> Option<(DigestJob, Digest)> {
        for (number, file) in self.files.iter_mut().enumerate() {
            if file.digest.is_none() {
                continue;
            }
            let Some(stretch) = file.stretch() else { continue };
            let (Some(part), Some(facts), Some(digest)) =
                (file.part.clone(), file.facts.clone(), file.digest.take())
            else {
                continue;
            };
            let sums = if stretch.is_last { sums_of(&file.blocks) } else { Vec::new() };
            let source = Arc::clone(&file.source);
            let generation = file.generation;
            return Some((
                DigestJob { file: number, source, part, facts, stretch, sums, generation },
                digest,
            ));
        }
        None
    }
}
