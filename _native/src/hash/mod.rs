//! Digests of files: one pass over each gives any of SHA-256, BLAKE3 and XXH3-128, and a copy if one is wanted.
//!
//! SHA-256 is the slow one, so the work is laid out around it. A worker reads two files by turns and computes
//! both SHA-256 in one stream of instructions (`sha_ni`); the other digests take each chunk while it is in the
//! cache. A long file that is alone is read and given to the others by one thread and to SHA-256 by a second
//! (`overlap`). Memory: 1 MiB a worker, 8 more for a long file, whatever the number and the size of the files.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::control::Control;
use crate::regular::Refusal;

mod batch;
mod buffer;
mod exchange;
mod kernel;
mod lane;
mod overlap;
mod rotation;
pub(crate) mod running;
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod source;
mod sums;
#[cfg(test)]
mod tests;

pub use kernel::Kernel;
pub use source::Fingerprint;
pub use sums::{Algorithms, Digests};

/// Why a whole call gives nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HashError {
    #[error("cancelled")]
    Cancelled,
    #[error("there is no algorithm {0:?}; known are sha256, blake3 and xxh3_128")]
    UnknownAlgorithm(String),
    #[error("no algorithm was named")]
    NoAlgorithm,
    #[error("there is no kernel {0:?}; known are auto, sha-ni-2, sha-ni-1 and portable")]
    UnknownKernel(String),
    #[error("the kernel {0} can't run here: the processor has no SHA instructions")]
    KernelUnavailable(&'static str),
}

/// Why one file has no digest; the others are not affected.
#[derive(Debug, Error)]
pub enum FileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is a {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("it changed while it was read")]
    Changed,
    /// The copy, not the file itself.
    #[error(transparent)]
    Target(io::Error),
}

impl From<Refusal> for FileError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io(error) => Self::Io(error),
            Refusal::NotRegular(kind) => Self::NotRegular(kind),
        }
    }
}

/// What is computed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub algorithms: Algorithms,
    pub kernel: Kernel,
}

/// The digests of one file, and what it was like when they were computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    pub digests: Digests,
    pub fingerprint: Fingerprint,
}

/// Digests of each file, in the order of `paths`. One unit of progress per byte read.
///
/// # Errors
/// `Cancelled`; what is wrong with a file stands in its place.
pub fn hash_files(
    paths: &[PathBuf],
    plan: Plan,
    workers: usize,
    control: &Control,
) -> Result<Vec<Result<Hashed, FileError>>, HashError> {
    batch::hash(paths, None, plan, workers, control, Path::new("/sys"))
}

/// The same, and what is read of each file is written to a new one: `targets` has them in the order of `paths`.
///
/// A copy is on disk, with the permissions and the time of its source, when its digests are given; else there is none.
///
/// # Errors
/// `Cancelled`; what is wrong with a file or its copy stands in its place.
pub fn copy_files(
    paths: &[PathBuf],
    targets: &[PathBuf],
    plan: Plan,
    workers: usize,
    control: &Control,
) -> Result<Vec<Result<Hashed, FileError>>, HashError> {
    batch::hash(paths, Some(targets), plan, workers, control, Path::new("/sys"))
}

/// Fingerprint of each file, in the order of `paths`, links followed: one stat per file.
///
/// # Errors
/// `Cancelled`.
pub fn fingerprint_files(
    paths: &[PathBuf],
    workers: usize,
    control: &Control,
) -> Result<Vec<Result<Fingerprint, FileError>>, HashError> {
    crate::parallel::map(paths, workers, control, |path| source::fingerprint(path))
        .ok_or(HashError::Cancelled)
}
