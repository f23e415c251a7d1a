//! Numbers, texts and counts of a GGUF file, in its byte order and version.

use crate::headers::error::HeaderError;
use crate::headers::window::{ReadAt, Window};

/// The first four bytes, in either byte order.
pub const MAGIC: &[u8; 4] = b"GGUF";

/// The window with what the file says of its own form.
pub struct Reader<'a, S: ReadAt + ?Sized> {
    pub window: Window<'a, S>,
    pub version: u32,
    pub is_big_endian: bool,
}

impl<'a, S: ReadAt + ?Sized> Reader<'a, S> {
    /// Reads the first eight bytes.
    pub fn new(mut window: Window<'a, S>) -> Result<Self, HeaderError> {
        if window.peek(4)? != MAGIC {
            return Err(HeaderError::UnknownFormat("a GGUF file"));
        }
        window.skip(4, "its beginning")?;
        let version = u32::from_le_bytes(window.array("its version")?);
        // A version is small: one that is not was written in the other order.
        let is_big_endian = version.to_le_bytes()[..2] == [0, 0];
        let version = if is_big_endian { version.swap_bytes() } else { version };
        if !(1..=3).contains(&version) {
            return Err(HeaderError::Version(version));
        }
        Ok(Self { window, version, is_big_endian })
    }

    /// The bytes of the next number, the least significant first.
    #[inline]
    pub fn number<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], HeaderError> {
        let mut bytes = self.window.array(what)?;
        if self.is_big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, HeaderError> {
        self.number(what).map(u32::from_le_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, HeaderError> {
        self.number(what).map(u64::from_le_bytes)
    }

    /// A count or a length: 32 bits in version 1.
    pub fn count(&mut self, what: &'static str) -> Result<u64, HeaderError> {
        if self.version == 1 {
            self.u32(what).map(u64::from)
        } else {
            self.u64(what)
        }
    }

    /// Bytes of a count.
    pub fn count_width(&self) -> u64 {
        if self.version == 1 {
            4
        } else {
            8
        }
    }

    /// Refuses a count of things, each of `width` bytes at least, for which there is no room in the file.
    pub fn has_room(&self, what: &'static str, count: u64, width: u64) -> Result<(), HeaderError> {
        let left = self.window.left();
        if count > left / width {
            return Err(HeaderError::Promised { what, count, left });
        }
        Ok(())
    }

    /// Goes past texts.
    pub fn skip_texts(&mut self, count: u64) -> Result<(), HeaderError> {
        self.has_room("texts of an array", count, self.count_width())?;
        match (self.version, self.is_big_endian) {
            (1, false) => self.window.skip_texts(count, |bytes| u64::from(u32::from_le_bytes(bytes))),
            (1, true) => self.window.skip_texts(count, |bytes| u64::from(u32::from_be_bytes(bytes))),
            (_, false) => self.window.skip_texts(count, u64::from_le_bytes),
            (_, true) => self.window.skip_texts(count, u64::from_be_bytes),
        }
    }
}
