use std::time::{Duration, Instant};

use async_nats::{Client, ConnectOptions, Event, Subscriber};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::*;
use crate::soon;

async fn connect(proxy: &FaultProxy) -> (Client, mpsc::Receiver<Event>) {
    let (sender, events) = mpsc::channel(64);
    let options = ConnectOptions::new().event_callback(move |event| {
        let sender = sender.clone();
        async move { drop(sender.send(event).await) }
    });
    (soon(options.connect(proxy.url())).await.unwrap(), events)
}

async fn wait_for(events: &mut mpsc::Receiver<Event>, wanted: &Event) {
    while soon(events.recv()).await.as_ref() != Some(wanted) {}
}

/// Publishes 0 to 99 to `x`, then `end` to `y`. Returns the numbers that arrived before the end.
async fn hundred_and_end(client: &Client) -> Vec<String> {
    let mut all: Subscriber = client.subscribe(">").await.unwrap();
    for number in 0..100 {
        client.publish("x", number.to_string().into()).await.unwrap();
    }
    client.publish("y", "end".into()).await.unwrap();
    let mut arrived = Vec::new();
    loop {
        let message = soon(all.next()).await.unwrap();
        if message.subject.as_str() == "y" {
            return arrived;
        }
        arrived.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
}

fn in_order() -> Vec<String> {
    (0..100).map(|number| number.to_string()).collect()
}

crate::over_both_buses! {
    async fn without_faults_everything_arrives(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let (client, _events) = connect(&proxy).await;

        assert_eq!(hundred_and_end(&client).await, in_order());
        assert_eq!(proxy.counts(), Counts { connections: 1, concerned: 202, ..Counts::default() });
    }

    async fn a_large_message_arrives_byte_for_byte(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let (client, _events) = connect(&proxy).await;
        let payload: Vec<u8> = (0..600_000_u32).map(|number| (number % 251) as u8).collect();
        let mut subscriber = client.subscribe("large").await.unwrap();

        client.publish("large", payload.clone().into()).await.unwrap();

        assert!(soon(subscriber.next()).await.unwrap().payload == payload);
    }

    async fn chosen_messages_are_dropped_duplicated_and_swapped(bus) {
        let faults = Faults::none().dropping(0.1).duplicating(0.1).swapping(0.1).seed(1);
        let proxy = FaultProxy::start(&bus.url(), faults.on_prefix("x").only(Direction::ToClient)).await;
        let (client, _events) = connect(&proxy).await;

        let arrived = hundred_and_end(&client).await;

        let counts = proxy.counts();
        assert!(counts.dropped > 0 && counts.duplicated > 0 && counts.swapped > 0, "{counts:?}");
        // The last one may be held, and then follows the end.
        let expected = 100 - counts.dropped + counts.duplicated;
        assert!((expected - 1..=expected).contains(&(arrived.len() as u64)), "{counts:?} {arrived:?}");
        assert!(!arrived.is_sorted_by_key(|number| number.parse::<u32>().unwrap()));
    }

    async fn a_disconnected_client_is_refused_until_the_network_heals(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none().dropping(1.0)).await;
        let (client, mut events) = connect(&proxy).await;
        wait_for(&mut events, &Event::Connected).await;

        proxy.refuse(true);
        proxy.cut();
        wait_for(&mut events, &Event::Disconnected).await;
        assert!(async_nats::connect(proxy.url()).await.is_err());
        proxy.heal();

        wait_for(&mut events, &Event::Connected).await;
        assert_eq!(hundred_and_end(&client).await, in_order());
    }

    async fn a_frozen_network_delivers_after_it_heals(bus) {
        let proxy = FaultProxy::start(&bus.url(), Faults::none()).await;
        let (client, _events) = connect(&proxy).await;
        let mut subscriber = client.subscribe("x").await.unwrap();
        soon(client.flush()).await.unwrap();

        proxy.freeze();
        client.publish("x", "late".into()).await.unwrap();
        let nothing = tokio::time::timeout(Duration::from_millis(50), subscriber.next()).await;
        assert!(nothing.is_err());
        proxy.heal();

        assert_eq!(soon(subscriber.next()).await.unwrap().payload, "late");
    }

    async fn a_delay_takes_that_long(bus) {
        let delay = Duration::from_millis(100);
        let faults = Faults::none().delayed(Direction::ToServer, delay);
        let proxy = FaultProxy::start(&bus.url(), faults).await;
        let (client, _events) = connect(&proxy).await;

        let begin = Instant::now();

        assert_eq!(hundred_and_end(&client).await, in_order());
        assert!(begin.elapsed() >= delay);
    }
}

#[tokio::test]
async fn the_login_of_the_upstream_url_is_kept() {
    let proxy = FaultProxy::start("nats://user:secret@127.0.0.1:1", Faults::none()).await;

    assert!(proxy.url().starts_with("nats://user:secret@127.0.0.1:"));
}
