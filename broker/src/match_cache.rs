//! A publisher's recent matches: a stream of messages on a few subjects costs one hash lookup each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::routes::{Matches, Routes};
use crate::subject::is_literal;

/// The longest cached subject. Longer ones rarely repeat.
const MAX_SUBJECT_BYTES: usize = 256;
/// The weight limit of one client's cache: one per subject and per matching subscription. With 300 bytes per subject
/// this is at most 1.2 MiB.
const MAX_WEIGHT: usize = 4096;

/// The cached matches of one publisher. Any change of a subscription invalidates them.
pub(crate) struct MatchCache {
    generation: u64,
    weight: usize,
    cached: HashMap<Box<[u8]>, Arc<Matches>>,
}

impl MatchCache {
    pub(crate) fn new() -> Self {
        Self { generation: 0, weight: 0, cached: HashMap::new() }
    }

    /// The subscriptions that match `subject`. `None` if the subject is not valid for a message.
    pub(crate) fn matches(&mut self, routes: &Routes, subject: &[u8]) -> Option<Arc<Matches>> {
        // Read before the lookup, so that the next message sees a change in between.
        let generation = routes.generation();
        if generation != self.generation {
            self.clear();
            self.generation = generation;
        }
        if let Some(matches) = self.cached.get(subject) {
            return Some(Arc::clone(matches));
        }
        if !is_literal(subject) {
            return None;
        }
        let matches = Arc::new(routes.matches(subject));
        self.insert(subject, &matches);
        Some(matches)
    }

    fn insert(&mut self, subject: &[u8], matches: &Arc<Matches>) {
        let weight = 1 + matches.count();
        if subject.len() > MAX_SUBJECT_BYTES || weight > MAX_WEIGHT {
            return;
        }
        if self.weight + weight > MAX_WEIGHT {
            self.clear();
        }
        self.weight += weight;
        self.cached.insert(subject.into(), Arc::clone(matches));
    }

    fn clear(&mut self) {
        self.cached.clear();
        self.weight = 0;
    }
}
