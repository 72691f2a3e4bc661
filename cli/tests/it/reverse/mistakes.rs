//! Errors of `h8srd`: one sentence each, all together, and exit code 2.

use h8s_test_support::process::Process;

use crate::programs::h8srd;

/// The lines on standard error, after checking the exit code.
async fn errors(arguments: &[&str]) -> Vec<String> {
    let mut daemon = Process::start(&mut h8srd(arguments));
    let code = daemon.wait_for_exit().await.code();
    assert_eq!(code, Some(2), "{}", daemon.output());
    assert_eq!(daemon.stdout(), "");
    daemon.stderr().lines().map(str::to_owned).collect()
}

async fn errors_of_file(text: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    errors(&["--nats-url", "nats://127.0.0.1:1", "--config", file.path().to_str().unwrap()]).await
}

/// One line has all of these words.
fn assert_error(errors: &[String], words: &[&str]) {
    let lines = errors.iter().filter(|line| words.iter().all(|word| line.contains(word)));
    assert_eq!(lines.count(), 1, "{words:?} in {errors:#?}");
}

#[tokio::test]
async fn missing_flags_are_all_reported() {
    let errors = errors(&["--nats-url", "nats://127.0.0.1:1"]).await;

    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert_error(&errors, &["--hostname", "missing", "H8SRD_HOSTNAME"]);
    assert_error(&errors, &["--backend-url", "missing", "http://localhost:3000"]);
}

#[tokio::test]
async fn invalid_backends_are_reported() {
    for url in [
        "ftp://localhost",
        "localhost:3000",
        "http://",
        "http://user:pw@localhost/",
        "unix:/x",
        "http://a/?q",
    ] {
        let errors =
            errors(&["--nats-url=nats://127.0.0.1:1", "--hostname=a.example", "--backend-url", url]).await;

        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert_error(&errors, &["--backend-url", "http"]);
        assert!(!errors[0].contains("pw"), "{errors:?}");
    }
}

#[tokio::test]
async fn invalid_flags_are_all_reported() {
    let errors = errors(&[
        "--hostname=a_b..c",
        "--backend-url=http://localhost",
        "--path=/a/*/b",
        "--connect-timeout=soon",
        "--max-connections=0",
        "--backend-protocol=http3",
        "--queue-group=a b",
        "--no-such-flag",
    ])
    .await;

    for flag in [
        "--hostname",
        "--path",
        "--connect-timeout",
        "--max-connections",
        "--backend-protocol",
        "--queue-group",
        "--no-such-flag",
    ] {
        assert_error(&errors, &[flag]);
    }
}

#[tokio::test]
async fn two_backends_at_one_path_are_reported() {
    for (one, other) in [
        ("hostname = \"a.example\"", "hostname = \"A.Example.\""),
        ("hostname = [\"b.example\", \"a.example\"]", "hostname = \"a.example\"\npath = \"/*\""),
        ("hostname = \"a.example\"\npath = \"/api/*\"", "hostname = \"a.example\"\npath = \"//%61pi//*\""),
        ("hostname = \"a.example\"\npath = \"/x\"", "hostname = \"a.example\"\npath = \"/x/\""),
    ] {
        let table = |keys: &str| format!("[[backend]]\nbackend-url = \"http://localhost:1\"\n{keys}\n");

        let errors = errors_of_file(&format!("{}{}", table(one), table(other))).await;

        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert_error(&errors, &["both serve a.example"]);
    }
}

#[tokio::test]
async fn a_file_s_errors_are_all_reported() {
    let errors = errors_of_file(
        r#"
        [[backend]]
        backend-url = "http://localhost:1"
        [[backend]]
        hostname = "a.example"
        [[backend]]
        hostname = "b.example"
        backend-url = "http://localhost:1"
        prot = "http1"
        [[backend]]
        hostname = "c.example"
        backend-url = "https://localhost:1"
        backend-ca = "/nowhere/ca.pem"
        [[backend]]
        hostname = ["d.example", "c.example"]
        backend-url = "http://localhost:2"
        [[backend]]
        hostname = "e.example"
        backend-url = "ftp://localhost"
        "#,
    )
    .await;

    assert_error(&errors, &["[[backend]] 1", "hostname is missing"]);
    assert_error(&errors, &["[[backend]] 2", "backend-url is missing"]);
    assert_error(&errors, &["[[backend]] 3", "prot", "unknown key"]);
    assert_error(&errors, &["/nowhere/ca.pem"]);
    assert_error(&errors, &["both serve c.example"]);
    assert_error(&errors, &["[[backend]] 6", "ftp://localhost", "http and https"]);
    assert_eq!(errors.len(), 6, "{errors:#?}");
}

#[tokio::test]
async fn an_unknown_key_is_reported() {
    let errors = errors_of_file("hostname = \"a.example\"\nbackend_url = \"http://localhost:1\"\n").await;

    assert_error(&errors, &["backend_url", "backend-url"]);
}

#[tokio::test]
async fn unreadable_certificates_are_reported() {
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "hello").unwrap();
    for (file, says) in [("/nowhere/ca.pem", "no such file"), (text.path().to_str().unwrap(), "certificate")]
    {
        let errors = errors(&[
            "--nats-url=nats://127.0.0.1:1",
            "--hostname=a.example",
            "--backend-url=https://localhost",
            "--backend-ca",
            file,
        ])
        .await;

        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert_error(&errors, &[file]);
        assert!(errors[0].to_lowercase().contains(says), "{errors:?}");
    }
}

#[tokio::test]
async fn an_unreachable_nats_server_is_reported() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://user:secret@{free}");
    let mut daemon = Process::start(&mut h8srd(&[
        "--nats-url",
        &url,
        "--hostname=a.example",
        "--backend-url=http://localhost:1",
    ]));

    assert_eq!(daemon.wait_for_exit().await.code(), Some(2), "{}", daemon.output());

    assert_error(
        &daemon.stderr().lines().map(str::to_owned).collect::<Vec<_>>(),
        &[&format!("nats://{free}")],
    );
    assert!(!daemon.output().contains("secret"), "{}", daemon.output());
}
