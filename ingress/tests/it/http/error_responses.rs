//! Every failure of an exchange has its status, and no internal detail reaches the client.

use std::sync::Arc;

use h8s_nats::{ExchangeError as E, Refused};
use h8s_wire::AbortCode;

use crate::support::*;

pub(crate) const INSIDE: &str = "_INBOX.secret.subject";

/// Each error with its status, `Retry-After` and gRPC status.
pub(crate) fn all() -> Vec<(E, u16, Option<&'static str>, u16)> {
    let inside = || INSIDE.to_owned();
    vec![
        (E::NoResponders, 503, Some("5"), 14),
        (E::Refused(Refused::Busy), 503, Some("1"), 14),
        (E::Refused(Refused::Draining), 503, Some("1"), 14),
        (E::Refused(Refused::Unreachable), 502, Some("5"), 14),
        (E::Disconnected, 503, Some("5"), 14),
        (E::Publish(Arc::new(inside().into())), 503, Some("5"), 14),
        (E::Timeout, 504, None, 4),
        (E::HeadTooLarge, 431, None, 8),
        (E::InvalidRequest(Arc::new(inside().into())), 400, None, 13),
        (E::BodyTooLarge { limit_bytes: 1 }, 413, None, 8),
        (E::RequestBody(Arc::new(INSIDE.into())), 400, None, 13),
        (E::PeerGone, 502, None, 14),
        (E::Lost, 502, None, 14),
        (E::Disturbed, 502, None, 14),
        (E::Aborted { code: AbortCode::Failed, reason: inside() }, 502, None, 14),
        (E::InvalidResponse(inside()), 502, None, 13),
    ]
}

/// Does not compile when the table above lacks a variant.
#[allow(dead_code, reason = "never called: its match is the test")]
fn is_in_the_table(error: &E) {
    match error {
        E::NoResponders | E::Refused(_) | E::Disconnected | E::Publish(_) | E::Timeout | E::HeadTooLarge => {}
        E::InvalidRequest(_) | E::BodyTooLarge { .. } | E::RequestBody(_) | E::PeerGone | E::Lost => {}
        E::Disturbed | E::Aborted { .. } | E::InvalidResponse(_) => {}
    }
}

#[tokio::test]
async fn every_error_has_its_status_and_keeps_its_inside() {
    for (error, status, retry_after, _) in all() {
        let ingress = start(failing(error.clone())).await;

        let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;

        assert_eq!((answer.status, answer.field("retry-after")), (status, retry_after), "{error:?}");
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"), "{error:?}");
        assert_eq!(answer.field("x-request-id").map(str::len), Some(32), "{error:?}");
        assert!(
            answer.body.ends_with(".\n") && !answer.body.contains("secret"),
            "{error:?}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn who_asks_for_json_gets_a_problem() {
    let ingress = start(failing(E::NoResponders)).await;

    let answer =
        ingress.ask("GET / HTTP/1.1\nHost: a\nAccept: text/html;q=0.1, application/json;q=0.9\n").await;

    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (problem["status"].as_u64(), problem["title"].as_str()),
        (Some(503), Some("Service Unavailable"))
    );
}

#[tokio::test]
async fn a_head_request_gets_the_status_without_the_text() {
    let ingress = start(failing(E::NoResponders)).await;

    let answer = ingress.ask("HEAD / HTTP/1.1\nHost: a\n").await;

    assert_eq!((answer.status, answer.body.as_str()), (503, ""));
}

#[tokio::test]
async fn responses_that_are_no_http_are_502() {
    for (fields, status) in [
        (&[("content-length", "4")][..], 200),
        (&[("content-length", "6")], 200),
        (&[("content-length", "+5")], 200),
        (&[("content-length", "5"), ("content-length", "5")], 200),
        (&[], 101),
        (&[], 100),
        (&[], 103),
        (&[], 600),
    ] {
        let ingress = start(Closure::new(move |_, _| async move {
            let mut response = whole("hello");
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            for (name, value) in fields {
                response.headers_mut().append(*name, value.parse().unwrap());
            }
            Ok(response)
        }))
        .await;

        let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;

        assert_eq!(answer.status, 502, "{status} {fields:?}");
    }
}

#[tokio::test]
async fn connection_fields_and_reserved_names_of_responders_stay_behind() {
    let ingress = start(Closure::new(|_, _| async move {
        let mut response = whole("hello");
        for (name, value) in [
            ("connection", "x-private"),
            ("x-private", "1"),
            ("transfer-encoding", "gzip"),
            ("keep-alive", "timeout=1"),
            ("upgrade", "h2c"),
            ("x-h8s-replysubject", INSIDE),
            ("h8s-more", "true"),
            ("x-kept", "1"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        Ok(response)
    }))
    .await;

    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\n").await;

    let names: Vec<&str> = answer.head.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
    assert_eq!(
        (answer.body.as_str(), names),
        ("hello", vec!["x-kept", "connection", "content-length", "date"])
    );
}
