//! The metadata of a GGUF file: keys with their values.

use std::collections::HashMap;
use std::ops::Range;

use super::reader::Reader;
use super::types::ValueType;
use super::values::{as_text, skip, value_type, Values};
use crate::headers::error::{within, HeaderError};
use crate::headers::window::ReadAt;

/// Most keys of one file; real ones have fewer than a hundred.
pub const MAX_KEYS: u64 = 1 << 16;

/// Bytes of the longest key (`gguf.md`).
const MAX_KEY: u64 = (1 << 16) - 1;

/// Alignment of the data where the file names none (`gguf.md`).
const ALIGNMENT: u64 = 32;

const ARCHITECTURE: &str = "general.architecture";

/// What the keys say.
#[derive(Debug)]
pub struct Keys {
    pub architecture: Option<String>,
    pub file_type: Option<u32>,
    pub alignment: u64,
    /// All keys and values as a JSON object; of a repeated key the last value that can be decoded.
    pub metadata: Vec<u8>,
}

/// Reads keys until the architecture is known; of a repeated one the first value counts.
pub fn find_architecture<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    count: u64,
) -> Result<Option<String>, HeaderError> {
    for _ in 0..count {
        let is_it = key(reader)? == ARCHITECTURE;
        let value_type = value_type(reader)?;
        if is_it {
            return as_text(reader, value_type, 1);
        }
        skip(reader, value_type, 0)?;
    }
    Ok(None)
}

/// Reads all keys.
pub fn read_keys<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    count: u64,
    is_whole: bool,
) -> Result<Keys, HeaderError> {
    let mut values = Values::new(is_whole);
    let mut members = Vec::new();
    let mut architecture = None;
    let mut file_type = None;
    let mut alignment = None;
    for _ in 0..count {
        let start = values.out.len();
        let name = key(reader)?;
        let meaning = Meaning::of(name);
        let key = values.begin_member(name);
        let value_type = value_type(reader)?;
        let mark = reader.window.position();
        match meaning {
            Meaning::Architecture if architecture.is_none() => {
                architecture = Some(as_text(reader, value_type, 1)?);
            }
            Meaning::FileType if file_type.is_none() => {
                file_type = Some(read_file_type(reader, value_type)?);
            }
            Meaning::Alignment if alignment.is_none() => {
                alignment = Some(read_alignment(reader, value_type)?);
            }
            _ => {}
        }
        reader.window.seek(mark)?;
        if values.write(reader, value_type)? {
            members.push(Member { key, all: start..values.out.len() });
        } else {
            values.out.truncate(start);
        }
    }
    Ok(Keys {
        architecture: architecture.flatten(),
        file_type: file_type.flatten(),
        alignment: alignment.unwrap_or(ALIGNMENT),
        metadata: object_of(values.out, &members),
    })
}

/// The keys that mean something to whoever reads the file.
#[derive(Clone, Copy)]
enum Meaning {
    Architecture,
    FileType,
    Alignment,
    None,
}

impl Meaning {
    fn of(name: &str) -> Self {
        match name {
            ARCHITECTURE => Self::Architecture,
            "general.file_type" => Self::FileType,
            "general.alignment" => Self::Alignment,
            _ => Self::None,
        }
    }
}

/// Where a key and its value stand, `,"key":value`.
struct Member {
    key: Range<usize>,
    all: Range<usize>,
}

/// Makes an object of members that were written in a row.
fn object_of(mut written: Vec<u8>, members: &[Member]) -> Vec<u8> {
    let last: HashMap<&[u8], usize> =
        members.iter().enumerate().map(|(number, member)| (&written[member.key.clone()], number)).collect();
    if last.len() < members.len() {
        let mut kept: Vec<usize> = last.into_values().collect();
        kept.sort_unstable();
        written = kept.iter().flat_map(|&number| &written[members[number].all.clone()]).copied().collect();
    }
    match written.first_mut() {
        Some(comma) => *comma = b'{',
        None => written.push(b'{'),
    }
    written.push(b'}');
    written
}

fn key<'r, S: ReadAt + ?Sized>(reader: &'r mut Reader<'_, S>) -> Result<&'r str, HeaderError> {
    let length = reader.count("the length of a key")?;
    let position = reader.window.position();
    reader.has_room("bytes of a key", length, 1)?;
    within("bytes of a key", length, MAX_KEY)?;
    let bytes = reader.window.bytes(length, "a key")?;
    std::str::from_utf8(bytes).map_err(|_| HeaderError::NotUtf8 { what: "a key", position })
}

fn read_alignment<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    value_type: ValueType,
) -> Result<u64, HeaderError> {
    if value_type != ValueType::U32 {
        return Err(HeaderError::Alignment);
    }
    let alignment = reader.u32("the alignment")?;
    // `gguf.md` wants a multiple of 8, llama.cpp a power of two; files that either reads are read here.
    if !alignment.is_power_of_two() {
        return Err(HeaderError::Alignment);
    }
    Ok(u64::from(alignment))
}

fn read_file_type<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    value_type: ValueType,
) -> Result<Option<u32>, HeaderError> {
    if value_type != ValueType::U32 {
        return Ok(None);
    }
    reader.u32("the type of the file").map(Some)
}
