//! gRPC calls at the edge (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): they are recognised, their
//! deadline becomes the exchange's, and failures are reported as gRPC statuses. Messages are not parsed.

use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use h8s_wire::is_grpc;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Maximum deadline that a client may request, since a waiting call holds an exchange.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// gRPC statuses that the gateway uses.
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

/// The deadline of a gRPC call, at most an hour from now; `None` without a valid `grpc-timeout`, or without gRPC.
///
/// An invalid `grpc-timeout` is ignored: implementations differ (some ignore it, some fail the call), and the responder
/// receives it unchanged.
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

/// The gRPC status of an error response. The base is the mapping that clients apply to an HTTP status without a gRPC one
/// (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>); where the gateway knows
/// better, it overrides it.
pub(crate) fn code(status: StatusCode, reason: &str) -> Code {
    match (status.as_u16(), reason) {
        // The key is missing or wrong, so the caller is unknown.
        (_, "authorization") => Code::Unauthenticated,
        // The responder is reachable, and broken.
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

/// The head of a "Trailers-Only" response, which ends the stream. `message` is for people.
pub(crate) fn trailers_only(status: StatusCode, reason: &str, message: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    insert(&mut headers, code(status, reason), message);
    headers
}

/// Trailers of a call whose response broke off.
pub(crate) fn broken_off() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    insert(&mut trailers, Code::Unavailable, "The response broke off.");
    trailers
}

/// Whether a response that breaks off may end with [`broken_off`] trailers in place of a reset. Only where no client can
/// take it for a whole response: HTTP's own status and length do not mark success, and gRPC's status comes last.
pub(crate) fn may_end_with_status(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK
        && !headers.contains_key(header::CONTENT_LENGTH)
        && is_grpc(headers)
        && !headers.contains_key(STATUS)
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
    use super::*;

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

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("100 % \u{e9}~\n"), "100 %25 %C3%A9~%0A");
    }
}
