//! Which entries of a tree are one file under several names.

use super::tree::{Kind, Tree};

/// A group number per entry: 0 for one that is alone in the tree, else 1, 2, … in the order of the
/// groups' first entries. Folders are never in a group: what shows one twice is a bind mount.
///
/// Empty when the tree has no stats.
pub fn groups(tree: &Tree) -> Vec<u32> {
    let mut groups = vec![0; tree.link_counts.len()];
    let mut linked: Vec<_> = (0..tree.link_counts.len())
        .filter(|index| tree.link_counts[*index] > 1 && tree.kinds[*index] != Kind::Folder as u8)
        .map(|index| (tree.devices[index], tree.inodes[index], index))
        .collect();
    linked.sort_unstable();
    let mut found: Vec<_> =
        linked.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|group| group.len() > 1).collect();
    found.sort_unstable_by_key(|group| group[0].2);
    for (number, group) in (1..).zip(found) {
        for (_, _, index) in group {
            groups[*index] = number;
        }
    }
    groups
}
