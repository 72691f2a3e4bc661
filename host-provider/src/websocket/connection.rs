//! One client WebSocket at a component: open, messages in order, close.
//!
//! One task per connection, and an instance per call. The next message is taken when the last one has been handled: this
//! keeps the order, and slows down a client whose messages are slow to handle. A permit is held only while the guest
//! runs, so that idle connections do not use up the component's concurrency.
//!
//! A connection outlives the component that it was opened with: after a swap, the new component handles the next
//! message, and the close. Its `on-open` is not called for connections that are open.

use std::sync::Arc;

use bytes::Bytes;
use h8s_nats::{Accept, Incoming, Refused, WebSocket, WebSocketSender, WebSocketUpgrade};
use h8s_wire::subprotocol::{is_offered, offered};
use h8s_wire::{Close, Host, Message, PathTokens};
use http::{HeaderMap, Request, Response, StatusCode, header};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::bindings::SenderError;
use crate::bindings::fields::fields;
use crate::bindings::h8s::exported::lifecycle as wit;
use crate::bindings::h8s::exported::receiver::Origin;
use crate::component::Component;
use crate::component::deployment::Deployment;
use crate::engine::admission::Permit;
use crate::instance::fault::{Fault, RequestLabel, plain, shortened};
use crate::instance::{Call, Guest};
use crate::push::current_connection::{CurrentConnection, PendingActions};
use crate::push::guest_sender::GuestSender;
use crate::websocket::lifecycle::{Closed, Open, refused};
use crate::websocket::receiver::Receive;

/// Fields of the handshake (RFC 6455 §4.1), which guests do not see.
const HANDSHAKE: [header::HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];

/// The close code when the component has failed (RFC 6455 §7.4.1: an unexpected condition).
const FAILED: u16 = 1011;

/// Opens a WebSocket if the component accepts it, and serves it in a task. Returns the response for the client.
pub(crate) async fn open(
    deployment: &Arc<Deployment>,
    upgrade: WebSocketUpgrade,
    request: Request<()>,
    deadline: Instant,
) -> Result<Response<Bytes>, Refused> {
    let component = deployment.component();
    if component.exports.receiver.is_none() {
        return Ok(plain(StatusCode::NOT_FOUND, "No WebSockets are served here.\n"));
    }
    let Some(connection) = Connection::of(deployment, &upgrade, &request) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "The request names no host.\n"));
    };
    let (protocol, pending) = match &component.exports.lifecycle {
        // The first responder has chosen the subprotocol: it is the only one still offered.
        _ if upgrade.is_reopened() => {
            (offered(request.headers()).next().map(str::to_owned), PendingActions::default())
        }
        None => (None, PendingActions::default()),
        Some(_) => match connection.on_open(&request, deadline).await? {
            Ok(accepted) => accepted,
            Err(response) => return Ok(response),
        },
    };
    let (response, socket) = match upgrade.accept(Accept::default().protocol(protocol)) {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "WebSocket not accepted");
            return Ok(plain(StatusCode::BAD_GATEWAY, "The WebSocket could not be accepted.\n"));
        }
    };
    deployment.websockets.spawn(connection.serve(socket, pending));
    Ok(response.map(|()| Bytes::new()))
}

/// How a connection ended here.
enum End {
    /// The client or the gateway closed it.
    Over(Close),
    /// This host closes it.
    Close(Close),
    /// It continues at another host.
    Elsewhere,
}

impl End {
    /// From the final event.
    fn of(last: Incoming) -> Self {
        match last {
            Incoming::Close(close) => Self::Over(close),
            Incoming::Disconnected { closed: true } => Self::Over(Close::new(Close::ABNORMAL, "")),
            Incoming::Disconnected { closed: false } | Incoming::Moved | Incoming::Message { .. } => {
                Self::Elsewhere
            }
        }
    }
}

/// One connection at this host.
struct Connection {
    deployment: Arc<Deployment>,
    id: h8s_wire::ConnectionId,
    host: Host,
    path: String,
    subject: String,
    label: RequestLabel,
}

impl Connection {
    fn of(deployment: &Arc<Deployment>, upgrade: &WebSocketUpgrade, request: &Request<()>) -> Option<Self> {
        let host_field = || request.headers().get(header::HOST)?.to_str().ok();
        let authority = request.uri().authority().map(http::uri::Authority::as_str).or_else(host_field)?;
        let host = Host::parse(authority).ok()?;
        let path = request.uri().path().to_owned();
        let subject = deployment.scope().subjects.websocket(&host, &PathTokens::of(&path)).into_string();
        let (deployment, label) = (Arc::clone(deployment), RequestLabel::of(request));
        Some(Self { deployment, id: upgrade.connection(), host, path, subject, label })
    }

    /// Calls `on-open`. A fault or a refusal becomes a response for the client.
    async fn on_open(
        &self,
        request: &Request<()>,
        deadline: Instant,
    ) -> Result<Result<(Option<String>, PendingActions), Response<Bytes>>, Refused> {
        let permit = self.deployment.admission.admit(deadline).await?;
        // Only now: a call that waited uses the component that was swapped in meanwhile, which may lack `on-open`.
        let component = self.deployment.component();
        let Some(lifecycle) = component.exports.lifecycle.clone() else {
            return Ok(Ok((None, PendingActions::default())));
        };
        let call = Open { lifecycle, connection: self.describe(request) };
        let ending =
            self.guest(&component, CurrentConnection::opening(self.id), call).outcome(deadline).await;
        let (decision, pending) = match ending {
            Ok(mut returned) => {
                let pending = returned.instance.take_sender().into_pending();
                returned.instance.rest(permit.into_slot());
                (returned.value, pending)
            }
            Err(fault) => return Ok(Err(self.failed(&fault))),
        };
        Ok(match decision {
            Ok(wit::Acceptance { protocol: Some(protocol) }) if !is_offered(&protocol, request.headers()) => {
                Err(self.failed(&Fault::ProtocolNotOffered(protocol)))
            }
            Ok(wit::Acceptance { protocol }) => Ok((protocol, pending)),
            Err(refusal) => Err(refused(refusal).unwrap_or_else(|fault| self.failed(&fault))),
        })
    }

