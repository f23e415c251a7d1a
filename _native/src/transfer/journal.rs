//! `NAME.part.journal`: what of `NAME.part` is there, so that a transfer goes on where it ended, however it ended.
//!
//! ```text
//! header, 320 bytes          magic      8   "PUMASJ", 0, version 1
//!                            size       8   of the file, u64 LE
//!                            plan      16   XXH3-128 of what the caller pinned
//!                            length     2   of the ETag, u16 LE; 0: none, or a weak one
//!                            etag     278   zeros behind it
//!                            check      8   XXH3-64 of the 312 bytes before
//! each block that is there   number     8   u64 LE; a block is 1 MiB, the last one what is left
//!   (48 bytes, any order)    sum       32   its chaining value in the file's BLAKE3 tree
//!                            check      8   XXH3-64 of the 40 bytes before, the header's check its seed
//! ```
//!
//! A record is added when its block has been written. Now and then the part is synced, then the journal. So a killed
//! process loses the blocks on their way; a system that goes down loses what came after the last sync, and should it
//! have kept a record without its block, the sum does not fit what is read there, and the block is fetched again.
//! A record that is torn or damaged is left out; a journal whose header is, counts as none.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_128, xxh3_64, xxh3_64_with_seed};

use super::tree::{BlockSum, BLOCK};

pub const HEADER_BYTES: usize = 320;
pub const RECORD_BYTES: usize = 48;
const MAGIC: [u8; 8] = *b"PUMASJ\0\x01";
const MAX_ETAG: usize = 278;

/// Which content a journal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub size: u64,
    pub plan: [u8; 16],
    /// A strong `ETag`, quotes included.
    pub etag: Option<String>,
}

/// Names what pins the content on the caller's side.
pub fn plan_key(validator: Option<&str>, sha256: Option<&[u8; 32]>) -> [u8; 16] {
    let mut text = validator.unwrap_or_default().as_bytes().to_vec();
    text.push(0);
    text.extend(sha256.into_iter().flatten());
    xxh3_128(&text).to_le_bytes()
}

impl Header {
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let etag = self.etag.as_deref().filter(|etag| etag.len() <= MAX_ETAG).unwrap_or_default().as_bytes();
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.size.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.plan);
        bytes[32..34].copy_from_slice(&u16::try_from(etag.len()).unwrap_or(0).to_le_bytes());
        bytes[34..34 + etag.len()].copy_from_slice(etag);
        let check = xxh3_64(&bytes[..312]);
        bytes[312..].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a header; None if a bit of it is not as it was written.
    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..8] != MAGIC || seed(bytes) != xxh3_64(&bytes[..312]) {
            return None;
        }
        let etag_length = usize::from(u16::from_le_bytes([bytes[32], bytes[33]]));
        let etag = std::str::from_utf8(bytes[34..312].get(..etag_length)?).ok()?;
        Some(Self {
            size: u64_at(bytes, 8),
            plan: bytes[16..32].try_into().ok()?,
            etag: (!etag.is_empty()).then(|| etag.to_owned()),
        })
    }
}

/// The check of a written header: what its records are bound to.
pub fn seed(header: &[u8; HEADER_BYTES]) -> u64 {
    u64_at(header, 312)
}

pub fn record(seed: u64, block: u64, sum: &BlockSum) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&block.to_le_bytes());
    bytes[8..40].copy_from_slice(sum);
    let check = xxh3_64_with_seed(&bytes[..40], seed);
    bytes[40..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads a journal: its header, and the sums by number of block. None: it is none, or about nothing.
pub fn read(bytes: &[u8]) -> Option<(Header, BTreeMap<u64, BlockSum>)> {
    let header_bytes = bytes.first_chunk::<HEADER_BYTES>()?;
    let header = Header::from_bytes(header_bytes)?;
    let blocks = header.size.div_ceil(BLOCK);
    let mut sums = BTreeMap::new();
    for found in bytes[HEADER_BYTES..].chunks_exact(RECORD_BYTES) {
        let block = u64_at(found, 0);
        let mut sum = [0; 32];
        sum.copy_from_slice(&found[8..40]);
        if block < blocks && record(seed(header_bytes), block, &sum) == found {
            sums.insert(block, sum);
        }
    }
    Some((header, sums))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Header, Vec<u8>) {
        let header = Header { size: 3 * BLOCK + 1, plan: [7; 16], etag: Some("\"strong\"".to_owned()) };
        let head = header.to_bytes();
        let mut bytes = head.to_vec();
        for block in [2, 0, 3] {
            bytes.extend(record(seed(&head), block, &[u8::try_from(block).unwrap(); 32]));
        }
        (header, bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let (header, bytes) = journal();
        let sums = BTreeMap::from([(0, [0; 32]), (2, [2; 32]), (3, [3; 32])]);
        assert_eq!(read(&bytes), Some((header, sums)));
    }

    #[test]
    fn damage_of_any_byte_costs_its_record_and_no_other() {
        let (header, bytes) = journal();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[place] ^= 1 << bit;
                if place < HEADER_BYTES {
                    assert_eq!(read(&damaged), None, "{place}");
                    continue;
                }
                let lost = [2, 0, 3][(place - HEADER_BYTES) / RECORD_BYTES];
                let (found, sums) = read(&damaged).unwrap();
                assert_eq!(found, header);
                assert_eq!(sums.len(), 2, "{place}");
                assert!(!sums.contains_key(&lost));
            }
        }
    }

    #[test]
    fn a_torn_end_and_records_of_another_journal_are_left_out() {
        let (_, bytes) = journal();
        for length in 0..bytes.len() {
            let records = length.checked_sub(HEADER_BYTES).map(|rest| rest / RECORD_BYTES);
            assert_eq!(read(&bytes[..length]).map(|(_, sums)| sums.len()), records);
        }
        let other = Header { size: 3 * BLOCK, plan: [7; 16], etag: None };
        let mut mixed = other.to_bytes().to_vec();
        mixed.extend(&bytes[HEADER_BYTES..]);
        assert_eq!(read(&mixed), Some((other, BTreeMap::new())));
    }

    #[test]
    fn plans_differ_by_what_they_pin() {
        let keys = [
            plan_key(None, None),
            plan_key(Some("a"), None),
            plan_key(Some("b"), None),
            plan_key(None, Some(&[1; 32])),
            plan_key(Some("a"), Some(&[1; 32])),
        ];
        assert!((0..5).all(|one| (0..one).all(|other| keys[one] != keys[other])));
    }

    #[test]
    fn an_etag_that_is_too_long_is_not_kept() {
        let header = Header { size: 1, plan: [0; 16], etag: Some("x".repeat(MAX_ETAG + 1)) };
        assert_eq!(read(&header.to_bytes()), Some((Header { etag: None, ..header }, BTreeMap::new())));
    }
}
