//! One connection thread: it asks for a range, writes what comes where it belongs, and digests it on the way.

use std::time::{Duration, Instant};

use super::answer::Head;
use super::ask::{ask, Answer, Question};
use super::board::{Board, FetchJob, Job};
use super::fault::Fault;
use super::open::{may_be_html, open};
use super::stall::Watch;
use super::tree::{BlockSum, BlockSums, BLOCK};
use super::wire::{sleep, Framing, Patience};
use super::TransferError;

/// Bytes are gathered so long before they are written, if there are not enough sooner.
const GATHER: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 256 * 1024;

/// Does what the board hands out, until there is nothing more.
pub fn work(board: &Board<'_>) {
    let mut buffer = Vec::new();
    let is_wanted = || board.is_running();
    while let Some(job) = board.next_job() {
        let mut patience =
            Patience { is_wanted: &is_wanted, watch: Watch::new(board.options.stall, Instant::now()) };
        buffer.resize(BUFFER_BYTES, 0);
        match job {
            Job::Open(job) => match open(board, &job, &mut patience) {
                Ok(Some((fetch, answer))) => {
                    let ended = receive(board, &fetch, answer, &mut buffer, &mut patience);
                    board.end_fetch(&fetch, ended.err());
                }
                Ok(None) => board.end_open(&job, None),
                Err(fault) => board.end_open(&job, Some(fault)),
            },
            Job::Fetch(job) => {
                let ended = fetch(board, &job, &mut buffer, &mut patience);
                board.end_fetch(&job, ended.err());
            }
        }
    }
}

fn fetch(
    board: &Board<'_>,
    job: &FetchJob,
    buffer: &mut [u8],
    patience: &mut Patience<'_>,
) -> Result<(), Fault> {
    let question = Question {
        source: &job.source,
        from: job.facts.located.as_ref().unwrap_or(&job.source.first),
        range: Some(job.range.clone()),
        if_range: job.facts.etag.as_deref(),
    };
    let answer = ask(board, &question, patience)?;
    check(&answer.head, job)?;
    if job.facts.located.as_ref() != Some(&answer.url) {
        board.relocate(job, &answer.url);
    }
    receive(board, job, answer, buffer, patience)
}

/// Whether an answer is the range that was asked for, of the content that was begun with.
fn check(head: &Head, job: &FetchJob) -> Result<(), Fault> {
    let size = job.facts.size.unwrap_or_default();
    head.check_content(may_be_html(&job.source))?;
    if let (Some(before), Some(now)) = (&job.facts.etag, head.etag()?) {
        if before != now {
            return Err(TransferError::Changed.into());
        }
    }
    match head.status {
        206 => {}
        416 => {
            let found = head.unsatisfied_size()?.unwrap_or_default();
            return Err(TransferError::WrongLength { expected: size, found }.into());
        }
        // One server of many that knows no ranges; the next one may.
        _ => return Err(Fault::retry(TransferError::BadAnswer("it is not the range that was asked for"))),
    }
    let range = head.content_range()?;
    if let Some(found) = range.size.filter(|found| *found != size) {
        return Err(TransferError::WrongLength { expected: size, found }.into());
    }
    if range.start != job.range.start || range.end > job.range.end {
        return Err(TransferError::BadAnswer("it is another range than was asked for").into());
    }
    Ok(())
}

fn framing(head: &Head) -> Result<Framing, TransferError> {
    if head.is_chunked()? {
        return Ok(Framing::Chunk(0));
    }
    let length = head.length()?;
    if head.status == 206 {
        let range = head.content_range()?;
        if length.is_some_and(|length| length != range.end - range.start) {
            return Err(TransferError::BadAnswer("its length is not that of its range"));
        }
    }
    Ok(length.map_or(Framing::Close, Framing::Length))
}

/// A range on its way from a body to the disk.
struct Reception<'a, 'b> {
    board: &'a Board<'b>,
    job: &'a FetchJob,
    at: u64,
    sums: BlockSums,
}

fn receive(
    board: &Board<'_>,
    job: &FetchJob,
    mut answer: Answer,
    buffer: &mut [u8],
    patience: &mut Patience<'_>,
) -> Result<(), Fault> {
    let mut framing = framing(&answer.head)?;
    let mut reception = Reception::new(board, job, buffer)?;
    let mut end = job.range.end;
    while reception.at < end {
        wait_for_allowance(board, patience)?;
        let room = board.steering.bucket.grain().min(buffer.len());
        let room = usize::try_from(end - reception.at).map_or(room, |left| left.min(room));
        let (filled, failed) = gather(&mut answer, &mut framing, &mut buffer[..room], patience);
        board.steering.bucket.spend(filled, Instant::now());
        if reception.would_end(filled) {
            // The last bytes count once nothing follows them.
            check_end(&mut answer, &mut framing, job, patience)?;
        }
        end = reception.take(&buffer[..filled])?;
        failed?;
        if filled == 0 {
            return reception.ended(framing);
        }
    }
    let has_ended = matches!(framing, Framing::End | Framing::Length(0));
    if has_ended && answer.head.keeps_alive() && answer.connection.is_clean() {
        board.keep_idle(answer.place, answer.connection);
    }
    Ok(())
}

