//! An exchange's mailbox, between the inbox's task, which delivers, and the tasks that read and write its bodies.

use std::future::poll_fn;

use async_nats::Subject;
use bytes::Bytes;
use h8s_wire::{ExchangeId, Frame, GatewayId, Subjects, SyncEntry};
use loom::sync::Arc;
use loom::thread;

use crate::check;
use crate::exchange::endpoint::Side;
use crate::exchange::failure::{Failure, Stop};
use crate::exchange::mailbox::{Carries, Mailbox, Terms};

/// What one frame may cost, and more.
const PLENTY: u64 = 1 << 20;
const EXCHANGE: ExchangeId = ExchangeId::from_bytes([7; 16]);

/// A mailbox whose peer is known, and its peer.
fn mailbox(side: Side, carries: Carries, limit: u64) -> (Arc<Mailbox>, Subject) {
    let subjects = Subjects::default();
    let inbox = subjects.gateway_inbox(GatewayId::from_bytes([1; 16]));
    let peer = Subject::from(inbox.exchange(EXCHANGE).into_string());
    let terms = Terms { granted: PLENTY, limit, peer: Some(peer.clone()), carries, progress: None };
    (Arc::new(Mailbox::new(peer.clone(), subjects.gateway_replies(), side, terms, 0)), peer)
}

fn data() -> Bytes {
    Frame::Data { sequence: 1, bytes: Bytes::from_static(b"piece") }.encode().expect("it is small")
}

fn credit(limit: u64) -> Bytes {
    Frame::Credit { limit, handled: 0 }.encode().expect("it is small")
}

/// A reader that waits gets the frame, whenever it is delivered.
pub fn a_delivered_frame_wakes_the_reader() {
    check(|| {
        let (mailbox, peer) = mailbox(Side::Gateway, Carries::Bytes, 0);
        let inbox = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || mailbox.deliver(Some(peer), data(), 1)
        });

        let frame = loom::future::block_on(poll_fn(|cx| mailbox.poll_frame(cx)));

        assert_eq!(frame.expect("the exchange goes on"), data());
        inbox.join().expect("it does not panic");
    });
}

/// A writer that waits for credit goes on, whenever it is granted.
pub fn granted_credit_wakes_the_writer() {
    check(|| {
        let (mailbox, peer) = mailbox(Side::Gateway, Carries::Bytes, 0);
        let inbox = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || mailbox.deliver(Some(peer), credit(PLENTY), 1)
        });

        let limit = loom::future::block_on(poll_fn(|cx| mailbox.poll_credit(cx, 0)));

        assert_eq!(limit, Ok(PLENTY));
        inbox.join().expect("it does not panic");
    });
}

/// Reader and writer wait in tasks of their own; a frame for one and credit for the other reach both.
pub fn reader_and_writer_are_woken_apart() {
    check(|| {
        let (mailbox, peer) = mailbox(Side::Gateway, Carries::Bytes, 0);
        let writer = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || loom::future::block_on(poll_fn(|cx| mailbox.poll_credit(cx, 0)))
        });
        let inbox = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                mailbox.deliver(Some(peer.clone()), data(), 1);
                mailbox.deliver(Some(peer), credit(PLENTY), 1);
            }
        });

        let frame = loom::future::block_on(poll_fn(|cx| mailbox.poll_frame(cx)));

        assert!(frame.is_ok());
        assert_eq!(writer.join().expect("it does not panic"), Ok(PLENTY));
        inbox.join().expect("it does not panic");
    });
}

/// When an exchange fails, neither of its ends waits on.
pub fn a_failure_wakes_reader_and_writer() {
    check(|| {
        let (mailbox, _) = mailbox(Side::Gateway, Carries::Bytes, 0);
        let writer = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || loom::future::block_on(poll_fn(|cx| mailbox.poll_stop(cx)))
        });
        let failing = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            move || mailbox.fail(Failure::Silent)
        });

        let frame = loom::future::block_on(poll_fn(|cx| mailbox.poll_frame(cx)));

        assert!(matches!(frame, Err(Failure::Silent)));
        assert_eq!(writer.join().expect("it does not panic"), Stop::Failed);
        failing.join().expect("it does not panic");
    });
}

/// A WebSocket's owner that was disconnected reads on once its gateway confirms the exchange.
pub fn a_suspended_reader_goes_on_after_a_sync() {
    check(|| {
        let (mailbox, peer) = mailbox(Side::Responder, Carries::Messages, PLENTY);
        mailbox.deliver(Some(peer), message(), 1);
        mailbox.suspend();
        let inbox = thread::spawn({
            let mailbox = Arc::clone(&mailbox);
            let entry = SyncEntry { exchange: EXCHANGE, sent: 2, received: 0, limit: PLENTY };
            move || mailbox.sync(&entry, 2)
        });

        let frame = loom::future::block_on(poll_fn(|cx| mailbox.poll_frame(cx)));

        assert_eq!(frame.expect("the exchange goes on"), message());
        inbox.join().expect("it does not panic");
    });
}

fn message() -> Bytes {
    let flags = h8s_wire::MessageFlags::default();
    Frame::Message { sequence: 1, flags, bytes: Bytes::from_static(b"hello") }.encode().expect("it is small")
}
