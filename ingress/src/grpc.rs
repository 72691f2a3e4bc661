//! gRPC calls at the edge (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): they are recognised, their
//! deadline is the exchange's, and what goes wrong is said as a gRPC status. Messages are nobody's business here.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use tokio::time::Instant;

use h8s_wire::is_grpc;

use crate::rescue::Verdict;
use crate::response_body::{ResponseBody, UpstreamBody};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What a client may have waited for at most: it says so itself, and somebody keeps a place for it.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The statuses that a gateway has reason to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Until when a call's client waits, an hour at most; `None` where it does not say, or is no gRPC client.
///
/// A `grpc-timeout` that cannot be read says nothing either: implementations differ (some ignore it, some fail the
/// call), and whoever answers gets it as it is.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let mut timeouts = headers.get_all(TIMEOUT).iter();
    match (timeouts.next(), timeouts.next()) {
        (Some(timeout), None) if is_grpc(headers) => {
            Some(Instant::now() + duration(timeout.as_bytes())?.min(LONGEST))
        }
        _ => None,
    }
}

/// `TimeoutValue TimeoutUnit`: at most eight digits and one letter.
fn duration(timeout: &[u8]) -> Option<Duration> {
    let (unit, digits) = timeout.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let unit = match unit {
        b'H' => Duration::from_secs(60 * 60),
        b'M' => Duration::from_secs(60),
        b'S' => Duration::from_secs(1),
        b'm' => Duration::from_millis(1),
        b'u' => Duration::from_micros(1),
        b'n' => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

/// What a verdict is in gRPC. The base is what clients make of an HTTP status that comes without a gRPC one
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>); where the gateway knows better, it
/// says so.
pub(crate) fn code(verdict: &Verdict) -> Code {
    match (verdict.status.as_u16(), verdict.reason) {
        // Not a refusal of somebody known: the key is missing or wrong.
        (_, "authorization") => Code::Unauthenticated,
        // Whoever answers is there, and broken.
        (_, "invalid_response") => Code::Internal,
        (400, _) => Code::Internal,
        (403, _) => Code::PermissionDenied,
        (404 | 501, _) => Code::Unimplemented,
        (413 | 431, _) => Code::ResourceExhausted,
        (502 | 503, _) => Code::Unavailable,
        (504, _) => Code::DeadlineExceeded,
        _ => Code::Unknown,
    }
}

/// The gateway's own answer to a call: "Trailers-Only", a head that ends the stream.
pub(crate) fn response<B: UpstreamBody>(verdict: &Verdict) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::Empty);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    insert(response.headers_mut(), code(verdict), verdict.says);
    response
}

/// How a call ends whose answer has begun and does not go on.
pub(crate) fn broken_off() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    insert(&mut trailers, Code::Unavailable, "The answer broke off.");
    trailers
}

/// Has the answer to a call end with a status if it breaks off, in place of a reset. Only where nobody can take that
/// for a whole answer: HTTP's own status and length say nothing about it, and gRPC's comes last.
pub(crate) fn end_with_status<B: UpstreamBody>(answer: &mut Response<ResponseBody<B>>) {
    let headers = answer.headers();
    let is_open = answer.status() == StatusCode::OK && !headers.contains_key(header::CONTENT_LENGTH);
    if is_open
        && is_grpc(headers)
        && !headers.contains_key(STATUS)
        && let ResponseBody::Streaming(body) = answer.body_mut()
    {
        body.end_with_status();
    }
}

fn insert(headers: &mut HeaderMap, code: Code, message: &str) {
    headers.insert(STATUS, HeaderValue::from(code as u16));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(message)) {
        headers.insert(MESSAGE, message);
    }
}

/// `Percent-Encoded` of the specification: printable ASCII but `%` stands for itself.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'$' | b'&'..=b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use h8s_wire::HostError;

    use super::*;
    use crate::admission::Rejection::*;
    use crate::rescue::{Failure, ResponseFault, verdict};

    fn of_type(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    #[test]
    fn calls_are_known_by_their_content_type() {
        for call in ["application/grpc", "application/grpc+proto", "Application/gRPC;charset=utf-8"] {
            assert!(is_grpc(&of_type(call)), "{call}");
        }
        for other in
            ["application/grpc-web", "application/grpc-web+proto", "application/grpcx", "application/grp", ""]
        {
            assert!(!is_grpc(&of_type(other)), "{other}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        for (timeout, seconds) in [
            ("2H", 7200.0),
            ("3M", 180.0),
            ("00000004S", 4.0),
            ("500m", 0.5),
            ("250000u", 0.25),
            ("99999999n", 0.099_999_999),
            ("0S", 0.0),
            ("99999999H", 359_999_996_400.0),
        ] {
            assert_eq!(
                duration(timeout.as_bytes()).map(|timeout| timeout.as_secs_f64()),
                Some(seconds),
                "{timeout}"
            );
        }
        for bad in ["", "S", "1", "123456789S", "1s", "+1S", "-1S", "1.5S", " 1S", "1 S", "1SS"] {
            assert_eq!(duration(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_one_readable_timeout_of_a_call_is_a_deadline() {
        let timeouts = |content_type, timeouts: &[&'static str]| {
            let mut headers = of_type(content_type);
            for timeout in timeouts {
                headers.append(TIMEOUT, HeaderValue::from_static(timeout));
            }
            deadline(&headers).is_some()
        };
        assert!(timeouts("application/grpc", &["1S"]) && timeouts("application/grpc", &["99999999H"]));
        assert!(!timeouts("application/grpc", &[]) && !timeouts("application/grpc", &["soon"]));
        assert!(!timeouts("application/grpc", &["1S", "2S"]) && !timeouts("text/plain", &["1S"]));
    }

    /// The first column of the mapping of HTTP statuses, and where the gateway knows better.
    #[test]
    fn every_refusal_has_its_code() {
        let over = BodyTooLarge { limit_bytes: 1 };
        for (rejection, expected) in [
            (Method, Code::Unimplemented),
            (Ambiguous, Code::Internal),
            (Host(HostError::Empty), Code::Internal),
            (Filtered, Code::Unimplemented),
            (Unauthorized, Code::Unauthenticated),
            (NoInterest, Code::Unimplemented),
            (over, Code::ResourceExhausted),
            (Upgrade("no key"), Code::Internal),
            (WebSocketVersion, Code::Unknown),
            (Protocol, Code::Unimplemented),
            (PublishOnly, Code::Unimplemented),
            (Origin, Code::PermissionDenied),
            (TooManyWebSockets, Code::Unavailable),
        ] {
            assert_eq!(code(&verdict(&Failure::Rejected(rejection))), expected, "{rejection}");
        }
        assert_eq!(code(&verdict(&ResponseFault::ContentLength.into())), Code::Internal);
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("100 % \u{e9}~\n"), "100 %25 %C3%A9~%0A");
    }
}
