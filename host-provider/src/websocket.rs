//! One client WebSocket at a component: opened, its messages one after the other, closed.
//!
//! One task per connection, and an instance per call. The next message is asked for when the last one has been
//! handled: that is what keeps the order, and what makes a client wait whose messages are slow to handle. A permit is
//! only held while the guest runs, so that open connections cost the component's other work nothing.
//!
//! A connection outlives the component that it was opened with: when another takes its place, that one handles the
//! next message, and the end. It is not asked whether it would have let the client in.

use std::sync::Arc;

use bytes::Bytes;
use h8s_nats::{Accept, Incoming, Refused, WebSocket, WebSocketSender, WebSocketUpgrade};
use h8s_wire::subprotocol::{is_offered, offered};
use h8s_wire::{Close, Host, Message, PathTokens};
use http::{HeaderMap, Request, Response, StatusCode, header};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::admission::Permit;
use crate::bindings::h8s::exported::lifecycle as wit;
use crate::bindings::h8s::exported::receiver::Origin;
use crate::component::Component;
use crate::dispatch::Shared;
use crate::fault::{Fault, RequestLabel, plain, shortened};
use crate::instance::{Call, Guest};
use crate::lifecycle::{Closed, Open, refused};
use crate::own::{Kept, Own};
use crate::reach::SendingError;
use crate::receiver::Receive;
use crate::sender::fields;
use crate::sending::Sending;

/// Names of the handshake (RFC 6455 §4.1): guests see what it is about, and not how it is done.
const HANDSHAKE: [header::HeaderName; 4] =
    [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION];

/// What a client is told when the component has failed (RFC 6455 §7.4.1: an unexpected condition).
const FAILED: u16 = 1011;

