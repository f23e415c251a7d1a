//! A file as a moving window: every read is checked against what is left before anything is allocated.

use std::fs::File;
use std::io;

use super::error::{within, HeaderError};

/// Bytes of the first read: most headers end there, and a small file pays for no more.
const FIRST: usize = 16 << 10;

/// Bytes of each further read: they stay in the second-level cache.
const NEXT: usize = 128 << 10;

/// Reading at an offset, without a cursor.
pub trait ReadAt {
    /// Reads as `pread` does: 0 at the end, possibly less than asked for.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    #[cfg(unix)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, bytes, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|from| self.get(from..)).unwrap_or_default();
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The window; it never goes past `length`, nor past `limit`.
pub struct Window<'a, S: ReadAt + ?Sized> {
    source: &'a S,
    length: u64,
    limit: u64,
    buffer: &'a mut Vec<u8>,
    start: u64,
    filled: usize,
    at: usize,
}

impl<'a, S: ReadAt + ?Sized> Window<'a, S> {
    /// A window at the beginning of a file of `length` bytes; `buffer` is kept by the caller for the next one.
    pub fn new(source: &'a S, length: u64, buffer: &'a mut Vec<u8>) -> Self {
        Self { source, length, limit: u64::MAX, buffer, start: 0, filled: 0, at: 0 }
    }

    /// Refuses headers that are longer.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Bytes of the file behind the window's position.
    pub fn left(&self) -> u64 {
        self.length - self.position()
    }

    /// The next bytes; `count` is bounded by the caller.
    #[inline]
    pub fn bytes(&mut self, count: u64, what: &'static str) -> Result<&[u8], HeaderError> {
        let position = self.position();
        let count = usize::try_from(count).map_err(|_| HeaderError::Cut { what, position })?;
        if self.filled - self.at < count {
            self.refill(count, what)?;
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.bytes(N as u64, what)?);
        Ok(bytes)
    }

    /// What is there of the next `most` bytes, without going on.
    pub fn peek(&mut self, most: u64) -> Result<&[u8], HeaderError> {
        let count = most.min(self.left());
        let count = self.bytes(count, "its beginning")?.len();
        self.at -= count;
        Ok(&self.buffer[self.at..self.at + count])
    }

    /// Goes on without reading.
    #[inline]
    pub fn skip(&mut self, count: u64, what: &'static str) -> Result<(), HeaderError> {
        match usize::try_from(count) {
            Ok(count) if count <= self.filled - self.at => {
                self.at += count;
                Ok(())
            }
            _ if count > self.left() => Err(HeaderError::Cut { what, position: self.position() }),
            _ => self.seek(self.position() + count),
        }
    }

    /// Goes to a position that was passed before, or is within the file.
    pub fn seek(&mut self, position: u64) -> Result<(), HeaderError> {
        within("bytes of header", position, self.limit)?;
        match position.checked_sub(self.start).and_then(|at| usize::try_from(at).ok()) {
            Some(at) if at <= self.filled => self.at = at,
            _ => (self.start, self.filled, self.at) = (position, 0, 0),
        }
        Ok(())
    }

    /// Goes past texts, each behind its length of `N` bytes.
    pub fn skip_texts<const N: usize>(
        &mut self,
        count: u64,
        length_of: impl Fn([u8; N]) -> u64,
    ) -> Result<(), HeaderError> {
        // PERF: 3 ns a text, reading the file included.
        for _ in 0..count {
            let length = match self.buffer[self.at..self.filled].first_chunk::<N>() {
                Some(bytes) => {
                    self.at += N;
                    length_of(*bytes)
                }
                None => length_of(self.array("a text of an array")?),
            };
            self.skip(length, "a text of an array")?;
        }
        Ok(())
    }

    #[cold]
    fn refill(&mut self, count: usize, what: &'static str) -> Result<(), HeaderError> {
        let position = self.position();
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        if count > left {
            return Err(HeaderError::Cut { what, position });
        }
        within("bytes of header", position.saturating_add(count as u64), self.limit)?;
        let block = if position == 0 { FIRST } else { NEXT };
        let wanted = left.min(block.max(count));
        self.buffer.copy_within(self.at..self.filled, 0);
        (self.filled, self.start, self.at) = (self.filled - self.at, position, 0);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < count {
            let at = self.start + self.filled as u64;
            match self.source.read_at(&mut self.buffer[self.filled..wanted], at) {
                // The file became shorter since it was opened.
                Ok(0) => return Err(HeaderError::Cut { what, position: at }),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_skips_and_goes_back_across_its_blocks() {
        let bytes: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
        let mut buffer = Vec::new();
        let mut window = Window::new(&bytes[..], bytes.len() as u64, &mut buffer);
        let number = |window: &mut Window<[u8]>| u32::from_le_bytes(window.array("a number").unwrap());
        assert_eq!(number(&mut window), 0);
        window.skip(4 * 99_999, "numbers").unwrap();
        assert_eq!(number(&mut window), 100_000);
        window.seek(8).unwrap();
        assert_eq!(number(&mut window), 2);
        assert_eq!(window.bytes(300_000, "much").unwrap(), &bytes[12..300_012]);
        assert_eq!(window.left(), 1_600_000 - 300_012);
        let cut = HeaderError::Cut { what: "more", position: 300_012 };
        assert_eq!(window.skip(1_300_000, "more"), Err(cut.clone()));
        assert_eq!(window.bytes(1_300_000, "more"), Err(cut));
        assert_eq!(window.skip(window.left(), "all"), Ok(()));
        assert_eq!(window.peek(8).unwrap(), b"");
    }

    #[test]
    fn a_file_that_became_shorter_is_cut() {
        let mut buffer = Vec::new();
        let mut window = Window::new(&[0; 8][..], 1 << 40, &mut buffer);
        assert!(window.array::<8>("a").is_ok());
        assert_eq!(window.array::<1>("b"), Err(HeaderError::Cut { what: "b", position: 8 }));
        assert_eq!(window.bytes(1 << 16, "c"), Err(HeaderError::Cut { what: "c", position: 8 }));
    }

    #[test]
    fn a_header_past_the_limit_is_refused() {
        let mut buffer = Vec::new();
        let bytes = [0; 64];
        let mut window = Window::new(&bytes[..], 64, &mut buffer);
        window.set_limit(16);
        assert!(window.array::<16>("a").is_ok());
        window.seek(0).unwrap();
        let past = HeaderError::OverLimit { what: "bytes of header", count: 17, limit: 16 };
        assert_eq!(window.seek(17), Err(past));
    }
}
