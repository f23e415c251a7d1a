//! GGUF, versions 1 to 3, little- and big-endian (`docs/gguf.md` of ggml).
//!
//! ```text
//! 0   "GGUF"        the same in both byte orders
//! 4   u32 version   its lower half is 0 where the file is in the other order
//! 8   count         of tensors; a count has 64 bits, in version 1 32
//!     count         of keys
//!     keys          text, u32 type of the value, value
//!     tensors       text, u32 dimensions, count each, u32 type of the data, u64 offset in the data
//!     padding to `general.alignment` (32), data
//!
//! text   count of bytes, UTF-8        array   u32 type of the elements, count, elements
//! ```

mod keys;
mod reader;
mod tensor_table;
mod types;
mod values;

use self::keys::{find_architecture, read_keys, MAX_KEYS};
use self::reader::Reader;
use super::error::{within, HeaderError};
use super::json::Object;
use super::tensors::MAX_TENSORS;
use super::window::{ReadAt, Window};
use super::{Detail, Options};

pub use self::reader::MAGIC;

/// Longest header: it holds the vocabulary, 20 MB in the largest models.
const MAX_HEADER_BYTES: u64 = 256 << 20;

/// Reads the header of a GGUF file.
pub fn read<S: ReadAt + ?Sized>(window: Window<'_, S>, options: &Options) -> Result<Vec<u8>, HeaderError> {
    let mut reader = Reader::new(window)?;
    reader.window.set_limit(MAX_HEADER_BYTES);
    let tensors = reader.count("its number of tensors")?;
    let keys = reader.count("its number of keys")?;
    // The shortest key: a count, a type and one byte. The shortest tensor: a count, two numbers and an offset.
    reader.has_room("keys", keys, reader.count_width() + 5)?;
    reader.has_room("tensors", tensors, reader.count_width() + 16)?;
    within("keys", keys, MAX_KEYS)?;
    within("tensors", tensors, MAX_TENSORS)?;

    let mut answer = Object::new();
    answer.text("format", "gguf");
    answer.number("size_bytes", reader.window.length());
    answer.number("version", u64::from(reader.version));
    answer.text("byte_order", if reader.is_big_endian { "big" } else { "little" });
    answer.number("key_count", keys);
    answer.number("tensor_count", tensors);
    if options.detail == Detail::Type {
        if let Some(architecture) = find_architecture(&mut reader, keys)? {
            answer.text("architecture", &architecture);
        }
        return Ok(answer.finish());
    }
    let found = read_keys(&mut reader, keys, options.is_whole)?;
    if let Some(architecture) = &found.architecture {
        answer.text("architecture", architecture);
    }
    answer.ready("metadata", &found.metadata);
    if options.detail >= Detail::Names {
        tensor_table::read(&mut reader, tensors, &found, options, &mut answer)?;
    }
    Ok(answer.finish())
}
