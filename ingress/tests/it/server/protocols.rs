//! HTTP/1.1, HTTP/2, TLS: the same request arrives over each protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h8s_ingress::{Config, Limits, TlsFiles};
use http::Version;
use http_body_util::{BodyExt, Full};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::*;

/// Responds with the received method, target, host, authority as written, and body.
fn mirror() -> Closure {
    Closure::new(|host, request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let target = head.uri.path_and_query().unwrap().as_str();
        let host_field = head.headers.get("host").map(|value| value.to_str().unwrap());
        let authority = head.uri.authority().map(|authority| authority.as_str()).xor(host_field).unwrap();
        let body = String::from_utf8_lossy(&body);
        Ok(whole(&format!("{} {target} {host} {authority} {body}", head.method)))
    })
}

/// The gateway leaves dot segments, escapes, doubled slashes and unusual characters to the responder.
const ODD_TARGET: &str = "/a/../b//c/%2F%2f%00/./;x=1/%E2%82%AC?q=%20&&a=+b?c/../d";

#[tokio::test]
async fn http1_passes_method_target_host_and_body_exactly() {
    let ingress = start(mirror()).await;

    let answer = ingress
        .raw(&format!("PROPFIND {ODD_TARGET} HTTP/1.1\r\nHost: Example.com:8080\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"))
        .await;

    assert_eq!(
        Answer::parse(&answer).body,
        format!("PROPFIND {ODD_TARGET} example.com Example.com:8080 body")
    );
}

#[tokio::test]
async fn http2_with_prior_knowledge_passes_them_just_so() {
    let ingress = start(mirror()).await;
    let mut client = http2(ingress.address).await;
    let request = http::Request::builder()
        .method("PROPFIND")
        .uri(format!("http://Example.com:8080{ODD_TARGET}"))
        .body(Full::new(Bytes::from("body")))
        .unwrap();

    let response = in_time(client.send_request(request)).await.unwrap();

    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        format!("PROPFIND {ODD_TARGET} example.com Example.com:8080 body")
    );
}

#[tokio::test]
async fn an_absolute_target_wins_over_host() {
    let ingress = start(mirror()).await;

    let answer = ingress.ask("GET http://target.example:81/p?q HTTP/1.1\nHost: other.example\n").await;

    assert_eq!(answer.body, "GET /p?q target.example target.example:81 ");
}

#[tokio::test]
async fn a_chunked_body_arrives_and_the_connection_is_used_again() {
    let ingress = start(mirror()).await;
    let mut client = ingress.connect().await;

    client.send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").await;
    client.until("POST /1 a a abcde").await;
    client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;

    client.until("GET /2 a a ").await;
}

pub(crate) struct Tls {
    pub(crate) files: TlsFiles,
    certificate: CertificateDer<'static>,
    _directory: tempfile::TempDir,
}

pub(crate) fn certificate() -> Tls {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let files =
        TlsFiles { certificates: directory.path().join("cert.pem"), key: directory.path().join("key.pem") };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    Tls { files, certificate: made.cert.der().clone(), _directory: directory }
}

impl Tls {
    pub(crate) async fn connect(&self, ingress: &Running, alpn: &[&str]) -> TlsStream<TcpStream> {
        self.try_connect(ingress.address, alpn).await.unwrap()
    }

    /// Whether the address serves this certificate.
    pub(crate) async fn is_trusted_at(&self, address: SocketAddr) -> bool {
        self.try_connect(address, &[]).await.is_ok()
    }

    async fn try_connect(&self, address: SocketAddr, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        in_time(connector.connect(ServerName::try_from("localhost").unwrap(), stream)).await
    }
}

#[tokio::test]
async fn tls_speaks_http2_where_the_client_does() {
    let tls = certificate();
    let ingress = start_with(Config { tls: Some(tls.files.clone()), ..Config::default() }, scheme()).await;

    let stream = tls.connect(&ingress, &["h2", "http/1.1"]).await;
    let mut client = http2_on(stream).await;
    let response = in_time(client.send_request(get("https://localhost/"))).await.unwrap();

    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "https");
}

#[tokio::test]
async fn tls_speaks_http1_without_alpn() {
    let tls = certificate();
    let ingress = start_with(Config { tls: Some(tls.files.clone()), ..Config::default() }, scheme()).await;

    for alpn in [&["http/1.1"][..], &[]] {
        let stream = hyper_util::rt::TokioIo::new(tls.connect(&ingress, alpn).await);
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/").header("host", "localhost").body(empty()).unwrap();
        let response = in_time(client.send_request(request)).await.unwrap();

        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "https");
    }
}

/// Responds with how the client reached the gateway.
fn scheme() -> Closure {
    Closure::new(
        |_, request| async move { Ok(whole(request.headers()["x-forwarded-proto"].to_str().unwrap())) },
    )
}

#[tokio::test]
async fn tls_files_that_cannot_be_used_are_named() {
    let tls = certificate();
    let good = &tls.files;
    let (mut missing, mut swapped) = (good.clone(), good.clone());
    missing.key = "/nowhere/key.pem".into();
    swapped.certificates = good.key.clone();

    for files in [missing, swapped] {
        let config = Config { tls: Some(files), ..Config::default() };
        let error = config.build_on(hello()).await.err().unwrap().to_string();
        assert!(error.contains("key.pem"), "{error}");
    }
}

#[tokio::test]
async fn a_slow_handshake_is_cut_off() {
    let tls = certificate();
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let ingress =
        start_with(Config { tls: Some(tls.files.clone()), limits, ..Config::default() }, hello()).await;
    for opening in ["", "\u{16}\u{3}\u{1}"] {
        let mut client = ingress.connect().await;
        client.send(opening).await;
        assert_eq!(client.try_rest().await.unwrap_or_else(|(seen, _)| seen), "", "{opening:?}");
    }
}

#[tokio::test]
async fn every_listener_serves() {
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let app = Config { listen: vec![anywhere; 2], ..Config::default() }.build_on(hello()).await.unwrap();
    let addresses = app.addresses();
    let shutdown = h8s_ingress::Shutdown::new();
    let running = tokio::spawn(app.run(shutdown.clone()));

    for address in addresses {
        let mut client = Raw::connect(address).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.until("hello").await;
    }
    shutdown.drain();

    in_time(running).await.unwrap();
}
