//! Pushes and broadcasts, encoded and decoded.

use bytes::Bytes;
use h8s_wire::push::{self, Audience, Group, Push};
use h8s_wire::{Close, Message, MessageKind};
use proptest::collection::vec;
use proptest::prelude::*;

type Written = Vec<(String, String)>;

fn pairs(written: &Written) -> impl Iterator<Item = (&str, &str)> {
    written.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn written(encode: impl FnOnce(&mut dyn FnMut(&str, &str))) -> Written {
    let mut written = Vec::new();
    encode(&mut |name, value| written.push((name.to_owned(), value.to_owned())));
    written
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![".{0,40}".prop_map(Message::text), vec(any::<u8>(), 0..40).prop_map(Message::binary),]
}

fn group() -> impl Strategy<Value = Group> {
    "\\PC{1,32}".prop_filter_map("a group's name", |name| name.parse().ok())
}

/// Codes that may be sent, and reasons that round-trip: one line, without surrounding whitespace.
fn close() -> impl Strategy<Value = Close> {
    let code = prop_oneof![1000u16..=1003, 1007u16..=1014, 3000u16..=4999];
    (code, "\\PC{0,30}").prop_map(|(code, reason)| Close::new(code, reason.trim()))
}

fn audience() -> impl Strategy<Value = Audience> {
    let path = "/[a-z%2F.\r\n é]{0,12}(/\\*)?";
    prop_oneof![
        Just(Audience::All),
        group().prop_map(Audience::Group),
        path.prop_filter_map("a pattern", |path| path.parse().ok().map(Audience::Path)),
    ]
}

proptest! {
    #[test]
    fn pushes_round_trip(push in prop_oneof![
        message().prop_map(Push::Message),
        close().prop_map(Push::Close),
        group().prop_map(Push::Join),
        group().prop_map(Push::Leave),
    ]) {
        let headers = written(|emit| push::encode_push(&push, emit));
        prop_assert_eq!(push::decode_push(pairs(&headers), push.payload()), Ok(push));
    }

    #[test]
    fn broadcasts_round_trip(audience in audience(), message in message()) {
        let headers = written(|emit| push::encode_broadcast(&audience, message.kind, emit));
        prop_assert_eq!(push::decode_broadcast(pairs(&headers), message.data.clone()), Ok((audience, message)));
    }

    #[test]
    fn t3_no_value_of_a_push_is_more_than_one_line(reason in "(?s).{0,40}", path in "/(?s:.){0,40}", code in any::<u16>()) {
        let close = Push::Close(Close { code, reason });
        let mut headers = written(|emit| push::encode_push(&close, emit));
        if let Ok(path) = path.parse() {
            headers.extend(written(|emit| push::encode_broadcast(&Audience::Path(path), MessageKind::Text, emit)));
        }
        for (name, value) in headers {
            prop_assert!(!value.chars().any(char::is_control), "{}: {:?}", name, value);
        }
    }

    #[test]
    fn a_push_without_headers_keeps_every_byte(payload in vec(any::<u8>(), 0..40)) {
        let Ok(Push::Message(message)) = push::decode_push([], Bytes::from(payload.clone())) else {
            panic!("no header is a message")
        };
        prop_assert_eq!(message.kind == MessageKind::Text, std::str::from_utf8(&payload).is_ok());
        prop_assert_eq!(&message.data[..], payload);
    }
}
