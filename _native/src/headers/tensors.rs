//! What both formats say of their tensors, added up and checked.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::{shown, within, HeaderError};
use super::json::{push_text, push_unsigned, List, Object};
use super::words::Found;
use super::{Detail, Options, MAX_ANSWER_BYTES};

/// Most tensors of one file; the largest models have a few ten thousand.
pub const MAX_TENSORS: u64 = 1 << 19;

/// Most dimensions of a tensor; ggml knows 4, arrays of numpy have up to 64.
pub const MAX_DIMENSIONS: usize = 64;

/// Most data types of one file; there are not so many.
const MAX_DTYPES: usize = 64;

/// Bytes of the longest name of a data type; `F8_E4M3FNUZ` has 11.
const MAX_DTYPE: u64 = 64;

/// Most tensors that room is made for before they are seen.
const MOST_EXPECTED: u64 = 1 << 10;

/// One tensor, as far as its header says.
#[derive(Debug)]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub dtype: Cow<'a, str>,
    pub shape: &'a [u64],
    /// Where its data begins, from the beginning of all data.
    pub offset: u64,
    /// None where the data type is not known.
    pub size: Option<u64>,
}

#[derive(Debug)]
struct Total {
    dtype: String,
    tensors: u64,
    parameters: u64,
}

/// Takes a digest as its own hash.
#[derive(Debug, Default)]
struct Digest(u64);

impl Hasher for Digest {
    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// All tensors of a file.
#[derive(Debug)]
pub struct Tensors {
    count: u64,
    parameters: u64,
    totals: Vec<Total>,
    /// Digests of the names: 8 bytes each whatever a hostile file calls them.
    names: HashSet<u64, BuildHasherDefault<Digest>>,
    /// Of the digests; nobody can choose names for it.
    seed: u64,
    ranges: Vec<(u64, u64)>,
    list: Option<List>,
    found: Option<Found>,
}

impl Tensors {
    /// Room is made for `expected` tensors at first.
    pub fn new(options: &Options, expected: u64) -> Self {
        let expected = expected.min(MOST_EXPECTED) as usize;
        let found = options.words.as_ref().filter(|_| options.detail == Detail::Names).map(Found::new);
        let is_listed = found.is_none() && matches!(options.detail, Detail::Names | Detail::Tensors);
        Self {
            count: 0,
            parameters: 0,
            totals: Vec::new(),
            names: HashSet::with_capacity_and_hasher(expected, BuildHasherDefault::default()),
            seed: RandomState::new().hash_one(0),
            ranges: Vec::with_capacity(expected),
            list: is_listed.then(|| List::new(MAX_ANSWER_BYTES)),
            found,
        }
    }

    /// Takes a name; each may come once.
    pub fn name(&mut self, name: &str) -> Result<(), HeaderError> {
        self.count += 1;
        within("tensors", self.count, MAX_TENSORS)?;
        if !self.names.insert(xxh3_64_with_seed(name.as_bytes(), self.seed)) {
            return Err(HeaderError::DuplicateTensor(shown(name)));
        }
        Ok(())
    }

    /// Lists a name alone, or looks for words in it.
    pub fn list_name(&mut self, name: &str) -> Result<(), HeaderError> {
        if let Some(found) = self.found.as_mut() {
            found.name(name);
        }
        self.list.as_mut().map_or(Ok(()), |list| list.push(|out| push_text(out, name)))
    }

    /// Takes a tensor whose name was taken.
    pub fn add(&mut self, tensor: &Tensor<'_>) -> Result<(), HeaderError> {
        let overflow = || HeaderError::ShapeOverflow(shown(tensor.name));
        let parameters = elements(tensor.shape).ok_or_else(overflow)?;
        self.parameters = self.parameters.checked_add(parameters).ok_or_else(overflow)?;
        self.add_to_total(&tensor.dtype, parameters)?;
        if let Some(size) = tensor.size {
            let end = tensor.offset.checked_add(size).ok_or_else(overflow)?;
            self.ranges.push((tensor.offset, end));
        }
        self.list.as_mut().map_or(Ok(()), |list| list.push(|out| push_tensor(out, tensor)))
    }

    fn add_to_total(&mut self, dtype: &str, parameters: u64) -> Result<(), HeaderError> {
        if let Some(total) = self.totals.iter_mut().find(|total| total.dtype == dtype) {
            total.tensors += 1;
            total.parameters += parameters;
            return Ok(());
        }
        within("bytes in the name of a data type", dtype.len() as u64, MAX_DTYPE)?;
        within("data types", self.totals.len() as u64 + 1, MAX_DTYPES as u64)?;
        self.totals.push(Total { dtype: dtype.to_owned(), tensors: 1, parameters });
        Ok(())
    }

    /// The end of all data: no two tensors share a byte.
    ///
    /// With `is_dense` each begins where the one before ends, those without data too.
    pub fn check_ranges(&mut self, is_dense: bool) -> Result<u64, HeaderError> {
        self.ranges.sort_unstable();
        let mut end = 0;
        for &(from, to) in &self.ranges {
            if from < end && (is_dense || from < to) {
                return Err(HeaderError::Overlap(from));
            }
            if is_dense && from > end {
                return Err(HeaderError::Gap(from));
            }
            end = end.max(to);
        }
        Ok(end)
    }

    /// The data type that holds most parameters.
    pub fn main_dtype(&self) -> Option<&str> {
        let most = self.totals.iter().max_by_key(|total| total.parameters)?;
        Some(&most.dtype)
    }

    /// Writes the members that `detail` asks for.
    pub fn write(self, answer: &mut Object, detail: Detail) {
        if detail >= Detail::Facts {
            answer.number("parameter_count", self.parameters);
            let mut dtypes = Object::new();
            for total in &self.totals {
                let mut one = Object::new();
                one.number("tensors", total.tensors);
                one.number("parameters", total.parameters);
                dtypes.ready(&total.dtype, &one.finish());
            }
            answer.ready("dtypes", &dtypes.finish());
        }
        if let Some(list) = self.list {
            answer.ready(if detail == Detail::Names { "names" } else { "tensors" }, &list.finish());
        }
        if let Some(found) = self.found {
            answer.ready("words", &found.finish());
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}

/// How many elements a shape has; None where nobody could count them.
pub fn elements(shape: &[u64]) -> Option<u64> {
    // A dimension of 0 makes all the others harmless.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
}

fn push_tensor(out: &mut Vec<u8>, tensor: &Tensor<'_>) {
    let mut one = Object::new();
    one.text("name", tensor.name);
    one.text("dtype", &tensor.dtype);
    let mut shape = vec![b'['];
    for (number, &size) in tensor.shape.iter().enumerate() {
        if number > 0 {
            shape.push(b',');
        }
        push_unsigned(&mut shape, size);
    }
    shape.push(b']');
    one.ready("shape", &shape);
    one.number("offset_bytes", tensor.offset);
    if let Some(size) = tensor.size {
        one.number("size_bytes", size);
    }
    out.extend_from_slice(&one.finish());
}
