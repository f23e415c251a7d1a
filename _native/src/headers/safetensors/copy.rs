//! A value of any form, passed by or copied as compact JSON, nested no deeper than is sensible.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::visitors::{Scan, Text};
use crate::headers::error::{within, HeaderError};
use crate::headers::json::{push_float, push_signed, push_text, push_unsigned};

/// Deepest nesting: `serde_json` gives up at 128, with an error of no kind of its own.
const MAX_DEPTH: usize = 64;

/// Bytes of the longest copy; what trainers note of a dataset comes to two million.
const MAX_COPY: u64 = 8 << 20;

/// Most members and elements of a copy, all levels together: they take more memory than their bytes, wherever the copy
/// is read. Trainers note a hundred.
const MAX_PARTS: u64 = 1 << 16;

/// Takes one value.
pub struct Copier<'s, 'o> {
    scan: &'s mut Scan,
    out: Option<&'o mut Vec<u8>>,
    depth: usize,
}

impl<'s, 'o> Copier<'s, 'o> {
    /// With `out` the value is copied there.
    pub fn new(scan: &'s mut Scan, out: Option<&'o mut Vec<u8>>) -> Self {
        Self { scan, out, depth: 0 }
    }

    fn write<E: Error>(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), E> {
        let Some(out) = self.out.as_mut() else { return Ok(()) };
        write(out);
        within("bytes of metadata", out.len() as u64, MAX_COPY).map_err(|failure| self.scan.fail(failure))
    }

    /// Counts a member or an element of a copy.
    fn part<E: Error>(&mut self) -> Result<(), E> {
        if self.out.is_none() {
            return Ok(());
        }
        self.scan.parts += 1;
        within("parts of metadata", self.scan.parts, MAX_PARTS).map_err(|failure| self.scan.fail(failure))
    }

    /// Takes note of a value in an object that is no text.
    fn is_other(&mut self) {
        self.scan.has_other |= self.depth == 1;
    }

    fn inner(&mut self) -> Copier<'_, '_> {
        Copier { scan: self.scan, out: self.out.as_deref_mut(), depth: self.depth + 1 }
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.depth >= MAX_DEPTH {
            return Err(self.scan.fail(HeaderError::JsonTooDeep(MAX_DEPTH)));
        }
        Ok(())
    }

    fn comma<E: Error>(&mut self, is_first: bool) -> Result<(), E> {
        if is_first {
            Ok(())
        } else {
            self.write(|out| out.push(b','))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Copier<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copier<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.is_other();
        self.write(|out| out.extend_from_slice(b"null"))
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.is_other();
        self.write(|out| out.extend_from_slice(if value { b"true" } else { b"false" }))
    }

    fn visit_u64<E: Error>(mut self, value: u64) -> Result<(), E> {
        self.is_other();
        self.write(|out| push_unsigned(out, value))
    }

    fn visit_i64<E: Error>(mut self, value: i64) -> Result<(), E> {
        self.is_other();
        self.write(|out| push_signed(out, value))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        self.is_other();
        self.write(|out| push_float(out, value))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<(), E> {
        self.write(|out| push_text(out, value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.is_other();
        self.enter()?;
        self.write(|out| out.push(b'['))?;
        let mut is_first = true;
        loop {
            let before = self.out.as_ref().map_or(0, |out| out.len());
            self.comma(is_first)?;
            if seq.next_element_seed(self.inner())?.is_none() {
                if let Some(out) = self.out.as_mut() {
                    out.truncate(before);
                }
                return self.write(|out| out.push(b']'));
            }
            is_first = false;
            self.part()?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.is_other();
        self.enter()?;
        self.write(|out| out.push(b'{'))?;
        let mut is_first = true;
        while let Some(key) = map.next_key_seed(Text)? {
            self.comma(is_first)?;
            is_first = false;
            self.part()?;
            self.write(|out| push_text(out, &key))?;
            self.write(|out| out.push(b':'))?;
            map.next_value_seed(self.inner())?;
        }
        self.write(|out| out.push(b'}'))
    }
}
