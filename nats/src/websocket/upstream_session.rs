//! The upstream session of one client's WebSocket, in either dialect. It outlives its responder (`PROTOCOL.md §6`).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h8s_wire::{AbortCode, Close, ConnectionId, Frame, Message, MessageKind};
use tokio::time::Instant;
use tracing::{debug, info};

use crate::exchange::failure::Failure;
use crate::presence::local::Permit;
use crate::presence::push::ClientSink;
use crate::requester::Gateway;
use crate::websocket::message_reader::{Item, ReadError, Received};
use crate::websocket::open::{NativeSession, WebSocketRequest};
use crate::websocket::plain_session::PlainSession;

/// The time limit for a responder to handle the messages sent before the end, beyond the time for finding another one.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// An event of the upstream session for the client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// There is room again: [`UpstreamSession::send`] may be called.
    Room,
    /// A complete message for the client.
    Message(Message),
    /// The connection must be closed with this code and reason.
    Close(Close),
}

/// An upstream session; see the module.
pub struct UpstreamSession {
    gateway: Arc<Gateway>,
    state: State,
    id: ConnectionId,
    protocol: Option<String>,
    /// The connection's place in the directories.
    place: Option<Permit>,
    /// Messages to send before any new one: a lost responder may not have handled them.
    backlog: VecDeque<Again>,
    /// The last state of the room that the caller knows.
    had_room: bool,
    /// The client is gone; only acknowledgements are still awaited.
    is_closing: bool,
}

enum State {
    Native(Box<WebSocketRequest>, NativeSession),
    Reopening(Reopening),
    Plain(Box<WebSocketRequest>, PlainSession),
    Over(Close),
}

type Reopening = Pin<Box<dyn Future<Output = (WebSocketRequest, Option<NativeSession>)> + Send>>;

enum Again {
    Part { kind: MessageKind, bytes: Bytes, more: bool, again: bool },
    Close(Close),
}

impl UpstreamSession {
    pub(crate) fn native(
        gateway: Arc<Gateway>,
        request: WebSocketRequest,
        protocol: Option<String>,
        session: NativeSession,
    ) -> Self {
        let id = request.connection;
        Self::new(gateway, id, protocol, State::Native(Box::new(request), session))
    }

    pub(crate) fn plain(gateway: Arc<Gateway>, request: WebSocketRequest) -> Self {
        let session = PlainSession::new(&gateway, &request);
        let id = request.connection;
        Self::new(gateway, id, None, State::Plain(Box::new(request), session))
    }

    fn new(gateway: Arc<Gateway>, id: ConnectionId, protocol: Option<String>, state: State) -> Self {
        let mut session = Self {
            gateway,
            state,
            id,
            protocol,
            place: None,
            backlog: VecDeque::new(),
            had_room: true,
            is_closing: false,
        };
        session.had_room = session.has_room();
        session
    }

    /// The connection's id, assigned by this gateway.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Call it when the client has its 101. It announces the connection; from then on pushes and broadcasts reach
    /// `sink`.
    pub fn establish(&mut self, sink: Arc<dyn ClientSink>) {
        let request = match &self.state {
            State::Native(request, _) | State::Plain(request, _) => request,
            State::Reopening(_) | State::Over(_) => return,
        };
        if let Some(entry) = request.entry(&self.gateway, self.protocol.clone()) {
            let place = self.gateway.open.insert(entry, sink);
            if let State::Plain(_, session) = &mut self.state {
                session.establish(place.connection.clone());
            }
            self.place = Some(place);
        }
    }

    /// Whether [`send`](Self::send) may be called now. While it is `false`, do not read from the client.
    pub fn has_room(&self) -> bool {
        match &self.state {
            State::Native(_, session) => self.backlog.is_empty() && session.writer.has_room(),
            State::Plain(_, session) => session.has_room(),
            State::Reopening(_) => false,
            State::Over(_) => true,
        }
    }

