//! The gateway's table of announced interests, and the subscription that maintains it (`PROTOCOL.md §3`).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_nats::{Message, Subject};
use h8s_wire::{
    Announcement, Dialect, Host, Interest, MethodPattern, PathTokens, PatternMap, Replies, ResponderId,
    Subjects,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::connection::client::ConnectionState;
use crate::connection::subscription::Subscription;
use crate::exchange::endpoint::subject;

/// An announcement that is not repeated lapses after this time: twelve missed announcements.
const LAPSE: Duration = Duration::from_secs(60);
/// The time between two checks for lapsed entries.
const SWEEP: Duration = Duration::from_secs(5);
/// The maximum number of interests, and of responders of each. Further ones are ignored.
const MAX_INTERESTS: usize = 100_000;
const MAX_RESPONDERS: usize = 10_000;
/// Enough for an announcement, which consists of a host, a path, a method and a few names.
const MAX_ANNOUNCEMENT_BYTES: usize = 8 * 1024;

/// The route of a request.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    Native(Arc<NativeRoute>),
    /// The request's own subject, and whether a responder announced it.
    Plain {
        announced: bool,
    },
}

/// The responders of one interest.
#[derive(Debug)]
pub(crate) struct NativeRoute {
    pub(crate) interest: Interest,
    /// The subject that opens exchanges with these responders.
    pub(crate) subject: Subject,
    /// The subjects that their frames may come from.
    pub(crate) replies: Replies,
}

struct Entry {
    route: Arc<NativeRoute>,
    responders: HashMap<Option<ResponderId>, Presence>,
}

struct Presence {
    native: bool,
    until: Instant,
}

impl Entry {
    fn is_native(&self) -> bool {
        self.responders.values().any(|presence| presence.native)
    }
}

/// The gateway's table of interests.
pub(crate) struct InterestTable {
    subjects: Subjects,
    entries: RwLock<PatternMap<Entry>>,
    /// Notified when something new is announced.
    pub(crate) news: Notify,
}

impl InterestTable {
    pub(crate) fn new(subjects: Subjects) -> Self {
        Self { subjects, entries: RwLock::default(), news: Notify::new() }
    }

    /// The most specific announced pattern decides.
    pub(crate) fn route(&self, host: &Host, method: &MethodPattern, path: &PathTokens) -> Route {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        match entries.matching(host, method, path).next() {
            Some((_, entry)) if entry.is_native() => Route::Native(entry.route.clone()),
            found => Route::Plain { announced: found.is_some() },
        }
    }

    /// Removes a route that had no responders, so the next match is tried; an announcement restores it. Responders that
    /// announced after `asked_at` have not received the request and stay. Plain responders use other subjects and stay
    /// too.
    pub(crate) fn forget_native(&self, route: &NativeRoute, asked_at: Instant) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(&route.interest) else { return };
        entry.responders.retain(|_, presence| !presence.native || presence.until >= asked_at + LAPSE);
        if entry.responders.is_empty() {
            entries.remove(&route.interest);
        }
        debug!(interest = %route.interest, "no responder left");
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn register(&self, announcement: &Announcement, now: Instant) {
        let Announcement { interest, dialects, responder } = announcement;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let known = entries.get_mut(interest).is_some();
        if !known && entries.len() >= MAX_INTERESTS {
            return warn!(%interest, "announcement ignored: the table holds {MAX_INTERESTS} interests already");
        }
        let entry = entries.entry(interest, || self.new_entry(interest));
        if entry.responders.len() >= MAX_RESPONDERS && !entry.responders.contains_key(responder) {
            return warn!(%interest, "announcement ignored: the interest has {MAX_RESPONDERS} responders already");
        }
        let presence = Presence { native: dialects.contains(&Dialect::Native), until: now + LAPSE };
        let is_new = entry.responders.insert(*responder, presence).is_none();
        drop(entries);
        if is_new {
            info!(%interest, "interest announced");
            self.news.notify_waiters();
        }
    }

    fn new_entry(&self, interest: &Interest) -> Entry {
        let route = NativeRoute {
            interest: interest.clone(),
            subject: subject(self.subjects.exchange(interest)),
            replies: self.subjects.responder_replies(&interest.host),
        };
        Entry { route: Arc::new(route), responders: HashMap::new() }
    }

