//! Properties that hold for any bytes: one function per decoder, for the property tests here and for `wire/fuzz`,
//! which includes this file. Each panics when its property is violated.
#![allow(unreachable_pub, reason = "the fuzz targets are another crate")]

use bytes::Bytes;
use h8s_wire::plain::{self, PlainError, RequestSubjects};
use h8s_wire::push::{self, Push};
use h8s_wire::{
    Announcement, Beat, Closed, ConnectionId, Established, ExchangeId, Frame, HeadError, HeadFrame, HeadKind,
    Host, Inbox, Interest, MAX_CLOSE_REASON_BYTES, MAX_HEAD_BYTES, MAX_SUBJECT_BYTES, MethodPattern, Page,
    PathPattern, PathTokens, Peek, RequestHead, ResponseHead, Subject, Subjects, decode_token, encode_token,
    reserved,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// The parts of a structured input, separated by a byte that no valid part contains.
fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == 0x1e)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `Frame::decode` and `Peek::of`: every decoded frame round-trips.
pub fn frame(bytes: &[u8]) {
    let peeked = Peek::of(bytes);
    let Ok(frame) = Frame::decode(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(peeked.map(|peek| peek.kind as u8), Ok(bytes[0]), "what decodes can be peeked at");
    check_values(&frame);
    match frame.encode() {
        Ok(again) => same_frame(&Frame::decode(again).expect("own frames decode"), &frame),
        // The length of a field section is written in four bytes, and may have been read from one.
        Err(error) => assert!(error == HeadError::TooLarge && bytes.len() + 3 > MAX_HEAD_BYTES, "{error}"),
    }
}

/// T3: no value received from NATS can break a line of HTTP/1.1.
fn check_values(frame: &Frame) {
    match frame {
        Frame::Head(HeadFrame { head: HeadKind::Request(head), .. }) => check_fields(&head.headers),
        Frame::Head(HeadFrame { head: HeadKind::Response(head), .. }) => check_fields(&head.headers),
        Frame::End { trailers, .. } => check_fields(trailers),
        _ => {}
    }
}

fn check_fields(fields: &HeaderMap) {
    for (name, value) in fields {
        let broken = value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
        assert!(!broken, "{name}: {value:?}");
    }
}

/// Equal to the byte: `Authority` compares without case, and `HeaderMap` without order.
pub fn same_frame(left: &Frame, right: &Frame) {
    assert_eq!(left, right);
    if let (Frame::Head(left), Frame::Head(right)) = (left, right) {
        same_head(&left.head, &right.head);
    }
    if let (Frame::End { trailers: left, .. }, Frame::End { trailers: right, .. }) = (left, right) {
        assert!(left.iter().eq(right.iter()), "order of trailers");
    }
}

fn same_head(left: &HeadKind, right: &HeadKind) {
    match (left, right) {
        (HeadKind::Request(left), HeadKind::Request(right)) => {
            assert_eq!(left.authority.as_str(), right.authority.as_str());
            assert_eq!(left.target.as_str(), right.target.as_str());
            assert!(left.headers.iter().eq(right.headers.iter()), "order of fields");
        }
        (HeadKind::Response(left), HeadKind::Response(right)) => {
            assert!(left.headers.iter().eq(right.headers.iter()), "order of fields");
        }
        _ => panic!("a request became a response, or the other way round"),
    }
}

/// A head of valid parts round-trips.
pub fn head_round_trip(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let mut next = || parts.next().unwrap_or_default();
    let (method, authority, target, status) = (next(), next(), next(), next());
    let headers = fields_of(parts);
    let status = StatusCode::from_bytes(status).ok().filter(|status| status.as_u16() / 100 != 1);
    let status = status.filter(|status| status.as_u16() < 600).unwrap_or(StatusCode::OK);
    round_trip(HeadKind::Response(ResponseHead {
        status,
        headers: headers.clone(),
        ..ResponseHead::default()
    }));
    let (Ok(authority), Ok(parsed)) = (Authority::try_from(authority), PathAndQuery::try_from(target)) else {
        return;
    };
    // `http` drops a fragment, and a query alone is encoded with the path it implies: neither round-trips.
    if parsed.as_str().as_bytes() != target || target.starts_with(b"?") {
        return;
    }
    round_trip(HeadKind::Request(Box::new(RequestHead {
        method: Method::from_bytes(method).unwrap_or(Method::GET),
        scheme: Scheme::HTTPS,
        authority,
        target: parsed,
        headers,
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    })));
}

fn round_trip(head: HeadKind) {
    let frame = Frame::Head(HeadFrame { head, end: true, limit: 0, body: Bytes::new() });
    match frame.encode() {
        Ok(bytes) => same_frame(&Frame::decode(bytes).expect("own heads decode"), &frame),
        Err(error) => assert_eq!(error, HeadError::TooLarge),
    }
}

fn fields_of<'a>(parts: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for part in parts {
        let at = part.iter().position(|byte| *byte == b':').unwrap_or(part.len());
        let (name, value) = part.split_at(at);
        let (name, value) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.get(1..).unwrap_or_default()));
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.append(name, value);
        }
    }
    fields
}

