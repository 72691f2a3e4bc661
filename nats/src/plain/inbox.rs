//! This process's end of the plain dialect: messages that come in for one exchange each.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_nats::{Message, StatusCode, Subject};
use h8s_wire::{ExchangeId, Inbox};

use crate::connection::client::Connection;
use crate::connection::subscription::Subscription;
use crate::exchange::endpoint::subject;
use crate::exchange::flow_control;
use crate::exchange::registry::{Registry, random_id};

/// Bytes that may wait for a reader. The plain dialect has no flow control: past this the exchange ends visibly.
pub(crate) const BUFFER_BYTES: usize = 16 * 1024 * 1024;
/// The same while all exchanges together have much waiting.
const TIGHT_BUFFER_BYTES: usize = 1024 * 1024;
/// What a message costs beyond its payload: many empty ones must not be free.
const MESSAGE_OVERHEAD_BYTES: usize = 256;

/// Why no more messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainFailure {
    NoResponders,
    Overflow,
    Disturbed,
}

/// See the module.
pub(crate) struct PlainInbox {
    pub(crate) connection: Connection,
    pub(crate) inbox: Inbox,
    pub(crate) exchanges: Registry<PlainMailbox>,
}

impl PlainInbox {
    pub(crate) fn new(connection: Connection, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self { connection, inbox, exchanges: Registry::default() })
    }

    pub(crate) async fn take_from(self: Arc<Self>, mut inbox: Subscription) {
        while let Some(message) = inbox.next().await {
            self.deliver(message);
        }
    }

    pub(crate) fn deliver(&self, message: Message) {
        let id = Inbox::exchange_of(&message.subject);
        if let Some(mailbox) = id.and_then(|id| self.exchanges.get(id)) {
            mailbox.deliver(message);
        }
    }

    /// A disconnect may have lost a reply: whoever waits for one is told.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut state = self.connection.state.clone();
        let mut disturbances = state.borrow_and_update().disturbances;
        while state.changed().await.is_ok() {
            let now = state.borrow_and_update().disturbances;
            if now != disturbances {
                disturbances = now;
                self.exchanges.all().iter().for_each(|(_, mailbox)| mailbox.fail(PlainFailure::Disturbed));
            }
        }
    }

    pub(crate) fn open(self: &Arc<Self>) -> PlainExchange {
        self.open_for(None)
    }

    /// An exchange that others know by the id in their reply, so that a notice of its end finds it. A reply of another
    /// kind, or an id in use, gets one of our own.
    pub(crate) fn open_for(self: &Arc<Self>, reply: Option<&str>) -> PlainExchange {
        let mailbox = Arc::new(PlainMailbox::default());
        let theirs =
            reply.and_then(Inbox::exchange_of).filter(|id| self.exchanges.insert(*id, mailbox.clone()));
        let id = theirs.unwrap_or_else(|| {
            let id = ExchangeId::from_bytes(random_id());
            self.exchanges.insert(id, mailbox.clone());
            id
        });
        PlainExchange { port: self.clone(), id, own: subject(self.inbox.exchange(id)), mailbox }
    }
}

/// One exchange's place in the registry, removed on drop.
pub(crate) struct PlainExchange {
    pub(crate) port: Arc<PlainInbox>,
    pub(crate) id: ExchangeId,
    /// Where its messages come in.
    pub(crate) own: Subject,
    mailbox: Arc<PlainMailbox>,
}

impl PlainExchange {
    pub(crate) async fn next(&self) -> Result<Message, PlainFailure> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Result<Message, PlainFailure>> {
        self.mailbox.poll_next(cx)
    }
}

impl Drop for PlainExchange {
    fn drop(&mut self) {
        self.port.exchanges.remove(self.id);
    }
}

/// Messages of one exchange that nobody has read yet.
#[derive(Default)]
pub(crate) struct PlainMailbox {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Message>,
    bytes: usize,
    failure: Option<PlainFailure>,
    reader: Option<Waker>,
}

impl Drop for State {
    fn drop(&mut self) {
        flow_control::note_read(self.bytes);
    }
}

fn cost(message: &Message) -> usize {
    message.length + MESSAGE_OVERHEAD_BYTES
}

impl PlainMailbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, message: Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return self.fail(PlainFailure::NoResponders);
        }
        let mut state = self.lock();
        // After a hole nothing more is taken in: the empty message that ends a response would make it look whole.
        if state.failure.is_some() {
            return;
        }
        let cost = cost(&message);
        let limit = if flow_control::is_tight() { TIGHT_BUFFER_BYTES } else { BUFFER_BYTES };
        if state.bytes + cost > limit && !state.queue.is_empty() {
            drop(state);
            return self.fail(PlainFailure::Overflow);
        }
        state.bytes += cost;
        flow_control::note_waiting(cost);
        state.queue.push_back(message);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn fail(&self, failure: PlainFailure) {
        let mut state = self.lock();
        state.failure.get_or_insert(failure);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Result<Message, PlainFailure>> {
        let mut state = self.lock();
        if let Some(message) = state.queue.pop_front() {
            state.bytes -= cost(&message);
            flow_control::note_read(cost(&message));
            return Poll::Ready(Ok(message));
        }
        if let Some(failure) = state.failure {
            return Poll::Ready(Err(failure));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}
