//! Delivery: many subscriptions, queue groups, order.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use crate::raw::Raw;
use crate::{connect, next, settled, soon, start};

/// Receives from several subscriptions until `count` messages have arrived.
async fn collect(subscribers: Vec<async_nats::Subscriber>, count: usize) -> Vec<(usize, String)> {
    let numbered = subscribers.into_iter().enumerate().map(|(number, subscriber)| {
        subscriber.map(move |message| (number, String::from_utf8(message.payload.to_vec()).unwrap()))
    });
    soon(futures_util::stream::select_all(numbered).take(count).collect()).await
}

#[tokio::test]
async fn a_thousand_subscriptions_get_their_own_messages() {
    let broker = start();
    let client = connect(&broker).await;
    let mut subscribers = Vec::new();
    for number in 0..1000 {
        subscribers.push(client.subscribe(format!("many.{number}.x")).await.unwrap());
    }
    let mut all = client.subscribe("many.>").await.unwrap();
    settled(&client).await;

    for number in (0..1000).rev() {
        client.publish(format!("many.{number}.x"), number.to_string().into()).await.unwrap();
    }

    for (number, subscriber) in subscribers.iter_mut().enumerate() {
        assert_eq!(next(subscriber).await.payload, number.to_string());
    }
    for number in (0..1000).rev() {
        assert_eq!(next(&mut all).await.payload, number.to_string());
    }
}

#[tokio::test]
async fn one_member_of_each_queue_group_gets_a_message() {
    let broker = start();
    let client = connect(&broker).await;
    let mut subscribers = Vec::new();
    for (subject, group) in [("a.b", "q"), ("a.*", "q"), ("a.>", "q"), ("a.b", "other")] {
        subscribers.push(client.queue_subscribe(subject, group.to_owned()).await.unwrap());
    }
    settled(&client).await;

    for number in 0..300 {
        client.publish("a.b", number.to_string().into()).await.unwrap();
    }

    let got = collect(subscribers, 600).await;
    let mut of_q: Vec<usize> =
        got.iter().filter(|(who, _)| *who < 3).map(|(_, what)| what.parse().unwrap()).collect();
    of_q.sort_unstable();
    assert_eq!(
        of_q,
        (0..300).collect::<Vec<_>>(),
        "the group q, under three subjects, got each message once"
    );
    let mut shares = BTreeMap::new();
    for (who, _) in got {
        *shares.entry(who).or_insert(0) += 1;
    }
    // By chance alone a member of three has fewer than 50 of 300 once in 10^10 runs.
    assert!(shares.len() == 4 && shares.values().all(|share| *share > 50), "{shares:?}");
}

#[tokio::test]
async fn a_queue_group_passes_over_members_that_cannot_take_a_message() {
    let broker = start();
    let (mut own, _) = Raw::to(&broker).await;
    own.ask("CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB a q 1\r\n").await;
    let mut other = Raw::connected(&broker).await;
    other.ask("SUB a q 1\r\n").await;

    assert!(own.ask("PUB a 1\r\nx\r\n".repeat(20)).await.is_empty());

    assert_eq!(other.until_pong().await, ["MSG a 1 1", "x"].repeat(20));
}

#[tokio::test]
async fn members_that_leave_are_not_counted_on() {
    let broker = start();
    let mut stays = Raw::connected(&broker).await;
    stays.ask("SUB a q 1\r\n").await;
    let mut leaves = Raw::connected(&broker).await;
    leaves.ask("SUB a q 1\r\n").await;
    let mut publisher = Raw::connected(&broker).await;
    publisher.ask("PUB a 1\r\n-\r\n").await;

    leaves.ask("UNSUB 1\r\n").await;
    publisher.ask("PUB a 1\r\nx\r\n".repeat(20)).await;

    let got = stays.until_pong().await;
    assert_eq!(got.iter().filter(|line| *line == "x").count(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_publishers_order_holds_when_several_publish_at_once() {
    const EACH: usize = 5000;
    let broker = start();
    let subscriber = connect(&broker).await;
    let mut messages = subscriber.subscribe("order.*").await.unwrap();
    settled(&subscriber).await;

    for publisher in 0..4 {
        let client = connect(&broker).await;
        tokio::spawn(async move {
            for number in 0..EACH {
                client.publish(format!("order.{publisher}"), number.to_string().into()).await.unwrap();
            }
            settled(&client).await;
        });
    }

    let mut expected = BTreeMap::new();
    for _ in 0..4 * EACH {
        let message = next(&mut messages).await;
        let next_number = expected.entry(message.subject.to_string()).or_insert(0_usize);
        assert_eq!(message.payload, next_number.to_string(), "{}", message.subject);
        *next_number += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_exact_when_small_and_large_messages_mix() {
    const EACH: usize = 400;
    let broker = start();
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        let client = connect(&broker).await;
        subscribers.push(client.subscribe("mix").await.unwrap());
        settled(&client).await;
    }

    for publisher in 0..3_usize {
        let client = connect(&broker).await;
        tokio::spawn(async move {
            for number in 0..EACH {
                client.publish("mix", patterned(publisher, number)).await.unwrap();
            }
            settled(&client).await;
        });
    }

    for subscriber in &mut subscribers {
        let mut expected = [0; 3];
        for _ in 0..3 * EACH {
            let payload = next(subscriber).await.payload;
            let publisher = usize::from(payload[0]);
            assert!(payload == patterned(publisher, expected[publisher]), "message {}", expected[publisher]);
            expected[publisher] += 1;
        }
    }
}

/// Bytes that tell where they come from: mostly few, every tenth time more than a socket takes at once.
fn patterned(publisher: usize, number: usize) -> bytes::Bytes {
    let length = if number.is_multiple_of(10) { number * 997 } else { number % 50 };
    let body = (0..length).map(|at| (at * 31 + number * 7 + publisher) as u8);
    std::iter::once(publisher as u8).chain(body).collect()
}
