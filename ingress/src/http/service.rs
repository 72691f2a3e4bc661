//! The service behind every connection: admits a request, describes its client, sends it upstream, and responds.
//!
//! The gateway adds no `Via` (it is not an HTTP-to-HTTP gateway in the sense of RFC 9110 §7.6.3) and no `Server`; hyper
//! adds `Date` where the upstream gave none (RFC 9110 §6.6.1). Dropping [`GatewayService::answer`]'s future, which hyper does
//! when the client leaves, drops the upstream's future or body, which cancels the exchange.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h8s_nats::ExchangeContext;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;

use crate::config::handle::{Policy, ReloadHandle};
use crate::http::admission::{Admitted, Rejection, check_head};
use crate::http::error_response::{self, Failure, Form, ResponseFault};
use crate::http::grpc;
use crate::http::header_policy;
use crate::http::response_body::{ResponseBody, Streaming, UpstreamBody};
use crate::observability::access_log::Record;
use crate::observability::metrics::Limit;
use crate::protection::h2_streams;
use crate::protection::in_flight::{ClientConnection, InFlightGuard};
use crate::websocket::{self, UpgradeRequest, WebSockets};
use crate::{RequestBody, Upstream};

/// Responds to the requests of all connections of one worker.
pub(crate) struct GatewayService<U> {
    pub(crate) upstream: U,
    pub(crate) reload_handle: ReloadHandle<U>,
    pub(crate) websockets: Arc<WebSockets>,
}

/// Context of one request: its connection, policy and identifiers.
pub(crate) struct RequestContext {
    pub(crate) connection: Arc<ClientConnection>,
    pub(crate) policy: Arc<Policy>,
    /// `None` before admission.
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) authority: Option<HeaderValue>,
    /// The access-log record, if the access log is on.
    pub(crate) record: Option<Box<Record>>,
    /// Set for the request body once the response has started.
    pub(crate) answered: Option<Arc<AtomicBool>>,
}

pub(crate) type Answer<U> = Response<ResponseBody<<U as Upstream>::Body>>;

