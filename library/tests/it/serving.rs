//! `serve`, from start to drain, on either bus.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use futures_util::stream;
use h8s::{PatternError, Refused, ServeError};
use h8s_test_support::{Process, eventually, over_both_buses, soon};
use tokio::sync::oneshot;

use crate::fixture::{Edge, shown};

const HOST: &str = "app.example.com";

fn text(text: &'static str) -> Router {
    Router::new().fallback(any(async move || text))
}

over_both_buses! {
    async fn routes_have_services_of_their_own_and_the_most_specific_serves(bus) {
        let edge = Edge::on(bus).await;
        let server = h8s::serve(&edge.connect().await, "app.example.com/*", text("all"))
            .route("GET app.example.com/users/*", text("users"))
            .route("other.example.com/*", text("other"))
            .start()
            .await
            .unwrap();

        assert_eq!(shown(edge.answer("GET", HOST, "/users/7", "").await).1, "users");
        assert_eq!(shown(edge.answer("POST", HOST, "/users/7", "").await).1, "all");
        assert_eq!(shown(edge.answer("GET", "other.example.com", "/", "").await).1, "other");

        assert!(server.shutdown().await);
        edge.end().await;
    }

    async fn a_shutdown_finishes_the_open_request_and_ends_well(bus) {
        let edge = Edge::on(bus).await;
        let (signal, stop) = oneshot::channel::<()>();
        let (entered, entry) = oneshot::channel::<()>();
        let entered = std::sync::Arc::new(std::sync::Mutex::new(Some(entered)));
        let slow = Router::new().route("/", get(async move || {
            drop(entered.lock().unwrap().take());
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        }));
        let serving = h8s::serve(&edge.connect().await, "app.example.com/*", slow)
            .with_graceful_shutdown(async { drop(stop.await) });
        let serving = tokio::spawn(serving.into_future());
        let answer = edge.answer("GET", HOST, "/", "");

        let (answer, ended) = tokio::join!(answer, async {
            let _ = soon(entry).await;
            signal.send(()).unwrap();
            soon(serving).await.unwrap()
        });

        assert_eq!(shown(answer), (200, "done".into()));
        ended.unwrap();
        edge.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlasts_the_grace_period_is_aborted() {
    let edge = Edge::start().await;
    let endless = Router::new()
        .route("/", get(async || Body::from_stream(stream::pending::<Result<&str, h8s::BoxError>>())));
    let server = h8s::serve(&edge.connect().await, "app.example.com/*", endless)
        .grace_period(Duration::from_millis(50))
        .start()
        .await
        .unwrap();
    let request = tokio::spawn({
        let url = format!("{}/", edge.url);
        async move {
            let mut client = h8s_test_support::http_client::HttpClient::http1(&url).await;
            let request = http::Request::get(&url).header("host", HOST);
            let response =
                client.send(request.body(h8s_test_support::http_client::empty()).unwrap()).await.unwrap();
            h8s_test_support::http_client::whole(response).await
        }
    });
    eventually("the request is open", async || server.open_exchanges() == 1).await;

    assert!(!soon(server.shutdown()).await);

    assert!(soon(request).await.unwrap().is_err(), "an incomplete body is visible as such");
    edge.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_tried_at_another_process() {
    let edge = Edge::start().await;
    let example: Process = edge.example("axum", &[]);
    edge.answer("GET", HOST, "/", "").await;
    let refusing = Refusing::default();
    let server =
        h8s::serve(&edge.connect().await, "app.example.com/*", refusing.clone()).start().await.unwrap();

    eventually("it has refused what it may", async || {
        assert_eq!(shown(edge.answer("GET", HOST, "/", "").await), (200, "hello".into()));
        refusing.refused.load(Ordering::SeqCst) >= MAX_REFUSALS
    })
    .await;

    server.shutdown().await;
    crate::fixture::interrupt(example).await;
    edge.end().await;
}

/// A gateway asks five times: fewer refusals in total never fail a request.
const MAX_REFUSALS: usize = 4;

/// Refuses its first exchanges, then answers like the example.
#[derive(Clone, Default)]
struct Refusing {
    refused: Arc<AtomicUsize>,
}

impl tower_service::Service<http::Request<h8s::Body>> for Refusing {
    type Response = http::Response<Body>;
    type Error = Refused;
    type Future = std::future::Ready<Result<Self::Response, Refused>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Refused>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<h8s::Body>) -> Self::Future {
        let is_refused = self.refused.fetch_add(1, Ordering::SeqCst) < MAX_REFUSALS;
        std::future::ready(if is_refused {
            Err(Refused::Busy)
        } else {
            Ok(http::Response::new("hello".into()))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_pattern_or_queue_group_is_an_error_of_the_start() {
    let bus = h8s_test_support::Bus::embedded().await;
    let connected = h8s::connect(&bus.url()).await.unwrap();

    let error = h8s::serve(&connected, "app.example.com", text("")).await.unwrap_err();
    assert!(matches!(&error, ServeError::Pattern { source: PatternError::NoPath(_), .. }), "{error:?}");
    assert_eq!(error.to_string(), "invalid route \"app.example.com\"");
    assert!(error.source().unwrap().to_string().contains("write HOST/PATH"));

    let error = h8s::serve(&connected, "app.example.com/*", text("")).queue_group("a b").await.unwrap_err();
    assert!(matches!(error, ServeError::Start(_)) && error.source().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let error = h8s::connect("nats://127.0.0.1:1").await.unwrap_err();

    assert!(error.to_string().contains("nats://127.0.0.1:1"), "{error}");
    assert!(error.source().is_some());
}
