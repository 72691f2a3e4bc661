//! `PROTOCOL.md` matches the code, as far as tests can compare them.

use h8s_wire::push::{self, Group, Push};
use h8s_wire::{
    AbortCode, Beat, Close, Closed, ConnectionEntry, ConnectionId, ConnectionSubject, Established, GatewayId,
    Host, Kind, MAX_CLOSE_REASON_BYTES, MAX_DATA_BYTES, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_INLINE_BYTES,
    MAX_PATH_TOKENS, MAX_SUBJECT_BYTES, MessageKind, PREFIX, Page, PathTokens, RefusedCode, Subject,
    Subjects, Sync, VERSION, frame_cost,
};

const PROTOCOL: &str = include_str!("../../PROTOCOL.md");

/// The table row with this name has this number, written with commas.
fn row_says(name: &str, number: usize) {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    let number = groups.join(",");
    let row = PROTOCOL.lines().find(|line| line.starts_with('|') && line.contains(name));
    let row = row.unwrap_or_else(|| panic!("no row with {name}"));
    assert!(row.contains(&format!("| {number}")), "{number} in: {row}");
}

/// The text below a heading, up to the next heading of the same level.
fn section(heading: &str) -> &'static str {
    let level = heading.split(' ').next().unwrap();
    let (_, rest) = PROTOCOL.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split(&format!("\n{level} ")).next().unwrap()
}

const WEBSOCKETS: &str = "## 6. WebSockets and connections";

#[test]
fn the_limits_are_those_of_the_code() {
    row_says("`MAX_FRAME_BYTES`", MAX_FRAME_BYTES);
    row_says("`MAX_INLINE_BYTES`", MAX_INLINE_BYTES);
    row_says("`MAX_HEAD_BYTES`", MAX_HEAD_BYTES);
    row_says("`MAX_DATA_BYTES`", MAX_DATA_BYTES);
    row_says("`Sync::MAX_ENTRIES`", Sync::MAX_ENTRIES);
    row_says("subject |", MAX_SUBJECT_BYTES);
    row_says("path tokens", MAX_PATH_TOKENS);
    assert!(PROTOCOL.contains(&format!("Version {VERSION} of the native dialect")));
    assert!(PROTOCOL.contains(&format!("`{PREFIX}` unless configured")));
}

#[test]
fn every_kind_and_code_is_in_its_table() {
    for kind in Kind::ALL {
        let row = format!("| {} | `{}` |", kind as u8, format!("{kind:?}").to_uppercase());
        assert!(PROTOCOL.contains(&row), "{row}");
    }
    let named = |number: u64| !matches!(AbortCode::of(number), AbortCode::Other(_));
    for number in (0..100).filter(|number| named(*number)) {
        let row = format!("| {number} | {} |", AbortCode::of(number));
        assert!(PROTOCOL.contains(&row), "{row}");
    }
    let refused: Vec<_> =
        (0..100).map(RefusedCode::of).filter(|code| !matches!(code, RefusedCode::Other(_))).collect();
    assert_eq!(refused.len(), 3);
    for code in refused {
        assert!(PROTOCOL.contains(&format!("{} {code}", code.number())), "{code}");
    }
}

#[test]
fn the_example_of_credit_adds_up() {
    let frame = frame_cost(65_536);
    assert_eq!((frame, 7 * frame, 8 * frame), (65_792, 460_544, 526_336));
    let limit = 4 * frame + 524_288;
    assert_eq!((4 * frame, limit), (263_168, 787_456));
    // Eleven fit in total, four more than the first seven.
    assert_eq!(limit / frame, 11);
    for number in ["524,288", "65,792", "460,544", "526,336", "263,168", "787,456"] {
        assert!(PROTOCOL.contains(number), "{number}");
    }
}

#[test]
fn the_sections_that_code_refers_to_are_there() {
    for (number, title) in [
        (1, "Principles"),
        (2, "Subjects"),
        (3, "Interest"),
        (4, "Plain dialect"),
        (5, "Native dialect"),
        (6, "WebSockets and connections"),
        (7, "Versions and extension"),
    ] {
        assert!(PROTOCOL.contains(&format!("\n## {number}. {title}\n")), "{number}");
    }
}

