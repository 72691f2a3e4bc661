//! Patterns: the map against a simple model.

use std::collections::HashMap;

use h8s_wire::{
    Announcement, Dialect, Interest, MethodPattern, PathPattern, PathTokens, PatternMap, ResponderId,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A segment as written, and its meaning.
type Segment = (&'static str, &'static str);

const SEGMENTS: &[Segment] =
    &[("a", "a"), ("b", "b"), ("%61", "a"), ("a.b", "a.b"), ("a%2Eb", "a.b"), ("a%2Fb", "a/b"), ("_", "_")];

fn segments(longest: usize) -> impl Strategy<Value = Vec<Segment>> {
    vec(proptest::sample::select(SEGMENTS), 0..=longest)
}

fn written(segments: &[Segment]) -> String {
    segments.iter().map(|(raw, _)| format!("/{raw}")).collect()
}

fn meant(segments: &[Segment]) -> Vec<&'static str> {
    segments.iter().map(|(_, meaning)| *meaning).collect()
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "ANY", "WS"];

#[derive(Clone, Debug)]
struct Rule {
    host: &'static str,
    segments: Vec<Segment>,
    is_prefix: bool,
    method: &'static str,
}

impl Rule {
    fn interest(&self) -> Interest {
        let path = written(&self.segments);
        let path =
            if self.is_prefix { format!("{path}/*") } else { format!("/{}", path.trim_start_matches('/')) };
        Interest {
            host: self.host.parse().unwrap(),
            path: path.parse().unwrap(),
            method: self.method.parse().unwrap(),
        }
    }

    /// How specific a match is, most specific first; `None` for no match.
    fn rank(&self, host: &str, method: &str, path: &[&str]) -> Option<(bool, usize, usize)> {
        let own = meant(&self.segments);
        let covers = if self.is_prefix { path.starts_with(&own) } else { path == own };
        let method = match (method, self.method) {
            (asked, own) if asked == own => 0,
            ("HEAD", "GET") => 1,
            ("GET" | "HEAD" | "POST", "ANY") => 2,
            _ => return None,
        };
        (covers && host == self.host).then(|| (self.is_prefix, usize::MAX - own.len(), method))
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let host = proptest::sample::select(&["a.example", "b.example"][..]);
    (host, segments(3), any::<bool>(), proptest::sample::select(METHODS))
        .prop_map(|(host, segments, is_prefix, method)| Rule { host, segments, is_prefix, method })
}

/// Mostly short; sometimes so long that tokens are left off.
fn request_path() -> impl Strategy<Value = Vec<Segment>> {
    let long: Segment = ("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "long");
    prop_oneof![
        6 => segments(4),
        1 => segments(40),
        1 => (segments(3), 0usize..40).prop_map(move |(mut path, more)| {
            path.extend(vec![long; more]);
            path
        }),
    ]
}

proptest! {
    #[test]
    fn matching_is_a_scan_sorted_by_specificity(
        rules in vec(rule(), 0..24),
        method in proptest::sample::select(METHODS),
        path in request_path(),
    ) {
        let mut map = PatternMap::default();
        let mut oracle = HashMap::new();
        for rule in &rules {
            let key = (rule.host, meant(&rule.segments), rule.is_prefix, rule.method);
            map.entry(&rule.interest(), || key.clone());
            oracle.insert(key, rule);
        }
        let mut expected: Vec<_> = oracle
            .iter()
            .filter_map(|(key, rule)| Some((rule.rank("a.example", method, &meant(&path))?, key.clone())))
            .collect();
        expected.sort();

        let (host, method) = ("A.example:80".parse().unwrap(), method.parse().unwrap());
        let path = PathTokens::of(&format!("{}/", written(&path)));
        let found: Vec<_> = map.matching(&host, &method, &path).map(|(_, key)| key.clone()).collect();

        prop_assert_eq!(found, expected.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    }

    #[test]
    fn every_pattern_that_the_map_finds_matches(rules in vec(rule(), 1..12), path in request_path()) {
        let path = PathTokens::of(&written(&path));
        let mut map = PatternMap::default();
        for rule in &rules {
            map.entry(&rule.interest(), || ());
        }
        let host = "a.example".parse().unwrap();
        for method in METHODS {
            let method: MethodPattern = method.parse().unwrap();
            let found = map.matching(&host, &method, &path).count();
            let scanned = map.iter().filter(|(interest, ())| {
                interest.host == host && interest.path.matches(&path) && covers(&interest.method, &method)
            });
            prop_assert_eq!(found, scanned.count());
        }
    }

    #[test]
    fn a_map_contains_what_was_inserted_and_not_removed(steps in vec((rule(), any::<bool>()), 0..40)) {
        let (mut map, mut model) = (PatternMap::default(), HashMap::new());
        for (step, (rule, puts)) in steps.iter().enumerate() {
            let interest = rule.interest();
            if *puts {
                *map.entry(&interest, || step) = step;
                model.insert(interest, step);
            } else {
                prop_assert_eq!(map.remove(&interest), model.remove(&interest));
            }
        }
        let held: HashMap<_, _> = map.iter().map(|(interest, step)| (interest.clone(), *step)).collect();
        prop_assert_eq!(map.iter().count(), held.len());
        prop_assert_eq!(&held, &model);
        map.retain(|_, step| *step % 2 == 0);
        prop_assert_eq!(map.iter().count(), model.values().filter(|step| *step % 2 == 0).count());
    }

    #[test]
    fn patterns_read_alike_are_equal_and_have_one_subject(rule in rule()) {
        let pattern = rule.interest().path;
        let canonical: Vec<Segment> = SEGMENTS.to_vec();
        let other: Vec<Segment> = rule
            .segments
            .iter()
            .map(|(_, meaning)| *canonical.iter().rfind(|(_, known)| known == meaning).unwrap())
            .collect();
        let other = Rule { segments: other, ..rule.clone() }.interest();
        prop_assert_eq!(&other.path, &pattern);
        let subjects = h8s_wire::Subjects::default();
        prop_assert_eq!(subjects.exchange(&other), subjects.exchange(&rule.interest()));
    }

    #[test]
    fn announcements_decode_to_themselves(
        rule in rule(),
        odd in "[ -~&&[^*]]{0,8}",
        responder in proptest::option::of(any::<[u8; 16]>()),
    ) {
        let mut interest = rule.interest();
        if let Ok(path) = format!("/{odd}").parse::<PathPattern>() {
            interest.path = path;
        }
        let announcement = Announcement {
            interest,
            dialects: vec![Dialect::Native, Dialect::Plain],
            responder: responder.map(ResponderId::from_bytes),
        };
        let read = Announcement::decode(&announcement.encode()).unwrap();
        prop_assert_eq!(read.interest.path.to_string(), announcement.interest.path.to_string());
        prop_assert_eq!(read, announcement);
    }
}

fn covers(own: &MethodPattern, asked: &MethodPattern) -> bool {
    match (own.as_str(), asked.as_str()) {
        (own, asked) if own == asked => true,
        ("GET", "HEAD") => true,
        ("ANY", asked) => asked != "WS",
        _ => false,
    }
}