    /// Serves the connection to its end. Calls `on-close`, unless it continues at another host.
    async fn serve(self, mut socket: WebSocket, pending: PendingActions) {
        let sender = socket.sender();
        let end = match self.perform(&sender, pending).await {
            Some(close) => End::Close(close),
            None => self.take_messages(&mut socket, &sender).await,
        };
        match end {
            End::Over(close) => self.closed(close).await,
            End::Close(close) => {
                if socket.close(close.clone()).await {
                    self.closed(close).await;
                }
            }
            End::Elsewhere => {}
        }
    }

    /// Performs the actions that `on-open` queued. The client may have left meanwhile.
    async fn perform(&self, sender: &WebSocketSender, pending: PendingActions) -> Option<Close> {
        let mut guest_sender = self.guest_sender(CurrentConnection::open(self.id, sender.clone()));
        for action in pending.actions {
            let done = guest_sender.perform(self.id, action).await;
            if let Err(error) = done {
                // The client has left: the remaining actions have no effect.
                let is_gone = matches!(error, SenderError::Unknown | SenderError::Closed);
                tracing::debug!(component = self.component(), connection = %self.id, %error, "action of on-open failed");
                if is_gone {
                    break;
                }
            }
        }
        pending.close
    }

    async fn take_messages(&self, socket: &mut WebSocket, sender: &WebSocketSender) -> End {
        loop {
            match socket.next().await {
                Incoming::Message { message, redelivered } => {
                    // A client that sends a lot must not occupy this thread. And the acknowledgement of the last message
                    // leaves before the next call begins: other tasks of this thread send it.
                    yield_now().await;
                    let permit = tokio::select! {
                        biased;
                        permit = self.deployment.admission.admit_patiently() => permit,
                        lost = socket.lost() => return End::of(lost),
                    };
                    let Ok(permit) = permit else { return End::Elsewhere };
                    if let Some(close) = self.handle(sender, message, redelivered, permit).await {
                        return End::Close(close);
                    }
                }
                last => return End::of(last),
            }
        }
    }

    /// Handles one message. Returns the close that the guest, or a fault, requested.
    async fn handle(
        &self,
        sender: &WebSocketSender,
        message: Message,
        repeated: bool,
        permit: Permit,
    ) -> Option<Close> {
        let component = self.deployment.component();
        let Some(receiver) = component.exports.receiver.clone() else {
            // Unreachable: a replacement serves what its predecessor did.
            return Some(Close::new(FAILED, "no WebSockets are served here"));
        };
        let call = Receive { receiver, from: self.origin(repeated), message };
        let current = CurrentConnection::open(self.id, sender.clone());
        let ending = self.guest(&component, current, call).outcome(self.deadline()).await;
        match ending {
            Ok(mut returned) => {
                if let Err(error) = returned.value {
                    let error = shortened(error);
                    tracing::warn!(component = self.component(), connection = %self.id, error, "message not handled");
                }
                let close = returned.instance.take_sender().into_close();
                returned.instance.rest(permit.into_slot());
                close
            }
            Err(fault) => {
                fault.log(self.component(), &self.label);
                Some(Close::new(FAILED, "the component failed"))
            }
        }
    }

    async fn closed(&self, close: Close) {
        if self.deployment.component().exports.lifecycle.is_none() {
            return;
        }
        let Ok(permit) = self.deployment.admission.admit_patiently().await else { return };
        // Only now: a call that waited uses the component that was swapped in meanwhile.
        let component = self.deployment.component();
        let Some(lifecycle) = component.exports.lifecycle.clone() else { return };
        let call = Closed { lifecycle, from: self.origin(false), close };
        match self.guest(&component, CurrentConnection::closed(self.id), call).outcome(self.deadline()).await
        {
            Ok(returned) => returned.instance.rest(permit.into_slot()),
            Err(fault) => fault.log(self.component(), &self.label),
        }
    }

    fn guest<C: Call>(&self, component: &Component, current: CurrentConnection, call: C) -> Guest<C::Output> {
        Guest::new(&component.template, self.guest_sender(current), call)
    }

    fn guest_sender(&self, current: CurrentConnection) -> GuestSender {
        GuestSender::new(self.deployment.scope(), Some(current), &self.deployment.source.limits)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.deployment.source.limits.timeout
    }

    fn component(&self) -> &str {
        &self.deployment.source.name
    }

    fn failed(&self, fault: &Fault) -> Response<Bytes> {
        fault.log(self.component(), &self.label);
        fault.response()
    }

    fn origin(&self, repeated: bool) -> Origin {
        Origin {
            connection: self.id.to_string(),
            host: self.host.name().to_owned(),
            subject: self.subject.clone(),
            path: self.path.clone(),
            repeated,
        }
    }

    fn describe(&self, request: &Request<()>) -> wit::Connection {
        wit::Connection {
            id: self.id.to_string(),
            host: self.host.name().to_owned(),
            path: self.path.clone(),
            query: request.uri().query().map(str::to_owned),
            subject: self.subject.clone(),
            protocol: None,
            headers: fields(texts(request.headers())),
        }
    }
}

/// The fields with text values, without those of the handshake.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let wanted = headers.iter().filter(|(name, _)| !HANDSHAKE.contains(name));
    wanted.filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
}
