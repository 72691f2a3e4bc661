//! What a publisher found lately, so that a stream of messages on a few subjects costs one hash look-up each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::routes::{Matches, Routes};
use crate::subject::is_literal;

/// The longest subject worth remembering, in bytes: long ones are rarely repeated.
const LONGEST_SUBJECT_BYTES: usize = 256;
/// What one client's cache may weigh: one for each subject and each subscription found. With 300 bytes a subject
/// that is 1.2 MiB at worst, and usually far less.
const HEAVIEST: usize = 4096;

/// One publisher's memory of who gets what. It is forgotten whenever any subscription changes.
pub(crate) struct MatchCache {
    generation: u64,
    weight: usize,
    found: HashMap<Box<[u8]>, Arc<Matches>>,
}

impl MatchCache {
    pub(crate) fn new() -> Self {
        Self { generation: 0, weight: 0, found: HashMap::new() }
    }

    /// Who gets a message on `subject`. `None` if no message may have it.
    pub(crate) fn matches(&mut self, routes: &Routes, subject: &[u8]) -> Option<Arc<Matches>> {
        // Read before the look-up: a change in between is noticed by the next message.
        let generation = routes.generation();
        if generation != self.generation {
            self.forget();
            self.generation = generation;
        }
        if let Some(matches) = self.found.get(subject) {
            return Some(Arc::clone(matches));
        }
        if !is_literal(subject) {
            return None;
        }
        let matches = Arc::new(routes.matches(subject));
        self.remember(subject, &matches);
        Some(matches)
    }

    fn remember(&mut self, subject: &[u8], matches: &Arc<Matches>) {
        let weight = 1 + matches.count();
        if subject.len() > LONGEST_SUBJECT_BYTES || weight > HEAVIEST {
            return;
        }
        if self.weight + weight > HEAVIEST {
            self.forget();
        }
        self.weight += weight;
        self.found.insert(subject.into(), Arc::clone(matches));
    }

    fn forget(&mut self) {
        self.found.clear();
        self.weight = 0;
    }
}
