//! Arbitrary bytes and nearly valid bytes never panic a decoder; decoded values round-trip.

use h8s_wire::{Frame, HeadFrame};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{checks, values};

/// Random bytes rarely pass the first check: three in four inputs are made of meaningful fragments.
fn nearly(fragments: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        3 => proptest::sample::select(fragments).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    prop_oneof![
        1 => vec(any::<u8>(), 0..256),
        3 => vec(fragment, 0..16).prop_map(|fragments| fragments.concat()),
    ]
}

const ANNOUNCEMENTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"host\":\"a.example\"",
    "\"path\":\"/a/*\"",
    "\"method\":\"GET\"",
    "\"dialects\":[\"plain\"]",
    "\"responder\":\"00000000000000000000000000000000\"",
    "null",
    "\\u002e",
    "1e999",
];
const PLAIN: &[&str] = &[
    "\x1e",
    "\x1e",
    ":",
    "Status-Code:",
    "Status:",
    "200",
    "304",
    "Content-Length:",
    "3",
    "+3",
    "H8s-More:true",
    "Transfer-Encoding:",
    "chunked",
    "Connection:",
    "x-a",
    "X-A:1",
    "Nats-Msg-Id:1",
    "X-H8s-Evil:1",
    "Host:",
    "a.example:80",
    "X-H8s-Original-Path:/a",
    "X-H8s-Original-Query:b",
    "X-H8s-Original-Method:PUT",
    "\r\n",
    "\0",
    "é",
    "h8s.http.GET.com.example._.a",
    "?",
    "#",
];
const REQUEST_LINES: &[&str] = &[
    "\x1e",
    "\x1e",
    "GET",
    "PATCH",
    "ws",
    "a.example",
    "[::1]",
    ":80",
    "_",
    ".",
    "/",
    "/a",
    "%2F",
    "%",
    "*",
    ">",
    "..",
    "?",
    "#",
    "$SYS",
    "\0",
    "\r\n",
    "é",
    "200",
    "x-a:b",
    "x-a:c",
    "\u{7f}",
];
const PUSHES: &[&str] = &[
    "\x1e",
    "\x1e",
    "H8s-Frame:",
    "h8s-frame:",
    "text",
    "BINARY",
    "close",
    "join",
    "leave",
    "H8s-Close-Code:",
    "1000",
    "4999",
    "1006",
    "+",
    "H8s-Close-Reason:",
    "H8s-Group:",
    "g",
    "H8s-Path:",
    "/a",
    "/*",
    "%2A",
    " ",
    "\r\n",
    "\0",
    "é",
    "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr",
];
const CONNECTIONS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"connection\":\"00000000000000000000000000000000\"",
    "\"gateway\":\"11111111111111111111111111111111\"",
    "\"host\":\"a.example\"",
    "\"path\":\"/a\\u0000\"",
    "\"subject\":\"h8s.ws.ws.example.a._\"",
    "\"push\":\"h8s.inbox.gw.g.c.push\"",
    "\"headers\":[[\"a\",\"b\"]]",
    "\"client\":\"::1\"",
    "\"revision\":18446744073709551615",
    "\"count\":0",
    "\"code\":1006",
    "\"last\":true",
    "\"connections\":",
    "null",
    "1e999",
    "\\ud800",
];
const SUBJECTS: &[&str] = &[
    "h8s",
    ".",
    "http",
    "x",
    "inbox",
    "gw",
    "r",
    "_",
    "__1",
    "control",
    "interest",
    "register",
    "unregister",
    "sync",
    "push",
    "ws",
    "conn",
    "established",
    "closed",
    "beat",
    "list",
    "broadcast",
    "GET",
    "com.example",
    "00000000000000000000000000000000",
    "*",
    ">",
    "%2A",
    "?",
    "é",
    " ",
];

proptest! {
    // Cheap, and about untrusted input: more than the default 256.
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_as_a_frame(bytes in vec(any::<u8>(), 0..512)) {
        checks::frame(&bytes);
    }

    #[test]
    fn any_bytes_after_any_kind(kind in 1u8..=11, rest in vec(prop_oneof![0u8..8, any::<u8>()], 0..128)) {
        let bytes: Vec<u8> = std::iter::once(kind).chain(rest).collect();
        checks::frame(&bytes);
    }

    #[test]
    fn a_frame_with_one_byte_changed(frame in values::frame(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = frame.encode().unwrap().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        checks::frame(&bytes);
    }

    #[test]
    fn every_truncation_of_a_frame_is_an_error_or_a_shorter_frame(frame in values::frame()) {
        let bytes = frame.encode().unwrap();
        // Bodies and reasons may be truncated anywhere and remain valid: this checks fields and numbers.
        for end in 0..bytes.len().min(300) {
            checks::frame(&bytes[..end]);
            if let Ok(shorter) = Frame::decode(bytes.slice(..end)) {
                prop_assert!(may_be_cut(&shorter), "{shorter:?} of {frame:?}");
            }
        }
    }

    #[test]
    fn any_bytes_as_a_head(bytes in nearly(REQUEST_LINES)) {
        checks::head_round_trip(&bytes);
    }

    #[test]
    fn any_bytes_as_an_announcement(bytes in nearly(ANNOUNCEMENTS)) {
        checks::announcement(&bytes);
    }

    #[test]
    fn t3_t4_any_bytes_as_a_plain_response(bytes in nearly(PLAIN)) {
        checks::plain_response(&bytes);
    }

    #[test]
    fn t3_t4_any_bytes_as_a_plain_request(bytes in nearly(PLAIN)) {
        checks::plain_request(&bytes);
    }

    #[test]
    fn t2_any_bytes_as_host_method_and_path(bytes in nearly(REQUEST_LINES)) {
        checks::host_and_path(&bytes);
    }

    #[test]
    fn any_bytes_as_a_pattern(bytes in nearly(REQUEST_LINES)) {
        checks::pattern(&bytes);
    }

    #[test]
    fn t3_any_bytes_as_a_push_and_as_a_broadcast(bytes in nearly(PUSHES)) {
        checks::push(&bytes);
    }

    #[test]
    fn any_bytes_as_a_message_about_connections(bytes in nearly(CONNECTIONS)) {
        checks::connections(&bytes);
    }

    #[test]
    fn nearly_a_message_about_connections(keys in vec(proptest::sample::select(CONNECTIONS), 0..12)) {
        let keys: Vec<&str> = keys.into_iter().filter(|key| key.starts_with('"') && !key.ends_with(':')).collect();
        checks::connections(format!("{{{}}}", keys.join(",")).as_bytes());
        checks::connections(format!("{{{},\"connections\":[{{{}}}]}}", keys.join(","), keys.join(",")).as_bytes());
    }

    #[test]
    fn any_bytes_as_a_subject(bytes in nearly(SUBJECTS)) {
        checks::subject(&bytes);
    }
}

/// The kinds that end in bytes without a declared length, or in a list.
fn may_be_cut(frame: &Frame) -> bool {
    match frame {
        Frame::Head(HeadFrame { .. }) | Frame::Data { .. } | Frame::Abort { .. } => true,
        Frame::Sync(_) | Frame::Message { .. } | Frame::Close { .. } => true,
        Frame::End { .. }
        | Frame::Credit { .. }
        | Frame::Cancel
        | Frame::Refused(_)
        | Frame::Resend { .. } => false,
    }
}
