//! A gateway's plain exchange: one message out, one or several back (`PROTOCOL.md §4`).

use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use h8s_wire::plain::{self, PlainError, RequestSubjects};
use h8s_wire::{Host, RequestHead, Subjects};
use http::{Method, Response, StatusCode, header};

use crate::body::Body;
use crate::connection::client::{Connection, PublishError};
use crate::error::ExchangeError;
use crate::exchange::endpoint::subject;
use crate::plain::body::PlainStream;
use crate::plain::headers;
use crate::plain::inbox::{PlainFailure, PlainInbox};

/// What a message may hold beside its body: a head of the size that HTTP servers accept.
pub(crate) const HEAD_ROOM_BYTES: usize = 64 * 1024;

/// Everything about one plain request but its body.
pub(crate) struct PlainCall<'a> {
    pub(crate) port: &'a Arc<PlainInbox>,
    pub(crate) subjects: &'a Subjects,
    pub(crate) host: &'a Host,
    pub(crate) head: &'a RequestHead,
    /// The request's own subject.
    pub(crate) to: h8s_wire::Subject,
    /// How long a next piece of the response may take.
    pub(crate) idle: Duration,
}

impl PlainCall<'_> {
    /// Publishes the request and waits for the response's head.
    pub(crate) async fn send(&self, body: Bytes) -> Result<Response<Body>, ExchangeError> {
        let exchange = self.port.open();
        let close = self.subjects.close_notice(self.host, exchange.id);
        let headers = self.headers(&exchange.own, close.as_str())?;
        let room = self.port.connection.max_payload().saturating_sub(headers::bytes(&headers));
        if body.len() > room {
            return Err(ExchangeError::BodyTooLarge { limit_bytes: room });
        }
        let mut notice = CloseNotice { connection: self.port.connection.clone(), to: Some(subject(close)) };
        let to = subject(self.to.clone());
        self.port.connection.publish_plain(to, Some(exchange.own.clone()), headers, body).await.map_err(
            |error| {
                notice.ended_well();
                match error {
                    PublishError::TooLarge => ExchangeError::BodyTooLarge { limit_bytes: room },
                    other => other.into(),
                }
            },
        )?;
        let first = exchange.next().await.map_err(|failure| {
            notice.ended_well();
            match failure {
                PlainFailure::NoResponders => ExchangeError::NoResponders,
                PlainFailure::Disturbed => ExchangeError::Disturbed,
                PlainFailure::Overflow => ExchangeError::InvalidResponse("larger than the buffer".into()),
            }
        })?;
        let plain = self.decode(&first)?;
        let declared = declared_bytes(&plain.head.headers);
        let body = if plain.more {
            Body::plain(PlainStream::new(exchange, first.payload, declared, self.idle, notice))
        } else {
            notice.ended_well();
            Body::whole(first.payload)
        };
        let mut response = Response::new(body);
        *response.status_mut() = plain.head.status;
        *response.headers_mut() = plain.head.headers;
        Ok(response)
    }

    /// Publishes the request and waits for nothing.
    pub(crate) async fn publish(&self, body: Bytes) -> Result<(), ExchangeError> {
        let headers = self.headers("", "")?;
        let to = subject(self.to.clone());
        Ok(self.port.connection.publish_plain(to, None, headers, body).await?)
    }

    fn headers(&self, reply: &str, close: &str) -> Result<HeaderMap, ExchangeError> {
        let subjects = RequestSubjects { publish: self.to.as_str(), reply, close };
        let invalid = |error: PlainError| ExchangeError::InvalidRequest(Arc::new(error.into()));
        headers::collect(|emit| plain::encode_request(self.head, subjects, emit)).map_err(invalid)
    }

    fn decode(&self, first: &Message) -> Result<plain::PlainResponse, ExchangeError> {
        let has_body = self.head.method != Method::HEAD && !is_bodiless(first);
        Ok(plain::decode_response(headers::iter(first.headers.as_ref()), first.payload.len(), has_body)?)
    }
}

/// RFC 9110 §15.4.5: a 304 may declare the length of what it does not send.
fn is_bodiless(first: &Message) -> bool {
    let headers = headers::iter(first.headers.as_ref());
    headers.into_iter().any(|(name, value)| {
        name.eq_ignore_ascii_case(plain::STATUS_CODE) && value.trim() == StatusCode::NOT_MODIFIED.as_str()
    })
}

fn declared_bytes(headers: &http::HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Tells the responder of a plain exchange that it ended early; nothing when it ended well.
pub(crate) struct CloseNotice {
    connection: Connection,
    to: Option<Subject>,
}

impl CloseNotice {
    pub(crate) fn ended_well(&mut self) {
        self.to = None;
    }
}

impl Drop for CloseNotice {
    fn drop(&mut self) {
        let Some(to) = self.to.take() else { return };
        let connection = self.connection.clone();
        // Outside a runtime nothing can be said any more.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = connection.publish_plain(to, None, HeaderMap::new(), Bytes::new()).await;
        });
    }
}
