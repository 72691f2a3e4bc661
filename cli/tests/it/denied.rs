//! Missing permissions are detected: a program does not start without those it needs at start, and logs later denials.

use h8s_test_support::process::Process;
use h8s_test_support::raw_origin::RawOrigin;
use h8s_test_support::{NatsServer, Tool, eventually, needs};

use crate::nats_users::{flags, server, user};
use crate::programs::{Daemon, Gateway, gateway_command, h8srd, host_command};

const OURS: &str = "127.0.0.1";

/// Checks that a program refuses to start: one sentence with all of `parts`, and well before a timeout.
async fn refuses(mut process: Process, parts: &[&str]) {
    assert!(matches!(process.wait_for_exit().await.code(), Some(1 | 2)), "{}", process.output());
    let output = process.output();
    let is_error = |line: &&str| line.starts_with("h8s") && line.contains("NATS does not let this user");
    let errors: Vec<_> = output.lines().filter(is_error).collect();
    assert_eq!(errors.len(), 1, "{output}");
    assert!(parts.iter().all(|part| errors[0].contains(part)), "{parts:?}: {output}");
    assert!(!output.contains("ready"), "{output}");
}

fn daemon(nats: &NatsServer, user: &str) -> Process {
    let mut command =
        h8srd(&["--nats-url", &nats.url(), "--hostname", OURS, "--backend-url", "http://127.0.0.1:1"]);
    Process::start(command.args(flags(user)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_does_not_start_in_the_wrong_queue_group() {
    needs!(Tool::NatsServer);
    let role = format!("--role daemon --host {OURS} --queue-group shop");
    let nats = server(&[user("ours", &role)]).await;

    let parts = ["subscribe to \"h8s.", "queue group \"h8s\"", "`h8s permissions --role daemon --host HOST`"];
    refuses(daemon(&nats, "ours"), &parts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_does_not_start_without_permission_to_announce() {
    needs!(Tool::NatsServer);
    let role = user("ours", &format!("--role daemon --host {OURS}"));
    let nats = server(&[role.replace("control.interest.register", "control.interest.other")]).await;

    refuses(daemon(&nats, "ours"), &["publish to \"h8s.control.interest.register.127.0.0.1\""]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_does_not_start_for_another_s_host() {
    needs!(Tool::NatsServer);
    let nats = server(&[user("tenant", "--role daemon --host tenant.example")]).await;

    refuses(daemon(&nats, "tenant"), &["\"h8s.", "127.0.0.1", "--role daemon"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_components_send_does_not_start_with_a_daemon_s_rights() {
    needs!(Tool::NatsServer);
    let nats = server(&[user("ours", &format!("--role daemon --host {OURS}"))]).await;
    let mut command = host_command(&nats.url(), OURS, "sender");

    let parts = ["h8s.control.ws.conn.", "`h8s permissions --role host --host HOST`"];
    refuses(Process::start(command.args(flags("ours"))), &parts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_does_not_start_without_permission_to_subscribe() {
    needs!(Tool::NatsServer);
    let role = user("gate", "--role gateway").replace("h8s.control.ws.broadcast.>", "h8s.other");
    let nats = server(&[role]).await;
    let mut command = gateway_command(&nats.url());

    let parts = ["subscribe to \"h8s.control.ws.broadcast.>\"", "`h8s permissions --role gateway`"];
    refuses(Process::start(command.args(flags("gate"))), &parts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_while_running_is_logged_once_and_not_for_every_client() {
    needs!(Tool::NatsServer);
    // given a gateway with permissions for one host, and clients that request another
    let role = "--role gateway --host app.example.com";
    let nats = server(&[user("gate", role), user("ours", &format!("--role daemon --host {OURS}"))]).await;
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let _daemon = Daemon::start(&nats.url(), &origin.url(), &flags("ours")).await;
    let flags = [&flags("gate")[..], &["--request-timeout", "200ms"]].concat();
    let gateway = Gateway::start(&nats.url(), &flags).await;
    // when
    for _ in 0..5 {
        assert_eq!(gateway.status("/x").await, 504);
    }
    // then
    let errors = || {
        let output = gateway.process.output();
        output.lines().filter(|line| line.contains("does not let this user")).map(str::to_owned).collect()
    };
    eventually("it is logged", async || !Vec::<String>::is_empty(&errors())).await;
    let errors: Vec<String> = errors();
    assert!(
        errors[0].contains("ERROR") && errors[0].contains("publish to \"h8s.x.ANY.127.0.0.1._.%2A\""),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
}
