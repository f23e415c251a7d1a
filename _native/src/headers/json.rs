//! Writing the answer: one JSON object.

use super::error::{within, HeaderError};

/// Appends a text with its quotes.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    // Nothing fails when a vector is written to.
    let _ = serde_json::to_writer(out, text);
}

pub fn push_unsigned(out: &mut Vec<u8>, number: u64) {
    let _ = serde_json::to_writer(out, &number);
}

pub fn push_signed(out: &mut Vec<u8>, number: i64) {
    let _ = serde_json::to_writer(out, &number);
}

/// Appends a number, or `null` for what JSON can't say.
pub fn push_float(out: &mut Vec<u8>, number: f64) {
    let _ = serde_json::to_writer(out, &number);
}

/// An object, member by member.
#[derive(Debug)]
pub struct Object {
    out: Vec<u8>,
}

impl Object {
    pub fn new() -> Self {
        let mut out = Vec::with_capacity(512);
        out.push(b'{');
        Self { out }
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        push_text(&mut self.out, key);
        self.out.push(b':');
        &mut self.out
    }

    pub fn text(&mut self, key: &str, value: &str) {
        push_text(self.key(key), value);
    }

    pub fn number(&mut self, key: &str, value: u64) {
        push_unsigned(self.key(key), value);
    }

    /// A value that is JSON already.
    pub fn ready(&mut self, key: &str, value: &[u8]) {
        self.key(key).extend_from_slice(value);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// A list of bounded size; elements are JSON already.
#[derive(Debug)]
pub struct List {
    out: Vec<u8>,
    limit: u64,
}

impl List {
    pub fn new(limit: u64) -> Self {
        Self { out: vec![b'['], limit }
    }

    /// Appends what `write` writes.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), HeaderError> {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        write(&mut self.out);
        within("bytes of names", self.out.len() as u64, self.limit)
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.out.push(b']');
        self.out
    }
}
