//! Frames and heads: values and order exact, sizes bounded on both sides.

use bytes::Bytes;
use h8s_wire::{
    Frame, FrameError, HeadError, HeadFrame, HeadKind, Kind, MAX_DATA_BYTES, MAX_FRAME_BYTES, MAX_HEAD_BYTES,
    MAX_INLINE_BYTES, MessageFlags, Peek, RequestHead, ResponseHead, Sync, SyncEntry, frame_cost,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{checks, values};

proptest! {
    #[test]
    fn every_frame_decodes_to_itself(frame in values::frame()) {
        let bytes = frame.encode().unwrap();
        checks::same_frame(&Frame::decode(bytes.clone()).unwrap(), &frame);
        let peek = Peek::of(&bytes).unwrap();
        prop_assert_eq!(peek.kind as u8, bytes[0]);
        let sequence = match frame {
            Frame::Head(_) => Some(0),
            Frame::Data { sequence, .. } | Frame::End { sequence, .. } => Some(sequence),
            Frame::Message { sequence, .. } | Frame::Close { sequence, .. } => Some(sequence),
            _ => None,
        };
        prop_assert_eq!(peek.sequence, sequence);
    }

    #[test]
    fn heads_keep_names_values_and_order(fields in vec((values::field_name(), values::field_value()), 0..20)) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(name, value.clone());
        }
        let written: Vec<(HeaderName, HeaderValue)> =
            headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();

        let head = HeadKind::Response(ResponseHead { status: StatusCode::OK, headers, ..ResponseHead::default() });
        let read = through(head);

        let HeadKind::Response(ResponseHead { headers, .. }) = read else { panic!("a response") };
        let read: Vec<(HeaderName, HeaderValue)> =
            headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        prop_assert_eq!(read, written);
        for (name, _) in &fields {
            let sent: Vec<_> = fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect();
            prop_assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), sent);
        }
    }

    #[test]
    fn t3_no_control_character_of_a_field_survives(at in 0usize..4, control in prop_oneof![Just(b'\r'), Just(b'\n'), Just(0u8)]) {
        let good = response(&[("x-a", "abcd")]).encode().unwrap();
        let start = good.windows(4).position(|window| window == b"abcd").unwrap();
        let mut bad = good.to_vec();
        bad[start + at] = control;
        prop_assert_eq!(
            Frame::decode(bad.into()),
            Err(FrameError::Head(HeadError::Field(h8s_wire::FieldError::Value)))
        );
    }
}

fn through(head: HeadKind) -> HeadKind {
    let frame = Frame::Head(HeadFrame { head, end: false, limit: 0, body: Bytes::new() });
    match Frame::decode(frame.encode().unwrap()).unwrap() {
        Frame::Head(HeadFrame { head, .. }) => head,
        other => panic!("{other:?}"),
    }
}

fn response(fields: &[(&'static str, &str)]) -> Frame {
    let headers = fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
    let head = HeadKind::Response(ResponseHead {
        status: StatusCode::OK,
        headers: headers.collect(),
        ..ResponseHead::default()
    });
    Frame::Head(HeadFrame { head, end: true, limit: 0, body: Bytes::new() })
}

fn request(uri: &'static str) -> RequestHead {
    let uri = Uri::from_static(uri).into_parts();
    RequestHead {
        method: Method::GET,
        scheme: uri.scheme.unwrap_or(Scheme::HTTP),
        authority: uri.authority.unwrap_or(Authority::from_static("a.example")),
        target: uri.path_and_query.unwrap_or(PathAndQuery::from_static("/")),
        headers: HeaderMap::new(),
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    }
}

fn encoded(head: RequestHead) -> Result<Bytes, HeadError> {
    let head = HeadKind::Request(Box::new(head));
    HeadFrame { head, end: true, limit: 0, body: Bytes::new() }.encode()
}

#[test]
fn an_absolute_target_without_a_path_is_encoded_in_origin_form() {
    let HeadKind::Request(head) = through(HeadKind::Request(Box::new(request("http://a.example?b=c"))))
    else {
        panic!("a request")
    };
    assert_eq!(head.target.as_str(), "/?b=c");
    assert_eq!(head.uri().unwrap(), "http://a.example/?b=c");
}

#[test]
fn frames_that_no_decoder_accepts_are_not_encoded() {
    assert_eq!(encoded(request("ftp://a.example/")), Err(HeadError::Scheme));
    for protocol in ["", "web socket", "a\r\nb", "é"] {
        let head = RequestHead { protocol: Some(protocol.to_owned()), ..request("http://a.example/") };
        assert_eq!(encoded(head), Err(HeadError::Extension), "{protocol:?}");
    }
    for status in [101, 199, 600, 999] {
        let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), ..ResponseHead::default() };
        let frame = HeadFrame { head: HeadKind::Response(head), end: true, limit: 0, body: Bytes::new() };
        assert_eq!(frame.encode(), Err(HeadError::Status), "{status}");
    }
}

