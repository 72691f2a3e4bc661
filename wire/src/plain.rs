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
