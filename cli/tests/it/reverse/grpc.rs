//! gRPC between grpcio's client and grpcio's server.

use std::time::Duration;

use h8s_test_support::python::python;
use h8s_test_support::{Bus, Process, over_both_buses, within};

use crate::programs::{Daemon, Gateway, gateway_and_daemon};

const SERVER: &str = include_str!("grpc/server.py");
const CLIENT: &str = include_str!("grpc/client.py");
/// What a client that waits for a lost daemon takes at most: three silent beats of 5 s.
const NOTICED: Duration = Duration::from_secs(25);

/// The server, and its address.
async fn server() -> (Process, String) {
    let mut server = python().start_script(SERVER, &[]);
    let line = server.wait_for_line("port ").await;
    let address = format!("127.0.0.1:{}", line.rsplit(' ').next().unwrap());
    (server, address)
}

/// The client, doing something at a gateway.
fn client(gateway: &Gateway, doing: &[&str]) -> Process {
    client_at(gateway.url.trim_start_matches("http://"), doing)
}

fn client_at(address: &str, doing: &[&str]) -> Process {
    python().start_script(CLIENT, &[&[address], doing].concat())
}

/// All that it writes, once it has ended well.
async fn said(mut client: Process) -> String {
    within(NOTICED, async {
        while client.is_running() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(client.wait_for_exit().await.success(), "{}", client.output());
    client.stdout()
}

over_both_buses! {
    async fn calls_of_all_kinds_are_as_without_a_gateway(bus) {
        let (_server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;

        let (direct, through) =
            tokio::join!(said(client_at(&address, &["kinds"])), said(client(&gateway, &["kinds"])));

        assert!(direct.lines().count() > 15, "{direct}");
        let lines = direct.lines().zip(through.lines());
        for (direct, through) in lines {
            assert_eq!(direct, through);
        }
        assert_eq!(direct.lines().count(), through.lines().count());
    }

    async fn a_client_s_deadline_reaches_the_server(bus) {
        // given a gateway with less patience than the client
        let (mut server, address) = server().await;
        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "500ms"]).await;
        // when
        let client = client(&gateway, &["hang", "1.5"]);
        // then the server knows how long it has, and that it is over
        let line = server.wait_for_line("hangs, with seconds left:").await;
        let left: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        // Clients round it up, to hundredths of a second at these sizes.
        assert!((1.0..1.6).contains(&left), "{left}");
        server.wait_for_line("hung up").await;
        let said = said(client).await;
        assert!(said.starts_with("StatusCode.DEADLINE_EXCEEDED "), "{said}");
    }

    async fn a_call_that_is_cancelled_is_cancelled_at_the_server(bus) {
        let (mut server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;

        let said = said(client(&gateway, &["cancel"])).await;

        server.wait_for_line("stopped").await;
        assert!(said.starts_with("b'begun'\nStatusCode.CANCELLED "), "{said}");
    }

    async fn a_client_that_is_killed_ends_its_calls(bus) {
        let (mut server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
        let mut client = client(&gateway, &["stream"]);
        server.wait_for_line("goes on").await;

        client.kill().await;

        server.wait_for_line("stopped").await;
    }

    async fn where_nobody_answers_it_is_unavailable(bus) {
        // Nobody at all;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let nobody = said(client(&gateway, &["unary"])).await;
        assert!(nobody.starts_with("StatusCode.UNAVAILABLE "), "{nobody}");

        // or a daemon whose server is not there.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let daemon = Daemon::start(&bus.url(), &format!("http://{free}"), &[]).await;
        let away = said(client(&gateway, &["unary"])).await;
        assert!(away.starts_with("StatusCode.UNAVAILABLE ") && !away.contains(&free.port().to_string()), "{away}");
        drop(daemon);
    }

    async fn a_server_that_does_not_answer_exceeds_the_gateway_s_deadline(bus) {
        let (mut server, address) = server().await;
        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "1s"]).await;

        let said = said(client(&gateway, &["hang"])).await;

        assert!(said.starts_with("StatusCode.DEADLINE_EXCEEDED "), "{said}");
        server.wait_for_line("hung up").await;
    }

    async fn a_daemon_that_is_told_to_end_ends_its_streams_first(bus) {
        let (mut server, address) = server().await;
        let daemon_flags = ["--grace-period", "1s"];
        let mut daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &daemon_flags).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = client(&gateway, &["stream"]);
        client.wait_for_line("b'begun'").await;

        daemon.process.terminate();

        assert!(daemon.process.wait_for_exit().await.success());
        server.wait_for_line("stopped").await;
        let said = said(client).await;
        assert!(said.starts_with("b'begun'\nStatusCode.UNAVAILABLE"), "{said}");
    }

    async fn a_daemon_or_server_that_is_killed_ends_a_stream_with_an_error(bus) {
        let (mut server, address) = server().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
        let mut stream = client(&gateway, &["stream"]);
        stream.wait_for_line("b'begun'").await;

        daemon.process.kill().await;
        let lost_daemon = said(stream).await;

        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let mut stream = client(&gateway, &["stream"]);
        stream.wait_for_line("b'begun'").await;
        server.kill().await;
        let lost_server = said(stream).await;
        for said in [lost_daemon, lost_server] {
            assert!(said.starts_with("b'begun'\nStatusCode.UNAVAILABLE"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_ends_the_call_at_the_server() {
    let bus = Bus::real().await;
    let (mut server, address) = server().await;
    let (mut gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
    let mut stream = client(&gateway, &["stream"]);
    stream.wait_for_line("b'begun'").await;

    gateway.process.kill().await;

    within(NOTICED, server.wait_for_line("stopped")).await;
    assert!(said(stream).await.contains("StatusCode.UNAVAILABLE"));
}
