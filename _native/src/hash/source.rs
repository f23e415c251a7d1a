//! One file that is read from its beginning to its end, and was not changed meanwhile.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use super::FileError;
use crate::place::Target;

/// A shorter file is read in so few calls that the system needs no advice.
#[cfg(target_os = "linux")]
const ADVICE_MIN: u64 = 1024 * 1024;

/// "Unchanged" without reading; 0 for what the system doesn't tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    pub inode: u64,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
}

pub struct Source {
    file: File,
    before: Fingerprint,
    device: u64,
    left: u64,
    copy: Option<Target>,
}

/// The fingerprint of a regular file, links followed.
pub fn fingerprint(path: &Path) -> Result<Fingerprint, FileError> {
    let metadata = fs::metadata(path)?;
    check_kind(&metadata)?;
    Ok(fingerprint_of(&metadata))
}

impl Source {
    /// Opens a regular file; a link is followed. Anything else is refused without waiting for it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        // SECURITY: opening a device may already do something, so it is looked at first; what was opened in the
        // end is looked at again.
        check_kind(&fs::metadata(path)?)?;
        let file = open_without_waiting(path)?;
        let metadata = file.metadata()?;
        check_kind(&metadata)?;
        let source = Self {
            before: fingerprint_of(&metadata),
            device: device_of(&metadata),
            left: metadata.len(),
            copy: None,
            file,
        };
        source.advise();
        Ok(source)
    }

    /// Everything that is read from now on is written to a new file.
    pub fn copied_to(mut self, target: &Path) -> Result<Self, FileError> {
        let metadata = self.file.metadata()?;
        self.copy = Some(Target::create(target, &metadata).map_err(FileError::Target)?);
        Ok(self)
    }

    pub fn size(&self) -> u64 {
        self.before.size
    }

    /// Number of the device that holds the file, as `st_dev`.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// Bytes that were not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Fills the buffer, or as much of it as the file has bytes left.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FileError> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut filled = 0;
        while filled < wanted {
            match self.file.read(&mut buffer[filled..wanted]) {
                Ok(0) => return Err(FileError::Changed),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.left -= filled as u64;
        if let Some(copy) = &mut self.copy {
            copy.write(&buffer[..filled]).map_err(FileError::Target)?;
        }
        Ok(filled)
    }

    /// What the file was like all the time; call it when everything was read. Its copy is on disk then.
    pub fn finish(mut self) -> Result<Fingerprint, FileError> {
        // A file without a size may have content all the same: those of /proc. A longer one is seen by its size.
        let has_grown = self.size() == 0 && self.file.read(&mut [0])? > 0;
        let metadata = self.file.metadata()?;
        let after = fingerprint_of(&metadata);
        if has_grown || after != self.before {
            return Err(FileError::Changed);
        }
        if let Some(copy) = self.copy.take() {
            copy.finish(&metadata).map_err(FileError::Target)?;
        }
        Ok(after)
    }

    #[cfg(target_os = "linux")]
    fn advise(&self) {
        if self.left >= ADVICE_MIN {
            // Advice that is not taken changes nothing but the speed.
            let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn advise(&self) {}
}

fn check_kind(metadata: &Metadata) -> Result<(), FileError> {
    if metadata.is_file() {
        return Ok(());
    }
    if metadata.is_dir() {
        return Err(FileError::Folder);
    }
    Err(FileError::NotRegular(kind_of(metadata)))
}

#[cfg(unix)]
fn kind_of(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

#[cfg(not(unix))]
fn kind_of(_: &Metadata) -> &'static str {
    "device"
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(unix)]
fn fingerprint_of(metadata: &Metadata) -> Fingerprint {
    use std::os::unix::fs::MetadataExt;
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Fingerprint {
        inode: metadata.ino(),
        size: metadata.len(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

#[cfg(not(unix))]
fn fingerprint_of(metadata: &Metadata) -> Fingerprint {
    let since_1970 =
        metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime_ns = since_1970.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    Fingerprint { inode: 0, size: metadata.len(), mtime_ns, ctime_ns: 0 }
}

#[cfg(unix)]
fn device_of(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
fn device_of(_: &Metadata) -> u64 {
    0
}
