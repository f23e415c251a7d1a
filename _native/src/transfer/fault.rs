//! Why a connection brought no more, and what follows from it.

use std::time::Duration;

use super::TransferError;

/// Ends one attempt to get a range.
#[derive(Debug)]
pub enum Fault {
    /// We ended it: paused, cancelled, or the file was given up elsewhere.
    Interrupted,
    /// It may go well another time.
    Retry {
        error: TransferError,
        /// What the server asked for.
        wait: Option<Duration>,
        /// It had too much to do: fewer connections may help.
        is_overload: bool,
    },
    /// It will be the same another time.
    Final(TransferError),
}

impl Fault {
    pub fn retry(error: TransferError) -> Self {
        Self::Retry { error, wait: None, is_overload: false }
    }

    pub fn unreachable(text: String) -> Self {
        Self::retry(TransferError::Unreachable(text))
    }
}

impl From<TransferError> for Fault {
    fn from(error: TransferError) -> Self {
        Self::Final(error)
    }
}

/// The system's word on our own files.
impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Final(error.into())
    }
}
