//! A new file that is written from its beginning to its end: on disk once it is finished, gone if it never is.

use std::fs::{self, File, FileTimes, Metadata, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// So much is handed to the drive at once. At most twice as much waits for it, so that the last sync is short.
const WINDOW: u64 = 8 * 1024 * 1024;

pub struct Target {
    path: PathBuf,
    file: File,
    written: u64,
    is_finished: bool,
}

impl Target {
    /// Makes the file, which must not exist, with the permissions and room for the content of its source.
    pub fn create(path: &Path, source: &Metadata) -> io::Result<Self> {
        let file = open_new(path, source)?;
        let target = Self { path: path.to_owned(), file, written: 0, is_finished: false };
        target.allocate(source.len())?;
        Ok(target)
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let before = self.written / WINDOW;
        self.written += bytes.len() as u64;
        if self.written / WINDOW > before {
            self.write_behind();
        }
        Ok(())
    }

    /// Gives the file the times of its source, and sees that all of it is on disk.
    pub fn finish(mut self, source: &Metadata) -> io::Result<()> {
        if let Ok(modified) = source.modified() {
            self.file.set_times(FileTimes::new().set_modified(modified))?;
        }
        self.file.sync_all()?;
        self.is_finished = true;
        Ok(())
    }

    /// A full drive is told before anything is written, where the file system can.
    #[cfg(target_os = "linux")]
    fn allocate(&self, length: u64) -> io::Result<()> {
        use rustix::fs::{fallocate, FallocateFlags};
        use rustix::io::Errno;
        if length == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, length) {
            Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn allocate(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    /// Begins to write out the last window, and waits for the one before it.
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code)]
    fn write_behind(&self) {
        use std::os::fd::AsRawFd;
        let end = self.written / WINDOW * WINDOW;
        let begin = |windows: u64| libc::off64_t::try_from(end.saturating_sub(windows * WINDOW)).unwrap_or(0);
        let window = libc::off64_t::try_from(WINDOW).unwrap_or(0);
        let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE
            | libc::SYNC_FILE_RANGE_WRITE
            | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        // SAFETY: the descriptor is open as long as `self.file`; no memory is handed over. A failure to write is
        // told again by the sync at the end.
        unsafe {
            libc::sync_file_range(self.file.as_raw_fd(), begin(1), window, libc::SYNC_FILE_RANGE_WRITE);
            if end >= 2 * WINDOW {
                libc::sync_file_range(self.file.as_raw_fd(), begin(2), window, wait);
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self)]
    fn write_behind(&self) {}
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_finished {
            // It was made by us and holds nothing whole; whoever can't remove it finds it by its name.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn open_new(path: &Path, source: &Metadata) -> io::Result<File> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    OpenOptions::new().write(true).create_new(true).mode(source.mode() & 0o777).open(path)
}

#[cfg(not(unix))]
fn open_new(path: &Path, _source: &Metadata) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
