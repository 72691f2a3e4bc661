//! A gateway's requester and a responder over one bus, each with its own connections.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{Body, BoxError, ConnectOptions, Requester, RequesterConfig, Responder};
use h8s_wire::{Host, Interest};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

pub(crate) use h8s_test_support::{Bus, eventually, over_both_buses};

pub(crate) type ServiceBody = UnsyncBoxBody<Bytes, BoxError>;
type ServiceFuture = Pin<Box<dyn Future<Output = Result<Response<ServiceBody>, BoxError>> + Send>>;

/// A closure as a tower service.
#[derive(Clone)]
pub(crate) struct Service<F>(pub(crate) F);

impl<F, R> tower_service::Service<Request<Body>> for Service<F>
where
    F: Fn(Request<Body>) -> R,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    type Response = Response<ServiceBody>;
    type Error = BoxError;
    type Future = ServiceFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ServiceFuture {
        Box::pin((self.0)(request))
    }
}

pub(crate) fn service<F, R>(call: F) -> Service<F>
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    Service(call)
}

/// A body of one piece.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ServiceBody {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub(crate) fn body<B>(body: B) -> ServiceBody
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

pub(crate) fn interest(path: &str) -> Interest {
    Interest { host: host(), path: path.parse().unwrap(), method: "ANY".parse().unwrap() }
}

pub(crate) fn host() -> Host {
    "app.example".parse().unwrap()
}

pub(crate) async fn link(url: &str) -> h8s_nats::Bus {
    h8s_nats::Bus::connect(ConnectOptions::new(url).unwrap()).await.unwrap()
}

pub(crate) async fn requester(url: &str) -> Requester {
    requester_with(url, RequesterConfig::default().request_timeout(Duration::from_secs(10))).await
}

/// Ready: the first round of announcements has ended.
pub(crate) async fn requester_with(url: &str, config: RequesterConfig) -> Requester {
    let requester = Requester::start(link(url).await, config).await.unwrap();
    eventually("the requester is ready", async || requester.is_ready()).await;
    requester
}

pub(crate) async fn responder<F, R>(url: &str, path: &str, call: F) -> Responder
where
    F: Fn(Request<Body>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<ServiceBody>, BoxError>> + Send + 'static,
{
    Responder::builder(link(url).await).serve(interest(path), service(call)).start().await.unwrap()
}

pub(crate) fn get(path: &str) -> Request<ServiceBody> {
    request("GET", path, full(""))
}

pub(crate) fn request(method: &str, path: &str, body: ServiceBody) -> Request<ServiceBody> {
    Request::builder().method(method).uri(path).header("host", "app.example").body(body).unwrap()
}

/// Sends a request and reads the whole response.
pub(crate) async fn exchange(requester: &Requester, request: Request<ServiceBody>) -> Response<Bytes> {
    let response = requester.send(&host(), request).await.unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, within(body.collect()).await.unwrap().to_bytes())
}

/// Twice what a loaded machine needs for any wait here.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    h8s_test_support::within(Duration::from_secs(30), future).await
}
