//! WebSockets between independent clients and servers, and those of test-support.

use std::time::Duration;

use h8s_test_support::python::python;
use h8s_test_support::websocket_client::{Event, WebSocketClient};
use h8s_test_support::{Bus, Process, Tool, needs, over_both_buses, within};

use crate::programs::{Daemon, Gateway, gateway_and_daemon};

const SERVER: &str = include_str!("websockets/server.py");
const CLIENT: &str = include_str!("websockets/client.py");
/// A daemon that vanishes is detected after three missed beats of 5 s.
const NOTICED: Duration = Duration::from_secs(25);

/// The server, and its URL.
async fn server() -> (Process, String) {
    let mut server = python().start_script(SERVER, &[]);
    let line = server.wait_for_line("port ").await;
    let url = format!("http://127.0.0.1:{}", line.rsplit(' ').next().unwrap());
    (server, url)
}

/// The output of the client.
async fn seen(url: &str) -> String {
    python().run_script(CLIENT, &[url.trim_start_matches("http://")]).await
}

async fn connect(gateway: &Gateway, path: &str) -> WebSocketClient {
    let upgrade = WebSocketClient::upgrade(&format!("{}{path}", gateway.url)).protocols("v1");
    upgrade
        .send()
        .await
        .unwrap_or_else(|refusal| panic!("{path}: {} {}", refusal.head.status, refusal.text()))
}

async fn echoed(client: &mut WebSocketClient, text: &str) {
    assert!(client.text(text).await);
    assert_eq!(client.message().await, Event::Text(text.into()));
}

