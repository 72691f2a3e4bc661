//! `h8sd` itself: bad settings, and what is not there at start.

use std::process::{Command, Output};

fn h8sd(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_h8sd")).args(flags).env_clear().output().unwrap()
}

#[test]
fn every_mistake_is_one_sentence_and_all_are_said_at_once() {
    let output = h8sd(&[
        "--listen=nowhere",
        "--request-timeout=5",
        "--max-body-size=big",
        "--host-filters=a..b",
        "--trusted-proxies=10.0.0.0/99",
        "--max-connections=0",
        "--authorization-key=",
        "--log-format=xml",
        "--no-such-flag",
    ]);

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for flag in [
        "--listen",
        "--request-timeout",
        "--max-body-size",
        "--host-filters",
        "--trusted-proxies",
        "--max-connections",
        "--authorization-key",
        "--log-format",
        "--no-such-flag",
    ] {
        assert_eq!(said.lines().filter(|line| line.contains(flag)).count(), 1, "{flag}: {said}");
    }
}

#[test]
fn what_no_flag_shows_alone_is_said_together_too() {
    let output = h8sd(&["--tls-cert=c.pem", "--request-timeout=0s", "--nats-url=nonsense://x"]);

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for flag in ["--tls-key", "--request-timeout", "--nats-url"] {
        assert!(said.contains(flag), "{flag}: {said}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "request-timeout = \"1s\"\nrequest-timout = \"2s\"\n").unwrap();

    let output = h8sd(&["--config", file.path().to_str().unwrap()]);

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("request-timout") && said.contains("did you mean request-timeout"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = h8s_ingress::Config { listen: vec![address], ..Default::default() };

    let error = config.build_on(crate::support::hello()).await.err().unwrap().to_string();

    assert!(error.contains(&address.to_string()) && error.contains("in use"), "{error}");
}

#[test]
fn help_names_every_flag_with_its_variable() {
    let output = h8sd(&["--help"]);

    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for variable in ["H8S_LISTEN", "H8S_ADMIN_LISTEN", "H8S_TRACK_INTEREST", "H8S_GRACE_PERIOD", "NATS_URL"] {
        assert!(help.contains(variable), "{variable}: {help}");
    }
}
