//! A WebSocket between a client and a backend.
//!
//! The backend is [asked to upgrade](upgrade_request) with a [`handshake`] before the client has its response, so that the
//! client gets the backend's refusal. Then a task [forwards messages](bridge) between the gateway and the backend's frames
//! ([`codec`], [`stream`]) until both sides have [ended](ending). The backend's connection is state that no other daemon
//! can take over: when this daemon is gone, its clients are closed with 1012.

mod bridge;
mod codec;
mod ending;
mod handshake;
mod stream;
mod upgrade_request;

use std::sync::Arc;

use h8s_nats::{Accept, AcceptError, BoxError, Refused, WebSocket, WebSocketUpgrade};
use h8s_wire::ConnectionId;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::backend::{BackendUrl, Transport};
use crate::forward::error_response::{error_response, text_response};
use crate::forward::failure::{Failure, RequestLabel};
use crate::forward::mapping::Mapping;
use crate::forward::request_head::Version;
use crate::forward::response_body::ReverseBody;
use bridge::Bridge;
use ending::Ending;
use handshake::Handshake;
use stream::Stream;
use upgrade_request::{UpgradeResponse, request_upgrade};

/// Opens a WebSocket with the backend, at the latest by `deadline`. Open ones run in `tasks`.
///
/// # Cancel safety
/// The backend's connection is dropped.
pub(crate) async fn open(
    mapping: &Arc<Mapping>,
    upgrade: WebSocketUpgrade,
    request: Request<()>,
    deadline: Instant,
    tasks: &TaskTracker,
) -> Result<Response<ReverseBody>, BoxError> {
    if upgrade.is_reopened() {
        // The connection that knew this client is gone.
        return Ok(text_response(StatusCode::SERVICE_UNAVAILABLE, "The connection cannot be taken over.\n"));
    }
    let permit = mapping.backend().websocket_permit().ok_or(Refused::Busy)?;
    let (head, ()) = request.into_parts();
    let label = RequestLabel::of(&head);
    let started = Instant::now();
    let outcome = timeout_at(deadline, upgrade_with_backend(mapping, head)).await;
    match outcome.unwrap_or_else(|_| Err(Failure::Timeout(started.elapsed()))) {
        Ok(UpgradeOutcome::Accepted(backend)) => Ok(backend.accept(mapping, upgrade, permit, tasks)?),
        Ok(UpgradeOutcome::Refused(response)) => {
            Ok(response.map(|body| body.with_label(label, Arc::clone(mapping))))
        }
        Err(failure) => error_response(failure, &label, mapping.backend().url()),
    }
}

/// The outcome of an upgrade.
enum UpgradeOutcome {
    Accepted(Accepted),
    Refused(Response<ReverseBody>),
}

/// A WebSocket that the backend has accepted.
struct Accepted {
    /// Fields of the client's 101.
    headers: HeaderMap,
    protocol: Option<String>,
    stream: Stream<Transport>,
}

async fn upgrade_with_backend(mapping: &Mapping, mut head: Parts) -> Result<UpgradeOutcome, Failure> {
    mapping.rewrite.rewrite(&mut head, Version::Http1)?;
    let handshake = Handshake::begin(&mut head);
    let backend = mapping.backend();
    let transport = backend.dial_http1().await?;
    match request_upgrade(transport, Request::from_parts(head, ()), backend.config().idle_timeout).await? {
        UpgradeResponse::Switched(mut headers, stream) => {
            let protocol = handshake.check(&mut headers).map_err(Failure::Response)?;
            Ok(UpgradeOutcome::Accepted(Accepted { headers, protocol, stream }))
        }
        UpgradeResponse::Response(response) if response.status().is_success() => {
            Err(Failure::Response("the backend neither accepted nor refused the WebSocket"))
        }
        UpgradeResponse::Response(response) => Ok(UpgradeOutcome::Refused(response)),
    }
}

impl Accepted {
    /// The client's response. A task in `tasks` forwards messages from then on.
    fn accept(
        self,
        mapping: &Arc<Mapping>,
        upgrade: WebSocketUpgrade,
        permit: OwnedSemaphorePermit,
        tasks: &TaskTracker,
    ) -> Result<Response<ReverseBody>, AcceptError> {
        let Self { headers, protocol, stream } = self;
        let (mut response, socket) =
            upgrade.accept(Accept::default().protocol(protocol).holds_state(true))?;
        response.headers_mut().extend(headers);
        tasks.spawn(serve(mapping.clone(), socket, stream, permit));
        Ok(response.map(|()| ReverseBody::default()))
    }
}

/// Runs one connection until both sides are closed.
async fn serve(
    mapping: Arc<Mapping>,
    socket: WebSocket,
    stream: Stream<Transport>,
    _permit: OwnedSemaphorePermit,
) {
    let backend = mapping.backend();
    let connection = socket.connection();
    let mut bridge = Bridge::new(socket, stream, backend.max_message_bytes());
    let ending = bridge.forward().await;
    log(&ending, connection, backend.url());
    bridge.end(&ending).await;
}

/// A protocol error is a fault of the backend; other endings are normal.
fn log(ending: &Ending, connection: ConnectionId, backend: &BackendUrl) {
    match ending {
        Ending::Broken(error) => {
            tracing::warn!(%backend, %connection, cause = %error, "backend violated the WebSocket protocol");
        }
        Ending::BackendTooLarge => {
            tracing::warn!(%backend, %connection, "message from the backend exceeds --max-message-size");
        }
        _ => tracing::debug!(%backend, %connection, ?ending, "WebSocket closed"),
    }
}
