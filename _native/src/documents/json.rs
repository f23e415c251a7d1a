//! A strict, bounded JSON parser that keeps numbers and strings as written.
//!
//! RFC 8259. Three things a general library does not give together: integers of any length survive,
//! a repeated key keeps its first place and its last value (as Python's `json` does), and strings stay
//! slices of the input, so nothing is copied that is not looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use thiserror::Error;

/// Objects with more keys than this find repeated keys by a map, smaller ones by looking.
const LINEAR_KEYS: usize = 16;

/// Digits of the longest integer taken.
const LONGEST_INTEGER: usize = 1000;

/// Deepest nesting whatever the caller allows: each level is a few hundred bytes of the thread's stack.
const DEEPEST: usize = 500;

#[derive(Debug, Error, PartialEq, Eq)]
pub enum JsonError {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    #[error("it is not valid JSON (byte {0})")]
    Syntax(usize),
    #[error("it is nested deeper than {0} levels")]
    TooDeep(usize),
    #[error("a number is too large (byte {0})")]
    NumberRange(usize),
    #[error("a key or a text holds half of a surrogate pair")]
    LoneSurrogate,
}

/// One JSON value; `'a` is the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// The digits as written, without a plus sign; `-0` is `0`.
    Integer(&'a str),
    Float(f64),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Vec<(Text<'a>, Value<'a>)>),
}

/// A string between its quotes, escapes not yet resolved (but checked).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    pub raw: &'a str,
    pub has_escape: bool,
}

impl<'a> Text<'a> {
    /// The text as UTF-16 code units.
    pub fn units(self) -> Vec<u16> {
        let mut units = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            units.extend(rest[..at].encode_utf16());
            let escape = rest.as_bytes()[at + 1];
            let (unit, length) = match escape {
                b'u' => (u16::from_str_radix(&rest[at + 2..at + 6], 16).unwrap_or(0), 6),
                b'b' => (8, 2),
                b'f' => (12, 2),
                b'n' => (10, 2),
                b'r' => (13, 2),
                b't' => (9, 2),
                other => (u16::from(other), 2),
            };
            units.push(unit);
            rest = &rest[at + length..];
        }
        units.extend(rest.encode_utf16());
        units
    }

    /// The text itself.
    pub fn decode(self) -> Cow<'a, str> {
        if self.has_escape {
            // The parser let only whole surrogate pairs through.
            Cow::Owned(String::from_utf16_lossy(&self.units()))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    fn is_same(self, other: Self) -> bool {
        if self.has_escape || other.has_escape {
            self.units() == other.units()
        } else {
            self.raw == other.raw
        }
    }
}

/// Reads one document.
///
/// # Errors
/// What keeps `bytes` from being one JSON value nested at most `max_depth` levels deep.
pub fn parse(bytes: &[u8], max_depth: usize) -> Result<Value<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let mut parser = Parser { text, bytes, at: 0, max_depth: max_depth.min(DEEPEST) };
    parser.skip_space();
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at < bytes.len() {
        return Err(parser.syntax());
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    max_depth: usize,
}

impl<'a> Parser<'a> {
    fn syntax(&self) -> JsonError {
        JsonError::Syntax(self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.list(depth + 1),
            Some(b'"') => self.string().map(Value::Text),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.syntax()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.syntax());
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            is_integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if is_integer {
            // Python, which reads the text again, takes no longer ones either (4300).
            if text.len() > LONGEST_INTEGER {
                return Err(JsonError::NumberRange(start));
            }
            return Ok(Value::Integer(if text == "-0" { "0" } else { text }));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => Err(JsonError::NumberRange(start)),
        }
    }

