//! A parallel walk over a folder tree, one stat per reported entry, results as columns.
//!
//! Links are reported and never followed, so a loop of links ends the walk nowhere; what can't be
//! looked at is reported as a problem and the walk goes on.

mod tree;
mod walk;

pub use tree::{Kind, Problem, Tree};
pub use walk::{scan_tree, Options, ScanError};
