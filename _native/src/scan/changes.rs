//! Which documents of a tree are not as they were when they were last read.
//!
//! What is known is a row of records in any order, 48 bytes each:
//!
//! ```text
//! 0   xxh3_128 of the path of the document's folder below the root, `/` between its parts, big-endian
//! 16  inode u64 LE
//! 24  mtime_ns i64 LE
//! 32  size u64 LE
//! 40  ctime_ns i64 LE; i64::MAX: never trusted
//! ```

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_128;

use super::tree::{Kind, Tree};

pub const RECORD_BYTES: usize = 48;

/// A ctime that no file has: a document with it in its record counts as changed next time.
const NEVER_TRUSTED: i64 = i64::MAX;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum ChangesError {
    #[error("the known records have {0} bytes, which is no multiple of {RECORD_BYTES}")]
    Length(usize),
    #[error("the tree was scanned for names only")]
    NoStats,
}

/// What `changed_documents` found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub unchanged: usize,
    /// Entries of the tree, ascending.
    pub changed: Vec<u32>,
    /// Hashes of known records without an entry, in the order of the records.
    pub vanished: Vec<u128>,
    /// The records of all documents of the tree, in its order.
    pub records: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    hash: u128,
    inode: u64,
    mtime_ns: i64,
    size: u64,
    ctime_ns: i64,
}

impl Record {
    /// The record at a position of a row of whole records.
    fn at(position: usize, row: &[u8]) -> Self {
        let bytes = &row[position * RECORD_BYTES..][..RECORD_BYTES];
        let word = |at: usize| std::array::from_fn(|n| bytes[at + n]);
        Self {
            hash: u128::from_be_bytes(std::array::from_fn(|n| bytes[n])),
            inode: u64::from_le_bytes(word(16)),
            mtime_ns: i64::from_le_bytes(word(24)),
            size: u64::from_le_bytes(word(32)),
            ctime_ns: i64::from_le_bytes(word(40)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_be_bytes());
        out.extend_from_slice(&self.inode.to_le_bytes());
        out.extend_from_slice(&self.mtime_ns.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.ctime_ns.to_le_bytes());
    }
}

/// Compares every document of `tree` (file or link, not directly in the root) with its record.
///
/// Changed are: a document without a record or with several; one that differs from its record; one
/// whose mtime or ctime is after `racy_after_ns`; and every link, since its stat says nothing of the
/// document behind it. The record of the last two is never trusted.
///
/// # Errors
/// When `known` is cut off within a record, or the tree has no stats.
pub fn changed_documents(tree: &Tree, known: &[u8], racy_after_ns: i64) -> Result<Changes, ChangesError> {
    if known.len() % RECORD_BYTES != 0 {
        return Err(ChangesError::Length(known.len()));
    }
    if tree.sizes.len() != tree.len() {
        return Err(ChangesError::NoStats);
    }
    let documents = documents(tree);
    let (partners, vanished) = partners(known, &documents);
    let mut changes = Changes::default();
    changes.records.reserve(documents.len() * RECORD_BYTES);
    for ((hash, index), partner) in documents.into_iter().zip(partners) {
        let mut record = record_of(tree, index as usize, hash);
        let is_link = tree.kinds[index as usize] == Kind::Link as u8;
        let is_racy = is_link || record.mtime_ns.max(record.ctime_ns) > racy_after_ns;
        if !is_racy && matches!(partner, Partner::One(position) if Record::at(position, known) == record) {
            changes.unchanged += 1;
        } else {
            changes.changed.push(index);
        }
        if is_racy {
            record.ctime_ns = NEVER_TRUSTED;
        }
        record.write(&mut changes.records);
    }
    changes.vanished = vanished;
    Ok(changes)
}

/// Hash and entry of each document, in the order of the tree.
fn documents(tree: &Tree) -> Vec<(u128, u32)> {
    let mut folder_path = FolderPath::default();
    // The walk keeps indexes within 32 bits.
    let entries = (0..).zip(&tree.kinds).zip(&tree.parents).skip(1);
    entries
        .filter(|((_, kind), parent)| {
            **parent != 0 && (**kind == Kind::File as u8 || **kind == Kind::Link as u8)
        })
        .map(|((index, _), parent)| (folder_path.hash(tree, *parent), index))
        .collect()
}

/// What is known of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Partner {
    Absent,
    /// The record at this position.
    One(usize),
    /// Several records have its hash: which of them holds can't be told.
    Repeated,
}

/// The partner of each document; then the hashes of the records that are nobody's, in the order in
/// which they are known.
///
/// PERF: two sorts and a merge. A hash table misses the cache at every step and takes twice as long for
/// 100,000 documents; and no records, however made, make this slow.
fn partners(known: &[u8], documents: &[(u128, u32)]) -> (Vec<Partner>, Vec<u128>) {
    let mut old: Vec<_> = (0..known.len() / RECORD_BYTES)
        .map(|position| (Record::at(position, known).hash, position))
        .collect();
    let mut wanted: Vec<_> = documents.iter().map(|(hash, _)| *hash).zip(0_usize..).collect();
    old.sort_unstable();
    wanted.sort_unstable();
    let mut partners = vec![Partner::Absent; documents.len()];
    let mut vanished = Vec::new();
    let mut wanted = wanted.into_iter().peekable();
    for same in old.chunk_by(|a, b| a.0 == b.0) {
        let (hash, position) = same[0];
        let partner = if same.len() == 1 { Partner::One(position) } else { Partner::Repeated };
        let mut is_found = false;
        while let Some((at, number)) = wanted.next_if(|(at, _)| *at <= hash) {
            if at == hash {
                partners[number] = partner;
                is_found = true;
            }
        }
        if !is_found {
            vanished.push((position, hash));
        }
    }
    vanished.sort_unstable();
    (partners, vanished.into_iter().map(|(_, hash)| hash).collect())
}

fn record_of(tree: &Tree, entry: usize, hash: u128) -> Record {
    Record {
        hash,
        inode: tree.inodes[entry],
        mtime_ns: tree.mtimes_ns[entry],
        size: tree.sizes[entry],
        ctime_ns: tree.ctimes_ns[entry],
    }
}

/// Hashes paths of folders; those that lie side by side share the path above them.
#[derive(Default)]
struct FolderPath {
    above: Option<u32>,
    above_length: usize,
    text: String,
}

impl FolderPath {
    fn hash(&mut self, tree: &Tree, folder: u32) -> u128 {
        let above = tree.parents[folder as usize];
        if self.above != Some(above) {
            self.text.clear();
            if tree.write_path(above as usize, '/', &mut self.text) > 0 {
                self.text.push('/');
            }
            self.above = Some(above);
            self.above_length = self.text.len();
        }
        self.text.truncate(self.above_length);
        self.text.push_str(tree.name(folder as usize));
        xxh3_128(self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
