//! What `h8srd` says to mistakes: one sentence each, all at once, and exit code 2.

use h8s_test_support::process::Process;

use crate::programs::h8srd;

/// The lines that it says, having checked the exit code.
async fn said(arguments: &[&str]) -> Vec<String> {
    let mut daemon = Process::start(&mut h8srd(arguments));
    let code = daemon.wait_for_exit().await.code();
    assert_eq!(code, Some(2), "{}", daemon.output());
    assert_eq!(daemon.stdout(), "");
    daemon.stderr().lines().map(str::to_owned).collect()
}

async fn said_to_file(text: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    said(&["--nats-url", "nats://127.0.0.1:1", "--config", file.path().to_str().unwrap()]).await
}

/// One line has all of these words.
fn assert_said(said: &[String], words: &[&str]) {
    let lines = said.iter().filter(|line| words.iter().all(|word| line.contains(word)));
    assert_eq!(lines.count(), 1, "{words:?} in {said:#?}");
}

#[tokio::test]
async fn what_is_missing_is_all_told() {
    let said = said(&["--nats-url", "nats://127.0.0.1:1"]).await;

    assert_eq!(said.len(), 2, "{said:#?}");
    assert_said(&said, &["--hostname", "missing", "H8SRD_HOSTNAME"]);
    assert_said(&said, &["--backend-url", "missing", "http://localhost:3000"]);
}

#[tokio::test]
async fn backends_that_are_none_are_told() {
    for url in [
        "ftp://localhost",
        "localhost:3000",
        "http://",
        "http://user:pw@localhost/",
        "unix:/x",
        "http://a/?q",
    ] {
        let said =
            said(&["--nats-url=nats://127.0.0.1:1", "--hostname=a.example", "--backend-url", url]).await;

        assert_eq!(said.len(), 1, "{said:#?}");
        assert_said(&said, &["--backend-url", "http"]);
        assert!(!said[0].contains("pw"), "{said:?}");
    }
}

#[tokio::test]
async fn flags_that_make_no_sense_are_all_told() {
    let said = said(&[
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
        assert_said(&said, &[flag]);
    }
}

#[tokio::test]
async fn two_backends_in_one_place_are_told() {
    for (one, other) in [
        ("hostname = \"a.example\"", "hostname = \"A.Example.\""),
        ("hostname = [\"b.example\", \"a.example\"]", "hostname = \"a.example\"\npath = \"/*\""),
        ("hostname = \"a.example\"\npath = \"/api/*\"", "hostname = \"a.example\"\npath = \"//%61pi//*\""),
        ("hostname = \"a.example\"\npath = \"/x\"", "hostname = \"a.example\"\npath = \"/x/\""),
    ] {
        let table = |keys: &str| format!("[[backend]]\nbackend-url = \"http://localhost:1\"\n{keys}\n");

        let said = said_to_file(&format!("{}{}", table(one), table(other))).await;

        assert_eq!(said.len(), 1, "{said:#?}");
        assert_said(&said, &["both serve a.example"]);
    }
}

#[tokio::test]
async fn a_file_s_mistakes_are_all_told() {
    let said = said_to_file(
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

    assert_said(&said, &["[[backend]] 1", "hostname is missing"]);
    assert_said(&said, &["[[backend]] 2", "backend-url is missing"]);
    assert_said(&said, &["[[backend]] 3", "prot", "unknown key"]);
    assert_said(&said, &["/nowhere/ca.pem"]);
    assert_said(&said, &["both serve c.example"]);
    assert_said(&said, &["[[backend]] 6", "ftp://localhost", "http and https"]);
    assert_eq!(said.len(), 6, "{said:#?}");
}

#[tokio::test]
async fn a_key_that_no_flag_has_is_told() {
    let said = said_to_file("hostname = \"a.example\"\nbackend_url = \"http://localhost:1\"\n").await;

    assert_said(&said, &["backend_url", "backend-url"]);
}

#[tokio::test]
async fn certificates_that_cannot_be_read_are_told() {
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "hello").unwrap();
    for (file, says) in [("/nowhere/ca.pem", "no such file"), (text.path().to_str().unwrap(), "certificate")]
    {
        let said = said(&[
            "--nats-url=nats://127.0.0.1:1",
            "--hostname=a.example",
            "--backend-url=https://localhost",
            "--backend-ca",
            file,
        ])
        .await;

        assert_eq!(said.len(), 1, "{said:#?}");
        assert_said(&said, &[file]);
        assert!(said[0].to_lowercase().contains(says), "{said:?}");
    }
}

#[tokio::test]
async fn a_nats_that_is_not_there_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://user:secret@{free}");
    let mut daemon = Process::start(&mut h8srd(&[
        "--nats-url",
        &url,
        "--hostname=a.example",
        "--backend-url=http://localhost:1",
    ]));

    assert_eq!(daemon.wait_for_exit().await.code(), Some(2), "{}", daemon.output());

    assert_said(
        &daemon.stderr().lines().map(str::to_owned).collect::<Vec<_>>(),
        &[&format!("nats://{free}")],
    );
    assert!(!daemon.output().contains("secret"), "{}", daemon.output());
}
