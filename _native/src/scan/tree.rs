//! The result of a walk: parallel columns, folders before what they hold.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

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

/// Something that could not be looked at, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Below the root.
    pub path: PathBuf,
    /// `vanished`, `unreadable`, `not-utf8`, `too-deep`.
    pub reason: &'static str,
}

/// Columns of equal length; entry 0 is the root with an empty name. The three of the stat are empty
/// when only names were asked for.
#[derive(Debug, Default)]
pub struct Tree {
    pub kinds: Vec<u8>,
    /// Index of the folder an entry lies in; the root's is 0.
    pub parents: Vec<u32>,
    pub sizes: Vec<u64>,
    pub mtimes_ns: Vec<i64>,
    pub inodes: Vec<u64>,
    /// All names one after another; entry n ends at `name_ends[n]`.
    pub names: Vec<u8>,
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

    pub fn name(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.name_ends[index - 1] as usize };
        &self.names[start..self.name_ends[index] as usize]
    }

    /// Path of an entry below the root, empty for the root itself.
    pub fn path(&self, index: usize) -> PathBuf {
        let mut parts = Vec::new();
        let mut at = index;
        while at != 0 {
            parts.push(os_string(self.name(at)));
            at = self.parents[at] as usize;
        }
        parts.iter().rev().collect()
    }
}

/// Bytes of a name as the columns hold them (on Windows: WTF-8).
pub fn name_bytes(name: &OsStr) -> &[u8] {
    name.as_encoded_bytes()
}

#[cfg(unix)]
fn os_string(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os_string(bytes: &[u8]) -> OsString {
    // Names that are not Unicode were left out of the columns (`not-utf8`).
    OsString::from(String::from_utf8_lossy(bytes).into_owned())
}
