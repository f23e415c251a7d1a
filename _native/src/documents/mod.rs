//! Bulk reading of `metadata.json` files into the columns of the index.
//!
//! Each file is opened, read once and parsed; a file that can't become a row is reported and never
//! keeps another from being read.

mod columns;
mod json;
mod read;
mod write;

pub use columns::{columns_of, Columns, Reading};
pub use json::{parse, JsonError, Value};
pub use read::{read_metadata_files, Document, Limits};
pub use write::{to_text, Layout};
