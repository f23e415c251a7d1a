//! `transfer` and its classes for Python.

#![allow(clippy::needless_pass_by_value)] // arguments of Python functions are owned

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::import_exception;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::boundary::{errno, run_telling, system_error, CancelToken, Failure, InvalidArgument};
use crate::transfer::{
    fetch_files, hex, Fetched, FilePlan, Options, Snapshot, StallRule, Steering, TransferError,
};

import_exception!(pumas_native.errors, AddressRefused);
import_exception!(pumas_native.errors, AnswerMalformed);
import_exception!(pumas_native.errors, AnswerPacked);
import_exception!(pumas_native.errors, ContentChanged);
import_exception!(pumas_native.errors, HostUnreachable);
import_exception!(pumas_native.errors, HtmlAnswer);
import_exception!(pumas_native.errors, NoRoom);
import_exception!(pumas_native.errors, PartBusy);
import_exception!(pumas_native.errors, RedirectRefused);
import_exception!(pumas_native.errors, StatusRefused);
import_exception!(pumas_native.errors, TargetExists);
import_exception!(pumas_native.errors, UrlRefused);
import_exception!(pumas_native.errors, WrongDigest);
import_exception!(pumas_native.errors, WrongLength);

const MIB: u64 = 1024 * 1024;

/// A file to be fetched.
#[pyclass(frozen, from_py_object, module = "pumas_native")]
#[derive(Clone)]
pub struct TransferFile(FilePlan);

#[pymethods]
impl TransferFile {
    #[new]
    #[pyo3(signature = (url, target, *, headers=Vec::new(), size=None, sha256=None, validator=None),
        text_signature = "(url, target, *, headers=(), size=None, sha256=None, validator=None)")]
    fn new(
        url: String,
        target: PathBuf,
        headers: Vec<(String, String)>,
        size: Option<u64>,
        sha256: Option<&str>,
        validator: Option<String>,
    ) -> PyResult<Self> {
        let sha256 = sha256.map(digest_of).transpose()?;
        Ok(Self(FilePlan { url, headers, target, size, sha256, validator }))
    }
}

/// How files are fetched.
#[pyclass(frozen, from_py_object, module = "pumas_native")]
#[derive(Clone)]
pub struct TransferOptions(Options);

#[pymethods]
impl TransferOptions {
    #[new]
    #[pyo3(signature = (*, connections=16, connections_per_host=8, piece_bytes=8 * MIB, window_bytes=256 * MIB,
        min_rate_bytes_s=1024, stall_window_s=20.0, retries=8, retry_wait_s=0.5, max_wait_s=60.0,
        connect_timeout_s=15.0, private_from_public=false, http_proxy=None, https_proxy=None, no_proxy=Vec::new(),
        ca_file=None, user_agent="pumas"),
        text_signature = "(*, connections=16, connections_per_host=8, piece_bytes=8388608, window_bytes=268435456, \
        min_rate_bytes_s=1024, stall_window_s=20.0, retries=8, retry_wait_s=0.5, max_wait_s=60.0, \
        connect_timeout_s=15.0, private_from_public=False, http_proxy=None, https_proxy=None, no_proxy=(), \
        ca_file=None, user_agent='pumas')")]
    #[allow(clippy::too_many_arguments, clippy::similar_names)] // keyword arguments of one Python class
    fn new(
        connections: usize,
        connections_per_host: usize,
        piece_bytes: u64,
        window_bytes: u64,
        min_rate_bytes_s: u64,
        stall_window_s: f64,
        retries: u32,
        retry_wait_s: f64,
        max_wait_s: f64,
        connect_timeout_s: f64,
        private_from_public: bool,
        http_proxy: Option<String>,
        https_proxy: Option<String>,
        no_proxy: Vec<String>,
        ca_file: Option<PathBuf>,
        user_agent: &str,
    ) -> PyResult<Self> {
        let stall = StallRule { min_rate_bytes_s, window: seconds(stall_window_s)? };
        let in_range = [
            (1, connections as u64, 256),
            (1, connections_per_host as u64, 256),
            (MIB, piece_bytes, 1024 * MIB),
        ];
        if in_range.iter().any(|(least, value, most)| !(least..=most).contains(&value)) {
            let text = "there are 1 to 256 connections, and a piece has 1 MiB to 1 GiB";
            return Err(InvalidArgument::new_err(text));
        }
        Ok(Self(Options {
            connections,
            connections_per_host,
            piece_bytes,
            window_bytes: window_bytes.max(piece_bytes),
            stall,
            retries,
            retry_wait: seconds(retry_wait_s)?,
            max_wait: seconds(max_wait_s)?,
            connect_timeout: seconds(connect_timeout_s)?,
            private_from_public,
            http_proxy,
            https_proxy,
            no_proxy,
            ca_file,
            user_agent: user_agent.to_owned(),
        }))
    }
}

