//! Any bytes as a GGUF file: an error, or an answer that is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumas_native::headers::{read_from, Detail, Format, Options};

fuzz_target!(|data: &[u8]| {
    for (detail, is_whole) in [(Detail::Type, false), (Detail::Tensors, false), (Detail::Tensors, true)] {
        let options = Options { detail, format: Some(Format::Gguf), is_whole, words: None };
        if let Ok(header) = read_from(data, data.len() as u64, &options) {
            serde_json::from_slice::<serde_json::Value>(&header).expect("the answer is JSON");
        }
    }
});
