//! A WebSocket between a client and a backend.
//!
//! The backend is asked before the client has its answer ([`ask`], [`handshake`]): its refusal is the client's. Then a
//! task passes messages on ([`bridge`]) between the gateway's messages and the backend's frames ([`codec`], [`stream`])
//! until it [ends](ending) on both sides. Whoever holds the backend's connection holds state: nobody else can go on
//! with it, and a daemon that is gone closes its clients with 1012.

mod ask;
mod bridge;
mod codec;
mod ending;
mod handshake;
mod stream;

use std::sync::Arc;

use h8s_nats::{Accept, AcceptError, BoxError, Refused, WebSocket, WebSocketUpgrade};
use h8s_wire::ConnectionId;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use crate::backend_url::BackendUrl;
use crate::body::ReverseBody;
use crate::dial::Transport;
use crate::head::Version;
use crate::mapping::Mapping;
use crate::rescue::{Failure, RequestLabel, rescue, said};
use ask::{Answer, ask};
use bridge::Bridge;
use ending::Ending;
use handshake::Handshake;
use stream::Stream;

/// Asks the backend whether it takes this WebSocket: until `deadline`, when the gateway has long given up. `tasks` has what is open.
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
        // What holds state is not asked for again. If it is, the backend that knew this client is gone all the same.
        return Ok(said(StatusCode::SERVICE_UNAVAILABLE, "The connection cannot be taken over.\n"));
    }
    let permit = mapping.backend().websocket_permit().ok_or(Refused::Busy)?;
    let (head, ()) = request.into_parts();
    let label = RequestLabel::of(&head);
    let started = Instant::now();
    let asked = timeout_at(deadline, ask_backend(mapping, head)).await;
    match asked.unwrap_or_else(|_| Err(Failure::Timeout(started.elapsed()))) {
        Ok(Asked::Accepted(backend)) => Ok(backend.accept(mapping, upgrade, permit, tasks)?),
        Ok(Asked::Refused(response)) => Ok(response.map(|body| body.of(label, Arc::clone(mapping)))),
        Err(failure) => rescue(failure, &label, mapping.backend().url()),
    }
}

/// What a backend said.
enum Asked {
    Accepted(Accepted),
    Refused(Response<ReverseBody>),
}

/// A backend that has taken a WebSocket.
struct Accepted {
    /// For the client's 101.
    headers: HeaderMap,
    protocol: Option<String>,
    stream: Stream<Transport>,
}

async fn ask_backend(mapping: &Mapping, mut head: Parts) -> Result<Asked, Failure> {
    mapping.rewrite.rewrite(&mut head, Version::Http1)?;
    let handshake = Handshake::begin(&mut head);
    let backend = mapping.backend();
    let transport = backend.dial_http1().await?;
    match ask(transport, Request::from_parts(head, ()), backend.config().idle_timeout).await? {
        Answer::Switched(mut headers, stream) => {
            let protocol = handshake.check(&mut headers).map_err(Failure::Response)?;
            Ok(Asked::Accepted(Accepted { headers, protocol, stream }))
        }
        Answer::Response(response) if response.status().is_success() => {
            Err(Failure::Response("it neither accepted a WebSocket nor refused it"))
        }
        Answer::Response(response) => Ok(Asked::Refused(response)),
    }
}

impl Accepted {
    /// The client's answer; from then on a task of `tasks` passes messages on.
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

/// One connection until nothing of it is left.
async fn serve(
    mapping: Arc<Mapping>,
    socket: WebSocket,
    stream: Stream<Transport>,
    _permit: OwnedSemaphorePermit,
) {
    let backend = mapping.backend();
    let connection = socket.connection();
    let mut bridge = Bridge::new(socket, stream, backend.max_message_bytes());
    let ending = bridge.converse().await;
    note(&ending, connection, backend.url());
    bridge.end(&ending).await;
}

/// A backend that breaks the rules is its operator's to mend; everything else is how WebSockets end.
fn note(ending: &Ending, connection: ConnectionId, backend: &BackendUrl) {
    match ending {
        Ending::Broken(error) => {
            tracing::warn!(%backend, %connection, cause = %error, "a backend sent what is no WebSocket");
        }
        Ending::BackendTooLarge => {
            tracing::warn!(%backend, %connection, "a backend's message is larger than --max-message-size");
        }
        _ => tracing::debug!(%backend, %connection, ?ending, "a WebSocket ends"),
    }
}