/// Steers a transfer while it runs.
#[pyclass(frozen, module = "pumas_native")]
pub struct TransferControl {
    steering: Arc<Steering>,
    token: CancelToken,
}

#[pymethods]
impl TransferControl {
    #[new]
    #[pyo3(signature = (cancel=None, *, limit_bytes_s=None))]
    fn new(cancel: Option<CancelToken>, limit_bytes_s: Option<u64>) -> Self {
        Self { steering: Arc::new(Steering::new(limit_bytes_s)), token: cancel.unwrap_or_default() }
    }

    fn pause(&self) {
        self.steering.pause();
    }

    fn resume(&self) {
        self.steering.resume();
    }

    fn cancel(&self) {
        self.token.flag.set();
    }

    fn limit_rate(&self, bytes_s: Option<u64>) {
        self.steering.limit_rate(bytes_s);
    }

    fn snapshot(&self) -> TransferProgress {
        TransferProgress::from(self.steering.snapshot())
    }
}

/// How far a transfer has come.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct TransferProgress {
    files_done: usize,
    done_bytes: u64,
    total_bytes: Option<u64>,
    fetched_bytes: u64,
    rate_bytes_s: u64,
    connections: usize,
    is_paused: bool,
    files: Vec<FileProgress>,
}

/// How far one file has come.
#[pyclass(frozen, get_all, module = "pumas_native")]
#[derive(Clone)]
pub struct FileProgress {
    state: &'static str,
    done_bytes: u64,
    size_bytes: Option<u64>,
    reason: Option<String>,
}

impl From<Snapshot> for TransferProgress {
    fn from(snapshot: Snapshot) -> Self {
        let files = snapshot.files.into_iter().map(|file| FileProgress {
            state: file.state.name(),
            done_bytes: file.done_bytes,
            size_bytes: file.size_bytes,
            reason: file.reason,
        });
        Self {
            files_done: snapshot.files_done,
            done_bytes: snapshot.done_bytes,
            total_bytes: snapshot.total_bytes,
            fetched_bytes: snapshot.fetched_bytes,
            rate_bytes_s: snapshot.rate_bytes_s,
            connections: snapshot.connections,
            is_paused: snapshot.is_paused,
            files: files.collect(),
        }
    }
}

/// What came of one file.
#[pyclass(frozen, get_all, module = "pumas_native")]
pub struct TransferResult {
    sha256: String,
    blake3: String,
    size: u64,
    etag: Option<String>,
    host: Option<String>,
    fetched_bytes: u64,
    block_sums: Py<PyBytes>,
    error: Option<Py<PyAny>>,
}

