//! `rename_new`, `reflink_files` for Python.

#![allow(clippy::needless_pass_by_value)] // arguments of Python functions are owned

use std::io;
use std::path::{Path, PathBuf};

use pyo3::prelude::*;

use super::boundary::{run, system_error, CancelToken, Failure, InvalidArgument};
use crate::place;

/// Position of a pair, and why it was left as it is.
type Problem = (usize, Py<PyAny>);

#[pyfunction]
#[pyo3(signature = (paths, targets, *, cancel=None))]
pub fn rename_new(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    targets: Vec<PathBuf>,
    cancel: Option<CancelToken>,
) -> PyResult<Vec<Problem>> {
    each_pair(py, &paths, &targets, cancel, place::rename_new)
}

#[pyfunction]
#[pyo3(signature = (paths, targets, *, cancel=None))]
pub fn reflink_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    targets: Vec<PathBuf>,
    cancel: Option<CancelToken>,
) -> PyResult<Vec<Problem>> {
    each_pair(py, &paths, &targets, cancel, place::reflink)
}

fn each_pair(
    py: Python<'_>,
    paths: &[PathBuf],
    targets: &[PathBuf],
    cancel: Option<CancelToken>,
    place: impl Fn(&Path, &Path) -> io::Result<()> + Sync,
) -> PyResult<Vec<Problem>> {
    if paths.len() != targets.len() {
        return Err(InvalidArgument::new_err("there must be one target for each path"));
    }
    let outcomes = run(py, None, cancel, |control| {
        let mut outcomes = Vec::new();
        for (path, target) in paths.iter().zip(targets) {
            if control.cancel.is_set() {
                break; // whoever cancelled learns how far it came
            }
            outcomes.push(place(path, target));
        }
        Ok::<_, Failure>(outcomes)
    })?;
    let mut problems = Vec::new();
    for (position, target) in targets.iter().enumerate() {
        let error = match outcomes.get(position) {
            Some(Ok(())) => continue,
            Some(Err(error)) => system_error(error, target.as_os_str().to_owned()),
            None => system_error(&io::ErrorKind::Interrupted.into(), target.as_os_str().to_owned()),
        };
        problems.push((position, error.into_value(py).into_any()));
    }
    Ok(problems)
}
