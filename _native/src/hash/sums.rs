//! Which digests are wanted, and the states that grow into them.

use xxhash_rust::xxh3::Xxh3;

use super::sha256::{self, State};
use super::HashError;

/// A set of algorithms, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // a set
pub struct Algorithms {
    pub sha256: bool,
    pub blake3: bool,
    pub xxh3_128: bool,
}

impl Algorithms {
    /// # Errors
    /// A name is unknown, or there is none.
    pub fn named<S: AsRef<str>>(names: &[S]) -> Result<Self, HashError> {
        let mut algorithms = Self::default();
        for name in names {
            match name.as_ref() {
                "sha256" => algorithms.sha256 = true,
                "blake3" => algorithms.blake3 = true,
                "xxh3_128" => algorithms.xxh3_128 = true,
                other => return Err(HashError::UnknownAlgorithm(other.to_owned())),
            }
        }
        if algorithms == Self::default() {
            return Err(HashError::NoAlgorithm);
        }
        Ok(algorithms)
    }
}

/// What was wanted; `xxh3_128` in the canonical order of bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    pub sha256: Option<[u8; 32]>,
    pub blake3: Option<[u8; 32]>,
    pub xxh3_128: Option<[u8; 16]>,
}

/// The states of one file.
pub struct Sums {
    pub sha256: Option<State>,
    blake3: Option<Box<blake3::Hasher>>,
    xxh3: Option<Box<Xxh3>>,
}

impl Sums {
    pub fn new(algorithms: Algorithms) -> Self {
        Self {
            sha256: algorithms.sha256.then_some(sha256::INITIAL),
            blake3: algorithms.blake3.then(Box::default),
            xxh3: algorithms.xxh3_128.then(Box::default),
        }
    }

    /// Begins a new file.
    pub fn reset(&mut self) {
        self.sha256 = self.sha256.map(|_| sha256::INITIAL);
        if let Some(blake3) = &mut self.blake3 {
            blake3.reset();
        }
        if let Some(xxh3) = &mut self.xxh3 {
            xxh3.reset();
        }
    }

    /// Takes bytes into all states but SHA-256's.
    pub fn update_others(&mut self, bytes: &[u8]) {
        if let Some(blake3) = &mut self.blake3 {
            blake3.update(bytes);
        }
        if let Some(xxh3) = &mut self.xxh3 {
            xxh3.update(bytes);
        }
    }

    pub fn digests(&self) -> Digests {
        Digests {
            sha256: self.sha256.as_ref().map(sha256::digest),
            blake3: self.blake3.as_ref().map(|state| *state.finalize().as_bytes()),
            xxh3_128: self.xxh3.as_ref().map(|state| state.digest128().to_be_bytes()),
        }
    }
}