/// `Announcement::decode`.
pub fn announcement(bytes: &[u8]) {
    let Ok(announcement) = Announcement::decode(bytes) else { return };
    assert!(!announcement.dialects.is_empty());
    let again = Announcement::decode(&announcement.encode()).expect("own announcements decode");
    assert_eq!(again, announcement);
    interest_subjects(&announcement.interest);
}

fn pairs(texts: &[String]) -> impl Iterator<Item = (&str, &str)> {
    texts.iter().map(|text| text.split_once(':').unwrap_or((text, "")))
}

/// `plain::decode_response`: T3, T4; and every decoded response round-trips.
pub fn plain_response(bytes: &[u8]) {
    let texts: Vec<String> = parts(bytes).map(text).collect();
    for (payload_bytes, has_body) in [(0, true), (3, true), (3, false)] {
        let Ok(response) = plain::decode_response(pairs(&texts), payload_bytes, has_body) else { continue };
        check_fields(&response.head.headers);
        check_unreserved(&response.head.headers);
        let mut again = Vec::new();
        let mut emit = |name: &str, value: &str| again.push((name.to_owned(), value.to_owned()));
        plain::encode_response(&response.head, response.more, &mut emit).expect("text stays text");
        let again = again.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert_eq!(plain::decode_response(again, payload_bytes, has_body), Ok(response));
    }
}

/// T4: no name reserved by h8s or NATS comes out of the plain dialect.
pub fn check_unreserved(fields: &HeaderMap) {
    for name in fields.keys() {
        let name = name.as_str();
        assert!(!reserved::is_ours(name) && !reserved::is_the_bus_own(name), "{name}");
    }
}

/// `plain::decode_request`, with the subject as the first part.
pub fn plain_request(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let subject = text(parts.next().unwrap_or_default());
    let subjects = Subjects::default();
    let Some(subject) =
        subjects.parse_http(&subject).or_else(|| subjects.parse_http("h8s.http.GET.com.example._.a"))
    else {
        panic!("the second is one")
    };
    let texts: Vec<String> = parts.map(text).collect();
    let Ok(head) = plain::decode_request(&subject, pairs(&texts)) else { return };
    check_fields(&head.headers);
    check_unreserved(&head.headers);
    let mut again = Vec::new();
    let names = RequestSubjects { publish: "p", reply: "r", close: "c" };
    plain::encode_request(&head, names, |name, value| again.push((name.to_owned(), value.to_owned())))
        .expect("text stays text");
    let again = again.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let again: Result<RequestHead, PlainError> = plain::decode_request(&subject, again);
    assert_eq!(again.as_ref(), Ok(&head));
    assert_eq!(again.map(|head| head.authority.to_string()), Ok(head.authority.to_string()));
    round_trip(HeadKind::Request(Box::new(head)));
}

/// T2: every accepted host, method and path gives a subject that is valid, literal, bounded, and round-trips.
pub fn host_and_path(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let mut next = || parts.next().unwrap_or_default();
    let (host, method, path, token) = (text(next()), next(), text(next()), next());
    check_token(token);
    let tokens = PathTokens::of(&path);
    check_tokens(&path, &tokens);
    let host = host.parse::<Host>().unwrap_or_else(|_| "a.example".parse().expect("a host"));
    assert_eq!(Host::from_reversed(host.reversed()).as_ref(), Some(&host));
    let method = Method::from_bytes(method).unwrap_or(Method::GET);
    let Ok(pattern) = MethodPattern::named(&method) else { return };
    let subjects = Subjects::default();
    let subject = subjects.http(&pattern, &host, &tokens);
    check_literal(&subject, "h8s.http.");
    check_literal(&subjects.websocket(&host, &tokens), "h8s.ws.ws.");
    let parsed = subjects.parse_http(subject.as_str()).expect("own subjects are read");
    assert_eq!((parsed.method, parsed.host), (method, host));
    let read = PathTokens::of(&parsed.path);
    assert!(tokens.as_str().starts_with(read.as_str()), "{read} of {tokens}");
}

