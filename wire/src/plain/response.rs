use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};

use super::{LATER_PIECE, MORE, PlainError, SERVICE_ERROR_CODE, STATUS, STATUS_CODE, append, emit_fields};
use crate::head::{self, ResponseHead};
use crate::reserved;

/// The first message of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainResponse {
    /// Status and headers, without framing headers.
    pub head: ResponseHead,
    /// Whether more messages follow; an empty one ends the response.
    pub more: bool,
}

/// Decodes the NATS headers of a response.
///
/// `has_body` is whether the response can have a body. It is `false` for `HEAD`, where `Content-Length` describes
/// another response.
///
/// # Errors
/// [`PlainError`] if a status, name, value or framing header is not valid in HTTP. Maps to 502.
pub fn decode_response<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    payload_bytes: usize,
    has_body: bool,
) -> Result<PlainResponse, PlainError> {
    let mut status = None;
    let mut service_error = None;
    let mut more = false;
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        match name {
            _ if name.eq_ignore_ascii_case(STATUS_CODE) => status = Some(value),
            _ if name.eq_ignore_ascii_case(STATUS) => status = status.or(Some(value)),
            _ if name.eq_ignore_ascii_case(SERVICE_ERROR_CODE) => service_error = Some(value),
            _ if name.eq_ignore_ascii_case(MORE) && value.trim().eq_ignore_ascii_case(LATER_PIECE) => {
                return Err(PlainError::Framing);
            }
            _ if name.eq_ignore_ascii_case(MORE) => more |= value.trim().eq_ignore_ascii_case("true"),
            _ => append(&mut fields, name, value)?,
        }
    }
    let status = match (status, service_error) {
        (Some(status), _) => final_status(status)?,
        (None, Some(code)) => final_status(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        (None, None) => StatusCode::OK,
    };
    more |= is_chunked(&fields)?;
    // A 304 may carry the `Content-Length` of the 200 response (RFC 9110 §8.6).
    check_length(&fields, payload_bytes, more, has_body && status != StatusCode::NOT_MODIFIED)?;
    reserved::strip_hop_by_hop(&mut fields);
    Ok(PlainResponse { head: ResponseHead { status, headers: fields, ..ResponseHead::default() }, more })
}

fn is_chunked(fields: &HeaderMap) -> Result<bool, PlainError> {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).into_iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(PlainError::Framing),
    }
}

fn check_length(
    fields: &HeaderMap,
    payload_bytes: usize,
    more: bool,
    has_body: bool,
) -> Result<(), PlainError> {
    let mut declared = fields.get_all(header::CONTENT_LENGTH).into_iter();
    let Some(length) = declared.next() else { return Ok(()) };
    let length = content_length(length).ok_or(PlainError::Framing)?;
    let contradicts = match more {
        true => payload_bytes > length,
        false => payload_bytes != length,
    };
    let chunked = fields.contains_key(header::TRANSFER_ENCODING);
    if declared.next().is_some() || chunked || (has_body && contradicts) {
        return Err(PlainError::Framing);
    }
    Ok(())
}

/// Digits only (RFC 9110 §8.6): `parse` would also accept a `+`, which the next recipient may not.
fn content_length(value: &HeaderValue) -> Option<usize> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn final_status(text: &str) -> Result<StatusCode, PlainError> {
    // nats-server and people append a description.
    let number = text.split_ascii_whitespace().next().unwrap_or_default();
    let three_digits = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| three_digits);
    number
        .and_then(|number| head::final_status(number).ok())
        .ok_or_else(|| PlainError::Status(text.chars().take(32).collect()))
}

/// Emits the NATS headers of a response. Omits reserved and hop-by-hop names: a `Transfer-Encoding` would make the
/// gateway wait for more messages.
///
/// # Errors
/// [`PlainError::NotUtf8`] if a value is not UTF-8.
pub fn encode_response(
    head: &ResponseHead,
    more: bool,
    mut emit: impl FnMut(&str, &str),
) -> Result<(), PlainError> {
    emit(STATUS_CODE, head.status.as_str());
    emit_fields(head.headers.iter(), &mut emit)?;
    if more {
        emit(MORE, "true");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(headers: &[(&'static str, &'static str)], payload: usize) -> Result<PlainResponse, PlainError> {
        decode_response(headers.iter().copied(), payload, true)
    }

    #[test]
    fn responses() {
        let bare = decode(&[], 3).unwrap();
        assert_eq!((bare.head.status, bare.head.headers.len(), bare.more), (StatusCode::OK, 0, false));
        for (headers, status) in [
            (&[("Status-Code", "404")][..], 404),
            (&[("status", "201 Created")], 201),
            (&[("Status", "500"), ("Status-Code", "204")], 204),
            (&[("Nats-Service-Error-Code", "409"), ("Nats-Service-Error", "x")], 409),
            (&[("Nats-Service-Error-Code", "E7")], 500),
        ] {
            assert_eq!(decode(headers, 0).unwrap().head.status.as_u16(), status, "{headers:?}");
        }
        assert!(decode(&[("H8s-More", "true")], 0).unwrap().more);
        let chunked = decode(
            &[("Transfer-Encoding", "chunked"), ("Connection", "x-a"), ("X-A", "1"), ("Nats-X", "1")],
            0,
        )
        .unwrap();
        assert!(chunked.more && chunked.head.headers.is_empty(), "{chunked:?}");
    }

    #[test]
    fn responses_that_are_invalid_in_http_are_refused() {
        for headers in [
            &[("Status-Code", "99")][..],
            &[("Status-Code", "101")],
            &[("Status-Code", "600")],
            &[("Status-Code", "ok")],
            &[("Status-Code", "+200")],
            &[("Status-Code", "0200")],
            &[("Content-Length", "4")],
            &[("Content-Length", "+3")],
            &[("Content-Length", "2"), ("H8s-More", "true")],
            &[("Content-Length", "3"), ("Content-Length", "3")],
            &[("Content-Length", "3"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "gzip")],
            &[("H8s-More", "piece")],
            &[("a b", "1")],
            &[("X", "a\r\nSet-Cookie: b")],
        ] {
            assert!(decode(headers, 3).is_err(), "{headers:?}");
        }
        assert!(decode_response([("Content-Length", "4")], 0, false).is_ok(), "HEAD");
        assert!(decode(&[("Status-Code", "304"), ("Content-Length", "4")], 0).is_ok(), "304");
        assert!(
            decode(&[("Content-Length", "9"), ("H8s-More", "true")], 3).is_ok(),
            "the first of several messages"
        );
    }
}
