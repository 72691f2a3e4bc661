//! The protocol byte by byte: replies, and violations that end a connection. The expectations are those of
//! nats-server 2.15, except where the crate's documentation says otherwise.

use h8s_broker::Broker;

use crate::raw::{CONNECT, Raw};
use crate::start;

async fn answer(broker: &Broker, words: &str) -> Vec<String> {
    Raw::connected(broker).await.ask(words).await
}

/// The reply to a violation that ends the connection.
async fn farewell(broker: &Broker, words: impl AsRef<[u8]>) -> Vec<String> {
    let mut raw = Raw::connected(broker).await;
    raw.say(words).await;
    raw.until_closed().await
}

#[tokio::test]
async fn info_comes_first() {
    let broker = start();

    let (_raw, info) = Raw::to(&broker).await;

    let json: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
    assert_eq!((json["headers"].as_bool(), json["proto"].as_i64()), (Some(true), Some(1)));
    assert_eq!(json["max_payload"], 8 * 1024 * 1024);
    assert_eq!(json["port"], broker.address().port());
}

#[tokio::test]
async fn verbose_clients_get_an_ok_for_every_command() {
    let broker = start();
    let (mut raw, _) = Raw::to(&broker).await;

    let said =
        raw.ask("CONNECT {}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nUNSUB 1\r\nPUB a 2\r\nhi\r\nPONG\r\n").await;

    assert_eq!(said, ["+OK", "+OK", "+OK", "MSG a 1 2", "hi", "+OK", "+OK"]);
}

#[tokio::test]
async fn messages_are_delivered_unchanged() {
    let broker = start();

    assert_eq!(answer(&broker, "SUB a.* q 1\r\nPUB a.b r 2\r\nhi\r\n").await, ["MSG a.b 1 r 2", "hi"]);
    assert_eq!(answer(&broker, "SUB a 1\r\nPUB a 0\r\n\r\n").await, ["MSG a 1 0", ""]);
    let headers = "SUB a 1\r\nHPUB a r 18 19\r\nNATS/1.0\r\nA: b\r\n\r\nx\r\n";
    assert_eq!(answer(&broker, headers).await, ["HMSG a 1 r 18 19", "NATS/1.0", "A: b", "", "x"]);
    assert_eq!(answer(&broker, "sub\ta\t1\npub  a  1\nx\r\n").await, ["MSG a 1 1", "x"]);
}