fn check_token(bytes: &[u8]) {
    let mut token = String::new();
    encode_token(bytes, &mut token);
    assert_eq!(decode_token(&token), bytes);
}

/// The tokens decode to the percent-decoded segments of the path, as many as fit.
pub fn check_tokens(path: &str, tokens: &PathTokens) {
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).map(decode_token).collect();
    let decoded: Vec<_> =
        tokens.as_str().split('.').filter(|token| !token.is_empty()).map(decode_token).collect();
    assert_eq!(segments[..decoded.len()], decoded);
    assert_eq!(decoded.len() < segments.len(), tokens.is_truncated());
}

/// A subject that nats-server accepts, without wildcards, and without a token that could be mistaken for the prefix.
pub fn check_literal(subject: &Subject, prefix: &str) {
    let text = subject.as_str();
    assert!(text.len() <= MAX_SUBJECT_BYTES, "{} bytes", text.len());
    assert!(text.starts_with(prefix), "{text}");
    for token in text.split('.') {
        let raw = |byte: u8| byte.is_ascii_alphanumeric() || b"-~_!$&'()+,;=:@%".contains(&byte);
        assert!(!token.is_empty() && token.bytes().all(raw), "{text}");
    }
}

/// Path and method patterns: an accepted one covers itself, and its subjects are bounded.
pub fn pattern(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let mut next = || text(parts.next().unwrap_or_default());
    let (pattern, path, method) = (next(), next(), next());
    let Ok(pattern) = pattern.parse::<PathPattern>() else { return };
    assert_eq!(pattern.to_string().parse().as_ref(), Ok(&pattern));
    let own = pattern.to_string();
    let own = own.strip_suffix("/*").unwrap_or(&own);
    assert!(pattern.matches(&PathTokens::of(own)), "{pattern} covers {own}");
    assert_eq!(pattern.matches(&PathTokens::of(&format!("{own}/below"))), pattern.is_prefix());
    let covered = pattern.matches(&PathTokens::of(&path));
    assert!(!covered || pattern.is_prefix() || PathTokens::of(&path).as_str() == pattern.tokens());
    let method = method.parse().unwrap_or(MethodPattern::Any);
    let host = "a.example".parse().expect("a host");
    interest_subjects(&Interest { host, path: pattern, method });
}

fn interest_subjects(interest: &Interest) {
    let subjects = Subjects::default();
    check_literal(&subjects.exchange(interest), "h8s.x.");
    for subscription in subjects.http_subscriptions(interest) {
        assert!(
            subscription.as_str().len() <= MAX_SUBJECT_BYTES
                && subscription.as_str().starts_with("h8s.http.")
        );
    }
    let registered = subjects.interest_register(&interest.host);
    assert_eq!(subjects.parse_interest(registered.as_str()), Some((true, interest.host.clone())));
}

/// Every parser of subjects and ids: parsed values round-trip.
pub fn subject(bytes: &[u8]) {
    let text = text(bytes);
    let (subjects, host) = (Subjects::default(), "a.example".parse().expect("a host"));
    if let Some(parsed) = subjects.parse_http(&text) {
        let method = MethodPattern::named(&parsed.method).expect("checked when read");
        let subject = subjects.http(&method, &parsed.host, &PathTokens::of(&parsed.path));
        check_literal(&subject, "h8s.http.");
        // A long subject is truncated when it is built again; a second parse then equals the first.
        let again = subjects.parse_http(subject.as_str()).expect("own subjects are read");
        assert_eq!((again.method, again.host), (parsed.method, parsed.host));
        assert!(parsed.path.starts_with(again.path.trim_end_matches('/')), "{} {}", parsed.path, again.path);
    }
    if let Some((registers, host)) = subjects.parse_interest(&text) {
        let again =
            if registers { subjects.interest_register(&host) } else { subjects.interest_unregister(&host) };
        assert_eq!(again.as_str(), text);
    }
    replies(&text, &subjects, &host);
    about_connections(&text, &subjects);
    if let Some(inbox) = Inbox::of_sync(&text) {
        assert!(Inbox::is_sync(&text));
        check_literal(&inbox.sync(), "");
    }
    if let Some(host) = Host::from_reversed(&text) {
        assert_eq!(host.reversed(), text);
        assert_eq!(host.name().parse(), Ok(host));
    }
    if let Ok(id) = text.parse::<ExchangeId>() {
        assert_eq!(id.to_string(), text);
        assert!(text.parse::<ConnectionId>().is_ok());
    }
    if let Ok(own) = Subjects::new(&text) {
        assert_eq!(own.prefix(), text);
    }
}

