//! The table of tensors between the metadata and the data of a GGUF file.

use super::keys::Keys;
use super::reader::Reader;
use super::types::{data_type, file_type};
use crate::headers::error::{shown, within, HeaderError};
use crate::headers::json::Object;
use crate::headers::tensors::{elements, Tensor, Tensors, MAX_DIMENSIONS};
use crate::headers::window::ReadAt;
use crate::headers::Detail;

/// Bytes of the longest name; ggml has room for 64.
const MAX_NAME: u64 = 1 << 10;

/// Reads the table and writes what `detail` asks for into the answer.
pub fn read<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    count: u64,
    keys: &Keys,
    detail: Detail,
    answer: &mut Object,
) -> Result<(), HeaderError> {
    let mut tensors = Tensors::new(detail);
    for _ in 0..count {
        read_tensor(reader, keys.alignment, detail, &mut tensors)?;
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

fn read_tensor<S: ReadAt + ?Sized>(
    reader: &mut Reader<'_, S>,
    alignment: u64,
    detail: Detail,
    tensors: &mut Tensors,
) -> Result<(), HeaderError> {
    let name = read_name(reader)?;
    tensors.name(&name)?;
    let dimensions = reader.u32("the dimensions of a tensor")?;
    within("dimensions in a tensor", u64::from(dimensions), MAX_DIMENSIONS as u64)?;
    let mut sizes = [0; MAX_DIMENSIONS];
    let shape = &mut sizes[..dimensions as usize];
    for size in shape.iter_mut() {
        *size = reader.count("the shape of a tensor")?;
    }
    let code = reader.u32("the type of a tensor")?;
    let offset = reader.u64("the offset of a tensor")?;
    if detail == Detail::Names {
        return tensors.list_name(&name);
    }
    if offset % alignment != 0 {
        return Err(HeaderError::Misaligned(shown(&name), offset));
    }
    let (dtype, block) = data_type(code);
    let size = match block {
        None => None,
        Some((per_block, _)) if shape.first().unwrap_or(&1) % per_block != 0 => {
            return Err(HeaderError::PartBlock(shown(&name), dtype.into_owned()));
        }
        Some((per_block, bytes)) => {
            let size = elements(shape).and_then(|all| (all / per_block).checked_mul(bytes));
            Some(size.ok_or_else(|| HeaderError::ShapeOverflow(shown(&name)))?)
        }
    };
    tensors.add(&Tensor { name: &name, dtype, shape, offset, size })
}

fn read_name<S: ReadAt + ?Sized>(reader: &mut Reader<'_, S>) -> Result<String, HeaderError> {
    let length = reader.count("the length of a name")?;
    let position = reader.window.position();
    reader.has_room("bytes of a name", length, 1)?;
    within("bytes of a name", length, MAX_NAME)?;
    let bytes = reader.window.bytes(length, "a name")?.to_vec();
    String::from_utf8(bytes).map_err(|_| HeaderError::NotUtf8 { what: "the name of a tensor", position })
}
