//! The measured heads: minimal ones, and those of browsers and applications.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

/// The host of every request.
pub const HOST: &str = "app.example";

/// Its path and query.
pub const TARGET: &str = "/shop/items/42?colour=blue";

/// The fields of a browser's page request, without `Host`: 15 fields, about 700 bytes.
const BROWSER: [(&str, &str); 15] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "de-CH,de;q=0.9,en-GB;q=0.8,en;q=0.7"),
    ("cache-control", "max-age=0"),
    ("cookie", "session=5d41402abc4b2a76b9719d911017c592; theme=dark; consent=necessary; basket=17"),
    ("referer", "https://app.example/shop/items?page=3"),
    ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-user", "?1"),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
];

/// The fields of an application's response.
const ANSWER: [(&str, &str); 5] = [
    ("cache-control", "private, max-age=60"),
    ("content-type", "application/json; charset=utf-8"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("strict-transport-security", "max-age=31536000"),
    ("vary", "accept-encoding, cookie"),
];

/// A request with no header field but `Host`.
pub fn bare() -> Request<()> {
    Request::get(TARGET).header(http::header::HOST, HOST).body(()).expect("it is a request")
}

/// A request with 15 header fields beside `Host`.
pub fn browser() -> Request<()> {
    let mut request = bare();
    request.headers_mut().extend(fields(&BROWSER));
    request
}

/// A response without header fields.
pub fn bare_answer() -> Response<()> {
    Response::new(())
}

/// A response with five header fields.
pub fn answer() -> Response<()> {
    let mut response = Response::new(());
    response.headers_mut().extend(fields(&ANSWER));
    response
}

/// Encodes a request head as HTTP/1.1, for another `host`.
pub fn http1(request: &Request<()>, host: &str) -> Vec<u8> {
    let mut bytes =
        format!("{} {} HTTP/1.1\r\nhost: {host}\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers().iter().filter(|(name, _)| *name != http::header::HOST) {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_written_as_it_travels() {
        let bare = http1(&bare(), "native.example");
        assert_eq!(bare, b"GET /shop/items/42?colour=blue HTTP/1.1\r\nhost: native.example\r\n\r\n");
        let browser = String::from_utf8(http1(&browser(), HOST)).unwrap();
        assert_eq!(browser.lines().count(), 18, "{browser}");
        assert!(browser.contains("\r\nsec-fetch-user: ?1\r\n"), "{browser}");
    }

    #[test]
    fn the_heads_are_as_large_as_the_readme_says() {
        let bytes = |headers: &HeaderMap| -> usize {
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
        };
        let (browser, answer) = (browser(), answer());
        assert_eq!((browser.headers().len(), answer.headers().len()), (16, 5));
        assert!((650..750).contains(&bytes(browser.headers())), "{}", bytes(browser.headers()));
        assert!((200..300).contains(&bytes(answer.headers())), "{}", bytes(answer.headers()));
    }
}
