//! Opening and reading many small files in parallel, each within limits.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::PathBuf;

use super::columns::{columns_of, Columns};
use super::json::parse;
use crate::control::Control;
use crate::{parallel, regular};

/// What a document may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest file read, in bytes.
    pub max_bytes: u64,
    /// Deepest nesting parsed.
    pub max_depth: usize,
    /// Bytes of documents after which no more files are begun.
    pub max_total_bytes: u64,
}

/// Files read before the total is looked at again.
const CHUNK: usize = 256;

/// One file: its columns, and what was wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Document {
    pub columns: Option<Columns>,
    pub problem: Option<String>,
}

/// Reads and checks each file; results in the order of `paths`, fewer than those when `max_total_bytes` was
/// reached. One unit of progress per file.
///
/// Links, folders, FIFOs and devices are refused without waiting for them.
///
/// Returns `None` when cancelled.
pub fn read_metadata_files(
    paths: &[PathBuf],
    limits: Limits,
    workers: usize,
    control: &Control,
) -> Option<Vec<Document>> {
    let mut documents = Vec::with_capacity(paths.len());
    let mut total = 0;
    for chunk in paths.chunks(CHUNK) {
        let read = parallel::map(chunk, workers, control, |path| {
            let (document, bytes) = read_one(path, limits);
            control.advance(1);
            (document, bytes)
        })?;
        for (document, bytes) in read {
            total += bytes;
            documents.push(document);
        }
        if total > limits.max_total_bytes {
            break;
        }
    }
    Some(documents)
}

fn read_one(path: &PathBuf, limits: Limits) -> (Document, u64) {
    let bytes = match read_bounded(path, limits.max_bytes) {
        Ok(bytes) => bytes,
        Err(problem) => return (Document { columns: None, problem: Some(problem) }, 0),
    };
    let document = match parse(&bytes, limits.max_depth) {
        Ok(value) => {
            let reading = columns_of(&value);
            Document { columns: reading.columns, problem: reading.problem }
        }
        Err(error) => Document { columns: None, problem: Some(error.to_string()) },
    };
    (document, bytes.len() as u64)
}

fn read_bounded(path: &PathBuf, max_bytes: u64) -> Result<Vec<u8>, String> {
    let file = open_without_waiting(path).map_err(|error| describe(&error))?;
    let metadata = file.metadata().map_err(|error| describe(&error))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > max_bytes {
        return Err(format!("it is larger than {max_bytes} bytes"));
    }
    read_all(file, metadata.len()).map_err(|error| describe(&error))
}

/// Reads a file of `length` bytes. One that grows meanwhile is cut there: it won't parse, and is read
/// again with the next change of its time.
fn read_all(mut file: File, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    let mut filled = 0;
    // PERF: no read at the end to see that there is no more; it is a third of the calls per file.
    while filled < length {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// An error without the path (the caller names it) and without the system's number.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it vanished".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        _ => format!("it can't be read: {}", regular::text_of(error)),
    }
}

#[cfg(unix)]
fn open_without_waiting(path: &PathBuf) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // O_NONBLOCK: opening a FIFO returns at once. O_NOFOLLOW: a link was resolved by the caller or not at all.
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LIMITS: Limits = Limits { max_bytes: 64, max_depth: 8, max_total_bytes: 1 << 20 };

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("pumas-read-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_bad_file_never_hides_a_good_one() {
        let folder = folder("bad");
        let path = |name: &str| folder.join(name);
        fs::write(path("good"), r#"{"official_name": "n"}"#).unwrap();
        fs::write(path("bad"), "{").unwrap();
        fs::write(path("large"), vec![b' '; 65]).unwrap();
        fs::create_dir(path("dir")).unwrap();
        let paths: Vec<_> = ["bad", "good", "large", "dir", "missing"].map(path).to_vec();
        let documents = read_metadata_files(&paths, LIMITS, 2, &Control::default()).unwrap();
        let problems: Vec<_> = documents.iter().map(|d| d.problem.clone().unwrap_or_default()).collect();
        assert_eq!(
            problems,
            [
                "it is not valid JSON (byte 1)",
                "",
                "it is larger than 64 bytes",
                "it is not a regular file",
                "it vanished"
            ]
        );
        assert_eq!(documents[1].columns.as_ref().unwrap().official_name, "n");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_more_files_are_begun_once_the_total_is_reached() {
        let folder = folder("total");
        fs::write(folder.join("one"), r#"{"x": 1}"#).unwrap();
        let paths = vec![folder.join("one"); 1000];
        let limits = Limits { max_total_bytes: 3000, ..LIMITS };
        let documents = read_metadata_files(&paths, limits, 2, &Control::default()).unwrap();
        assert_eq!(documents.len(), 2 * CHUNK);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_and_fifos_are_refused_at_once() {
        let folder = folder("fifo");
        fs::write(folder.join("target"), "{}").unwrap();
        std::os::unix::fs::symlink(folder.join("target"), folder.join("link")).unwrap();
        let fifo = folder.join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let documents =
            read_metadata_files(&[folder.join("link"), fifo], LIMITS, 1, &Control::default()).unwrap();
        assert!(documents.iter().all(|d| d.problem.is_some() && d.columns.is_none()));
        fs::remove_dir_all(folder).unwrap();
    }
}