impl<U: Upstream> GatewayService<U> {
    /// Responds to one request, in every case.
    ///
    /// # Cancel safety
    /// Dropping it cancels the exchange.
    pub(crate) async fn answer(
        self: Arc<Self>,
        connection: Arc<ClientConnection>,
        request: Request<Incoming>,
    ) -> Result<Answer<U>, Infallible> {
        let guard = InFlightGuard::new(connection.clone());
        let started = guard.started;
        let form = Form::of(request.headers());
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 {
            h2_streams::unless_reset().await;
        }
        let takes_status = form == Form::Grpc && is_http2;
        let policy = self.reload_handle.policy();
        let record = self.reload_handle.access_lines.begin(policy.access_log, &request, &connection.peer);
        let mut context =
            RequestContext { connection, policy, request_id: None, authority: None, record, answered: None };
        let mut reason = None;
        let mut response = match self.exchange(guard, request, &mut context).await {
            Ok(mut response) => {
                if takes_status {
                    end_with_grpc_status(&mut response);
                }
                response
            }
            Err(failure) => {
                let verdict = error_response::verdict(&failure);
                let (authority, request_id) = (context.authority.as_ref(), context.request_id.as_ref());
                error_response::log(&failure, &verdict, authority, request_id);
                context.connection.metrics.rescued(verdict.reason);
                if let Some(limit) = error_response::limit(&failure) {
                    context.connection.limited(limit);
                }
                reason = Some(verdict.reason);
                error_response::response(&verdict, form, context.request_id)
            }
        };
        context.connection.metrics.answered(response.status(), started.elapsed());
        if let Some(answered) = &context.answered {
            answered.store(true, Ordering::Relaxed);
        }
        if is_http2 {
            response.body_mut().in_slices();
        }
        if let Some(mut record) = context.record.take() {
            record.answered(response.status(), reason);
            response.body_mut().record(record);
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        mut guard: InFlightGuard,
        request: Request<Incoming>,
        context: &mut RequestContext,
    ) -> Result<Answer<U>, Failure> {
        let limits = &context.connection.limits;
        if let Err(rejection) = check_limits(&mut guard).and_then(|()| check_head(&request, limits)) {
            return guard.fail(rejection.into());
        }
        let is_publish_only = context.policy.publish_only;
        match asked(&request, is_publish_only) {
            // Boxed, since few requests need it and this future is moved with each.
            Ok(Some(asked)) => return Box::pin(self.open_websocket(asked, guard, request, context)).await,
            Ok(None) => {}
            Err(rejection) => return guard.fail(rejection.into()),
        }
        let (admitted, request) = match self.admit(request, context) {
            Ok(admitted) => admitted,
            Err(failure) => return guard.fail(failure),
        };
        let method = request.method().clone();
        if is_publish_only {
            let published = Box::pin(self.upstream.publish(&admitted.host, request)).await;
            guard.complete();
            return published.map(|()| Response::new(ResponseBody::Empty)).map_err(Failure::from);
        }
        match self.upstream.send(&admitted.host, request).await {
            Ok(response) => into_answer(&method, response, guard),
            Err(error) => guard.fail(error.into()),
        }
    }

    /// Admits the request and prepares it for the upstream.
    fn admit(
        &self,
        request: Request<Incoming>,
        context: &mut RequestContext,
    ) -> Result<(Admitted, Request<RequestBody>), Failure> {
        let (mut head, incoming) = request.into_parts();
        let admission = &context.policy.admission;
        let admitted = admission.admit(&head, incoming.size_hint().exact(), &self.upstream)?;
        let body = RequestBody::new(incoming, admission.max_body_bytes, context.connection.clone());
        context.answered = body.answered();
        if let (Some(answered), true) = (&context.answered, h8s_wire::is_grpc(&head.headers)) {
            // A gRPC call has its own deadline, and some servers send nothing before their client does.
            answered.store(true, Ordering::Relaxed);
        }
        context.describe(&mut head, &admitted);
        Ok((admitted, Request::from_parts(head, body)))
    }
}

fn check_limits(guard: &mut InFlightGuard) -> Result<(), Rejection> {
    guard.check_limits().map_err(|limit| match limit {
        Limit::ExchangesPerConnection => Rejection::TooManyOnConnection,
        _ => Rejection::TooManyExchanges,
    })
}

/// A gRPC response that breaks off ends with a status where that cannot be mistaken for success.
fn end_with_grpc_status<B: UpstreamBody>(response: &mut Response<ResponseBody<B>>) {
    if grpc::may_end_with_status(response.status(), response.headers())
        && let ResponseBody::Streaming(body) = response.body_mut()
    {
        body.end_with_status();
    }
}

/// The upgrade request, if this is one.
fn asked(request: &Request<Incoming>, is_publish_only: bool) -> Result<Option<UpgradeRequest>, Rejection> {
    let asked = websocket::asked(request, !request.body().is_end_stream())?;
    if asked.is_some() && is_publish_only { Err(Rejection::PublishOnly) } else { Ok(asked) }
}

impl RequestContext {
    /// Removes header fields that do not cross the edge, and adds what the gateway knows about the client.
    pub(crate) fn describe(&mut self, head: &mut request::Parts, admitted: &Admitted) {
        let peer = &self.connection.peer;
        header_policy::strip_request(&mut head.headers, peer.sender);
        if self.policy.admission.consumes_authorization() {
            head.headers.remove(header::AUTHORIZATION);
        }
        // The URI's authority counts. With an absolute target `Host` may differ.
        if head.uri.authority().is_some() {
            head.headers.remove(header::HOST);
        }
        let authority = admitted.authority.clone();
        let described = peer.describe(&mut head.headers, authority.clone());
        if let Some(record) = &mut self.record {
            record.admitted(described.client, &authority, &head.headers);
        }
        (self.request_id, self.authority) = (Some(described.request_id), Some(authority));
        head.extensions.insert(
            ExchangeContext::default()
                .client(Some(described.client))
                .is_secure(described.is_secure)
                .deadline((head.version == Version::HTTP_2).then(|| grpc::deadline(&head.headers)).flatten())
                .served_by(self.record.as_ref().map(|record| record.served_by.clone())),
        );
    }
}

/// The response for the client: a final status, header fields that cross the edge, and a body only where method and
/// status allow one (RFC 9110 §6.4.1).
pub(crate) fn into_answer<B>(
    method: &Method,
    response: Response<B>,
    mut guard: InFlightGuard,
) -> Result<Response<ResponseBody<B>>, Failure>
where
    B: UpstreamBody,
{
    let (mut head, body) = response.into_parts();
    let declared_bytes = match check(method, &mut head, &body) {
        Ok(declared_bytes) => declared_bytes,
        Err(fault) => return guard.fail(fault.into()),
    };
    header_policy::strip_response(&mut head.headers);
    if is_bodyless(method, head.status) {
        guard.complete();
        return Ok(Response::from_parts(head, ResponseBody::Empty));
    }
    Ok(Response::from_parts(head, ResponseBody::Streaming(Streaming::new(body, declared_bytes, guard))))
}

/// Validates a response head. Returns the declared length of the body.
fn check(
    method: &Method,
    head: &mut response::Parts,
    body: &impl Body,
) -> Result<Option<u64>, ResponseFault> {
    if !(200..600).contains(&head.status.as_u16()) {
        return Err(ResponseFault::Status(head.status.as_u16()));
    }
    if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        // RFC 9110 §8.6: a 204 has none; a 304 may have one, which some clients then wait for.
        head.headers.remove(header::CONTENT_LENGTH);
    }
    let declared_bytes = content_length(&head.headers)?;
    let is_wrong = |declared| body.size_hint().exact().is_some_and(|exact| exact != declared);
    if !is_bodyless(method, head.status) && declared_bytes.is_some_and(is_wrong) {
        return Err(ResponseFault::Contradiction);
    }
    Ok(declared_bytes)
}

fn is_bodyless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// `Content-Length`, which must be a single number.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, ResponseFault> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_number = value.as_bytes().iter().all(u8::is_ascii_digit);
    let number = value.to_str().ok().filter(|_| is_number).and_then(|text| text.parse().ok());
    match (number, values.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(ResponseFault::ContentLength),
    }
}