#[tokio::test]
async fn a_client_without_headers_gets_the_payload_alone() {
    let broker = start();
    let (mut plain, _) = Raw::to(&broker).await;
    plain.ask("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;

    answer(&broker, "HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n").await;

    assert_eq!(plain.until_pong().await, ["MSG a 1 1", "x"]);
    plain.say("HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n").await;
    assert_eq!(plain.until_closed().await, ["-ERR 'message headers not supported'"]);
}

#[tokio::test]
async fn a_client_without_echo_does_not_receive_its_own_messages() {
    let broker = start();
    let (mut raw, _) = Raw::to(&broker).await;
    raw.say("CONNECT {\"verbose\":false,\"echo\":false}\r\n").await;

    assert!(raw.ask("SUB a 1\r\nPUB a 1\r\nx\r\n").await.is_empty());

    answer(&broker, "PUB a 1\r\ny\r\n").await;
    assert_eq!(raw.until_pong().await, ["MSG a 1 1", "y"]);
}

#[tokio::test]
async fn unsub_counts_from_the_start_of_the_subscription() {
    let broker = start();

    let later = "SUB a 1\r\nPUB a 1\r\n1\r\nUNSUB 1 2\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n";
    assert_eq!(answer(&broker, later).await, ["MSG a 1 1", "1", "MSG a 1 1", "2"]);
    let reached = "SUB a 1\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nUNSUB 1 2\r\nPUB a 1\r\n3\r\n";
    assert_eq!(answer(&broker, reached).await, ["MSG a 1 1", "1", "MSG a 1 1", "2"]);
    for nonsense in ["x", "-3"] {
        let words = format!("SUB a 1\r\nUNSUB 1 {nonsense}\r\nPUB a 1\r\nx\r\n");
        assert!(answer(&broker, &words).await.is_empty(), "{nonsense}");
    }
    assert!(answer(&broker, "UNSUB 9\r\n").await.is_empty());
}

#[tokio::test]
async fn an_exhausted_subscription_frees_its_sid() {
    let broker = start();

    let said = answer(&broker, "SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\nx\r\nSUB b 1\r\nPUB b 1\r\ny\r\n").await;

    assert_eq!(said, ["MSG a 1 1", "x", "MSG b 1 1", "y"]);
}

#[tokio::test]
async fn of_two_subscriptions_with_one_sid_the_first_stays() {
    let broker = start();

    let said = answer(&broker, "SUB a 1\r\nSUB b 1\r\nPUB a 1\r\nx\r\nPUB b 1\r\ny\r\n").await;

    assert_eq!(said, ["MSG a 1 1", "x"]);
}

#[tokio::test]
async fn no_responders_is_reported_once_on_a_plain_subscription_of_the_requester() {
    let broker = start();
    let told = ["HMSG in.7 1 38 38", "NATS/1.0 503", "Nats-Subject: nobody", "", ""];

    assert_eq!(answer(&broker, "SUB in.* 1\r\nPUB nobody in.7 1\r\nx\r\n").await, told);
    let twice = "SUB in.* 1\r\nSUB in.7 2\r\nSUB in.> q 3\r\nHPUB nobody in.7 12 13\r\nNATS/1.0\r\n\r\nx\r\n";
    assert_eq!(answer(&broker, twice).await, told);
    assert!(answer(&broker, "SUB in.* q 1\r\nPUB nobody in.7 1\r\nx\r\n").await.is_empty());
    assert!(answer(&broker, "PUB nobody in.7 1\r\nx\r\n").await.is_empty());
}

#[tokio::test]
async fn no_responders_is_not_reported_to_others_nor_to_clients_without_the_option() {
    let broker = start();
    let mut other = Raw::connected(&broker).await;
    other.ask("SUB in.* 1\r\n").await;
    let (mut quiet, _) = Raw::to(&broker).await;
    quiet.ask("CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB in.8 1\r\n").await;

    assert!(quiet.ask("PUB nobody in.8 1\r\nx\r\n").await.is_empty());
    assert!(other.until_pong().await.is_empty());
}

#[tokio::test]
async fn a_clients_own_subscription_without_echo_does_not_count_as_a_responder() {
    let broker = start();
    let (mut raw, _) = Raw::to(&broker).await;
    raw.say("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"echo\":false}\r\n").await;

    let said = raw.ask("SUB a 5\r\nSUB in.* 1\r\nPUB a in.8 1\r\nx\r\n").await;

    assert_eq!(said, ["HMSG in.8 1 33 33", "NATS/1.0 503", "Nats-Subject: a", "", ""]);
}

#[tokio::test]
async fn invalid_subjects_are_refused_and_the_connection_stays() {
    let broker = start();

    for subject in ["a..b", ".a", "a.", "a.>.b", "a\u{7f}b"] {
        assert_eq!(
            answer(&broker, &format!("SUB {subject} 1\r\n")).await,
            ["-ERR 'Invalid Subject'"],
            "{subject}"
        );
    }
    for subject in ["a..b", "a.", "a.*", ">", "a\u{1}b"] {
        let words = format!("SUB > 1\r\nPUB {subject} 1\r\nx\r\nPUB b {subject} 1\r\nx\r\n");
        assert_eq!(answer(&broker, &words).await, ["-ERR 'Invalid Publish Subject'"; 2], "{subject}");
    }
    let mut raw = Raw::connected(&broker).await;
    assert_eq!(raw.ask(b"SUB > 1\r\nPUB a.\xff 1\r\nx\r\n").await, ["-ERR 'Invalid Publish Subject'"]);
}

#[tokio::test]
async fn another_protocol_ends_the_connection() {
    let broker = start();

    for words in [
        "FOO bar\r\n",
        "\r\n",
        " PING\r\n",
        "MSG a 1 1\r\nx\r\n",
        "PUB a 2\r\nhixyz\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nPUB a 1\r\nx\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert_eq!(farewell(&broker, words).await, ["-ERR 'Unknown Protocol Operation'"], "{words:?}");
    }
    assert_eq!(farewell(&broker, [b'x'; 100_000]).await, ["-ERR 'Unknown Protocol Operation'"]);
}

#[tokio::test]
async fn invalid_arguments_end_the_connection() {
    let broker = start();

    for words in
        ["PUB a x\r\n", "PUB a -1\r\n", "PUB a\r\n", "HPUB a 3 2\r\n", "SUB a\r\n", "CONNECT {bad\r\n"]
    {
        assert_eq!(farewell(&broker, words).await, ["-ERR 'Parser Error'"], "{words:?}");
    }
    assert_eq!(farewell(&broker, "CONNECT {\"protocol\":3}\r\n").await, ["-ERR 'invalid client protocol'"]);
    assert_eq!(
        farewell(&broker, "CONNECT {\"no_responders\":true}\r\n").await,
        ["-ERR 'no responders requires headers support'"]
    );
}

#[tokio::test]
async fn commands_before_a_violation_are_executed() {
    let broker = start();

    let said = farewell(&broker, "SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nFOO\r\nPUB a 1\r\ny\r\n").await;

    assert_eq!(said, ["MSG a 1 1", "x", "PONG", "-ERR 'Unknown Protocol Operation'"]);
}

#[tokio::test]
async fn an_overlong_control_line_ends_the_connection_with_or_without_its_end() {
    let broker = start();
    let line = |bytes: usize| format!("SUB {} 1\r\n", "a".repeat(bytes - 2));

    assert!(answer(&broker, &line(4096)).await.is_empty());
    for words in [line(4097), line(60_000), "P".repeat(5000), format!("PUB {}", " ".repeat(5000))] {
        assert_eq!(farewell(&broker, words).await, ["-ERR 'maximum control line exceeded'"]);
    }
}

#[tokio::test]
async fn a_message_too_large_ends_the_connection_at_its_announcement() {
    let broker = start();

    for size in ["8388609", "1073741824", "99999999999999999999999"] {
        let said = farewell(&broker, format!("PUB a {size}\r\n")).await;
        assert_eq!(said, ["-ERR 'Maximum Payload Violation'"], "{size}");
    }
}

#[tokio::test]
async fn commands_may_arrive_in_any_pieces() {
    let broker = start();
    let mut raw = Raw::connected(&broker).await;

    for byte in b"SUB a 1\r\nHPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n" {
        raw.say([*byte]).await;
    }

    let mut said = Vec::new();
    while said.last().is_none_or(|line| line != "PONG") {
        said.push(raw.line().await.unwrap());
    }
    assert_eq!(said, ["HMSG a 1 r 12 14", "NATS/1.0", "", "hi", "PONG"]);
}

#[tokio::test]
async fn an_incomplete_message_is_not_delivered() {
    let broker = start();
    let mut listener = Raw::connected(&broker).await;
    listener.ask("SUB > 1\r\n").await;

    let mut half = Raw::connected(&broker).await;
    half.ask("SUB gone 1\r\nPUB whole 1\r\nx\r\n").await;
    half.say("PUB half 10\r\nabc").await;
    drop(half);

    let mut other = Raw::connected(&broker).await;
    other.ask("PUB after 1\r\ny\r\n").await;
    assert_eq!(listener.until_pong().await, ["MSG whole 1 1", "x", "MSG after 1 1", "y"]);
}

#[tokio::test]
async fn one_bad_client_does_not_disturb_another() {
    let broker = start();
    let mut good = Raw::connected(&broker).await;
    good.ask("SUB a 1\r\n").await;

    for words in ["FOO\r\n", "PUB a -1\r\n", "PUB a 999999999\r\n"] {
        farewell(&broker, format!("{CONNECT}PUB a 1\r\nx\r\n{words}")).await;
    }

    assert_eq!(good.until_pong().await, ["MSG a 1 1", "x"].repeat(3));
}
