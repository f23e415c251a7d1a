//! `read_metadata_files` for Python.

use std::path::PathBuf;

use pyo3::prelude::*;

use super::boundary::{run, CancelToken, Failure};
use crate::documents::{self, Columns, Limits};
use crate::parallel::default_workers;

/// One list per column of `models`; entry n belongs to `positions[n]` of the paths asked for.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct MetadataColumns {
    read: usize,
    positions: Vec<usize>,
    cleaned_name: Vec<String>,
    official_name: Vec<String>,
    model_type: Vec<String>,
    tags_json: Vec<String>,
    hashes_json: Vec<String>,
    metadata_json: Vec<String>,
    problems: Vec<(usize, String)>,
}

#[pyfunction]
#[pyo3(signature = (paths, *, max_bytes, max_depth, max_total_bytes=u64::MAX, workers=None, progress=None, cancel=None))]
#[allow(clippy::too_many_arguments)] // keyword arguments of one Python function
pub fn read_metadata_files(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    max_bytes: u64,
    max_depth: usize,
    max_total_bytes: u64,
    workers: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
) -> PyResult<MetadataColumns> {
    let limits = Limits { max_bytes, max_depth, max_total_bytes };
    let workers = workers.unwrap_or_else(default_workers);
    run(py, progress, cancel, move |control| {
        let read = documents::read_metadata_files(&paths, limits, workers, control);
        read.map(columns).ok_or(Failure::Cancelled)
    })
}

fn columns(documents: Vec<documents::Document>) -> MetadataColumns {
    let mut all = MetadataColumns {
        read: documents.len(),
        positions: Vec::with_capacity(documents.len()),
        cleaned_name: Vec::with_capacity(documents.len()),
        official_name: Vec::with_capacity(documents.len()),
        model_type: Vec::with_capacity(documents.len()),
        tags_json: Vec::with_capacity(documents.len()),
        hashes_json: Vec::with_capacity(documents.len()),
        metadata_json: Vec::with_capacity(documents.len()),
        problems: Vec::new(),
    };
    for (position, document) in documents.into_iter().enumerate() {
        if let Some(problem) = document.problem {
            all.problems.push((position, problem));
        }
        if let Some(Columns {
            cleaned_name,
            official_name,
            model_type,
            tags_json,
            hashes_json,
            metadata_json,
        }) = document.columns
        {
            all.positions.push(position);
            all.cleaned_name.push(cleaned_name);
            all.official_name.push(official_name);
            all.model_type.push(model_type);
            all.tags_json.push(tags_json);
            all.hashes_json.push(hashes_json);
            all.metadata_json.push(metadata_json);
        }
    }
    all
}
