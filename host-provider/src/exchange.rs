//! One request and its response: a guest at work, the right to run it, and what the log calls it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_nats::ResponseTimeout;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::{Instant, timeout};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::admission::Permit;
use crate::body::ComponentBody;
use crate::component::Component;
use crate::fault::{Fault, RequestLabel};
use crate::incoming_handler::{Answer, Handle};
use crate::instance::{Ending, Guest, Instantiated, Returned};
use crate::sending::Sending;

/// A guest that works on a request. Dropping it cancels the guest and frees its store.
pub(crate) struct Exchange {
    guest: Guest,
    component: Arc<Component>,
    label: RequestLabel,
    // Last, as the place of an instance is free only when the instance is gone.
    permit: Permit,
}

/// A response head, and the instance if the guest has returned already.
type Head = (Response<HyperOutgoingBody>, Option<Instantiated>);

impl Exchange {
    /// Runs `component`, by its export `proxy`, for `request`, until there is a response or `patience` ends.
    pub(crate) async fn answer<B>(
        component: Arc<Component>,
        proxy: ProxyIndices,
        permit: Permit,
        sending: Sending,
        request: Request<B>,
        patience: ResponseTimeout,
    ) -> Response<ComponentBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let label = RequestLabel::of(&request);
        let (call, mut answer) = Handle::new(proxy, request);
        let guest = Guest::new(&component, sending, call);
        let mut exchange = Self { guest, component, label, permit };
        let head = patience.over(poll_fn(|cx| exchange.poll_head(&mut answer, cx))).await;
        let head = head.unwrap_or_else(|| Err(Fault::TimedOut(started.elapsed())));
        match head.and_then(checked) {
            Ok((response, returned)) => exchange.respond(response, returned).await,
            Err(fault) => {
                exchange.log(&fault);
                fault.response().map(ComponentBody::whole)
            }
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.guest.poll(cx)
    }

    pub(crate) fn log(&self, fault: &Fault) {
        fault.log(&self.component.name, &self.label);
    }

    /// All is done, and well: the instance may have another call.
    pub(crate) fn end(self, instance: Instantiated) {
        instance.rest(self.permit.into_slot());
    }

    fn poll_head(
        &mut self,
        answer: &mut oneshot::Receiver<Answer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Fault>> {
        let ending = self.guest.poll(cx);
        Poll::Ready(match (ending, answer.try_recv()) {
            (Poll::Ready(Err(fault)), _) => Err(fault),
            (_, Ok(Err(code))) => Err(Fault::said(format!("{code:?}"))),
            (Poll::Ready(Ok(Returned { instance, .. })), Ok(Ok(response))) => Ok((response, Some(instance))),
            (Poll::Pending, Ok(Ok(response))) => Ok((response, None)),
            (Poll::Pending, Err(TryRecvError::Empty)) => return Poll::Pending,
            // Returned, or gave away the right to answer: there will be none.
            (Poll::Ready(Ok(_)) | Poll::Pending, Err(_)) => Err(Fault::NoResponse),
        })
    }

    /// The response, with as much of its body as is there at once.
    async fn respond(
        self,
        response: Response<HyperOutgoingBody>,
        returned: Option<Instantiated>,
    ) -> Response<ComponentBody> {
        let (mut head, body) = response.into_parts();
        if self.label.method == Method::HEAD || has_no_content(head.status) {
            // RFC 9110 §8.6: no content-length in a 204; in answers to HEAD and in a 304 it is the one that GET has.
            if head.status == StatusCode::NO_CONTENT {
                head.headers.remove(header::CONTENT_LENGTH);
            }
            match returned {
                Some(instance) => self.end(instance),
                None => drop(tokio::spawn(self.linger(Some(body)))),
            }
            return Response::from_parts(head, ComponentBody::whole(Bytes::new()));
        }
        let mut body = ComponentBody::running(self, body, content_length(&head.headers));
        match returned {
            Some(instance) => body.take_all(instance),
            None => poll_fn(|cx| body.poll_prefetch(cx)).await,
        }
        match body.fault() {
            // Nothing is out yet, so the client can be told.
            Some(fault) => fault.response().map(ComponentBody::whole),
            None => Response::from_parts(head, body),
        }
    }

    /// Lets the guest finish what it does after its answer: it may, for as long as it may take to answer.
    pub(crate) async fn linger(mut self, mut unwanted: Option<HyperOutgoingBody>) {
        let limit = self.component.limits.timeout;
        let end = poll_fn(|cx| {
            loop {
                if let Poll::Ready(ending) = self.guest.poll(cx) {
                    return Poll::Ready(ending);
                }
                // A guest that is not read from would wait for ever.
                let Some(body) = &mut unwanted else { return Poll::Pending };
                match Pin::new(body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(_) => unwanted = None,
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        match timeout(limit, end).await {
            Ok(Ok(returned)) => self.end(returned.instance),
            Ok(Err(fault)) => self.log(&fault),
            Err(_) => self.log(&Fault::Lingering(limit)),
        }
    }
}

fn checked((response, returned): Head) -> Result<Head, Fault> {
    match response.status().is_informational() {
        true => Err(Fault::BadResponse("answered with an informational status, which is no final response")),
        false => Ok((response, returned)),
    }
}

/// RFC 9110 §15: these have no content.
fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// What a guest promises. wasmtime lets no guest set a value that is not a number, or two.
fn content_length(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
