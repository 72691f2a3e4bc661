//! `h8s dev`, serving.

use futures_util::StreamExt as _;
use h8s_test_support::http_client::{self, HttpClient, empty, full, next_piece, streamed, whole};
use h8s_test_support::process::Process;
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::{over_both_buses, soon};
use http::{Request, StatusCode};

use crate::programs::{Dev, component, h8s_dev};

async fn hello_and_echo() -> Dev {
    Dev::start(&[&component("hello"), &component("echo")]).await
}

#[tokio::test]
async fn a_component_serves_a_page() {
    let dev = hello_and_echo().await;

    let (status, headers, body) = dev.get("/hello/you").await;

    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    assert!(String::from_utf8_lossy(&body).contains("/hello/you"));
    assert_eq!(dev.get("/hello").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_component_sees_the_request_as_it_was_sent() {
    let dev = hello_and_echo().await;

    let (status, headers, body) = dev.get("/hello/a%20b/./../c//api?q=%2F&x").await;

    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    let about: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&about["method"], &about["query"]), (&"GET".into(), &"q=%2F&x".into()));
    assert_eq!(about["path"], "/hello/a%20b/./../c//api");
}

#[tokio::test]
async fn megabytes_are_echoed_byte_for_byte_while_they_arrive() {
    // given an upload of unknown length
    let dev = hello_and_echo().await;
    let mut client = HttpClient::http1(&dev.url).await;
    let (sender, body) = streamed();
    let request = Request::post("/echo").header("content-type", "application/x-test").body(body).unwrap();
    // when its first piece is sent
    let piece: Vec<u8> = (0..64 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let answering = tokio::spawn(async move { (client.send(request).await.unwrap(), client) });
    assert!(sender.send(piece.clone()).await);
    // then it comes back before the rest is sent
    let (response, _client) = soon(answering).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-test");
    let mut body = response.into_body();
    let mut echoed = next_piece(&mut body).await.unwrap().unwrap().to_vec();
    // and then the rest, exactly
    let pieces = 80;
    let sending = tokio::spawn({
        let piece = piece.clone();
        async move {
            for _ in 1..pieces {
                assert!(sender.send(piece.clone()).await);
            }
        }
    });
    while let Some(bytes) = next_piece(&mut body).await.unwrap() {
        echoed.extend(bytes);
    }
    soon(sending).await.unwrap();
    assert_eq!(echoed.len(), pieces * piece.len());
    assert!(echoed.chunks(piece.len()).all(|echoed| echoed == piece));
}

#[tokio::test]
async fn verbose_prints_each_request() {
    let mut dev = Dev::start(&[&component("hello"), "--verbose"]).await;

    dev.get("/asked").await;

    let line = dev.process.wait_for_line("/asked").await;
    assert!(line.contains("\"GET 127.0.0.1") && line.contains("/asked HTTP/1.1\" 200 "), "{line}");
}

#[tokio::test]
async fn verbose_prints_each_request_as_json() {
    let mut dev = Process::start(&mut h8s_dev(&[
        &component("hello"),
        "--verbose",
        "--log-format=json",
        "--listen=127.0.0.1:0",
    ]));
    let ready: serde_json::Value =
        serde_json::from_str(&dev.wait_for_line("\"event\":\"ready\"").await).unwrap();

    http_client::get(&format!("{}/asked", ready["url"].as_str().unwrap())).await;

    let line: serde_json::Value = serde_json::from_str(&dev.wait_for_line("/asked").await).unwrap();
    assert_eq!((&line["method"], &line["status"]), (&"GET".into(), &200.into()), "{line}");
}

#[tokio::test]
async fn http2_is_served_too() {
    let dev = hello_and_echo().await;
    let mut client = HttpClient::http2(&dev.url).await;

    let body = vec![7_u8; 3 << 20];
    let (status, _, echoed) =
        client.exchange(Request::put("/echo/x").body(full(body.clone())).unwrap()).await;

    assert!(status == StatusCode::OK && echoed == body);
}

#[tokio::test]
async fn head_has_the_page_s_head_and_no_body() {
    let dev = hello_and_echo().await;
    let mut client = RawClient::connect(&dev.url).await;

    client.send("HEAD /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;

    let head = client.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(client.read_to_end().await, b"");
}

#[tokio::test]
async fn only_names_of_this_machine_are_served() {
    let dev = hello_and_echo().await;
    let status = async |host: &str, path: &str| {
        let request = Request::get(format!("{}{path}", dev.url)).header("host", host).body(empty()).unwrap();
        http_client::exchange(request).await.0.as_u16()
    };

    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(status(host, "/hello").await, 200, "{host}");
    }
    assert_eq!(status("evil.example", "/hello").await, 404);
    for elsewhere in ["/", "/hell", "/hello2", "/favicon.ico"] {
        assert_eq!(status("localhost", elsewhere).await, 404, "{elsewhere}");
    }
}

#[tokio::test]
async fn paths_can_be_chosen() {
    let (hello, echo) = (component("hello"), component("echo"));
    let dev = Dev::start(&[&format!("/exactly={hello}"), &format!("/deep/er/*={hello}"), &echo]).await;

    assert_eq!(dev.get("/exactly").await.0, StatusCode::OK);
    assert!(String::from_utf8_lossy(&dev.get("/deep/er/x").await.2).contains("/deep/er/x"));
    // The component without a path serves all other paths.
    assert_eq!(http_client::post(&format!("{}/exactly/not", dev.url), "back").await.2, "back");
}

#[tokio::test]
async fn the_start_up_message_is_true() {
    let dev = hello_and_echo().await;

    let text = dev.process.stdout();

    assert!(text.contains(&format!("curl {}/hello", dev.url)), "{text}");
    assert!(text.contains("/hello/*") && text.contains("/echo/*") && text.contains("Ctrl-C"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    // The command to watch it works, and shows the request.
    let watcher = async_nats::connect(&dev.nats_url).await.unwrap();
    let mut messages = watcher.subscribe("h8s.>").await.unwrap();
    // The subscription is active once a later request has been answered.
    soon(watcher.request("h8s.http.GET.localhost._.hello", "".into())).await.unwrap();
    dev.get("/hello").await;
    let seen = async {
        while !messages.next().await.unwrap().subject.starts_with("h8s.x.ANY.127.0.0.1._.hello.") {}
    };
    soon(seen).await;
}

#[tokio::test]
async fn json_is_one_line() {
    let hello = component("hello");
    let mut dev = Process::start(&mut h8s_dev(&["--log-format=json", "--listen=localhost:0", &hello]));

    let line = dev.wait_for_line("ready").await;

    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["served"][0]["file"], hello.as_str());
    assert_eq!(http_client::get(&format!("{}/x", ready["url"].as_str().unwrap())).await.0, StatusCode::OK);
    assert_eq!(dev.stdout().lines().count(), 1);
}

#[tokio::test]
async fn quiet_is_quiet() {
    let mut dev = Process::start(&mut h8s_dev(&["-q", "--listen=127.0.0.1:0", &component("hello")]));
    dev.wait_for_line("http://127.0.0.1:").await;

    dev.terminate();

    assert!(dev.wait_for_exit().await.success());
    assert_eq!(dev.output().lines().count(), 1, "{}", dev.output());
}

over_both_buses! {
    async fn another_nats_can_be_used(bus) {
        let dev = Dev::start(&["--nats-url", &bus.url(), &component("hello")]).await;

        assert_eq!((dev.get("/").await.0, &dev.nats_url), (StatusCode::OK, &bus.url()));
        assert!(dev.process.stdout().contains("(--nats-url; no embedded broker)"));
        // Other clients can use it, too.
        let client = async_nats::connect(bus.url()).await.unwrap();
        let answer = soon(client.request("h8s.http.GET.localhost._", "".into())).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.payload).contains("html"));
    }
}

