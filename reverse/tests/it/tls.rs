//! Backends over TLS, and over HTTP/2.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h8s_nats::Refused;
use h8s_reverse::Protocol;
use h8s_test_support::eventually;
use h8s_test_support::raw_origin::RawOrigin;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::harness::{call, get, has_no_valid_response, in_front_of, refusal, request, text, whole};

/// More exchanges than one connection takes.
const TOGETHER: usize = 150;

/// A self-signed certificate for `localhost`: the server's configuration, and the client's root file.
pub(crate) fn certificate() -> (Arc<rustls::ServerConfig>, NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    (Arc::new(config), file)
}

/// A backend that responds with the request line that it received, over TLS or HTTP/2.
struct Server {
    port: u16,
    /// Including closed ones.
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Server {
    /// It offers `protocols` by ALPN; without TLS it speaks HTTP/2.
    async fn start(tls: Option<(Arc<rustls::ServerConfig>, &[&[u8]])>) -> Self {
        let acceptor = tls.map(|(config, protocols)| {
            let mut config = (*config).clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            TlsAcceptor::from(Arc::new(config))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, connections) =
            (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<AbortHandle>>>::default());
        let kept = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let connection = tokio::spawn(async move {
                    let Some(acceptor) = acceptor else { return http2(stream).await };
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        http2(stream).await
                    } else {
                        http1(stream).await
                    }
                });
                kept.lock().unwrap().push(connection.abort_handle());
            }
        });
        Self { port, connections }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.port)
    }

    fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    fn drop_connections(&self) {
        self.connections.lock().unwrap().iter().for_each(AbortHandle::abort);
    }
}

async fn http1(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static) {
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(describe)).await;
}

async fn http2(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static) {
    let builder = http2::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(describe)).await;
}

/// `HTTP/2.0 GET https://app.example/path body`, and the path's trailer.
async fn describe(
    request: Request<Incoming>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path() == "/together" {
        static ALL: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(TOGETHER));
        ALL.wait().await;
    }
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body);
    let text = format!("{:?} {} {} {body}", head.version, head.method, head.uri);
    let trailers = HeaderMap::from_iter([(
        http::HeaderName::from_static("x-trailer"),
        http::HeaderValue::from_static("7"),
    )]);
    let body = Full::new(Bytes::from(text)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let response = Response::builder()
        .header("x-te", head.headers.get("te").cloned().unwrap_or(http::HeaderValue::from_static("-")));
    assert!(head.version != Version::HTTP_2 || !head.headers.contains_key("connection"));
    Ok(response.body(body.boxed()).unwrap())
}

#[tokio::test]
async fn over_tls_the_negotiated_protocol_is_used() {
    let (config, ca) = certificate();
    for (offered, spoken) in
        [(&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let server = Server::start(Some((Arc::clone(&config), offered))).await;
        let service = in_front_of(&server.url("https"), |backend| backend.ca = Some(ca.path().to_owned()));

        let texts = [text(&service, "/a?b").await, text(&service, "/c").await];

        assert!(texts.iter().all(|text| text.starts_with(spoken)), "{texts:?}");
        assert_eq!(server.connections(), 1, "{spoken}");
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_root_is_refused() {
    let ((config, _), (_, other)) = (certificate(), certificate());
    let server = Server::start(Some((config, &[b"h2"]))).await;
    let service = in_front_of(&server.url("https"), |backend| backend.ca = Some(other.path().to_owned()));

    assert_eq!(refusal(&service).await, Some(Refused::Unreachable));
}

#[tokio::test]
async fn over_http2_all_exchanges_share_one_connection() {
    let server = Server::start(None).await;
    let service = in_front_of(&server.url("http"), |backend| backend.protocol = Protocol::Http2);

    let calls = (0..50).map(|number| {
        let service = service.clone();
        tokio::spawn(async move { text(&service, &format!("/{number}")).await })
    });
    let texts = futures_util::future::join_all(calls).await;

    for (number, text) in texts.into_iter().enumerate() {
        assert_eq!(text.unwrap(), format!("HTTP/2.0 GET http://app.example/{number} "));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn exchanges_beyond_one_connection_use_another() {
    let server = Server::start(None).await;
    let service = in_front_of(&server.url("http"), |backend| {
        backend.protocol = Protocol::Http2;
        backend.max_connections = 1000;
    });

    // The backend responds when it has received all of them.
    let calls = (0..TOGETHER).map(|_| {
        let service = service.clone();
        tokio::spawn(async move { text(&service, "/together").await })
    });
    for text in futures_util::future::join_all(calls).await {
        assert_eq!(text.unwrap(), "HTTP/2.0 GET http://app.example/together ");
    }

    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn requests_in_an_unsupported_protocol_do_not_affect_others() {
    let (config, ca) = certificate();
    let server = Server::start(Some((config, &[b"http/1.1"]))).await;
    let service = in_front_of(&server.url("https"), |backend| {
        backend.ca = Some(ca.path().to_owned());
        // Each needs a separate connection.
        backend.keep_alive = Duration::ZERO;
    });
    let mut grpc = request("POST", "/", "");
    grpc.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    assert_eq!(whole(get(&service, "/").await).await.0, 200);

    let refused = call(&service, grpc).await.map(drop).unwrap_err();

    assert_eq!(refused.downcast_ref::<Refused>(), Some(&Refused::Unreachable));
    assert_eq!(whole(get(&service, "/").await).await.0, 200);
}

#[tokio::test]
async fn grpc_uses_http2_in_cleartext_and_has_trailers() {
    let server = Server::start(None).await;
    let service = in_front_of(&server.url("http"), |_| {});
    let mut call_request = request("POST", "/package.Service/Method", "message");
    call_request.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    call_request.headers_mut().insert("te", "trailers".parse().unwrap());

    let response = call(&service, call_request).await.unwrap();

    assert_eq!(response.headers()["x-te"], "trailers");
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["x-trailer"], "7");
    assert_eq!(body.to_bytes(), "HTTP/2.0 POST http://app.example/package.Service/Method message");
}

#[tokio::test]
async fn a_backend_without_http2_gives_no_valid_response() {
    let origin = RawOrigin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let service = in_front_of(&origin.url(), |backend| backend.protocol = Protocol::Http2);

    assert!(has_no_valid_response(&service).await);
}

#[tokio::test]
async fn a_lost_http2_connection_is_replaced() {
    let server = Server::start(None).await;
    let service = in_front_of(&server.url("http"), |backend| backend.protocol = Protocol::Http2);
    whole(get(&service, "/").await).await;

    server.drop_connections();

    eventually("the next one answers", async || !has_no_valid_response(&service).await).await;
    assert_eq!(server.connections(), 2);
}
