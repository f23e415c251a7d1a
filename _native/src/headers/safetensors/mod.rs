//! Safetensors (the format's `README.md`, checks of its `tensor.rs`).
//!
//! ```text
//! 0   u64, little-endian: bytes of the header
//! 8   JSON, padded with spaces: {"NAME": {"dtype": "F16", "shape": [2, 3], "data_offsets": [BEGIN, END]}, …,
//!                                "__metadata__": {"KEY": "TEXT", …}}
//!     data; offsets count from here, the tensors fill it without a gap
//! ```
//!
//! The JSON is read as a stream: nothing is kept of a tensor but its totals, however many a hostile file lists.

mod copy;
mod visitors;

use self::visitors::Scan;
use super::error::{within, HeaderError};
use super::json::Object;
use super::window::{ReadAt, Window};
use super::{Detail, Options};

/// Longest header; the same limit as the original app's.
pub const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Bytes of the longest text in a header: serde copies a text with an escape.
const MAX_TEXT: usize = 4 << 20;

/// Whether a file may be one: a length within the limit, then a brace.
pub fn is_likely(first: &[u8]) -> bool {
    first.first_chunk().is_some_and(|bytes| u64::from_le_bytes(*bytes) <= MAX_HEADER_BYTES)
        && first.get(8) == Some(&b'{')
}

/// Reads the header of a safetensors file.
pub fn read<S: ReadAt + ?Sized>(
    mut window: Window<'_, S>,
    options: &Options,
) -> Result<Vec<u8>, HeaderError> {
    let file_bytes = window.length();
    let length = u64::from_le_bytes(window.array("the length of its header")?);
    within("bytes of header", length, MAX_HEADER_BYTES)?;
    if length > window.left() {
        return Err(HeaderError::Promised { what: "bytes of header", count: length, left: window.left() });
    }
    let data_bytes = window.left() - length;
    let text = window.bytes(length, "its header")?;
    check_texts(text)?;
    let mut scan = Scan::new(options, length);
    scan.read(text)?;

    let mut answer = Object::new();
    answer.text("format", "safetensors");
    answer.number("size_bytes", file_bytes);
    answer.number("header_bytes", 8 + length);
    answer.number("tensor_count", scan.tensors.count());
    answer.ready("metadata", scan.metadata.as_deref().unwrap_or(b"{}"));
    if options.detail >= Detail::Facts {
        let end = scan.tensors.check_ranges(true)?;
        if data_bytes > end {
            return Err(HeaderError::Trailing(data_bytes - end));
        }
        answer.number("missing_bytes", end.saturating_sub(data_bytes));
        if let Some(dtype) = scan.tensors.main_dtype() {
            answer.text("quantization", dtype);
        }
    }
    scan.tensors.write(&mut answer, options.detail);
    Ok(answer.finish())
}

/// Refuses a text that is too long, before anybody copies it.
fn check_texts(json: &[u8]) -> Result<(), HeaderError> {
    if json.len() <= MAX_TEXT {
        return Ok(());
    }
    let (mut start, mut is_escaped) = (0, false);
    for (at, &byte) in json.iter().enumerate() {
        if byte == b'"' && !is_escaped {
            within("bytes between two quotes", (at - start) as u64, MAX_TEXT as u64)?;
            start = at;
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    within("bytes between two quotes", (json.len() - start) as u64, MAX_TEXT as u64)
}
