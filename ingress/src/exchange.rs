//! One request from its head to its response's: admitted, described, sent, answered.
//!
//! The gateway adds no `Via` (it is no HTTP-to-HTTP gateway in the sense of RFC 9110 §7.6.3) and no `Server`; hyper
//! adds `Date` where the upstream gave none (RFC 9110 §6.6.1). Dropping [`Edge::answer`]'s future, which hyper does
//! when the client leaves, drops the upstream's future or body, which cancels the exchange.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use h8s_nats::ExchangeContext;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request, response};
use http_body::Body;
use hyper::body::Incoming;

use crate::access_log::Record;
use crate::admission::{Admitted, Rejection, check_head};
use crate::fields;
use crate::grpc;
use crate::live::{Live, Policy};
use crate::open::{ClientConnection, Open};
use crate::rescue::{self, Failure, Form, ResponseFault};
use crate::response_body::{ResponseBody, Streaming};
use crate::streams;
use crate::websocket::{self, Asked, WebSockets};
use crate::{RequestBody, Upstream};

/// What answers every request of every connection.
pub(crate) struct Edge<U> {
    pub(crate) upstream: U,
    pub(crate) live: Live<U>,
    pub(crate) websockets: Arc<WebSockets>,
}

/// One request on its way through the gateway: who asks, what holds for it, and by what it is found again.
pub(crate) struct Passage {
    pub(crate) connection: Arc<ClientConnection>,
    pub(crate) policy: Arc<Policy>,
    /// `None` before admission.
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) authority: Option<HeaderValue>,
    /// What the access log will say, where there is one.
    pub(crate) record: Option<Box<Record>>,
    /// Tells the request's body that there is a response.
    pub(crate) answered: Option<Arc<AtomicBool>>,
}

pub(crate) type Answer<U> = Response<ResponseBody<<U as Upstream>::Body>>;

impl<U: Upstream> Edge<U> {
    /// Answers one request, whatever happens.
    ///
    /// # Cancel safety
    /// Dropping it cancels the exchange.
    pub(crate) async fn answer(
        self: Arc<Self>,
        connection: Arc<ClientConnection>,
        request: Request<Incoming>,
    ) -> Result<Answer<U>, Infallible> {
        let open = Open::new(connection.clone());
        let started = open.started;
        let form = Form::of(request.headers());
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 {
            streams::unless_reset().await;
        }
        let takes_status = form == Form::Grpc && is_http2;
        let policy = self.live.policy();
        let record = self.live.access_lines.begin(policy.access_log, &request, &connection.peer);
        let mut passage =
            Passage { connection, policy, request_id: None, authority: None, record, answered: None };
        let mut reason = None;
        let mut response = match self.exchange(open, request, &mut passage).await {
            Ok(mut response) => {
                if takes_status {
                    grpc::end_with_status(&mut response);
                }
                response
            }
            Err(failure) => {
                let verdict = rescue::verdict(&failure);
                rescue::log(&failure, &verdict, &passage);
                passage.connection.metrics.rescued(verdict.reason);
                if let Some(limit) = rescue::limit(&failure) {
                    passage.connection.limited(limit);
                }
                reason = Some(verdict.reason);
                rescue::response(&verdict, form, passage.request_id)
            }
        };
        passage.connection.metrics.answered(response.status(), started.elapsed());
        if let Some(answered) = &passage.answered {
            answered.store(true, Ordering::Relaxed);
        }
        if is_http2 {
            response.body_mut().in_slices();
        }
        if let Some(mut record) = passage.record.take() {
            record.answered(response.status(), reason);
            response.body_mut().record(record);
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        mut open: Open,
        request: Request<Incoming>,
        passage: &mut Passage,
    ) -> Result<Answer<U>, Failure> {
        let limits = &passage.connection.limits;
        if let Err(rejection) = open.check_place().and_then(|()| check_head(&request, limits)) {
            return open.fail(rejection.into());
        }
        let is_publish_only = passage.policy.publish_only;
        match asked(&request, is_publish_only) {
            // Boxed is what few requests need: this future is moved with each.
            Ok(Some(asked)) => return Box::pin(self.open_websocket(asked, open, request, passage)).await,
            Ok(None) => {}
            Err(rejection) => return open.fail(rejection.into()),
        }
        let (admitted, request) = match self.admit(request, passage) {
            Ok(admitted) => admitted,
            Err(failure) => return open.fail(failure),
        };
        let method = request.method().clone();
        if is_publish_only {
            let published = Box::pin(self.upstream.publish(&admitted.host, request)).await;
            open.complete();
            return published.map(|()| Response::new(ResponseBody::Empty)).map_err(Failure::from);
        }
        match self.upstream.send(&admitted.host, request).await {
            Ok(response) => into_answer(&method, response, open),
            Err(error) => open.fail(error.into()),
        }
    }

    /// The request as the upstream gets it.
    fn admit(
        &self,
        request: Request<Incoming>,
        passage: &mut Passage,
    ) -> Result<(Admitted, Request<RequestBody>), Failure> {
        let (mut head, incoming) = request.into_parts();
        let admission = &passage.policy.admission;
        let admitted = admission.admit(&head, incoming.size_hint().exact(), &self.upstream)?;
        let body = RequestBody::new(incoming, admission.max_body_bytes, passage.connection.clone());
        passage.answered = body.answered();
        if let (Some(answered), true) = (&passage.answered, h8s_wire::is_grpc(&head.headers)) {
            // A call has its own deadline, and some servers say nothing before their client does.
            answered.store(true, Ordering::Relaxed);
        }
        passage.describe(&mut head, &admitted);
        Ok((admitted, Request::from_parts(head, body)))
    }
}

/// Is it a WebSocket that this request is for?
fn asked(request: &Request<Incoming>, is_publish_only: bool) -> Result<Option<Asked>, Rejection> {
    let asked = websocket::asked(request, !request.body().is_end_stream())?;
    if asked.is_some() && is_publish_only { Err(Rejection::PublishOnly) } else { Ok(asked) }
}

impl Passage {
    /// Removes from a head what does not cross the edge, and adds what is known about the client.
    pub(crate) fn describe(&mut self, head: &mut request::Parts, admitted: &Admitted) {
        let peer = &self.connection.peer;
        fields::strip_request(&mut head.headers, peer.sender);
        if self.policy.admission.consumes_authorization() {
            head.headers.remove(header::AUTHORIZATION);
        }
        // Who reads the URI's authority needs no `Host`, which with an absolute target may say something else.
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

/// The upstream's response as the client gets it: a final status, fields that cross the edge, and a body exactly
/// where the method and the status allow one (RFC 9110 §6.4.1).
pub(crate) fn into_answer<B>(
    method: &Method,
    response: Response<B>,
    mut open: Open,
) -> Result<Response<ResponseBody<B>>, Failure>
where
    B: crate::response_body::UpstreamBody,
{
    let (mut head, body) = response.into_parts();
    let declared_bytes = match check(method, &mut head, &body) {
        Ok(declared_bytes) => declared_bytes,
        Err(fault) => return open.fail(fault.into()),
    };
    fields::strip_response(&mut head.headers);
    if is_bodyless(method, head.status) {
        open.complete();
        return Ok(Response::from_parts(head, ResponseBody::Empty));
    }
    Ok(Response::from_parts(head, ResponseBody::Streaming(Streaming::new(body, declared_bytes, open))))
}

/// Returns the declared length of the body.
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

/// One number, written once.
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
