//! Subscriptions by subject: a tree with one level per token, kept in an arena.
//!
//! [`MAX_TOKENS`](crate::subject::MAX_TOKENS) bounds the depth of the tree and therefore of recursion. Empty branches
//! are removed immediately, so the tree is never larger than the current subscriptions.

use std::collections::HashMap;

use crate::subject::tokens;

type NodeId = usize;

/// The first node of the arena is the root, which is never freed.
const ROOT: NodeId = 0;

/// Values stored under subscription subjects, and found by message subjects.
pub(crate) struct Trie<T> {
    nodes: Vec<Node<T>>,
    free: Vec<NodeId>,
}

struct Node<T> {
    parent: NodeId,
    token: Box<[u8]>,
    literal: HashMap<Box<[u8]>, NodeId>,
    star: Option<NodeId>,
    tail: Option<NodeId>,
    values: Vec<T>,
}

impl<T> Node<T> {
    fn new(parent: NodeId, token: &[u8]) -> Self {
        Self {
            parent,
            token: token.into(),
            literal: HashMap::new(),
            star: None,
            tail: None,
            values: Vec::new(),
        }
    }

    fn child(&self, token: &[u8]) -> Option<NodeId> {
        match token {
            b"*" => self.star,
            b">" => self.tail,
            _ => self.literal.get(token).copied(),
        }
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty() && self.literal.is_empty() && self.star.is_none() && self.tail.is_none()
    }
}

