//! Bytes of the network into files: many connections at once, going on where it ended, digested on the way.
//!
//! ```text
//! connections (one thread each)   wire → part, BLAKE3 of each block (`tree`), journal
//! digests (a thread a core)       part → SHA-256 along what is there without a gap (`frontier`), then the last steps
//! sync (one thread)               part to disk, then its journal, each second
//! the caller's thread             progress, rate
//! ```
//!
//! They meet on the `board`, which knows of each file what is there, on its way and missing. Blocks are 1 MiB: digests,
//! journal and the handing on of work are by blocks. Bytes are written where they belong as they come, never kept, so
//! that memory does not grow with files or window; SHA-256 reads them again out of the page cache.
//!
//! One thread a connection with blocking sockets, on `httparse` and `rustls`. PERF: 1 GiB over 16 connections on
//! loopback, thrown away, takes 0.39 s of the processor so; `hyper` on `tokio` 0.36 to 0.44, `ureq`, which copies each
//! body once more, 0.52; `curl` with one connection 0.26. Waking tasks saves nothing where there are 16, and a thread
//! can digest and write what it has just received while the bytes are in its cache.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

mod address;
mod answer;
mod ask;
mod board;
mod bucket;
mod engine;
mod fault;
mod fetch;
mod file;
mod frontier;
mod journal;
mod open;
mod part;
mod pieces;
mod proxy;
mod redirect;
mod stall;
mod steering;
mod tls;
mod tree;
mod wire;

pub use engine::fetch_files;
pub use stall::StallRule;
pub use steering::{FileProgress, FileState, Snapshot, Steering};

/// Why a file did not arrive. What is there of it stays as `NAME.part`, unless the variant says else.
#[derive(Debug, Error)]
pub enum TransferError {
    #[error("{0}")]
    BadUrl(String),
    #[error("the server answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("the answer is an HTML page, not the file")]
    Html,
    #[error("the answer is packed ({0}) though the plain bytes were asked for")]
    Encoded(String),
    #[error("the answer breaks the rules: {0}")]
    BadAnswer(&'static str),
    #[error("the content changed on the server while it was fetched")]
    Changed,
    #[error("it has {found} bytes where {expected} were promised")]
    WrongLength { expected: u64, found: u64 },
    /// The part is left as evidence, without a journal: no transfer goes on with it.
    #[error("its SHA-256 is {}, not the one that was declared", hex(.0))]
    WrongDigest([u8; 32]),
    #[error("a redirect is not followed: {0}")]
    Redirect(String),
    #[error("a public host leads to a private address: {0}")]
    Address(String),
    #[error("no connection: {0}")]
    Unreachable(String),
    #[error("the connection brought too few bytes")]
    Stalled,
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{needed} bytes are needed, {free} are free")]
    NoSpace { needed: u64, free: u64 },
    #[error("there is a file of that name")]
    Exists,
    #[error("another transfer writes it")]
    Busy,
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { needed: 1, free: 0 },
            _ => Self::Io(error),
        }
    }
}

/// A file to be fetched.
#[derive(Debug, Clone)]
pub struct FilePlan {
    pub url: String,
    /// Sent to the host of `url`, never to another one.
    pub headers: Vec<(String, String)>,
    /// Must not exist; `NAME.part` and `NAME.part.journal` are made beside it.
    pub target: PathBuf,
    pub size: Option<u64>,
    pub sha256: Option<[u8; 32]>,
    /// Names the content besides its digest: a commit, say. A part of another validator is not gone on with.
    pub validator: Option<String>,
}

/// How files are fetched.
#[derive(Debug, Clone)]
pub struct Options {
    pub connections: usize,
    pub connections_per_host: usize,
    /// What one request asks for at most; whole blocks.
    pub piece_bytes: u64,
    /// How far ahead of the digests bytes may be asked for.
    pub window_bytes: u64,
    pub stall: StallRule,
    /// Failures in a row, with nothing new between them, that a file is forgiven.
    pub retries: u32,
    /// Wait after the second failure in a row, doubled after each further one; there is none after the first.
    pub retry_wait: Duration,
    /// No wait is longer; a server that asks for more has failed.
    pub max_wait: Duration,
    pub connect_timeout: Duration,
    /// Whether a host with a public address may lead to a private one.
    pub private_from_public: bool,
    pub http_proxy: Option<String>,
    pub https_proxy: Option<String>,
    pub no_proxy: Vec<String>,
    /// Certificates in PEM form that are believed besides those of Mozilla's programme.
    pub ca_file: Option<PathBuf>,
    pub user_agent: String,
}

/// A file that is whole, right, on disk and under its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    pub sha256: [u8; 32],
    pub blake3: [u8; 32],
    pub size: u64,
    pub etag: Option<String>,
    /// Who sent the bytes; None when they were there already.
    pub host: Option<String>,
    /// Bytes of bodies that came in this call, those that were not used too.
    pub fetched_bytes: u64,
    /// 32 bytes for each block of 1 MiB: its chaining value in the file's BLAKE3 tree, of a file of one block the
    /// value it would have in a longer one.
    pub block_sums: Vec<u8>,
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