    fn string(&mut self) -> Result<Text<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut has_escape = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escape = true;
                    self.escape()?;
                }
                Some(0..=0x1f) | None => return Err(self.syntax()),
                Some(_) => self.at += 1,
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(Text { raw, has_escape })
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        let length = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.syntax());
                }
                self.unicode_escape()?
            }
            _ => return Err(self.syntax()),
        };
        self.at += length;
        Ok(())
    }

    /// Length of the `\uXXXX` at the cursor, with the second half of a surrogate pair.
    fn unicode_escape(&self) -> Result<usize, JsonError> {
        let unit = |at: usize| u16::from_str_radix(self.text.get(at..at + 4)?, 16).ok();
        match unit(self.at + 2) {
            Some(0xd800..=0xdbff) => {
                let follows = self.bytes.get(self.at + 6..self.at + 8) == Some(br"\u");
                let low = if follows { unit(self.at + 8) } else { None };
                // UTF-8 can't hold half a pair, so neither the index nor an answer could.
                if matches!(low, Some(0xdc00..=0xdfff)) {
                    Ok(12)
                } else {
                    Err(JsonError::LoneSurrogate)
                }
            }
            Some(0xdc00..=0xdfff) => Err(JsonError::LoneSurrogate),
            _ => Ok(6),
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > self.max_depth {
            return Err(JsonError::TooDeep(self.max_depth));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// After an element: true when another follows, false when the container has ended.
    fn has_next(&mut self, end: u8) -> Result<bool, JsonError> {
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        self.expect(b',')?;
        self.skip_space();
        Ok(true)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.enter(depth)?;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.has_next(b']')? {
                return Ok(Value::List(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, JsonError> {
        self.enter(depth)?;
        let mut members = Members::default();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members.list));
        }
        loop {
            let key = self.string()?;
            self.skip_space();
            self.expect(b':')?;
            self.skip_space();
            let value = self.value(depth)?;
            members.insert(key, value);
            if !self.has_next(b'}')? {
                return Ok(Value::Object(members.list));
            }
        }
    }
}

/// Members in order of their first appearance; a repeated key replaces the value in place.
#[derive(Default)]
struct Members<'a> {
    list: Vec<(Text<'a>, Value<'a>)>,
    places: HashMap<Vec<u16>, usize>,
}

impl<'a> Members<'a> {
    fn insert(&mut self, key: Text<'a>, value: Value<'a>) {
        let place = self.place_of(key);
        match place {
            Some(place) => self.list[place].1 = value,
            None => self.list.push((key, value)),
        }
    }

    fn place_of(&mut self, key: Text<'a>) -> Option<usize> {
        if self.list.len() < LINEAR_KEYS {
            return self.list.iter().position(|(known, _)| known.is_same(key));
        }
        if self.places.is_empty() {
            self.places = self.list.iter().enumerate().map(|(n, (known, _))| (known.units(), n)).collect();
        }
        match self.places.entry(key.units()) {
            std::collections::hash_map::Entry::Occupied(entry) => Some(*entry.get()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(self.list.len());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> JsonError {
        parse(text.as_bytes(), 8).unwrap_err()
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in
            ["", "{", "[1,]", "{\"a\":1,}", "01", "1.", "-", "NaN", "Infinity", "tru", "\"a", "\"\n\"", "1 2"]
        {
            assert!(matches!(fails(text), JsonError::Syntax(_)), "{text}");
        }
        assert!(matches!(fails("\"\\x\""), JsonError::Syntax(_)));
        assert!(matches!(fails("\"\\u12g4\""), JsonError::Syntax(_)));
        assert!(matches!(fails("\"\\u12"), JsonError::Syntax(_)));
        for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\u0041""#, r#"{"\ud83d": 1}"#] {
            assert_eq!(fails(text), JsonError::LoneSurrogate, "{text}");
        }
        assert_eq!(fails("\u{feff}{}"), JsonError::ByteOrderMark);
        assert_eq!(fails("1e999"), JsonError::NumberRange(0));
        assert_eq!(fails(&"9".repeat(1001)), JsonError::NumberRange(0));
        assert_eq!(parse(b"\"\xe9\"", 8).unwrap_err(), JsonError::NotUtf8);
    }

    #[test]
    fn bounds_the_depth() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse(deep(8).as_bytes(), 8).is_ok());
        assert_eq!(fails(&deep(9)), JsonError::TooDeep(8));
        assert_eq!(fails(&"[".repeat(1_000_000)), JsonError::TooDeep(8));
        let endless = parse(deep(100_000).as_bytes(), usize::MAX).map(|_| ());
        assert_eq!(endless, Err(JsonError::TooDeep(DEEPEST)));
    }

    #[test]
    fn a_repeated_key_keeps_its_place_and_takes_the_last_value() {
        let Value::Object(members) = parse(br#"{"a":1,"b":2,"\u0061":3}"#, 8).unwrap() else { panic!() };
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].1, Value::Integer("3"));
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":{n}", n % 20)).collect();
        let text = format!("{{{},\"z\":0}}", many.join(","));
        let Value::Object(members) = parse(text.as_bytes(), 8).unwrap() else { panic!() };
        assert_eq!(members.len(), 21);
        assert_eq!(members[3].1, Value::Integer("23"));
    }

    #[test]
    fn every_cut_of_a_document_is_refused() {
        let text = r#"{"a": [1, 2.5e3, "x\u00e9\n"], "b": {"c": null, "d": true}}"#;
        assert!(parse(text.as_bytes(), 8).is_ok());
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end], 8).is_err(), "{end}");
        }
    }
}
