//! Hosts and subjects: nothing a client sends chooses one (T2), and no two tenants share one (T14).

use h8s_wire::{
    ConnectionId, ConnectionSubject, ExchangeId, GatewayId, Host, HostError, Interest, MAX_SUBJECT_BYTES,
    MethodPattern, PathTokens, ResponderId, Subject, Subjects,
};
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::checks;

/// A raw path as clients may send it: any bytes, escaped or not, many or long segments.
fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => vec(any::<u8>(), 0..12).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        2 => vec(any::<u8>(), 0..12).prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
        2 => proptest::sample::select(&["*", ">", "..", ".", "$SYS", "_", "a b", "\r\nPUB x 0", "\0", "%", "%2", "%2A"][..])
            .prop_map(str::to_owned),
        1 => (1usize..3000).prop_map(|length| "y".repeat(length)),
    ];
    vec(segment, 0..40).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn host() -> impl Strategy<Value = Host> {
    let name = prop_oneof![
        4 => "[a-zA-Z0-9_-]{1,8}(\\.[a-zA-Z0-9_-]{1,8}){0,4}\\.?(:[0-9]{1,4})?",
        1 => "[a-z]{63}\\.[a-z]{63}\\.[a-z]{63}\\.[a-z]{1,61}",
        1 => any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        1 => any::<std::net::Ipv6Addr>().prop_map(|address| format!("[{address}]:443")),
        1 => any::<[u8; 4]>().prop_map(|octets| format!("[::ffff:{}]", std::net::Ipv4Addr::from(octets))),
    ];
    name.prop_filter_map("a host", |name| name.parse().ok())
}

/// From a small alphabet, so that hosts, paths and reversed forms often coincide.
fn small_host() -> impl Strategy<Value = Host> {
    vec(proptest::sample::select(&["a", "b", "_a", "__1", "1", "http", "x", "_"][..]), 1..4)
        .prop_filter_map("a host", |labels| labels.join(".").parse().ok())
}

