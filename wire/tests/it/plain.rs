//! The plain dialect both ways.

use h8s_wire::plain::{self, PlainError, RequestSubjects};
use h8s_wire::{RequestHead, ResponseHead, Subjects, reserved};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use crate::{checks, values};

const SUBJECTS: RequestSubjects<'_> = RequestSubjects { publish: "p", reply: "r", close: "c" };

type Written = Vec<(String, String)>;

fn written_request(head: &RequestHead) -> Result<Written, PlainError> {
    let mut out = Vec::new();
    plain::encode_request(head, SUBJECTS, |name, value| out.push((name.to_owned(), value.to_owned())))?;
    Ok(out)
}

fn written_response(head: &ResponseHead, more: bool) -> Result<Written, PlainError> {
    let mut out = Vec::new();
    plain::encode_response(head, more, |name, value| out.push((name.to_owned(), value.to_owned())))?;
    Ok(out)
}

fn pairs(written: &Written) -> impl Iterator<Item = (&str, &str)> {
    written.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// What should arrive: less what is reserved or ends at the hop, values trimmed as NATS clients do.
fn expected(headers: &HeaderMap) -> Vec<(String, String)> {
    let travels = |name: &http::HeaderName| {
        !reserved::is_ours(name.as_str())
            && !reserved::is_the_bus_own(name.as_str())
            && !reserved::is_hop_by_hop(name)
            && *name != http::header::EXPECT
    };
    let fields = headers.iter().filter(|(name, _)| travels(name));
    fields.map(|(name, value)| (name.to_string(), text(value).trim_ascii().to_owned())).collect()
}

fn text(value: &HeaderValue) -> &str {
    std::str::from_utf8(value.as_bytes()).unwrap()
}

fn seen(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), text(value).to_owned())).collect()
}

/// Every byte as the character of its number, so that all values are UTF-8.
fn as_text(headers: &HeaderMap) -> HeaderMap {
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect::<String>();
    let mut all = HeaderMap::new();
    for (name, value) in headers {
        all.append(name, HeaderValue::from_maybe_shared(bytes::Bytes::from(text(value))).unwrap());
    }
    all
}

fn all_text(headers: &HeaderMap) -> bool {
    let mut values = headers.iter().filter(|(name, _)| {
        !reserved::is_ours(name.as_str())
            && !reserved::is_the_bus_own(name.as_str())
            && !reserved::is_hop_by_hop(name)
            && **name != http::header::EXPECT
    });
    values.all(|(_, value)| std::str::from_utf8(value.as_bytes()).is_ok())
}

proptest! {
    #[test]
    fn t4_reserved_names_never_survive_encode_request(head in values::request_head()) {
        let Ok(written) = written_request(&head) else {
            prop_assert!(!all_text(&head.headers), "only a value outside UTF-8 is refused");
            return Ok(());
        };
        // The gateway's fields appear once with its values; the client's are removed.
        let ours: Vec<_> = pairs(&written).filter(|(name, _)| reserved::is_ours(name)).collect();
        prop_assert!(ours.iter().all(|(name, _)| *name != "X-H8s-Evil"));
        let mut names: Vec<_> = ours.iter().map(|(name, _)| *name).collect();
        names.dedup();
        prop_assert_eq!(names.len(), ours.len());
        prop_assert!(!pairs(&written).any(|(name, _)| reserved::is_the_bus_own(name)));
    }

    #[test]
    fn requests_round_trip(mut head in values::request_head()) {
        head.headers = as_text(&head.headers);
        let subject = Subjects::default().parse_http("h8s.http.PUT.com.example._.other").unwrap();
        let written = written_request(&head).unwrap();
        let read = plain::decode_request(&subject, pairs(&written)).unwrap();
        prop_assert_eq!(read.method, head.method);
        prop_assert_eq!(read.authority.as_str(), head.authority.as_str());
        prop_assert_eq!(read.target.as_str(), head.target.as_str());
        prop_assert_eq!(seen(&read.headers), expected(&head.headers));
    }

    #[test]
    fn responses_round_trip(mut head in values::response_head(), more in any::<bool>()) {
        head.headers = as_text(&head.headers);
        let written = written_response(&head, more).unwrap();
        let read = plain::decode_response(pairs(&written), 0, true).unwrap();
        prop_assert_eq!((read.head.status, read.more), (head.status, more));
        prop_assert_eq!(seen(&read.head.headers), expected(&head.headers));
    }

    #[test]
    fn t4_reserved_names_never_survive_decode_response(
        name in proptest::sample::select(&["Nats-Trace-Dest", "nats-trace-only", "NATS-ROLLUP", "Nats-Msg-Id", "X-H8s-A",
            "x-h8s-", "H8s-Frame", "h8s-", "Status", "STATUS-CODE", "Nats-Service-Error"][..]),
        other in values::field_name(),
    ) {
        let headers = [(name, "200"), (other.as_str(), "1")];
        if let Ok(read) = plain::decode_response(headers, 0, true) {
            checks::check_unreserved(&read.head.headers);
            prop_assert!(!read.head.headers.contains_key(name));
        }
    }

    #[test]
    fn t3_a_line_break_in_a_response_is_an_error(
        before in "[a-z]{0,4}",
        line_break in proptest::sample::select(&["\r", "\n", "\r\n", "\0"][..]),
        after in "[a-z]{1,4}",
    ) {
        let value = format!("{before}{line_break}{after}");
        let in_value = plain::decode_response([("X-A", value.as_str())], 0, true);
        // At the start it is white space, which is trimmed; anywhere else it would begin a line.
        let trimmed = before.is_empty() && line_break != "\0";
        prop_assert_eq!(in_value.is_err(), !trimmed, "{:?}", value);
        prop_assert_eq!(plain::decode_response([(value.as_str(), "1")], 0, true), Err(PlainError::Name));
    }
}

#[test]
fn a_value_outside_utf8_is_named() {
    let mut headers = HeaderMap::new();
    headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let head = ResponseHead { status: http::StatusCode::OK, headers, ..ResponseHead::default() };
    let error = written_response(&head, false).unwrap_err();
    assert_eq!(error.to_string(), "the value of x-latin is not UTF-8, which the plain dialect cannot carry");
}
