//! What an answer to a request for a range means (RFC 9110, §14, §15), and whether it is what was asked for.

use std::time::{Duration, SystemTime};

use super::TransferError;

/// The head of an answer; header names in lower case.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub is_http_1_1: bool,
    pub headers: Vec<(String, String)>,
}

/// `Content-Range: bytes START-END/SIZE`; `end` is the first byte that is not of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    pub start: u64,
    pub end: u64,
    pub size: Option<u64>,
}

impl Head {
    /// The value of a header that may stand once.
    ///
    /// # Errors
    /// It stands twice, with different values.
    pub fn one(&self, name: &str) -> Result<Option<&str>, TransferError> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(TransferError::BadAnswer("a header stands twice with different values"));
        }
        Ok(first)
    }

    pub fn length(&self) -> Result<Option<u64>, TransferError> {
        let length = self.one("content-length")?.map(|text| digits(text.trim()));
        match length {
            Some(None) => Err(TransferError::BadAnswer("its length is no number")),
            length => Ok(length.flatten()),
        }
    }

    pub fn is_chunked(&self) -> Result<bool, TransferError> {
        match self.one("transfer-encoding")? {
            None => Ok(false),
            Some(coding) if coding.trim().eq_ignore_ascii_case("chunked") => Ok(true),
            Some(_) => Err(TransferError::BadAnswer("it has a transfer encoding that was not asked for")),
        }
    }

    /// A strong `ETag`, quotes included; a weak one says nothing of bytes.
    pub fn etag(&self) -> Result<Option<&str>, TransferError> {
        Ok(self.one("etag")?.map(str::trim).filter(|etag| etag.len() > 2 && etag.starts_with('"')))
    }

    pub fn accepts_ranges(&self) -> bool {
        self.headers.iter().any(|(key, value)| key == "accept-ranges" && value.trim() == "bytes")
    }

    /// Whether the connection can be asked again after this answer.
    pub fn keeps_alive(&self) -> bool {
        let says = |word: &str| {
            let values = self.headers.iter().filter(|(key, _)| key == "connection");
            values.flat_map(|(_, value)| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        if self.is_http_1_1 {
            !says("close")
        } else {
            says("keep-alive")
        }
    }

    /// # Errors
    /// The bytes are not those of the file: a page, or packed.
    pub fn check_content(&self, may_be_html: bool) -> Result<(), TransferError> {
        if let Some(coding) = self.one("content-encoding")?.map(str::trim) {
            if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
                return Err(TransferError::Encoded(coding.to_owned()));
            }
        }
        let kind = self.one("content-type")?.unwrap_or_default().trim().to_ascii_lowercase();
        if kind.starts_with("multipart/byteranges") {
            return Err(TransferError::BadAnswer("it has several ranges where one was asked for"));
        }
        if !may_be_html && (kind.starts_with("text/html") || kind.starts_with("application/xhtml")) {
            return Err(TransferError::Html);
        }
        Ok(())
    }

    pub fn content_range(&self) -> Result<ContentRange, TransferError> {
        let text = self.one("content-range")?;
        text.and_then(parse_range).ok_or(TransferError::BadAnswer("it does not say which range it is"))
    }

    /// The size that an answer 416 tells: `bytes */SIZE`.
    pub fn unsatisfied_size(&self) -> Result<Option<u64>, TransferError> {
        let text = self.one("content-range")?;
        Ok(text.and_then(|text| text.trim().strip_prefix("bytes */")).and_then(digits))
    }

    /// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
    pub fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.one("retry-after").ok()??.trim();
        if let Some(seconds) = digits(text) {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }
}

fn parse_range(text: &str) -> Option<ContentRange> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, end) = (digits(first)?, digits(last)?.checked_add(1)?);
    let size = if size == "*" { None } else { Some(digits(size)?) };
    (start < end && size.is_none_or(|size| end <= size)).then_some(ContentRange { start, end, size })
}

/// A number as HTTP writes it: digits only.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Head {
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Head { status: 206, is_http_1_1: true, headers }
    }

    #[test]
    fn ranges_are_read_or_refused() {
        let read = |text| head(&[("content-range", text)]).content_range().ok();
        let range = |start, end, size| Some(ContentRange { start, end, size });
        assert_eq!(read("bytes 0-0/1"), range(0, 1, Some(1)));
        assert_eq!(read("bytes 5-9/*"), range(5, 10, None));
        let wrong = [
            "",
            "bytes",
            "bytes 0-0",
            "bytes 1-0/2",
            "bytes 0-1/1",
            "bytes -1/2",
            "bytes 0-/2",
            "items 0-0/1",
            "bytes 0-0/1x",
            "bytes +0-0/1",
            "bytes 0-18446744073709551615/*",
            "bytes */5",
            "bytes 0-0/",
        ];
        for text in wrong {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(head(&[("content-range", "bytes */5")]).unsatisfied_size().unwrap(), Some(5));
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        assert_eq!(head(&[("content-length", "5"), ("content-length", "5")]).length().unwrap(), Some(5));
        assert!(head(&[("content-length", "5"), ("content-length", "6")]).length().is_err());
        for text in ["-1", "+1", "0x1", "", "18446744073709551616"] {
            assert!(head(&[("content-length", text)]).length().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_the_file_is_refused() {
        let check =
            |name, value| head(&[(name, value)]).check_content(false).map_err(|error| error.to_string());
        assert!(check("content-type", "binary/octet-stream").is_ok());
        assert!(check("content-encoding", "identity").is_ok());
        assert!(check("content-encoding", "gzip").unwrap_err().contains("gzip"));
        assert!(check("content-type", "Text/HTML; charset=utf-8").unwrap_err().contains("HTML"));
        assert!(check("content-type", "multipart/byteranges; boundary=x").is_err());
        assert!(head(&[("content-type", "text/html")]).check_content(true).is_ok());
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |text| head(&[("retry-after", text)]).retry_after(now).map(|wait| wait.as_secs());
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 120 "), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn weak_etags_say_nothing() {
        assert_eq!(head(&[("etag", "\"a\"")]).etag().unwrap(), Some("\"a\""));
        assert_eq!(head(&[("etag", "W/\"a\"")]).etag().unwrap(), None);
    }
}
