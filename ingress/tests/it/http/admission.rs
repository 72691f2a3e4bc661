//! Every refusal before NATS, on the wire. The upstream never receives the request.

use h8s_ingress::Config;

use crate::support::*;

/// An upstream that must not receive a request.
fn unasked() -> Closure {
    Closure::new(
        |host, request| async move { panic!("{} {host} {} was sent", request.method(), request.uri()) },
    )
}

#[tokio::test]
async fn what_names_no_host_is_400() {
    let ingress = start(unasked()).await;
    for head in [
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.0\n",
        "GET / HTTP/1.1\nHost: a\nHost: a\n",
        "GET / HTTP/1.1\nHost:\n",
        "GET / HTTP/1.1\nHost: a b\n",
        "GET / HTTP/1.1\nHost: a..b\n",
        "GET / HTTP/1.1\nHost: _.example.com\n",
        "GET / HTTP/1.1\nHost: a*\n",
        "GET / HTTP/1.1\nHost: >\n",
        "GET / HTTP/1.1\nHost: $SYS.é\n",
        "GET / HTTP/1.1\nHost: user@a\n",
        "GET / HTTP/1.1\nHost: a:99999\n",
        "GET http://a..b/ HTTP/1.1\nHost: a\n",
    ] {
        let answer = ingress.ask(head).await;
        assert_eq!(answer.status, 400, "{head}: {answer:?}");
    }
}

#[tokio::test]
async fn http2_with_a_host_that_differs_is_400() {
    let ingress = start(unasked()).await;
    let mut client = http2(ingress.address).await;
    let mut request = get("http://a.example/");
    request.headers_mut().insert("host", "b.example".parse().unwrap());

    let response = in_time(client.send_request(request)).await.unwrap();

    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn methods_that_are_words_of_the_subjects_are_501() {
    let ingress = start(unasked()).await;
    for head in [
        "WS / HTTP/1.1\nHost: a\n",
        "any / HTTP/1.1\nHost: a\n",
        "Ws / HTTP/1.1\nHost: a\n",
        "CONNECT a:80 HTTP/1.1\nHost: a\n",
    ] {
        let answer = ingress.ask(head).await;
        assert_eq!(answer.status, 501, "{head}: {answer:?}");
    }
}

#[tokio::test]
async fn hosts_outside_the_filters_are_404() {
    let config = Config { host_filters: "a.example,*.b.example".parse().unwrap(), ..Config::default() };
    let ingress = start_with(config, hello()).await;

    for (host, status) in
        [("a.example:80", 200), ("x.b.example", 200), ("b.example", 404), ("c.example", 404)]
    {
        assert_eq!(ingress.ask(&format!("GET / HTTP/1.1\nHost: {host}\n")).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn forwarded_hosts_never_pass_the_filters() {
    let config = Config {
        host_filters: "a.example".parse().unwrap(),
        trusted_proxies: "127.0.0.1".parse().unwrap(),
        ..Config::default()
    };
    let ingress = start_with(config, unasked()).await;

    let answer = ingress.ask("GET / HTTP/1.1\nHost: b\nX-Forwarded-Host: a.example\n").await;

    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn with_track_interest_unannounced_routes_are_404() {
    let config = Config { track_interest: true, ..Config::default() };
    let ingress = start_with(config, hello().serving(&["GET a/x"])).await;

    assert_eq!(ingress.ask("GET /x?y HTTP/1.1\nHost: a\n").await.status, 200);
    for head in ["GET /y HTTP/1.1\nHost: a\n", "PUT /x HTTP/1.1\nHost: a\n", "GET /x HTTP/1.1\nHost: b\n"] {
        assert_eq!(ingress.ask(head).await.status, 404, "{head}");
    }
}

#[tokio::test]
async fn without_the_key_it_is_403_and_with_it_the_key_stays_here() {
    let config = Config { authorization_key: Some("Bearer k".parse().unwrap()), ..Config::default() };
    let upstream = Closure::new(|_, request| async move {
        Ok(whole(if request.headers().contains_key("authorization") { "leaked" } else { "kept" }))
    });
    let ingress = start_with(config, upstream).await;

    for authorization in
        ["", "Authorization: Bearer x\n", "Authorization: Bearer k\nAuthorization: Bearer k\n"]
    {
        let answer = ingress.ask(&format!("GET / HTTP/1.1\nHost: a\n{authorization}")).await;
        assert_eq!(answer.status, 403, "{authorization}");
    }
    let answer = ingress.ask("GET / HTTP/1.1\nHost: a\nAuthorization: Bearer k\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "kept"));
}

#[tokio::test]
async fn without_a_key_of_ours_authorization_is_the_responders() {
    let ingress = start(Closure::new(|_, request| async move {
        Ok(whole(request.headers()["authorization"].to_str().unwrap()))
    }))
    .await;

    assert_eq!(ingress.ask("GET / HTTP/1.1\nHost: a\nAuthorization: Basic x\n").await.body, "Basic x");
}

#[tokio::test]
async fn a_declared_body_over_the_limit_is_413_before_it_is_read() {
    let config = Config { max_body_bytes: Some(4), ..Config::default() };
    let ingress = start_with(config, unasked()).await;

    let answer = ingress.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nExpect: 100-continue\n").await;

    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn publish_only_answers_200_or_503() {
    let config = Config { publish_only: true, ..Config::default() };
    let ingress = start_with(config.clone(), hello()).await;
    let answer = ingress.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));

    let ingress = start_with(config, failing(h8s_nats::ExchangeError::Disconnected)).await;
    assert_eq!(ingress.ask("GET / HTTP/1.1\nHost: a\n").await.status, 503);
}
