//! One WebSocket from a gateway's session to the responder that owns it, and back.

use bytes::Bytes;
use h8s_nats::{
    Accept, AcceptError, ExchangeError, Incoming, Refused, Responder, UpgradeOutcome, UpstreamEvent,
    WebSocket, WebSocketUpgrade,
};
use h8s_wire::{Close, Message, MessageKind};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::fixture::{full, host, link, over_both_buses, service, within};
use crate::websocket_fixture::{
    echo, echo_responder, gateway, opened, owner, refusing, served, upgrade, websockets,
};

over_both_buses! {
    async fn messages_come_back_as_they_went(bus) {
        let _responder = echo_responder(&bus.url()).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/chat").await;
        let (_, mut client) = opened(&requester, "/chat").await;

        let large = Bytes::from((0..5_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        for message in [Message::text("héllo"), Message::text(""), Message::binary(vec![0, 255]), Message::binary(large)] {
            let mut events = client.send(&message).await;
            let echo = match events.pop() {
                Some(event) => event,
                None => client.event().await,
            };
            assert!(echo == UpstreamEvent::Message(message), "differs");
        }
        within(client.session.close(Close::new(1000, "bye"))).await;
        assert_eq!(requester.open_exchanges(), 0);
    }

    async fn the_responder_chooses_among_the_offered_subprotocols(bus) {
        let accept = Accept::default().protocol(Some("other".into())).holds_state(false);
        let _responder = owner(&bus.url(), accept, echo).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (headers, _client) = opened(&requester, "/").await;
        assert_eq!(headers["sec-websocket-protocol"], "other");

        let accept = Accept::default().protocol(Some("invented".into())).holds_state(false);
        let _replaced = _responder.drain(std::time::Duration::ZERO).await;
        let _responder = owner(&bus.url(), accept, echo).await;
        served(&requester, "/").await;
        let result = within(requester.open_websocket(&host(), upgrade("/"))).await;
        assert!(matches!(result, Err(ExchangeError::InvalidResponse(_))), "{result:?}");
    }

    async fn an_upgrade_is_accepted_once_and_only_with_a_protocol_that_can_be_sent(bus) {
        let (errors, mut accepts) = mpsc::unbounded_channel();
        let accepting = service(move |mut request: http::Request<_>| {
            let errors = errors.clone();
            async move {
                let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().expect("a WebSocket");
                let broken = upgrade.clone().accept(Accept::default().protocol("a\nb".to_owned()));
                let clone = upgrade.clone();
                let (response, websocket) = upgrade.accept(Accept::default())?;
                let again = clone.accept(Accept::default());
                errors.send((broken.unwrap_err(), again.unwrap_err())).unwrap();
                tokio::spawn(echo(websocket));
                Ok(response.map(|()| full("")))
            }
        });
        let builder = Responder::builder(link(&bus.url()).await);
        let _responder = builder.serve(websockets("/*"), accepting).start().await.unwrap();
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;

        let (_, mut client) = opened(&requester, "/").await;

        let (broken, again) = within(accepts.recv()).await.unwrap();
        assert_eq!(broken, AcceptError::InvalidProtocol("a\nb".into()));
        assert_eq!(again, AcceptError::AlreadyAccepted);
        client.send(&Message::text("once")).await;
        assert!(client.event().await == UpstreamEvent::Message(Message::text("once")), "differs");
    }

    async fn a_sender_in_another_task_goes_on_while_the_owner_waits_for_a_loss(bus) {
        let many = 64;
        let own = move |mut websocket: WebSocket| async move {
            let sender = websocket.sender();
            let sending = tokio::spawn(async move {
                for _ in 0..many {
                    sender.send(Message::binary(vec![0; 64 * 1024])).await.unwrap();
                }
            });
            let _ = websocket.lost().await;
            let _ = sending.await;
        };
        let _responder = owner(&bus.url(), Accept::default(), own).await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;

        for _ in 0..many {
            assert!(matches!(client.event().await, UpstreamEvent::Message(_)));
        }
    }

    async fn a_refusal_is_the_clients_response(bus) {
        let refuse = service(|mut request: http::Request<_>| async move {
            let upgrade = request.extensions_mut().remove::<WebSocketUpgrade>().expect("a WebSocket");
            assert!(!upgrade.is_reopened());
            assert_eq!((request.method().as_str(), request.uri().path()), ("CONNECT", "/secret"));
            Ok(refusing(403))
        });
        let _responder =
            Responder::builder(link(&bus.url()).await).serve(websockets("/*"), refuse).start().await.unwrap();
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;

        let answer = within(requester.open_websocket(&host(), upgrade("/secret"))).await.unwrap();

        let UpgradeOutcome::Refused(response) = answer else { panic!("accepted") };
        assert_eq!((response.status().as_u16(), &response.headers()["x-why"]), (403, &"because".parse().unwrap()));
        assert_eq!(within(response.into_body().collect()).await.unwrap().to_bytes(), "not you");
        assert_eq!(requester.open_connections(), 0);
    }

    async fn a_websocket_without_a_responder_is_refused_like_any_request(bus) {
        let cut_off = service(|_| async { Err(Refused::Unreachable.into()) });
        let _responder =
            Responder::builder(link(&bus.url()).await).serve(websockets("/*"), cut_off).start().await.unwrap();
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;

        let result = within(requester.open_websocket(&host(), upgrade("/"))).await;

        assert!(matches!(result, Err(ExchangeError::Refused(Refused::Unreachable))), "{result:?}");
    }

    async fn an_answer_that_neither_accepts_nor_refuses_is_an_error(bus) {
        let ignorant = service(|_| async move { Ok(http::Response::new(full("what is a WebSocket?"))) });
        let _responder =
            Responder::builder(link(&bus.url()).await).serve(websockets("/*"), ignorant).start().await.unwrap();
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let result = within(requester.open_websocket(&host(), upgrade("/"))).await;
        assert!(matches!(result, Err(ExchangeError::Aborted { .. })), "{result:?}");
    }

    async fn the_clients_close_follows_its_messages_and_is_awaited(bus) {
        let (record, mut records) = mpsc::unbounded_channel();
        let _responder = owner(&bus.url(), Accept::default(), move |mut websocket| {
            let record = record.clone();
            async move {
                loop {
                    let incoming = websocket.next().await;
                    let is_last = !matches!(incoming, Incoming::Message { .. });
                    record.send(incoming).unwrap();
                    if is_last {
                        return;
                    }
                }
            }
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;

        for n in 0..100 {
            client.say(&n.to_string()).await;
        }
        within(client.session.close(Close::new(4321, "enough"))).await;

        // It has been handled when close returns: no wait here.
        for n in 0..100 {
            let message = Message::text(n.to_string());
            assert_eq!(records.try_recv().unwrap(), Incoming::Message { message, redelivered: false });
        }
        assert_eq!(records.try_recv().unwrap(), Incoming::Close(Close::new(4321, "enough")));
        assert_eq!(requester.open_exchanges(), 0);
    }

    async fn the_responders_close_follows_its_messages(bus) {
        let _responder = owner(&bus.url(), Accept::default(), |websocket| async move {
            let sender = websocket.sender();
            for n in 0..100 {
                sender.send(Message::text(n.to_string())).await.unwrap();
            }
            websocket.close(Close::new(4000, "that was all")).await;
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;

        for n in 0..100 {
            assert_eq!(client.receive_text().await, n.to_string());
        }
        assert_eq!(client.closed().await, Close::new(4000, "that was all"));
        within(client.session.close(Close::new(4000, ""))).await;
        crate::fixture::eventually("it is over", async || requester.open_exchanges() == 0).await;
    }

    async fn an_owner_that_gives_up_closes_with_1011(bus) {
        let _responder = owner(&bus.url(), Accept::default(), |mut websocket| async move {
            websocket.next().await;
            panic!("a bug");
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        client.say("x").await;
        assert_eq!(client.closed().await.code, 1011);
    }

    async fn a_leg_that_is_forgotten_tells_the_responder(bus) {
        let (record, mut records) = mpsc::unbounded_channel();
        let _responder = owner(&bus.url(), Accept::default(), move |mut websocket| {
            let record = record.clone();
            async move { record.send(websocket.next().await).unwrap() }
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, client) = opened(&requester, "/").await;
        drop(client);
        assert_eq!(within(records.recv()).await, Some(Incoming::Close(Close::new(1006, ""))));
    }

    async fn t19_a_receiver_that_is_slow_takes_the_room_away(bus) {
        let (go, going) = tokio::sync::watch::channel(false);
        let _responder = owner(&bus.url(), Accept::default(), move |websocket| {
            let mut going = going.clone();
            async move {
                going.wait_for(|go| *go).await.unwrap();
                echo(websocket).await;
            }
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;

        let part = Bytes::from(vec![7; 64 * 1024]);
        let mut sent = 0;
        while client.session.has_room() {
            client.session.send(MessageKind::Binary, part.clone(), false).await;
            sent += 1;
        }
        assert!((4..=8).contains(&sent), "a window of 512 KiB takes {sent} parts of 64 KiB");
        go.send(true).unwrap();
        // Room returns, and no message was lost.
        let (mut echoed, mut had_room) = (0, false);
        while echoed < sent || !had_room {
            match within(client.session.next()).await {
                UpstreamEvent::Room => had_room = true,
                UpstreamEvent::Message(message) => {
                    assert_eq!(message.data, part);
                    echoed += 1;
                }
                UpstreamEvent::Close(close) => panic!("{close:?}"),
            }
        }
    }

    async fn t19_a_client_that_does_not_read_stops_its_responder_only(bus) {
        let _responder = owner(&bus.url(), Accept::default(), |mut websocket| async move {
            let sender = websocket.sender();
            let flood = async {
                while sender.send(Message::binary(vec![1; 32 * 1024])).await.is_ok() {}
            };
            tokio::select! {
                () = flood => {}
                _ = websocket.next() => {}
            }
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, stalled) = opened(&requester, "/stalled").await;
        let (_, mut reading) = opened(&requester, "/reading").await;
        // Ten windows of messages, while the peer does not read.
        for _ in 0..320 {
            let UpstreamEvent::Message(message) = reading.event().await else { panic!() };
            assert_eq!(message.data.len(), 32 * 1024);
        }
        drop(stalled);
    }

    async fn a_message_that_its_sender_cuts_off_never_becomes_part_of_another(bus) {
        let _responder = owner(&bus.url(), Accept::default(), |mut websocket| async move {
            let sender = websocket.sender();
            // More than a window: it waits for credit that does not arrive.
            let large = sender.send(Message::text("a".repeat(3 * 1024 * 1024)));
            assert!(tokio::time::timeout(std::time::Duration::from_millis(100), large).await.is_err());
            assert!(sender.send(Message::text("b")).await.is_err());
            websocket.next().await;
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        // Does not read until the responder has timed out.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(client.closed().await.code, 1011);
    }

    async fn a_message_beyond_the_gateways_limit_closes_with_1009(bus) {
        let _responder = owner(&bus.url(), Accept::default(), |websocket| async move {
            let large = Message::binary(vec![0; 9 * 1024 * 1024]);
            let _ = websocket.sender().send(large).await;
            drop(websocket);
        })
        .await;
        let requester = gateway(&bus.url()).await;
        served(&requester, "/").await;
        let (_, mut client) = opened(&requester, "/").await;
        assert_eq!(client.closed().await.code, 1009);
    }
}