#[test]
fn a_head_fits_to_the_byte_and_no_further() {
    let empty = response(&[("x", "")]).encode().unwrap().len();
    for (over, fits) in [(0, true), (1, false)] {
        // The value's length takes four bytes instead of one.
        let value = "v".repeat(MAX_HEAD_BYTES - empty - 3 + over);
        let Frame::Head(mut frame) = response(&[("x", &value)]) else { panic!("a head") };
        frame.body = Bytes::from(vec![0; MAX_INLINE_BYTES]);
        assert_eq!(frame.encode().is_ok(), fits, "{over}");
        if let Ok(bytes) = frame.encode() {
            assert!(bytes.len() <= MAX_FRAME_BYTES);
            assert_eq!(Frame::decode(bytes), Ok(Frame::Head(frame)));
        }
    }
}

#[test]
fn inline_bytes_are_bounded_on_the_way_in_since_no_credit_bounds_them() {
    let Frame::Head(mut frame) = response(&[]) else { panic!("a head") };
    frame.body = Bytes::from(vec![0; MAX_INLINE_BYTES]);
    let mut bytes = frame.encode().unwrap().to_vec();
    bytes.push(0);
    assert_eq!(Frame::decode(bytes.into()), Err(FrameError::Head(HeadError::TooLarge)));
    frame.body = Bytes::from(vec![0; MAX_INLINE_BYTES + 1]);
    assert_eq!(frame.encode(), Err(HeadError::TooLarge));
}

#[test]
fn no_frame_is_larger_than_its_limit() {
    let flags = MessageFlags::default();
    for (size, fits) in [(MAX_DATA_BYTES, true), (MAX_FRAME_BYTES, false)] {
        let bytes = Bytes::from(vec![0; size]);
        let sequence = (1 << 62) - 1;
        for frame in [
            Frame::Data { sequence, bytes: bytes.clone() },
            Frame::Message { sequence, flags, bytes: bytes.clone() },
        ] {
            assert_eq!(frame.encode().is_ok(), fits, "{size}");
        }
    }
    let entry = SyncEntry {
        exchange: h8s_wire::ExchangeId::from_bytes([0xff; 16]),
        sent: u64::MAX,
        received: u64::MAX,
        limit: u64::MAX,
    };
    let sync = |entries| Frame::Sync(Sync { answer_wanted: true, entries: vec![entry; entries] }).encode();
    assert!(sync(Sync::MAX_ENTRIES).is_ok());
    assert_eq!(sync(2 * Sync::MAX_ENTRIES), Err(HeadError::TooLarge));
    let oversized = Bytes::from(vec![Kind::Data as u8; MAX_FRAME_BYTES + 1]);
    assert_eq!(Frame::decode(oversized), Err(FrameError::TooLarge));
}

#[test]
fn reasons_are_cut_between_characters() {
    let reason = "é".repeat(600);
    let frame = Frame::Abort { code: h8s_wire::AbortCode::Failed, reason: format!("x{reason}") };
    let Frame::Abort { reason, .. } = Frame::decode(frame.encode().unwrap()).unwrap() else {
        panic!("an abort")
    };
    assert_eq!(reason.len(), 1023);
    let lossy = Bytes::from([&[Kind::Abort as u8, 1][..], &[0xff; 2000]].concat());
    let Frame::Abort { reason, .. } = Frame::decode(lossy).unwrap() else { panic!("an abort") };
    assert!(reason.len() <= 1024 && reason.starts_with('\u{fffd}'));
}

#[test]
fn a_frame_costs_its_bytes_and_256() {
    assert_eq!((frame_cost(0), frame_cost(1000)), (256, 1256));
}