#[pyfunction]
#[pyo3(signature = (files, *, options=None, control=None, progress=None))]
pub fn transfer(
    py: Python<'_>,
    files: Vec<TransferFile>,
    options: Option<TransferOptions>,
    control: Option<&Bound<'_, TransferControl>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<TransferResult>> {
    let options = match options {
        Some(options) => options.0,
        None => py.get_type::<TransferOptions>().call0()?.extract::<TransferOptions>()?.0,
    };
    let steering =
        control.map_or_else(|| Arc::new(Steering::new(None)), |control| Arc::clone(&control.get().steering));
    let token = control.map(|control| control.get().token.clone());
    let plans: Vec<FilePlan> = files.into_iter().map(|file| file.0).collect();
    let targets: Vec<(String, PathBuf)> =
        plans.iter().map(|plan| (plan.url.clone(), plan.target.clone())).collect();
    let callback = progress.map(|callback| callback.clone().unbind());
    let mut told = None;
    let tell = |py: Python<'_>, _: &crate::control::Control| {
        let Some(callback) = &callback else { return Ok(()) };
        let snapshot = steering.snapshot();
        if told.as_ref() != Some(&snapshot) {
            callback.call1(py, (TransferProgress::from(snapshot.clone()),))?;
            told = Some(snapshot);
        }
        Ok(())
    };
    let outcomes = run_telling(py, token, tell, |control| {
        let outcomes = fetch_files(plans, options, &steering, control).map_err(Failure::Transfer)?;
        outcomes.ok_or(Failure::Cancelled)
    })?;
    let named = outcomes.into_iter().zip(targets);
    Ok(named.map(|(outcome, (url, target))| result_of(py, outcome, url, &target)).collect())
}

fn result_of(
    py: Python<'_>,
    outcome: Result<Fetched, TransferError>,
    url: String,
    target: &Path,
) -> TransferResult {
    let (fetched, error) = match outcome {
        Ok(fetched) => (fetched, None),
        Err(error) => (Fetched::default(), Some(raised(error, url, target).into_value(py).into_any())),
    };
    let digits = |bytes: [u8; 32]| if error.is_none() { hex(&bytes) } else { String::new() };
    TransferResult {
        sha256: digits(fetched.sha256),
        blake3: digits(fetched.blake3),
        size: fetched.size,
        etag: fetched.etag,
        host: fetched.host,
        fetched_bytes: fetched.fetched_bytes,
        block_sums: PyBytes::new(py, &fetched.block_sums).unbind(),
        error,
    }
}

/// The exception for what went wrong with a file.
fn raised(error: TransferError, url: String, target: &Path) -> PyErr {
    let offence = error.to_string();
    match error {
        TransferError::Io(error) => return system_error(&error, target.as_os_str().to_owned()),
        TransferError::Exists => {
            return TargetExists::new_err((errno::EEXIST, offence, target.as_os_str().to_owned()));
        }
        TransferError::Busy => {
            return PartBusy::new_err((errno::EAGAIN, offence, target.as_os_str().to_owned()));
        }
        TransferError::NoSpace { .. } => {
            return NoRoom::new_err((errno::ENOSPC, offence, target.as_os_str().to_owned()));
        }
        TransferError::Status { status, retry_after } => {
            let wait_s = retry_after.map(|wait| wait.as_secs_f64());
            return StatusRefused::new_err((url, offence, status, wait_s));
        }
        _ => {}
    }
    let facts = (url, offence);
    match error {
        TransferError::BadUrl(_) => UrlRefused::new_err(facts),
        TransferError::Html => HtmlAnswer::new_err(facts),
        TransferError::Encoded(_) => AnswerPacked::new_err(facts),
        TransferError::Changed => ContentChanged::new_err(facts),
        TransferError::WrongLength { .. } => WrongLength::new_err(facts),
        TransferError::WrongDigest(_) => WrongDigest::new_err(facts),
        TransferError::Redirect(_) => RedirectRefused::new_err(facts),
        TransferError::Address(_) => AddressRefused::new_err(facts),
        TransferError::Unreachable(_) | TransferError::Stalled | TransferError::Tls(_) => {
            HostUnreachable::new_err(facts)
        }
        _ => AnswerMalformed::new_err(facts),
    }
}

fn digest_of(text: &str) -> PyResult<[u8; 32]> {
    let bad = || InvalidArgument::new_err("a SHA-256 is 64 hexadecimal digits");
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(bad());
    }
    let mut digest = [0; 32];
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad())?;
    }
    Ok(digest)
}

fn seconds(value: f64) -> PyResult<Duration> {
    let bad = |_| InvalidArgument::new_err("a time is a number of seconds, not negative");
    Duration::try_from_secs_f64(value).map_err(bad)
}
