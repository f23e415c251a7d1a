//! Headers of model files: what a file says of itself, read without its data.
//!
//! GGUF and safetensors. A header comes from anywhere, so every count and length is checked against what is left of
//! the file and a limit with a name before anything is allocated. Whatever the file holds, reading its facts takes no
//! more memory than its header and 64 MiB; what is listed at a caller's wish comes on top.

mod error;
mod gguf;
mod json;
mod safetensors;
mod tensors;
mod window;
mod words;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::error::{HeaderError, Kind};
pub use self::window::ReadAt;
pub use self::words::{Found, Words};

use self::window::{open, Window};
use crate::control::Control;
use crate::parallel;

/// Bytes of what is listed at a caller's wish (names, tensors, whole arrays), and of all metadata.
const MAX_ANSWER_BYTES: u64 = 32 << 20;

/// A buffer that grew larger for one header is not kept for the next.
const KEPT_BUFFER: usize = 1 << 20;

/// How much is read; each level holds what the one before does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The architecture; reading ends where it is known.
    Type,
    /// All metadata.
    Keys,
    /// The names of the tensors; nothing else of them is looked at.
    Names,
    /// Everything is checked, the tensors are added up.
    Facts,
    /// Each tensor.
    Tensors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Gguf,
    Safetensors,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub detail: Detail,
    /// What the file must be; its first bytes tell where this does not.
    pub format: Option<Format>,
    /// Metadata of any length is given, not summarised.
    pub is_whole: bool,
    /// Instead of names it is told which of these are in them.
    pub words: Option<Arc<Words>>,
}

thread_local! {
    // PERF: filling a new buffer with zeros would cost more than reading a small header.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads the header of one file as a JSON object; links are followed.
///
/// # Errors
/// What keeps the file from having a header.
pub fn read_header(path: &Path, options: &Options) -> Result<Vec<u8>, HeaderError> {
    let (file, length) = open(path)?;
    read_from(&file, length, options)
}

/// Reads many headers; results in the order of `paths`, one unit of progress each.
///
/// Returns `None` when cancelled.
pub fn read_headers(
    paths: &[PathBuf],
    options: &Options,
    workers: usize,
    control: &Control,
) -> Option<Vec<Result<Vec<u8>, HeaderError>>> {
    parallel::map(paths, workers, control, |path| {
        let header = read_header(path, options);
        control.advance(1);
        header
    })
}

/// Reads a header of something that is `length` bytes long.
///
/// # Errors
/// As `read_header`.
pub fn read_from<S: ReadAt + ?Sized>(
    source: &S,
    length: u64,
    options: &Options,
) -> Result<Vec<u8>, HeaderError> {
    BUFFER.with_borrow_mut(|buffer| {
        let header = read_window(Window::new(source, length, buffer), options);
        if buffer.capacity() > KEPT_BUFFER {
            *buffer = Vec::new();
        }
        header
    })
}

fn read_window<S: ReadAt + ?Sized>(
    mut window: Window<'_, S>,
    options: &Options,
) -> Result<Vec<u8>, HeaderError> {
    let format = match options.format {
        Some(format) => format,
        None => format_of(window.peek(9)?)?,
    };
    match format {
        Format::Gguf => gguf::read(window, options),
        Format::Safetensors => safetensors::read(window, options),
    }
}

fn format_of(first: &[u8]) -> Result<Format, HeaderError> {
    if first.starts_with(gguf::MAGIC) {
        Ok(Format::Gguf)
    } else if safetensors::is_likely(first) {
        Ok(Format::Safetensors)
    } else {
        Err(HeaderError::UnknownFormat("a GGUF or safetensors file"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ALL: [Detail; 5] = [Detail::Type, Detail::Keys, Detail::Names, Detail::Facts, Detail::Tensors];

    /// The files that fuzzing begins with: small ones of all kinds.
    fn seeds(name: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn every_cut_of_a_file_gives_an_answer_or_an_error() {
        for (name, format) in [("gguf", Format::Gguf), ("safetensors", Format::Safetensors)] {
            for seed in seeds(name) {
                for detail in ALL {
                    let options = Options { detail, format: Some(format), is_whole: true, words: None };
                    for length in 0..seed.len() {
                        if let Ok(header) = read_from(&seed[..length], length as u64, &options) {
                            serde_json::from_slice::<serde_json::Value>(&header).unwrap();
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_bytes_tell_the_format() {
        assert_eq!(format_of(b"GGUF\x03"), Ok(Format::Gguf));
        assert_eq!(format_of(b"\x02\0\0\0\0\0\0\0{"), Ok(Format::Safetensors));
        for other in [&b""[..], b"GGML", b"\x02\0\0\0\0\0\0\0[", b"\xff\xff\xff\xff\xff\xff\xff\xff{"] {
            assert!(format_of(other).is_err());
        }
    }
}
