//! An operator watches the bus with `nats sub 'h8s.>'`: the server then never reports "no responders".

use std::time::{Duration, Instant};

use crate::fixture::*;

over_both_buses! {
    async fn both_sides_start_answer_and_drain_without_a_wait(bus) {
        // given a watcher
        let watcher = async_nats::connect(bus.url()).await.unwrap();
        let _watching = watcher.subscribe("h8s.>").await.unwrap();
        watcher.flush().await.unwrap();
        // when both sides start, exchange and stop
        let started = Instant::now();
        let responder =
            responder(&bus.url(), "/*", |_| async { Ok(http::Response::new(full("answer"))) }).await;
        let requester = requester(&bus.url()).await;
        assert_eq!(exchange(&requester, get("/x")).await.into_body(), "answer");
        assert!(requester.drain(Duration::from_secs(5)).await);
        assert!(responder.drain(Duration::from_secs(5)).await);
        // then neither side waited for a missing answer, which takes 5 s each time
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
}
