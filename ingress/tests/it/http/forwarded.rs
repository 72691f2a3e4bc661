//! T12 and T4 on the wire: a client's claims about itself, and the field names that h8s reserves.

use h8s_ingress::Config;
use h8s_nats::ExchangeContext;

use crate::support::*;

/// Responds with every received field, sorted, and the client's address.
fn fields() -> Closure {
    Closure::new(|_, request| async move {
        let client =
            request.extensions().get::<ExchangeContext>().and_then(|context| context.client).unwrap();
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .filter(|(name, _)| *name != "x-request-id" && *name != "traceparent")
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        lines.sort_unstable();
        Ok(whole(&format!("{client} {}", lines.join(" "))))
    })
}

/// Every way of claiming another client's identity.
const CLAIMS: [&str; 7] = [
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 443",
    "Forwarded: for=6.6.6.6",
    "X-Real-IP: 6.6.6.6",
    "X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 7.7.7.7\nConnection: x-forwarded-for",
];

#[tokio::test]
async fn t12_strangers_claims_are_overwritten() {
    let ingress = start(fields()).await;
    for claim in CLAIMS {
        let answer = ingress.ask(&format!("GET / HTTP/1.1\nHost: a\n{claim}\n")).await;

        assert_eq!(
            answer.body,
            "127.0.0.1 host=a x-forwarded-for=127.0.0.1 x-forwarded-host=a x-forwarded-proto=http",
            "{claim}"
        );
    }
}

#[tokio::test]
async fn t12_trusted_proxies_claims_are_kept_and_extended() {
    let config = Config { trusted_proxies: "127.0.0.0/8".parse().unwrap(), ..Config::default() };
    let ingress = start_with(config, fields()).await;

    let answer = ingress
        .ask("GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: b\nX-Forwarded-Port: 443\n")
        .await;

    assert_eq!(
        answer.body,
        "192.0.2.7 host=a x-forwarded-for=192.0.2.7, 127.0.0.1 x-forwarded-host=b x-forwarded-port=443 x-forwarded-proto=https"
    );
}

#[tokio::test]
async fn t12_request_ids_are_made_here_unless_a_trusted_proxy_has_one() {
    let upstream = || {
        Closure::new(
            |_, request| async move { Ok(whole(request.headers()["x-request-id"].to_str().unwrap())) },
        )
    };
    let ask = "GET / HTTP/1.1\nHost: a\nX-Request-Id: mine\n";
    let stranger = start(upstream()).await;
    let config = Config { trusted_proxies: "127.0.0.1".parse().unwrap(), ..Config::default() };
    let proxy = start_with(config, upstream()).await;

    let (first, second) = (stranger.ask(ask).await.body, stranger.ask(ask).await.body);

    assert!(first.len() == 32 && first != second, "{first} {second}");
    assert_eq!(proxy.ask(ask).await.body, "mine");
}

#[tokio::test]
async fn reserved_names_never_enter() {
    let ingress = start(fields()).await;

    let answer = ingress
        .ask("GET / HTTP/1.1\nHost: a\nX-H8s-Original-Path: /admin\nx-h8s-publishsubject: s\nH8s-More: true\nX-Kept: 1\n")
        .await;

    assert_eq!(
        answer.body,
        "127.0.0.1 host=a x-forwarded-for=127.0.0.1 x-forwarded-host=a x-forwarded-proto=http x-kept=1"
    );
}
