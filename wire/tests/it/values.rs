//! Arbitrary values of everything that crosses NATS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use h8s_wire::{
    AbortCode, ConnectionEpoch, ConnectionId, ExchangeId, Frame, HeadFrame, HeadKind, MessageFlags,
    RefusedCode, RequestHead, ResponseHead, Sync, SyncEntry,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Below 2^62, often small.
pub(crate) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..0x100, 0u64..0x1_0000_0000, 0u64..1 << 62]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

/// Field values as HTTP has them: tab, visible ASCII, and every byte from 0x80.
pub(crate) fn field_value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![4 => 0x20u8..0x7f, 1 => 0x80u8..=0xff, 1 => Just(b'\t')];
    vec(byte, 0..24).prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

const KNOWN_NAMES: &[&str] =
    &["accept", "set-cookie", "x-a", "x-b", "traceparent", "x-h8s-evil", "nats-msg-id", "status", "te"];

/// Few names, so that repeats are frequent; one in four is arbitrary.
pub(crate) fn field_name() -> impl Strategy<Value = HeaderName> {
    prop_oneof![
        3 => proptest::sample::select(KNOWN_NAMES).prop_map(HeaderName::from_static),
        1 => "[a-z0-9!#$%&'*+.^_`|~-]{1,12}".prop_map(|name| name.parse().unwrap()),
    ]
}

pub(crate) fn fields() -> impl Strategy<Value = HeaderMap> {
    vec((field_name(), field_value()), 0..12).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(name, value);
        }
        map
    })
}

fn target() -> impl Strategy<Value = PathAndQuery> {
    let target = prop_oneof![
        8 => "/[!-~&&[^#?<>`]]{0,40}(\\?[!-~&&[^#<>\"]]{0,20})?",
        1 => Just("*".to_owned()),
        1 => "/[a-z]{0,4}é[a-z]{0,4}",
    ];
    target.prop_filter_map("a target that http takes", |target| PathAndQuery::try_from(target).ok())
}

fn client() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
    ]
}

fn connection() -> impl Strategy<Value = ConnectionEpoch> {
    (any::<[u8; 16]>(), number())
        .prop_map(|(id, epoch)| ConnectionEpoch { connection: ConnectionId::from_bytes(id), epoch })
}

pub(crate) fn request_head() -> impl Strategy<Value = RequestHead> {
    let line = (
        "[A-Z!#$%&'*+.^_`|~-]{1,10}",
        any::<bool>(),
        "[A-Za-z0-9-]{1,8}(\\.[A-Za-z0-9]{1,8}){0,3}(:[0-9]{1,4})?",
        target(),
    );
    let extensions =
        (option::of("[!-~]{1,12}"), option::of(client()), option::of(number()), option::of(connection()));
    (line, fields(), extensions).prop_map(|((method, secure, authority, target), headers, extensions)| {
        let (protocol, client, timeout, connection) = extensions;
        RequestHead {
            method: Method::from_bytes(method.as_bytes()).unwrap(),
            scheme: if secure { Scheme::HTTPS } else { Scheme::HTTP },
            authority: Authority::try_from(authority).unwrap(),
            target,
            headers,
            protocol,
            client,
            timeout: timeout.map(Duration::from_millis),
            connection,
        }
    })
}

pub(crate) fn response_head() -> impl Strategy<Value = ResponseHead> {
    (200u16..600, fields(), any::<bool>()).prop_map(|(status, headers, holds_state)| ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        holds_state,
    })
}

fn head_frame() -> impl Strategy<Value = Frame> {
    let head = prop_oneof![
        request_head().prop_map(|head| HeadKind::Request(Box::new(head))),
        response_head().prop_map(HeadKind::Response),
    ];
    (head, any::<bool>(), number(), bytes())
        .prop_map(|(head, end, limit, body)| Frame::Head(HeadFrame { head, end, limit, body }))
}

fn sync_entry() -> impl Strategy<Value = SyncEntry> {
    (any::<[u8; 16]>(), number(), number(), number()).prop_map(|(id, sent, received, limit)| SyncEntry {
        exchange: ExchangeId::from_bytes(id),
        sent,
        received,
        limit,
    })
}

/// Every kind of frame.
pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    let flags = any::<(bool, bool, bool)>();
    prop_oneof![
        4 => head_frame(),
        1 => (number(), bytes()).prop_map(|(sequence, bytes)| Frame::Data { sequence, bytes }),
        1 => (number(), fields()).prop_map(|(sequence, trailers)| Frame::End { sequence, trailers }),
        1 => (number(), ".{0,40}")
            .prop_map(|(code, reason)| Frame::Abort { code: AbortCode::of(code), reason }),
        1 => (number(), number()).prop_map(|(limit, handled)| Frame::Credit { limit, handled }),
        1 => Just(Frame::Cancel),
        1 => number().prop_map(|code| Frame::Refused(RefusedCode::of(code))),
        1 => (any::<bool>(), vec(sync_entry(), 0..4))
            .prop_map(|(answer_wanted, entries)| Frame::Sync(Sync { answer_wanted, entries })),
        1 => (number(), flags, bytes()).prop_map(|(sequence, (binary, more, again), bytes)| Frame::Message {
            sequence,
            flags: MessageFlags { binary, more, again },
            bytes,
        }),
        1 => (number(), number(), ".{0,40}")
            .prop_map(|(sequence, code, reason)| Frame::Close { sequence, code, reason }),
        1 => number().prop_map(|from| Frame::Resend { from }),
    ]
}
