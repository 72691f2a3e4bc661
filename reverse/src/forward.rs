//! Sends one request to a backend, and returns its response.
//!
//! Nothing is sent twice once its first byte may have been written. Redirects are not followed.

pub(crate) mod error_response;
pub(crate) mod failure;
pub(crate) mod mapping;
pub(crate) mod request_head;
pub(crate) mod response_body;

use std::sync::Arc;

use h8s_nats::Body;
use http::header::{self, HeaderMap};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::ext::on_informational;
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::BackendConnection;
use crate::backend::http1::Http1;
use crate::backend::http2::Http2;
use crate::backend::upload::{Progress, Upload};
use failure::Failure;
use mapping::Mapping;
use request_head::Version;
use response_body::{Http1Body, Idle, PoolReturn, ReverseBody};

/// Sends `request` on a connection of the mapping's backend. On a reused connection that the backend has closed, it tries
/// the next one.
pub(crate) async fn forward(
    mapping: &Mapping,
    mut request: BackendRequest,
    permit: OwnedSemaphorePermit,
) -> Result<Response<ReverseBody>, Failure> {
    loop {
        let (connection, is_reused) = mapping.backend().connection(request.is_grpc).await?;
        match request.send(mapping, connection).await? {
            Ok(received) => return received.into_response(mapping, permit).await,
            // The backend has closed an idle connection; nothing of the request was written.
            Err((unsent, _)) if is_reused => request = *unsent,
            Err((_, error)) => return Err(error.into()),
        }
    }
}

/// A request for a backend.
pub(crate) struct BackendRequest {
    head: request::Parts,
    upload: Upload,
    /// The version for which the head is rewritten, once known.
    version: Option<Version>,
    is_grpc: bool,
    /// The client waits for `100 (Continue)`.
    expects_continue: bool,
    progress: Arc<Progress>,
}

/// A response; or the request, of which nothing was written, and the error.
type Sent = Result<Received, (Box<BackendRequest>, hyper::Error)>;

/// A response, and its connection.
struct Received {
    response: Response<Incoming>,
    connection: UsedConnection,
}

enum UsedConnection {
    Http1(Http1, Arc<Progress>),
    Http2(Http2),
}

impl BackendRequest {
    pub(crate) fn new(mut head: request::Parts, body: Body, is_grpc: bool) -> Result<Self, Failure> {
        let declared_bytes = declared_bytes(&head.headers)?;
        if body.is_end_stream() && declared_bytes.is_some_and(|declared| declared > 0) {
            return Err(BODY_LENGTH);
        }
        let expects_continue = head.headers.remove(header::EXPECT).is_some() && !body.is_end_stream();
        let upload = Upload::new(body, declared_bytes);
        let progress = upload.progress();
        Ok(Self { head, upload, version: None, is_grpc, expects_continue, progress })
    }

    /// Rewrites the head for the backend, for one version only.
    fn rewrite(&mut self, mapping: &Mapping, version: Version) -> Result<(), Failure> {
        match self.version.replace(version) {
            Some(written) if written == version => return Ok(()),
            Some(_) => {
                return Err(Failure::Response("the backend changed its protocol between two attempts"));
            }
            None => {}
        }
        mapping.rewrite.rewrite(&mut self.head, version)?;
        if version == Version::Http1 {
            set_framing(&mut self.head, &self.upload);
            if self.expects_continue {
                self.expect_continue();
            }
        }
        Ok(())
    }

    fn expect_continue(&mut self) {
        self.head.headers.insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        self.upload.wait_to_continue();
    }

    async fn send(mut self, mapping: &Mapping, connection: BackendConnection) -> Result<Sent, Failure> {
        let version = match &connection {
            BackendConnection::Http1(_) => Version::Http1,
            BackendConnection::Http2(_) => Version::Http2,
        };
        self.rewrite(mapping, version)?;
        let Self { head, upload, is_grpc, expects_continue, progress, .. } = self;
        let mut request = Request::from_parts(head, upload);
        if expects_continue && version == Version::Http1 {
            let progress = Arc::clone(&progress);
            on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    progress.proceed();
                }
            });
        }
        let (sent, connection) = match connection {
            BackendConnection::Http1(mut connection) => {
                (connection.send(request).await, UsedConnection::Http1(connection, Arc::clone(&progress)))
            }
            BackendConnection::Http2(mut connection) => {
                (connection.sender.try_send_request(request).await, UsedConnection::Http2(connection))
            }
        };
        match sent {
            Ok(response) => Ok(Ok(Received { response, connection })),
            Err(mut error) => match error.take_message() {
                Some(request) => {
                    let (head, upload) = request.into_parts();
                    let version = Some(version);
                    let unsent = Self { head, upload, version, is_grpc, expects_continue, progress };
                    Ok(Err((Box::new(unsent), error.into_error())))
                }
                None => Err(error.into_error().into()),
            },
        }
    }
}

impl Received {
    /// The response for the gateway.
    async fn into_response(
        self,
        mapping: &Mapping,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<ReverseBody>, Failure> {
        let (mut head, incoming) = self.response.into_parts();
        if !(200..600).contains(&head.status.as_u16()) {
            return Err(Failure::Response("the backend switched protocols without a request for it"));
        }
        let backend = mapping.backend();
        let body = match self.connection {
            UsedConnection::Http1(connection, upload) => {
                let keep = backend.pool.keep_for(&head.headers);
                let idle = Idle::new(backend.config().idle_timeout);
                let pool = Arc::clone(&backend.pool);
                let pool = PoolReturn { pool, keep, _permit: permit };
                Http1Body::begin(incoming, connection, pool, upload, idle).await
            }
            UsedConnection::Http2(connection) => ReverseBody::http2(incoming, connection, permit),
        };
        h8s_wire::reserved::strip_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, body))
    }
}

/// Sets the framing of a request's body, which hyper would derive from the method. Servers expect a length from methods
/// that usually have a body (RFC 9110 §8.6).
fn set_framing(head: &mut request::Parts, upload: &Upload) {
    if head.headers.contains_key(header::CONTENT_LENGTH) {
        return;
    }
    if upload.is_end_stream() {
        if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    } else if upload.size_hint().exact().is_none() {
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

const CONTENT_LENGTH: Failure = Failure::Request("The request's content-length is not a single number.\n");
const BODY_LENGTH: Failure =
    Failure::Request("The length of the request's body differs from its content-length.\n");

/// RFC 9110 §8.6: digits, once. A backend could interpret anything else differently (T5).
fn declared_bytes(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_number = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    let number = value.to_str().ok().filter(|_| is_number && values.next().is_none());
    number.and_then(|number| number.parse().ok()).map(Some).ok_or(CONTENT_LENGTH)
}
