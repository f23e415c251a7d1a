//! `scan_tree` for Python.

use std::ffi::{OsStr, OsString};
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
    pub tree: scan::Tree,
}

/// A column as bytes, written once where Python keeps them.
fn bytes_of<'py, T: Copy, const N: usize>(
    py: Python<'py>,
    column: &[T],
    f: impl Fn(T) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, column.len() * N, |bytes| {
        for (chunk, item) in bytes.chunks_exact_mut(N).zip(column) {
            chunk.copy_from_slice(&f(*item));
        }
        Ok(())
    })
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
    fn parents<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.parents, u32::to_ne_bytes)
    }

    #[getter]
    fn sizes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.sizes, u64::to_ne_bytes)
    }

    #[getter]
    fn mtimes_ns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.mtimes_ns, i64::to_ne_bytes)
    }

    #[getter]
    fn ctimes_ns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.ctimes_ns, i64::to_ne_bytes)
    }

    #[getter]
    fn inodes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.inodes, u64::to_ne_bytes)
    }

    #[getter]
    fn devices<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.devices, u64::to_ne_bytes)
    }

    #[getter]
    fn link_states<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.tree.link_states)
    }

    #[getter]
    fn link_targets<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.link_targets, u32::to_ne_bytes)
    }

    #[getter]
    fn link_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.link_counts, u64::to_ne_bytes)
    }

    #[getter]
    fn hard_link_groups<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        bytes_of(py, &self.tree.hard_link_groups, u32::to_ne_bytes)
    }

    #[getter]
    fn problems(&self) -> Vec<(PathBuf, &'static str)> {
        self.tree.problems.iter().map(|problem| (problem.path.clone(), problem.reason)).collect()
    }

    #[allow(clippy::needless_pass_by_value)] // what Python hands over is converted once
    fn find<'py>(&self, py: Python<'py>, paths: Vec<String>) -> PyResult<Bound<'py, PyBytes>> {
        let tree = &self.tree;
        let found = py.detach(|| {
            let entry = |path: &String| tree.find(path.split('/').map(OsStr::new)).unwrap_or(0);
            paths.iter().map(entry).collect::<Vec<_>>()
        });
        bytes_of(py, &found, u32::to_ne_bytes)
    }

    fn name(&self, index: usize) -> PyResult<&str> {
        self.check(index)?;
        Ok(self.tree.name(index))
    }

    fn path(&self, index: usize) -> PyResult<String> {
        self.check(index)?;
        Ok(self.tree.path(index))
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
#[pyo3(signature = (root, *, names=None, skip_hidden=false, leaf_marker=None, names_only=false, links=false, link_states=false, workers=None, progress=None, cancel=None))]
#[allow(clippy::too_many_arguments, clippy::fn_params_excessive_bools)] // keyword arguments of one Python function
pub fn scan_tree(
    py: Python<'_>,
    root: PathBuf,
    names: Option<Vec<OsString>>,
    skip_hidden: bool,
    leaf_marker: Option<OsString>,
    names_only: bool,
    links: bool,
    link_states: bool,
    workers: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Tree> {
    let names = names.unwrap_or_default();
    let options = scan::Options { names, skip_hidden, leaf_marker, names_only, links, link_states };
    let workers = workers.unwrap_or_else(default_workers);
    let tree = run(py, progress, cancel, move |control| {
        scan::scan_tree(&root, &options, workers, control).map_err(Failure::from)
    })?;
    Ok(Tree { tree })
}
