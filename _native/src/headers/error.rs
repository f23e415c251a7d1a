//! What can be wrong with a header, one variant per way.

use std::io;

use thiserror::Error;

use crate::regular::{self, Refusal};

/// Characters of a name from a file that a message shows.
const SHOWN: usize = 100;

/// Why a file gives no header. The sentence does not name the file: the caller does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    #[error("it can't be read: {text}")]
    Unreadable { code: i32, text: String },
    #[error("it is a {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("it does not begin as {0}")]
    UnknownFormat(&'static str),
    #[error("it ends in the middle of {what} (byte {position})")]
    Cut { what: &'static str, position: u64 },
    #[error("it promises {count} {what}, but only {left} bytes follow")]
    Promised { what: &'static str, count: u64, left: u64 },
    #[error("it has {count} {what}, more than {limit}")]
    OverLimit { what: &'static str, count: u64, limit: u64 },

    #[error("its GGUF version is {0}; known are 1, 2 and 3")]
    Version(u32),
    #[error("a value has the type {code}, which GGUF does not have (byte {position})")]
    ValueType { code: u32, position: u64 },
    #[error("arrays are nested deeper than {0} levels")]
    ArraysTooDeep(usize),
    #[error("{what} is not UTF-8 (byte {position})")]
    NotUtf8 { what: &'static str, position: u64 },
    #[error("`general.alignment` is not a power of two as a 32-bit number")]
    Alignment,
    #[error("the tensor {0:?} begins at byte {1} of the data, which is not aligned")]
    Misaligned(String, u64),
    #[error("the rows of the tensor {0:?} are not whole blocks of {1}")]
    PartBlock(String, String),

    #[error("its header is not JSON: {0}")]
    NotJson(String),
    #[error("its header is not a JSON object")]
    NotAnObject,
    #[error("its header is nested deeper than {0} levels")]
    JsonTooDeep(usize),
    #[error("`__metadata__` stands in it twice")]
    DuplicateMetadata,
    #[error("`__metadata__` is not an object of texts")]
    MetadataForm,
    #[error("the tensor {0:?} has a wrong form: {1}")]
    TensorForm(String, String),
    #[error("the tensor {0:?} has another size than its shape says")]
    TensorSize(String),
    #[error("there is a gap before byte {0} of the data that belongs to no tensor")]
    Gap(u64),
    #[error("{0} bytes after the last tensor belong to nothing")]
    Trailing(u64),

    #[error("two tensors have the name {0:?}")]
    DuplicateTensor(String),
    #[error("the tensor {0:?} is too large to be true")]
    ShapeOverflow(String),
    #[error("two tensors share the byte {0} of the data")]
    Overlap(u64),
}

/// What a caller can do about it, coarser than the variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Unreadable,
    NotRegular,
    UnknownFormat,
    Cut,
    TooLarge,
    Malformed,
}

impl HeaderError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { .. } => Kind::Unreadable,
            Self::NotRegular(_) => Kind::NotRegular,
            Self::UnknownFormat(_) => Kind::UnknownFormat,
            Self::Cut { .. } | Self::Promised { .. } => Kind::Cut,
            Self::OverLimit { .. } => Kind::TooLarge,
            _ => Kind::Malformed,
        }
    }
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        Self::Unreadable { code: error.raw_os_error().unwrap_or(0), text: regular::text_of(&error) }
    }
}

impl From<Refusal> for HeaderError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io(error) => error.into(),
            Refusal::NotRegular(kind) => Self::NotRegular(kind),
        }
    }
}

/// A name from a file, short enough for a message.
pub fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Refuses more of something than its limit.
pub fn within(what: &'static str, count: u64, limit: u64) -> Result<(), HeaderError> {
    if count > limit {
        return Err(HeaderError::OverLimit { what, count, limit });
    }
    Ok(())
}
