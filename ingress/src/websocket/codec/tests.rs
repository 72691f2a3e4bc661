//! The codec from outside: any split, any bytes, and against another implementation.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use h8s_wire::{Close, Message, MessageKind};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_websockets::{ClientBuilder, Message as Theirs};

use super::*;

const LIMIT_BYTES: usize = 1 << 20;
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame. The length is in its shortest form.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        bytes @ 0..126 => frame.push(0x80 | bytes as u8),
        bytes @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((bytes as u16).to_be_bytes());
        }
        bytes => {
            frame.push(0x80 | 127);
            frame.extend((bytes as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// What a decoder makes of pieces: its events with the parts of a message put together, and how it ended.
fn decode(pieces: &[&[u8]]) -> (Vec<Event>, Option<Violation>) {
    let (mut decoder, mut events, mut whole) = (Decoder::new(LIMIT_BYTES), Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = BytesMut::from(*piece);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Event::Part { kind, data, more })) => {
                    assert!(data.len() <= MAX_PART_BYTES);
                    whole.extend_from_slice(&data);
                    if !more {
                        let data = Bytes::from(std::mem::take(&mut whole));
                        events.push(Event::Part { kind, data, more });
                    }
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(violation) => return (events, Some(violation)),
            }
        }
        assert!(input.is_empty());
    }
    (events, None)
}

fn violation(bytes: &[u8]) -> Option<u16> {
    decode(&[bytes]).1.map(Violation::close_code)
}

fn text(text: &'static str) -> Event {
    Event::Part { kind: MessageKind::Text, data: Bytes::from(text), more: false }
}

#[test]
fn control_frames_stand_between_the_fragments_of_a_message() {
    let bytes = [
        client_frame(0x01, b"he"),
        client_frame(0x89, b"?"),
        client_frame(0x00, b""),
        client_frame(0x8A, b"!"),
        client_frame(0x80, b"llo"),
        client_frame(0x88, b"\x0F\xA0bye"),
        client_frame(0x81, b"too late"),
    ]
    .concat();

    let (events, violation) = decode(&[&bytes]);

    let bye = Event::Close(Close { code: 4000, reason: "bye".into() });
    assert_eq!(events, [Event::Ping("?".into()), Event::Pong, text("hello"), bye]);
    assert_eq!(violation, None);
}

