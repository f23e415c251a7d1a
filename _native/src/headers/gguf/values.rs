//! Metadata values: skipped, or written as JSON.

use std::ops::Range;

use super::reader::Reader;
use super::types::ValueType;
use crate::headers::error::{within, HeaderError};
use crate::headers::json::{push_float, push_signed, push_text, push_unsigned, Object};
use crate::headers::window::ReadAt;
use crate::headers::MAX_ANSWER_BYTES;

/// Elements of the longest array that is not summarised.
const SHORT_ARRAY: u64 = 64;

/// Bytes of the longest text that is not summarised; a chat template has up to 30 KiB.
const SHORT_TEXT: u64 = 64 << 10;

/// Bytes of the longest text of a whole array; a word of a vocabulary has up to a few hundred.
const MAX_TEXT: u64 = 1 << 20;

/// Elements of all whole arrays together; the largest vocabularies come to a million and a half.
const MAX_ELEMENTS: u64 = 1 << 21;

/// Deepest nesting of arrays; nobody nests them.
const MAX_NESTING: usize = 8;

/// Bytes of all keys and values where nothing is given whole; real ones have a tenth of it.
const MAX_SUMMARY: u64 = 4 << 20;

/// Where keys and values are written to, and what they have cost.
#[derive(Debug, Default)]
pub struct Values {
    pub out: Vec<u8>,
    is_whole: bool,
    elements: u64,
}

impl Values {
    /// With `is_whole` nothing is summarised.
    pub fn new(is_whole: bool) -> Self {
        Self { is_whole, ..Self::default() }
    }

    /// Writes what stands before a value; where the key stands in it.
    pub fn begin_member(&mut self, name: &str) -> Range<usize> {
        self.out.push(b',');
        let start = self.out.len();
        push_text(&mut self.out, name);
        let end = self.out.len();
        self.out.push(b':');
        start..end
    }

    fn check_size(&self) -> Result<(), HeaderError> {
        let limit = if self.is_whole { MAX_ANSWER_BYTES } else { MAX_SUMMARY };
        within("bytes of metadata", self.out.len() as u64, limit)
    }

    /// Writes the next value of a type; false when it can't be decoded.
    pub fn write<S: ReadAt + ?Sized>(
        &mut self,
        reader: &mut Reader<'_, S>,
        value_type: ValueType,
    ) -> Result<bool, HeaderError> {
        let is_decoded = match value_type {
            ValueType::Text => self.text(reader)?,
            ValueType::Array => self.array(reader)?,
            _ => {
                write_number(reader, value_type, &mut self.out)?;
                true
            }
        };
        self.check_size()?;
        Ok(is_decoded)
    }

    fn text<S: ReadAt + ?Sized>(&mut self, reader: &mut Reader<'_, S>) -> Result<bool, HeaderError> {
        let length = reader.count("the length of a text")?;
        if length > SHORT_TEXT && !self.is_whole {
            reader.window.skip(length, "a text")?;
            self.summary("string", "bytes", length);
            return Ok(true);
        }
        self.text_of(reader, length)
    }

    fn text_of<S: ReadAt + ?Sized>(
        &mut self,
        reader: &mut Reader<'_, S>,
        length: u64,
    ) -> Result<bool, HeaderError> {
        reader.has_room("bytes of a text", length, 1)?;
        within("bytes of a text", length, MAX_TEXT)?;
        let Ok(text) = std::str::from_utf8(reader.window.bytes(length, "a text")?) else {
            return Ok(false);
        };
        push_text(&mut self.out, text);
        Ok(true)
    }

    fn summary(&mut self, element: &str, unit: &str, count: u64) {
        let mut object = Object::new();
        object.text("type", element);
        object.number(unit, count);
        self.out.extend_from_slice(&object.finish());
    }

    fn array<S: ReadAt + ?Sized>(&mut self, reader: &mut Reader<'_, S>) -> Result<bool, HeaderError> {
        let start = self.out.len();
        if self.is_whole {
            self.out.push(b'[');
            let is_decoded = self.elements(reader, 1)?;
            self.close(start);
            return Ok(is_decoded);
        }
        let mark = reader.window.position();
        let (element, count) = array_head(reader)?;
        if count > SHORT_ARRAY || element == ValueType::Array {
            skip_elements(reader, element, count, 1)?;
            self.summary(element.name(), "count", count);
            return Ok(true);
        }
        reader.window.seek(mark)?;
        self.out.push(b'[');
        let is_decoded = self.elements(reader, 1)?;
        self.close(start);
        if (self.out.len() - start) as u64 > SHORT_TEXT {
            self.out.truncate(start);
            self.summary(element.name(), "count", count);
        }
        Ok(is_decoded)
    }

    /// Ends a list whose elements each left a comma behind.
    fn close(&mut self, start: usize) {
        if self.out.len() > start + 1 {
            self.out.pop();
        }
        self.out.push(b']');
    }

