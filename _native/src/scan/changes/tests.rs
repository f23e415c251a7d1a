use super::super::tree::Stat;
use super::*;

const TIME: i64 = 1_000;

fn stat(inode: u64, size: u64) -> Stat {
    Stat { size, mtime_ns: TIME, ctime_ns: TIME, inode, device: 1, link_count: 1 }
}

/// A tree of model folders directly in the root, each with a document of the stat given.
fn tree(models: &[(&str, Kind, Stat)]) -> Tree {
    let mut tree = Tree::default();
    tree.push(0, "", Kind::Folder, Some(&Stat::default()));
    for (name, _, _) in models {
        tree.push(0, name, Kind::Folder, Some(&Stat::default()));
    }
    for (folder, (_, kind, stat)) in (1..).zip(models) {
        tree.push(folder, "metadata.json", *kind, Some(stat));
    }
    tree
}

fn changes(tree: &Tree, known: &[u8]) -> Changes {
    changed_documents(tree, known, TIME).unwrap()
}

#[test]
fn what_was_recorded_is_unchanged() {
    let all = tree(&[("a", Kind::File, stat(1, 5)), ("b", Kind::File, stat(2, 6))]);
    let first = changes(&all, b"");
    assert_eq!((first.unchanged, &first.changed[..]), (0, &[3, 4][..]));
    assert_eq!(first.records.len(), 2 * RECORD_BYTES);
    assert_eq!(first.records[..16], xxh3_128(b"a").to_be_bytes());
    let second = changes(&all, &first.records);
    assert_eq!(second, Changes { unchanged: 2, records: first.records, ..Changes::default() });
}

#[test]
fn every_figure_counts() {
    let known = changes(&tree(&[("a", Kind::File, stat(1, 5))]), b"").records;
    let old = stat(1, 5);
    for other in [
        Stat { size: 6, ..old },
        Stat { inode: 2, ..old },
        Stat { mtime_ns: 3, ..old },
        Stat { ctime_ns: 3, ..old },
    ] {
        assert_eq!(changes(&tree(&[("a", Kind::File, other)]), &known).changed, [2], "{other:?}");
    }
}

#[test]
fn a_young_document_is_looked_at_again_also_next_time() {
    let young = tree(&[("a", Kind::File, Stat { ctime_ns: TIME + 1, ..stat(1, 5) })]);
    let known = changes(&young, b"").records;
    assert_eq!(changes(&young, &known).changed, [2]);
    let later = changed_documents(&young, &known, TIME + 1).unwrap();
    assert_eq!(later.changed, [2], "it was young when it was recorded");
    assert_eq!(changed_documents(&young, &later.records, TIME + 1).unwrap().unchanged, 1);
}

#[test]
fn a_link_is_never_unchanged() {
    let linked = tree(&[("a", Kind::Link, stat(1, 5))]);
    let known = changes(&linked, b"").records;
    assert_eq!(changes(&linked, &known).changed, [2]);
}

#[test]
fn vanished_documents_are_told() {
    let old = tree(&[("a", Kind::File, stat(1, 5)), ("b", Kind::File, stat(2, 6))]);
    let known = changes(&old, b"").records;
    let found = changes(&tree(&[("c", Kind::File, stat(1, 5))]), &known);
    assert_eq!(found.vanished, [xxh3_128(b"a"), xxh3_128(b"b")]);
    assert_eq!(found.changed, [2]);
}

#[test]
fn a_repeated_record_is_not_believed() {
    let all = tree(&[("a", Kind::File, stat(1, 5))]);
    let known = changes(&all, b"").records.repeat(2);
    assert_eq!(changes(&all, &known).changed, [2]);
    let gone = changes(&tree(&[("b", Kind::File, stat(1, 5))]), &known);
    assert_eq!(gone.vanished, [xxh3_128(b"a")]);
}

#[test]
fn a_document_in_the_root_is_none() {
    let mut tree = Tree::default();
    tree.push(0, "", Kind::Folder, Some(&Stat::default()));
    tree.push(0, "metadata.json", Kind::File, Some(&stat(1, 5)));
    assert_eq!(changes(&tree, b""), Changes::default());
}

#[test]
fn records_cut_off_and_a_tree_without_stats_are_errors() {
    let all = tree(&[("a", Kind::File, stat(1, 5))]);
    assert_eq!(changed_documents(&all, &[0; 47], TIME), Err(ChangesError::Length(47)));
    let mut names = Tree::default();
    names.push(0, "", Kind::Folder, None);
    assert_eq!(changed_documents(&names, b"", TIME), Err(ChangesError::NoStats));
}
