//! A daemon's service, called as a responder calls it, in front of a backend.

use std::time::Duration;

use bytes::Bytes;
use h8s_nats::{Body, BoxError, ExchangeContext, LoggedError, Refused};
use h8s_reverse::{
    BackendConfig, HostHeader, MappingConfig, Protocol, ReverseBody, ReverseConfig, ReverseService,
};
use h8s_test_support::raw_origin::{RawConnection, RawOrigin};
use h8s_wire::QueueGroup;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tower_service::Service;

/// What every exchange here may take at most.
const DEADLINE: Duration = Duration::from_secs(20);

/// A backend as it is unless a test says otherwise.
pub(crate) fn backend(url: &str) -> BackendConfig {
    BackendConfig {
        url: url.parse().unwrap(),
        ca: None,
        protocol: Protocol::Auto,
        connect_timeout: Duration::from_secs(5),
        keep_alive: DEADLINE,
        idle_timeout: DEADLINE,
        max_connections: 100,
        max_websockets: 100,
        max_message_bytes: 1024 * 1024,
    }
}

/// Everything of `app.example` from this backend.
pub(crate) fn mapping(backend: BackendConfig) -> MappingConfig {
    MappingConfig {
        hosts: vec!["app.example".parse().unwrap()],
        path: "/*".parse().unwrap(),
        strip_prefix: false,
        host_header: HostHeader::Keep,
        backend,
    }
}

pub(crate) fn service(mapping: MappingConfig) -> ReverseService {
    let config = ReverseConfig {
        mappings: vec![mapping],
        queue_group: QueueGroup::default(),
        grace_period: Duration::from_secs(5),
    };
    config.build().unwrap().remove(0).service
}

/// In front of this backend, with what `set` changes.
pub(crate) fn in_front_of(url: &str, set: impl FnOnce(&mut BackendConfig)) -> ReverseService {
    let mut backend = backend(url);
    set(&mut backend);
    service(mapping(backend))
}

/// A request as the gateway sends it.
pub(crate) fn request(method: &str, path: &str, body: &'static str) -> Request<Body> {
    let context = ExchangeContext::default()
        .client(Some([192, 0, 2, 7].into()))
        .is_secure(true)
        .deadline(Some(Instant::now() + DEADLINE));
    Request::builder()
        .method(method)
        .uri(format!("https://app.example{path}"))
        .header("host", "app.example")
        .extension(context)
        .body(Body::from(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

pub(crate) async fn call(
    service: &ReverseService,
    request: Request<Body>,
) -> Result<Response<ReverseBody>, BoxError> {
    h8s_test_support::within(DEADLINE, service.clone().call(request)).await
}

/// Why there is no response: the whole request was one that could be refused.
pub(crate) async fn refusal(service: &ReverseService) -> Option<Refused> {
    let refused = call(service, request("GET", "/", "")).await.err()?;
    Some(*refused.downcast::<Refused>().unwrap())
}

/// Whether there is no valid response, though somebody may have got the request.
pub(crate) async fn is_unanswered(service: &ReverseService) -> bool {
    call(service, request("GET", "/", "")).await.is_err_and(|error| error.is::<LoggedError>())
}

pub(crate) async fn get(service: &ReverseService, path: &str) -> Response<ReverseBody> {
    call(service, request("GET", path, "")).await.unwrap()
}

/// Status, headers and body.
pub(crate) async fn whole(response: Response<ReverseBody>) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = response.into_parts();
    let body = h8s_test_support::within(DEADLINE, body.collect()).await.unwrap();
    (head.status, head.headers, body.to_bytes())
}

pub(crate) async fn text(service: &ReverseService, path: &str) -> String {
    let (_, _, body) = whole(get(service, path).await).await;
    String::from_utf8(body.to_vec()).unwrap()
}

/// The bytes of a response with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A connection on which one request has been answered.
pub(crate) async fn served_once(origin: &RawOrigin, service: &ReverseService) -> RawConnection {
    let serve = async {
        let mut connection = origin.accept().await;
        connection.request().await;
        connection.send(ok("one")).await;
        connection
    };
    let (said, connection) = tokio::join!(text(service, "/1"), serve);
    assert_eq!(said, "one");
    connection
}
