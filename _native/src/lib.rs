//! Compiled cores of Pumas: pure functions over paths, bytes and limits.
//!
//! The domains (`documents`, `hash`, `headers`, `place`, `scan`, `transfer`) are plain Rust and know nothing of
//! Python; `python` is the boundary and exists only with the feature of that name.

pub mod control;
pub mod documents;
pub mod hash;
pub mod headers;
pub mod parallel;
pub mod place;
mod regular;
pub mod scan;
pub mod transfer;

#[cfg(feature = "python")]
mod python;
