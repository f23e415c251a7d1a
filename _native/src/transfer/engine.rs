//! Begins the threads of a call, tells how far they are, and gathers what came of it.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::board::Board;
use super::file::{File, Source};
use super::proxy::Proxies;
use super::steering::Steering;
use super::tree::BLOCK;
use super::{fetch, frontier, redirect, tls, Fetched, FilePlan, Options, TransferError};
use crate::control::Control;
use crate::parallel::default_workers;

/// Time between two looks at how far all is.
const TICK: Duration = Duration::from_millis(50);
/// Time between two syncs: what a system that goes down may cost.
const SYNC: Duration = Duration::from_secs(1);
/// The rate is that of so long a time.
const RATE_WINDOW: Duration = Duration::from_secs(3);

type Outcomes = Vec<Result<Fetched, TransferError>>;

/// Fetches files; what is wrong with one stands in its place and hinders no other. None: cancelled.
///
/// # Errors
/// The options mean nothing.
pub fn fetch_files(
    plans: Vec<FilePlan>,
    options: Options,
    steering: &Arc<Steering>,
    control: &Control,
) -> Result<Option<Outcomes>, TransferError> {
    let proxies = Proxies::new(
        options.http_proxy.as_deref(),
        options.https_proxy.as_deref(),
        options.no_proxy.clone(),
    )?;
    let tls = tls::config(options.ca_file.as_deref())?;
    check_words([("User-Agent", options.user_agent.as_str())])?;
    let options = Options {
        connections: options.connections.max(1),
        connections_per_host: options.connections_per_host.max(1),
        piece_bytes: options.piece_bytes.max(BLOCK).next_multiple_of(BLOCK),
        ..options
    };
    let connections = options.connections;
    let files = plans.into_iter().map(|plan| file_of(plan, connections)).collect();
    let board = Board::new(files, options, proxies, tls, steering, control);
    fetch_all(&board, connections);
    steering.show(board.snapshot());
    let outcomes = board.into_outcomes();
    Ok(if control.cancel.is_set() { None } else { outcomes.into_iter().collect() })
}

/// A file; one whose plan means nothing has its outcome already.
fn file_of(plan: FilePlan, connections: usize) -> File {
    let words = plan.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let first = check_words(words).and_then(|()| redirect::parse(&plan.url));
    let (first, problem) = match first {
        Ok(first) => (first, None),
        Err(problem) => (redirect::nowhere(), Some(problem)),
    };
    let mut file = File::new(Source { plan, first, is_public: AtomicBool::new(false) }, connections);
    if let Some(problem) = problem {
        file.settle(Err(problem));
    }
    file
}

/// SECURITY: a header must not be able to end its line and begin another one.
fn check_words<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), TransferError> {
    let is_token = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte))
    };
    let is_plain = |value: &str| value.bytes().all(|byte| byte >= b' ' && byte != 0x7f || byte == b'\t');
    match words.into_iter().find(|(name, value)| !is_token(name) || !is_plain(value)) {
        Some((name, _)) => {
            Err(TransferError::BadUrl(format!("the header {name:?} has characters that none may have")))
        }
        None => Ok(()),
    }
}

fn fetch_all(board: &Board<'_>, connections: usize) {
    thread::scope(|scope| {
        let (ended, is_ended) = sync_channel::<()>(0);
        let syncing = scope.spawn(move || keep_synced(board, &is_ended));
        let workers: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| fetch::work(board)))
            .chain((0..default_workers()).map(|_| scope.spawn(|| frontier::work(board))))
            .collect();
        watch(board, || workers.iter().any(thread::ScopedJoinHandle::is_finished));
        if !board.wait_until_settled(Duration::ZERO) {
            board.break_off();
        }
        let joined: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        drop(ended);
        let synced = syncing.join();
        if let Some(panic) = joined.into_iter().chain([synced]).find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Tells how far all is until it is over.
fn watch(board: &Board<'_>, has_ended: impl Fn() -> bool) {
    let mut seen: VecDeque<(Instant, u64)> = VecDeque::new();
    while !board.is_cancelled() && !has_ended() && !board.wait_until_settled(TICK) {
        let now = Instant::now();
        let mut snapshot = board.snapshot();
        seen.push_back((now, snapshot.fetched_bytes));
        while seen.front().is_some_and(|(time, _)| now - *time > RATE_WINDOW) {
            seen.pop_front();
        }
        snapshot.rate_bytes_s = rate(&seen);
        board.steering.show(snapshot);
        if board.steering.is_paused() {
            board.drop_idle();
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a rate
fn rate(seen: &VecDeque<(Instant, u64)>) -> u64 {
    match (seen.front(), seen.back()) {
        (Some((from, before)), Some((to, after))) if to > from => {
            ((after - before) as f64 / (*to - *from).as_secs_f64()) as u64
        }
        _ => 0,
    }
}

/// Brings what is written to disk each second, and once more at the end.
fn keep_synced(board: &Board<'_>, is_ended: &Receiver<()>) {
    loop {
        let has_ended = is_ended.recv_timeout(SYNC) != Err(RecvTimeoutError::Timeout);
        for part in board.open_parts() {
            // A drive that fails is told by the last sync, before the part becomes the target.
            let _ = part.sync();
        }
        if has_ended {
            return;
        }
    }
}
