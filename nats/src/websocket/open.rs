//! A gateway's request to open or reopen a WebSocket at a responder (`PROTOCOL.md §6`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h8s_wire::subprotocol;
use h8s_wire::{
    AbortCode, Close, ConnectionEntry, ConnectionEpoch, ConnectionId, Frame, HeadFrame, HeadKind, Host,
    MethodPattern, PathTokens, RequestHead, encode_head,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use rand::RngExt;
use tokio::time::Instant;
use tracing::debug;

use crate::body::Body;
use crate::error::ExchangeError;
use crate::exchange::flow_control::window;
use crate::exchange::handle::Exchange;
use crate::exchange::mailbox::Carries;
use crate::exchange::registry::random_id;
use crate::requester::native_call::{Opened, Opening};
use crate::requester::request;
use crate::requester::routing_table::Route;
use crate::requester::{Gateway, REFUSAL_PAUSES, RESPONDER_PAUSE};
use crate::served_by::{self, ServedBy};
use crate::websocket::message_reader::MessageReader;
use crate::websocket::message_writer::MessageWriter;
use crate::websocket::upstream_session::UpstreamSession;

/// The time limit for a responder to accept the request before another is tried: running responders accept at once.
const TAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// The outcome of a request to open a WebSocket.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart as soon as it is there")]
pub enum UpgradeOutcome {
    /// The client gets its 101 with these fields; then call [`UpstreamSession::establish`].
    Accepted {
        /// `sec-websocket-protocol`, if a subprotocol was chosen, and the responder's other fields.
        headers: HeaderMap,
        /// The session with the responder.
        session: UpstreamSession,
    },
    /// The client receives this response instead.
    Refused(Response<Body>),
}

/// A responder that has accepted the WebSocket, and both directions of the exchange. Dropping it cancels the exchange
/// at the responder.
pub(crate) struct NativeSession {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) reader: MessageReader,
    pub(crate) writer: MessageWriter,
    pub(crate) holds_state: bool,
}

impl Drop for NativeSession {
    fn drop(&mut self) {
        self.writer.close_now(&Close::new(Close::ABNORMAL, ""));
        self.exchange.mailbox.fail(crate::exchange::failure::Failure::Closed);
    }
}

/// The upgrade request, kept so that it can be sent again.
pub(crate) struct WebSocketRequest {
    pub(crate) host: Host,
    pub(crate) connection: ConnectionId,
    path: PathTokens,
    /// Its head as a frame, kept while the client is connected: it takes a tenth of the memory of a head's maps.
    head: Bytes,
    epoch: u64,
    served_by: Option<ServedBy>,
}

enum Asked {
    Accepted(HeaderMap, NativeSession),
    Refused(Response<Body>),
}

impl WebSocketRequest {
    pub(crate) fn new(host: &Host, request: Request<()>, timeout: Duration) -> Result<Self, ExchangeError> {
        let (mut parts, ()) = request.into_parts();
        parts.method = Method::CONNECT;
        let served_by = served_by::of(&mut parts.extensions);
        let mut head = request::head(parts, Some(timeout))?;
        let connection = ConnectionId::from_bytes(random_id());
        head.protocol = Some("websocket".to_owned());
        head.connection = Some(ConnectionEpoch { connection, epoch: 0 });
        let path = PathTokens::of(head.target.path());
        let frame = encode_head(&HeadKind::Request(Box::new(head)), false, 0, b"")?;
        Ok(Self { host: host.clone(), connection, path, head: frame, epoch: 0, served_by })
    }

