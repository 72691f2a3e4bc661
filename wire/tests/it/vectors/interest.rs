//! `interest.json`.

use h8s_wire::{
    Announcement, AnnouncementError, Dialect, Interest, MethodPattern, PathPattern, PathTokens, PatternError,
    PatternMap,
};

use super::{Vectors, flag, text, texts};

#[test]
fn interest_matches_the_vectors() {
    let vectors = Vectors::of("interest.json");
    announcements(&vectors);
    vectors.each("covers", |vector| {
        let pattern: PathPattern = text(vector, "pattern").parse().unwrap();
        assert_eq!(pattern.matches(&PathTokens::of(text(vector, "path"))), flag(vector, "covered"));
    });
    vectors.each("no_patterns", |vector| {
        let error = text(vector, "pattern").parse::<PathPattern>().map_err(|error| match error {
            PatternError::NotAbsolute => "not-absolute",
            PatternError::MisplacedStar => "misplaced-star",
            PatternError::TooLong => "too-long",
            PatternError::Method => "method",
        });
        assert_eq!(error, Err(text(vector, "error")));
    });
    vectors.each("no_methods", |vector| {
        assert_eq!(text(vector, "method").parse::<MethodPattern>(), Err(PatternError::Method));
    });
    vectors.each("choices", |vector| {
        let mut map = PatternMap::default();
        for rule in texts(vector, "among") {
            map.entry(&interest(rule), || rule);
        }
        let (host, method) = ("a.example".parse().unwrap(), text(vector, "method").parse().unwrap());
        let path = PathTokens::of(text(vector, "path"));
        let chosen: Vec<_> = map.matching(&host, &method, &path).map(|(_, rule)| *rule).collect();
        assert_eq!(chosen, texts(vector, "chosen"));
    });
    vectors.all_read();
}

fn interest(rule: &str) -> Interest {
    let (method, path) = rule.split_once(' ').unwrap();
    Interest {
        host: "a.example".parse().unwrap(),
        path: path.parse().unwrap(),
        method: method.parse().unwrap(),
    }
}

fn announcements(vectors: &Vectors) {
    vectors.each("announcements", |vector| {
        let read = Announcement::decode(text(vector, "json").as_bytes()).unwrap();
        assert_eq!(read.interest.host.name(), text(vector, "host"));
        assert_eq!(read.interest.path.to_string(), text(vector, "path"));
        assert_eq!(read.interest.method.as_str(), text(vector, "method"));
        let dialects = read.dialects.iter().map(|dialect| match dialect {
            Dialect::Plain => "plain",
            Dialect::Native => "native",
            Dialect::Unknown => "unknown",
        });
        assert_eq!(dialects.collect::<Vec<_>>(), texts(vector, "dialects"));
        let responder = vector.get("responder").map(|_| text(vector, "responder").to_owned());
        assert_eq!(read.responder.map(|id| id.to_string()), responder);
        assert_eq!(Announcement::decode(&read.encode()).unwrap(), read);
    });
    vectors.each("no_announcements", |vector| {
        let error = Announcement::decode(text(vector, "json").as_bytes()).map_err(|error| match error {
            AnnouncementError::Json(_) => "json",
            AnnouncementError::Host(_) => "host",
            AnnouncementError::Pattern(_) => "pattern",
        });
        assert_eq!(error.err(), Some(text(vector, "error")));
    });
}
