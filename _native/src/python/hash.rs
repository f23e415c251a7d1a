//! `hash_file`, `hash_files`, `copy_files`, `fingerprint_files` for Python.

#![allow(clippy::needless_pass_by_value)] // arguments of Python functions are owned

use std::path::{Path, PathBuf};

use pyo3::import_exception;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::boundary::{run, system_error, CancelToken, Failure, InvalidArgument};
use crate::hash::{self, Algorithms, FileError, Fingerprint, Hashed, Kernel, Plan};
use crate::parallel::default_workers;

import_exception!(pumas_native.errors, FileChangedError);
import_exception!(pumas_native.errors, NotRegularFile);

/// A problem: the file's place in the call, and what reading it would have raised.
type Problem = (usize, Py<PyAny>);

/// Digests and fingerprints of many files, each column made once.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct Digests {
    sha256: Py<PyBytes>,
    blake3: Py<PyBytes>,
    xxh3_128: Py<PyBytes>,
    fingerprints: Py<PyBytes>,
    problems: Vec<Problem>,
}

#[pyfunction]
#[pyo3(
    signature = (path, algorithms=defaults(), *, kernel="auto", progress=None, cancel=None),
    text_signature = "(path, algorithms=('sha256', 'blake3'), *, kernel='auto', progress=None, cancel=None)"
)]
pub fn hash_file<'py>(
    py: Python<'py>,
    path: PathBuf,
    algorithms: Vec<String>,
    kernel: &str,
    progress: Option<&Bound<'py, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = plan(&algorithms, kernel)?;
    let paths = [path];
    let outcome = run(py, progress, cancel, |control| {
        hash::hash_files(&paths, plan, 1, control).map_err(Failure::from)
    })?;
    let digests = PyDict::new(py);
    for hashed in outcome {
        let found = hashed.map_err(|error| raised(&error, &paths[0]))?.digests;
        for name in &algorithms {
            let digest = match name.as_str() {
                "sha256" => hex(found.sha256.as_ref()),
                "blake3" => hex(found.blake3.as_ref()),
                _ => hex(found.xxh3_128.as_ref()),
            };
            digests.set_item(name, digest)?;
        }
    }
    Ok(digests)
}

#[pyfunction]
#[pyo3(
    signature = (paths, algorithms=defaults(), *, workers=None, kernel="auto", progress=None, cancel=None),
    text_signature = "(paths, algorithms=('sha256', 'blake3'), *, workers=None, kernel='auto', progress=None, cancel=None)"
)]
#[allow(clippy::too_many_arguments)] // keyword arguments of one Python function
pub fn hash_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    algorithms: Vec<String>,
    workers: Option<usize>,
    kernel: &str,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Digests> {
    let plan = plan(&algorithms, kernel)?;
    let workers = workers.unwrap_or_else(default_workers);
    let outcomes = run(py, progress, cancel, |control| {
        hash::hash_files(&paths, plan, workers, control).map_err(Failure::from)
    })?;
    digests_of(py, plan.algorithms, &paths, outcomes)
}

#[pyfunction]
#[pyo3(signature = (paths, targets, *, workers=None, progress=None, cancel=None))]
pub fn copy_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    targets: Vec<PathBuf>,
    workers: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Digests> {
    if paths.len() != targets.len() {
        return Err(InvalidArgument::new_err("there must be one target for each path"));
    }
    let plan = plan(&defaults(), "auto")?;
    let workers = workers.unwrap_or_else(default_workers);
    let outcomes = run(py, progress, cancel, |control| {
        hash::copy_files(&paths, &targets, plan, workers, control).map_err(Failure::from)
    })?;
    // A problem names the file that has it.
    let is_of_target = |outcome: &Result<Hashed, FileError>| matches!(outcome, Err(FileError::Target(_)));
    let named = paths.into_iter().zip(targets).zip(&outcomes);
    let named = named.map(|((path, target), outcome)| if is_of_target(outcome) { target } else { path });
    let named: Vec<PathBuf> = named.collect();
    digests_of(py, plan.algorithms, &named, outcomes)
}