    /// The connection's entry in the directories.
    pub(crate) fn entry(&self, gateway: &Gateway, protocol: Option<String>) -> Option<ConnectionEntry> {
        let head = self.head()?;
        let text = |(name, value): (&header::HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned()))
        };
        let open = &gateway.open;
        Some(ConnectionEntry {
            connection: self.connection,
            gateway: open.gateway,
            host: self.host.clone(),
            path: head.target.path().to_owned(),
            query: head.target.query().map(ToOwned::to_owned),
            protocol,
            client: head.client,
            is_secure: head.scheme == http::uri::Scheme::HTTPS,
            subject: self.subject(gateway).into_string(),
            push: open.inbox.push(self.connection).into_string(),
            headers: head.headers.iter().filter_map(text).collect(),
        })
    }

    /// The subject of its messages in the plain dialect.
    pub(crate) fn subject(&self, gateway: &Gateway) -> h8s_wire::Subject {
        gateway.bus.subjects.websocket(&self.host, &self.path)
    }

    fn head(&self) -> Option<RequestHead> {
        match Frame::decode(self.head.clone()) {
            Ok(Frame::Head(HeadFrame { head: HeadKind::Request(head), .. })) => Some(*head),
            _ => None,
        }
    }

    /// Restricts later requests to this subprotocol, or to none: the client has received the choice.
    pub(crate) fn settle(&mut self, protocol: Option<&str>) {
        let Some(mut head) = self.head() else { return };
        head.headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if let Some(value) = protocol.and_then(|protocol| HeaderValue::from_str(protocol).ok()) {
            head.headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        if let Ok(frame) = encode_head(&HeadKind::Request(Box::new(head)), false, 0, b"") {
            // Copied without the spare capacity of the encoding.
            self.head = Bytes::copy_from_slice(&frame);
        }
    }

    /// Sends the request to the responders of one interest, as part of `epoch`. A running responder accepts the request
    /// at once, within `patience`, even if its response takes long.
    async fn ask_native(
        &self,
        gateway: &Gateway,
        route: &crate::requester::routing_table::NativeRoute,
        patience: Duration,
    ) -> Result<Asked, ExchangeError> {
        let mut head = self.head().ok_or(ExchangeError::Lost)?;
        let offered = head.headers.clone();
        head.connection = Some(ConnectionEpoch { connection: self.connection, epoch: self.epoch });
        let granted = window(Carries::Messages);
        let frame = encode_head(&HeadKind::Request(Box::new(head)), false, granted, b"")?;
        let opening = Opening { frame, granted, carries: Carries::Messages, progress: None };
        let opened = Opened::open(&gateway.port, &gateway.inbox, route, &opening);
        if let Some(served_by) = &self.served_by {
            served_by.asked(Some(&route.interest));
        }
        let opened = tokio::time::timeout(patience, opened).await.unwrap_or(Err(ExchangeError::Timeout))?;
        if let Some(served_by) = &self.served_by {
            served_by.taken(opened.responder());
        }
        let answer = opened.websocket().await?;
        let Some(exchange) = answer.accepted else { return Ok(Asked::Refused(answer.response)) };
        let session = NativeSession {
            reader: MessageReader::new(exchange.clone(), granted, gateway.config().max_message_bytes),
            writer: MessageWriter::new(exchange.clone(), gateway.config().max_message_bytes),
            exchange,
            holds_state: answer.holds_state,
        };
        let headers = answer.response.into_parts().0.headers;
        match chosen(&headers).is_none_or(|protocol| subprotocol::is_offered(protocol, &offered)) {
            true => Ok(Asked::Accepted(headers, session)),
            false => Err(ExchangeError::InvalidResponse("a subprotocol that was not offered".into())),
        }
    }

    /// Tries responders until one accepts or refuses the WebSocket, or none is left.
    pub(crate) async fn ask(mut self, gateway: &Arc<Gateway>) -> Result<UpgradeOutcome, ExchangeError> {
        let patience = gateway.config().wait_for_responder.map(|wait| Instant::now() + wait);
        let mut refusals = REFUSAL_PAUSES.iter();
        loop {
            let route = gateway.interest.route(&self.host, &MethodPattern::WebSocket, &self.path);
            let Route::Native(route) = route else {
                self.settle(None);
                let session = UpstreamSession::plain(gateway.clone(), self);
                return Ok(UpgradeOutcome::Accepted { headers: HeaderMap::new(), session });
            };
            let asked_at = Instant::now();
            let error = match self.ask_native(gateway, &route, gateway.config().request_timeout).await {
                Ok(Asked::Refused(response)) => return Ok(UpgradeOutcome::Refused(response)),
                Ok(Asked::Accepted(headers, session)) => {
                    let protocol = chosen(&headers).map(ToOwned::to_owned);
                    self.settle(protocol.as_deref());
                    let session = UpstreamSession::native(gateway.clone(), self, protocol, session);
                    return Ok(UpgradeOutcome::Accepted { headers, session });
                }
                Err(error) => error,
            };
            match error {
                ExchangeError::NoResponders => {
                    gateway.interest.forget_native(&route, asked_at);
                    let others = gateway.interest.route(&self.host, &MethodPattern::WebSocket, &self.path);
                    if !matches!(others, Route::Native(_)) {
                        // The route was native a moment ago, so a plain responder is unlikely.
                        match patience.is_some_and(|until| Instant::now() < until) {
                            true => gateway.responder_pause().await,
                            false if matches!(others, Route::Plain { announced: true }) => {}
                            false => return Err(ExchangeError::NoResponders),
                        }
                    }
                }
                // A responder that stopped before it responded has done nothing lasting.
                ExchangeError::Refused(_)
                | ExchangeError::Aborted { code: AbortCode::Moving | AbortCode::Stopping, .. } => {
                    match refusals.next() {
                        Some(pause) => tokio::time::sleep(*pause).await,
                        None => return Err(error),
                    }
                }
                error => return Err(error),
            }
        }
    }

    /// Reopens the WebSocket after its responder was lost, until a responder accepts or `until`. Returns `None` if none
    /// does.
    pub(crate) async fn ask_again(
        mut self,
        gateway: Arc<Gateway>,
        mut until: Instant,
    ) -> (Self, Option<NativeSession>) {
        while Instant::now() < until {
            until += gateway.time_away().await;
            let route = gateway.interest.route(&self.host, &MethodPattern::WebSocket, &self.path);
            if let Route::Native(route) = route {
                self.epoch += 1;
                let asked_at = Instant::now();
                let attempt = until.min(asked_at + gateway.config().request_timeout);
                let asked = self.ask_native(&gateway, &route, TAKE_TIMEOUT);
                let asked = tokio::time::timeout_at(attempt, asked).await;
                match asked.unwrap_or(Err(ExchangeError::Timeout)) {
                    Ok(Asked::Accepted(headers, session)) if self.is_settled_on(&headers) => {
                        return (self, Some(session));
                    }
                    Ok(_) | Err(ExchangeError::InvalidResponse(_)) => return (self, None),
                    Err(ExchangeError::NoResponders) => gateway.interest.forget_native(&route, asked_at),
                    Err(error) => debug!(connection = %self.connection, %error, "not reopened yet"),
                }
            }
            gateway.responder_pause().await;
        }
        (self, None)
    }

    /// The subprotocol of a connected client cannot change.
    fn is_settled_on(&self, headers: &HeaderMap) -> bool {
        let settled = self.head().and_then(|head| chosen(&head.headers).map(ToOwned::to_owned));
        chosen(headers) == settled.as_deref()
    }
}

impl Gateway {
    /// Waits until NATS is connected. Returns how long that took.
    async fn time_away(&self) -> Duration {
        let began = Instant::now();
        let mut state = self.bus.native.state.clone();
        let _ = state.wait_for(|state| state.connected).await;
        began.elapsed()
    }

    /// Waits for an announcement or the next attempt, whichever comes first. A random part spreads the attempts.
    async fn responder_pause(&self) {
        let jitter = rand::rng().random_range(0.5..1.5);
        let pause = RESPONDER_PAUSE.mul_f64(jitter);
        let _ = tokio::time::timeout(pause, self.interest.news.notified()).await;
    }
}

fn chosen(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()
}
