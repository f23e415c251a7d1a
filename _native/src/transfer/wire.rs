//! One connection that speaks HTTP/1.1 (RFC 9112): a request goes out, a head comes back, then a body.
//!
//! The socket blocks for a moment at most, so that whoever waits sees soon that nobody wants the bytes any more.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use super::answer::Head;
use super::fault::Fault;
use super::stall::Watch;
use super::TransferError;

/// A longer head is refused.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 100;
/// A longer line between chunks is refused.
const MAX_CHUNK_LINE: usize = 4096;

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// How long to wait for bytes.
pub struct Patience<'a> {
    pub is_wanted: &'a dyn Fn() -> bool,
    pub watch: Watch,
}

pub struct Connection {
    stream: Stream,
    peer: IpAddr,
    /// Bytes that came with a head, or between chunks.
    buffer: Vec<u8>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk; so many bytes are left of this one.
    Chunk(u64),
    /// It has ended.
    End,
    /// When the connection is closed.
    Close,
}

impl Patience<'_> {
    fn received(&mut self, bytes: usize) -> Result<(), Fault> {
        self.watch.received(bytes);
        self.look()
    }

    fn look(&mut self) -> Result<(), Fault> {
        if !(self.is_wanted)() {
            return Err(Fault::Interrupted);
        }
        if self.watch.is_stalled(Instant::now()) {
            return Err(Fault::retry(TransferError::Stalled));
        }
        Ok(())
    }
}

impl Connection {
    pub fn new(stream: Stream) -> io::Result<Self> {
        let socket = match &stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.get_ref(),
        };
        let peer = socket.peer_addr()?.ip();
        Ok(Self { stream, peer, buffer: Vec::new() })
    }

    /// The address that the connection was made to.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Gives up the socket of a proxy that has made a tunnel.
    pub fn into_socket(self) -> Option<TcpStream> {
        match self.stream {
            Stream::Plain(socket) if self.buffer.is_empty() => Some(socket),
            _ => None,
        }
    }

    pub fn send(&mut self, request: &[u8], patience: &mut Patience<'_>) -> Result<(), Fault> {
        let mut rest = request;
        while !rest.is_empty() {
            let sent = match &mut self.stream {
                Stream::Plain(stream) => stream.write(rest),
                Stream::Tls(stream) => stream.write(rest),
            };
            match sent {
                Ok(0) => return Err(closed()),
                Ok(count) => rest = &rest[count..],
                Err(error) => wait_or_fail(&error, patience)?,
            }
        }
        loop {
            let flushed = match &mut self.stream {
                Stream::Plain(stream) => stream.flush(),
                Stream::Tls(stream) => stream.flush(),
            };
            match flushed {
                Ok(()) => return Ok(()),
                Err(error) => wait_or_fail(&error, patience)?,
            }
        }
    }

    /// Waits for the head of an answer; those of the 1xx class are passed over.
    pub fn head(&mut self, patience: &mut Patience<'_>) -> Result<Head, Fault> {
        loop {
            if let Some((length, head)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                if head.status < 200 {
                    continue;
                }
                return Ok(head);
            }
            if self.buffer.len() >= MAX_HEAD_BYTES {
                return Err(TransferError::BadAnswer("its head is too long").into());
            }
            if self.fill(4096, patience)? == 0 {
                return Err(closed());
            }
        }
    }

    /// Reads what comes next of a body, as much as `out` takes; 0 at its end.
    pub fn body(
        &mut self,
        framing: &mut Framing,
        out: &mut [u8],
        patience: &mut Patience<'_>,
    ) -> Result<usize, Fault> {
        let room = |left: u64| usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        match *framing {
            Framing::End | Framing::Length(0) => Ok(0),
            Framing::Close => self.read(out, patience),
            Framing::Length(left) => {
                let room = room(left);
                let count = self.some(&mut out[..room], patience)?;
                *framing = Framing::Length(left - count as u64);
                Ok(count)
            }
            Framing::Chunk(0) => {
                *framing = self.next_chunk(patience)?;
                self.body(framing, out, patience)
            }
            Framing::Chunk(left) => {
                let room = room(left);
                let count = self.some(&mut out[..room], patience)?;
                *framing = Framing::Chunk(left - count as u64);
                if left == count as u64 {
                    self.end_of_line(patience)?;
                }
                Ok(count)
            }
        }
    }

    /// Whether another request may follow a body that was read to its end.
    pub fn is_clean(&self) -> bool {
        self.buffer.is_empty()
    }

    /// As `read`, but the end of the connection comes too early here.
    fn some(&mut self, out: &mut [u8], patience: &mut Patience<'_>) -> Result<usize, Fault> {
        match self.read(out, patience)? {
            0 if !out.is_empty() => Err(closed()),
            count => Ok(count),
        }
    }

    /// Reads from the buffer, then from the socket; 0 at the end of the connection.
    fn read(&mut self, out: &mut [u8], patience: &mut Patience<'_>) -> Result<usize, Fault> {
        if !self.buffer.is_empty() {
            let count = self.buffer.len().min(out.len());
            out[..count].copy_from_slice(&self.buffer[..count]);
            self.buffer.drain(..count);
            return Ok(count);
        }
        loop {
            let got = match &mut self.stream {
                Stream::Plain(stream) => stream.read(out),
                Stream::Tls(stream) => stream.read(out),
            };
            match got {
                Ok(count) => {
                    patience.received(count)?;
                    return Ok(count);
                }
                Err(error) => wait_or_fail(&error, patience)?,
            }
        }
    }

    /// Adds what comes next to the buffer; 0 at the end of the connection.
    fn fill(&mut self, room: usize, patience: &mut Patience<'_>) -> Result<usize, Fault> {
        let before = std::mem::take(&mut self.buffer);
        let mut more = vec![0; room];
        let count = self.read(&mut more, patience)?;
        self.buffer = before;
        self.buffer.extend_from_slice(&more[..count]);
        Ok(count)
    }

    fn next_chunk(&mut self, patience: &mut Patience<'_>) -> Result<Framing, Fault> {
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((length, 0))) => {
                    self.buffer.drain(..length);
                    return self.trailer(patience);
                }
                Ok(httparse::Status::Complete((length, size))) => {
                    self.buffer.drain(..length);
                    return Ok(Framing::Chunk(size));
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < MAX_CHUNK_LINE => {}
                _ => return Err(TransferError::BadAnswer("its chunks are malformed").into()),
            }
            if self.fill(MAX_CHUNK_LINE, patience)? == 0 {
                return Err(closed());
            }
        }
    }

    /// Reads the lines behind the last chunk; the empty one is the end.
    fn trailer(&mut self, patience: &mut Patience<'_>) -> Result<Framing, Fault> {
        while !self.end_of_line(patience)? {}
        Ok(Framing::End)
    }

    /// Takes one line out of the buffer; whether it was empty.
    fn end_of_line(&mut self, patience: &mut Patience<'_>) -> Result<bool, Fault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let is_empty = matches!(&self.buffer[..end], b"" | b"\r");
                self.buffer.drain(..=end);
                return Ok(is_empty);
            }
            if self.buffer.len() >= MAX_CHUNK_LINE {
                return Err(TransferError::BadAnswer("its chunks are malformed").into());
            }
            if self.fill(MAX_CHUNK_LINE, patience)? == 0 {
                return Err(closed());
            }
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Head)>, Fault> {
    let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut room);
    let length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(TransferError::BadAnswer("it is no answer of HTTP/1.1").into()),
    };
    let headers = parsed.headers.iter().map(|header| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
    });
    let head = Head {
        status: parsed.code.unwrap_or_default(),
        is_http_1_1: parsed.version == Some(1),
        headers: headers.collect(),
    };
    Ok(Some((length, head)))
}

