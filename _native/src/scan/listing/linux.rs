//! Listing by the system calls themselves: per folder one open, the entries in large pieces, one close;
//! one stat by name per entry. No path is joined and no name is copied before it is reported.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{fstat, openat, statat, AtFlags, FileType, Mode, OFlags, RawDir, CWD};
use rustix::io::retry_on_intr;

use super::{nanoseconds, reason, Listing, Source};
use crate::scan::tree::{Kind, Stat};
use crate::scan::Options;

/// Room for about 1,500 entries a call; the largest name needs 280 bytes.
const BUFFER_BYTES: usize = 64 * 1024;

pub struct Root(File);

#[derive(Default)]
pub struct Scratch(Vec<u8>);

impl Source for Root {
    type Scratch = Scratch;

    fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| openat(CWD, root, flags, Mode::empty()))?;
        Ok(Self(folder.into()))
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat_of(&fstat(&self.0)?))
    }

    fn list(&self, folder: &str, options: &Options, scratch: &mut Scratch) -> Listing {
        let path = if folder.is_empty() { "." } else { folder };
        // SECURITY: no link in place of the folder that was seen is followed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match retry_on_intr(|| openat(&self.0, path, flags, Mode::empty())) {
            Ok(opened) => opened,
            Err(error) => return Listing::of_problem(folder, reason(&error.into())),
        };
        scratch.0.reserve(BUFFER_BYTES);
        let mut listing = Listing::default();
        let mut entries = RawDir::new(&opened, scratch.0.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    listing.problems.extend(Listing::of_problem(folder, reason(&error.into())).problems);
                    break; // asked again it would say the same
                }
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            listing.look_at(folder, name.to_bytes(), kind_of(entry.file_type()), options, || {
                let stat = statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let kind = kind_of(FileType::from_raw_mode(stat.st_mode)).unwrap_or(Kind::Other);
                Ok((kind, stat_of(&stat)))
            });
        }
        listing.sorted()
    }
}

fn kind_of(kind: FileType) -> Option<Kind> {
    match kind {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Folder),
        FileType::Symlink => Some(Kind::Link),
        FileType::Unknown => None,
        _ => Some(Kind::Other),
    }
}

// PERF: fstatat, not statx: the same time where both are there (bench_scan), and old kernels have it.
#[allow(clippy::unnecessary_cast, clippy::cast_lossless)] // the types differ between architectures
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)] // sizes and nanoseconds are never negative
fn stat_of(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        size: stat.st_size as u64,
        mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        inode: stat.st_ino as u64,
        device: stat.st_dev as u64,
        link_count: stat.st_nlink as u64,
    }
}
