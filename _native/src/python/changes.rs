//! `changed_documents` for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::boundary::{run, Failure};
use super::scan::Tree;
use crate::scan;

/// What is not as the known records say, each column made once.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct Changes {
    unchanged: usize,
    changed: Py<PyBytes>,
    vanished: Py<PyBytes>,
    records: Py<PyBytes>,
}

#[pyfunction]
#[pyo3(signature = (tree, known, *, racy_after_ns))]
pub fn changed_documents(
    py: Python<'_>,
    tree: &Bound<'_, Tree>,
    known: &[u8],
    racy_after_ns: i64,
) -> PyResult<Changes> {
    let tree = &tree.get().tree;
    let changes =
        run(py, None, None, |_| scan::changed_documents(tree, known, racy_after_ns).map_err(Failure::from))?;
    let indexes: Vec<u8> = changes.changed.iter().flat_map(|index| index.to_ne_bytes()).collect();
    let hashes: Vec<u8> = changes.vanished.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    let bytes = |column: &[u8]| PyBytes::new(py, column).unbind();
    Ok(Changes {
        unchanged: changes.unchanged,
        changed: bytes(&indexes),
        vanished: bytes(&hashes),
        records: bytes(&changes.records),
    })
}