fn closed() -> Fault {
    Fault::unreachable("the connection was closed in the middle".to_owned())
}

fn wait_or_fail(error: &io::Error, patience: &mut Patience<'_>) -> Result<(), Fault> {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => patience.look(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Err(closed()),
        ErrorKind::InvalidData => Err(tls_fault(error)),
        _ => Err(Fault::unreachable(crate::regular::text_of(error))),
    }
}

/// A certificate that is not believed now will not be later; anything else may be a bit that fell over.
fn tls_fault(error: &io::Error) -> Fault {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let told = TransferError::Tls(error.to_string());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => Fault::Final(told),
        _ => Fault::retry(told),
    }
}

/// A pause that ends early when nobody waits for the bytes any more.
pub fn sleep(time: Duration, is_wanted: &dyn Fn() -> bool) -> Result<(), Fault> {
    const STEP: Duration = Duration::from_millis(50);
    let until = Instant::now() + time;
    loop {
        if !is_wanted() {
            return Err(Fault::Interrupted);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(STEP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::stall::StallRule;
    use std::net::TcpListener;
    use std::thread;

    /// What a client makes of these bytes and the end of the connection after them.
    fn answered(bytes: &'static [u8]) -> Result<(Head, Vec<u8>), Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(bytes).unwrap());
        let socket = TcpStream::connect(address).unwrap();
        let mut connection = Connection::new(Stream::Plain(socket)).unwrap();
        server.join().unwrap();
        let rule = StallRule { min_rate_bytes_s: 0, window: Duration::from_secs(60) };
        let mut patience = Patience { is_wanted: &|| true, watch: Watch::new(rule, Instant::now()) };
        let head = connection.head(&mut patience)?;
        let mut framing = match (head.is_chunked()?, head.length()?) {
            (true, _) => Framing::Chunk(0),
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Close,
        };
        let mut body = Vec::new();
        let mut out = [0; 3];
        loop {
            match connection.body(&mut framing, &mut out, &mut patience)? {
                0 => return Ok((head, body)),
                count => body.extend_from_slice(&out[..count]),
            }
        }
    }

    #[test]
    fn bodies_end_where_they_say() {
        let body = |bytes| answered(bytes).unwrap().1;
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello there"), b"hello");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nhello"), b"hello");
        assert_eq!(body(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), b"");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            4;x=y\r\nhell\r\n1\r\no\r\n0\r\nTrailer: x\r\n\r\nmore";
        assert_eq!(body(chunked), b"hello");
    }

    #[test]
    fn bodies_that_end_too_early_may_go_well_another_time() {
        let heads: [&'static [u8]; 5] = [
            b"",
            b"HTTP/1.1 200 OK\r\nContent-",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        ];
        for bytes in heads {
            assert!(matches!(answered(bytes), Err(Fault::Retry { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let heads: [&'static [u8]; 4] = [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ];
        for bytes in heads {
            assert!(matches!(answered(bytes), Err(Fault::Final(TransferError::BadAnswer(_)))), "{bytes:?}");
        }
    }
}