/// A valid reply subject ends in an exchange id, and equals the one built from its inbox and exchange.
fn replies(text: &str, subjects: &Subjects, host: &Host) {
    let (ours, gateways) =
        (subjects.responder_replies(host).cover(text), subjects.gateway_replies().cover(text));
    assert!(subjects.is_responder_reply(text) || !ours);
    let read = Inbox::of_exchange(text).zip(Inbox::exchange_of(text));
    if let Some((inbox, id)) = &read {
        assert_eq!(inbox.exchange(*id).as_str(), text);
    }
    assert!(read.is_some() || !(ours || gateways));
    assert!(Inbox::connection_of(text).is_none() || read.is_none(), "a push is no exchange's");
}

fn about_connections(text: &str, subjects: &Subjects) {
    if let Some((about, host)) = subjects.parse_connections(text) {
        assert_eq!(subjects.connections(about, &host).as_str(), text);
    }
    if let Some(host) = subjects.parse_broadcast(text) {
        assert_eq!(subjects.broadcast(&host).as_str(), text);
    }
}

/// `push::decode_push` and `push::decode_broadcast`, with the payload as the first part: T3; messages are valid, closes
/// may be sent; and every decoded push round-trips.
pub fn push(bytes: &[u8]) {
    let mut parts = parts(bytes);
    let payload = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let texts: Vec<String> = parts.map(text).collect();
    if let Ok(push) = push::decode_push(pairs(&texts), payload.clone()) {
        match &push {
            Push::Message(message) => assert!(message.is_valid()),
            Push::Close(close) => {
                assert!(close.is_sendable() && close.reason.len() <= MAX_CLOSE_REASON_BYTES);
            }
            Push::Join(_) | Push::Leave(_) => {}
        }
        let headers = written(|emit| push::encode_push(&push, emit));
        let again = push::decode_push(pairs(&headers), push.payload()).expect("own pushes decode");
        // A reason becomes one line: the first encoding changes it, later ones do not.
        assert_eq!(written(|emit| push::encode_push(&again, emit)), headers);
        assert!(again == push || matches!(push, Push::Close(_)), "{again:?} {push:?}");
    }
    if let Ok((audience, message)) = push::decode_broadcast(pairs(&texts), payload) {
        assert!(message.is_valid());
        let headers = written(|emit| push::encode_broadcast(&audience, message.kind, emit));
        let again = push::decode_broadcast(pairs(&headers), message.data.clone());
        assert_eq!(again, Ok((audience, message)));
    }
}

/// Headers as texts of name and value; each is one line.
fn written(encode: impl FnOnce(&mut dyn FnMut(&str, &str))) -> Vec<String> {
    let mut written = Vec::new();
    encode(&mut |name, value| {
        assert!(!value.chars().any(char::is_control), "{name}: {value:?}");
        written.push(format!("{name}:{value}"));
    });
    written
}

/// Every decoder of messages about connections: decoded messages round-trip.
pub fn connections(bytes: &[u8]) {
    if let Ok(read) = Established::decode(bytes) {
        assert_eq!(Established::decode(&read.encode()).expect("own JSON decodes"), read);
    }
    if let Ok(read) = Closed::decode(bytes) {
        assert_eq!(Closed::decode(&read.encode()).expect("own JSON decodes"), read);
        assert!(read.close().reason.len() <= MAX_CLOSE_REASON_BYTES);
    }
    if let Ok(read) = Beat::decode(bytes) {
        assert_eq!(Beat::decode(&read.encode()).expect("own JSON decodes"), read);
    }
    if let Ok(read) = Page::decode(bytes) {
        assert_eq!(Page::decode(&read.encode()).expect("own JSON decodes"), read);
    }
}
