//! The plain dialect (`PROTOCOL.md §4`): HTTP as NATS headers and payload, for people and for any language.
//!
//! This crate names no NATS client, so header blocks are written to a closure and read from an iterator of
//! name and value.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, StatusCode};

use crate::head::{self, RequestHead, ResponseHead};
use crate::reserved;
use crate::subject::HttpSubject;

/// The exact method.
pub const ORIGINAL_METHOD: &str = "X-H8s-Original-Method";
/// The exact path, raw.
pub const ORIGINAL_PATH: &str = "X-H8s-Original-Path";
/// The exact query without its `?`; absent when there is none.
pub const ORIGINAL_QUERY: &str = "X-H8s-Original-Query";
/// The subject the request was published on.
pub const PUBLISH_SUBJECT: &str = "X-H8s-PublishSubject";
/// Where the reply goes: the message's own reply subject.
pub const REPLY_SUBJECT: &str = "X-H8s-ReplySubject";
/// Where a notice goes when the exchange ends early.
pub const CONNECTION_CLOSE_SUBJECT: &str = "X-H8s-Connection-Close-Subject";
/// On a response: this is the first piece, more follow, an empty message ends it.
pub const MORE: &str = "H8s-More";
/// The value of [`MORE`] on every later piece of a response of ours: if the first is lost, no piece is taken for it.
pub const LATER_PIECE: &str = "piece";
/// The status of a response.
pub const STATUS_CODE: &str = "Status-Code";
/// The other name of the status of a response.
const STATUS: &str = "Status";
/// The error code of a NATS Micro service (NATS ADR-32).
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Why a head cannot be said in this dialect, or a message is no head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// NATS headers are text.
    #[error("the value of {0} is not UTF-8, which the plain dialect cannot carry")]
    NotUtf8(HeaderName),
    /// A name that is no HTTP field name.
    #[error("a header name is not an HTTP field name")]
    Name,
    /// A value that HTTP cannot carry.
    #[error("the value of {0} has a control character")]
    Value(HeaderName),
    /// Not a final status (200 to 599).
    #[error("the status {0:?} is not a final HTTP status")]
    Status(String),
    /// `Content-Length` is not the payload's, or `Transfer-Encoding` is not `chunked`.
    #[error("the framing headers contradict the payload")]
    Framing,
    /// An original method, path or query that is none.
    #[error("{0} is malformed")]
    Original(&'static str),
}

/// The subjects that a plain request names in its head.
#[derive(Clone, Copy, Debug)]
pub struct RequestSubjects<'a> {
    /// Where it is published.
    pub publish: &'a str,
    /// Where the reply goes; empty when none is awaited.
    pub reply: &'a str,
    /// Where a notice of an early end goes; empty when nobody could send one.
    pub close: &'a str,
}

/// Writes a request's NATS headers, names in `Train-Case`.
///
/// Reserved and hop-by-hop names stay behind; whatever else `Connection` lists, the caller has removed
/// ([`reserved::strip_hop_by_hop`]).
///
/// # Errors
/// [`PlainError::NotUtf8`]: 400 at the client.
pub fn encode_request<'a>(
    head: &'a RequestHead,
    subjects: RequestSubjects<'a>,
    mut emit: impl FnMut(&str, &str),
) -> Result<(), PlainError> {
    emit("Host", head.authority.as_str());
    // Nobody is asked to continue here: the body comes with the head.
    let fields = head.headers.iter().filter(|(name, _)| ![header::HOST, header::EXPECT].contains(name));
    emit_fields(fields, &mut emit)?;
    emit(ORIGINAL_METHOD, head.method.as_str());
    emit(ORIGINAL_PATH, head.target.path());
    if let Some(query) = head.target.query() {
        emit(ORIGINAL_QUERY, query);
    }
    emit(PUBLISH_SUBJECT, subjects.publish);
    for (name, subject) in [(REPLY_SUBJECT, subjects.reply), (CONNECTION_CLOSE_SUBJECT, subjects.close)] {
        if !subject.is_empty() {
            emit(name, subject);
        }
    }
    Ok(())
}