over_both_buses! {
    async fn a_client_sees_the_same_as_without_a_gateway(bus) {
        needs!(Tool::Python);
        let (_server, url) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;

        let (direct, through) = tokio::join!(seen(&url), seen(&gateway.url));

        assert!(direct.lines().count() > 15, "{direct}");
        assert_eq!(direct, through);
    }

    async fn the_server_sees_the_client_and_its_close(bus) {
        needs!(Tool::Python);
        let (mut server, url) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;
        let upgrade = WebSocketClient::upgrade(&format!("{}/a%2Fb?q=%20", gateway.url)).protocols("v0, v1");
        let mut client = upgrade.header("Cookie", "a=1").send().await.unwrap();
        assert_eq!((client.protocol(), client.header("set-cookie")), (Some("v1"), Some("seat=7")));
        let asked = server.wait_for_line("asked /a%2Fb?q=%20 ").await;
        let host = gateway.url.trim_start_matches("http://");
        for field in ["('cookie', 'a=1')", "('x-forwarded-for', '127.0.0.1')", &format!("('host', '{host}')")] {
            assert!(asked.contains(field), "{asked}");
        }

        // A close with a code and a reason,
        client.close(4242, "enough").await;
        assert_eq!(client.rest().await, [Event::Close(4242, "enough".into()), Event::End]);
        server.wait_for_line("closed a%2Fb 4242 'enough'").await;
        // one without a code,
        let mut client = connect(&gateway, "/bare").await;
        client.raw([0x88, 0x80, 1, 2, 3, 4]).await;
        assert_eq!(client.rest().await, [Event::Close(1005, String::new()), Event::End]);
        server.wait_for_line("closed bare 1005 ''").await;
        // or no close at all.
        connect(&gateway, "/gone").await.reset();
        server.wait_for_line("closed gone 1006 ''").await;
    }

    async fn a_server_that_vanishes_closes_its_client(bus) {
        needs!(Tool::Python);
        let (mut server, url) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;
        let mut vanishing = connect(&gateway, "/vanish").await;
        let events = vanishing.rest().await;
        assert!(matches!(&events[..], [Event::Close(1011 | 1014, _), Event::End]), "{events:?}");

        let mut client = connect(&gateway, "/echo").await;
        echoed(&mut client, "before").await;
        server.kill().await;

        let events = client.rest().await;
        assert!(matches!(&events[..], [Event::Close(1011 | 1014, _), Event::End]), "{events:?}");
        let refused = WebSocketClient::upgrade(&format!("{}/echo", gateway.url)).send().await.unwrap_err();
        assert_eq!(refused.head.status, 502);
    }

    async fn a_server_s_refusal_reaches_the_client(bus) {
        needs!(Tool::Python);
        let (_server, url) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;

        let refusal = WebSocketClient::upgrade(&format!("{}/refuse", gateway.url)).protocols("v1").send().await;

        let refusal = refusal.unwrap_err();
        assert_eq!((refusal.head.status, refusal.text().as_str()), (401, "not you\n"));
        assert_eq!(refusal.head.all("www-authenticate"), ["Basic"]);
        assert_eq!(refusal.head.all("x-why"), ["no ticket"]);
        assert_eq!(refusal.head.all("sec-websocket-accept"), Vec::<&str>::new());
    }

    async fn two_daemons_never_split_a_connection(bus) {
        needs!(Tool::Python);
        // given a server with state per connection, and twenty connections over two daemons
        let (_server, url) = server().await;
        let (gateway, _one) = gateway_and_daemon(&bus, &url).await;
        let _other = Daemon::start(&bus.url(), &url, &[]).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(connect(&gateway, "/echo").await);
        }
        // when each sends its numbers
        for number in 0..50 {
            for client in &mut clients {
                assert!(client.text(&number.to_string()).await);
            }
        }
        // then each has them back, in order
        for client in &mut clients {
            for number in 0..50 {
                assert_eq!(client.message().await, Event::Text(number.to_string()));
            }
        }
    }

    async fn a_daemon_that_is_killed_closes_its_connections_with_1012(bus) {
        needs!(Tool::Python);
        let (mut server, url) = server().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &url).await;
        let mut client = connect(&gateway, "/echo").await;
        echoed(&mut client, "before").await;
        let mut silent = connect(&gateway, "/silent").await;
        // Another daemon cannot continue: the connection's state is in the first one's backend.
        let _another = Daemon::start(&bus.url(), &url, &[]).await;

        daemon.process.kill().await;
        client.text("anybody there?").await;

        assert!(matches!(client.next_within(NOTICED).await, Event::Close(1012, _)));
        assert!(matches!(silent.next_within(NOTICED).await, Event::Close(1012, _)));
        server.wait_for_line("closed echo 1006").await;
        server.wait_for_line("closed silent 1006").await;
        let mut again = connect(&gateway, "/echo").await;
        echoed(&mut again, "after").await;
    }

    async fn a_daemon_that_drains_closes_both_sides(bus) {
        needs!(Tool::Python);
        let (mut server, url) = server().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &url).await;
        let mut client = connect(&gateway, "/echo").await;
        echoed(&mut client, "before").await;

        daemon.process.terminate();

        let events = client.rest().await;
        assert!(matches!(&events[..], [Event::Close(1012, _), Event::End]), "{events:?}");
        server.wait_for_line("closed echo 1001").await;
        assert!(daemon.process.wait_for_exit().await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_read_stops_its_client_and_no_other() {
    needs!(Tool::NatsServer, Tool::Python);
    let bus = Bus::real().await;
    let (mut server, url) = server().await;
    let (gateway, _daemon) = gateway_and_daemon(&bus, &url).await;
    let mut stalled = connect(&gateway, "/stall").await;
    server.wait_for_line("stalls").await;

    let flood = async {
        let message = vec![7; 60_000];
        let mut taken = 0_usize;
        while tokio::time::timeout(Duration::from_secs(1), stalled.binary(&message)).await.is_ok() {
            taken += message.len();
        }
        taken
    };

    let taken = within(NOTICED, flood).await;
    assert!(taken < 40_000_000, "{taken} bytes are buffered");
    let mut other = connect(&gateway, "/echo").await;
    echoed(&mut other, "not concerned").await;
}
