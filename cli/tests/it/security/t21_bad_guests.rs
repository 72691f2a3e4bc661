//! T21: whatever a component does costs one response, and nothing else.

use h8s_test_support::http_client::{HttpClient, empty, whole};
use h8s_test_support::over_both_buses;
use http::Request;

use crate::programs::{Gateway, Host};

/// Small limits, which are reached soon.
const LIMITS: [&str; 6] = ["--timeout", "1s", "--cpu-budget", "200ms", "--max-memory", "32MiB"];

/// The paths of misbehaving guests, and the statuses.
const FAULTS: [(&str, u16); 12] = [
    ("/trap", 500),
    ("/loop", 504),
    ("/recurse", 500),
    ("/allocate", 500),
    ("/never-answer", 504),
    ("/no-response", 500),
    ("/exit", 500),
    ("/error-code", 500),
    ("/flood-host-calls", 504),
    ("/huge-host-call", 500),
    ("/open-resources", 500),
    ("/random", 500),
];

over_both_buses! {
    async fn t21_a_bad_guest_costs_one_response(bus) {
        let mut host = Host::start(&bus.url(), &[("/*", "guests")], &LIMITS).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        for (path, expected) in FAULTS {
            // when it misbehaves, then that is one 5xx without internal details
            let (status, _, body) = gateway.get(path).await;
            assert_eq!(status.as_u16(), expected, "{path}");
            assert!(!String::from_utf8_lossy(&body).contains("guest"), "{path}: {body:?}");
            // and a normal request is served
            assert_eq!(gateway.status("/ok").await, 200, "after {path}");
            // and the log has one line
            host.process.wait_for_line(&format!("path=\"{path}\"")).await;
        }
        let log = host.process.output();
        assert_eq!(log.matches("component failed").count(), FAULTS.len(), "{log}");
    }

    async fn t21_a_body_that_breaks_off_looks_broken(bus) {
        let _host = Host::start(&bus.url(), &[("/*", "guests")], &LIMITS).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        for path in ["/trap-after-head", "/loop-after-head", "/forget-body", "/drop-body", "/length-too-long"] {
            for mut client in [HttpClient::http1(&gateway.url).await, HttpClient::http2(&gateway.url).await] {
                // An error instead of a response is visible, too.
                if let Ok(response) = client.send(Request::get(path).body(empty()).unwrap()).await {
                    let is_error = response.status().is_server_error();
                    assert!(whole(response).await.is_err() || is_error, "{path}");
                }
                assert_eq!(gateway.status("/ok").await, 200, "after {path}");
            }
        }
    }

    async fn t21_many_bad_guests_at_once_do_not_starve_a_good_one(bus) {
        // given twice as many loops as the component may have instances
        let limits = [&LIMITS[..], &["--concurrency", "8"]].concat();
        let _host = Host::start(&bus.url(), &[("/*", "guests"), ("/hello/*", "hello")], &limits).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let url = gateway.url.clone();
        let looping: Vec<_> = (0..16)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { h8s_test_support::http_client::get(&format!("{url}/loop")).await.0 })
            })
            .collect();
        // when other clients use another component meanwhile, then they are served
        for _ in 0..20 {
            assert_eq!(gateway.status("/hello").await, 200);
        }
        for bad in looping {
            let status = bad.await.unwrap().as_u16();
            assert!(matches!(status, 503 | 504), "{status}");
        }
    }
}
