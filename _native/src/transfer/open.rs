//! The first request for a file: what it is, what of it is there already, and whether the rest can be had in parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::Head;
use super::ask::{ask, Answer, Question};
use super::board::{Board, FetchJob, OpenJob};
use super::fault::Fault;
use super::file::{Block, Facts, Source};
use super::journal::{plan_key, Header};
use super::part::{Part, Saved};
use super::tree::{BlockSum, BLOCK};
use super::wire::Patience;
use super::TransferError;

/// What is kept of each block fits into the memory; a server that lies gets no more of it than 33 MiB.
const MAX_FILE_BYTES: u64 = 1 << 40;

/// What is known after it: a body to be received, or nothing when all is there.
pub type Opened = Option<(FetchJob, Answer)>;

/// What an answer says of the file.
struct Told {
    facts: Facts,
    blocks: Vec<Block>,
    /// Everything comes, whatever was asked for.
    is_whole: bool,
    has_body: bool,
}

/// Opens the part and asks for its first missing range.
///
/// # Errors
/// As `ask`; the answer is not what was asked for; there is no room.
pub fn open(board: &Board<'_>, job: &OpenJob, patience: &mut Patience<'_>) -> Result<Opened, Fault> {
    let source = &*job.source;
    let part = match &job.part {
        Some(part) => Arc::clone(part),
        None => Arc::new(Part::open(&source.plan.target)?),
    };
    board.keep_part(job, &part);
    let saved = part.saved()?.filter(|saved| is_of_plan(saved, source));
    let start = saved.as_ref().map_or(0, |(header, sums)| first_missing(header, sums));
    if let Some((header, sums)) = saved.as_ref().filter(|(header, _)| start >= header.size) {
        let (etag, size) = (header.etag.clone(), Some(header.size));
        let facts = Facts { size, etag, is_ranged: true, located: None };
        board.opened(job, part, facts, restored(header, sums), false);
        return Ok(None);
    }
    let piece = board.options.piece_bytes;
    let limit = saved.as_ref().map(|(header, _)| header.size).or(source.plan.size).unwrap_or(u64::MAX);
    let end = limit.min(start + piece); // it begins with a block
    let if_range = saved.as_ref().and_then(|(header, _)| header.etag.as_deref());
    let range = (start < end).then_some(start..end);
    let answer = ask(board, &Question { source, from: &source.first, range, if_range }, patience)?;
    let told = match told(&answer, source, saved.as_ref(), start) {
        // What is there is not of this content: it is begun anew.
        Err(TransferError::Changed) if saved.is_some() => {
            part.restart(None)?;
            return Err(Fault::retry(TransferError::Changed));
        }
        told => told?,
    };
    if told.blocks.iter().all(|block| *block == Block::Missing) {
        let etag = told.facts.etag.clone();
        let header = told.facts.size.map(|size| Header { size, plan: key(source), etag });
        part.restart(header.as_ref())?;
    }
    if let Some(size) = told.facts.size {
        part.check_room(size)?;
    }
    let (size, has_body) = (told.facts.size, told.has_body);
    let fetch = board.opened(job, Arc::clone(&part), told.facts, told.blocks, told.is_whole);
    if let Some(size) = size {
        part.allocate(size)?; // others fetch already meanwhile
    }
    Ok(fetch.filter(|_| has_body).map(|fetch| (fetch, answer)))
}

fn key(source: &Source) -> [u8; 16] {
    plan_key(source.plan.validator.as_deref(), source.plan.sha256.as_ref())
}

/// Whether what is there is of the content that is wanted, as far as can be told before asking.
fn is_of_plan((header, _): &Saved, source: &Source) -> bool {
    let plan = &source.plan;
    let is_pinned = plan.validator.is_some() || plan.sha256.is_some() || header.etag.is_some();
    is_pinned && header.plan == key(source) && plan.size.is_none_or(|size| size == header.size)
}

