//! `NAME.part` and its journal on disk, and how the part becomes `NAME`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::journal::{self, Header, HEADER_BYTES, RECORD_BYTES};
use super::tree::{BlockSum, BLOCK};
use super::TransferError;
use crate::place::rename_new;

/// A longer journal is none of ours: 1 TiB of blocks.
const MAX_JOURNAL_BYTES: u64 = (HEADER_BYTES + RECORD_BYTES * 1024 * 1024) as u64;

/// `statfs(2)`.
#[cfg(target_os = "linux")]
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// The file that is written; shared by all that write it.
pub struct Part {
    target: PathBuf,
    path: PathBuf,
    journal_path: PathBuf,
    file: File,
    journal: File,
    /// What new records of the journal are bound to.
    seed: AtomicU64,
}

/// What an earlier transfer left.
pub type Saved = (Header, BTreeMap<u64, BlockSum>);

impl Part {
    /// Opens or makes the part of a target that does not exist yet; nobody else can until it is dropped.
    pub fn open(target: &Path) -> Result<Self, TransferError> {
        let (path, journal_path) = (beside(target, ".part"), beside(target, ".part.journal"));
        check_free(target, &path, &journal_path)?;
        let file = open_own(&path)?;
        lock(&file, &path)?;
        // Whoever had the lock may have made the target meanwhile.
        check_free(target, &path, &journal_path)?;
        let journal = open_own(&journal_path)?;
        Ok(Self { target: target.to_owned(), path, journal_path, file, journal, seed: AtomicU64::new(0) })
    }

    /// What of the part is there by its journal; new records go on from it.
    pub fn saved(&self) -> io::Result<Option<Saved>> {
        let saved = read_saved(&self.journal, self.file.metadata()?.len())?;
        if let Some((header, _)) = &saved {
            self.seed.store(journal::seed(&header.to_bytes()), Ordering::Relaxed);
        }
        Ok(saved)
    }

    /// Begins anew: nothing of the part counts any more.
    pub fn restart(&self, header: Option<&Header>) -> io::Result<()> {
        self.journal.set_len(0)?;
        self.file.set_len(0)?;
        if let Some(header) = header {
            let bytes = header.to_bytes();
            self.seed.store(journal::seed(&bytes), Ordering::Relaxed);
            (&self.journal).write_all(&bytes)?;
        }
        Ok(())
    }

    /// # Errors
    /// A file of `size` bytes does not fit onto the drive, what of the part is there counted.
    pub fn check_room(&self, size: u64) -> Result<(), TransferError> {
        let free = self.free_bytes()?;
        if size > free {
            return Err(TransferError::NoSpace { needed: size, free });
        }
        Ok(())
    }

    /// Has the drive set aside what a file of `size` bytes needs.
    pub fn allocate(&self, size: u64) -> Result<(), TransferError> {
        Ok(allocate(&self.file, size)?)
    }

    #[cfg(target_os = "linux")]
    fn free_bytes(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.file)?;
        // What is allocated to the part already is no longer free.
        let own = std::os::unix::fs::MetadataExt::blocks(&self.file.metadata()?).saturating_mul(512);
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize).saturating_add(own))
    }

    /// Other systems tell when it is full.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    /// Notes in the journal that a block was written.
    pub fn record(&self, block: u64, sum: &BlockSum) -> io::Result<()> {
        (&self.journal).write_all(&journal::record(self.seed.load(Ordering::Relaxed), block, sum))
    }

    /// Brings to disk what was written: the part first, then the journal that speaks of it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.journal.sync_data()
    }

    #[cfg(unix)]
    pub fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, at)
    }

    #[cfg(windows)]
    pub fn write_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_write(&self.file, bytes, at)?;
            bytes = &bytes[count..];
            at += count as u64;
        }
        Ok(())
    }

    #[cfg(unix)]
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, at)
    }

    #[cfg(windows)]
    pub fn read_at(&self, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_read(&self.file, bytes, at)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[count..];
            at += count as u64;
        }
        Ok(())
    }

    /// Makes the part, which is whole and right, the target: on disk, under its name, nothing replaced.
    pub fn publish(&self, size: u64) -> Result<(), TransferError> {
        self.file.set_len(size)?;
        self.file.sync_all()?;
        rename_in_place(&self.path, &self.target)?;
        // The journal speaks of nothing any more; the next transfer removes one that stays.
        let _ = fs::remove_file(&self.journal_path);
        sync_folder_of(&self.target)?;
        Ok(())
    }

    /// Removes a part that nothing was written to.
    pub fn remove_if_empty(&self) {
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            // What stays is empty, and the next transfer's own.
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.journal_path);
        }
    }

    /// Leaves the part where it is, as evidence; no transfer goes on with it.
    pub fn disown(&self) -> io::Result<()> {
        fs::remove_file(&self.journal_path)
    }
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a regular file of ours for reading and writing; a link in its place is refused.
fn open_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(path.extension().is_some_and(|end| end == "journal")).write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        // SECURITY: whoever can write into the folder must not choose what we write.
        libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no regular file in its place"));
    }
    Ok(file)
}

