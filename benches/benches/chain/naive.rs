//! A naive gateway: hyper, and the NATS client's own request and reply, with all header
//! fields copied. It has no streams, no limits and no cancellation.

use async_nats::{Client, HeaderMap, Message, RequestErrorKind};
use bytes::Bytes;
use h8s_benches::{accept_all, runtime};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::responder::STATUS;

/// The argument that selects the gateway role; the NATS URL follows.
pub(crate) const ROLE: &str = "--naive";
/// The subject of requests.
pub(crate) const SUBJECT: &str = "naive.http";

/// Never returns.
pub(crate) fn run(nats_url: &str) {
    runtime().block_on(async {
        let nats = async_nats::connect(nats_url).await.expect("the bus can be connected to");
        accept_all(|stream| {
            let nats = nats.clone();
            let exchange = service_fn(move |request| exchange(nats.clone(), request));
            http1::Builder::new().serve_connection(stream, exchange)
        })
        .await;
    });
}

async fn exchange(nats: Client, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let reply = nats.request_with_headers(SUBJECT, fields(&head), body).await;
    let response = reply.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => StatusCode::SERVICE_UNAVAILABLE,
        RequestErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    });
    Ok(response.and_then(|message| answer(message).ok_or(StatusCode::BAD_GATEWAY)).unwrap_or_else(|status| {
        let mut response = Response::default();
        *response.status_mut() = status;
        response
    }))
}

fn fields(head: &Parts) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("Method", head.method.as_str());
    fields.insert("Target", head.uri.to_string());
    for (name, value) in &head.headers {
        if let Ok(value) = value.to_str() {
            fields.append(name.as_str(), value);
        }
    }
    fields
}

fn answer(message: Message) -> Option<Response<Full<Bytes>>> {
    let mut response = Response::new(Full::new(message.payload));
    for (name, values) in message.headers.unwrap_or_default().iter() {
        for value in values {
            if name.to_string() == STATUS {
                *response.status_mut() = value.as_str().parse().ok()?;
            } else {
                let name = HeaderName::from_bytes(name.as_ref()).ok()?;
                response.headers_mut().append(name, HeaderValue::from_str(value.as_str()).ok()?);
            }
        }
    }
    Some(response)
}
