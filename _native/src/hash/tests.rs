use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::control::CancelFlag;

const ALL: [&str; 3] = ["sha256", "blake3", "xxh3_128"];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("pumas-hash-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hash_with(paths: &[PathBuf], kernel: Kernel, workers: usize) -> Vec<Result<Hashed, FileError>> {
    let plan = Plan { algorithms: Algorithms::named(&ALL).unwrap(), kernel };
    hash_files(paths, plan, workers, &Control::default()).unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bytes 0, 1, … 250, 0, 1, …: those of BLAKE3's own test vectors.
fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn known_answers_of_every_kernel() {
    let folder = Folder::new("known");
    let abc = folder.write("abc", b"abc");
    let empty = folder.write("empty", b"");
    for kernel in Kernel::available() {
        let hashed = hash_with(&[abc.clone(), empty.clone()], kernel, 1);
        let digests = |index: usize| hashed[index].as_ref().unwrap().digests.clone();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1
        assert_eq!(hex(digests(0).sha256.unwrap()), sha256, "{kernel:?}");
        let blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        assert_eq!(hex(digests(0).blake3.unwrap()), blake3);
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(digests(1).sha256.unwrap()), sha256);
        let blake3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hex(digests(1).blake3.unwrap()), blake3);
        assert_eq!(hex(digests(1).xxh3_128.unwrap()), "99aa06d3014798d86001c324468d497f");
    }
}

/// Files of all lengths around the borders of blocks and chunks, hashed together: whatever meets in a stream, and
/// whoever gives a file to whom, the digests are those of each alone.
#[test]
fn kernels_and_workers_give_equal_digests() {
    let folder = Folder::new("equal");
    let around = |size: usize| [size - 65, size - 9, size - 8, size - 1, size, size + 1, size + 56];
    let lengths: Vec<usize> = (0..130)
        .chain([lane::CHUNK, 2 * lane::CHUNK, (1 << 20) + lane::CHUNK].into_iter().flat_map(around))
        .collect();
    let bytes = pattern(2 << 20);
    let paths: Vec<PathBuf> =
        lengths.iter().map(|length| folder.write(&length.to_string(), &bytes[..*length])).collect();
    let expected: Vec<Digests> = lengths
        .iter()
        .map(|length| Digests {
            sha256: Some(<sha2::Sha256 as sha2::Digest>::digest(&bytes[..*length]).into()),
            blake3: Some(*blake3::hash(&bytes[..*length]).as_bytes()),
            xxh3_128: Some(xxhash_rust::xxh3::xxh3_128(&bytes[..*length]).to_be_bytes()),
        })
        .collect();
    for kernel in Kernel::available() {
        for workers in 1..3 {
            let hashed = hash_with(&paths, kernel, workers);
            for ((path, expected), hashed) in paths.iter().zip(&expected).zip(hashed) {
                let hashed = hashed.unwrap();
                assert_eq!(&hashed.digests, expected, "{kernel:?} {workers} {}", path.display());
                assert_eq!(hashed.fingerprint, source::fingerprint(path).unwrap());
            }
        }
    }
}

#[test]
fn only_what_was_asked_for_is_computed() {
    let folder = Folder::new("asked");
    let paths = [folder.write("one", &pattern(2 << 20))];
    let full = hash_with(&paths, Kernel::Portable, 1).remove(0).unwrap().digests;
    for name in ALL {
        let plan = Plan { algorithms: Algorithms::named(&[name]).unwrap(), kernel: Kernel::Portable };
        let hashed = hash_files(&paths, plan, 1, &Control::default()).unwrap().remove(0).unwrap();
        let expected = Digests {
            sha256: full.sha256.filter(|_| name == "sha256"),
            blake3: full.blake3.filter(|_| name == "blake3"),
            xxh3_128: full.xxh3_128.filter(|_| name == "xxh3_128"),
        };
        assert_eq!(hashed.digests, expected);
    }
}

#[test]
fn names_that_mean_nothing_are_errors() {
    assert_eq!(Algorithms::named(&["md5"]), Err(HashError::UnknownAlgorithm("md5".to_owned())));
    assert_eq!(Algorithms::named::<&str>(&[]), Err(HashError::NoAlgorithm));
    assert_eq!(Kernel::named("mmx"), Err(HashError::UnknownKernel("mmx".to_owned())));
    assert_eq!(Kernel::named("auto").unwrap(), Kernel::available().next().unwrap());
    for kernel in Kernel::available() {
        assert_eq!(Kernel::named(kernel.name()), Ok(kernel));
    }
}

#[test]
fn a_bad_file_never_hides_a_good_one() {
    let folder = Folder::new("bad");
    let good = folder.write("good", b"abc");
    let paths = [folder.0.join("missing"), good.clone(), folder.0.clone(), good];
    let outcomes = hash_with(&paths, Kernel::Portable, 2);
    let told: Vec<_> = outcomes.iter().map(|one| one.as_ref().err().map(ToString::to_string)).collect();
    assert!(told[0].as_ref().unwrap().contains("No such file"));
    assert_eq!(told[2].as_deref(), Some("it is a folder, not a regular file"));
    assert_eq!((&told[1], &told[3]), (&None, &None));
}

#[test]
fn a_file_that_changes_while_it_is_read_has_no_digest() {
    let folder = Folder::new("changes");
    let path = folder.write("grows", b"abc");
    let read = |source: &mut source::Source| source.read(&mut [0; 16]);
    let mut grown = source::Source::open(&path).unwrap();
    assert_eq!(read(&mut grown).unwrap(), 3);
    fs::File::options().append(true).open(&path).unwrap().write_all(b"d").unwrap();
    assert!(matches!(grown.finish(), Err(FileError::Changed)));
    let mut cut = source::Source::open(&path).unwrap();
    fs::File::create(&path).unwrap();
    assert!(matches!(read(&mut cut), Err(FileError::Changed)));
}

#[test]
fn ends_when_cancelled() {
    let folder = Folder::new("cancelled");
    let path = folder.write("one", &pattern(3 << 20));
    let cancel = CancelFlag::default();
    cancel.set();
    let plan = Plan { algorithms: Algorithms::named(&ALL).unwrap(), kernel: Kernel::Portable };
    let outcome = hash_files(&[path.clone(), path], plan, 2, &Control::new(cancel));
    assert_eq!(outcome.err(), Some(HashError::Cancelled));
}

#[cfg(target_os = "linux")]
#[test]
fn files_of_a_rotating_disk_are_read_one_after_the_other() {
    use std::os::unix::fs::{symlink, MetadataExt};
    let folder = Folder::new("rotating");
    let paths: Vec<PathBuf> =
        (0..4).map(|number| folder.write(&number.to_string(), &pattern(2 << 20))).collect();
    let device = fs::metadata(&folder.0).unwrap().dev();
    let disk = folder.0.join("sda");
    fs::create_dir_all(disk.join("queue")).unwrap();
    fs::write(disk.join("queue/rotational"), "1\n").unwrap();
    fs::create_dir_all(folder.0.join("dev/block")).unwrap();
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    symlink(&disk, folder.0.join("dev/block").join(number)).unwrap();
    let plan = Plan { algorithms: Algorithms::named(&ALL).unwrap(), kernel: Kernel::Portable };
    let control = Control::default();
    let in_turn = batch::hash(&paths, None, plan, 3, &control, &folder.0).unwrap();
    let at_once = batch::hash(&paths, None, plan, 3, &control, Path::new("/nowhere")).unwrap();
    for (one, other) in in_turn.into_iter().zip(at_once) {
        assert_eq!(one.unwrap(), other.unwrap());
    }
}
