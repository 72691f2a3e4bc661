//! `plain.json`.

use h8s_wire::plain::{self, PlainError, RequestSubjects};
use h8s_wire::{RequestHead, ResponseHead, Subjects};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::{Value, json};

use super::{Vectors, flag, number, pairs, text};

#[test]
fn the_plain_dialect_matches_the_vectors() {
    let vectors = Vectors::of("plain.json");
    requests(&vectors);
    vectors.each("responses", |vector| {
        let head =
            ResponseHead { status: status(vector), headers: fields(vector), ..ResponseHead::default() };
        let mut written = Vec::new();
        let mut emit = |name: &str, value: &str| written.push(json!([name, value]));
        plain::encode_response(&head, flag(vector, "more"), &mut emit).unwrap();
        assert_eq!(Value::from(written), vector["headers"]);
    });
    vectors.each("responses_read", |vector| {
        let read = decode_response(vector).unwrap();
        assert_eq!((read.head.status, read.more), (status(vector), flag(vector, "more")));
        assert_eq!(to_json(&read.head.headers), vector["fields"]);
    });
    vectors.each("responses_refused", |vector| {
        assert_eq!(decode_response(vector).map_err(name_of), Err(text(vector, "error")));
    });
    vectors.all_read();
}

fn requests(vectors: &Vectors) {
    vectors.each("requests", |vector| {
        let head = request(&vector["head"]);
        let subjects = RequestSubjects { publish: "p", reply: "r", close: "c" };
        let mut written = Vec::new();
        plain::encode_request(&head, subjects, |name, value| written.push(json!([name, value]))).unwrap();
        assert_eq!(Value::from(written), vector["headers"]);
    });
    vectors.each("requests_read", |vector| {
        let read = decode_request(vector).unwrap();
        let wanted = request(&vector["head"]);
        assert_eq!((&read.method, read.authority.as_str()), (&wanted.method, wanted.authority.as_str()));
        assert_eq!(read.target.as_str(), wanted.target.as_str());
        assert_eq!(to_json(&read.headers), to_json(&wanted.headers));
    });
    vectors.each("requests_refused", |vector| {
        assert_eq!(decode_request(vector).map_err(name_of), Err(text(vector, "error")));
    });
}

fn decode_request(vector: &Value) -> Result<RequestHead, PlainError> {
    let subject = Subjects::default().parse_http(text(vector, "subject")).unwrap();
    plain::decode_request(&subject, pairs(vector, "headers"))
}

fn decode_response(vector: &Value) -> Result<plain::PlainResponse, PlainError> {
    plain::decode_response(
        pairs(vector, "headers"),
        number(vector, "payload_bytes"),
        flag(vector, "has_body"),
    )
}

fn request(head: &Value) -> RequestHead {
    RequestHead {
        method: text(head, "method").parse().unwrap(),
        scheme: Scheme::HTTP,
        authority: text(head, "authority").parse().unwrap(),
        target: text(head, "target").parse().unwrap(),
        headers: fields(head),
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    }
}

fn status(vector: &Value) -> StatusCode {
    StatusCode::from_u16(u16::try_from(number(vector, "status")).unwrap()).unwrap()
}

fn fields(vector: &Value) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in pairs(vector, "fields") {
        let value = bytes::Bytes::copy_from_slice(value.as_bytes());
        fields.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            http::HeaderValue::from_maybe_shared(value).unwrap(),
        );
    }
    fields
}

fn to_json(fields: &HeaderMap) -> Value {
    fields
        .iter()
        .map(|(name, value)| json!([name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap()]))
        .collect()
}

fn name_of(error: PlainError) -> &'static str {
    match error {
        PlainError::NotUtf8(_) => "not-utf8",
        PlainError::Name => "name",
        PlainError::Value(_) => "value",
        PlainError::Status(_) => "status",
        PlainError::Framing => "framing",
        PlainError::Original(_) => "original",
    }
}