    fn unregister(&self, announcement: &Announcement) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(&announcement.interest) else { return };
        if entry.responders.remove(&announcement.responder).is_some() {
            info!(interest = %announcement.interest, "interest withdrawn");
        }
        if entry.responders.is_empty() {
            entries.remove(&announcement.interest);
        }
    }

    fn sweep(&self, now: Instant) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|interest, entry| {
            entry.responders.retain(|_, presence| presence.until > now);
            if entry.responders.is_empty() {
                info!(%interest, "interest expired");
            }
            !entry.responders.is_empty()
        });
    }

    /// Responders cannot announce while NATS is disconnected, so nothing lapses meanwhile.
    fn hold(&self, now: Instant) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            entry.responders.values_mut().for_each(|presence| presence.until = now + LAPSE);
            true
        });
    }

    /// Handles one control message. Its subject limits which interests it may change.
    fn take(&self, message: &Message) {
        let Some((registers, host)) = self.subjects.parse_interest(&message.subject) else { return };
        if message.payload.len() > MAX_ANNOUNCEMENT_BYTES {
            return warn!(subject = %message.subject, "announcement of {} bytes ignored: too large", message.payload.len());
        }
        match Announcement::decode(&message.payload) {
            Ok(announcement) if announcement.interest.host != host => {
                warn!(subject = %message.subject, announced = %announcement.interest.host, "announcement ignored: it names another host");
            }
            Ok(announcement) if registers => self.register(&announcement, Instant::now()),
            Ok(announcement) => self.unregister(&announcement),
            Err(error) => warn!(subject = %message.subject, %error, "announcement ignored"),
        }
    }

    /// Maintains the table for as long as the subscription lives.
    pub(crate) async fn keep(
        self: Arc<Self>,
        mut announcements: Subscription,
        state: watch::Receiver<ConnectionState>,
    ) {
        let mut sweeps = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                message = announcements.next() => match message {
                    Some(message) => self.take(&message),
                    None => return,
                },
                _ = sweeps.tick() => match state.borrow().connected {
                    true => self.sweep(Instant::now()),
                    false => self.hold(Instant::now()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(path: &str, dialect: Dialect, responder: u8) -> Announcement {
        Announcement {
            interest: Interest { host: host(), path: path.parse().unwrap(), method: MethodPattern::Any },
            dialects: vec![dialect],
            responder: Some(ResponderId::from_bytes([responder; 16])),
        }
    }

    fn host() -> Host {
        "a.example".parse().unwrap()
    }

    /// The native route's pattern, or `plain` for announced plain, or nothing.
    fn route(table: &InterestTable, path: &str) -> String {
        match table.route(&host(), &MethodPattern::Any, &PathTokens::of(path)) {
            Route::Native(route) => route.interest.path.to_string(),
            Route::Plain { announced } => if announced { "plain" } else { "" }.into(),
        }
    }

    #[test]
    fn entries_come_go_and_lapse() {
        let table = InterestTable::new(Subjects::default());
        let start = Instant::now();
        for (path, dialect, responder) in [
            ("/*", Dialect::Native, 1),
            ("/*", Dialect::Native, 2),
            ("/a/*", Dialect::Plain, 1),
            ("/a/b", Dialect::Native, 1),
        ] {
            table.register(&announcement(path, dialect, responder), start);
        }
        assert_eq!(["/", "/a/x", "/a/b"].map(|path| route(&table, path)), ["/*", "plain", "/a/b"]);

        table.unregister(&announcement("/*", Dialect::Native, 1));
        assert_eq!(route(&table, "/"), "/*", "the other one is still there");

        table.register(&announcement("/*", Dialect::Native, 2), start + Duration::from_secs(30));
        table.sweep(start + Duration::from_secs(61));
        assert_eq!(
            ["/", "/a/x", "/a/b"].map(|path| route(&table, path)),
            ["/*", "/*", "/*"],
            "not announced again"
        );

        table.unregister(&announcement("/*", Dialect::Native, 2));
        assert_eq!(route(&table, "/"), "");
    }

    #[test]
    fn a_forgotten_route_gives_way_to_the_next() {
        let table = InterestTable::new(Subjects::default());
        for path in ["/*", "/a/*"] {
            table.register(&announcement(path, Dialect::Native, 1), Instant::now());
        }
        let Route::Native(specific) = table.route(&host(), &MethodPattern::Any, &PathTokens::of("/a")) else {
            panic!()
        };
        table.forget_native(&specific, Instant::now() + Duration::from_millis(1));
        assert_eq!(route(&table, "/a"), "/*");
    }

    #[test]
    fn who_announced_after_the_question_is_not_forgotten() {
        let table = InterestTable::new(Subjects::default());
        let asked_at = Instant::now();
        table.register(&announcement("/*", Dialect::Native, 1), asked_at);
        table.register(&announcement("/*", Dialect::Plain, 2), asked_at);
        let Route::Native(specific) = table.route(&host(), &MethodPattern::Any, &PathTokens::of("/")) else {
            panic!()
        };
        table.forget_native(&specific, asked_at);
        assert_eq!(route(&table, "/"), "/*", "announced since");
        table.forget_native(&specific, asked_at + Duration::from_millis(1));
        assert_eq!(route(&table, "/"), "plain", "the plain responder stays");
    }
}
