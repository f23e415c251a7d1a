//! Level by level: the folders of one depth are listed in parallel, then appended in order.
//!
//! So the result is the same whatever the threads do, and a folder's index is known before its
//! entries are looked at.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::tree::{name_bytes, Kind, Problem, Tree};
use crate::control::Control;
use crate::parallel;

/// Deepest level entered. Links are not followed, so only a bind mount into itself gets near it.
const MAX_DEPTH: usize = 128;

/// Most entries a walk holds: indexes are 32 bits wide.
const MAX_ENTRIES: usize = u32::MAX as usize / 64;

#[derive(Debug, Error)]
pub enum ScanError {
    #[error("the folder can't be opened: {0}")]
    Root(#[from] io::Error),
    #[error("the tree has more than {MAX_ENTRIES} entries")]
    TooLarge,
    #[error("cancelled")]
    Cancelled,
}

/// What a walk reports and where it goes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Report only files and links of these names (folders always); all when empty.
    pub names: Vec<OsString>,
    /// Leave out entries whose name begins with a dot.
    pub skip_hidden: bool,
    /// Below the root, do not enter the folders of a folder that holds a file or link of this name.
    pub leaf_marker: Option<OsString>,
    /// Leave the columns `sizes`, `mtimes_ns` and `inodes` empty and save the stat of each entry.
    pub names_only: bool,
}

struct Entry {
    kind: Kind,
    name: OsString,
    stat: Option<Stat>,
}

struct Stat {
    size: u64,
    mtime_ns: i64,
    inode: u64,
}

#[derive(Default)]
struct Listing {
    entries: Vec<Entry>,
    problems: Vec<Problem>,
    is_leaf: bool,
}

struct Folder {
    index: u32,
    /// Below the root.
    path: PathBuf,
}

/// Walks `root`. One unit of progress per entry.
///
/// # Errors
/// `Root` when the root itself can't be listed; everything below it only becomes a `Problem`.
pub fn scan_tree(
    root: &Path,
    options: &Options,
    workers: usize,
    control: &Control,
) -> Result<Tree, ScanError> {
    let metadata = fs::metadata(root)?;
    fs::read_dir(root)?;
    let mut tree = Tree::default();
    let stat = (!options.names_only).then(|| stat_of(&metadata));
    append(&mut tree, 0, &Entry { kind: Kind::Folder, name: OsString::new(), stat });
    let mut level = vec![Folder { index: 0, path: PathBuf::new() }];
    for depth in 0..=MAX_DEPTH {
        if level.is_empty() {
            break;
        }
        if depth == MAX_DEPTH {
            let too_deep = level.into_iter().map(|folder| Problem { path: folder.path, reason: "too-deep" });
            tree.problems.extend(too_deep);
            break;
        }
        let listings = parallel::map(&level, workers, control, |folder| {
            let listing = list_folder(root, &folder.path, options);
            control.advance(listing.entries.len() as u64);
            listing
        })
        .ok_or(ScanError::Cancelled)?;
        level = append_level(&mut tree, &level, listings)?;
    }
    Ok(tree)
}

fn append_level(tree: &mut Tree, level: &[Folder], listings: Vec<Listing>) -> Result<Vec<Folder>, ScanError> {
    let mut next = Vec::new();
    for (folder, listing) in level.iter().zip(listings) {
        tree.problems.extend(listing.problems);
        let stops_here = listing.is_leaf && folder.index != 0;
        for entry in listing.entries {
            if entry.kind == Kind::Folder && stops_here {
                continue;
            }
            let index = append(tree, folder.index, &entry);
            if entry.kind == Kind::Folder {
                next.push(Folder { index, path: folder.path.join(entry.name) });
            }
        }
        if tree.len() > MAX_ENTRIES || tree.names.len() > u32::MAX as usize / 2 {
            return Err(ScanError::TooLarge);
        }
    }
    Ok(next)
}

fn append(tree: &mut Tree, parent: u32, entry: &Entry) -> u32 {
    // `append_level` keeps every count far below 2^32.
    let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let index = short(tree.len());
    tree.kinds.push(entry.kind as u8);
    tree.parents.push(parent);
    if let Some(stat) = &entry.stat {
        tree.sizes.push(stat.size);
        tree.mtimes_ns.push(stat.mtime_ns);
        tree.inodes.push(stat.inode);
    }
    tree.names.extend_from_slice(name_bytes(&entry.name));
    tree.name_ends.push(short(tree.names.len()));
    index
}

fn list_folder(root: &Path, path: &Path, options: &Options) -> Listing {
    let mut listing = Listing::default();
    let entries = match fs::read_dir(root.join(path)) {
        Ok(entries) => entries,
        Err(error) => {
            listing.problems.push(Problem { path: path.to_owned(), reason: reason(&error) });
            return listing;
        }
    };
    for entry in entries {
        match entry {
            Ok(entry) => look_at(&entry, path, options, &mut listing),
            Err(error) => listing.problems.push(Problem { path: path.to_owned(), reason: reason(&error) }),
        }
    }
    listing.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    listing
}

fn look_at(entry: &DirEntry, folder: &Path, options: &Options, listing: &mut Listing) {
    let name = entry.file_name();
    if options.skip_hidden && name_bytes(&name).first() == Some(&b'.') {
        return;
    }
    if name.to_str().is_none() {
        listing.problems.push(Problem { path: folder.join(name), reason: "not-utf8" });
        return;
    }
    // The kind comes with the listing on most file systems; only what is reported costs a stat.
    let looked = entry.file_type().and_then(|kind| {
        let kind = kind_of(kind);
        if matches!(kind, Kind::File | Kind::Link) && options.leaf_marker.as_deref() == Some(&name) {
            listing.is_leaf = true;
        }
        if kind != Kind::Folder && !is_wanted(&name, options) {
            return Ok(None);
        }
        let stat = if options.names_only { None } else { Some(stat_of(&entry.metadata()?)) };
        Ok(Some((kind, stat)))
    });
    match looked {
        Ok(Some((kind, stat))) => listing.entries.push(Entry { kind, name, stat }),
        Ok(None) => {}
        Err(error) => listing.problems.push(Problem { path: folder.join(name), reason: reason(&error) }),
    }
}

fn is_wanted(name: &OsStr, options: &Options) -> bool {
    options.names.is_empty() || options.names.iter().any(|wanted| wanted == name)
}

fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}

fn reason(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound {
        "vanished"
    } else {
        "unreadable"
    }
}

#[cfg(unix)]
fn stat_of(metadata: &Metadata) -> Stat {
    use std::os::unix::fs::MetadataExt;
    let mtime_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
    Stat { size: metadata.size(), mtime_ns, inode: metadata.ino() }
}

#[cfg(not(unix))]
fn stat_of(metadata: &Metadata) -> Stat {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime_ns = since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    Stat { size: metadata.len(), mtime_ns, inode: 0 }
}

#[cfg(test)]
mod tests;