fn emit_fields<'a>(
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    emit: &mut impl FnMut(&str, &str),
) -> Result<(), PlainError> {
    for (name, value) in fields {
        if !is_reserved(name.as_str()) && !reserved::is_hop_by_hop(name) {
            emit(&train_case(name.as_str()), text(name, value)?);
        }
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    reserved::is_ours(name) || reserved::is_the_bus_own(name)
}

/// Reads a request. What the headers leave out (a `nats request` at a prompt has none), the subject says.
///
/// # Errors
/// Headers that no HTTP request could have: a malformed or repeated `Host` or original method, path or query among
/// them.
pub fn decode_request<'a>(
    subject: &HttpSubject,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<RequestHead, PlainError> {
    let (mut method, mut host, mut path, mut query) = (None, None, None, None);
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        match name {
            _ if name.eq_ignore_ascii_case(ORIGINAL_METHOD) => once(&mut method, value, ORIGINAL_METHOD)?,
            _ if name.eq_ignore_ascii_case(ORIGINAL_PATH) => once(&mut path, value, ORIGINAL_PATH)?,
            _ if name.eq_ignore_ascii_case(ORIGINAL_QUERY) => once(&mut query, value, ORIGINAL_QUERY)?,
            _ if name.eq_ignore_ascii_case("host") => once(&mut host, value, "Host")?,
            _ => append(&mut fields, name, value)?,
        }
    }
    reserved::strip_hop_by_hop(&mut fields);
    // The body is here already.
    fields.remove(header::EXPECT);
    let method = method.map_or(Ok(subject.method.clone()), |method| Method::from_bytes(method.as_bytes()));
    let host = host.unwrap_or(subject.host.name());
    Ok(RequestHead {
        method: method.map_err(|_| PlainError::Original(ORIGINAL_METHOD))?,
        scheme: Scheme::HTTP,
        authority: Authority::try_from(host).map_err(|_| PlainError::Original("Host"))?,
        target: target(path.unwrap_or(&subject.path), query)?,
        headers: fields,
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    })
}

/// Two values for what a request has once are no request (RFC 9112 §3.2 of `Host`): which one would count?
fn once<'a>(slot: &mut Option<&'a str>, value: &'a str, name: &'static str) -> Result<(), PlainError> {
    if slot.replace(value).is_some() { Err(PlainError::Original(name)) } else { Ok(()) }
}

fn target(path: &str, query: Option<&str>) -> Result<PathAndQuery, PlainError> {
    let whole = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A path with a `?` of its own would move the border between path and query.
    let target = head::get_target(Bytes::from(whole)).ok().filter(|target| target.path() == path);
    target.ok_or(PlainError::Original(ORIGINAL_PATH))
}

/// A response as its first message says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainResponse {
    /// Status and headers, less what frames the message.
    pub head: ResponseHead,
    /// More messages follow; an empty one ends the response.
    pub more: bool,
}

/// Reads a response's NATS headers.
///
/// `has_body` is whether the exchange's response has one at all (not for `HEAD`, whose `Content-Length` speaks of
/// another's payload).
///
/// # Errors
/// Statuses, names, values and framing that HTTP does not know: 502 at the client.
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
    // A 304 may say how long the 200 would have been (RFC 9110 §8.6).
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

/// Digits only (RFC 9110 §8.6): Rust would read a `+`, and whoever comes next may not.
fn content_length(value: &HeaderValue) -> Option<usize> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

fn final_status(text: &str) -> Result<StatusCode, PlainError> {
    // nats-server and people write a description after the number.
    let number = text.split_ascii_whitespace().next().unwrap_or_default();
    let three_digits = number.len() == 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| three_digits);
    number
        .and_then(|number| head::final_status(number).ok())
        .ok_or_else(|| PlainError::Status(text.chars().take(32).collect()))
}

/// Writes a response's NATS headers. Reserved and hop-by-hop names stay behind: a `Transfer-Encoding` that slipped
/// through would make the gateway wait for pieces.
///
/// # Errors
/// [`PlainError::NotUtf8`].
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

/// Appends a field unless its name is reserved.
fn append(fields: &mut HeaderMap, name: &str, value: &str) -> Result<(), PlainError> {
    if is_reserved(name) {
        return Ok(());
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| PlainError::Name)?;
    let value = HeaderValue::from_bytes(value.trim_ascii().as_bytes())
        .map_err(|_| PlainError::Value(name.clone()))?;
    fields.try_append(name, value).map_err(|_| PlainError::Name)?;
    Ok(())
}

fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, PlainError> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| PlainError::NotUtf8(name.clone()))
}

/// `content-type` → `Content-Type`: NATS headers are case-sensitive, and this is how responders look them up.
pub fn train_case(name: &str) -> String {
    let mut start = true;
    let cased = name.chars().map(|c| {
        let cased = if start { c.to_ascii_uppercase() } else { c };
        start = c == '-';
        cased
    });
    cased.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(headers: &[(&'static str, &'static str)], payload: usize) -> Result<PlainResponse, PlainError> {
        decode_response(headers.iter().copied(), payload, true)
    }

    fn request() -> RequestHead {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "a"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("nats-msg-id", "1"),
            ("x-h8s-evil", "1"),
            ("status", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        RequestHead {
            method: Method::POST,
            scheme: Scheme::HTTP,
            authority: Authority::from_static("a.example:8080"),
            target: PathAndQuery::from_static("/a%2Fb//c?x=%20&y"),
            headers,
            protocol: None,
            connection: None,
            client: None,
            timeout: None,
        }
    }

    #[test]
    fn a_request_says_everything_and_nothing_reserved() {
        let mut out = Vec::new();
        let subjects = RequestSubjects { publish: "p", reply: "r", close: "c" };
        encode_request(&request(), subjects, |name, value| out.push((name.to_owned(), value.to_owned())))
            .unwrap();
        let out: Vec<_> = out.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            out,
            [
                ("Host", "a.example:8080"),
                ("Accept", "a"),
                ("X-Two", "1"),
                ("X-Two", "2"),
                (ORIGINAL_METHOD, "POST"),
                (ORIGINAL_PATH, "/a%2Fb//c"),
                (ORIGINAL_QUERY, "x=%20&y"),
                (PUBLISH_SUBJECT, "p"),
                (REPLY_SUBJECT, "r"),
                (CONNECTION_CLOSE_SUBJECT, "c"),
            ]
        );
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/other".into() };
        let read = decode_request(&subject, out).unwrap();
        assert_eq!(
            (read.method, read.authority, read.target),
            (request().method, request().authority, request().target)
        );
        assert_eq!(read.headers.len(), 3, "{:?}", read.headers);
    }

    #[test]
    fn a_request_without_headers_is_what_its_subject_says() {
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/a%20b".into() };
        let head = decode_request(&subject, []).unwrap();
        assert_eq!(head.uri().unwrap().to_string(), "http://b.example/a%20b");
    }

    #[test]
    fn requests_that_say_something_twice_or_outside_its_place_are_refused() {
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/".into() };
        for (headers, what) in [
            (&[("Host", "a"), ("host", "b")][..], "Host"),
            (&[("Host", "a b")], "Host"),
            (&[(ORIGINAL_METHOD, "GET"), (ORIGINAL_METHOD, "PUT")], ORIGINAL_METHOD),
            (&[(ORIGINAL_METHOD, "G T")], ORIGINAL_METHOD),
            (&[(ORIGINAL_PATH, "/a?b")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "/a#b")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "a")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "")], ORIGINAL_PATH),
            (&[(ORIGINAL_QUERY, "a#b")], ORIGINAL_PATH),
        ] {
            let refused = decode_request(&subject, headers.iter().copied());
            assert_eq!(refused, Err(PlainError::Original(what)), "{headers:?}");
        }
        let head = decode_request(&subject, [("Transfer-Encoding", "chunked"), ("X-A", "1")]).unwrap();
        assert_eq!(head.headers.len(), 1, "hop-by-hop names end here: {:?}", head.headers);
    }

    #[test]
    fn a_value_outside_utf8_is_refused() {
        let mut head = request();
        head.headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let subjects = RequestSubjects { publish: "p", reply: "r", close: "c" };
        let error = encode_request(&head, subjects, |_, _| {}).unwrap_err();
        assert_eq!(error, PlainError::NotUtf8(HeaderName::from_static("x-latin")));
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
    fn responses_that_http_does_not_know() {
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
            "the first piece of several"
        );
    }
}