impl<T> Trie<T> {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::new(ROOT, b"")], free: Vec::new() }
    }

    /// Stores `value` under `pattern`, which must be a valid subject of a subscription.
    pub(crate) fn insert(&mut self, pattern: &[u8], value: T) {
        let mut at = ROOT;
        for token in tokens(pattern) {
            at = self.nodes[at].child(token).unwrap_or_else(|| self.grow(at, token));
        }
        self.nodes[at].values.push(value);
    }

    /// Removes one value for which `is_it` returns `true` from `pattern`. Returns whether there was one.
    pub(crate) fn remove(&mut self, pattern: &[u8], is_it: impl FnMut(&T) -> bool) -> bool {
        let mut at = ROOT;
        for token in tokens(pattern) {
            let Some(child) = self.nodes[at].child(token) else { return false };
            at = child;
        }
        let Some(position) = self.nodes[at].values.iter().position(is_it) else { return false };
        self.nodes[at].values.swap_remove(position);
        self.prune(at);
        true
    }

    /// Calls `found` for every value whose pattern matches the literal `subject`.
    pub(crate) fn matching<'t>(&'t self, subject: &[u8], found: &mut impl FnMut(&'t T)) {
        self.descend(ROOT, Some(subject), found);
    }

    fn descend<'t>(&'t self, at: NodeId, rest: Option<&[u8]>, found: &mut impl FnMut(&'t T)) {
        let node = &self.nodes[at];
        let Some(rest) = rest else {
            node.values.iter().for_each(found);
            return;
        };
        let (token, rest) = match memchr::memchr(b'.', rest) {
            Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
            None => (rest, None),
        };
        if let Some(tail) = node.tail {
            self.nodes[tail].values.iter().for_each(&mut *found);
        }
        if let Some(star) = node.star {
            self.descend(star, rest, found);
        }
        if let Some(child) = node.literal.get(token) {
            self.descend(*child, rest, found);
        }
    }

    fn grow(&mut self, parent: NodeId, token: &[u8]) -> NodeId {
        let node = Node::new(parent, token);
        let id = match self.free.pop() {
            Some(id) => {
                self.nodes[id] = node;
                id
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        let parent = &mut self.nodes[parent];
        match token {
            b"*" => parent.star = Some(id),
            b">" => parent.tail = Some(id),
            _ => {
                parent.literal.insert(token.into(), id);
            }
        }
        id
    }

    /// Removes `at` and its empty ancestors.
    fn prune(&mut self, mut at: NodeId) {
        while at != ROOT && self.nodes[at].is_empty() {
            let token = std::mem::take(&mut self.nodes[at].token);
            self.free.push(at);
            at = self.nodes[at].parent;
            let parent = &mut self.nodes[at];
            match &*token {
                b"*" => parent.star = None,
                b">" => parent.tail = None,
                _ => {
                    parent.literal.remove(&token);
                }
            }
        }
    }

    #[cfg(test)]
    fn live_nodes(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Matches token by token, following the definition of the wildcards.
    fn matches_by_definition(pattern: &str, subject: &str) -> bool {
        let pattern: Vec<&str> = pattern.split('.').collect();
        let subject: Vec<&str> = subject.split('.').collect();
        match pattern.split_last() {
            Some((&">", front)) => {
                subject.len() > front.len() && front.iter().zip(&subject).all(|(p, s)| *p == "*" || p == s)
            }
            _ => {
                subject.len() == pattern.len()
                    && pattern.iter().zip(&subject).all(|(p, s)| *p == "*" || p == s)
            }
        }
    }

    fn found<T: Copy + Ord>(trie: &Trie<T>, subject: &str) -> Vec<T> {
        let mut found = Vec::new();
        trie.matching(subject.as_bytes(), &mut |value| found.push(*value));
        found.sort_unstable();
        found
    }

    #[test]
    fn wildcards_match_as_nats_defines_them() {
        let mut trie = Trie::new();
        for (pattern, value) in
            [("a.b", 1), ("a.*", 2), ("a.>", 3), (">", 4), ("*.b", 5), ("a", 6), ("a.b", 7)]
        {
            trie.insert(pattern.as_bytes(), value);
        }

        assert_eq!(found(&trie, "a.b"), [1, 2, 3, 4, 5, 7]);
        assert_eq!(found(&trie, "a"), [4, 6]);
        assert_eq!(found(&trie, "a.b.c"), [3, 4]);
        assert_eq!(found(&trie, "x.y"), [4]);
    }

    #[test]
    fn removing_everything_leaves_only_the_root() {
        let mut trie = Trie::new();
        let patterns = ["a.b.c", "a.b", "a.*.c", "a.>", ">", "*"];
        for (value, pattern) in patterns.iter().enumerate() {
            trie.insert(pattern.as_bytes(), value);
        }
        for (value, pattern) in patterns.iter().enumerate() {
            assert!(!trie.remove(pattern.as_bytes(), |other| *other == 99), "{pattern}");
            assert!(trie.remove(pattern.as_bytes(), |other| *other == value), "{pattern}");
        }

        assert_eq!(trie.live_nodes(), 1);
        assert!(!trie.remove(b"a.b", |_| true));
        assert!(found(&trie, "a.b").is_empty());
    }

    fn pattern() -> impl Strategy<Value = String> {
        ("([abc*]\\.){0,3}", "[abc*>]").prop_map(|(front, last)| front + &last)
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_definition(
            patterns in proptest::collection::vec(pattern(), 0..40),
            kept in proptest::collection::vec(any::<bool>(), 40),
            subjects in proptest::collection::vec("[abc](\\.[abc]){0,3}", 1..20),
        ) {
            let mut trie = Trie::new();
            for (value, pattern) in patterns.iter().enumerate() {
                trie.insert(pattern.as_bytes(), value);
            }
            for (value, pattern) in patterns.iter().enumerate().filter(|(value, _)| !kept[*value]) {
                prop_assert!(trie.remove(pattern.as_bytes(), |other| *other == value));
            }
            for subject in &subjects {
                let expected: Vec<usize> = (0..patterns.len())
                    .filter(|value| kept[*value] && matches_by_definition(&patterns[*value], subject))
                    .collect();
                prop_assert_eq!(found(&trie, subject), expected);
            }
        }
    }
}
