//! gRPC between grpcio's client and grpcio's server.

use std::time::Duration;

use h8s_test_support::python::python;
use h8s_test_support::{Bus, Process, Tool, needs, over_both_buses, within};

use crate::programs::{Daemon, Gateway, gateway_and_daemon};

const SERVER: &str = include_str!("grpc/server.py");
const CLIENT: &str = include_str!("grpc/client.py");
/// How long a lost daemon goes undetected: three missed beats of 5 s.
const NOTICED: Duration = Duration::from_secs(25);

/// The server, and its address.
async fn server() -> (Process, String) {
    let mut server = python().start_script(SERVER, &[]);
    let line = server.wait_for_line("port ").await;
    let address = format!("127.0.0.1:{}", line.rsplit(' ').next().unwrap());
    (server, address)
}

/// The client, running a command against a gateway.
fn client(gateway: &Gateway, doing: &[&str]) -> Process {
    client_at(gateway.url.trim_start_matches("http://"), doing)
}

fn client_at(address: &str, doing: &[&str]) -> Process {
    python().start_script(CLIENT, &[&[address], doing].concat())
}

/// Its output, after it has ended with exit code 0.
async fn output(mut client: Process) -> String {
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
    async fn calls_of_all_kinds_work_as_without_a_gateway(bus) {
        needs!(Tool::Python);
        let (_server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;

        let (direct, through) =
            tokio::join!(output(client_at(&address, &["kinds"])), output(client(&gateway, &["kinds"])));

        assert!(direct.lines().count() > 15, "{direct}");
        let lines = direct.lines().zip(through.lines());
        for (direct, through) in lines {
            assert_eq!(direct, through);
        }
        assert_eq!(direct.lines().count(), through.lines().count());
    }

    async fn a_client_s_deadline_reaches_the_server(bus) {
        needs!(Tool::Python);
        // given a gateway with a shorter timeout than the client
        let (mut server, address) = server().await;
        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "500ms"]).await;
        // when
        let client = client(&gateway, &["hang", "1.5"]);
        // then the server knows the deadline, and that it has passed
        let line = server.wait_for_line("hangs, with seconds left:").await;
        let left: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        // Clients round up, to hundredths of a second at these durations.
        assert!((1.0..1.6).contains(&left), "{left}");
        server.wait_for_line("hung up").await;
        let text = output(client).await;
        assert!(text.starts_with("StatusCode.DEADLINE_EXCEEDED "), "{text}");
    }

    async fn a_call_that_is_cancelled_is_cancelled_at_the_server(bus) {
        needs!(Tool::Python);
        let (mut server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;

        let text = output(client(&gateway, &["cancel"])).await;

        server.wait_for_line("stopped").await;
        assert!(text.starts_with("b'begun'\nStatusCode.CANCELLED "), "{text}");
    }

    async fn a_client_that_is_killed_ends_its_calls(bus) {
        needs!(Tool::Python);
        let (mut server, address) = server().await;
        let (gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
        let mut client = client(&gateway, &["stream"]);
        server.wait_for_line("goes on").await;

        client.kill().await;

        server.wait_for_line("stopped").await;
    }

    async fn a_call_without_a_responder_is_unavailable(bus) {
        needs!(Tool::Python);
        // No daemon,
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let no_daemon = output(client(&gateway, &["unary"])).await;
        assert!(no_daemon.starts_with("StatusCode.UNAVAILABLE "), "{no_daemon}");

        // or a daemon whose server is down.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let daemon = Daemon::start(&bus.url(), &format!("http://{free}"), &[]).await;
        let away = output(client(&gateway, &["unary"])).await;
        assert!(away.starts_with("StatusCode.UNAVAILABLE ") && !away.contains(&free.port().to_string()), "{away}");
        drop(daemon);
    }

    async fn a_server_that_does_not_answer_exceeds_the_gateway_s_deadline(bus) {
        needs!(Tool::Python);
        let (mut server, address) = server().await;
        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let gateway = Gateway::start(&bus.url(), &["--request-timeout", "1s"]).await;

        let text = output(client(&gateway, &["hang"])).await;

        assert!(text.starts_with("StatusCode.DEADLINE_EXCEEDED "), "{text}");
        server.wait_for_line("hung up").await;
    }

    async fn a_daemon_that_drains_completes_its_streams(bus) {
        needs!(Tool::Python);
        let (mut server, address) = server().await;
        let daemon_flags = ["--grace-period", "1s"];
        let mut daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &daemon_flags).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        let mut client = client(&gateway, &["stream"]);
        client.wait_for_line("b'begun'").await;

        daemon.process.terminate();

        assert!(daemon.process.wait_for_exit().await.success());
        server.wait_for_line("stopped").await;
        let text = output(client).await;
        assert!(text.starts_with("b'begun'\nStatusCode.UNAVAILABLE"), "{text}");
    }

    async fn a_daemon_or_server_that_is_killed_ends_a_stream_with_an_error(bus) {
        needs!(Tool::Python);
        let (mut server, address) = server().await;
        let (gateway, mut daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
        let mut stream = client(&gateway, &["stream"]);
        stream.wait_for_line("b'begun'").await;

        daemon.process.kill().await;
        let lost_daemon = output(stream).await;

        let _daemon = Daemon::start(&bus.url(), &format!("http://{address}"), &[]).await;
        let mut stream = client(&gateway, &["stream"]);
        stream.wait_for_line("b'begun'").await;
        server.kill().await;
        let lost_server = output(stream).await;
        for text in [lost_daemon, lost_server] {
            assert!(text.starts_with("b'begun'\nStatusCode.UNAVAILABLE"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_ends_the_call_at_the_server() {
    needs!(Tool::NatsServer, Tool::Python);
    let bus = Bus::real().await;
    let (mut server, address) = server().await;
    let (mut gateway, _daemon) = gateway_and_daemon(&bus, &format!("http://{address}")).await;
    let mut stream = client(&gateway, &["stream"]);
    stream.wait_for_line("b'begun'").await;

    gateway.process.kill().await;

    within(NOTICED, server.wait_for_line("stopped")).await;
    assert!(output(stream).await.contains("StatusCode.UNAVAILABLE"));
}
