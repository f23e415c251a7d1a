//! Regular files: nothing else is opened, and nothing is waited for.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// What a folder is called in `Refusal::NotRegular`.
pub const FOLDER: &str = "folder";

/// Why a path can't be read as a file.
#[derive(Debug)]
pub enum Refusal {
    Io(io::Error),
    /// It is a folder, a FIFO, a socket or a device.
    NotRegular(&'static str),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens a regular file; a link is followed.
pub fn open(path: &Path) -> Result<(File, Metadata), Refusal> {
    // SECURITY: opening a device may already do something, so it is looked at first; what was opened in the end is
    // looked at again.
    look_at(path)?;
    let file = open_without_waiting(path)?;
    let metadata = file.metadata()?;
    check_kind(&metadata)?;
    Ok((file, metadata))
}

/// What the system tells of a regular file, links followed.
pub fn look_at(path: &Path) -> Result<Metadata, Refusal> {
    let metadata = fs::metadata(path)?;
    check_kind(&metadata)?;
    Ok(metadata)
}

/// What the system says, without its number.
pub fn text_of(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn check_kind(metadata: &Metadata) -> Result<(), Refusal> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(Refusal::NotRegular(if metadata.is_dir() { FOLDER } else { kind_of(metadata) }))
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
    // Opening a FIFO that came in between returns at once, though nobody writes it.
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}