#[test]
fn the_headers_and_kinds_of_pushes_are_in_section_6() {
    let text = section(WEBSOCKETS);
    let group: Group = "g".parse().unwrap();
    let mut kinds =
        vec![push::kind_name(MessageKind::Text).to_owned(), push::kind_name(MessageKind::Binary).to_owned()];
    for push in [Push::Close(Close::new(1000, "")), Push::Join(group.clone()), Push::Leave(group)] {
        push::encode_push(&push, |name, value| kinds.extend((name == push::FRAME).then(|| value.to_owned())));
    }
    assert_eq!(kinds.len(), 5);
    let headers =
        [push::CONNECTION, push::FRAME, push::CLOSE_CODE, push::CLOSE_REASON, push::GROUP, push::PATH];
    for name in headers.into_iter().chain(kinds.iter().map(String::as_str)) {
        assert!(text.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_limits_of_websockets_are_those_of_the_code() {
    row_says("a group's name", 128);
    assert!("g".repeat(128).parse::<Group>().is_ok() && "g".repeat(129).parse::<Group>().is_err());
    row_says("a close reason", MAX_CLOSE_REASON_BYTES);
    row_says("a page of a list", MAX_FRAME_BYTES);
    // Limits of gateways and responders that this crate does not define.
    row_says("groups of a connection", 100);
    row_says("a message, either way", 1024 * 1024);
    let text = section(WEBSOCKETS);
    for number in ["every 5 s", "15 to 20 s", "every second", "`--reopen-timeout` (30 s)", "100 ms or so"] {
        assert!(text.replace('\n', " ").contains(number), "{number}");
    }
}

#[test]
fn the_close_codes_are_those_of_the_code() {
    let text = section("### Messages").replace('\n', " ");
    let (_, ranges) = text.split_once("A close frame may carry ").unwrap();
    let (ranges, _) = ranges.split_once(" (RFC 6455 §7.4)").unwrap();
    let ranges: Vec<_> = ranges
        .replace(" and ", ", ")
        .split(", ")
        .map(|range| {
            let (first, last) = range.split_once('–').unwrap();
            first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap()
        })
        .collect();
    assert_eq!(ranges.len(), 3);
    for code in 0..=u16::MAX {
        let said = ranges.iter().any(|range| range.contains(&code));
        assert_eq!(Close::new(code, "").is_sendable(), said, "{code}");
    }
    for code in [Close::NO_CODE, Close::ABNORMAL] {
        assert!(section(WEBSOCKETS).contains(&code.to_string()), "{code}");
    }
}

#[test]
fn every_subject_of_websockets_is_in_section_2() {
    let (subjects, host) = (Subjects::default(), "example.com".parse::<Host>().unwrap());
    let (gateway, connection) = (GatewayId::from_bytes([1; 16]), ConnectionId::from_bytes([2; 16]));
    let written = |subject: Subject| {
        let text = subject.as_str().replace("com.example", "<rhost>").replace(PREFIX, "<p>");
        text.replace(&gateway.to_string(), "<gateway id>").replace(&connection.to_string(), "<connection id>")
    };
    let all = section("### All subjects");
    assert!(
        all.contains(&format!("`{}[.<path>]`", written(subjects.websocket(&host, &PathTokens::of("/")))))
    );
    assert!(all.contains(&format!("`{}`", written(subjects.gateway_inbox(gateway).push(connection)))));
    assert!(all.contains(&format!("`{}`", written(subjects.broadcast(&host)))));
    for about in [
        ConnectionSubject::Established,
        ConnectionSubject::Closed,
        ConnectionSubject::Beat,
        ConnectionSubject::List,
    ] {
        let subject = format!("`{}`", written(subjects.connections(about, &host)));
        assert!(section("### Who is connected").contains(&subject), "{subject}");
    }
    for pattern in [subjects.connection_lists(), subjects.broadcasts(), subjects.connections_all(&host)] {
        let pattern = format!("`{}`", written(pattern));
        assert!(section("### Permissions").contains(&pattern), "{pattern}");
    }
}

#[test]
fn every_key_of_messages_about_connections_is_in_section_6() {
    let (gateway, connection) = (GatewayId::from_bytes([1; 16]), ConnectionId::from_bytes([2; 16]));
    let entry = ConnectionEntry {
        connection,
        gateway,
        host: "a.example".parse().unwrap(),
        path: "/".to_owned(),
        query: Some(String::new()),
        protocol: Some("v2".to_owned()),
        client: Some("::1".parse().unwrap()),
        is_secure: true,
        subject: String::new(),
        push: String::new(),
        headers: Vec::new(),
    };
    for json in [
        Established { revision: 1, entry }.encode(),
        Closed { revision: 2, connection, gateway, code: 1000, reason: String::new() }.encode(),
        Beat { gateway, revision: 2, count: 0 }.encode(),
        Page { gateway, revision: 2, last: true, connections: Vec::new() }.encode(),
    ] {
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        for key in json.as_object().unwrap().keys() {
            assert!(section("### Who is connected").contains(&format!("`{key}`")), "{key}");
        }
    }
}

#[test]
fn names_in_use_are_not_marked_as_reserved() {
    assert!(!section(WEBSOCKETS).contains("not yet spoken"));
    let reserved: Vec<_> =
        PROTOCOL.lines().filter(|line| line.contains("*reserved, not yet spoken*")).collect();
    let [_, gateways, clients] = reserved[..] else { panic!("{reserved:?}") };
    assert!(gateways.contains("`<p>.control.gateway.") && clients.contains("`<p>.client."));
}
