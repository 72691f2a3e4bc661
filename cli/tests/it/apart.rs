//! `h8sd` and `h8s-host` as separate processes, as in production.

use h8s_test_support::http_client::{HttpClient, empty, full, next_piece, whole};
use h8s_test_support::{over_both_buses, within};
use http::{Request, StatusCode};

use crate::programs::{Gateway, Host, gateway_and_host};

over_both_buses! {
    async fn requests_reach_components_in_another_process(bus) {
        let (gateway, _host) = gateway_and_host(&bus).await;
        let mut client = HttpClient::http1(&gateway.url).await;

        let (status, headers, body) = gateway.get("/hello").await;
        assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
        assert!(String::from_utf8_lossy(&body).contains("/hello"));

        let (_, headers, body) = gateway.get("/api?q=%2F").await;
        let about: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&headers["content-type"], &about["query"]), (&"application/json".parse().unwrap(), &"q=%2F".into()));

        let upload: Vec<u8> = (0..5_000_011_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let request = Request::put("/echo/x").body(full(upload.clone())).unwrap();
        assert!(client.exchange(request).await.2 == upload);

        let (status, _, body) = client.exchange(Request::head("/hello").body(empty()).unwrap()).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
    }

    async fn a_request_without_a_responder_is_503(bus) {
        let gateway = Gateway::start(&bus.url(), &[]).await;

        let (status, headers, _) = gateway.get("/hello").await;

        assert_eq!((status, &headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &"5".parse().unwrap()));
    }

    async fn sigterm_to_the_gateway_lets_a_download_end(bus) {
        // given a started download
        let _host = Host::start(&bus.url(), &[("/*", "guests")], &[]).await;
        let mut gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = HttpClient::http1(&gateway.url).await;
        let mut response = client.send(Request::get("/slow-stream").body(empty()).unwrap()).await.unwrap();
        let first = next_piece(response.body_mut()).await.unwrap().unwrap();
        // when
        gateway.process.terminate();
        // then the rest arrives, and the exit code is 0
        let rest = whole(response).await.unwrap().2;
        let text = [first, rest].concat();
        assert_eq!(text, b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
        assert!(gateway.process.wait_for_exit().await.success());
    }

    async fn a_host_that_drains_hands_over_without_errors(bus) {
        // given two hosts, and continuous requests
        let mut leaving = Host::start(&bus.url(), &[("/*", "hello")], &[]).await;
        let _staying = Host::start(&bus.url(), &[("/*", "hello")], &[]).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = HttpClient::http1(&gateway.url).await;
        let mut statuses = Vec::new();
        // when one of them drains
        leaving.process.terminate();
        let requests = async {
            while leaving.process.is_running() || statuses.len() < 50 {
                statuses.push(client.exchange(Request::get("/x").body(empty()).unwrap()).await.0.as_u16());
            }
        };
        within(h8s_test_support::deadline::DEADLINE, requests).await;
        // then no request fails
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
        assert!(leaving.process.wait_for_exit().await.success());
    }
}
