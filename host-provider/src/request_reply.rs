//! `request-reply`, as guests export it: an HTTP request and its response as one message each.

use std::sync::Arc;

use bytes::Bytes;
use h8s_nats::ResponseTimeout;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::admission::Permit;
use crate::bindings::h8s::exported::request_reply as ours;
use crate::bindings::h8s::imported::types::KeyValue;
use crate::component::Component;
use crate::exports::RequestReply;
use crate::fault::{Fault, RequestLabel, plain};
use crate::instance::{Call, Guest, GuestState};
use crate::msg::Msg;
use crate::original;
use crate::sending::Sending;

/// A longer body is no message: as much as a guest and its host hand over in one call.
const BODY_BYTES: usize = 2 << 20;

/// One request, for `handle-message`.
struct Reply {
    request_reply: RequestReply,
    request: Msg,
}

impl Call for Reply {
    type Output = Result<Msg, String>;

    async fn run(self, store: &mut Store<GuestState>, instance: Instance) -> wasmtime::Result<Self::Output> {
        match self.request_reply {
            RequestReply::Ours(indices) => {
                let guest = indices.load(&mut *store, &instance)?;
                let answer = guest.call_handle_message(store, &to_guest(self.request)).await?;
                Ok(answer.map(from_guest))
            }
            RequestReply::Original(indices) => {
                let guest = indices.load(&mut *store, &instance)?;
                let answer = guest.call_handle_message(store, &original::to_guest(self.request)).await?;
                Ok(answer.map(original::from_guest))
            }
        }
    }
}

/// Answers one request with `request_reply`, or says why not.
pub(crate) async fn answer<B>(
    component: &Arc<Component>,
    request_reply: &RequestReply,
    permit: Permit,
    sending: Sending,
    request: Request<B>,
    patience: ResponseTimeout,
) -> Response<Bytes>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let label = RequestLabel::of(&request);
    let (parts, body) = request.into_parts();
    let body = match patience.over(Limited::new(body, BODY_BYTES).collect()).await {
        Some(Ok(body)) => body.to_bytes(),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "The request is larger than 2 MiB.\n");
        }
        Some(Err(_)) => return plain(StatusCode::BAD_REQUEST, "The request broke off.\n"),
        None => return plain(StatusCode::REQUEST_TIMEOUT, "The request took too long to come.\n"),
    };
    let request = match Msg::request(&sending.reach().subjects, parts, &body) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(component = &*component.name, %error, "a request that is no message");
            return plain(StatusCode::BAD_REQUEST, "The request has headers that are not text.\n");
        }
    };
    let call = Reply { request_reply: request_reply.clone(), request };
    let answered = Guest::new(component, sending, call).outcome(patience.ends()).await;
    let response = answered.and_then(|returned| {
        returned.instance.rest(permit.into_slot());
        match returned.value {
            Ok(answer) => answer.into_response(&label.method),
            Err(said) => Err(Fault::said(said)),
        }
    });
    match response {
        Ok(response) if label.method == Method::HEAD => response.map(|_| Bytes::new()),
        Ok(response) => response,
        Err(fault) => {
            fault.log(&component.name, &label);
            fault.response()
        }
    }
}

fn to_guest(msg: Msg) -> ours::Msg {
    let headers = msg.headers.into_iter().map(|(key, value)| KeyValue { key, value });
    ours::Msg { headers: headers.collect(), data: msg.data, reply: msg.reply, subject: msg.subject }
}

fn from_guest(msg: ours::Msg) -> Msg {
    let headers = msg.headers.into_iter().map(|field| (field.key, field.value));
    Msg { headers: headers.collect(), data: msg.data, reply: msg.reply, subject: msg.subject }
}
