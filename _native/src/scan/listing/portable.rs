//! Listing by the standard library, where there is no faster way.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::{reason, Listing, Source};
use crate::scan::tree::{Kind, Stat};
use crate::scan::Options;

pub struct Root(PathBuf);

impl Source for Root {
    type Scratch = ();

    fn open(root: &Path) -> io::Result<Self> {
        fs::read_dir(root)?;
        Ok(Self(root.to_owned()))
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_of(&fs::metadata(&self.0)?))
    }

    fn list(&self, folder: &str, options: &Options, (): &mut ()) -> Listing {
        let entries = match fs::read_dir(self.0.join(folder)) {
            Ok(entries) => entries,
            Err(error) => return Listing::of_problem(folder, reason(&error)),
        };
        let mut listing = Listing::default();
        for entry in entries {
            match entry {
                Ok(entry) => {
                    let kind = entry.file_type().ok().map(kind_of);
                    listing.look_at(folder, entry.file_name().as_encoded_bytes(), kind, options, || {
                        let metadata = entry.metadata()?;
                        Ok((kind_of(metadata.file_type()), stat_of(&metadata)))
                    });
                }
                Err(error) => {
                    listing.problems.extend(Listing::of_problem(folder, reason(&error)).problems);
                }
            }
        }
        listing.sorted()
    }
}

fn kind_of(kind: FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}

#[cfg(unix)]
fn stat_of(metadata: &Metadata) -> Stat {
    use super::nanoseconds;
    use std::os::unix::fs::MetadataExt;
    Stat {
        size: metadata.size(),
        mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        inode: metadata.ino(),
        device: metadata.dev(),
        link_count: metadata.nlink(),
    }
}

#[cfg(not(unix))]
fn stat_of(metadata: &Metadata) -> Stat {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime_ns = since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
    Stat { size: metadata.len(), mtime_ns, link_count: 1, ..Stat::default() }
}
