use std::path::PathBuf;

use super::listing::{Portable, Source, System};
use super::*;
use crate::control::CancelFlag;

fn tree_of(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("pumas-scan-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    for folder in ["llm/llama/A/sub", "llm/qwen/B", ".downloads/x"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for file in ["llm/llama/A/metadata.json", "llm/llama/A/sub/metadata.json", "llm/qwen/B/model.gguf"] {
        fs::write(root.join(file), "{}").unwrap();
    }
    root
}

fn paths(tree: &Tree) -> Vec<String> {
    (1..tree.len()).map(|index| tree.path(index)).collect()
}

#[test]
fn reports_everything_in_a_stable_order() {
    let root = tree_of("all");
    let one = scan_tree(&root, &Options::default(), 1, &Control::default()).unwrap();
    let two = scan_tree(&root, &Options::default(), 2, &Control::default()).unwrap();
    assert_eq!(paths(&one), paths(&two));
    assert_eq!(one.len(), 12);
    assert!(one.problems.is_empty());
    let index = (0..one.len()).find(|n| one.name(*n) == "model.gguf").unwrap();
    assert_eq!((one.kinds[index], one.sizes[index]), (b'f', 2));
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn options_narrow_the_walk() {
    let root = tree_of("options");
    let options = Options {
        names: vec!["metadata.json".into()],
        skip_hidden: true,
        leaf_marker: Some("metadata.json".into()),
        names_only: true,
        links: false,
        link_states: false,
    };
    let tree = scan_tree(&root, &options, 2, &Control::default()).unwrap();
    assert_eq!(
        paths(&tree),
        ["llm", "llm/llama", "llm/qwen", "llm/llama/A", "llm/qwen/B", "llm/llama/A/metadata.json"]
    );
    assert!(tree.sizes.is_empty() && tree.mtimes_ns.is_empty() && tree.inodes.is_empty());
    fs::create_dir_all(root.join("llm/metadata.json/x")).unwrap();
    let below = scan_tree(&root, &options, 2, &Control::default()).unwrap();
    assert_eq!(below.len(), tree.len() + 2, "a folder of the name marks nothing");
    fs::remove_dir_all(root.join("llm/metadata.json")).unwrap();
    fs::write(root.join("metadata.json"), "{}").unwrap();
    let tree = scan_tree(&root, &options, 2, &Control::default()).unwrap();
    assert!(paths(&tree).contains(&"llm/qwen/B".to_owned()), "the root is never a leaf");
    fs::remove_dir_all(root).unwrap();
}

#[cfg(unix)]
#[test]
fn odd_entries_are_reported_and_survived() {
    use std::os::unix::ffi::OsStringExt;
    let root = tree_of("odd");
    std::os::unix::fs::symlink(&root, root.join("loop")).unwrap();
    fs::write(root.join(OsString::from_vec(b"caf\xe9".to_vec())), "").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(root.join("fifo")).status().unwrap().success());
    let tree = scan_tree(&root, &Options::default(), 2, &Control::default()).unwrap();
    let kind = |name: &str| tree.kinds[(0..tree.len()).find(|n| tree.name(*n) == name).unwrap()];
    assert_eq!((kind("loop"), kind("fifo")), (b'l', b'o'));
    assert_eq!(tree.problems.len(), 1);
    assert_eq!(tree.problems[0].reason, "not-utf8");
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_missing_root_and_a_cancelled_walk_are_errors() {
    let root = tree_of("errors");
    let missing = root.join("none");
    assert!(matches!(
        scan_tree(&missing, &Options::default(), 1, &Control::default()),
        Err(ScanError::Root(_))
    ));
    let cancel = CancelFlag::default();
    cancel.set();
    let cancelled = scan_tree(&root, &Options::default(), 1, &Control::new(cancel));
    assert!(matches!(cancelled, Err(ScanError::Cancelled)));
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_folder_that_vanishes_or_is_replaced_is_a_problem_not_an_error() {
    let root = tree_of("vanish");
    let source = System::open(&root).unwrap();
    let mut scratch = <System as Source>::Scratch::default();
    let mut list = |folder| source.list(folder, &Options::default(), &mut scratch).problems;
    assert_eq!(list("gone"), [Problem { path: "gone".into(), reason: "vanished" }]);
    let file = "llm/qwen/B/model.gguf";
    assert_eq!(list(file), [Problem { path: file.into(), reason: "vanished" }]);
    fs::remove_dir_all(root).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_in_place_of_a_folder_is_not_followed() {
    let root = tree_of("replaced");
    let source = System::open(&root).unwrap();
    std::os::unix::fs::symlink("llm", root.join("link")).unwrap();
    let mut scratch = <System as Source>::Scratch::default();
    let listing = source.list("link", &Options::default(), &mut scratch);
    assert!(listing.entries.is_empty());
    assert_eq!(listing.problems.len(), 1);
    fs::remove_dir_all(root).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn both_ways_of_listing_give_the_same() {
    let root = tree_of("ways");
    std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
    fs::hard_link(root.join("llm/qwen/B/model.gguf"), root.join("hard")).unwrap();
    for links in [false, true] {
        let options = Options { links, ..Options::default() };
        let one = walk::walk::<System>(&root, &options, 2, &Control::default()).unwrap();
        let two = walk::walk::<Portable>(&root, &options, 2, &Control::default()).unwrap();
        assert_eq!(format!("{one:?}"), format!("{two:?}"));
        assert_eq!(one.link_counts.is_empty(), !links);
    }
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn many_threads_give_what_one_gives() {
    let root = tree_of("threads");
    for n in 0..300 {
        let folder = root.join(format!("wide/{}/{n}", n % 7));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
    }
    fs::create_dir_all(root.join("n/a/r/r/o/w")).unwrap();
    let control = Control::default();
    let one = format!("{:?}", scan_tree(&root, &Options::default(), 1, &control).unwrap());
    for workers in [2, 3, 16] {
        let many = scan_tree(&root, &Options::default(), workers, &Control::default()).unwrap();
        assert_eq!(format!("{many:?}"), one);
        assert_eq!(control.done(), many.len() as u64 - 1);
    }
    fs::remove_dir_all(root).unwrap();
}

struct Panics;

impl Source for Panics {
    type Scratch = ();

    fn open(_: &Path) -> io::Result<Self> {
        Ok(Self)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::default())
    }

    fn list(&self, _: &str, _: &Options, (): &mut ()) -> listing::Listing {
        panic!("as asked")
    }
}

#[test]
#[should_panic(expected = "as asked")]
fn a_panic_ends_all_threads_and_is_passed_on() {
    let _ = walk::walk::<Panics>(Path::new(""), &Options::default(), 1, &Control::default());
}

#[test]
fn a_panic_leaves_no_thread_waiting() {
    let outcome = std::panic::catch_unwind(|| {
        walk::walk::<Panics>(Path::new(""), &Options::default(), 4, &Control::default())
    });
    assert!(outcome.is_err());
}

#[cfg(unix)]
#[test]
fn links_are_resolved_and_hard_links_grouped() {
    use std::os::unix::fs::symlink;
    let root = tree_of("links");
    symlink("../llama/A", root.join("llm/qwen/inside")).unwrap();
    symlink("/", root.join("above")).unwrap();
    symlink("/dev/null", root.join("outside")).unwrap();
    symlink("self", root.join("self")).unwrap();
    symlink("llm/qwen/B/model.gguf/", root.join("no-folder")).unwrap();
    fs::hard_link(root.join("llm/qwen/B/model.gguf"), root.join("hard")).unwrap();
    let options = Options { links: true, ..Options::default() };
    let tree = scan_tree(&root, &options, 2, &Control::default()).unwrap();
    let at = |path: &str| (0..tree.len()).find(|index| tree.path(*index) == path).unwrap();
    let link =
        |path: &str| (tree.link_states[at(path)] as char, tree.path(tree.link_targets[at(path)] as usize));
    assert_eq!(link("llm/qwen/inside"), ('t', "llm/llama/A".to_owned()));
    assert_eq!(link("above"), ('o', "above".to_owned()));
    assert_eq!(link("outside"), ('x', "outside".to_owned()));
    assert_eq!(link("self"), ('o', "self".to_owned()));
    assert_eq!(link("no-folder"), ('b', "no-folder".to_owned()));
    assert_eq!(tree.link_states[0], 0);
    assert_eq!(tree.hard_link_groups[at("hard")], 1);
    assert_eq!(tree.hard_link_groups[at("llm/qwen/B/model.gguf")], 1);
    assert_eq!(tree.hard_link_groups.iter().sum::<u32>(), 2);
    assert_eq!(tree.link_counts[at("hard")], 2);
    let options = Options { link_states: true, names_only: true, ..Options::default() };
    let states = scan_tree(&root, &options, 2, &Control::default()).unwrap();
    let states: Vec<char> = ["llm/qwen/inside", "above", "outside", "self", "no-folder"]
        .map(|path| states.link_states[at(path)] as char)
        .into();
    assert_eq!(states, ['y', 'y', 'y', 'o', 'b']);
    fs::remove_dir_all(root).unwrap();
}
