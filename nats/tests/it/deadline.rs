//! The timeout for a response's head, and what of it the responder receives.

use std::time::Duration;

use h8s_nats::{ExchangeContext, ExchangeError, Refused};
use http::{Request, Response};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::fixture::{
    ServiceBody, exchange, full, get, host, over_both_buses, requester, requester_with, responder, within,
};

fn due_in(timeout: Duration) -> Request<ServiceBody> {
    let mut request = get("/");
    let deadline = Instant::now().checked_add(timeout);
    request.extensions_mut().insert(ExchangeContext::default().deadline(deadline));
    request
}

fn left<B>(request: &Request<B>) -> Duration {
    let context = request.extensions().get::<ExchangeContext>().unwrap();
    context.deadline.unwrap().saturating_duration_since(Instant::now())
}

over_both_buses! {
    async fn a_requests_own_deadline_ends_the_wait(bus) {
        let _silent = responder(&bus.url(), "/*", |_| std::future::pending()).await;
        let requester = requester(&bus.url()).await;

        let error = within(requester.send(&host(), due_in(Duration::from_millis(100)))).await.unwrap_err();

        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
    }

    async fn a_deadline_may_be_later_than_the_request_timeout(bus) {
        let _slow = responder(&bus.url(), "/*", |request| async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            Ok(Response::new(full(left(&request).as_secs().to_string())))
        })
        .await;
        let config = h8s_nats::RequesterConfig::default().request_timeout(Duration::from_millis(300));
        let requester = requester_with(&bus.url(), config).await;

        let error = requester.send(&host(), get("/")).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");

        let seconds: u64 = {
            let answer = exchange(&requester, due_in(Duration::from_secs(1000))).await;
            std::str::from_utf8(answer.body()).unwrap().parse().unwrap()
        };
        assert!((900..1000).contains(&seconds), "{seconds}");
    }

    async fn a_deadline_that_is_past_lets_nothing_be_sent(bus) {
        let (seen, mut requests) = mpsc::unbounded_channel();
        let _responder = responder(&bus.url(), "/*", move |request| {
            seen.send(request.uri().path().to_owned()).unwrap();
            async { Ok(Response::new(full(""))) }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let error = requester.send(&host(), due_in(Duration::ZERO)).await.unwrap_err();
        assert!(matches!(error, ExchangeError::Timeout), "{error:?}");
        exchange(&requester, get("/after")).await;

        assert_eq!(requests.recv().await.unwrap(), "/after");
    }

    async fn each_attempt_carries_the_remaining_time(bus) {
        let (record, mut attempts) = mpsc::unbounded_channel();
        let _busy = responder(&bus.url(), "/*", move |request| {
            record.send(left(&request)).unwrap();
            async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                Err(Refused::Busy.into())
            }
        })
        .await;
        let requester = requester(&bus.url()).await;

        let error = requester.send(&host(), due_in(Duration::from_secs(5))).await.unwrap_err();

        assert!(matches!(error, ExchangeError::Refused(_)), "{error:?}");
        let first = attempts.recv().await.unwrap();
        for nth in 1..6 {
            let later = attempts.recv().await.unwrap();
            assert!(later + Duration::from_millis(25) * nth < first, "{later:?} of {first:?}");
        }
    }
}
