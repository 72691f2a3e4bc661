//! The client library that h8s itself uses.

use async_nats::{Event, HeaderMap, ServerError};
use futures_util::StreamExt as _;
use h8s_broker::{Broker, Config};
use tokio::sync::mpsc;

use crate::{connect, next, settled, soon, start};

#[tokio::test]
async fn publish_and_subscribe() {
    let broker = start();
    let (publisher, subscriber) = (connect(&broker).await, connect(&broker).await);
    let mut literal = subscriber.subscribe("a.b").await.unwrap();
    let mut wild = subscriber.subscribe("a.*").await.unwrap();
    settled(&subscriber).await;

    for number in 0..1000 {
        publisher.publish("a.b", number.to_string().into()).await.unwrap();
    }

    for number in 0..1000 {
        assert_eq!(next(&mut literal).await.payload, number.to_string());
        assert_eq!(next(&mut wild).await.payload, number.to_string());
    }
}

#[tokio::test]
async fn request_and_reply_with_headers() {
    let broker = start();
    let (asker, responder) = (connect(&broker).await, connect(&broker).await);
    let mut requests = responder.subscribe("greet.*").await.unwrap();
    settled(&responder).await;
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let name = request.headers.unwrap().get("Name").unwrap().to_string();
            let reply = [name.as_bytes(), b" ", &request.payload].concat();
            responder.publish(request.reply.unwrap(), reply.into()).await.unwrap();
        }
    });

    for number in 0..100 {
        let mut headers = HeaderMap::new();
        headers.insert("Name", format!("n{number}").as_str());
        let reply = soon(asker.request_with_headers("greet.x", headers, "hello".into())).await.unwrap();
        assert_eq!(reply.payload, format!("n{number} hello"));
    }
}

#[tokio::test]
async fn a_request_that_nobody_serves_fails_at_once() {
    let broker = start();
    let client = connect(&broker).await;

    let error = soon(client.request("nobody.there", "".into())).await.unwrap_err();

    assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders);
}

#[tokio::test]
async fn unsubscribe_after_a_number_of_messages() {
    let broker = start();
    let client = connect(&broker).await;
    let mut subscriber = client.subscribe("a").await.unwrap();
    subscriber.unsubscribe_after(3).await.unwrap();

    for number in 0..5 {
        client.publish("a", number.to_string().into()).await.unwrap();
    }
    settled(&client).await;

    let got: Vec<_> = soon(subscriber.map(|message| message.payload).collect()).await;
    assert_eq!(got, ["0", "1", "2"]);
}

#[tokio::test]
async fn large_messages_pass_up_to_the_limit() {
    let broker = start();
    let client = connect(&broker).await;
    let largest = client.server_info().max_payload;
    assert_eq!(largest, 8 * 1024 * 1024);
    let mut subscriber = client.subscribe("a").await.unwrap();

    let payload: bytes::Bytes = (0..largest).map(|at| (at % 251) as u8).collect();
    client.publish("a", payload.clone()).await.unwrap();

    assert!(next(&mut subscriber).await.payload == payload);
    let error = client.publish("a", vec![0; largest + 1].into()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::PublishErrorKind::MaxPayloadExceeded);
}

#[tokio::test]
async fn an_objection_reaches_the_client_and_leaves_it_connected() {
    let broker = Broker::start(Config { max_subscriptions: 2, ..Config::default() }).unwrap();
    let (heard, mut events) = mpsc::unbounded_channel();
    let options = async_nats::ConnectOptions::new().event_callback(move |event| {
        let heard = heard.clone();
        async move { heard.send(event).unwrap() }
    });
    let client = options.connect(broker.url()).await.unwrap();
    let _kept = (client.subscribe("a").await.unwrap(), client.subscribe("b").await.unwrap());

    let _one_too_many = client.subscribe("c").await.unwrap();

    let objection = loop {
        match soon(events.recv()).await.unwrap() {
            Event::ServerError(error) => break error,
            Event::Disconnected => panic!("the client was sent away"),
            _ => {}
        }
    };
    assert!(
        matches!(&objection, ServerError::Other(text) if text.contains("maximum subscriptions exceeded"))
    );
}

#[tokio::test]
async fn clients_come_back_after_a_restart_on_the_same_port() {
    let broker = start();
    let address = broker.address();
    let client = connect(&broker).await;
    let mut subscriber = client.subscribe("a").await.unwrap();
    settled(&client).await;

    soon(broker.shutdown()).await;
    let broker = Broker::start(Config { listen: address, ..Config::default() }).unwrap();

    // What is published while the client is away may be lost, so publish until something arrives.
    let other = connect(&broker).await;
    let mut every = tokio::time::interval(std::time::Duration::from_millis(20));
    let got = soon(async {
        loop {
            tokio::select! {
                message = subscriber.next() => return message.unwrap(),
                _ = every.tick() => other.publish("a", "again".into()).await.unwrap(),
            }
        }
    });
    assert_eq!(got.await.payload, "again");
}

#[tokio::test]
async fn a_taken_port_is_one_clear_error() {
    let broker = start();

    let error = Broker::start(Config { listen: broker.address(), ..Config::default() }).err().unwrap();

    assert_eq!(error.to_string(), format!("cannot listen on {}", broker.address()));
}

#[tokio::test]
async fn dropping_the_broker_ends_it() {
    let broker = start();
    let (mut raw, _) = crate::raw::Raw::to(&broker).await;

    drop(broker);

    assert!(raw.until_closed().await.is_empty());
}
