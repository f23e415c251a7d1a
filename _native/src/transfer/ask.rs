//! One request and its answer: the connection it goes over, the redirects it follows, what it tells to whom.

use std::fmt::Write;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use url::{Position, Url};

use super::address::{dial, is_private};
use super::answer::Head;
use super::board::Board;
use super::fault::Fault;
use super::file::Source;
use super::proxy::{bare, Proxy};
use super::redirect::{follow, is_same_origin, MAX_HOPS};
use super::wire::{Connection, Patience, Stream};
use super::TransferError;

/// What is wanted of a file.
pub struct Question<'a> {
    pub source: &'a Source,
    /// Where to begin: the first address, or where redirects led to before.
    pub from: &'a Url,
    /// All of it, if None.
    pub range: Option<Range<u64>>,
    /// Only if it is still this content.
    pub if_range: Option<&'a str>,
}

/// An answer of 200, 206 or 416, its body not read yet.
pub struct Answer {
    pub head: Head,
    pub connection: Connection,
    /// What the connection leads to, to be kept under.
    pub place: String,
    /// Who answered.
    pub url: Url,
}

/// Asks, and follows redirects.
///
/// # Errors
/// Any other answer, or none.
pub fn ask(board: &Board<'_>, question: &Question<'_>, patience: &mut Patience<'_>) -> Result<Answer, Fault> {
    let mut url = question.from.clone();
    for _ in 0..=MAX_HOPS {
        let (head, connection, place) = exchange(board, question, &url, patience)?;
        match head.status {
            200 | 206 | 416 => return Ok(Answer { head, connection, place, url }),
            301 | 302 | 303 | 307 | 308 => url = follow(&url, head.one("location")?)?,
            // An address that was signed for a time is good no longer: the first one tells a new one.
            401 | 403 | 404 | 410 if *question.from != question.source.first => {
                return ask(board, &Question { from: &question.source.first, ..question.clone() }, patience);
            }
            _ => return Err(refusal(&head)),
        }
    }
    Err(TransferError::Redirect(format!("there are more than {MAX_HOPS} in a row")).into())
}

impl Clone for Question<'_> {
    fn clone(&self) -> Self {
        Self { range: self.range.clone(), ..*self }
    }
}

fn refusal(head: &Head) -> Fault {
    let wait = head.retry_after(SystemTime::now());
    let error = TransferError::Status { status: head.status, retry_after: wait };
    match head.status {
        429 | 503 => Fault::Retry { error, wait, is_overload: true },
        408 | 425 | 500 | 502 | 504 => Fault::Retry { error, wait, is_overload: false },
        _ => Fault::Final(error),
    }
}

