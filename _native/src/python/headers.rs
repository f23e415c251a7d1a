//! Reading headers for Python.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use super::boundary::{run, CancelToken, Failure, InvalidArgument};
use crate::headers::{self, Detail, Format, Found, HeaderError, Kind, Options, Words};
use crate::parallel::default_workers;

/// Headers of many files; entry n of `facts` belongs to the n-th of the paths asked for.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct Headers {
    facts: Py<PyList>,
    problems: Vec<(usize, &'static str, String)>,
}

/// Words that are looked for in names, ready to be used any number of times.
#[pyclass(frozen, module = "pumas_native")]
pub struct NameWords {
    words: Arc<Words>,
}

#[pymethods]
impl NameWords {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // what Python gives
    fn new(groups: Vec<Vec<String>>) -> PyResult<Self> {
        let words = Words::new(&groups).map_err(|error| InvalidArgument::new_err(error.to_string()))?;
        Ok(Self { words: Arc::new(words) })
    }

    fn find<'py>(&self, py: Python<'py>, names: Vec<String>) -> PyResult<Bound<'py, PyBytes>> {
        let mut found = Found::new(&self.words);
        let answer = run(py, None, None, move |_| {
            for name in &names {
                found.name(name);
            }
            Ok(found.finish())
        })?;
        Ok(PyBytes::new(py, &answer))
    }
}

#[pyfunction]
#[pyo3(signature = (path, *, detail="facts", file_format=None, whole_arrays=false))]
pub fn read_header<'py>(
    py: Python<'py>,
    path: PathBuf,
    detail: &str,
    file_format: Option<&str>,
    whole_arrays: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let options = options(detail, file_format, whole_arrays)?;
    let header = run(py, None, None, move |_| {
        headers::read_header(&path, &options).map_err(|error| Failure::Header(path, error))
    })?;
    Ok(PyBytes::new(py, &header))
}

#[pyfunction]
#[pyo3(signature = (name, prefix, size_bytes, *, detail="facts", file_format=None))]
pub fn read_header_prefix<'py>(
    py: Python<'py>,
    name: PathBuf,
    prefix: PyBackedBytes,
    size_bytes: u64,
    detail: &str,
    file_format: Option<&str>,
) -> PyResult<Bound<'py, PyBytes>> {
    let options = options(detail, file_format, false)?;
    let header = run(py, None, None, move |_| {
        headers::read_from(&prefix[..], size_bytes, &options).map_err(|error| Failure::Header(name, error))
    })?;
    Ok(PyBytes::new(py, &header))
}

#[pyfunction]
#[pyo3(signature = (paths, *, detail="facts", file_format=None, words=None, workers=None, progress=None, cancel=None))]
#[allow(clippy::too_many_arguments)] // keyword arguments of one Python function
pub fn read_headers(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    detail: &str,
    file_format: Option<&str>,
    words: Option<&NameWords>,
    workers: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<Headers> {
    let mut options = options(detail, file_format, false)?;
    options.words = words.map(|words| Arc::clone(&words.words));
    let workers = workers.unwrap_or_else(default_workers);
    let read = run(py, progress, cancel, move |control| {
        headers::read_headers(&paths, &options, workers, control).ok_or(Failure::Cancelled)
    })?;
    columns(py, &read)
}

fn columns(py: Python<'_>, read: &[Result<Vec<u8>, HeaderError>]) -> PyResult<Headers> {
    let facts =
        PyList::new(py, read.iter().map(|header| header.as_ref().ok().map(|text| PyBytes::new(py, text))))?;
    let problems = read.iter().enumerate().filter_map(|(position, header)| {
        let error = header.as_ref().err()?;
        Some((position, kind(error), error.to_string()))
    });
    Ok(Headers { facts: facts.unbind(), problems: problems.collect() })
}

fn kind(error: &HeaderError) -> &'static str {
    match error.kind() {
        Kind::Unreadable => "unreadable",
        Kind::NotRegular => "not-regular",
        Kind::UnknownFormat => "unknown-format",
        Kind::Cut => "cut",
        Kind::TooLarge => "too-large",
        Kind::Malformed => "malformed",
    }
}

fn options(detail: &str, file_format: Option<&str>, is_whole: bool) -> PyResult<Options> {
    let detail = match detail {
        "type" => Detail::Type,
        "keys" => Detail::Keys,
        "names" => Detail::Names,
        "facts" => Detail::Facts,
        "tensors" => Detail::Tensors,
        _ => return Err(unknown("detail", detail)),
    };
    let format = match file_format {
        None => None,
        Some("gguf") => Some(Format::Gguf),
        Some("safetensors") => Some(Format::Safetensors),
        Some(other) => return Err(unknown("file_format", other)),
    };
    Ok(Options { detail, format, is_whole, words: None })
}

fn unknown(parameter: &str, value: &str) -> PyErr {
    InvalidArgument::new_err(format!("{parameter}={value:?} is none of those that there are"))
}
