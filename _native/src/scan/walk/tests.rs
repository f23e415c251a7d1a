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
    (1..tree.len()).map(|index| tree.path(index).to_str().unwrap().to_owned()).collect()
}

#[test]
fn reports_everything_in_a_stable_order() {
    let root = tree_of("all");
    let one = scan_tree(&root, &Options::default(), 1, &Control::default()).unwrap();
    let two = scan_tree(&root, &Options::default(), 2, &Control::default()).unwrap();
    assert_eq!(paths(&one), paths(&two));
    assert_eq!(one.len(), 12);
    assert!(one.problems.is_empty());
    let index = (0..one.len()).find(|n| one.name(*n) == b"model.gguf").unwrap();
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
    let kind = |name: &str| tree.kinds[(0..tree.len()).find(|n| tree.name(*n) == name.as_bytes()).unwrap()];
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
fn a_folder_that_vanishes_is_a_problem_not_an_error() {
    let root = tree_of("vanish");
    let listing = list_folder(&root, Path::new("gone"), &Options::default());
    assert_eq!(listing.problems, [Problem { path: "gone".into(), reason: "vanished" }]);
    fs::remove_dir_all(root).unwrap();
}
