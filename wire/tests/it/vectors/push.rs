//! `push.json`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bytes::Bytes;
use h8s_wire::push::{self, Audience, Push, PushError};
use h8s_wire::{Message, MessageKind};
use serde_json::{Value, json};

use super::{Vectors, bytes, hex, pairs, text};

/// The names that the `…_refused` lists use.
const ERRORS: [&str; 5] = ["close", "frame", "group", "not-utf8", "path"];

#[test]
fn pushes_and_broadcasts_match_the_vectors() {
    let vectors = Vectors::of("push.json");
    vectors.each("pushes", |vector| {
        let push = decode_push(vector).unwrap();
        assert_eq!(push_json(&push), vector["push"]);
        assert_eq!(written(|emit| push::encode_push(&push, emit)), vector["headers"]);
        assert_eq!(push.payload(), payload(vector));
    });
    vectors.each("pushes_read", |vector| {
        assert_eq!(push_json(&decode_push(vector).unwrap()), vector["push"]);
    });
    broadcasts(&vectors);
    let errors = RefCell::new(BTreeSet::new());
    vectors.each("pushes_refused", |vector| {
        assert_eq!(decode_push(vector).map_err(name_of), Err(text(vector, "error")));
        errors.borrow_mut().insert(text(vector, "error").to_owned());
    });
    vectors.each("broadcasts_refused", |vector| {
        assert_eq!(decode_broadcast(vector).map_err(name_of), Err(text(vector, "error")));
        errors.borrow_mut().insert(text(vector, "error").to_owned());
    });
    vectors.all_read();
    assert_eq!(errors.into_inner(), ERRORS.map(str::to_owned).into(), "a vector for every error");
}

fn broadcasts(vectors: &Vectors) {
    vectors.each("broadcasts", |vector| {
        let (audience, message) = decode_broadcast(vector).unwrap();
        assert_eq!(broadcast_json(&audience, &message), vector["broadcast"]);
        let headers = written(|emit| push::encode_broadcast(&audience, message.kind, emit));
        assert_eq!(headers, vector["headers"]);
    });
    vectors.each("broadcasts_read", |vector| {
        let (audience, message) = decode_broadcast(vector).unwrap();
        assert_eq!(broadcast_json(&audience, &message), vector["broadcast"]);
    });
}

fn decode_push(vector: &Value) -> Result<Push, PushError> {
    push::decode_push(pairs(vector, "headers"), payload(vector))
}

fn decode_broadcast(vector: &Value) -> Result<(Audience, Message), PushError> {
    push::decode_broadcast(pairs(vector, "headers"), payload(vector))
}

fn payload(vector: &Value) -> Bytes {
    bytes(text(vector, "payload")).into()
}

fn written(encode: impl FnOnce(&mut dyn FnMut(&str, &str))) -> Value {
    let mut written = Vec::new();
    encode(&mut |name, value| written.push(json!([name, value])));
    Value::from(written)
}

/// A push as JSON, in the format of the vectors.
fn push_json(push: &Push) -> Value {
    match push {
        Push::Message(message) => message_json(message),
        Push::Close(close) => json!({"close": close.code, "reason": close.reason}),
        Push::Join(group) => json!({"join": group.as_str()}),
        Push::Leave(group) => json!({"leave": group.as_str()}),
    }
}

fn broadcast_json(audience: &Audience, message: &Message) -> Value {
    let to = match audience {
        Audience::All => json!("all"),
        Audience::Path(pattern) => json!({"path": pattern.to_string()}),
        Audience::Group(group) => json!({"group": group.as_str()}),
    };
    json!({"to": to, "message": message_json(message)})
}

fn message_json(message: &Message) -> Value {
    match message.kind {
        MessageKind::Text => json!({"text": std::str::from_utf8(&message.data).unwrap()}),
        MessageKind::Binary => json!({"binary": hex(&message.data)}),
    }
}

fn name_of(error: PushError) -> &'static str {
    match error {
        PushError::Frame => "frame",
        PushError::NotUtf8 => "not-utf8",
        PushError::Close => "close",
        PushError::Group => "group",
        PushError::Path => "path",
    }
}
