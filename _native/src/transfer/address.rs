//! Connecting to a host by its name, and which addresses one may be led to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::TransferError;

/// Time between two looks at whether the work is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// Whether an address is of a net that is not everybody's: this machine, a home, a company, a cloud's own services.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => is_private_v6(address),
        },
    }
}

/// RFC 6890 and its registry, without what is only for documents.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    // Translated addresses (64:ff9b::/96) lead to what they translate.
    if address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return is_private_v4(Ipv4Addr::new(a, b, c, d));
    }
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || (first & 0xfe00) == 0xfc00
        || (first & 0xffc0) == 0xfe80
}

/// Connects to the first address of a host that answers.
///
/// # Errors
/// There is none, or only such as `may_be_private` forbids; `is_wanted` ended the wait.
pub fn dial(
    host: &str,
    port: u16,
    may_be_private: bool,
    timeout: Duration,
    is_wanted: &dyn Fn() -> bool,
) -> Result<TcpStream, Fault> {
    // Looking up a name can't be ended, so it is left behind when nobody wants the answer any more.
    let (sender, receiver) = channel();
    let name = host.to_owned();
    thread::spawn(move || {
        // The receiver is gone when the connection is no longer wanted.
        let _ = sender.send(connect(&name, port, may_be_private, timeout));
    });
    let until = Instant::now() + 2 * timeout;
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => return Err(error.into_fault(host)),
            Err(RecvTimeoutError::Timeout) if !is_wanted() => return Err(Fault::Interrupted),
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => return Err(Fault::unreachable(format!("{host} does not answer"))),
        }
    }
}

enum DialError {
    Io(io::Error),
    Forbidden(IpAddr),
}

impl DialError {
    fn into_fault(self, host: &str) -> Fault {
        match self {
            Self::Io(error) => Fault::unreachable(format!("{host}: {}", crate::regular::text_of(&error))),
            Self::Forbidden(address) => Fault::Final(TransferError::Address(format!("{host} is {address}"))),
        }
    }
}

fn connect(host: &str, port: u16, may_be_private: bool, timeout: Duration) -> Result<TcpStream, DialError> {
    let mut last = DialError::Io(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    for address in (host, port).to_socket_addrs().map_err(DialError::Io)? {
        // SECURITY: judged by the address that is connected to, so that no name can mean another one a moment later.
        if !may_be_private && is_private(address.ip()) {
            last = DialError::Forbidden(address.ip());
            continue;
        }
        match open(address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = DialError::Io(error),
        }
    }
    Err(last)
}

fn open(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(2 * TICK))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses_are_known_for_what_they_are() {
        let private = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ];
        let public =
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"];
        assert!(private.iter().all(|text| is_private(text.parse().unwrap())));
        assert!(!public.iter().any(|text| is_private(text.parse().unwrap())));
    }

    #[test]
    fn a_private_address_is_connected_to_only_where_it_may_be() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let second = Duration::from_secs(1);
        assert!(dial("127.0.0.1", port, true, second, &|| true).is_ok());
        let refused = dial("127.0.0.1", port, false, second, &|| true);
        assert!(matches!(refused, Err(Fault::Final(TransferError::Address(_)))));
        drop(listener);
        assert!(matches!(dial("127.0.0.1", port, true, second, &|| true), Err(Fault::Retry { .. })));
    }
}