#[test]
fn what_is_not_rfc_6455_is_1002() {
    let unmasked = b"\x81\x01a".to_vec();
    for (what, bytes) in [
        ("rsv1", client_frame(0xC1, b"a")),
        ("rsv3", client_frame(0x92, b"a")),
        ("reserved data opcode", client_frame(0x83, b"")),
        ("reserved control opcode", client_frame(0x8B, b"")),
        ("fragmented ping", client_frame(0x09, b"")),
        ("ping of 126 bytes", client_frame(0x89, &[0; 126])),
        ("not masked", unmasked),
        ("continuation of nothing", client_frame(0x80, b"a")),
        ("message in a message", [client_frame(0x01, b"a"), client_frame(0x81, b"b")].concat()),
        ("close code of one byte", client_frame(0x88, b"\x03")),
        ("close code that is never sent", client_frame(0x88, b"\x03\xED")),
        ("length of 2^63", vec![0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
        ("length not in its shortest form", vec![0x82, 0xFE, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(violation(&bytes), Some(1002), "{what}");
    }
}

#[test]
fn text_fails_at_the_first_byte_that_cannot_be() {
    let (head, half) = (client_frame(0x01, b"\xCE"), client_frame(0x80, b""));

    assert_eq!(violation(&client_frame(0x01, b"\xF4\x90")), Some(1007));
    assert_eq!(violation(&[head.clone(), client_frame(0x00, b"\x20")].concat()), Some(1007));
    assert_eq!(violation(&[head.clone(), half].concat()), Some(1007));
    assert_eq!(violation(&client_frame(0x88, b"\x03\xE8\xC0")), Some(1007));
    assert_eq!(violation(&[head, client_frame(0x80, b"\xBA")].concat()), None);
}

#[test]
fn a_message_over_the_limit_is_told_by_its_declared_length() {
    let header_only = [&[0x82, 0xFF][..], &(LIMIT_BYTES as u64 + 1).to_be_bytes(), &KEY].concat();
    assert_eq!(violation(&header_only), Some(1009));

    let mut decoder = Decoder::new(4);
    let mut input = BytesMut::from(&[client_frame(0x02, b"abc"), client_frame(0x80, b"de")].concat()[..]);
    assert_eq!(decoder.next(&mut input), Err(Violation::TooLarge));
}

/// T9: fragments that never end and say nothing.
#[test]
fn a_million_empty_fragments_end_early_and_hold_nothing() {
    let (mut decoder, fragment) = (Decoder::new(LIMIT_BYTES), client_frame(0x00, b""));
    let mut input = BytesMut::from(&client_frame(0x01, b"")[..]);
    let mut fragments = 0;
    let violation = loop {
        match decoder.next(&mut input) {
            Ok(None) => input.extend_from_slice(&fragment),
            Ok(Some(event)) => panic!("{event:?}"),
            Err(violation) => break violation,
        }
        fragments += 1;
    };
    assert_eq!((violation, fragments), (Violation::Empty, 1_000));
}

/// T9: a message that drips in costs a part per 16 KiB, not per fragment.
#[test]
fn a_message_of_tiny_fragments_is_few_parts() {
    let mut decoder = Decoder::new(LIMIT_BYTES);
    let (mut parts, mut most_bytes) = (0, 0);
    for at in 0..100_000 {
        let mut input = BytesMut::from(&client_frame(if at == 0 { 0x02 } else { 0x00 }, b"x")[..]);
        if let Some(Event::Part { data, .. }) = decoder.next(&mut input).unwrap() {
            parts += 1;
            most_bytes = most_bytes.max(data.len());
        }
    }
    assert_eq!((parts, most_bytes), (100_000 / (16 << 10), 16 << 10));
}

#[test]
fn reasons_are_cut_to_fit_and_1005_is_said_without_a_code() {
    let long = Close { code: 1000, reason: "é".repeat(100) };
    let frame = close(&long);
    assert_eq!((frame[1], frame.len()), (2 + 122, 4 + 122));
    assert_eq!(close(&Close { code: 1005, reason: "unsaid".into() }), &b"\x88\x00"[..]);
}

/// Frames of a client that mostly does right, so that splits are tried beyond the first violation.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let frame = prop_oneof![
        8 => (prop_oneof![Just(0x81), Just(0x82), Just(0x01), Just(0x00), Just(0x80)], "\\PC{0,40}"),
        2 => (prop_oneof![Just(0x89), Just(0x8A)], "[a-z]{0,20}"),
        1 => (any::<u8>(), "[a-z]{0,4}"),
    ];
    prop::collection::vec(frame, 0..12).prop_map(|frames| {
        frames.iter().flat_map(|(first, payload)| client_frame(*first, payload.as_bytes())).collect()
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(bytes in conversation(), cuts: Vec<prop::sample::Index>) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();

        let drops: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode(&pieces), decode(&[&bytes]));
        prop_assert_eq!(decode(&drops), decode(&[&bytes]));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, masked in any::<bool>()) {
        let mut bytes = bytes;
        if let (true, Some(second)) = (masked, bytes.get_mut(1)) {
            *second |= 0x80;
        }
        decode(&[&bytes]);
    }
}

/// Both directions at once, over a pipe that splits wherever it likes.
#[tokio::test]
async fn another_implementation_understands_and_is_understood() {
    let (near, mut far) = tokio::io::duplex(1_000);
    let mut theirs = ClientBuilder::new().take_over(near);
    for bytes in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let sent = Message { kind: MessageKind::Text, data: Bytes::from("x".repeat(bytes)) };
        let echo = async {
            let (mut decoder, mut whole, mut input) =
                (Decoder::new(LIMIT_BYTES), Vec::new(), BytesMut::new());
            loop {
                match decoder.next(&mut input).unwrap() {
                    Some(Event::Part { data, more, .. }) => {
                        whole.extend_from_slice(&data);
                        if !more {
                            break;
                        }
                    }
                    Some(event) => panic!("{event:?}"),
                    None => assert!(far.read_buf(&mut input).await.unwrap() > 0),
                }
            }
            let echoed = Message { kind: MessageKind::Text, data: whole.into() };
            far.write_all(&message(&echoed)).await.unwrap();
        };
        let round = async {
            let text = std::str::from_utf8(&sent.data).unwrap().to_owned();
            theirs.send(Theirs::text(text)).await.unwrap();
            theirs.next().await.unwrap().unwrap()
        };
        let (back, ()) = tokio::join!(round, echo);
        assert_eq!(back.as_text().map(str::as_bytes), Some(&sent.data[..]));
    }
}
