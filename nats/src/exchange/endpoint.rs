//! This process's end of all native exchanges: publishing frames, and delivering those that come in.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::{Message, StatusCode, Subject};
use bytes::Bytes;
use h8s_wire::{AbortCode, Frame, Inbox, Kind, Peek, Subjects, Sync, SyncEntry};
use tokio::time::Instant;
use tracing::trace;

use crate::connection::client::{Connection, PublishError};
use crate::connection::subscription::Subscription;
use crate::exchange::ack_delay::Quiet;
use crate::exchange::control_queue::{self, ControlFrames};
use crate::exchange::failure::Failure;
use crate::exchange::mailbox::{Answer, Mailbox};
use crate::exchange::registry::Registry;

/// Parties that share exchanges beat this often (`PROTOCOL.md §5`).
pub(crate) const BEAT: Duration = Duration::from_secs(5);
/// A responder that says nothing about a message for so long is looked after.
const PROBE: Duration = Duration::from_secs(1);
/// This many silent beats end what is shared.
const SILENT_BEATS: u64 = 3;

/// Between two rounds of comparing what was sent and received: a consumer that is too slow must not be asked ever more.
const COMPARE_PAUSE: Duration = Duration::from_millis(500);
/// Who is not there for a `SYNC` may be on the way back for so long: reconnecting takes a tenth of it.
const MISSED_MILLIS: u64 = 1_000;
/// After a reconnect the other end may still be on its way back: "no responders" says nothing about it for so long.
const RETURN_MILLIS: u64 = 2_000;

/// What the other end's inboxes look like: frames are published to nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// We are a gateway; peers are responders.
    Gateway,
    /// We are a responder; peers are gateways.
    Responder,
}

/// See the module.
pub(crate) struct Endpoint {
    pub(crate) connection: Connection,
    pub(crate) subjects: Subjects,
    pub(crate) exchanges: Registry<Mailbox>,
    pub(crate) side: Side,
    started: Instant,
    /// When the connection was disturbed last, or came back, in milliseconds since the start.
    disturbed: AtomicU64,
    /// Counts beats since the start, as far as NATS was there.
    beat: AtomicU64,
    /// When somebody was not there for a `SYNC`, in milliseconds since the start; 0 when that has been looked after.
    missed: AtomicU64,
    control: ControlFrames,
    /// For exchanges at a responder that are not answered at once.
    pub(crate) quiet: Arc<Quiet>,
}

