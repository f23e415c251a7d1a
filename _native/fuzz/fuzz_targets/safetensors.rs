//! Any bytes as a safetensors file: an error, or an answer that is JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pumas_native::headers::{read_from, Detail, Format, Options};

fuzz_target!(|data: &[u8]| {
    for detail in [Detail::Keys, Detail::Names, Detail::Tensors] {
        let options = Options { detail, format: Some(Format::Safetensors), is_whole: false, words: None };
        if let Ok(header) = read_from(data, data.len() as u64, &options) {
            serde_json::from_slice::<serde_json::Value>(&header).expect("the answer is JSON");
        }
    }
});
