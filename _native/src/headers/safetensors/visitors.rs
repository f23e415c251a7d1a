//! The members of a header, one after the other, as serde hands them out.

use std::borrow::Cow;
use std::fmt;
use std::mem::take;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::copy::Copier;
use crate::headers::error::{shown, HeaderError};
use crate::headers::tensors::{elements, Tensor, Tensors, MAX_DIMENSIONS};
use crate::headers::{Detail, Options};

const METADATA: &str = "__metadata__";

/// Bits of an element, by data type; of a type that came later nothing is known.
const DTYPES: [(&str, u64); 22] = [
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("U16", 16),
    ("I16", 16),
    ("F16", 16),
    ("BF16", 16),
    ("U32", 32),
    ("I32", 32),
    ("F32", 32),
    ("U64", 64),
    ("I64", 64),
    ("F64", 64),
    ("C64", 64),
];

/// Bytes that a tensor takes in a header, about.
const TENSOR_BYTES: u64 = 80;

/// What was read so far, and why reading ended, if it did.
pub struct Scan {
    detail: Detail,
    pub tensors: Tensors,
    /// `__metadata__` as JSON, if it is an object.
    pub metadata: Option<Vec<u8>>,
    has_metadata: bool,
    /// The object that was read last holds more than texts.
    pub(super) has_other: bool,
    /// The shape of the tensor that is read.
    shape: Vec<u64>,
    /// The tensor whose form is wrong.
    at: String,
    failure: Option<HeaderError>,
}

impl Scan {
    /// A scan of a header of `length` bytes.
    pub fn new(options: &Options, length: u64) -> Self {
        Self {
            detail: options.detail,
            tensors: Tensors::new(options, length / TENSOR_BYTES),
            metadata: None,
            has_metadata: false,
            has_other: false,
            shape: Vec::new(),
            at: String::new(),
            failure: None,
        }
    }

    /// Reads a header from its first to its last byte.
    pub fn read(&mut self, json: &[u8]) -> Result<(), HeaderError> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let outcome = Members(self).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        outcome.map_err(|error| match (self.failure.take(), error.classify()) {
            (Some(failure), _) => failure,
            (None, Category::Data) if self.at.is_empty() => HeaderError::NotAnObject,
            (None, Category::Data) => HeaderError::TensorForm(take(&mut self.at), error.to_string()),
            (None, _) => HeaderError::NotJson(error.to_string()),
        })
    }

    /// Ends reading: serde passes no errors of others, so ours waits for it here.
    pub(super) fn fail<E: Error>(&mut self, failure: HeaderError) -> E {
        self.failure = Some(failure);
        E::custom("")
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        if name == METADATA {
            if self.has_metadata {
                return Err(self.fail(HeaderError::DuplicateMetadata));
            }
            self.has_metadata = true;
            return self.copy_metadata(map);
        }
        if let Err(failure) = self.tensors.name(name) {
            return Err(self.fail(failure));
        }
        let outcome = if self.detail >= Detail::Facts {
            let found = match map.next_value_seed(Form(self)) {
                Ok(found) => found,
                Err(error) => {
                    self.at = shown(name);
                    return Err(error);
                }
            };
            self.check(name, &found)
        } else {
            map.next_value_seed(Copier::new(self, None))?;
            self.tensors.list_name(name)
        };
        outcome.map_err(|failure| self.fail(failure))
    }

    fn copy_metadata<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let mut copy = Vec::new();
        self.has_other = false;
        map.next_value_seed(Copier::new(self, Some(&mut copy)))?;
        let is_object = copy.first() == Some(&b'{');
        // The rules want texts only (the reference takes null for none); whoever asks for the keys gets any form.
        let is_sound = if is_object { !self.has_other } else { copy == b"null" };
        if self.detail >= Detail::Facts && !is_sound {
            return Err(self.fail(HeaderError::MetadataForm));
        }
        self.metadata = is_object.then_some(copy);
        Ok(())
    }

    fn check(&mut self, name: &str, found: &Found<'_>) -> Result<(), HeaderError> {
        let shape = &self.shape;
        let [begin, end] = found.offsets;
        let size = end.checked_sub(begin).ok_or_else(|| HeaderError::TensorSize(shown(name)))?;
        let known = DTYPES.iter().find(|known| known.0 == found.dtype);
        if let Some((_, bits)) = known {
            let all = elements(shape).and_then(|all| all.checked_mul(*bits));
            let all = all.ok_or_else(|| HeaderError::ShapeOverflow(shown(name)))?;
            if all % 8 != 0 || size != all / 8 {
                return Err(HeaderError::TensorSize(shown(name)));
            }
        }
        let dtype = Cow::Borrowed(found.dtype.as_ref());
        self.tensors.add(&Tensor { name, dtype, shape, offset: begin, size: Some(size) })
    }
}

/// The whole header.
struct Members<'s>(&'s mut Scan);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Text)? {
            self.0.member(&name, &mut map)?;
        }
        Ok(())
    }
}

/// A text, borrowed from the header unless it has an escape.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// One tensor as it stands in the header; its shape is in the scan.
struct Found<'a> {
    dtype: Cow<'a, str>,
    offsets: [u64; 2],
}

/// The form of a tensor; members of other names are passed by, as the reference does.
struct Form<'s>(&'s mut Scan);

impl<'de> DeserializeSeed<'de> for Form<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Form<'_> {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with `dtype`, `shape` and `data_offsets`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut dtype, mut has_shape, mut offsets) = (None, false, None);
        while let Some(key) = map.next_key_seed(Text)? {
            match key.as_ref() {
                "dtype" if dtype.is_some() => return Err(A::Error::duplicate_field("dtype")),
                "shape" if has_shape => return Err(A::Error::duplicate_field("shape")),
                "data_offsets" if offsets.is_some() => return Err(A::Error::duplicate_field("data_offsets")),
                "dtype" => dtype = Some(map.next_value_seed(Text)?),
                "shape" => {
                    map.next_value_seed(Shape(&mut self.0.shape))?;
                    has_shape = true;
                }
                "data_offsets" => offsets = Some(map.next_value::<[u64; 2]>()?),
                _ => map.next_value_seed(Copier::new(self.0, None))?,
            }
        }
        if !has_shape {
            return Err(A::Error::missing_field("shape"));
        }
        Ok(Found {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            offsets: offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

/// A shape, of bounded length.
struct Shape<'s>(&'s mut Vec<u64>);

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {MAX_DIMENSIONS} sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.clear();
        while let Some(size) = seq.next_element()? {
            if self.0.len() == MAX_DIMENSIONS {
                return Err(A::Error::invalid_length(MAX_DIMENSIONS + 1, &self));
            }
            self.0.push(size);
        }
        Ok(())
    }
}
