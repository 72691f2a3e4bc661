//! A prepared request: its head is parsed once, its body is readable in either dialect.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h8s_wire::{
    HeadKind, Host, Inbox, MAX_INLINE_BYTES, MethodPattern, PathTokens, RequestHead, Subjects, encode_head,
    reserved,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, header};
use http_body::Body as HttpBody;
use tokio::time::Instant;

use crate::context::ExchangeContext;
use crate::error::{BoxError, ExchangeError};
use crate::exchange::body_writer::Outgoing;
use crate::exchange::endpoint::Endpoint;
use crate::exchange::flow_control::window;
use crate::exchange::inline;
use crate::exchange::mailbox::Carries;
use crate::exchange::response_timeout::{self, ResponseTimeout};
use crate::plain::client::PlainCall;
use crate::plain::inbox::PlainInbox;
use crate::requester::native_call::{Opened, Opening};
use crate::requester::routing_table::NativeRoute;
use crate::served_by::{self, ServedBy};

/// When a response head is due, before the state of the request body is known.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) at: Instant,
    /// For requests without their own deadline: progress of a streaming body extends the deadline by this timeout.
    pub(crate) timeout: Option<Duration>,
}

impl Due {
    /// `progress` is created only for streaming bodies, because most requests have none.
    fn patience(self, is_whole: bool) -> ResponseTimeout {
        match self.timeout {
            Some(timeout) if !is_whole => {
                ResponseTimeout::WhileMoving { progress: Arc::default(), timeout, at_most: None }
            }
            _ => ResponseTimeout::Until(self.at),
        }
    }
}

/// A prepared request; see the module.
pub(crate) struct PreparedRequest<'a, B> {
    pub(crate) host: &'a Host,
    pub(crate) method: MethodPattern,
    pub(crate) path: PathTokens,
    head: HeadKind,
    due: Due,
    /// The time limit for the response head.
    patience: ResponseTimeout,
    /// The client sends its body only after the responder starts to read it.
    expects_continue: bool,
    served_by: Option<ServedBy>,
    /// The upload takes the body after a responder has accepted.
    body: Option<Outgoing<B>>,
}

