//! Settings and secrets reach the guest, and no log or error.

use h8s_host::{ComponentService, ComponentSource, ConfigurationSource, Limits, SecretSource, Swapped};
use h8s_test_support::guests::guest;
use h8s_test_support::process::{Process, program};

use crate::fixture::{engine, get_text, serve_on, source};
use crate::log;

/// A component with one setting and one secret, and the file that the secret is in.
async fn configured() -> (ComponentService, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let configuration = ConfigurationSource {
        settings: vec![("LEVEL".into(), "debug".into()), ("KEY".into(), "none".into())],
        secrets: vec![("KEY".into(), SecretSource::File(file.path().into()))],
    };
    let source = ComponentSource { configuration, ..source("guests", Limits::default()) };
    (serve_on(engine(), source).await, file)
}

#[tokio::test]
async fn settings_and_secrets_are_read_through_either_interface() {
    let (service, _file) = configured().await;
    let (_, said) = get_text(&service, "/configuration").await;
    assert_eq!(said, "LEVEL=debug\nKEY=hunter2\nmissing None same Some(true)\n");
    let (_, said) = get_text(&service, "/configuration-draft").await;
    assert_eq!(said, "LEVEL=debug\nKEY=hunter2\nmissing None\n");
}

#[tokio::test]
async fn a_secret_that_has_changed_is_swapped_in_with_the_component_as_it_is() {
    // given
    let (service, file) = configured().await;
    let component = guest("guests");
    assert_eq!(service.swap(&component).await.unwrap(), Swapped::Unchanged);
    // when
    std::fs::write(file.path(), "hunter3\n").unwrap();
    let swapped = service.swap(&component).await.unwrap();
    // then
    assert!(matches!(swapped, Swapped::After(_)), "{swapped:?}");
    let (_, said) = get_text(&service, "/configuration").await;
    assert_eq!(said, "LEVEL=debug\nKEY=hunter3\nmissing None same Some(true)\n");
    // A secret that has become unreadable changes nothing.
    std::fs::write(file.path(), "").unwrap();
    let said = service.swap(&component).await.unwrap_err().to_string();
    assert!(said.contains("cannot read the secret KEY"), "{said}");
    assert_eq!(get_text(&service, "/configuration").await.1.lines().nth(1), Some("KEY=hunter3"));
}

#[tokio::test]
async fn secrets_are_no_environment_and_not_logged() {
    let (service, _file) = configured().await;
    assert_eq!(get_text(&service, "/environment").await.1, "");
    get_text(&service, "/trap").await;
    let line = log::line(&[&log::of(&service), "component failed"]).await;
    assert!(!line.contains("hunter2") && !format!("{service:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_component_without_settings_finds_none() {
    let service = crate::fixture::guests().await;
    assert_eq!(get_text(&service, "/configuration").await.1, "missing None same None\n");
}

#[tokio::test]
async fn settings_that_the_component_cannot_read_are_logged() {
    let settings = vec![("LEVEL".to_owned(), "debug".to_owned())];
    let configuration = ConfigurationSource { settings, ..ConfigurationSource::default() };
    let source = ComponentSource { configuration, ..source("hello", Limits::default()) };
    let service = serve_on(engine(), source).await;
    log::line(&[&log::of(&service), "does not import wasi:config"]).await;
}

/// The output of a host that does not start.
async fn mistaken(args: &[&str]) -> String {
    let mut host = Process::start(program(env!("CARGO_BIN_EXE_h8s-host")).args(args));
    assert_eq!(host.wait_for_exit().await.code(), Some(2));
    host.stderr()
}

#[tokio::test]
async fn a_secret_that_is_not_there_keeps_the_host_from_starting() {
    let file = guest("guests");
    let component = file.to_str().unwrap();
    let said = mistaken(&[component, "--no-cache", "--secret", "API_KEY=env:H8S_TEST_NOT_SET"]).await;
    assert!(
        said.contains("cannot read the secret API_KEY from env:H8S_TEST_NOT_SET: it is not set"),
        "{said}"
    );
    let said = mistaken(&[component, "--no-cache", "--secret", "DB=file:/nowhere/h8s-secret"]).await;
    assert!(said.contains("cannot read the secret DB from file:/nowhere/h8s-secret: No such file"), "{said}");
}

#[tokio::test]
async fn a_secret_in_place_of_its_place_is_a_mistake_that_does_not_show_it() {
    // given the secret itself, on the command line and in a table
    let files = tempfile::tempdir().unwrap();
    let config = files.path().join("host.toml");
    std::fs::write(&config, "[[component]]\nfile = \"a.wasm\"\nsecrets = { OTHER = \"hunter2\" }\n").unwrap();
    // when
    let args = ["--config", config.to_str().unwrap(), "--secret", "API_KEY=env:", "--secret", "aHVudGVyMg=="];
    let said = mistaken(&args).await;
    // then
    for part in ["--secret API_KEY: write where", "--secret write where", "secrets: OTHER: write where"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("hunter2") && !said.contains("aHVudGVyMg"), "{said}");
}