fn small_path() -> impl Strategy<Value = String> {
    vec(proptest::sample::select(&["a", "b", "_", "1", "*", "__1"][..]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

const ABOUT: [ConnectionSubject; 4] = [
    ConnectionSubject::Established,
    ConnectionSubject::Closed,
    ConnectionSubject::Beat,
    ConnectionSubject::List,
];

fn named(method: &Method) -> MethodPattern {
    MethodPattern::named(method).unwrap()
}

/// Whether a subscription matches a subject, by the rules of nats-server.
fn takes(subscription: &Subject, subject: &Subject) -> bool {
    let mut tokens = subject.as_str().split('.');
    for wanted in subscription.as_str().split('.') {
        match (wanted, tokens.next()) {
            (">", rest) => return rest.is_some(),
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

proptest! {
    // Cheap, and about untrusted input: more than the default 256.
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn t2_any_bytes_give_a_valid_literal_bounded_subject(
        method in vec(any::<u8>(), 0..40),
        authority in vec(any::<u8>(), 0..40),
        host in host(),
        path in path(),
        prefix in "[a-zA-Z0-9_-]{1,32}(\\.[a-zA-Z0-9_-]{1,31})?",
    ) {
        let subjects = Subjects::new(&prefix).unwrap();
        let host = String::from_utf8_lossy(&authority).parse().unwrap_or(host);
        // Invalid methods never become tokens; valid ones become one token.
        let method = Method::from_bytes(&method).ok().and_then(|method| MethodPattern::named(&method).ok());
        let method = method.unwrap_or(named(&Method::GET));
        let tokens = PathTokens::of(&path);

        let subject = subjects.http(&method, &host, &tokens);

        checks::check_tokens(&path, &tokens);
        checks::check_literal(&subject, &format!("{prefix}.http."));
        let parsed = subjects.parse_http(subject.as_str()).unwrap();
        prop_assert_eq!(parsed.method.as_str(), method.as_str());
        prop_assert_eq!(&parsed.host, &host);
        let read = PathTokens::of(&parsed.path);
        prop_assert!(tokens.as_str().starts_with(read.as_str()));
        // Only whole tokens that do not fit are left off.
        let separator = usize::from(read.as_str().is_empty());
        let whole = subject.as_str().len() - read.as_str().len() + separator + tokens.as_str().len();
        prop_assert!(read.as_str() == tokens.as_str() || whole > MAX_SUBJECT_BYTES, "{} of {}", read, tokens);
    }

    #[test]
    fn t2_every_method_of_32_bytes_is_one_token(method in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}") {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let Ok(pattern) = MethodPattern::named(&method) else {
            prop_assert!(matches!(method.as_str().to_ascii_uppercase().as_str(), "ANY" | "WS"));
            return Ok(());
        };
        let subject = Subjects::default().http(&pattern, &"a".parse().unwrap(), &PathTokens::of("/"));
        prop_assert_eq!(subject.as_str().split('.').count(), 5, "{}", subject);
        prop_assert_eq!(Subjects::default().parse_http(subject.as_str()).unwrap().method, method);
    }

    #[test]
    fn t2_any_bytes_as_a_host_are_a_host_that_leads_back_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(host) = Host::parse(&String::from_utf8_lossy(&bytes)) {
            prop_assert_eq!(Host::from_reversed(host.reversed()), Some(host));
        }
    }

    #[test]
    fn hosts_round_trip_from_name_and_from_reversed_form(host in host()) {
        prop_assert_eq!(Host::from_reversed(host.reversed()), Some(host.clone()));
        prop_assert_eq!(host.name().parse(), Ok(host));
    }

    #[test]
    fn t14_two_hosts_never_share_a_reversed_form(one in small_host(), other in small_host(), wide in host()) {
        prop_assert_eq!(one.reversed() == other.reversed(), one == other);
        prop_assert_eq!(one.reversed() == wide.reversed(), one == wide);
    }

    #[test]
    fn t14_host_and_path_never_meet_across_the_divider(
        one in (small_host(), small_path()),
        other in (small_host(), small_path()),
    ) {
        let (subjects, method) = (Subjects::default(), named(&Method::GET));
        let [one, other] = [one, other].map(|(host, path)| {
            let tokens = PathTokens::of(&path);
            (subjects.http(&method, &host, &tokens), (host, tokens))
        });
        prop_assert_eq!(one.0 == other.0, one.1 == other.1);
    }

    #[test]
    fn t14_what_one_host_may_subscribe_to_takes_nothing_of_another(
        mine in small_host(),
        theirs in small_host(),
        path in small_path(),
    ) {
        prop_assume!(mine != theirs);
        let subjects = Subjects::default();
        let everything =
            Interest { host: mine.clone(), path: "/*".parse().unwrap(), method: MethodPattern::Any };
        let subject = subjects.http(&named(&Method::GET), &theirs, &PathTokens::of(&path));
        for subscription in subjects.http_subscriptions(&everything) {
            prop_assert!(!takes(&subscription, &subject), "{} {}", subscription, subject);
        }
        for about in ABOUT {
            let (ours, foreign) = (subjects.connections(about, &mine), subjects.connections(about, &theirs));
            prop_assert!(takes(&subjects.connections_all(&mine), &ours));
            prop_assert!(!takes(&subjects.connections_all(&mine), &foreign), "{}", foreign);
        }
        let (responder, id) = (ResponderId::from_bytes([1; 16]), ExchangeId::from_bytes([2; 16]));
        let their_inbox = subjects.responder_inbox(&theirs, responder).exchange(id);
        prop_assert!(!takes(&subjects.responder_inbox(&mine, responder).all(), &their_inbox));
        prop_assert!(!subjects.responder_replies(&mine).cover(their_inbox.as_str()));
        prop_assert!(subjects.responder_replies(&theirs).cover(their_inbox.as_str()));
    }

    #[test]
    fn every_subscription_takes_the_requests_it_is_for(host in host(), path in small_path()) {
        let path = path.replace('*', "b");
        let subjects = Subjects::default();
        for (pattern, below) in [(path.clone(), path.clone()), (format!("{path}/*"), format!("{path}/x"))] {
            let interest = Interest { host: host.clone(), path: pattern.parse().unwrap(), method: MethodPattern::Any };
            let subject = subjects.http(&named(&Method::PUT), &host, &PathTokens::of(&below));
            let takers = subjects.http_subscriptions(&interest).iter().filter(|one| takes(one, &subject)).count();
            prop_assert_eq!(takers, 1, "delivered once: {} {}", interest, subject);
        }
    }
}

#[test]
fn t14_the_two_tenants_of_the_divider() {
    let subjects = Subjects::default();
    let subject = |host: &str, path: &str| {
        subjects.http(&named(&Method::GET), &host.parse().unwrap(), &PathTokens::of(path))
    };
    let (one, other) = (subject("example.com", "/foo/x"), subject("foo.example.com", "/x"));
    assert_eq!(one.as_str(), "h8s.http.GET.com.example._.foo.x");
    assert_eq!(other.as_str(), "h8s.http.GET.com.example.foo._.x");
}

#[test]
fn t1_the_longest_parts_together_stay_within_the_bound() {
    let subjects = Subjects::new(&"p".repeat(64)).unwrap();
    let label = "a".repeat(63);
    let host: Host = [&*label, &label, &label, &label[..61]].join(".").parse().unwrap();
    let method: MethodPattern = "*".repeat(32).parse().unwrap();
    let path = format!("/{}/*", "x".repeat(512));
    let interest = Interest { host: host.clone(), path: path.parse().unwrap(), method };
    let long = PathTokens::of(&format!("{}/{}", "/%00".repeat(31), "z".repeat(900)));
    let all = [
        subjects.exchange(&interest),
        subjects.http(&interest.method, &host, &long),
        subjects
            .responder_inbox(&host, ResponderId::from_bytes([1; 16]))
            .exchange(ExchangeId::from_bytes([2; 16])),
        subjects.gateway_inbox(GatewayId::from_bytes([1; 16])).sync(),
        subjects.gateway_inbox(GatewayId::from_bytes([1; 16])).push(ConnectionId::from_bytes([2; 16])),
        subjects.websocket(&host, &long),
        subjects.connections(ConnectionSubject::Established, &host),
        subjects.broadcast(&host),
        subjects.interest_unregister(&host),
        subjects.close_notice(&host, ExchangeId::from_bytes([2; 16])),
    ];
    for subject in all.into_iter().chain(subjects.http_subscriptions(&interest)) {
        assert!(subject.as_str().len() <= MAX_SUBJECT_BYTES, "{} {subject}", subject.as_str().len());
    }
}

#[test]
fn t14_a_host_that_looks_like_an_address_in_a_subject_is_refused() {
    for name in ["__1", "4.3.2.__ffff_1", "2001_db8__7", "A__1"] {
        assert_eq!(name.parse::<Host>(), Err(HostError::Reserved), "{name}");
    }
}