fn first_missing(header: &Header, sums: &BTreeMap<u64, BlockSum>) -> u64 {
    let gap = (0..).zip(sums.keys()).find(|(number, block)| number != *block).map(|(number, _)| number);
    (gap.unwrap_or(sums.len() as u64) * BLOCK).min(header.size)
}

fn restored(header: &Header, sums: &BTreeMap<u64, BlockSum>) -> Vec<Block> {
    let blocks = 0..header.size.div_ceil(BLOCK);
    blocks.map(|number| sums.get(&number).map_or(Block::Missing, |sum| Block::Restored(*sum))).collect()
}

fn told(answer: &Answer, source: &Source, saved: Option<&Saved>, start: u64) -> Result<Told, TransferError> {
    let head = &answer.head;
    let etag = head.etag()?.map(str::to_owned);
    if head.status == 416 {
        return told_nothing(answer, source, saved, start);
    }
    head.check_content(may_be_html(source))?;
    if head.status == 200 {
        let size = told_size(head)?.or(source.plan.size);
        check_size(source, size)?;
        let facts = Facts { size, etag, is_ranged: head.accepts_ranges(), located: Some(answer.url.clone()) };
        return Ok(Told { facts, blocks: missing(size), is_whole: true, has_body: size != Some(0) });
    }
    let range = head.content_range()?;
    let size = range.size.or(source.plan.size);
    check_size(source, size)?;
    let size = size.ok_or(TransferError::BadAnswer("it does not say how long the file is"))?;
    let blocks = match saved {
        None => missing(Some(size)),
        Some((header, sums)) => {
            let is_other = etag.is_some() && header.etag.is_some() && etag != header.etag;
            if is_other || size != header.size {
                return Err(TransferError::Changed);
            }
            restored(header, sums)
        }
    };
    if range.start != start {
        return Err(TransferError::BadAnswer("it is another range than was asked for"));
    }
    let facts = Facts { size: Some(size), etag, is_ranged: true, located: Some(answer.url.clone()) };
    Ok(Told { facts, blocks, is_whole: false, has_body: true })
}

/// There is no such range: the file is empty, or shorter than it was.
fn told_nothing(
    answer: &Answer,
    source: &Source,
    saved: Option<&Saved>,
    start: u64,
) -> Result<Told, TransferError> {
    if saved.is_some() {
        return Err(TransferError::Changed);
    }
    match answer.head.unsatisfied_size()? {
        Some(0) if start == 0 => {
            check_size(source, Some(0))?;
            let etag = answer.head.etag()?.map(str::to_owned);
            let facts = Facts { size: Some(0), etag, is_ranged: false, located: Some(answer.url.clone()) };
            Ok(Told { facts, blocks: Vec::new(), is_whole: true, has_body: false })
        }
        _ => Err(TransferError::BadAnswer("it refuses the beginning of the file")),
    }
}

fn told_size(head: &Head) -> Result<Option<u64>, TransferError> {
    if head.is_chunked()? {
        return Ok(None);
    }
    head.length()
}

fn check_size(source: &Source, size: Option<u64>) -> Result<(), TransferError> {
    match (source.plan.size, size) {
        (_, Some(size)) if size > MAX_FILE_BYTES => {
            Err(TransferError::BadAnswer("it promises a file of more than 1 TiB"))
        }
        (Some(expected), Some(found)) if expected != found => {
            Err(TransferError::WrongLength { expected, found })
        }
        _ => Ok(()),
    }
}

fn missing(size: Option<u64>) -> Vec<Block> {
    let blocks = size.map_or(0, |size| size.div_ceil(BLOCK));
    vec![Block::Missing; usize::try_from(blocks).unwrap_or_default()]
}

/// Whether a page of HTML may be what is wanted.
pub fn may_be_html(source: &Source) -> bool {
    let extension = source.plan.target.extension().unwrap_or_default().to_ascii_lowercase();
    matches!(extension.to_str(), Some("html" | "htm" | "xhtml"))
}
