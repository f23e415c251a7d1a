//! Which proxy a host is asked through.

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::TransferError;

/// An HTTP proxy; its own connection is not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// Value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// The proxies of one call.
#[derive(Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Hosts that are asked directly: `a.example` (and all below it), an address, or `*`.
    direct: Vec<String>,
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST[:PORT]`.
    fn parse(text: &str) -> Result<Self, TransferError> {
        let bad =
            || TransferError::BadUrl(String::from("the proxy is no address of the form http://HOST:PORT"));
        let url = Url::parse(text).map_err(|_| bad())?;
        let host = url.host().filter(|_| url.scheme() == "http").ok_or_else(bad)?;
        let user = plain(url.username());
        let authorization = (!user.is_empty()).then(|| {
            let pair = format!("{user}:{}", plain(url.password().unwrap_or_default()));
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self { host: bare(&host), port: url.port().unwrap_or(80), authorization })
    }
}

impl Proxies {
    /// # Errors
    /// A proxy is no address of a plain HTTP proxy.
    pub fn new(http: Option<&str>, https: Option<&str>, direct: Vec<String>) -> Result<Self, TransferError> {
        Ok(Self {
            http: http.map(Proxy::parse).transpose()?,
            https: https.map(Proxy::parse).transpose()?,
            direct,
        })
    }

    /// The proxy for an address, if it is not asked directly.
    pub fn of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = bare(&url.host()?);
        let is_direct = self.direct.iter().map(|name| name.trim().trim_start_matches('.')).any(|name| {
            let above = host.len().checked_sub(name.len()).and_then(|at| host.get(at..).map(|end| (at, end)));
            name == "*"
                || above.is_some_and(|(at, end)| {
                    !name.is_empty()
                        && end.eq_ignore_ascii_case(name)
                        && (at == 0 || host[..at].ends_with('.'))
                })
        });
        (!is_direct).then_some(proxy)
    }
}

/// A host as it is looked up: addresses of version 6 without brackets.
pub fn bare(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

fn plain(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_asked_through_the_proxy_of_their_scheme() {
        let direct =
            vec!["Local.example".to_owned(), ".lan".to_owned(), "10.0.0.1".to_owned(), String::new()];
        let proxies = Proxies::new(Some("http://one:81"), Some("http://u:p%40ss@two"), direct).unwrap();
        let of = |text: &str| {
            proxies.of(&Url::parse(text).unwrap()).map(|proxy| (proxy.host.as_str(), proxy.port))
        };
        assert_eq!(of("http://a.example/"), Some(("one", 81)));
        assert_eq!(of("https://a.example/"), Some(("two", 80)));
        for text in ["http://local.example/", "https://b.local.example/", "http://x.lan/", "http://10.0.0.1/"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        assert!(of("http://notlocal.example/").is_some());
        let authorization = proxies.https.as_ref().unwrap().authorization.as_deref();
        assert_eq!(authorization, Some("Basic dTpwQHNz")); // u:p@ss
        assert_eq!(proxies.http.as_ref().unwrap().authorization, None);
    }

    #[test]
    fn one_star_asks_all_directly_and_other_proxies_are_refused() {
        let proxies = Proxies::new(Some("http://one"), None, vec!["*".to_owned()]).unwrap();
        assert_eq!(proxies.of(&Url::parse("http://a.example/").unwrap()), None);
        for text in ["socks5://one", "https://one", "one:80", ""] {
            assert!(Proxies::new(Some(text), None, Vec::new()).is_err(), "{text}");
        }
    }
}
