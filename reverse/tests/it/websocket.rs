//! WebSockets to a backend: the handshake, messages, and backpressure.

use h8s_nats::{ExchangeError, Refused, UpgradeOutcome};
use h8s_test_support::over_both_buses;
use h8s_test_support::websocket_client::{Frame, Opcode};
use h8s_wire::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls::certificate;
use crate::websocket_backend::{field, switching};
use crate::websocket_fixture::{Fixture, gateway, host, refused, upgrade, within};

const MIB: usize = 1024 * 1024;

over_both_buses! {
    async fn the_backend_receives_the_clients_handshake(bus) {
        let fixture = Fixture::start(&bus).await;
        let mut request = upgrade("/a%2Fb//c?x=%20&&y");
        for (name, value) in [
            ("origin", "https://app.example"), ("cookie", "a=1"), ("authorization", "Basic eDp5"),
            ("sec-websocket-protocol", "chat, superchat"), ("sec-websocket-protocol", "v2"),
        ] {
            request.headers_mut().append(name, value.parse().unwrap());
        }

        let answer = async {
            let (head, mut connection) = fixture.backend.accept_request().await;
            let fields = "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Hop: 1\r\n";
            connection.raw(switching(&head, fields).replace("Upgrade\r\n", "Upgrade, X-Hop\r\n")).await;
            (head, connection)
        };
        let (opened, (head, connection)) = tokio::join!(fixture.open(request), answer);

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
        fixture.end_quietly().await;
    }

    async fn a_refusal_is_the_clients_response(bus) {
        let fixture = Fixture::start(&bus).await;
        let refuse = async {
            let (_, mut connection) = fixture.backend.accept_request().await;
            let body = "not you".repeat(100_000);
            let length = body.len();
            let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\nX-Why: because\r\n\r\n");
            connection.raw(head + &body).await;
            connection
        };

        let ((status, headers, body), connection) =
            tokio::join!(async { refused(fixture.open(upgrade("/")).await).await }, refuse);

        assert_eq!((status, &headers["x-why"]), (403, &"because".parse().unwrap()));
        assert_eq!(body.unwrap(), "not you".repeat(100_000));
        connection.end().await;
        fixture.end_quietly().await;
    }

    async fn an_invalid_response_is_a_502(bus) {
        let fixture = Fixture::start(&bus).await;
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
                let (head, mut connection) = fixture.backend.accept_request().await;
                connection.raw(answer(&head)).await;
                connection.end().await;
            };
            let (opened, ()) = tokio::join!(fixture.open(upgrade("/")), answer);
            let error = opened.map(drop).unwrap_err();
            assert!(matches!(error, ExchangeError::Aborted { .. }), "{what}: {error}");
        }
        fixture.end_quietly().await;
    }

    async fn a_backend_without_a_response_is_dropped_with_its_client(bus) {
        let fixture = Fixture::start(&bus).await;

        let connection = tokio::select! {
            _ = fixture.open(upgrade("/")) => panic!("the backend has not responded"),
            (_, connection) = fixture.backend.accept_request() => connection,
        };

        // Dropping the request cancels it.
        connection.end().await;
        fixture.end_quietly().await;
    }

    async fn a_backend_without_a_response_in_time_is_dropped(bus) {
        let fixture = Fixture::start(&bus).await;
        let hasty = gateway(&bus, std::time::Duration::from_secs(1)).await;
        let host = host();

        let (answer, (_, connection)) =
            tokio::join!(within(hasty.open_websocket(&host, upgrade("/"))), fixture.backend.accept_request());

        assert!(answer.is_err(), "{answer:?}");
        connection.end().await;
        fixture.end_quietly().await;
    }

    async fn a_backend_is_reached_over_tls(bus) {
        let (config, file) = certificate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let fixture = Fixture::with(&bus, |backend| {
            backend.url = url.parse().unwrap();
            backend.ca = Some(file.path().to_owned());
        })
        .await;
        let address = fixture.backend.address();
        let decrypting = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = TlsAcceptor::from(config).accept(stream).await.unwrap();
            let mut plain = TcpStream::connect(address).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
        });

        let (mut client, mut backend) = fixture.opened().await;
        client.send_text("there").await;
        assert_eq!(backend.receive_text().await, "there");
        backend.send_text("and back").await;
        assert_eq!(client.receive_text().await, "and back");
        client.close(4000, "bye").await;
        assert_eq!(backend.closed().await, (4000, "bye".into()));
        backend.end().await;
        fixture.end_quietly().await;
        within(decrypting).await.unwrap();
    }

    async fn an_outage_of_nats_is_survived(mut bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;

        bus.stop().await;
        backend.send_text("while NATS is away").await;
        bus.restart().await;

        assert_eq!(client.receive_text().await, "while NATS is away");
        client.send_text("and back").await;
        assert_eq!(backend.receive_text().await, "and back");
    }

    async fn a_closed_port_is_unreachable(bus) {
        let gone = crate::websocket_backend::Backend::bind().await.url();
        let fixture = Fixture::with(&bus, |config| config.url = gone.parse().unwrap()).await;
        let answer = fixture.open(upgrade("/")).await;
        assert!(matches!(answer, Err(ExchangeError::Refused(Refused::Unreachable))), "{answer:?}");
    }

    async fn websockets_beyond_the_limit_are_refused(bus) {
        let fixture = Fixture::with(&bus, |config| config.max_websockets = 1).await;
        let (first, connection) = fixture.opened().await;

        let answer = fixture.open(upgrade("/")).await;
        assert!(matches!(answer, Err(ExchangeError::Refused(Refused::Busy))), "{answer:?}");

        drop(first);
        connection.end().await;
        within(fixture.service.idle()).await;
        let (_second, _connection) = fixture.opened().await;
    }

    async fn messages_arrive_unchanged(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
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
        assert_eq!(client.receive_text().await, "hé!");
        assert_eq!(backend.next().await.map(|frame| (frame.opcode, frame.payload)), Some((Opcode::Pong, b"?".to_vec())));
    }

    async fn ten_thousand_messages_stay_in_order_both_ways(bus) {
        let fixture = Fixture::start(&bus).await;
        let (client, mut backend) = fixture.opened().await;
        let mut client = client;
        let echo = async {
            for n in 0..10_000 {
                let text = backend.receive_text().await;
                assert_eq!(text, n.to_string());
                backend.send_text(&text).await;
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
                assert_eq!(client.receive_text().await, n.to_string());
            }
        };
        tokio::join!(echo, talk);
    }

    async fn t19_a_backend_that_does_not_read_stops_its_client(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
        let message = Message::binary(vec![7; 64 * 1024]);
        let mut sent = 0;
        // The buffers of the two sockets, and a window.
        while tokio::time::timeout(std::time::Duration::from_secs(1), client.send(&message)).await.is_ok() {
            sent += 1;
            assert!(sent < 32 * MIB / (64 * 1024), "the client is not stopped");
        }
        for _ in 0..sent {
            assert_eq!(backend.message().await, (Opcode::Binary, message.data.to_vec()));
        }
        client.send_text("after all").await;
        assert_eq!(backend.receive_text().await, "after all");
    }

    async fn t19_a_client_that_does_not_read_stops_its_backend_and_no_other(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut stalled, mut flooding) = fixture.opened().await;
        let (mut client, mut backend) = fixture.opened().await;
        let frame = Frame::new(Opcode::Binary, vec![7; 32 * 1024 - 4]).unmasked().encode();
        let sent = flooding.flood(&frame, 64 * MIB).await;
        assert!(sent < 32 * MIB, "the backend is not stopped: {sent} bytes");

        backend.send_text("meanwhile").await;
        assert_eq!(client.receive_text().await, "meanwhile");

        for _ in 0..sent / frame.len() {
            assert_eq!(stalled.message().await.data.len(), 32 * 1024 - 4);
        }
    }

    async fn pings_are_answered_while_the_client_does_not_read(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
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

    async fn unread_pongs_are_not_buffered_without_limit(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
        let ping = Frame::new(Opcode::Ping, [7; 125]).unmasked().encode();

        // The buffers of the sockets in both directions; then pings wait until pongs are read.
        let sent = backend.flood(&ping, 256 * MIB).await;
        assert!(sent < 64 * MIB, "the backend is not stopped: {sent} bytes");

        for _ in 0..sent / ping.len() {
            assert_eq!(backend.next().await.expect("a pong").opcode, Opcode::Pong);
        }
        client.send_text("all is well").await;
        assert_eq!(backend.receive_text().await, "all is well");
    }
}