    /// Sends one part of a message from the client, of at most 64 KiB; `more` means that further parts of the same
    /// message follow. Never fails: lost parts are sent again, or [`next`](Self::next) reports the end.
    ///
    /// # Cancel safety
    /// A part is sent whole, or not at all if the future is dropped before its first poll.
    pub async fn send(&mut self, kind: MessageKind, part: Bytes, more: bool) {
        match &mut self.state {
            State::Native(_, session) if self.backlog.is_empty() => {
                session.writer.send_part(kind, part, more, false).await;
            }
            State::Native(..) | State::Reopening(_) => {
                self.backlog.push_back(Again::Part { kind, bytes: part, more, again: false });
            }
            State::Plain(_, session) => {
                if let Err(close) = session.send(kind, part, more).await {
                    self.state = State::Over(close);
                }
            }
            State::Over(_) => {}
        }
        self.had_room = self.has_room();
    }

    /// Returns the next event. [`Room`](UpstreamEvent::Room) follows only after [`has_room`](Self::has_room) was
    /// `false`.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> UpstreamEvent {
        poll_fn(|cx| self.poll_next(cx, true)).await
    }

    /// Like [`next`](Self::next), but without messages, for a client that cannot receive any now. It still reports room
    /// and the end, and still replaces a lost responder.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next_but_messages(&mut self) -> UpstreamEvent {
        poll_fn(|cx| self.poll_next(cx, false)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, takes: bool) -> Poll<UpstreamEvent> {
        loop {
            match &mut self.state {
                State::Over(close) => return Poll::Ready(UpstreamEvent::Close(close.clone())),
                State::Plain(_, session) => {
                    if let Poll::Ready(close) = session.poll_over(cx) {
                        self.state = State::Over(close);
                        continue;
                    }
                    self.had_room &= session.has_room();
                    if !self.had_room {
                        ready!(session.poll_room(cx));
                        self.had_room = true;
                        return Poll::Ready(UpstreamEvent::Room);
                    }
                    return Poll::Pending;
                }
                State::Reopening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    (request, Some(session)) => {
                        info!(connection = %self.id, "WebSocket reopened at another responder");
                        self.state = State::Native(Box::new(request), session);
                    }
                    (_, None) => self.state = State::Over(Close::new(1012, "the service restarts")),
                },
                State::Native(_, session) => {
                    if flush(&mut self.backlog, session, cx) && !self.had_room {
                        self.had_room = true;
                        return Poll::Ready(UpstreamEvent::Room);
                    }
                    if !takes {
                        ready!(session.exchange.mailbox.poll_failed(cx));
                    }
                    match ready!(session.reader.poll_next(cx)) {
                        Ok(Received { item: Item::Message { message, .. }, frames }) => {
                            session.exchange.mailbox.note_handled(frames);
                            return Poll::Ready(UpstreamEvent::Message(message));
                        }
                        Ok(Received { item: Item::Close(close), frames }) => {
                            session.exchange.handled(frames);
                            session.exchange.settled();
                            self.state = State::Over(sendable(close));
                        }
                        Err(error) => self.lost(error),
                    }
                }
            }
        }
    }

    /// Handles a responder that is lost or violates the protocol.
    fn lost(&mut self, error: ReadError) {
        let over = State::Over(Close::new(1011, "the service failed"));
        let State::Native(request, session) = std::mem::replace(&mut self.state, over) else { return };
        match error {
            ReadError::TooLarge => {
                let reason = "a message is larger than the gateway takes".to_owned();
                session.exchange.abort(AbortCode::Failed, reason, Failure::Closed);
                self.state = State::Over(Close::new(1009, "the message is too large"));
            }
            ReadError::Failed(failure) if is_survived(&failure) && session.holds_state => {
                self.state = State::Over(Close::new(1012, "the service restarts"));
            }
            // The responder has handled the close, and its confirmation was lost.
            ReadError::Failed(Failure::Aborted(AbortCode::Unknown, _))
                if self.is_closing
                    && self.backlog.is_empty()
                    && session.exchange.mailbox.unacknowledged_frames() <= 1 => {}
            ReadError::Failed(failure) if is_survived(&failure) => {
                // The responder may still be running, but it no longer owns the connection.
                session.exchange.send_soon(&Frame::Cancel);
                debug!(connection = %self.id, cause = ?failure, "responder lost, reopening the WebSocket");
                self.reopen(*request, &session);
            }
            ReadError::Failed(failure) => {
                debug!(connection = %self.id, cause = ?failure, "the responder failed");
            }
            ReadError::Invalid(what) => {
                debug!(connection = %self.id, what, "responder violated the protocol");
            }
        }
    }

    fn reopen(&mut self, request: WebSocketRequest, session: &NativeSession) {
        let unhandled = session.exchange.mailbox.take_retained();
        let again = unhandled.into_iter().filter_map(Again::of);
        self.backlog = again.chain(self.backlog.drain(..)).collect();
        self.had_room = false;
        let until = Instant::now() + self.gateway.config().reopen_timeout;
        self.state = State::Reopening(Box::pin(request.ask_again(self.gateway.clone(), until)));
    }

    /// Ends the client's connection: notifies the responder and the directories. Waits until the responder has handled
    /// everything, at most a minute unless another responder must be found first.
    pub async fn close(mut self, close: Close) {
        if let Some(place) = self.place.take() {
            place.give_up(close.clone());
        }
        if matches!(self.state, State::Plain(..) | State::Over(_)) {
            return;
        }
        self.backlog.push_back(Again::Close(close));
        self.is_closing = true;
        let limit = self.gateway.config().reopen_timeout + CLOSE_TIMEOUT;
        let handled = tokio::time::timeout(limit, poll_fn(|cx| self.poll_handled(cx))).await;
        if handled.is_err() {
            debug!(connection = %self.id, "the client's last messages were not acknowledged");
        }
        self.state = State::Over(Close::new(1000, ""));
    }

    /// Continues until the responder has handled everything.
    fn poll_handled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        /// A responder that floods a disconnected client must not occupy a thread.
        const EVENTS_A_TURN: usize = 64;
        for _ in 0..EVENTS_A_TURN {
            // Messages for the client have no recipient any more.
            let event = self.poll_next(cx, true);
            match (&self.state, event) {
                (State::Over(_), _) => return Poll::Ready(()),
                (_, Poll::Ready(_)) => {}
                (State::Native(_, session), Poll::Pending) if self.backlog.is_empty() => {
                    // After a failed send, the reader reports the cause and whether another responder is tried.
                    if ready!(session.exchange.mailbox.poll_all_handled(cx)).is_ok() {
                        session.exchange.settled();
                        return Poll::Ready(());
                    }
                }
                (_, Poll::Pending) => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Sends the backlog again, as far as there is room. Returns whether there is room for more.
fn flush(backlog: &mut VecDeque<Again>, session: &mut NativeSession, cx: &Context<'_>) -> bool {
    loop {
        let room = match backlog.front() {
            Some(Again::Close(_)) => session.writer.poll_room_to_close(cx),
            Some(Again::Part { .. }) | None => session.writer.poll_room(cx),
        };
        // The reader reports failures.
        if !matches!(room, Poll::Ready(Ok(()))) {
            return false;
        }
        match backlog.pop_front() {
            None => return true,
            Some(Again::Part { kind, bytes, more, again }) => {
                session.writer.queue_part(kind, bytes, more, again)
            }
            Some(Again::Close(close)) => session.writer.queue_close(&close),
        }
    }
}

/// Whether another responder can continue after this failure.
fn is_survived(failure: &Failure) -> bool {
    match failure {
        Failure::NoResponders | Failure::Silent | Failure::Disturbed => true,
        Failure::Aborted(code, _) => {
            matches!(code, AbortCode::Moving | AbortCode::Stopping | AbortCode::Unknown)
        }
        _ => false,
    }
}

/// Replaces a close that cannot be sent in a close frame, because responders may send any code.
fn sendable(close: Close) -> Close {
    if close.is_sendable() || close.code == Close::NO_CODE { close } else { Close::new(1000, close.reason) }
}

impl Again {
    fn of(frame: Bytes) -> Option<Self> {
        match Frame::decode(frame).ok()? {
            Frame::Message { flags, bytes, .. } => {
                let kind = if flags.binary { MessageKind::Binary } else { MessageKind::Text };
                Some(Self::Part { kind, bytes, more: flags.more, again: true })
            }
            Frame::Close { code, reason, .. } => {
                Some(Self::Close(Close::new(u16::try_from(code).unwrap_or(Close::NO_CODE), reason)))
            }
            _ => None,
        }
    }
}

impl std::fmt::Debug for UpstreamSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamSession").field("connection", &self.id).finish_non_exhaustive()
    }
}