#[tokio::test]
async fn sigterm_lets_a_download_end_and_then_ends_it() {
    // given a started download
    let mut dev = Dev::start(&[&component("guests")]).await;
    let mut client = HttpClient::http1(&dev.url).await;
    let mut response = client.send(Request::get("/slow-stream").body(empty()).unwrap()).await.unwrap();
    next_piece(response.body_mut()).await.unwrap().unwrap();
    // when
    dev.process.terminate();
    // then it completes, and the exit code is 0
    assert!(whole(response).await.unwrap().2.ends_with(b"data: 4\n\n"));
    assert!(dev.process.wait_for_exit().await.success());
    assert_eq!(dev.process.stderr(), "");
}

#[tokio::test]
async fn a_client_that_watches_all_subjects_disturbs_nothing() {
    let mut dev = hello_and_echo().await;
    let watcher = async_nats::connect(&dev.nats_url).await.unwrap();
    let _watching = watcher.subscribe("h8s.>").await.unwrap();
    soon(watcher.flush()).await.unwrap();

    assert_eq!(dev.get("/hello").await.0, StatusCode::OK);
    assert_eq!(dev.get("/nowhere").await.0, StatusCode::NOT_FOUND);
    let start = std::time::Instant::now();
    dev.process.terminate();

    assert!(dev.process.wait_for_exit().await.success());
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // given an endless download
    let mut dev = Dev::start(&["-v", &component("guests")]).await;
    let mut client = HttpClient::http1(&dev.url).await;
    let mut response = client.send(Request::get("/endless-stream").body(empty()).unwrap()).await.unwrap();
    next_piece(response.body_mut()).await.unwrap().unwrap();
    // when
    dev.process.signal("INT");
    dev.process.wait_for_line("draining").await;
    let start = std::time::Instant::now();
    dev.process.signal("INT");
    // then it does not wait for the grace period
    assert!(dev.process.wait_for_exit().await.success());
    assert!(start.elapsed() < std::time::Duration::from_secs(4), "{:?}", start.elapsed());
}
