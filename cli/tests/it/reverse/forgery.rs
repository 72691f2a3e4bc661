//! T13: the daemon connects only to its backend, even if clients, backends or the environment name other addresses.

use h8s_test_support::http_client::{empty, exchange};
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{Bus, Tool, eventually, needs, over_both_buses};
use http::Request;

use super::{echoing_origin, ok};
use crate::programs::{Daemon, Gateway, gateway_and_daemon, h8srd};

/// Details that a response must not reveal when the daemon cannot reach its backend.
const SECRETS: [&str; 6] = ["refused", "connect", "localhost", "os error", "h8s_reverse", "http://"];

over_both_buses! {
    async fn t13_redirects_pass_through(bus) {
        let elsewhere = echoing_origin().await;
        for location in
            [format!("{}/private", elsewhere.url()), "http://169.254.169.254/latest/meta-data/".into(), "//evil/".into()]
        {
            for status in [301, 302, 303, 307, 308] {
                let answer = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                let origin = RawOrigin::answering(answer).await;
                let (gateway, mut daemon) = gateway_and_daemon(&bus, &origin.url()).await;

                let (seen, headers, _) = gateway.get("/").await;

                assert_eq!((seen.as_u16(), headers["location"].to_str().unwrap()), (status, location.as_str()));
                assert_eq!((origin.requests().len(), elsewhere.connections()), (1, 0));
                daemon.process.kill().await;
            }
        }
    }

    async fn t13_whatever_host_is_named_only_the_backend_is_asked(bus) {
        let elsewhere = echoing_origin().await;
        let origin = echoing_origin().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &origin.url()).await;
        let other = elsewhere.address();
        for request in [
            format!("GET http://{other}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            format!("GET http://127.0.0.1/x HTTP/1.1\r\nHost: {other}\r\n\r\n"),
            format!("GET /x HTTP/1.1\r\nHost: {other}\r\n\r\n"),
            format!("GET //{other}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            format!("GET @{other}/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            format!("GET /@{other}/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: 127.0.0.1@{other}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Host: {other}\r\nForwarded: host={other}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Original-URL: http://{other}/\r\nX-H8s-Backend: {other}\r\n\r\n"),
            format!("CONNECT {other} HTTP/1.1\r\nHost: {other}\r\n\r\n"),
        ] {
            let mut client = RawClient::connect(&gateway.url).await;
            client.send(&request).await;

            let answer = client.response().await;

            assert!(matches!(answer.head.status, 200 | 400 | 404 | 405 | 501 | 503), "{request:?}: {answer:?}");
            assert_eq!(elsewhere.connections(), 0, "{request:?}");
        }
        assert!(origin.faults().is_empty() && !origin.requests().is_empty());
    }
}

#[tokio::test]
async fn t13_proxies_of_the_environment_are_not_asked() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let (proxy, origin) = (echoing_origin().await, echoing_origin().await);
    let mut command =
        h8srd(&["--nats-url", &bus.url(), "--hostname", "127.0.0.1", "--backend-url", &origin.url()]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, proxy.url());
    }
    let _daemon = Daemon::run(command.env("NO_PROXY", "").env_remove("REQUEST_METHOD")).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;

    assert_eq!(gateway.get("/x").await.2, "GET /x");

    assert_eq!((proxy.connections(), origin.connections()), (0, 1));
}

#[tokio::test]
async fn t13_what_goes_wrong_behind_is_not_told() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = RawOrigin::answering("no HTTP at all\r\n\r\n").await;
    let tls = RawOrigin::answering(ok("not TLS")).await;
    let config = format!(
        r#"
        [[backend]]
        hostname = "refused.example"
        backend-url = "http://{free}"
        [[backend]]
        hostname = "garbled.example"
        backend-url = "{}"
        [[backend]]
        hostname = "unknown.example"
        backend-url = "http://no-such-host.invalid"
        [[backend]]
        hostname = "tls.example"
        backend-url = "https://{}"
        "#,
        origin.url(),
        tls.address(),
    );
    let daemon = Daemon::with_config(&bus.url(), &config, &[]).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;
    for host in ["refused.example", "garbled.example", "unknown.example", "tls.example"] {
        let request = Request::get(&gateway.url).header("host", host).body(empty()).unwrap();

        let (status, headers, body) = exchange(request).await;

        let all = format!("{headers:?} {}", String::from_utf8_lossy(&body)).to_lowercase();
        assert_eq!(status, 502, "{host}: {all}");
        let ports = [free.port(), origin.address().port(), tls.address().port()].map(|port| port.to_string());
        for secret in SECRETS.into_iter().chain(ports.iter().map(String::as_str)) {
            assert!(!all.contains(secret), "{host}: {secret} in {all}");
        }
        // The log has the details.
        let why = match host {
            "refused.example" => &ports[0],
            "garbled.example" => &ports[1],
            "unknown.example" => "no-such-host.invalid",
            _ => &ports[2],
        };
        eventually(&format!("{host} is in the log"), async || {
            daemon.process.output().lines().any(|line| line.contains("WARN") && line.contains(why))
        })
        .await;
    }
}
