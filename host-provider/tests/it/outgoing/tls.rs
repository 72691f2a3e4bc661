//! Outgoing requests over TLS: trusted roots and protocols.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use h8s_host::{ComponentService, ComponentSource, Limits, OutgoingSource};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::fixture::{engine, serve_on, source};
use crate::outgoing::requests::fetch;

/// A server for `localhost` that reports the protocol of a request; its port, and the root to trust.
async fn server(protocols: &[&[u8]]) -> (u16, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config))));
    (port, file)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let (stream, describe) = (TokioIo::new(stream), service_fn(describe));
            let _ = match is_http2 {
                true => http2::Builder::new(TokioExecutor::new()).serve_connection(stream, describe).await,
                false => http1::Builder::new().serve_connection(stream, describe).await,
            };
        });
    }
}

async fn describe(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.uri().authority().map(ToString::to_string);
    let host = host.or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()));
    let said = format!("{:?} {} {}", request.version(), host.unwrap_or_default(), request.uri().path());
    Ok(Response::new(Full::from(said)))
}

async fn trusting(port: u16, root: Option<&NamedTempFile>) -> ComponentService {
    let allowed = vec![format!("localhost:{port}").parse().unwrap()];
    let outgoing = OutgoingSource { allowed, ca: root.map(|file| file.path().into()) };
    serve_on(engine(), ComponentSource { outgoing, ..source("guests", Limits::default()) }).await
}

#[tokio::test]
async fn the_protocol_is_what_tls_agrees_upon() {
    for (protocols, version) in
        [(&[b"h2".as_slice(), b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let (port, root) = server(protocols).await;
        let service = trusting(port, Some(&root)).await;
        for _ in 0..2 {
            let said = fetch(&service, &format!("https://localhost:{port}/x")).await;
            assert_eq!(said, format!("answered 200\n{version} localhost:{port} /x"));
        }
    }
}

#[tokio::test]
async fn a_certificate_that_leads_to_no_root_is_refused() {
    // given a server whose root is another one than the component's
    let (port, _root) = server(&[b"h2"]).await;
    let (_, other) = server(&[b"h2"]).await;
    let service = trusting(port, Some(&other)).await;
    // when, then
    let said = fetch(&service, &format!("https://localhost:{port}/x")).await;
    assert_eq!(said, "ErrorCode::TlsCertificateError\n");
}

#[tokio::test]
async fn an_invalid_root_is_reported_at_start() {
    let file = NamedTempFile::new().unwrap();
    let allowed = vec!["api.example.com".parse().unwrap()];
    let outgoing = OutgoingSource { allowed, ca: Some(file.path().into()) };
    let source = ComponentSource { outgoing, ..source("guests", Limits::default()) };
    let error = h8s_host::load(engine(), None, vec![source]).await.unwrap_err().to_string();
    assert!(error.contains("holds no certificate in PEM"), "{error}");
}
