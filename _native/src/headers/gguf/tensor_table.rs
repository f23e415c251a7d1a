//! The table of tensors between the metadata and the data of a GGUF file.

use super::keys::Keys;
use super::reader::Reader;
use super::types::{data_type, file_type};
use crate::headers::error::{shown, within, HeaderError};
use crate::headers::json::Object;
use crate::headers::tensors::{elements, Tensor, Tensors, MAX_DIMENSIONS};
use crate::headers::window::ReadAt;
use crate::headers::{Detail, Options};

/// Bytes of the longest name; ggml has room for 64.
const MAX_NAME: u64 = 1 << 10;

/// Reads the table and writes what `detail` asks for into the answer.
pub fn read<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    count: u64,
    keys: &Keys,
    options: &Options,
    answer: &mut Object,
) -> Result<(), HeaderError> {
    let detail = options.detail;
    let mut tensors = Tensors::new(options, count);
    let mut row = Row::default();
    for _ in 0..count {
        row.read(reader)?;
        tensors.name(&row.name)?;
        if detail == Detail::Names {
            tensors.list_name(&row.name)?;
        } else {
            tensors.add(&row.tensor(keys.alignment)?)?;
        }
    }
    if detail >= Detail::Facts {
        let end = tensors.check_ranges(false)?;
        // Where there is no data, nothing is padded.
        let start = reader.window.position();
        let start = if count == 0 { start } else { start.next_multiple_of(keys.alignment) };
        answer.number("header_bytes", start);
        answer.number("missing_bytes", start.saturating_add(end).saturating_sub(reader.window.length()));
        let named = keys.file_type.and_then(file_type);
        if let Some(quantization) = named.or_else(|| tensors.main_dtype()) {
            answer.text("quantization", quantization);
        }
    }
    tensors.write(answer, detail);
    Ok(())
}

/// One row; each is read into the place of the one before.
#[derive(Default)]
struct Row {
    name: String,
    shape: Vec<u64>,
    code: u32,
    offset: u64,
}

impl Row {
    fn read<S: ReadAt + ?Sized>(&mut self, reader: &mut Reader<'_, S>) -> Result<(), HeaderError> {
        self.read_name(reader)?;
        let dimensions = reader.u32("the dimensions of a tensor")?;
        within("dimensions in a tensor", u64::from(dimensions), MAX_DIMENSIONS as u64)?;
        self.shape.clear();
        for _ in 0..dimensions {
            self.shape.push(reader.count("the shape of a tensor")?);
        }
        self.code = reader.u32("the type of a tensor")?;
        self.offset = reader.u64("the offset of a tensor")?;
        Ok(())
    }

    fn read_name<S: ReadAt + ?Sized>(&mut self, reader: &mut Reader<'_, S>) -> Result<(), HeaderError> {
        let length = reader.count("the length of a name")?;
        let position = reader.window.position();
        reader.has_room("bytes of a name", length, 1)?;
        within("bytes of a name", length, MAX_NAME)?;
        let bytes = reader.window.bytes(length, "a name")?;
        let not_utf8 = |_| HeaderError::NotUtf8 { what: "the name of a tensor", position };
        self.name.clear();
        self.name.push_str(std::str::from_utf8(bytes).map_err(not_utf8)?);
        Ok(())
    }

    fn tensor(&self, alignment: u64) -> Result<Tensor<'_>, HeaderError> {
        let offset = self.offset;
        if offset % alignment != 0 {
            return Err(HeaderError::Misaligned(shown(&self.name), offset));
        }
        let (dtype, block) = data_type(self.code);
        let size = match block {
            None => None,
            Some((per_block, _)) if self.shape.first().unwrap_or(&1) % per_block != 0 => {
                return Err(HeaderError::PartBlock(shown(&self.name), dtype.into_owned()));
            }
            Some((per_block, bytes)) => {
                let size = elements(&self.shape).and_then(|all| (all / per_block).checked_mul(bytes));
                Some(size.ok_or_else(|| HeaderError::ShapeOverflow(shown(&self.name)))?)
            }
        };
        Ok(Tensor { name: &self.name, dtype, shape: &self.shape, offset, size })
    }
}
