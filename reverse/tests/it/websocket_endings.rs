//! Every ending of a WebSocket to a backend, without leaks.

use h8s_test_support::over_both_buses;
use h8s_test_support::websocket_client::{Frame, Opcode};
use h8s_wire::{Close, Message};

use crate::websocket_fixture::{Fixture, MAX_MESSAGE_BYTES, within};

over_both_buses! {
    async fn the_clients_close_reaches_the_backend_after_its_messages(bus) {
        let fixture = Fixture::start(&bus).await;
        for (sent, arrives) in [
            ((1000, "bye"), (1000, "bye")), ((4321, "enough"), (4321, "enough")), ((1005, ""), (1005, "")),
            // A reserved code.
            ((1015, "x"), (1005, "")),
        ] {
            let (mut client, mut backend) = fixture.opened().await;
            for n in 0..100 {
                client.send_text(&n.to_string()).await;
            }
            client.close(sent.0, sent.1).await;
            for n in 0..100 {
                assert_eq!(backend.receive_text().await, n.to_string());
            }
            assert_eq!(backend.closed().await, (arrives.0, arrives.1.to_owned()));
            backend.close(1000, "").await;
            backend.end().await;
        }
        fixture.end_quietly().await;
    }

    async fn a_client_that_vanishes_leaves_its_backend_without_a_close_frame(bus) {
        let fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
        client.send_text("last words").await;

        client.close(Close::ABNORMAL, "").await;

        assert_eq!(backend.receive_text().await, "last words");
        assert_eq!(backend.next().await, None);
        backend.end().await;
        fixture.end_quietly().await;
    }

    async fn a_backend_that_does_not_reply_to_a_close_is_dropped(bus) {
        let fixture = Fixture::start(&bus).await;
        let (client, mut backend) = fixture.opened().await;
        client.close(1000, "").await;
        assert_eq!(backend.closed().await.0, 1000);
        assert_eq!(backend.next().await, None);
        fixture.end_quietly().await;
    }

    async fn the_backends_close_reaches_the_client_after_its_messages(bus) {
        let fixture = Fixture::start(&bus).await;
        for (code, reason) in [(1000, "bye"), (1001, ""), (1014, "x"), (4000, "that was all")] {
            let (mut client, mut backend) = fixture.opened().await;
            for n in 0..100 {
                backend.send_text(&n.to_string()).await;
            }
            backend.close(code, reason).await;
            for n in 0..100 {
                assert_eq!(client.receive_text().await, n.to_string());
            }
            assert_eq!(client.closed().await, Close::new(code, reason));
            assert_eq!(backend.closed().await.0, code);
            backend.end().await;
        }
        let (mut client, mut backend) = fixture.opened().await;
        backend.frame(Frame::new(Opcode::Close, "")).await;
        assert_eq!(client.closed().await, Close::new(1005, ""));
        assert_eq!(backend.closed().await.0, 1005);
        backend.end().await;
        fixture.end_quietly().await;
    }

    async fn a_backend_that_vanishes_closes_with_1011_after_its_messages(bus) {
        let fixture = Fixture::start(&bus).await;
        for is_reset in [false, true] {
            let (mut client, mut backend) = fixture.opened().await;
            backend.send_text("last words").await;
            assert_eq!(client.receive_text().await, "last words");
            match is_reset {
                true => backend.reset(),
                false => backend.end().await,
            }
            assert_eq!(client.closed().await.code, 1011);
        }
        // In the middle of a message, which is not delivered.
        let (mut client, mut backend) = fixture.opened().await;
        backend.frame(Frame::new(Opcode::Text, "half").unfinished()).await;
        backend.raw([0x80, 4, b'h']).await;
        backend.end().await;
        assert_eq!(client.closed().await.code, 1011);
        fixture.end_quietly().await;
    }

    async fn a_message_that_is_too_large_closes_with_1009_on_both_sides(bus) {
        let fixture = Fixture::start(&bus).await;
        let large = vec![7; MAX_MESSAGE_BYTES + 1];

        let (mut client, mut backend) = fixture.opened().await;
        client.send(&Message::binary(large.clone())).await;
        assert_eq!((client.closed().await.code, backend.closed().await.0), (1009, 1009));
        backend.end().await;

        // In one frame, and in two.
        let (mut client, mut backend) = fixture.opened().await;
        backend.raw(Frame::new(Opcode::Binary, "").unmasked().head(large.len() as u64)).await;
        assert_eq!((client.closed().await.code, backend.closed().await.0), (1009, 1009));
        backend.end().await;

        let (mut client, mut backend) = fixture.opened().await;
        backend.frame(Frame::new(Opcode::Binary, &large[1..]).unfinished()).await;
        backend.frame(Frame::new(Opcode::Continuation, "ab")).await;
        assert_eq!((client.closed().await.code, backend.closed().await.0), (1009, 1009));
        backend.end().await;
        fixture.end_quietly().await;
    }

    async fn a_protocol_error_is_reported_to_the_backend_and_the_client_gets_1011(bus) {
        let fixture = Fixture::start(&bus).await;
        let text = |data: &[u8]| Frame::new(Opcode::Text, data).unmasked();
        let close = |data: &[u8]| Frame::new(Opcode::Close, data).unmasked();
        for (frames, code) in [
            (vec![Frame { rsv: 0b100, ..text(b"compressed") }], 1002),
            (vec![Frame::new(Opcode::Text, "masked")], 1002),
            (vec![Frame::new(Opcode::Other(3), "").unmasked()], 1002),
            (vec![Frame::new(Opcode::Continuation, "of nothing").unmasked()], 1002),
            (vec![text(b"one").unfinished(), text(b"another")], 1002),
            (vec![Frame::new(Opcode::Ping, [0; 126]).unmasked()], 1002),
            (vec![close(&1006u16.to_be_bytes())], 1002),
            (vec![close(&[3])], 1002),
            (vec![text(b"\xff")], 1007),
            (vec![text(b"\xc3").unfinished(), Frame::new(Opcode::Continuation, "").unmasked()], 1007),
            (vec![text(b"\xc3").unfinished(), Frame::new(Opcode::Continuation, "x").unmasked()], 1007),
        ] {
            let (mut client, mut backend) = fixture.opened().await;
            for frame in &frames {
                backend.raw(frame.encode()).await;
            }
            assert_eq!(backend.closed().await.0, code, "{frames:?}");
            assert_eq!(client.closed().await.code, 1011, "{frames:?}");
            backend.end().await;
        }
        fixture.end_quietly().await;
    }

    async fn a_draining_daemon_closes_the_backend_with_1001_and_the_client_gets_1012(bus) {
        let mut fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
        client.send_text("before").await;
        assert_eq!(backend.receive_text().await, "before");

        let daemon = fixture.daemon.take().unwrap();
        let goodbye = async {
            let (code, _) = backend.closed().await;
            backend.close(code, "").await;
            backend.end().await;
            code
        };
        let (_, code, close) =
            tokio::join!(within(daemon.drain(std::time::Duration::from_secs(5))), goodbye, client.closed());

        assert_eq!((code, close.code), (1001, 1012));
        fixture.end_quietly().await;
    }

    async fn a_draining_daemon_does_not_wait_for_a_backend_that_does_not_read(bus) {
        let mut fixture = Fixture::start(&bus).await;
        let (mut client, backend) = fixture.opened().await;
        let message = Message::binary(vec![7; 64 * 1024]);
        while tokio::time::timeout(std::time::Duration::from_secs(1), client.send(&message)).await.is_ok() {}

        let daemon = fixture.daemon.take().unwrap();
        within(daemon.drain(std::time::Duration::from_secs(5))).await;

        assert_eq!(client.closed().await.code, 1012);
        fixture.end_quietly().await;
        drop(backend);
    }

    async fn a_killed_daemon_closes_with_1012_and_drops_its_backend(bus) {
        let mut fixture = Fixture::start(&bus).await;
        let (mut client, mut backend) = fixture.opened().await;
        // During a message for the client that is larger than a window.
        backend.frame(Frame::new(Opcode::Binary, vec![7; MAX_MESSAGE_BYTES])).await;
        client.send_text("before").await;
        assert_eq!(backend.receive_text().await, "before");

        drop(fixture.daemon.take());

        assert_eq!((client.closed().await.code, backend.closed().await.0), (1012, 1001));
        backend.end().await;
        fixture.end_quietly().await;
    }
}