/// Asks the component whether it takes this WebSocket, and serves it if so. The response is for the client.
pub(crate) async fn open(
    shared: &Arc<Shared>,
    upgrade: WebSocketUpgrade,
    request: Request<()>,
    deadline: Instant,
) -> Result<Response<Bytes>, Refused> {
    let component = shared.component();
    if component.exports.receiver.is_none() {
        return Ok(plain(StatusCode::NOT_FOUND, "No WebSockets are served here.\n"));
    }
    let Some(connection) = Connection::of(shared, &upgrade, &request) else {
        return Ok(plain(StatusCode::BAD_REQUEST, "The request names no host.\n"));
    };
    let (protocol, kept) = match &component.exports.lifecycle {
        // Whoever was asked at first has chosen: that is the only one still offered.
        _ if upgrade.is_reopened() => (offered(request.headers()).next().map(str::to_owned), Kept::default()),
        None => (None, Kept::default()),
        Some(_) => match connection.ask(&request, deadline).await? {
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
    shared.tasks.spawn(connection.serve(socket, kept));
    Ok(response.map(|()| Bytes::new()))
}

/// How a connection ended here.
enum End {
    /// It is over.
    Over(Close),
    /// This end closes it.
    Close(Close),
    /// It goes on at another host.
    Elsewhere,
}

impl End {
    /// By the last that came.
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

/// What is known of one connection for as long as it lives.
struct Connection {
    shared: Arc<Shared>,
    id: h8s_wire::ConnectionId,
    host: Host,
    path: String,
    subject: String,
    label: RequestLabel,
}

impl Connection {
    fn of(shared: &Arc<Shared>, upgrade: &WebSocketUpgrade, request: &Request<()>) -> Option<Self> {
        let named = || request.headers().get(header::HOST)?.to_str().ok();
        let authority = request.uri().authority().map(http::uri::Authority::as_str).or_else(named)?;
        let host = Host::parse(authority).ok()?;
        let path = request.uri().path().to_owned();
        let subject = shared.reach().subjects.websocket(&host, &PathTokens::of(&path)).into_string();
        let (shared, label) = (Arc::clone(shared), RequestLabel::of(request));
        Some(Self { shared, id: upgrade.connection(), host, path, subject, label })
    }

    /// Asks `on-open`. Its own fault, or its refusal, is a response for the client.
    async fn ask(
        &self,
        request: &Request<()>,
        deadline: Instant,
    ) -> Result<Result<(Option<String>, Kept), Response<Bytes>>, Refused> {
        let permit = self.shared.admission.admit(deadline).await?;
        // Only now: whoever has waited gets the component that took over meanwhile, which may not ask.
        let component = self.shared.component();
        let Some(lifecycle) = component.exports.lifecycle.clone() else {
            return Ok(Ok((None, Kept::default())));
        };
        let call = Open { lifecycle, connection: self.describe(request) };
        let ending = self.guest(&component, Own::opening(self.id), call).outcome(deadline).await;
        let (said, kept) = match ending {
            Ok(mut returned) => {
                let kept = returned.instance.take_sending().into_kept();
                returned.instance.rest(permit.into_slot());
                (returned.value, kept)
            }
            Err(fault) => return Ok(Err(self.failed(&fault))),
        };
        Ok(match said {
            Ok(wit::Acceptance { protocol: Some(protocol) }) if !is_offered(&protocol, request.headers()) => {
                Err(self.failed(&Fault::ProtocolNotOffered(protocol)))
            }
            Ok(wit::Acceptance { protocol }) => Ok((protocol, kept)),
            Err(refusal) => Err(refused(refusal).unwrap_or_else(|fault| self.failed(&fault))),
        })
    }

    /// The connection until its end, and `on-close` where that is the end.
    async fn serve(self, mut socket: WebSocket, kept: Kept) {
        let sender = socket.sender();
        let end = match self.settle(&sender, kept).await {
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

    /// Does what `on-open` wanted done. A connection that is gone by now tells so with its first message.
    async fn settle(&self, sender: &WebSocketSender, kept: Kept) -> Option<Close> {
        let mut sending = self.sending(Own::open(self.id, sender.clone()));
        for step in kept.steps {
            let done = sending.catch_up(self.id, step).await;
            if let Err(error) = done {
                // Whoever has left meanwhile needs nothing of it.
                let is_gone = matches!(error, SendingError::Unknown | SendingError::Closed);
                tracing::debug!(component = self.component(), connection = %self.id, %error, "not done after on-open");
                if is_gone {
                    break;
                }
            }
        }
        kept.close
    }

    async fn take_messages(&self, socket: &mut WebSocket, sender: &WebSocketSender) -> End {
        loop {
            match socket.next().await {
                Incoming::Message { message, redelivered } => {
                    // A client that says much would otherwise have this thread for itself. And the word that the last
                    // message has been handled leaves before the next is begun: others wait for it on this thread.
                    yield_now().await;
                    let permit = tokio::select! {
                        biased;
                        permit = self.shared.admission.admit_patiently() => permit,
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

    /// One message. Gives back what the connection is to be closed with, if it is.
    async fn handle(
        &self,
        sender: &WebSocketSender,
        message: Message,
        repeated: bool,
        permit: Permit,
    ) -> Option<Close> {
        let component = self.shared.component();
        let Some(receiver) = component.exports.receiver.clone() else {
            // What takes a component's place serves what it did, so this is never said.
            return Some(Close::new(FAILED, "no WebSockets are served here"));
        };
        let call = Receive { receiver, from: self.origin(repeated), message };
        let own = Own::open(self.id, sender.clone());
        let ending = self.guest(&component, own, call).outcome(self.deadline()).await;
        match ending {
            Ok(mut returned) => {
                if let Err(said) = returned.value {
                    let said = shortened(said);
                    tracing::warn!(component = self.component(), connection = %self.id, said, "message not handled");
                }
                let close = returned.instance.take_sending().into_close();
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
        if self.shared.component().exports.lifecycle.is_none() {
            return;
        }
        let Ok(permit) = self.shared.admission.admit_patiently().await else { return };
        // Only now: whoever has waited gets the component that took over meanwhile.
        let component = self.shared.component();
        let Some(lifecycle) = component.exports.lifecycle.clone() else { return };
        let call = Closed { lifecycle, from: self.origin(false), close };
        match self.guest(&component, Own::closed(self.id), call).outcome(self.deadline()).await {
            Ok(returned) => returned.instance.rest(permit.into_slot()),
            Err(fault) => fault.log(self.component(), &self.label),
        }
    }

    fn guest<C: Call>(&self, component: &Arc<Component>, own: Own, call: C) -> Guest<C::Output> {
        Guest::new(component, self.sending(own), call)
    }

    fn sending(&self, own: Own) -> Sending {
        Sending::new(self.shared.reach(), Some(own), &self.shared.source.limits)
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.source.limits.timeout
    }

    fn component(&self) -> &str {
        &self.shared.source.name
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

/// What is text, and not about the handshake.
fn texts(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let wanted = headers.iter().filter(|(name, _)| !HANDSHAKE.contains(name));
    wanted.filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
}
