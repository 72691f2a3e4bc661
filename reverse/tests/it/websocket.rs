//! WebSockets to a backend: the handshake, messages, and who waits for whom.

use h8s_nats::{ExchangeError, Refused, UpgradeOutcome};
use h8s_test_support::over_both_buses;
use h8s_test_support::websocket_client::{Frame, Opcode};
use h8s_wire::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls::certificate;
use crate::websocket_backend::{field, switching};
use crate::websocket_fixture::{Stand, gateway, host, refused, upgrade, within};

const MIB: usize = 1024 * 1024;

over_both_buses! {
    async fn the_backend_is_asked_as_a_client_would_ask(bus) {
        let stand = Stand::start(&bus).await;
        let mut request = upgrade("/a%2Fb//c?x=%20&&y");
        for (name, value) in [
            ("origin", "https://app.example"), ("cookie", "a=1"), ("authorization", "Basic eDp5"),
            ("sec-websocket-protocol", "chat, superchat"), ("sec-websocket-protocol", "v2"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }

        let answer = async {
            let (head, mut connection) = stand.backend.asked().await;
            let fields = "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\n";
            connection.raw(switching(&head, fields).replace("Upgrade\r\n", "Upgrade, X-Hop\r\n")).await;
            (head, connection)
        };
        let (opened, (head, connection)) = tokio::join!(stand.open(request), answer);

        assert!(head.starts_with("GET /a%2Fb//c?x=%20&&y HTTP/1.1\r\n"), "{head}");
        for (name, value) in [
            ("host", "app.example"), ("upgrade", "websocket"), ("connection", "Upgrade"),
            ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat, superchat"),
            ("origin", "https://app.example"), ("cookie", "a=1"), ("authorization", "Basic eDp5"),
        ] {
            assert_eq!(field(&head, name), Some(value), "{name}");
        }
        assert!(head.contains("sec-websocket-protocol: v2\r\n") && field(&head, "sec-websocket-extensions").is_none());
        let UpgradeOutcome::Accepted { headers, session } = opened.unwrap() else { panic!("refused") };
        let mut fields: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        fields.sort_unstable();
        assert_eq!(fields, [("sec-websocket-protocol", "superchat"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
        drop(session);
        connection.end().await;
        stand.end_quietly().await;
    }

    async fn a_refusal_is_the_clients_response(bus) {
        let stand = Stand::start(&bus).await;
        let refuse = async {
            let (_, mut connection) = stand.backend.asked().await;
            let body = "not you".repeat(100_000);
            let length = body.len();
            let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\nX-Why: because\r\n\r\n");
            connection.raw(head + &body).await;
            connection
        };

        let ((status, headers, body), connection) =
            tokio::join!(async { refused(stand.open(upgrade("/")).await).await }, refuse);

        assert_eq!((status, &headers["x-why"]), (403, &"because".parse().unwrap()));
        assert_eq!(body.unwrap(), "not you".repeat(100_000));
        connection.end().await;
        stand.end_quietly().await;
    }

    async fn an_answer_that_is_none_is_a_502(bus) {
        let stand = Stand::start(&bus).await;
        type Answering = fn(&str) -> String;
        let answers: [(&str, Answering); 7] = [
            ("a page", |_| "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".into()),
            ("no HTTP", |_| "SSH-2.0-OpenSSH\r\n".into()),
            ("another key's", |_| switching("sec-websocket-key: x\r\n", "")),
            ("an extension", |head| switching(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
            ("a subprotocol", |head| switching(head, "Sec-WebSocket-Protocol: chat\r\n")),
            ("another upgrade", |head| switching(head, "").replace(": websocket", ": h2c")),
            ("nothing", |_| String::new()),
        ];
        for (what, answer) in answers {
            let answer = async {
                let (head, mut connection) = stand.backend.asked().await;
                connection.raw(answer(&head)).await;
                connection.end().await;
            };
            let (asked, ()) = tokio::join!(stand.open(upgrade("/")), answer);
            let error = asked.map(drop).unwrap_err();
            assert!(matches!(error, ExchangeError::Aborted { .. }), "{what}: {error}");
        }
        stand.end_quietly().await;
    }

    async fn a_backend_that_does_not_answer_is_left_when_the_client_is(bus) {
        let stand = Stand::start(&bus).await;

        let connection = tokio::select! {
            _ = stand.open(upgrade("/")) => panic!("nobody answers"),
            (_, connection) = stand.backend.asked() => connection,
        };

        // Dropping the question withdraws it.
        connection.end().await;
        stand.end_quietly().await;
    }

    async fn a_backend_that_does_not_answer_in_time_is_left(bus) {
        let stand = Stand::start(&bus).await;
        let hasty = gateway(&bus, std::time::Duration::from_secs(1)).await;
        let host = host();

        let (answer, (_, connection)) =
            tokio::join!(within(hasty.open_websocket(&host, upgrade("/"))), stand.backend.asked());

        assert!(answer.is_err(), "{answer:?}");
        connection.end().await;
        stand.end_quietly().await;
    }

    async fn a_backend_is_spoken_to_over_tls(bus) {
        let (config, file) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let stand = Stand::with(&bus, |backend| {
            backend.url = url.parse().unwrap();
            backend.ca = Some(file.path().to_owned());
        })
        .await;
        let address = stand.backend.address();
        let decrypting = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
            let mut plain = TcpStream::connect(address).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
        });

        let (mut client, mut backend) = stand.opened().await;
        client.say("there").await;
        assert_eq!(backend.hear().await, "there");
        backend.say("and back").await;
        assert_eq!(client.hear().await, "and back");
        client.close(4000, "bye").await;
        assert_eq!(backend.closed().await, (4000, "bye".into()));
        backend.end().await;
        stand.end_quietly().await;
        within(decrypting).await.unwrap();
    }

    async fn an_outage_of_nats_is_survived(mut bus) {
        let stand = Stand::start(&bus).await;
        let (mut client, mut backend) = stand.opened().await;

        bus.stop().await;
        backend.say("while NATS is away").await;
        bus.restart().await;

        assert_eq!(client.hear().await, "while NATS is away");
        client.say("and back").await;
        assert_eq!(backend.hear().await, "and back");
    }

    async fn a_backend_that_is_not_there_is_unreachable(bus) {
        let gone = crate::websocket_backend::Backend::bind().await.url();
        let stand = Stand::with(&bus, |config| config.url = gone.parse().unwrap()).await;
        let answer = stand.open(upgrade("/")).await;
        assert!(matches!(answer, Err(ExchangeError::Refused(Refused::Unreachable))), "{answer:?}");
    }

    async fn there_are_no_more_than_there_may_be(bus) {
        let stand = Stand::with(&bus, |config| config.max_websockets = 1).await;
        let (first, connection) = stand.opened().await;

        let answer = stand.open(upgrade("/")).await;
        assert!(matches!(answer, Err(ExchangeError::Refused(Refused::Busy))), "{answer:?}");

        drop(first);
        connection.end().await;
        within(stand.service.idle()).await;
        let (_second, _connection) = stand.opened().await;
    }

    async fn messages_arrive_as_they_were_sent(bus) {
        let stand = Stand::start(&bus).await;
        let (mut client, mut backend) = stand.opened().await;
        let large: Vec<u8> = (0..5 * MIB).map(|n| (n % 251) as u8).collect();

        for (opcode, data) in [
            (Opcode::Text, "héllo".as_bytes()), (Opcode::Text, b""), (Opcode::Binary, &[0, 255, 128]),
            (Opcode::Binary, b""), (Opcode::Binary, &large),
        ] {
            let message = match opcode {
                Opcode::Text => Message::text(std::str::from_utf8(data).unwrap()),
                _ => Message::binary(data.to_vec()),
            };
            let ((), there) = tokio::join!(client.send(&message), backend.message());
            assert!(there == (opcode, data.to_vec()), "{} bytes differ for the backend", data.len());
            let ((), back) = tokio::join!(backend.frame(Frame::new(opcode, data)), client.message());
            assert!(back == message, "{} bytes differ for the client", data.len());
        }
        // In fragments, with a ping between them.
        backend.frame(Frame::new(Opcode::Text, b"h\xc3").unfinished()).await;
        backend.frame(Frame::new(Opcode::Ping, "?")).await;
        backend.frame(Frame::new(Opcode::Continuation, b"\xa9!")).await;
        assert_eq!(client.hear().await, "hé!");
        assert_eq!(backend.next().await.map(|frame| (frame.opcode, frame.payload)), Some((Opcode::Pong, b"?".to_vec())));
    }

    async fn ten_thousand_messages_stay_in_order_both_ways(bus) {
        let stand = Stand::start(&bus).await;
        let (client, mut backend) = stand.opened().await;
        let mut client = client;
        let echo = async {
            for n in 0..10_000 {
                let text = backend.hear().await;
                assert_eq!(text, n.to_string());
                backend.say(&text).await;
            }
        };
        let talk = async {
            let mut heard = 0;
            for n in 0..10_000 {
                while !client.session.has_room() || n - heard > 500 {
                    if let h8s_nats::UpstreamEvent::Message(message) = within(client.session.next()).await {
                        assert_eq!(message, Message::text(heard.to_string()));
                        heard += 1;
                    }
                }
                client.session.send(h8s_wire::MessageKind::Text, n.to_string().into(), false).await;
            }
            for n in heard..10_000 {
                assert_eq!(client.hear().await, n.to_string());
            }
        };
        tokio::join!(echo, talk);
    }

    async fn t19_a_backend_that_does_not_read_stops_its_client(bus) {
        let stand = Stand::start(&bus).await;
        let (mut client, mut backend) = stand.opened().await;
        let message = Message::binary(vec![7; 64 * 1024]);
        let mut sent = 0;
        // What the two sockets' buffers take, and a window.
        while tokio::time::timeout(std::time::Duration::from_secs(1), client.send(&message)).await.is_ok() {
            sent += 1;
            assert!(sent < 32 * MIB / (64 * 1024), "nobody stops the client");
        }
        for _ in 0..sent {
            assert_eq!(backend.message().await, (Opcode::Binary, message.data.to_vec()));
        }
        client.say("after all").await;
        assert_eq!(backend.hear().await, "after all");
    }

    async fn t19_a_client_that_does_not_read_stops_its_backend_and_no_other(bus) {
        let stand = Stand::start(&bus).await;
        let (mut stalled, mut flooding) = stand.opened().await;
        let (mut client, mut backend) = stand.opened().await;
        let frame = Frame::new(Opcode::Binary, vec![7; 32 * 1024 - 4]).unmasked().encode();
        let sent = flooding.flood(&frame, 64 * MIB).await;
        assert!(sent < 32 * MIB, "nobody stops the backend: {sent} bytes");

        backend.say("meanwhile").await;
        assert_eq!(client.hear().await, "meanwhile");

        for _ in 0..sent / frame.len() {
            assert_eq!(stalled.message().await.data.len(), 32 * 1024 - 4);
        }
    }

    async fn pings_are_answered_while_the_client_does_not_read(bus) {
        let stand = Stand::start(&bus).await;
        let (mut client, mut backend) = stand.opened().await;
        // More than a window.
        let message = vec![7; 3 * MIB];
        backend.frame(Frame::new(Opcode::Binary, &message)).await;
        for n in 0..100 {
            backend.frame(Frame::new(Opcode::Ping, [n])).await;
            let pong = backend.next().await.expect("a pong");
            assert_eq!((pong.opcode, pong.payload), (Opcode::Pong, vec![n]));
        }
        assert_eq!(client.message().await.data.len(), message.len());
    }

    async fn pongs_that_are_not_read_are_not_collected(bus) {
        let stand = Stand::start(&bus).await;
        let (mut client, mut backend) = stand.opened().await;
        let ping = Frame::new(Opcode::Ping, [7; 125]).unmasked().encode();

        // What the sockets' buffers take both ways: in the end pings wait for pongs to be read.
        let sent = backend.flood(&ping, 256 * MIB).await;
        assert!(sent < 64 * MIB, "nobody stops the backend: {sent} bytes");

        for _ in 0..sent / ping.len() {
            assert_eq!(backend.next().await.expect("a pong").opcode, Opcode::Pong);
        }
        client.say("all is well").await;
        assert_eq!(backend.hear().await, "all is well");
    }
}
