//! `frames.json`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use h8s_wire::{
    ConnectionEpoch, FieldError, Frame, FrameError, HeadError, HeadFrame, HeadKind, Kind, RequestHead,
    ResponseHead,
};
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Vectors, bytes, hex, text};

/// The names that `malformed` uses. Two errors have no vector, since it would take megabytes.
const ERRORS: [&str; 15] = [
    "authority",
    "extension",
    "field-name",
    "field-value",
    "frame-too-large",
    "framing",
    "head-too-large",
    "method",
    "scheme",
    "status",
    "target",
    "too-many-fields",
    "truncated",
    "unknown-kind",
    "unknown-version",
];
const WITHOUT_VECTOR: [&str; 1] = ["too-many-fields"];

#[test]
fn frames_match_the_vectors() {
    let vectors = Vectors::of("frames.json");
    let kinds = RefCell::new(BTreeSet::new());
    vectors.each("frames", |vector| {
        let frame = Frame::decode(message(vector)).unwrap();
        assert_eq!(to_json(&frame), vector["frame"]);
        assert_eq!(hex(&frame.encode().unwrap()), hex(&message(vector)));
        kinds.borrow_mut().insert(text(&vector["frame"], "kind").to_owned());
    });
    vectors.each("decode_only", |vector| {
        let frame = Frame::decode(message(vector)).unwrap();
        assert_eq!(to_json(&frame), vector["frame"]);
        assert_ne!(hex(&frame.encode().unwrap()), hex(&message(vector)), "then it belongs to the others");
    });
    let errors = RefCell::new(BTreeSet::new());
    vectors.each("malformed", |vector| {
        let error = Frame::decode(message(vector)).map_err(name_of);
        assert_eq!(error, Err(text(vector, "error")));
        errors.borrow_mut().insert(text(vector, "error").to_owned());
    });
    vectors.all_read();
    let all: BTreeSet<String> = Kind::ALL.iter().map(|kind| format!("{kind:?}").to_uppercase()).collect();
    assert_eq!(kinds.into_inner(), all, "a vector for every kind");
    let all = ERRORS.iter().filter(|error| !WITHOUT_VECTOR.contains(error));
    assert_eq!(
        errors.into_inner(),
        all.map(|error| (*error).to_owned()).collect(),
        "a vector for every error"
    );
}

fn message(vector: &Value) -> Bytes {
    let mut bytes = bytes(text(vector, "hex"));
    let zeros = vector.get("then_zeros").map_or(0, |_| super::number(vector, "then_zeros"));
    bytes.resize(bytes.len() + zeros, 0);
    bytes.into()
}

/// A frame as JSON, in the format of the vectors.
fn to_json(frame: &Frame) -> Value {
    match frame {
        Frame::Head(head) => head_json(head),
        Frame::Data { sequence, bytes } => json!({"kind": "DATA", "sequence": sequence, "bytes": hex(bytes)}),
        Frame::End { sequence, trailers } => {
            json!({"kind": "END", "sequence": sequence, "trailers": fields_json(trailers)})
        }
        Frame::Abort { code, reason } => json!({"kind": "ABORT", "code": code.number(), "reason": reason}),
        Frame::Credit { limit, handled } => json!({"kind": "CREDIT", "limit": limit, "handled": handled}),
        Frame::Cancel => json!({"kind": "CANCEL"}),
        Frame::Refused(code) => json!({"kind": "REFUSED", "code": code.number()}),
        Frame::Sync(sync) => {
            let exchanges: Vec<_> = sync.entries.iter().map(|entry| {
                json!({"exchange": entry.exchange.to_string(), "sent": entry.sent, "received": entry.received, "limit": entry.limit})
            }).collect();
            json!({"kind": "SYNC", "answer_wanted": sync.answer_wanted, "exchanges": exchanges})
        }
        Frame::Message { sequence, flags, bytes } => json!({
            "kind": "MESSAGE", "sequence": sequence, "binary": flags.binary, "more": flags.more, "again": flags.again,
            "bytes": hex(bytes),
        }),
        Frame::Close { sequence, code, reason } => {
            json!({"kind": "CLOSE", "sequence": sequence, "code": code, "reason": reason})
        }
        Frame::Resend { from } => json!({"kind": "RESEND", "from": from}),
    }
}

fn head_json(frame: &HeadFrame) -> Value {
    let (key, head) = match &frame.head {
        HeadKind::Request(head) => ("request", request_json(head)),
        HeadKind::Response(ResponseHead { status, headers, holds_state }) => {
            let mut told = json!({"status": status.as_u16(), "fields": fields_json(headers)});
            if *holds_state {
                told["holds_state"] = json!(true);
            }
            ("response", told)
        }
    };
    json!({"kind": "HEAD", "end": frame.end, "limit": frame.limit, key: head, "body": hex(&frame.body)})
}

fn request_json(head: &RequestHead) -> Value {
    let mut told = json!({
        "method": head.method.as_str(), "scheme": head.scheme.as_str(), "authority": head.authority.as_str(),
        "target": head.target.as_str(), "fields": fields_json(&head.headers),
    });
    if let Some(protocol) = &head.protocol {
        told["protocol"] = json!(protocol);
    }
    if let Some(client) = &head.client {
        told["client"] = json!(client.to_string());
    }
    if let Some(timeout) = &head.timeout {
        told["timeout_ms"] = json!(u64::try_from(timeout.as_millis()).unwrap());
    }
    if let Some(ConnectionEpoch { connection, epoch }) = &head.connection {
        told["connection"] = json!({"id": connection.to_string(), "epoch": epoch});
    }
    told
}

fn fields_json(fields: &HeaderMap) -> Value {
    let told = fields.iter().map(|(name, value)| match std::str::from_utf8(value.as_bytes()) {
        Ok(value) => json!([name.as_str(), value]),
        Err(_) => json!([name.as_str(), {"hex": hex(value.as_bytes())}]),
    });
    told.collect()
}

fn name_of(error: FrameError) -> &'static str {
    match error {
        FrameError::Truncated => "truncated",
        FrameError::TooLarge => "frame-too-large",
        FrameError::UnknownKind(_) => "unknown-kind",
        FrameError::UnknownVersion(_) => "unknown-version",
        FrameError::Head(error) => name_of_head(error),
        FrameError::Field(error) => name_of_field(error),
    }
}

fn name_of_head(error: HeadError) -> &'static str {
    match error {
        HeadError::Truncated => "truncated",
        HeadError::Framing => "framing",
        HeadError::Method => "method",
        HeadError::Scheme => "scheme",
        HeadError::Authority => "authority",
        HeadError::Target => "target",
        HeadError::Status => "status",
        HeadError::Extension => "extension",
        HeadError::Field(error) => name_of_field(error),
        HeadError::TooLarge => "head-too-large",
    }
}

fn name_of_field(error: FieldError) -> &'static str {
    match error {
        FieldError::Truncated => "truncated",
        FieldError::Name => "field-name",
        FieldError::Value => "field-value",
        FieldError::TooMany => "too-many-fields",
        FieldError::TooLarge => "an encoder's only",
    }
}
