//! What the others see of a connected client.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::handshake::Options;
use crate::outbox::Outbox;
use crate::routes::Routes;
use crate::subscription::Subscription;

/// A connected client: its outbox, its subscriptions, and what it said in CONNECT that concerns delivery.
pub(crate) struct Peer {
    /// What is on its way to the client.
    pub(crate) outbox: Outbox,
    /// Pings since anything was heard.
    pub(crate) unanswered_pings: AtomicU32,
    echo: AtomicBool,
    headers: AtomicBool,
    subscriptions: Mutex<HashMap<Box<[u8]>, Arc<Subscription>>>,
}

impl Peer {
    pub(crate) fn new(outbox: Outbox) -> Self {
        let Options { echo, headers, .. } = Options::default();
        Self {
            outbox,
            unanswered_pings: AtomicU32::new(0),
            echo: AtomicBool::new(echo),
            headers: AtomicBool::new(headers),
            subscriptions: Mutex::default(),
        }
    }

    /// Takes over what a CONNECT says about delivery.
    pub(crate) fn apply(&self, options: &Options) {
        self.echo.store(options.echo, Ordering::Relaxed);
        self.headers.store(options.headers, Ordering::Relaxed);
    }

    /// Does the client want its own messages?
    pub(crate) fn wants_echo(&self) -> bool {
        self.echo.load(Ordering::Relaxed)
    }

    /// Does the client take header blocks?
    pub(crate) fn takes_headers(&self) -> bool {
        self.headers.load(Ordering::Relaxed)
    }

    /// Keeps a new subscription, unless its `sid` is taken: the first stays, as in nats-server.
    /// `None` when the client has `max` already.
    pub(crate) fn keep(&self, subscription: &Arc<Subscription>, max: usize) -> Option<bool> {
        let mut subscriptions = self.subscriptions();
        let is_full = subscriptions.len() >= max;
        match subscriptions.entry(subscription.sid.clone()) {
            Entry::Occupied(_) => Some(false),
            Entry::Vacant(_) if is_full => None,
            Entry::Vacant(place) => {
                place.insert(Arc::clone(subscription));
                Some(true)
            }
        }
    }

    pub(crate) fn subscription(&self, sid: &[u8]) -> Option<Arc<Subscription>> {
        self.subscriptions().get(sid).cloned()
    }

    /// Takes one subscription back, here and for everybody who publishes.
    pub(crate) fn forget(&self, subscription: &Arc<Subscription>, routes: &Routes) {
        subscription.end();
        self.subscriptions().remove(&subscription.sid);
        routes.remove(subscription);
    }

    /// Takes all subscriptions back.
    pub(crate) fn forget_all(&self, routes: &Routes) {
        let subscriptions = std::mem::take(&mut *self.subscriptions());
        for subscription in subscriptions.values() {
            subscription.end();
            routes.remove(subscription);
        }
    }

    fn subscriptions(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Arc<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
