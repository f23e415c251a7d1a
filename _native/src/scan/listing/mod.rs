//! One folder's entries, sorted by name; how a system lists a folder is in the modules below.

use std::io;
use std::path::Path;

use super::tree::{os_string, Kind, Problem, Stat};
use super::Options;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;

#[cfg(target_os = "linux")]
pub type System = linux::Root;
#[cfg(not(target_os = "linux"))]
pub type System = portable::Root;

#[cfg(all(test, target_os = "linux"))]
pub type Portable = portable::Root;

/// An opened root whose folders can be listed from several threads.
pub trait Source: Sync + Sized {
    /// What a thread keeps from one folder to the next.
    type Scratch: Default;

    fn open(root: &Path) -> io::Result<Self>;

    fn stat(&self) -> io::Result<Stat>;

    /// Lists a folder below the root (`""`: the root itself). Never fails: what is wrong is a problem.
    fn list(&self, folder: &str, options: &Options, scratch: &mut Self::Scratch) -> Listing;
}

pub struct Entry {
    name_start: usize,
    name_end: usize,
    pub kind: Kind,
    pub stat: Stat,
}

#[derive(Default)]
pub struct Listing {
    pub entries: Vec<Entry>,
    pub problems: Vec<Problem>,
    /// The leaf marker of the options was seen.
    pub is_leaf: bool,
    names: String,
}

impl Listing {
    pub fn name(&self, entry: &Entry) -> &str {
        &self.names[entry.name_start..entry.name_end]
    }

    /// A listing that holds only a problem with the folder itself.
    pub fn of_problem(folder: &str, reason: &'static str) -> Self {
        let problems = vec![Problem { path: folder.into(), reason }];
        Self { problems, ..Self::default() }
    }

    /// Takes an entry up if the options want it. `stat` is called only when its answer is needed.
    fn look_at(
        &mut self,
        folder: &str,
        name: &[u8],
        kind: Option<Kind>,
        options: &Options,
        stat: impl FnOnce() -> io::Result<(Kind, Stat)>,
    ) {
        let is_marker = options.leaf_marker.as_ref().is_some_and(|marker| marker.as_encoded_bytes() == name);
        if is_marker && kind.is_some_and(Kind::can_mark) {
            self.is_leaf = true;
        }
        if options.skip_hidden && name.first() == Some(&b'.') {
            return;
        }
        let Ok(name) = std::str::from_utf8(name) else {
            self.problems.push(Problem { path: Path::new(folder).join(os_string(name)), reason: "not-utf8" });
            return;
        };
        let is_wanted = |kind| kind == Kind::Folder || options.wants(name);
        // The kind comes with the listing on most file systems; only what is reported costs a stat.
        if kind.is_some_and(|kind| !is_wanted(kind)) {
            return;
        }
        let looked = match kind {
            Some(kind) if options.names_only => Ok((kind, Stat::default())),
            _ => stat(),
        };
        match looked {
            Ok((kind, stat)) if is_wanted(kind) => {
                self.is_leaf |= is_marker && kind.can_mark();
                self.add(name, kind, stat);
            }
            Ok(_) => {}
            Err(error) => {
                self.problems.push(Problem { path: Path::new(folder).join(name), reason: reason(&error) });
            }
        }
    }

    fn add(&mut self, name: &str, kind: Kind, stat: Stat) {
        let name_start = self.names.len();
        self.names.push_str(name);
        self.entries.push(Entry { name_start, name_end: self.names.len(), kind, stat });
    }

    fn sorted(mut self) -> Self {
        let names = &self.names;
        let name = |entry: &Entry| &names[entry.name_start..entry.name_end];
        self.entries.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        self
    }
}

fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        // What was a folder when its parent was listed is none any more.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "vanished",
        _ => "unreadable",
    }
}

#[cfg(unix)]
fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}