/// # Errors
/// The target exists.
fn check_free(target: &Path, path: &Path, journal_path: &Path) -> Result<(), TransferError> {
    if fs::symlink_metadata(target).is_err() {
        return Ok(());
    }
    if fs::symlink_metadata(path).is_err() {
        // What a transfer left that was killed after its last step but one.
        let _ = fs::remove_file(journal_path);
    }
    Err(TransferError::Exists)
}

/// SECURITY: two that write one part would each make the other's work its own; the lock goes with the file.
#[cfg(target_os = "linux")]
fn lock(file: &File, path: &Path) -> Result<(), TransferError> {
    use std::os::unix::fs::MetadataExt;
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(TransferError::Busy),
        // A file system without locks: whoever calls sees to it that nobody else does.
        Err(_) => return Ok(()),
    }
    // What was locked may have been renamed between.
    let is_same =
        fs::symlink_metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino()));
    if is_same {
        Ok(())
    } else {
        Err(TransferError::Busy)
    }
}

/// Other systems have no such call without unsafe code; whoever calls sees to it that nobody else does.
#[cfg(not(target_os = "linux"))]
fn lock(_file: &File, _path: &Path) -> Result<(), TransferError> {
    Ok(())
}

fn read_saved(mut journal: &File, part_bytes: u64) -> io::Result<Option<Saved>> {
    let length = journal.metadata()?.len();
    if length > MAX_JOURNAL_BYTES {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    journal.seek(SeekFrom::Start(0))?;
    journal.take(MAX_JOURNAL_BYTES).read_to_end(&mut bytes)?;
    let Some((header, mut sums)) = journal::read(&bytes) else { return Ok(None) };
    // What a truncated part has lost is not there, whatever the journal says.
    sums.retain(|block, _| (block * BLOCK).saturating_add(BLOCK).min(header.size) <= part_bytes);
    // A record that was torn would shift those that follow.
    let torn = (length - HEADER_BYTES as u64) % RECORD_BYTES as u64;
    journal.set_len(length - torn)?;
    Ok(Some((header, sums)))
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, size: u64) -> io::Result<()> {
    use rustix::fs::{fallocate, FallocateFlags};
    use rustix::io::Errno;
    // A file system in memory lays nothing out, and would hold up all writers meanwhile: 0.25 s for 1 GiB.
    let is_in_memory = rustix::fs::fstatfs(file).is_ok_and(|facts| facts.f_type == TMPFS_MAGIC);
    if size == 0 || is_in_memory {
        return file.set_len(size);
    }
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        Err(_) => file.set_len(size), // a file system without the call
        Ok(()) => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, size: u64) -> io::Result<()> {
    file.set_len(size)
}

fn rename_in_place(from: &Path, to: &Path) -> Result<(), TransferError> {
    let renamed = match rename_new(from, to) {
        // Where nothing renames without replacing, a hard link does not replace either.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
        }
        other => other,
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => TransferError::Exists,
        _ => error.into(),
    })
}

/// Brings a new name to disk; Windows has no such call.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