fn exchange(
    board: &Board<'_>,
    question: &Question<'_>,
    url: &Url,
    patience: &mut Patience<'_>,
) -> Result<(Head, Connection, String), Fault> {
    let proxy = board.proxies.of(url);
    let place = place_of(url, proxy);
    let request = request(board, question, url, proxy);
    if let Some(mut connection) = board.take_idle(&place) {
        check_peer(board, question.source, url, proxy, &connection)?;
        let sent = connection.send(request.as_bytes(), patience);
        match sent.and_then(|()| connection.head(patience)) {
            Ok(head) => return Ok((head, connection, place)),
            // Servers close what was idle for too long; that is no failure.
            Err(Fault::Retry { error: TransferError::Unreachable(_), .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    let mut connection = connect(board, question.source, url, proxy, patience)?;
    connection.send(request.as_bytes(), patience)?;
    let head = connection.head(patience)?;
    Ok((head, connection, place))
}

/// What a connection can be used for again.
fn place_of(url: &Url, proxy: Option<&Proxy>) -> String {
    match proxy {
        Some(proxy) if url.scheme() == "http" => format!("proxy {}:{}", proxy.host, proxy.port),
        _ => url[..Position::BeforePath].to_owned(),
    }
}

fn may_be_private(board: &Board<'_>, source: &Source, url: &Url) -> bool {
    board.options.private_from_public
        || is_same_origin(url, &source.first)
        || !source.is_public.load(Ordering::Relaxed)
}

fn check_peer(
    board: &Board<'_>,
    source: &Source,
    url: &Url,
    proxy: Option<&Proxy>,
    connection: &Connection,
) -> Result<(), Fault> {
    if proxy.is_some() {
        return Ok(()); // the proxy looks up the name, and only it knows the address
    }
    let is_private = is_private(connection.peer());
    if is_private && !may_be_private(board, source, url) {
        let host = url.host_str().unwrap_or_default();
        return Err(TransferError::Address(format!("{host} is {}", connection.peer())).into());
    }
    if is_same_origin(url, &source.first) {
        source.is_public.store(!is_private, Ordering::Relaxed);
    }
    Ok(())
}

fn connect(
    board: &Board<'_>,
    source: &Source,
    url: &Url,
    proxy: Option<&Proxy>,
    patience: &mut Patience<'_>,
) -> Result<Connection, Fault> {
    let host = url.host().map(|host| bare(&host)).unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let timeout = board.options.connect_timeout;
    let wanted = patience.is_wanted;
    let mut socket = match proxy {
        Some(proxy) => dial(&proxy.host, proxy.port, true, timeout, wanted)?,
        None => dial(&host, port, may_be_private(board, source, url), timeout, wanted)?,
    };
    if url.scheme() == "http" {
        let connection = Connection::new(Stream::Plain(socket))?;
        check_peer(board, source, url, proxy, &connection)?;
        return Ok(connection);
    }
    if let Some(proxy) = proxy {
        let tunnel = Connection::new(Stream::Plain(socket))?;
        socket = open_tunnel(tunnel, proxy, url, port, patience)?;
    }
    let name = ServerName::try_from(host).map_err(|error| TransferError::Tls(error.to_string()))?;
    let session = ClientConnection::new(Arc::clone(&board.tls), name)
        .map_err(|error| TransferError::Tls(error.to_string()))?;
    let connection = Connection::new(Stream::Tls(Box::new(StreamOwned::new(session, socket))))?;
    check_peer(board, source, url, proxy, &connection)?;
    Ok(connection)
}

/// Has a proxy connect to the host of an address (`CONNECT`, RFC 9110 §9.3.6).
fn open_tunnel(
    mut connection: Connection,
    proxy: &Proxy,
    url: &Url,
    port: u16,
    patience: &mut Patience<'_>,
) -> Result<std::net::TcpStream, Fault> {
    let place = format!("{}:{port}", url.host_str().unwrap_or_default());
    let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
    add_authorization(&mut request, proxy);
    request.push_str("\r\n");
    connection.send(request.as_bytes(), patience)?;
    let head = connection.head(patience)?;
    if !(200..300).contains(&head.status) {
        return Err(Fault::unreachable(format!("the proxy answered {}", head.status)));
    }
    connection.into_socket().ok_or_else(|| Fault::unreachable("the proxy says more than it may".to_owned()))
}

fn add_authorization(request: &mut String, proxy: &Proxy) {
    if let Some(authorization) = &proxy.authorization {
        let _ = write!(request, "Proxy-Authorization: {authorization}\r\n");
    }
}

/// Writing into a String doesn't fail.
fn request(board: &Board<'_>, question: &Question<'_>, url: &Url, proxy: Option<&Proxy>) -> String {
    let mut text = String::from("GET ");
    match proxy {
        Some(_) if url.scheme() == "http" => text.push_str(&url[..Position::AfterQuery]),
        _ => text.push_str(&url[Position::BeforePath..Position::AfterQuery]),
    }
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let agent = &board.options.user_agent;
    let _ = write!(
        text,
        " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    );
    if let Some(range) = &question.range {
        let _ = write!(text, "Range: bytes={}-{}\r\n", range.start, range.end - 1);
        if let Some(etag) = question.if_range {
            let _ = write!(text, "If-Range: {etag}\r\n");
        }
    }
    // SECURITY: what is in the headers is meant for the first host and no other.
    if is_same_origin(url, &question.source.first) {
        for (name, value) in &question.source.plan.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
    }
    if let Some(proxy) = proxy.filter(|_| url.scheme() == "http") {
        add_authorization(&mut text, proxy);
    }
    text.push_str("\r\n");
    text
}
