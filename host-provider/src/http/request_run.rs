//! A guest at work on one request, and its permit.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Response};
use http_body::Body;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::timeout;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::component::Component;
use crate::engine::admission::Permit;
use crate::http::incoming_handler::Answer;
use crate::instance::fault::{Fault, RequestLabel};
use crate::instance::{Ending, Guest, Instantiated, Returned};

/// A guest that works on a request. Dropping it cancels the guest and frees its store.
pub(crate) struct RequestRun {
    guest: Guest,
    component: Arc<Component>,
    label: RequestLabel,
    // Last: the slot of an instance is free only when the instance is gone.
    permit: Permit,
}

/// A response head, and the instance if the guest has returned already.
pub(crate) type Head = (Response<HyperOutgoingBody>, Option<Instantiated>);

impl RequestRun {
    pub(crate) fn new(guest: Guest, component: Arc<Component>, label: RequestLabel, permit: Permit) -> Self {
        Self { guest, component, label, permit }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.label.method
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        self.guest.poll(cx)
    }

    /// Runs the guest until it has sent a response head through `answer`.
    pub(crate) fn poll_head(
        &mut self,
        answer: &mut oneshot::Receiver<Answer>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Fault>> {
        let ending = self.guest.poll(cx);
        Poll::Ready(match (ending, answer.try_recv()) {
            (Poll::Ready(Err(fault)), _) => Err(fault),
            (_, Ok(Err(code))) => Err(Fault::answered_error(format!("{code:?}"))),
            (Poll::Ready(Ok(Returned { instance, .. })), Ok(Ok(response))) => Ok((response, Some(instance))),
            (Poll::Pending, Ok(Ok(response))) => Ok((response, None)),
            (Poll::Pending, Err(TryRecvError::Empty)) => return Poll::Pending,
            // It returned, or dropped the outparam: there will be no response.
            (Poll::Ready(Ok(_)) | Poll::Pending, Err(_)) => Err(Fault::NoResponse),
        })
    }

    pub(crate) fn log(&self, fault: &Fault) {
        fault.log(&self.component.name, &self.label);
    }

    /// The call has returned and its response is complete: the instance may take another call.
    pub(crate) fn end(self, instance: Instantiated) {
        instance.rest(self.permit.into_slot());
    }

    /// Lets the guest work on after its response, within the component's timeout. What it still writes to `unwanted` is
    /// discarded.
    pub(crate) async fn run_to_completion(mut self, mut unwanted: Option<HyperOutgoingBody>) {
        let limit = self.component.template.setup.limits.timeout;
        let end = poll_fn(|cx| {
            loop {
                if let Poll::Ready(ending) = self.guest.poll(cx) {
                    return Poll::Ready(ending);
                }
                // A guest whose body is not read would wait forever.
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
