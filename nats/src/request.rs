//! A request made ready to leave: its head taken apart once, its body readable in whichever dialect is answered.

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

use crate::answerer::{self, Answerer};
use crate::error::{BoxError, ExchangeError};
use crate::inline;
use crate::interest::NativeRoute;
use crate::mailbox::Carries;
use crate::native_call::{Opened, Opening};
use crate::outgoing::Outgoing;
use crate::plain_call::PlainCall;
use crate::plain_port::PlainPort;
use crate::port::Port;
use crate::service::ExchangeContext;
use crate::window::window;

/// See the module.
pub(crate) struct PreparedRequest<B> {
    pub(crate) host: Host,
    pub(crate) method: MethodPattern,
    pub(crate) path: PathTokens,
    head: HeadKind,
    /// Until when the response head is awaited; each attempt tells how long that is from then on.
    deadline: Option<Instant>,
    /// The client sends its body only when somebody reads it.
    expects_continue: bool,
    answerer: Option<Answerer>,
    /// Taken by the upload once a responder has accepted.
    body: Option<Outgoing<B>>,
}

impl<B> PreparedRequest<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    pub(crate) async fn new(
        host: &Host,
        request: Request<B>,
        deadline: Option<Instant>,
    ) -> Result<Self, ExchangeError> {
        let (mut parts, body) = request.into_parts();
        let method = MethodPattern::named(&parts.method).map_err(invalid)?;
        let expect = parts.headers.remove(header::EXPECT);
        let answerer = answerer::of(&mut parts.extensions);
        let mut head = head(parts, None)?;
        let path = PathTokens::of(head.target.path());
        let mut body = Outgoing::new(body);
        if let Some(expect) = expect.filter(|_| !body.is_complete()) {
            head.headers.insert(header::EXPECT, expect);
        }
        // Of another expectation than this one nobody knows anything.
        let expects_continue = head.expects_continue();
        if !expects_continue {
            head.headers.remove(header::EXPECT);
            inline::of_request(&mut body).await;
        }
        if let Some(error) = body.take_error() {
            return Err(ExchangeError::RequestBody(Arc::new(error)));
        }
        let head = HeadKind::Request(Box::new(head));
        let (host, body) = (host.clone(), Some(body));
        Ok(Self { host, method, path, head, deadline, expects_continue, answerer, body })
    }

    /// Asks the responders of one interest. The body's first bytes stay here until one of them has accepted.
    pub(crate) async fn open_native(
        &mut self,
        port: &Arc<Port>,
        inbox: &Inbox,
        route: &NativeRoute,
    ) -> Result<Opened, ExchangeError> {
        if let Some(answerer) = &self.answerer {
            answerer.asks(Some(route));
        }
        let Some(body) = &mut self.body else { return Err(ExchangeError::Lost) };
        if let HeadKind::Request(head) = &mut self.head {
            head.timeout = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        }
        let granted = window(Carries::Bytes);
        let (end, first) = (body.is_whole(), body.peek_ready(MAX_INLINE_BYTES));
        let first_bytes = first.len();
        let opening = Opening {
            frame: encode_head(&self.head, end, granted, &first)?,
            granted,
            carries: Carries::Bytes,
        };
        let opened = Opened::open(port, inbox, route, &opening).await?;
        if let Some(answerer) = &self.answerer {
            answerer.taken(&opened);
        }
        // A refusal meanwhile leaves the body untouched, for others.
        if self.expects_continue && !opened.has_use_for_body().await {
            return Ok(opened);
        }
        if !end && let Some(mut body) = self.body.take() {
            body.take_ready(first_bytes);
            opened.upload(body, self.expects_continue);
        }
        Ok(opened)
    }

    /// Nothing of it has been sent that cannot be sent again.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.body.is_some()
    }

    /// The whole body, for one message. It stays here, too: nobody may be there to take it.
    pub(crate) async fn whole_body(&mut self, limit_bytes: usize) -> Result<Bytes, ExchangeError> {
        let Some(body) = &mut self.body else { return Err(ExchangeError::Lost) };
        body.fill(limit_bytes + 1).await;
        if let Some(error) = body.take_error() {
            return Err(ExchangeError::RequestBody(Arc::new(error)));
        }
        if body.ready_bytes() > limit_bytes {
            return Err(ExchangeError::BodyTooLarge { limit_bytes });
        }
        Ok(body.peek_ready(limit_bytes))
    }

    /// The request in the plain dialect.
    pub(crate) fn plain_call<'a>(
        &'a self,
        port: &'a Arc<PlainPort>,
        subjects: &'a Subjects,
        idle: Duration,
    ) -> PlainCall<'a> {
        if let Some(answerer) = &self.answerer {
            answerer.asks(None);
        }
        let HeadKind::Request(head) = &self.head else { unreachable!("a request's head is a request's") };
        let to = subjects.http(&self.method, &self.host, &self.path);
        PlainCall { port, subjects, host: &self.host, head, to, idle }
    }
}

fn invalid(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::InvalidRequest(error.to_string())
}

/// The head as it travels: authority instead of `Host`, nothing reserved, nothing for this hop's eyes only.
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
