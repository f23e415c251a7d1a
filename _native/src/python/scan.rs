//! `scan_tree` for Python.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::boundary::{run, CancelToken, Failure};
use crate::parallel::default_workers;
use crate::scan;

/// Columns of a walk, as bytes that `memoryview(...).cast(...)` or numpy reads without copying.
#[pyclass(frozen, module = "pumas_native")]
pub struct Tree {
    tree: scan::Tree,
}

fn bytes_of<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    column: &[T],
    f: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &column.iter().flat_map(|item| f(*item)).collect::<Vec<u8>>())
}

#[pymethods]
impl Tree {
    fn __len__(&self) -> usize {
        self.tree.len()
    }

    #[getter]
    fn kinds<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.tree.kinds)
    }

    #[getter]
    fn parents<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes_of(py, &self.tree.parents, u32::to_ne_bytes)
    }

    #[getter]
    fn sizes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes_of(py, &self.tree.sizes, u64::to_ne_bytes)
    }

    #[getter]
    fn mtimes_ns<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes_of(py, &self.tree.mtimes_ns, i64::to_ne_bytes)
    }

    #[getter]
    fn inodes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        bytes_of(py, &self.tree.inodes, u64::to_ne_bytes)
    }

    #[getter]
    fn problems(&self) -> Vec<(PathBuf, &'static str)> {
        self.tree.problems.iter().map(|problem| (problem.path.clone(), problem.reason)).collect()
    }

    fn name(&self, index: usize) -> PyResult<&str> {
        self.check(index)?;
        std::str::from_utf8(self.tree.name(index)).map_err(|_| PyIndexError::new_err("name is not UTF-8"))
    }

    fn path(&self, index: usize) -> PyResult<String> {
        self.check(index)?;
        // Only names in UTF-8 are in the columns.
        Ok(self.tree.path(index).to_string_lossy().into_owned())
    }
}

impl Tree {
    fn check(&self, index: usize) -> PyResult<()> {
        if index < self.tree.len() {
            return Ok(());
        }
        Err(PyIndexError::new_err(format!("there is no entry {index} among {}", self.tree.len())))
    }
}

#[pyfunction]
#[pyo3(signature = (root, *, names=None, skip_hidden=false, leaf_marker=None, names_only=false, workers=None, progress=None, cancel=None))]
#[allow(clippy::too_many_arguments)] // keyword arguments of one Python function
pub fn scan_tree(
    py: Python<'_>,
    root: PathBuf,
    names: Option<Vec<OsString>>,
    skip_hidden: bool,
    leaf_marker: Option<OsString>,
    names_only: bool,
    workers: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Tree> {
    let options = scan::Options { names: names.unwrap_or_default(), skip_hidden, leaf_marker, names_only };
    let workers = workers.unwrap_or_else(default_workers);
    let tree = run(py, progress, cancel, move |control| {
        scan::scan_tree(&root, &options, workers, control).map_err(Failure::from)
    })?;
    Ok(Tree { tree })
}
