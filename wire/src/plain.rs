//! The plain dialect (`PROTOCOL.md §4`): HTTP as NATS headers and payload, for people and for every language.
//!
//! This crate does not depend on a NATS client: header blocks are written to a closure and read from an iterator of
//! names and values.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::reserved;

mod request;
mod response;

pub use request::{RequestSubjects, decode_request, encode_request};
pub use response::{PlainResponse, decode_response, encode_response};

/// The exact method.
pub const ORIGINAL_METHOD: &str = "X-H8s-Original-Method";
/// The exact, raw path.
pub const ORIGINAL_PATH: &str = "X-H8s-Original-Path";
/// The exact query without its `?`; absent without a query.
pub const ORIGINAL_QUERY: &str = "X-H8s-Original-Query";
/// The subject of the request.
pub const PUBLISH_SUBJECT: &str = "X-H8s-PublishSubject";
/// The reply subject of the request.
pub const REPLY_SUBJECT: &str = "X-H8s-ReplySubject";
/// The subject of the notice that the exchange ended early.
pub const CONNECTION_CLOSE_SUBJECT: &str = "X-H8s-Connection-Close-Subject";
/// On the first message of a response: more messages follow, and an empty one ends the response.
pub const MORE: &str = "H8s-More";
/// The value of [`MORE`] on later messages, so that none of them is taken for the first if that was lost.
pub const LATER_PIECE: &str = "piece";
/// The status of a response.
pub const STATUS_CODE: &str = "Status-Code";
/// The alternative name of [`STATUS_CODE`].
const STATUS: &str = "Status";
/// The error code of a NATS Micro service (NATS ADR-32).
const SERVICE_ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Why a head cannot be encoded in the plain dialect, or a message is not a valid head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// The value is not UTF-8, and NATS headers are text.
    #[error("the value of {0} is not UTF-8, which the plain dialect cannot carry")]
    NotUtf8(HeaderName),
    /// A header name is not a valid HTTP field name, or there are too many.
    #[error("a header name is not a valid HTTP field name")]
    Name,
    /// The value contains a control character, which HTTP forbids.
    #[error("the value of {0} contains a control character")]
    Value(HeaderName),
    /// The status is not final.
    #[error("the status {0:?} is not a final HTTP status (200 to 599)")]
    Status(String),
    /// `Content-Length` does not match the payload, or `Transfer-Encoding` is not `chunked`.
    #[error("the framing headers contradict the payload")]
    Framing,
    /// The header is malformed or repeated.
    #[error("the header {0} is malformed or repeated")]
    Original(&'static str),
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

/// Appends a field, unless its name is reserved.
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

/// Converts `content-type` to `Content-Type`. NATS headers are case-sensitive, and responders use this form.
///
/// ```
/// assert_eq!(h8s_wire::plain::train_case("content-type"), "Content-Type");
/// ```
pub fn train_case(name: &str) -> String {
    let mut start = true;
    let cased = name.chars().map(|c| {
        let cased = if start { c.to_ascii_uppercase() } else { c };
        start = c == '-';
        cased
    });
    cased.collect()
}
