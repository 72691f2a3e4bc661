//! Several hosts and paths with several backends, from a configuration file.

use h8s_test_support::Bus;
use h8s_test_support::http_client::{empty, exchange};
use http::Request;

use super::echoing_origin;
use crate::programs::{Daemon, Gateway};

async fn answer(gateway: &Gateway, host: &str, path: &str) -> (u16, String) {
    let request = Request::get(format!("{}{path}", gateway.url)).header("host", host).body(empty()).unwrap();
    let (status, _, body) = exchange(request).await;
    (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn each_host_and_path_has_its_backend() {
    // given two backends, one of them below a path
    let bus = Bus::embedded().await;
    let (app, api) = (echoing_origin().await, echoing_origin().await);
    let config = format!(
        r#"
        [[backend]]
        hostname = ["a.example", "b.example"]
        backend-url = "{app}"
        [[backend]]
        hostname = "a.example"
        path = "/api/*"
        backend-url = "{api}/base"
        strip-prefix = true
        [[backend]]
        hostname = "a.example"
        path = "/exactly"
        backend-url = "{api}"
        host-header = "backend"
        "#,
        app = app.url(),
        api = api.url(),
    );
    let daemon = Daemon::with_config(&bus.url(), &config, &[]).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;
    // then
    for (host, path, expected) in [
        ("a.example", "/", "GET /"),
        ("B.Example:80", "/api/x", "GET /api/x"),
        ("a.example", "/api", "GET /base"),
        ("a.example", "/api/x%2Fy?z", "GET /base/x%2Fy?z"),
        ("a.example", "/apix", "GET /apix"),
        ("a.example", "/exactly?q", "GET /exactly?q"),
        ("a.example", "/exactly/not", "GET /exactly/not"),
    ] {
        assert_eq!(answer(&gateway, host, path).await, (200, expected.to_owned()), "{host}{path}");
    }
    assert_eq!(answer(&gateway, "c.example", "/").await.0, 503);
    assert_eq!((app.requests().len(), api.requests().len()), (4, 3));
    assert_eq!(api.last().head.header("host"), Some(api.address().to_string().as_str()));
    assert!(daemon.process.output().contains("serving a.example/api/* from "), "{}", daemon.process.output());
}

#[tokio::test]
async fn no_path_leads_out_of_the_served_part() {
    let bus = Bus::embedded().await;
    let origin = echoing_origin().await;
    let _daemon = Daemon::start(&bus.url(), &origin.url(), &["--path", "/public/*"]).await;
    let gateway = Gateway::start(&bus.url(), &[]).await;

    for path in ["/public/../admin", "/public/%2e%2E/admin", "/public/a/..%2f..%2fadmin", "/public/..\\admin"]
    {
        assert_eq!(answer(&gateway, "127.0.0.1", path).await.0, 400, "{path}");
    }
    assert_eq!(answer(&gateway, "127.0.0.1", "/admin").await.0, 503);
    assert_eq!(answer(&gateway, "127.0.0.1", "/public/a..b/...").await.0, 200);

    assert_eq!(origin.requests().len(), 1);
}