impl Endpoint {
    /// A port, and the task that publishes its control frames until the port is gone.
    pub(crate) fn new(connection: Connection, subjects: Subjects, side: Side) -> Arc<Self> {
        let (control, items) = ControlFrames::new();
        tokio::spawn(control_queue::publish_all(connection.clone(), control.weak(), items));
        let exchanges = Registry::default();
        let (started, quiet) = (Instant::now(), Arc::default());
        let (disturbed, beat, missed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self {
            connection,
            subjects,
            exchanges,
            side,
            started,
            disturbed,
            beat,
            missed,
            control,
            quiet,
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// Since the start; never 0.
    fn millis(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }

    /// Others that were disturbed with us may not be back yet.
    pub(crate) fn is_just_back(&self) -> bool {
        let disturbed = self.disturbed.load(Ordering::Relaxed);
        disturbed > 0 && self.millis().saturating_sub(disturbed) < RETURN_MILLIS
    }

    /// Publishes a frame; the reply tells the peer where we are, and the server where to say that nobody listens.
    pub(crate) async fn publish(&self, to: Subject, own: Subject, frame: Bytes) -> Result<(), PublishError> {
        self.connection.publish(to, Some(own), frame).await
    }

    /// Publishes a small frame from where nothing can be awaited, in order with the others of this kind.
    pub(crate) fn publish_soon(&self, to: Subject, own: Subject, frame: &Frame) {
        if let Ok(frame) = frame.encode() {
            self.control.push(to, Some(own), frame);
        }
    }

    /// Waits until every exchange has ended, and NATS has been handed what there was to say about it.
    pub(crate) async fn idle(&self) {
        self.exchanges.empty().await;
        self.control.flushed().await;
    }

    /// Takes everything out of one of our inboxes until the subscription ends.
    pub(crate) async fn take_from(self: Arc<Self>, mut inbox: Subscription) {
        while let Some(message) = inbox.next().await {
            self.deliver(message);
        }
    }

    fn deliver(&self, message: Message) {
        if Inbox::is_sync(&message.subject) {
            return self.deliver_sync(&message);
        }
        let Some(id) = Inbox::exchange_of(&message.subject) else {
            return trace!(subject = %message.subject, "a message that is no exchange's");
        };
        let mailbox = self.exchanges.get(id);
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            let is_settled = !self.is_just_back();
            return mailbox.iter().for_each(|mailbox| mailbox.no_responders(is_settled));
        }
        let Message { subject, reply, payload, .. } = message;
        match mailbox {
            Some(mailbox) => {
                if let Some(answer) = mailbox.deliver(reply, payload, self.now()) {
                    // Nobody but the peer is heard there.
                    self.answer(mailbox.peer(), subject, &mailbox, answer);
                }
            }
            None if wants_answer(&payload) => self.answer_abort(reply, subject, AbortCode::Unknown),
            None => {}
        }
    }

    fn answer(&self, reply: Option<Subject>, own: Subject, mailbox: &Arc<Mailbox>, answer: Answer) {
        match answer {
            Answer::Abort(code) => self.answer_abort(reply, own, code),
            Answer::Again => self.retransmit(mailbox.clone()),
            Answer::Credit => {
                let (limit, handled) = mailbox.credit();
                self.answer_with(reply, own, &Frame::Credit { limit, handled });
            }
            Answer::Resend(from) => self.answer_with(reply, own, &Frame::Resend { from }),
        }
    }

    /// Sends what the mailbox keeps and has been asked for, in order with the control frames.
    pub(crate) fn retransmit(&self, mailbox: Arc<Mailbox>) {
        self.control.push_retransmit(mailbox);
    }

    /// Tells the sender of a frame that it leads nowhere.
    fn answer_abort(&self, reply: Option<Subject>, own: Subject, code: AbortCode) {
        self.answer_with(reply, own, &Frame::Abort { code, reason: String::new() });
    }

    /// Answers the other side, and nobody else.
    fn answer_with(&self, reply: Option<Subject>, own: Subject, frame: &Frame) {
        if let Some(reply) = reply.filter(|reply| self.is_peers(reply)) {
            self.publish_soon(reply, own, frame);
        }
    }

    /// Whether a reply is one of the other side's inboxes.
    pub(crate) fn is_peers(&self, reply: &str) -> bool {
        match self.side {
            Side::Gateway => self.subjects.is_responder_reply(reply),
            Side::Responder => self.subjects.gateway_replies().cover(reply),
        }
    }

    fn deliver_sync(&self, message: &Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            // Which peer it was, nobody says.
            let _ = self.missed.compare_exchange(0, self.millis(), Ordering::Relaxed, Ordering::Relaxed);
            return;
        }
        let peer = message.reply.as_deref().and_then(Inbox::of_sync);
        let (Some(peer), Some(own)) = (peer, Inbox::of_sync(&message.subject)) else { return };
        let Ok(Frame::Sync(sync)) = Frame::decode(message.payload.clone()) else { return };
        for entry in &sync.entries {
            self.sync_one(&peer, &own, entry);
        }
        if sync.answer_wanted {
            self.send_syncs(false, Some(&peer));
        }
    }

    fn sync_one(&self, peer: &Inbox, own: &Inbox, entry: &SyncEntry) {
        let theirs = subject(peer.exchange(entry.exchange));
        let ours = subject(own.exchange(entry.exchange));
        let Some(mailbox) = self.exchanges.get(entry.exchange) else {
            return self.answer_abort(Some(theirs), ours, AbortCode::Unknown);
        };
        if mailbox.peer().as_ref() == Some(&theirs)
            && let Some(answer) = mailbox.sync(entry, self.now())
        {
            self.answer(Some(theirs), ours, &mailbox, answer);
        }
    }

    /// Beats, notices silent peers, and asks what was lost after each disturbance, for as long as the port lives.
    pub(crate) async fn keep_in_sync(self: Arc<Self>) {
        let mut state = self.connection.state.clone();
        let mut disturbances = state.borrow_and_update().disturbances;
        let mut to_compare = false;
        let mut compare_at = Instant::now();
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut probes = tokio::time::interval(PROBE);
        probes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // While NATS is away nobody can be heard: silence says nothing.
                _ = ticks.tick() => {
                    if self.connection.is_connected() {
                        self.beat.fetch_add(1, Ordering::Relaxed);
                        self.send_syncs(false, None);
                    }
                }
                () = tokio::time::sleep_until(compare_at), if to_compare && state.borrow().connected => {
                    to_compare = false;
                    compare_at = Instant::now() + COMPARE_PAUSE;
                    self.send_syncs(true, None);
                }
                _ = probes.tick() => {
                    if self.side == Side::Gateway {
                        self.probe();
                    }
                    self.look_for_missed();
                }
                changed = state.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = *state.borrow_and_update();
                    if now.disturbances != disturbances {
                        disturbances = now.disturbances;
                        to_compare = true;
                        self.end_unanswered();
                    }
                    if now.connected {
                        self.disturbed.store(self.millis(), Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// A responder that has a message and says nothing may be busy, or dead. The server knows.
    fn probe(&self) {
        for (_, mailbox) in self.exchanges.all() {
            if mailbox.is_stuck() {
                self.ask_after_peer(&mailbox);
            }
        }
    }

    /// Somebody was not there for a `SYNC`, a while ago: each exchange asks whether its peer still is not.
    fn look_for_missed(&self) {
        let missed = self.missed.load(Ordering::Relaxed);
        if missed == 0 || self.millis().saturating_sub(missed) < MISSED_MILLIS || self.is_just_back() {
            return;
        }
        self.missed.store(0, Ordering::Relaxed);
        for (_, mailbox) in self.exchanges.all() {
            self.ask_after_peer(&mailbox);
        }
    }

    /// A frame that says nothing new comes back from the inbox of who is not there.
    fn ask_after_peer(&self, mailbox: &Mailbox) {
        if let Some(peer) = mailbox.peer() {
            let (limit, handled) = mailbox.credit();
            self.publish_soon(peer, mailbox.own.clone(), &Frame::Credit { limit, handled });
        }
    }

    /// What nobody has answered yet may or may not have arrived. What somebody has, is compared afterwards.
    fn end_unanswered(&self) {
        for (_, mailbox) in self.exchanges.all() {
            if mailbox.peer().is_none() {
                mailbox.fail(Failure::Disturbed);
            } else {
                mailbox.suspend();
            }
        }
    }

    /// One `SYNC` for each peer (or the one named), with every exchange that we share.
    fn send_syncs(&self, answer_wanted: bool, only: Option<&Inbox>) {
        let beat = self.now();
        let mut shared: HashMap<(Inbox, Inbox), Vec<SyncEntry>> = HashMap::new();
        for (id, mailbox) in self.exchanges.all() {
            let peer = mailbox.peer().and_then(|peer| Inbox::of_exchange(&peer));
            if only.is_some_and(|only| Some(only) != peer.as_ref()) {
                continue;
            }
            // Whoever took a request says so at once, or is silent like any other.
            let Some(entry) = mailbox.beat(id, beat, SILENT_BEATS) else { continue };
            if let (Some(peer), Some(own)) = (peer, Inbox::of_exchange(&mailbox.own)) {
                shared.entry((peer, own)).or_default().push(entry);
            }
        }
        for ((peer, own), entries) in shared {
            self.send_sync(&peer, &own, &entries, answer_wanted);
        }
    }

    fn send_sync(&self, peer: &Inbox, own: &Inbox, entries: &[SyncEntry], answer_wanted: bool) {
        for entries in entries.chunks(Sync::MAX_ENTRIES) {
            let frame = Frame::Sync(Sync { answer_wanted, entries: entries.to_vec() });
            self.publish_soon(subject(peer.sync()), subject(own.sync()), &frame);
        }
    }
}

/// An unknown exchange's frame is answered, unless the answer would be answered in turn.
fn wants_answer(payload: &[u8]) -> bool {
    !matches!(
        Peek::of(payload).map(|peek| peek.kind),
        Ok(Kind::Abort | Kind::Cancel | Kind::Refused) | Err(_)
    )
}

/// A subject of ours as the client library has it.
pub(crate) fn subject(subject: h8s_wire::Subject) -> Subject {
    Subject::from(subject.into_string())
}
