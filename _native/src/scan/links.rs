//! Where the links of a tree lead, as the system resolves them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::{Kind, Tree};
use crate::control::Control;
use crate::parallel;

/// What following a link comes to; the byte stands in the column `link_states`, 0 for other entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Something inside the tree, reported or not.
    Inside = b't',
    /// Something outside the tree.
    Outside = b'x',
    /// Something; whether inside or outside was not asked.
    There = b'y',
    /// Nothing: a part of the way is missing or is no folder.
    Broken = b'b',
    /// No end: the system gives up (`ELOOP`: a link to itself, links in a ring, a chain over its
    /// limit), or the target is a folder that holds the link, in the tree or above it.
    Loop = b'o',
    /// Not told: a folder on the way may not be searched, the path is too long, the disk fails.
    Unknown = b'u',
}

/// States and targets of all entries; the target of what is no link, or whose target is no entry, is
/// the entry itself. `root` is the canonical path of the tree's root.
///
/// Returns `None` when cancelled.
pub fn resolve(tree: &Tree, root: &Path, workers: usize, control: &Control) -> Option<(Vec<u8>, Vec<u32>)> {
    let links = links_of(tree);
    let of_folders: Vec<&[usize]> = links.chunk_by(|a, b| tree.parents[*a] == tree.parents[*b]).collect();
    let resolved = parallel::map(&of_folders, workers, control, |links| resolve_folder(tree, root, links))?;
    let mut states = vec![0; tree.len()];
    let mut targets: Vec<u32> = (0..).take(tree.len()).collect();
    for (index, (state, target)) in links.into_iter().zip(resolved.into_iter().flatten()) {
        states[index] = state as u8;
        targets[index] = target.unwrap_or(targets[index]);
    }
    Some((states, targets))
}

/// States of all entries by one stat a link: whether anything is there, not where.
///
/// Returns `None` when cancelled.
pub fn look(tree: &Tree, root: &Path, workers: usize, control: &Control) -> Option<Vec<u8>> {
    let links = links_of(tree);
    let of_folders: Vec<&[usize]> = links.chunk_by(|a, b| tree.parents[*a] == tree.parents[*b]).collect();
    let looked = parallel::map(&of_folders, workers, control, |links| {
        let folder = root.join(tree.path(tree.parents[links[0]] as usize));
        let state = |index: &usize| match fs::metadata(folder.join(tree.name(*index))) {
            Ok(_) => State::There,
            Err(error) => state_of(&error),
        };
        links.iter().map(state).collect::<Vec<_>>()
    })?;
    let mut states = vec![0; tree.len()];
    for (index, state) in links.into_iter().zip(looked.into_iter().flatten()) {
        states[index] = state as u8;
    }
    Some(states)
}

fn links_of(tree: &Tree) -> Vec<usize> {
    (0..tree.len()).filter(|at| tree.kinds[*at] == Kind::Link as u8).collect()
}

/// Resolves the links that lie in one folder.
fn resolve_folder(tree: &Tree, root: &Path, links: &[usize]) -> Vec<(State, Option<u32>)> {
    let parent = tree.parents[links[0]];
    let folder = root.join(tree.path(parent as usize));
    let mut places = HashMap::from([(PathBuf::new(), Place::Entry(parent))]);
    let mut resolved = Vec::with_capacity(links.len());
    for index in links {
        let link = folder.join(tree.name(*index));
        let near = fs::read_link(&link).ok().and_then(|text| near(tree, root, &link, &text, &mut places));
        resolved.push(match near {
            Some(entry) if tree.holds(entry, *index) => (State::Loop, Some(entry)),
            Some(entry) => (State::Inside, Some(entry)),
            None => ask_system(tree, root, &link),
        });
    }
    resolved
}

fn ask_system(tree: &Tree, root: &Path, link: &Path) -> (State, Option<u32>) {
    // A stat first: older C libraries resolve `file/` and `file/..`, which the system refuses.
    let target = match fs::metadata(link).and_then(|_| fs::canonicalize(link)) {
        Ok(target) => target,
        Err(error) => return (state_of(&error), None),
    };
    let entry = target.strip_prefix(root).map(|below| tree.find(below.iter()));
    let state = match entry {
        _ if link.starts_with(&target) => State::Loop,
        Ok(_) => State::Inside,
        Err(_) => State::Outside,
    };
    (state, entry.unwrap_or(None))
}

/// What is known of a folder that a link's text names.
enum Place {
    /// One link named it, and the system was asked where that leads.
    NamedOnce,
    /// It is this entry.
    Entry(u32),
    NoEntry,
}

/// The target of a link if its text names an entry, itself no link, of a folder named before.
///
/// PERF: links of a folder mostly name files of one other (a snapshot of a hub's cache its blobs); the
/// system would walk along the whole path for each, twice.
fn near(
    tree: &Tree,
    root: &Path,
    link: &Path,
    text: &Path,
    places: &mut HashMap<PathBuf, Place>,
) -> Option<u32> {
    let name = text.file_name()?.to_str()?;
    if !text.to_str()?.ends_with(name) {
        return None; // a slash or `/.` at its end, which must be a folder
    }
    let named = text.parent()?;
    let Some(place) = places.get_mut(named) else {
        places.insert(named.to_owned(), Place::NamedOnce);
        return None;
    };
    if let Place::NamedOnce = place {
        // The system may follow the links in the name of the folder, but not these and one more.
        fs::metadata(link).ok()?;
        let canonical = fs::canonicalize(link.parent()?.join(named)).ok();
        let below = canonical.as_deref().and_then(|path| path.strip_prefix(root).ok());
        *place = below.and_then(|below| tree.find(below.iter())).map_or(Place::NoEntry, Place::Entry);
    }
    let Place::Entry(place) = *place else { return None };
    tree.child(place, name).filter(|entry| tree.kinds[*entry as usize] != Kind::Link as u8)
}

fn state_of(error: &io::Error) -> State {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => State::Broken,
        _ if is_loop(error) => State::Loop,
        _ => State::Unknown,
    }
}

#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(not(unix))]
fn is_loop(error: &io::Error) -> bool {
    const ERROR_CANT_RESOLVE_FILENAME: i32 = 1921;
    error.raw_os_error() == Some(ERROR_CANT_RESOLVE_FILENAME)
}
