//! Every way of connecting to a real server, and the errors of servers that refuse the connection.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use h8s_nats::{Bus, ConnectError, ConnectOptions, Requester, RequesterConfig, StartError};
use h8s_test_support::{NatsServer, Tool, needs};
use nkeys::KeyPair;

use crate::fixture::within;

fn config(urls: &[String]) -> ConnectOptions {
    ConnectOptions::new(&urls.join(",")).unwrap()
}

/// Connects, and proves it with a round trip.
async fn works(config: &ConnectOptions) {
    let link = within(Bus::connect(config.clone())).await.unwrap();
    within(Requester::start(link, RequesterConfig::default())).await.unwrap();
}

async fn is_refused(config: &ConnectOptions) -> String {
    let error = within(Bus::connect(config.clone())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn several_urls_one_of_which_is_alive() {
    needs!(Tool::NatsServer);
    let server = NatsServer::start().await;
    works(&config(&["nats://127.0.0.1:1".into(), server.url()])).await;
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_reported_with_its_url() {
    let error = is_refused(&config(&["nats://127.0.0.1:1".into()])).await;
    assert!(error.contains("nats://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_token() {
    needs!(Tool::NatsServer);
    let server = NatsServer::with_config("authorization { token: \"s3cret\" }").await;
    let url = format!("nats://127.0.0.1:{}", server.port());
    let config = config(&[url]);
    is_refused(&config).await;
    let config = config.token("s3cret");
    works(&config).await;
}

#[tokio::test]
async fn user_and_password() {
    needs!(Tool::NatsServer);
    let server = NatsServer::with_config("authorization { user: \"gate\", password: \"s3cret\" }").await;
    let url = format!("nats://127.0.0.1:{}", server.port());
    let config = config(&[url]);
    let config = config.user("gate", "wrong");
    let error = is_refused(&config).await;
    assert!(!error.contains("wrong"), "the error shows a secret: {error}");
    let config = config.user("gate", "s3cret");
    works(&config).await;
}

#[tokio::test]
async fn an_nkey() {
    needs!(Tool::NatsServer);
    let key = KeyPair::new_user();
    let users = format!("authorization {{ users: [ {{ nkey: \"{}\" }} ] }}", key.public_key());
    let server = NatsServer::with_config(&users).await;
    let config = config(&[format!("nats://127.0.0.1:{}", server.port())]);
    is_refused(&config).await;
    let config = config.nkey(key.seed().unwrap());
    works(&config).await;
}

/// A JWT for nats-server: the claims `nats` of the key `subject`, signed by `issuer`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: serde_json::Value) -> String {
    let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let header = part(serde_json::json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let claims = part(serde_json::json!({
        "jti": "h8s-test", "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": nats,
    }));
    let signature = issuer.sign(format!("{header}.{claims}").as_bytes()).unwrap();
    format!("{header}.{claims}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn credentials_file(directory: &Path, jwt: &str, seed: &str) -> PathBuf {
    let path = directory.join("user.creds");
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn a_credentials_file() {
    needs!(Tool::NatsServer);
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let limits = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1, "wildcards": true,
    });
    let operator_jwt = jwt(&operator, &operator, serde_json::json!({"type": "operator", "version": 2}));
    let account_claims = serde_json::json!({"type": "account", "version": 2, "limits": limits});
    let account_jwt = jwt(&operator, &account, account_claims);
    let user_claims =
        serde_json::json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let user_jwt = jwt(&account, &user, user_claims);
    let directory = tempfile::tempdir().unwrap();
    let creds = credentials_file(directory.path(), &user_jwt, &user.seed().unwrap());
    let trust = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
        account.public_key()
    );
    let server = NatsServer::with_config(&trust).await;
    let config = config(&[format!("nats://127.0.0.1:{}", server.port())]);
    is_refused(&config).await;
    let config = config.credentials_file(creds);
    works(&config).await;

    let config = config.credentials_file(directory.path().join("gone"));
    let error = Bus::connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectError::Credentials(_)), "{error:?}");
}

/// A self-signed certificate for 127.0.0.1.
struct Certificate {
    directory: tempfile::TempDir,
}

impl Certificate {
    fn new() -> Self {
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn block(&self) -> String {
        format!("{{ cert_file: {:?}, key_file: {:?} }}", self.path("cert.pem"), self.path("key.pem"))
    }
}

#[tokio::test]
async fn tls_with_a_given_authority() {
    needs!(Tool::NatsServer);
    let certificate = Certificate::new();
    let server = NatsServer::with_config(&format!("tls {}", certificate.block())).await;
    let config = config(&[format!("tls://127.0.0.1:{}", server.port())]);
    is_refused(&config).await;
    let config = config.ca(certificate.path("cert.pem"));
    works(&config).await;
}

#[tokio::test]
async fn websocket_and_websocket_over_tls() {
    needs!(Tool::NatsServer);
    let server = NatsServer::with_config("websocket { host: 127.0.0.1, port: -1, no_tls: true }").await;
    works(&config(&[server.websocket_url().unwrap()])).await;

    let certificate = Certificate::new();
    let block = format!("websocket {{ host: 127.0.0.1, port: -1, tls {} }}", certificate.block());
    let server = NatsServer::with_config(&block).await;
    let url = server.websocket_url().unwrap().replace("ws://", "wss://");
    let config = config(&[url]);
    let config = config.ca(certificate.path("cert.pem"));
    works(&config).await;
}

#[tokio::test]
async fn a_server_that_takes_only_small_messages_is_refused_with_the_remedy() {
    needs!(Tool::NatsServer);
    let server = NatsServer::with_config("max_payload: 65536").await;
    let error = Bus::connect(config(&[server.url()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::MaxPayload { max_payload_bytes: 65_536, .. }), "{error:?}");
    assert!(error.to_string().contains("raise max_payload"));
}

#[tokio::test]
async fn a_user_without_the_right_to_its_inbox_gets_an_error_that_names_the_subject() {
    needs!(Tool::NatsServer);
    let users = "authorization { users: [ { user: gate, password: pw, permissions: { publish: \">\", subscribe: \"other\" } } ] }";
    let server = NatsServer::with_config(users).await;
    let config = config(&[format!("nats://127.0.0.1:{}", server.port())]);
    let config = config.user("gate", "pw");
    let link = Bus::connect(config).await.unwrap();
    let error = within(Requester::start(link, RequesterConfig::default())).await.unwrap_err();
    assert!(matches!(error, StartError::Denied(_)), "{error:?}");
    let error = error.to_string();
    assert!(error.contains("subscribe to \"h8s.") && error.contains("h8s permissions"), "{error}");
}
