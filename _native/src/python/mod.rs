//! The extension module: every exported name, nothing else.

mod boundary;
mod changes;
mod documents;
mod hash;
mod headers;
mod place;
mod scan;
mod transfer;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    module.add_class::<boundary::CancelToken>()?;
    module.add_class::<scan::Tree>()?;
    module.add_class::<changes::Changes>()?;
    module.add_class::<documents::MetadataColumns>()?;
    module.add_class::<hash::Digests>()?;
    module.add_function(wrap_pyfunction!(scan::scan_tree, module)?)?;
    module.add_function(wrap_pyfunction!(changes::changed_documents, module)?)?;
    module.add_function(wrap_pyfunction!(documents::read_metadata_files, module)?)?;
    module.add_function(wrap_pyfunction!(hash::hash_file, module)?)?;
    module.add_function(wrap_pyfunction!(hash::hash_files, module)?)?;
    module.add_function(wrap_pyfunction!(hash::copy_files, module)?)?;
    module.add_function(wrap_pyfunction!(hash::fingerprint_files, module)?)?;
    module.add_function(wrap_pyfunction!(hash::hash_kernels, module)?)?;
    module.add_class::<headers::Headers>()?;
    module.add_function(wrap_pyfunction!(headers::read_header, module)?)?;
    module.add_function(wrap_pyfunction!(headers::read_header_prefix, module)?)?;
    module.add_function(wrap_pyfunction!(headers::read_headers, module)?)?;
    module.add_class::<headers::NameWords>()?;
    module.add_function(wrap_pyfunction!(place::rename_new, module)?)?;
    module.add_function(wrap_pyfunction!(place::reflink_files, module)?)?;
    module.add_class::<transfer::TransferControl>()?;
    module.add_class::<transfer::TransferFile>()?;
    module.add_class::<transfer::TransferOptions>()?;
    module.add_class::<transfer::TransferProgress>()?;
    module.add_class::<transfer::FileProgress>()?;
    module.add_class::<transfer::TransferResult>()?;
    module.add_function(wrap_pyfunction!(transfer::transfer, module)?)?;
    module.add_function(wrap_pyfunction!(boundary::panic_for_test, module)?)?;
    Ok(())
}