fn wait_for_allowance(board: &Board<'_>, patience: &mut Patience<'_>) -> Result<(), Fault> {
    loop {
        // The limit may be lifted while it is waited for.
        let debt = board.steering.bucket.debt(Instant::now()).min(Duration::from_millis(50));
        if debt.is_zero() {
            return Ok(());
        }
        sleep(debt, patience.is_wanted)?;
        patience.watch.excuse(debt);
    }
}

/// Fills a buffer, or as much of it as comes in a moment; 0 at the end of the body. What came before a fault counts.
fn gather(
    answer: &mut Answer,
    framing: &mut Framing,
    out: &mut [u8],
    patience: &mut Patience<'_>,
) -> (usize, Result<(), Fault>) {
    let begun = Instant::now();
    let mut filled = 0;
    loop {
        match answer.connection.body(framing, &mut out[filled..], patience) {
            Ok(0) => return (filled, Ok(())),
            Ok(count) => filled += count,
            Err(fault) => return (filled, Err(fault)),
        }
        if filled == out.len() || begun.elapsed() > GATHER {
            return (filled, Ok(()));
        }
    }
}

/// A body that goes on where the file has ended is of another file.
fn check_end(
    answer: &mut Answer,
    framing: &mut Framing,
    job: &FetchJob,
    patience: &mut Patience<'_>,
) -> Result<(), Fault> {
    if answer.head.status != 200 || *framing == Framing::Length(0) {
        return Ok(());
    }
    match answer.connection.body(framing, &mut [0], patience)? {
        0 => Ok(()),
        more => {
            let expected = job.range.end;
            Err(TransferError::WrongLength { expected, found: expected + more as u64 }.into())
        }
    }
}

impl<'a, 'b> Reception<'a, 'b> {
    /// Begins where the range does; of a block whose beginning is there already that is taken in first.
    fn new(board: &'a Board<'b>, job: &'a FetchJob, buffer: &mut [u8]) -> Result<Self, Fault> {
        let mut at = job.range.start / BLOCK * BLOCK;
        let mut sums = BlockSums::new(at);
        while at < job.range.start {
            let room =
                usize::try_from(job.range.start - at).map_or(buffer.len(), |left| left.min(buffer.len()));
            job.part.read_at(&mut buffer[..room], at)?;
            sums.update(&buffer[..room], |_, _| {});
            at += room as u64;
        }
        Ok(Self { board, job, at, sums })
    }

    /// Whether the file ends with so many bytes more.
    fn would_end(&self, bytes: usize) -> bool {
        bytes > 0 && Some(self.at + bytes as u64) == self.job.facts.size
    }

    /// Writes bytes; returns where the range ends now.
    fn take(&mut self, bytes: &[u8]) -> Result<u64, Fault> {
        let mut finished: Vec<(u64, BlockSum)> = Vec::new();
        if !bytes.is_empty() {
            self.job.part.write_at(bytes, self.at)?;
            self.at += bytes.len() as u64;
            self.sums.update(bytes, |number, sum| finished.push((number, sum)));
            if Some(self.at) == self.job.facts.size {
                finished.extend(self.sums.last());
            }
            for (number, sum) in &finished {
                self.job.part.record(*number, sum)?;
            }
        }
        self.board.advance(self.job, self.at, bytes.len(), &finished)
    }

    /// The body has ended before the range has.
    fn ended(&mut self, framing: Framing) -> Result<(), Fault> {
        if let Some(expected) = self.job.facts.size {
            if framing == Framing::End && self.job.range.end == expected {
                return Err(TransferError::WrongLength { expected, found: self.at }.into());
            }
            let is_shorter = self.at > self.job.range.start && framing != Framing::Close;
            if is_shorter {
                return Ok(()); // servers may give less than they are asked for
            }
            return Err(Fault::unreachable("the connection was closed in the middle".to_owned()));
        }
        if let Some((number, sum)) = self.sums.last() {
            self.board.advance(self.job, self.at, 0, &[(number, sum)])?;
        }
        self.board.end_at(self.job, self.at);
        Ok(())
    }
}
