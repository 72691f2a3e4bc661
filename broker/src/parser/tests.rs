//! Every verb, every refusal, every split, and arbitrary bytes.

use proptest::prelude::*;

use super::*;

const MAX_PAYLOAD: usize = 1024;

fn command(input: &[u8]) -> Command<'_> {
    match parse(input, MAX_PAYLOAD).unwrap() {
        Parsed::Command(command, taken) if taken == input.len() => command,
        other => panic!("{other:?}"),
    }
}

fn violation(input: &[u8]) -> Violation {
    parse(input, MAX_PAYLOAD).unwrap_err()
}

#[test]
fn every_verb_is_read() {
    assert_eq!(command(b"PING\r\n"), Command::Ping);
    assert_eq!(command(b"pong \n"), Command::Pong);
    assert_eq!(command(b"+OK\r\n"), Command::Ignored);
    assert_eq!(command(b"INFO {}\r\n"), Command::Ignored);
    assert_eq!(command(b"CONNECT {\"a\": 1}\r\n"), Command::Connect(b"{\"a\": 1}"));
    assert_eq!(command(b"SUB a.* 7\r\n"), Command::Subscribe { subject: b"a.*", queue: None, sid: b"7" });
    assert_eq!(
        command(b"sub\ta  q\t7\r\n"),
        Command::Subscribe { subject: b"a", queue: Some(b"q"), sid: b"7" }
    );
    assert_eq!(command(b"UNSUB 7\r\n"), Command::Unsubscribe { sid: b"7", max: None });
    assert_eq!(command(b"UNSUB 7 5\r\n"), Command::Unsubscribe { sid: b"7", max: Some(5) });
    assert_eq!(command(b"UNSUB 7 999999999\r\n"), Command::Unsubscribe { sid: b"7", max: Some(999_999_999) });
    for nonsense in [&b"UNSUB 7 -5\r\n"[..], b"UNSUB 7 10000000000\r\n"] {
        assert_eq!(command(nonsense), Command::Unsubscribe { sid: b"7", max: None });
    }
}

#[test]
fn messages_are_read_with_and_without_headers_and_reply() {
    let publish = |subject, reply, header_bytes, content| {
        Command::Publish(Publish { subject, reply, header_bytes, content })
    };

    assert_eq!(command(b"PUB a 2\r\nhi\r\n"), publish(b"a", None, None, b"hi"));
    assert_eq!(command(b"PUB a r 002\r\n\r\n\r\n"), publish(b"a", Some(b"r"), None, b"\r\n"));
    assert_eq!(command(b"PUB a 0\n\r\n"), publish(b"a", None, None, b""));
    assert_eq!(command(b"HPUB a 2 3\r\nhhp\r\n"), publish(b"a", None, Some(2), b"hhp"));
    assert_eq!(command(b"HPUB a r 0 1\r\np\r\n"), publish(b"a", Some(b"r"), Some(0), b"p"));
}

#[test]
fn what_is_not_the_protocol_is_refused() {
    for input in
        ["\r\n", " PING\r\n", "XYZ\r\n", "PUX a 1\r\n", "GET / HTTP/1.1\r\n", "MSG a 1 1\r\n", "-ERR 'x'\r\n"]
    {
        assert_eq!(violation(input.as_bytes()), Violation::UnknownOperation, "{input:?}");
    }
    assert_eq!(violation(b"\x16\x03\x01"), Violation::UnknownOperation, "a TLS hello, before any line end");
    assert_eq!(violation(b"PUB a 2\r\nhixx"), Violation::UnknownOperation, "a payload longer than announced");
    assert_eq!(violation(b"PUB a 2\r\nhi\nP"), Violation::UnknownOperation, "a payload ended by LF alone");
}

#[test]
fn arguments_without_sense_are_refused() {
    for input in [
        "PUB\r\n",
        "PUB a\r\n",
        "PUB a b c 1\r\n",
        "PUB a x\r\n",
        "PUB a -1\r\n",
        "PUB a +1\r\n",
        "PUB a 1.5\r\n",
        "HPUB a 1\r\n",
        "HPUB a 3 2\r\n",
        "HPUB a x 2\r\n",
        "HPUB a 1 x\r\n",
        "HPUB a b c 1 2\r\n",
        "SUB a\r\n",
        "SUB\r\n",
        "SUB a b c d\r\n",
        "UNSUB\r\n",
        "UNSUB 1 2 3\r\n",
    ] {
        assert_eq!(violation(input.as_bytes()), Violation::Parser, "{input:?}");
    }
}

#[test]
fn too_large_a_message_is_refused_at_its_control_line() {
    for size in ["1025", "18446744073709551615", "99999999999999999999999999"] {
        assert_eq!(violation(format!("PUB a {size}\r\n").as_bytes()), Violation::MaxPayload, "{size}");
        assert_eq!(violation(format!("HPUB a 0 {size}\r\n").as_bytes()), Violation::MaxPayload, "{size}");
    }
    assert_eq!(parse(b"PUB a 1024\r\n", MAX_PAYLOAD), Ok(Parsed::Incomplete(12 + 1024 + 2)));
}

#[test]
fn arguments_are_bounded_whether_the_line_ends_or_not() {
    let subscribe = |bytes: usize| format!("SUB {} 1\r\n", "a".repeat(bytes - 2)).into_bytes();

    assert!(matches!(command(&subscribe(MAX_CONTROL_LINE_BYTES)), Command::Subscribe { .. }));
    assert_eq!(violation(&subscribe(MAX_CONTROL_LINE_BYTES + 1)), Violation::ControlLine);
    assert_eq!(violation(&[b'P'; MAX_CONTROL_LINE_BYTES + VERB_ROOM_BYTES + 1]), Violation::ControlLine);
}

#[test]
fn a_command_split_anywhere_is_the_same_command() {
    for whole in
        ["PING\r\n", "SUB a.b q 12\r\n", "UNSUB 12 3\r\n", "HPUB a.b r 12 17\r\nNATS/1.0\r\n\r\nhello\r\n"]
    {
        let whole = whole.as_bytes();
        for split in 0..whole.len() {
            match parse(&whole[..split], MAX_PAYLOAD) {
                Ok(Parsed::Incomplete(needed)) => assert!(needed > split && needed <= whole.len(), "{split}"),
                other => panic!("{other:?} at {split}"),
            }
        }
        command(whole);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&input)?;
    }

    #[test]
    fn almost_the_protocol_never_panics(
        input in "(PUB|HPUB|SUB|UNSUB|CONNECT|PING|\\+OK)[ \t]{0,2}([a.*>]{1,3}[ \t]){0,4}[0-9-]{0,30}\r?\n?(.|\r\n){0,20}",
    ) {
        check(input.as_bytes())?;
    }
}

/// Whatever comes back is within the input, and asks for more only if there is more to ask for.
fn check(input: &[u8]) -> Result<(), TestCaseError> {
    match parse(input, MAX_PAYLOAD) {
        Ok(Parsed::Command(_, taken)) => prop_assert!(taken > 0 && taken <= input.len()),
        Ok(Parsed::Incomplete(needed)) => {
            prop_assert!(needed > input.len());
            prop_assert!(needed <= input.len() + MAX_PAYLOAD + 2);
        }
        Err(_) => {}
    }
    Ok(())
}
