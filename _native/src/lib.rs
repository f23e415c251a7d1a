//! Compiled cores of Pumas: pure functions over paths, bytes and limits.
//!
//! The domains (`documents`, `hash`, `headers`, `place`, `scan`) are plain Rust and know nothing of Python; `python`
//! is the boundary and exists only with the feature of that name.

pub mod control;
pub mod documents;
pub mod hash;
pub mod headers;
pub mod parallel;
pub mod place;
pub mod scan;

#[cfg(feature = "python")]
mod python;
