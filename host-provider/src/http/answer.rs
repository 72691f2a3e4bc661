//! A request answered by a guest's `incoming-handler`.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use h8s_nats::ResponseTimeout;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::time::Instant;
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::component::Component;
use crate::engine::admission::Permit;
use crate::http::body::ComponentBody;
use crate::http::incoming_handler::Handle;
use crate::http::request_run::{Head, RequestRun};
use crate::instance::fault::{Fault, RequestLabel};
use crate::instance::{Guest, Instantiated};
use crate::push::guest_sender::GuestSender;

/// Calls the export `proxy` of `component` with `request`, until there is a response or `timeout` ends.
pub(crate) async fn answer<B>(
    component: Arc<Component>,
    proxy: ProxyIndices,
    permit: Permit,
    sender: GuestSender,
    request: Request<B>,
    timeout: ResponseTimeout,
) -> Response<ComponentBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let started = Instant::now();
    let label = RequestLabel::of(&request);
    let (call, mut answer) = Handle::new(proxy, request);
    let guest = Guest::new(&component.template, sender, call);
    let mut run = RequestRun::new(guest, component, label, permit);
    let head = timeout.over(poll_fn(|cx| run.poll_head(&mut answer, cx))).await;
    let head = head.unwrap_or_else(|| Err(Fault::TimedOut(started.elapsed())));
    match head.and_then(checked) {
        Ok((response, returned)) => respond(run, response, returned).await,
        Err(fault) => {
            run.log(&fault);
            fault.response().map(ComponentBody::whole)
        }
    }
}

/// The response, with as much of its body as is written at once.
async fn respond(
    run: RequestRun,
    response: Response<HyperOutgoingBody>,
    returned: Option<Instantiated>,
) -> Response<ComponentBody> {
    let (mut head, body) = response.into_parts();
    if *run.method() == Method::HEAD || has_no_content(head.status) {
        // RFC 9110 §8.6: no content-length in a 204; in responses to HEAD and in a 304 it is the one of the GET.
        if head.status == StatusCode::NO_CONTENT {
            head.headers.remove(header::CONTENT_LENGTH);
        }
        match returned {
            Some(instance) => run.end(instance),
            None => drop(tokio::spawn(run.run_to_completion(Some(body)))),
        }
        return Response::from_parts(head, ComponentBody::whole(Bytes::new()));
    }
    let mut body = ComponentBody::running(run, body, content_length(&head.headers));
    match returned {
        Some(instance) => body.take_all(instance),
        None => poll_fn(|cx| body.poll_prefetch(cx)).await,
    }
    match body.fault() {
        // The head is not out yet, so the client can get an error response.
        Some(fault) => fault.response().map(ComponentBody::whole),
        None => Response::from_parts(head, body),
    }
}

fn checked((response, returned): Head) -> Result<Head, Fault> {
    match response.status().is_informational() {
        true => {
            Err(Fault::BadResponse("answered with an informational status, which is not a final response"))
        }
        false => Ok((response, returned)),
    }
}

/// RFC 9110 §15: responses with these statuses have no content.
fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The declared length. wasmtime lets no guest set a value that is not a number, or two values.
fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