impl<'a, B> PreparedRequest<'a, B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(host: &'a Host, request: Request<B>, due: Due) -> Result<Self, ExchangeError> {
        let (mut parts, body) = request.into_parts();
        let method = MethodPattern::named(&parts.method).map_err(invalid)?;
        let expect = parts.headers.remove(header::EXPECT);
        let served_by = served_by::of(&mut parts.extensions);
        let mut head = head(parts, None)?;
        let path = PathTokens::of(head.target.path());
        let body = Outgoing::new(body);
        if let Some(expect) = expect.filter(|_| !body.is_complete()) {
            head.headers.insert(header::EXPECT, expect);
        }
        // Only `100-continue` is supported; other expectations are removed.
        let expects_continue = head.expects_continue();
        if !expects_continue {
            head.headers.remove(header::EXPECT);
        }
        let head = HeadKind::Request(Box::new(head));
        let patience = ResponseTimeout::Until(due.at);
        Ok(Self { host, method, path, head, due, patience, expects_continue, served_by, body: Some(body) })
    }

    /// Reads the part of the body that is sent with the head, and sets the response timeout.
    pub(crate) async fn begin(&mut self) -> Result<(), ExchangeError> {
        let Some(body) = &mut self.body else { return Err(ExchangeError::Lost) };
        if !self.expects_continue {
            response_timeout::until(self.due.at, inline::of_request(body))
                .await
                .ok_or(ExchangeError::Timeout)?;
        }
        if let Some(error) = body.take_error() {
            return Err(ExchangeError::RequestBody(Arc::new(error)));
        }
        self.patience = self.due.patience(body.is_whole());
        Ok(())
    }

    /// Sends the request to the responders of one interest. The first bytes of the body are kept until a responder
    /// accepts.
    pub(crate) async fn open_native(
        &mut self,
        port: &Arc<Endpoint>,
        inbox: &Inbox,
        route: &NativeRoute,
    ) -> Result<Opened, ExchangeError> {
        if let Some(served_by) = &self.served_by {
            served_by.asked(Some(&route.interest));
        }
        let Some(body) = &mut self.body else { return Err(ExchangeError::Lost) };
        if let HeadKind::Request(head) = &mut self.head {
            head.timeout = match &self.patience {
                // Each attempt sends the time that remains from then on.
                ResponseTimeout::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
                // The end is unknown in advance; the gateway cancels when the time is over.
                ResponseTimeout::WhileMoving { .. } => None,
            };
        }
        let granted = window(Carries::Bytes);
        let (end, first) = (body.is_whole(), body.peek_ready(MAX_INLINE_BYTES));
        let first_bytes = first.len();
        let opening = Opening {
            frame: encode_head(&self.head, end, granted, &first)?,
            granted,
            carries: Carries::Bytes,
            progress: self.patience.progress().cloned(),
        };
        let opened = Opened::open(port, inbox, route, &opening).await?;
        if let Some(served_by) = &self.served_by {
            served_by.taken(opened.responder());
        }
        // A refusal before this point leaves the body unread, so another responder can be tried.
        if self.expects_continue && !opened.has_use_for_body().await {
            return Ok(opened);
        }
        if self.expects_continue {
            // Only now does the client receive 100 Continue.
            self.patience.moved();
        }
        if !end && let Some(mut body) = self.body.take() {
            body.take_ready(first_bytes);
            opened.upload(body, self.expects_continue);
        }
        Ok(opened)
    }

    /// The time limit for the response head.
    pub(crate) fn patience(&self) -> ResponseTimeout {
        self.patience.clone()
    }

    /// Whether the request can be sent again: no unrepeatable part of the body has been sent.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.body.is_some()
    }

    /// Returns the whole body for one message. A copy stays here in case no responder receives it.
    pub(crate) async fn whole_body(&mut self, limit_bytes: usize) -> Result<Bytes, ExchangeError> {
        let Some(body) = &mut self.body else { return Err(ExchangeError::Lost) };
        fill_in_time(body, limit_bytes + 1, &self.patience).await;
        if let Some(error) = body.take_error() {
            return Err(ExchangeError::RequestBody(Arc::new(error)));
        }
        if body.ready_bytes() > limit_bytes {
            return Err(ExchangeError::BodyTooLarge { limit_bytes });
        }
        Ok(body.peek_ready(limit_bytes))
    }

    /// The request in the plain dialect.
    pub(crate) fn plain_call<'b>(
        &'b self,
        port: &'b Arc<PlainInbox>,
        subjects: &'b Subjects,
        idle: Duration,
    ) -> PlainCall<'b> {
        if let Some(served_by) = &self.served_by {
            served_by.asked(None);
        }
        let HeadKind::Request(head) = &self.head else { unreachable!("a request's head is a request's") };
        let to = subjects.http(&self.method, self.host, &self.path);
        PlainCall { port, subjects, host: self.host, head, to, idle }
    }
}

/// Reads until `bytes` are ready or the body ends. Every piece received extends `patience`.
async fn fill_in_time<B>(body: &mut Outgoing<B>, bytes: usize, patience: &ResponseTimeout)
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    poll_fn(|cx| {
        let before = (body.ready_bytes(), body.is_complete());
        let filled = body.poll_fill(cx, bytes);
        if before != (body.ready_bytes(), body.is_complete()) {
            patience.moved();
        }
        filled
    })
    .await;
}

fn invalid(error: impl Into<BoxError>) -> ExchangeError {
    ExchangeError::InvalidRequest(Arc::new(error.into()))
}

/// The head to send: with an authority instead of `Host`, without reserved or hop-by-hop fields.
pub(crate) fn head(
    mut parts: http::request::Parts,
    timeout: Option<Duration>,
) -> Result<RequestHead, ExchangeError> {
    let context = parts.extensions.remove::<ExchangeContext>().unwrap_or_default();
    let authority = match parts.uri.authority() {
        Some(authority) => authority.clone(),
        None => authority_of(&parts.headers)?,
    };
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::EXPECT);
    reserved::strip_ours(&mut parts.headers);
    Ok(RequestHead {
        method: parts.method,
        scheme: if context.is_secure { Scheme::HTTPS } else { Scheme::HTTP },
        authority,
        target: parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
        headers: parts.headers,
        protocol: None,
        connection: None,
        client: context.client,
        timeout,
    })
}

fn authority_of(headers: &HeaderMap) -> Result<Authority, ExchangeError> {
    let host = headers.get(header::HOST).ok_or_else(|| invalid("there is no host"))?;
    Authority::try_from(host.as_bytes()).map_err(invalid)
}
