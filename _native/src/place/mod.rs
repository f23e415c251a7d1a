//! Giving files a place: renaming without replacing, sharing content, and the target that a copy is written to.
//!
//! Nothing here replaces a file that is there: whoever wants a name that is taken gets an error.

use std::io;
use std::path::Path;

mod target;

pub(crate) use target::Target;

/// Renames a file or a folder on one file system; a target that exists, a dangling link too, stays as it is.
///
/// # Errors
/// As the system tells: `EEXIST`, `EXDEV` and others. `Unsupported` where the file system can't do it in one step.
#[cfg(target_os = "linux")]
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{renameat_with, RenameFlags, CWD};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // A kernel or a file system that does not know the flag.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => Err(error.into()),
    }
}

/// The same where there is no such call.
#[cfg(not(target_os = "linux"))]
pub fn rename_new(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes a new file that shares the content of another one until either is written (`FICLONE`).
///
/// # Errors
/// As the system tells: `EXDEV`, or `EOPNOTSUPP`, `EINVAL` and `ENOTTY` where the file system shares nothing.
#[cfg(target_os = "linux")]
pub fn reflink(from: &Path, to: &Path) -> io::Result<()> {
    let source = std::fs::File::open(from)?;
    let metadata = source.metadata()?;
    let target = Target::create(to, &metadata)?;
    rustix::fs::ioctl_ficlone(target.file(), &source)?;
    target.finish(&metadata)
}

/// The same where there is no such call.
#[cfg(not(target_os = "linux"))]
pub fn reflink(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