#[pyfunction]
#[pyo3(signature = (paths, *, workers=None, cancel=None))]
pub fn fingerprint_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    workers: Option<usize>,
    cancel: Option<CancelToken>,
) -> PyResult<(Py<PyBytes>, Vec<Problem>)> {
    let workers = workers.unwrap_or_else(default_workers);
    let outcomes = run(py, None, cancel, |control| {
        hash::fingerprint_files(&paths, workers, control).map_err(Failure::from)
    })?;
    let (fingerprints, problems) = split(py, &paths, outcomes);
    let column = column(py, &fingerprints, |one| Some(bytes_of(one)))?;
    Ok((column, problems))
}

#[pyfunction]
pub fn hash_kernels() -> Vec<&'static str> {
    Kernel::available().map(Kernel::name).collect()
}

fn defaults() -> Vec<String> {
    vec!["sha256".to_owned(), "blake3".to_owned()]
}

fn plan(algorithms: &[String], kernel: &str) -> PyResult<Plan> {
    let plan = Algorithms::named(algorithms)
        .and_then(|algorithms| Ok(Plan { algorithms, kernel: Kernel::named(kernel)? }));
    plan.map_err(|error| Failure::from(error).into())
}

fn digests_of(
    py: Python<'_>,
    wanted: Algorithms,
    paths: &[PathBuf],
    outcomes: Vec<Result<Hashed, FileError>>,
) -> PyResult<Digests> {
    let (hashed, problems) = split(py, paths, outcomes);
    let none = || PyBytes::new(py, b"").unbind();
    let digests = |is_wanted: bool, f: fn(&Hashed) -> Option<[u8; 32]>| {
        if is_wanted {
            column(py, &hashed, f)
        } else {
            Ok(none())
        }
    };
    Ok(Digests {
        sha256: digests(wanted.sha256, |one| one.digests.sha256)?,
        blake3: digests(wanted.blake3, |one| one.digests.blake3)?,
        xxh3_128: if wanted.xxh3_128 { column(py, &hashed, |one| one.digests.xxh3_128)? } else { none() },
        fingerprints: column(py, &hashed, |one| Some(bytes_of(&one.fingerprint)))?,
        problems,
    })
}

/// Parts what is there from what is wrong; a file that is wrong has None in its place.
fn split<T>(
    py: Python<'_>,
    paths: &[PathBuf],
    outcomes: Vec<Result<T, FileError>>,
) -> (Vec<Option<T>>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut found = Vec::with_capacity(outcomes.len());
    for (position, (path, outcome)) in paths.iter().zip(outcomes).enumerate() {
        if let Err(error) = &outcome {
            problems.push((position, raised(error, path).into_value(py).into_any()));
        }
        found.push(outcome.ok());
    }
    (found, problems)
}

/// N bytes for each item, zeros where there is none; written once where Python keeps them.
fn column<T, const N: usize>(
    py: Python<'_>,
    items: &[Option<T>],
    f: impl Fn(&T) -> Option<[u8; N]>,
) -> PyResult<Py<PyBytes>> {
    let column = PyBytes::new_with(py, items.len() * N, |bytes| {
        for (place, item) in bytes.chunks_exact_mut(N).zip(items) {
            place.copy_from_slice(&item.as_ref().and_then(&f).unwrap_or([0; N]));
        }
        Ok(())
    })?;
    Ok(column.unbind())
}

fn bytes_of(fingerprint: &Fingerprint) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&fingerprint.inode.to_le_bytes());
    bytes[8..16].copy_from_slice(&fingerprint.size.to_le_bytes());
    bytes[16..24].copy_from_slice(&fingerprint.mtime_ns.to_le_bytes());
    bytes[24..].copy_from_slice(&fingerprint.ctime_ns.to_le_bytes());
    bytes
}

fn hex<const N: usize>(digest: Option<&[u8; N]>) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * N);
    for byte in digest.into_iter().flatten() {
        // Writing into a String doesn't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The exception that says what was wrong with a file, its name in `filename`.
fn raised(error: &FileError, path: &Path) -> PyErr {
    let path = path.as_os_str().to_owned();
    let text = error.to_string();
    match error {
        FileError::Io(error) | FileError::Target(error) => system_error(error, path),
        FileError::Folder => NotRegularFile::new_err((errno::EISDIR, text, path)),
        FileError::NotRegular(_) => NotRegularFile::new_err((errno::EINVAL, text, path)),
        FileError::Changed => FileChangedError::new_err((errno::EAGAIN, text, path)),
    }
}

#[cfg(unix)]
use libc as errno;

#[cfg(not(unix))]
mod errno {
    pub const EAGAIN: i32 = 11;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
}
