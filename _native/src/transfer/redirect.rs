//! Where a redirect may lead, and what is told to whom.

use url::Url;

use super::TransferError;

/// Hops of one request.
pub const MAX_HOPS: usize = 10;

/// Reads an address to begin with.
///
/// # Errors
/// It is none, or of another scheme than http and https.
pub fn parse(text: &str) -> Result<Url, TransferError> {
    let url = Url::parse(text)
        .map_err(|error| TransferError::BadUrl(format!("{text:?} is no address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(TransferError::BadUrl(format!("{text:?} is no address of http or https")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TransferError::BadUrl(
            "credentials belong into a header, not into the address".to_owned(),
        ));
    }
    Ok(url)
}

/// An address that leads nowhere: of files that were never asked for.
pub fn nowhere() -> Url {
    Url::parse("http://0.0.0.0/").expect("it is an address")
}

/// Where `location`, told by `from`, leads.
///
/// # Errors
/// Not to http or https, out of TLS into the open, or nowhere.
pub fn follow(from: &Url, location: Option<&str>) -> Result<Url, TransferError> {
    let refused = |why: &str| TransferError::Redirect(why.to_owned());
    let location = location.ok_or_else(|| refused("it does not say where to"))?;
    let to = from.join(location).map_err(|error| refused(&format!("it leads to no address: {error}")))?;
    if !matches!(to.scheme(), "http" | "https") || to.host_str().is_none_or(str::is_empty) {
        return Err(refused(&format!("it leads to an address of {:?}", to.scheme())));
    }
    if from.scheme() == "https" && to.scheme() == "http" {
        return Err(refused("it leads out of TLS into the open"));
    }
    Ok(to)
}

/// Whether both are served by one place: whoever was trusted with credentials there is the same.
pub fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(from: &str, location: &str) -> Option<String> {
        follow(&parse(from).unwrap(), Some(location)).ok().map(|url| url.to_string())
    }

    #[test]
    fn locations_are_resolved_against_where_they_stand() {
        let from = "https://a.example/one/two?x=1";
        assert_eq!(to(from, "three").as_deref(), Some("https://a.example/one/three"));
        assert_eq!(to(from, "/three?y").as_deref(), Some("https://a.example/three?y"));
        assert_eq!(to(from, "//b.example/c").as_deref(), Some("https://b.example/c"));
        assert_eq!(
            to("http://a.example/", "https://b.example:8443/").as_deref(),
            Some("https://b.example:8443/")
        );
    }

    #[test]
    fn some_places_are_not_gone_to() {
        for location in
            ["file:///etc/passwd", "ftp://a.example/", "javascript:1", "http://a.example/", "http://"]
        {
            assert_eq!(to("https://a.example/", location), None, "{location}");
        }
        assert!(follow(&parse("http://a.example/").unwrap(), None).is_err());
    }

    #[test]
    fn another_port_or_scheme_is_another_origin() {
        let same = |one, other| is_same_origin(&parse(one).unwrap(), &parse(other).unwrap());
        assert!(same("https://a.example/x", "https://A.example:443/y"));
        assert!(!same("https://a.example/", "https://a.example:444/"));
        assert!(!same("http://a.example/", "https://a.example/"));
        assert!(!same("https://a.example/", "https://a.example.evil/"));
        assert!(!same("http://127.0.0.1:1/", "http://localhost:1/"));
    }

    #[test]
    fn only_addresses_of_http_are_begun_with() {
        for text in ["", "a.example/x", "file:///x", "ftp://a/x"] {
            assert!(matches!(parse(text), Err(TransferError::BadUrl(_))), "{text}");
        }
    }
}
