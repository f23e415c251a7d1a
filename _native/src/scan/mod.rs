//! A parallel walk over a folder tree, one stat per reported entry, results as columns.
//!
//! Links are reported and never followed, so a loop of links ends the walk nowhere; what can't be
//! looked at is reported as a problem and the walk goes on.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;

use crate::control::Control;

mod changes;
mod hard_links;
mod links;
mod listing;
mod tree;
mod walk;

pub use changes::{changed_documents, Changes, ChangesError, RECORD_BYTES};
pub use links::State;
pub use tree::{Kind, Problem, Stat, Tree};

#[derive(Debug, Error)]
pub enum ScanError {
    #[error("the folder can't be opened: {0}")]
    Root(#[from] io::Error),
    #[error("the tree has more than {} entries", walk::MAX_ENTRIES)]
    TooLarge,
    #[error("cancelled")]
    Cancelled,
}

/// What a walk reports and where it goes.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)] // independent switches, each named where it is set
pub struct Options {
    /// Report only files and links of these names (folders always); all when empty.
    pub names: Vec<OsString>,
    /// Leave out entries whose name begins with a dot.
    pub skip_hidden: bool,
    /// Below the root, do not enter the folders of a folder that holds a file or link of this name.
    pub leaf_marker: Option<OsString>,
    /// Leave the columns of the stat empty and save the stat of each entry.
    pub names_only: bool,
    /// Fill the columns of links: where they lead, and what is hard-linked.
    pub links: bool,
    /// Fill the column of states alone, by one stat a link: whether anything is there.
    pub link_states: bool,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
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
    let mut tree = walk::walk::<listing::System>(root, options, workers, control)?;
    if options.links {
        let root = fs::canonicalize(root)?;
        let resolved = links::resolve(&tree, &root, workers, control).ok_or(ScanError::Cancelled)?;
        (tree.link_states, tree.link_targets) = resolved;
        tree.hard_link_groups = hard_links::groups(&tree);
    } else if options.link_states {
        tree.link_states = links::look(&tree, root, workers, control).ok_or(ScanError::Cancelled)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests;
