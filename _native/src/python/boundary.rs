//! The one place where work leaves the GIL, panics are caught, errors are mapped, progress is told
//! and Ctrl-C is seen.

use std::ffi::OsString;
use std::io;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{sync_channel, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyOSError;
use pyo3::import_exception;
use pyo3::prelude::*;

use crate::control::{CancelFlag, Control};
use crate::hash::HashError;
use crate::headers::{HeaderError, Kind};
use crate::regular::{self, FOLDER};
use crate::scan::{ChangesError, ScanError};
use crate::transfer::TransferError;

import_exception!(pumas_native.errors, NativeError);
import_exception!(pumas_native.errors, Cancelled);
import_exception!(pumas_native.errors, InvalidArgument);
import_exception!(pumas_native.errors, ScanFailed);
import_exception!(pumas_native.errors, HeaderCut);
import_exception!(pumas_native.errors, HeaderMalformed);
import_exception!(pumas_native.errors, HeaderTooLarge);
import_exception!(pumas_native.errors, NotRegularFile);
import_exception!(pumas_native.errors, UnknownFormat);

/// Time between two looks at signals and progress: 20 a second.
const TICK: Duration = Duration::from_millis(50);

/// A flag that ends native work; may be set from any thread.
#[pyclass(frozen, from_py_object, module = "pumas_native")]
#[derive(Clone, Default)]
pub struct CancelToken {
    pub flag: CancelFlag,
}

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn cancel(&self) {
        self.flag.set();
    }

    #[getter]
    fn is_cancelled(&self) -> bool {
        self.flag.is_set()
    }
}

/// Why work gave no result; `run` turns it into an exception.
pub enum Failure {
    Cancelled,
    Changes(ChangesError),
    Hash(HashError),
    /// A file, and what is wrong with its header.
    Header(PathBuf, HeaderError),
    Scan(ScanError),
    Transfer(TransferError),
}

impl From<ChangesError> for Failure {
    fn from(error: ChangesError) -> Self {
        Self::Changes(error)
    }
}

impl From<HashError> for Failure {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Cancelled => Self::Cancelled,
            other => Self::Hash(other),
        }
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Cancelled => Self::Cancelled,
            other => Self::Scan(other),
        }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Cancelled => Cancelled::new_err("cancelled"),
            Failure::Changes(error) => InvalidArgument::new_err(error.to_string()),
            Failure::Hash(error) => InvalidArgument::new_err(error.to_string()),
            Failure::Header(path, error) => header_exception(path, &error),
            Failure::Transfer(error) => InvalidArgument::new_err(error.to_string()),
            Failure::Scan(error) => ScanFailed::new_err(error.to_string()),
        }
    }
}

fn header_exception(path: PathBuf, error: &HeaderError) -> PyErr {
    match error {
        HeaderError::Unreadable { code, text } => {
            return PyOSError::new_err((*code, text.clone(), path.into_os_string()));
        }
        HeaderError::NotRegular(kind) => return not_regular(&path, kind, error.to_string()),
        _ => {}
    }
    let facts = (path.into_os_string(), error.to_string());
    match error.kind() {
        Kind::UnknownFormat => UnknownFormat::new_err(facts),
        Kind::Cut => HeaderCut::new_err(facts),
        Kind::TooLarge => HeaderTooLarge::new_err(facts),
        _ => HeaderMalformed::new_err(facts),
    }
}

/// A folder, FIFO, socket or device that was given as a file.
pub fn not_regular(path: &Path, kind: &str, text: String) -> PyErr {
    let code = if kind == FOLDER { errno::EISDIR } else { errno::EINVAL };
    NotRegularFile::new_err((code, text, path.as_os_str().to_owned()))
}

#[cfg(unix)]
pub use libc as errno;

/// The numbers of Python's errno on Windows.
#[cfg(not(unix))]
pub mod errno {
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const EEXIST: i32 = 17;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
    pub const ENOSPC: i32 = 28;
    pub const ECANCELED: i32 = 105;
    pub const EOPNOTSUPP: i32 = 130;
}

/// What Python makes of an error of the system: a `FileNotFoundError` or the like, its file in `filename`.
pub fn system_error(error: &io::Error, path: OsString) -> PyErr {
    let code = error.raw_os_error().unwrap_or_else(|| code_of(error.kind()));
    PyOSError::new_err((code, regular::text_of(error), path))
}

fn code_of(kind: io::ErrorKind) -> i32 {
    match kind {
        io::ErrorKind::Unsupported => errno::EOPNOTSUPP,
        io::ErrorKind::Interrupted => errno::ECANCELED,
        _ => errno::EIO,
    }
}

/// Runs `work` on a thread of its own while this one, without the GIL, waits and ticks.
///
/// A signal handler or a progress callback that raises ends the work and is raised from here.
pub fn run<T: Send>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    cancel: Option<CancelToken>,
    work: impl FnOnce(&Control) -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let progress = progress.map(|callback| callback.clone().unbind());
    let mut told = 0;
    let tell = |py: Python<'_>, control: &Control| {
        let done = control.done();
        if let (Some(callback), true) = (progress.as_ref(), done != told) {
            told = done;
            callback.call1(py, (done,))?;
        }
        Ok(())
    };
    run_telling(py, cancel, tell, work)
}

/// As `run`; `tell` is called with each tick, on this thread.
pub fn run_telling<T: Send>(
    py: Python<'_>,
    cancel: Option<CancelToken>,
    mut tell: impl FnMut(Python<'_>, &Control) -> PyResult<()> + Send,
    work: impl FnOnce(&Control) -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let control = Control::new(cancel.unwrap_or_default().flag);
    let outcome = py.detach(|| wait_for(&control, &mut tell, work))?;
    match outcome {
        Ok(result) => result.map_err(PyErr::from),
        Err(panic) => {
            Err(NativeError::new_err(format!("a native operation failed: {}", text_of(panic.as_ref()))))
        }
    }
}

type Outcome<T> = thread::Result<Result<T, Failure>>;

fn wait_for<T: Send>(
    control: &Control,
    tell: &mut impl FnMut(Python<'_>, &Control) -> PyResult<()>,
    work: impl FnOnce(&Control) -> Result<T, Failure> + Send,
) -> PyResult<Outcome<T>> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(control)));
            // The receiver only goes away when a tick failed, and then nobody wants the outcome.
            let _ = sender.send(outcome);
        });
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(outcome) => {
                    tick(control, tell)?;
                    return Ok(outcome);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = tick(control, tell) {
                        control.cancel.set();
                        return Err(error);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(NativeError::new_err("a native worker thread ended without a result"));
                }
            }
        }
    })
}

fn tick(control: &Control, tell: &mut impl FnMut(Python<'_>, &Control) -> PyResult<()>) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        tell(py, control)
    })
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown reason".to_owned())
}

/// Panics inside `run`, so that a test can show what Python sees of it.
#[pyfunction]
pub fn panic_for_test(py: Python<'_>) -> PyResult<()> {
    run(py, None, None, |_| -> Result<(), Failure> { panic!("asked for by a test") })
}