    /// Writes the elements of an array, those of nested ones in a row with them; all are read in any case.
    fn elements<S: ReadAt + ?Sized>(
        &mut self,
        reader: &mut Reader<'_, S>,
        depth: usize,
    ) -> Result<bool, HeaderError> {
        let (element, count) = array_head(reader)?;
        nested(depth)?;
        self.elements = self.elements.saturating_add(count);
        within("array elements", self.elements, MAX_ELEMENTS)?;
        let mut is_decoded = true;
        for _ in 0..count {
            match element {
                ValueType::Array => is_decoded &= self.elements(reader, depth + 1)?,
                ValueType::Text => {
                    let length = reader.count("the length of a text")?;
                    is_decoded &= self.text_of(reader, length)?;
                    self.out.push(b',');
                }
                _ => {
                    write_number(reader, element, &mut self.out)?;
                    self.out.push(b',');
                }
            }
            self.check_size()?;
        }
        Ok(is_decoded)
    }
}

fn nested(depth: usize) -> Result<(), HeaderError> {
    if depth > MAX_NESTING {
        return Err(HeaderError::ArraysTooDeep(MAX_NESTING));
    }
    Ok(())
}

/// Reads the type that stands before a value or in the head of an array.
pub fn value_type<S: ReadAt + ?Sized>(reader: &mut Reader<'_, S>) -> Result<ValueType, HeaderError> {
    let position = reader.window.position();
    let code = reader.u32("the type of a value")?;
    ValueType::of(code).ok_or(HeaderError::ValueType { code, position })
}

/// Type and number of the elements of an array; there is room for them in the file.
fn array_head<S: ReadAt + ?Sized>(reader: &mut Reader<'_, S>) -> Result<(ValueType, u64), HeaderError> {
    let element = value_type(reader)?;
    let count = reader.count("the length of an array")?;
    let width = match element {
        ValueType::Text => reader.count_width(),
        ValueType::Array => 4 + reader.count_width(),
        _ => element.width() as u64,
    };
    reader.has_room("elements of an array", count, width)?;
    Ok((element, count))
}

/// Goes past a value.
pub fn skip<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    value_type: ValueType,
    depth: usize,
) -> Result<(), HeaderError> {
    match value_type {
        ValueType::Text => {
            let length = reader.count("the length of a text")?;
            reader.window.skip(length, "a text")
        }
        ValueType::Array => {
            let (element, count) = array_head(reader)?;
            skip_elements(reader, element, count, depth + 1)
        }
        _ => reader.window.skip(value_type.width() as u64, "a value"),
    }
}

fn skip_elements<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    element: ValueType,
    count: u64,
    depth: usize,
) -> Result<(), HeaderError> {
    nested(depth)?;
    match element {
        ValueType::Text => reader.skip_texts(count),
        ValueType::Array => (0..count).try_for_each(|_| skip(reader, element, depth)),
        // There is room for them, so the product is no larger than the file.
        _ => reader.window.skip(count * element.width() as u64, "the elements of an array"),
    }
}

/// Writes the next number of a type that has a width.
fn write_number<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    value_type: ValueType,
    out: &mut Vec<u8>,
) -> Result<(), HeaderError> {
    const WHAT: &str = "a value";
    match value_type {
        ValueType::U8 => push_unsigned(out, u8::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::U16 => push_unsigned(out, u16::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::U32 => push_unsigned(out, reader.u32(WHAT)?.into()),
        ValueType::U64 => push_unsigned(out, reader.u64(WHAT)?),
        ValueType::I8 => push_signed(out, i8::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::I16 => push_signed(out, i16::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::I32 => push_signed(out, i32::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::I64 => push_signed(out, i64::from_le_bytes(reader.number(WHAT)?)),
        ValueType::F32 => push_float(out, f32::from_le_bytes(reader.number(WHAT)?).into()),
        ValueType::F64 => push_float(out, f64::from_le_bytes(reader.number(WHAT)?)),
        // Other bytes than 0 and 1 are against the rules, and true to every reader.
        ValueType::Bool => {
            out.extend_from_slice(if reader.number(WHAT)? == [0] { b"false" } else { b"true" });
        }
        ValueType::Text | ValueType::Array => {}
    }
    Ok(())
}

/// The next value as a text: of an array the first element, of a number its bytes; None where they are none.
pub fn as_text<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    value_type: ValueType,
    depth: usize,
) -> Result<Option<String>, HeaderError> {
    let length = match value_type {
        ValueType::Text => reader.count("the length of a text")?,
        ValueType::Array => {
            nested(depth)?;
            let (element, count) = array_head(reader)?;
            return if count == 0 { Ok(None) } else { as_text(reader, element, depth + 1) };
        }
        _ => value_type.width() as u64,
    };
    if length > SHORT_TEXT {
        reader.window.skip(length, "a text")?;
        return Ok(None);
    }
    let bytes = reader.window.bytes(length, "a text")?;
    Ok(std::str::from_utf8(bytes).ok().map(str::to_owned))
}
