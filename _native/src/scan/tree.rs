//! The result of a walk: parallel columns, folders before what they hold.

use std::ffi::{OsStr, OsString};
use std::path::{PathBuf, MAIN_SEPARATOR};

/// What an entry is; the byte stands in the column `kinds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    File = b'f',
    Folder = b'd',
    Link = b'l',
    /// FIFO, socket, device.
    Other = b'o',
}

/// What one stat of an entry says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub inode: u64,
    pub device: u64,
    pub link_count: u64,
}

impl Kind {
    /// Whether an entry of this kind makes its folder a leaf: a folder or FIFO of the name does not.
    pub fn can_mark(self) -> bool {
        matches!(self, Self::File | Self::Link)
    }
}

/// Something that could not be looked at, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Below the root.
    pub path: PathBuf,
    /// `vanished`, `unreadable`, `not-utf8`, `too-deep`.
    pub reason: &'static str,
}

/// Columns of equal length; entry 0 is the root with an empty name. Those of the stat are empty when
/// only names were asked for, those of links when no links were.
#[derive(Debug, Default)]
pub struct Tree {
    pub kinds: Vec<u8>,
    /// Index of the folder an entry lies in, never falling; the root's is 0.
    pub parents: Vec<u32>,
    pub sizes: Vec<u64>,
    pub mtimes_ns: Vec<i64>,
    pub ctimes_ns: Vec<i64>,
    pub inodes: Vec<u64>,
    pub devices: Vec<u64>,
    /// Letters of `links::State`, 0 for what is not a link.
    pub link_states: Vec<u8>,
    pub link_targets: Vec<u32>,
    pub link_counts: Vec<u64>,
    pub hard_link_groups: Vec<u32>,
    /// All names one after another, entry n ends at `name_ends[n]`.
    pub names: String,
    pub name_ends: Vec<u32>,
    pub problems: Vec<Problem>,
}

impl Tree {
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    pub fn name(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.name_ends[index - 1] as usize };
        &self.names[start..self.name_ends[index] as usize]
    }

    /// Path of an entry below the root, empty for the root itself.
    pub fn path(&self, index: usize) -> String {
        let mut path = String::new();
        self.write_path(index, MAIN_SEPARATOR, &mut path);
        path
    }

    /// Appends the path of an entry below the root; gives the number of its parts.
    pub fn write_path(&self, index: usize, separator: char, path: &mut String) -> usize {
        if index == 0 {
            return 0;
        }
        // A tree is at most `MAX_DEPTH` deep, so this ends on any stack.
        let above = self.write_path(self.parents[index] as usize, separator, path);
        if above > 0 {
            path.push(separator);
        }
        path.push_str(self.name(index));
        above + 1
    }

    /// Index of the entry at a path below the root, given by its parts; None when the tree has none.
    pub fn find<'p>(&self, mut parts: impl Iterator<Item = &'p OsStr>) -> Option<u32> {
        // A part that is not Unicode is in no column.
        parts.try_fold(0, |folder, part| self.child(folder, part.to_str()?))
    }

    /// Whether `folder` is the entry's folder or one above that.
    pub fn holds(&self, folder: u32, entry: usize) -> bool {
        let mut at = self.parents[entry];
        while at > folder {
            at = self.parents[at as usize]; // always a smaller index
        }
        at == folder
    }

    /// Index of the entry of this name in a folder.
    pub fn child(&self, folder: u32, name: &str) -> Option<u32> {
        // What lies in one folder stands together, sorted by name; the root is not in itself.
        let mut low = self.parents.partition_point(|parent| *parent < folder).max(1);
        let mut high = self.parents.partition_point(|parent| *parent <= folder);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return u32::try_from(middle).ok(),
            }
        }
        None
    }

    pub(super) fn push(&mut self, parent: u32, name: &str, kind: Kind, stat: Option<&Stat>) {
        self.kinds.push(kind as u8);
        self.parents.push(parent);
        self.names.push_str(name);
        // The walk ends long before there are 2^32 bytes of names.
        self.name_ends.push(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        if let Some(stat) = stat {
            self.sizes.push(stat.size);
            self.mtimes_ns.push(stat.mtime_ns);
            self.ctimes_ns.push(stat.ctime_ns);
            self.inodes.push(stat.inode);
            self.devices.push(stat.device);
        }
    }
}

#[cfg(unix)]
pub(super) fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
pub(super) fn os_string(bytes: &[u8]) -> OsString {
    // Only the path of a problem holds a name that is not Unicode, for people to read.
    OsString::from(String::from_utf8_lossy(bytes).into_owned())
}
