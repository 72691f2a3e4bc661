//! Measures large bodies: 16 MiB in pieces of 64 KiB, up and down, within credit.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use criterion::measurement::Measurement;
use criterion::{BenchmarkGroup, Throughput};
use futures_util::stream;
use h8s_benches::{Concurrency, Exchange, heads};
use h8s_nats::{Body, BodyError, Requester};
use h8s_test_support::Bus;
use h8s_wire::Host;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use tower_service::Service;

use crate::baseline::Pipe;
use crate::setup::{Setup, host};

/// One piece, as a file server or an HTTP library produces it.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Pieces of one body.
pub(crate) const PIECES: usize = 256;

const BODY_BYTES: usize = PIECES * PIECE.len();

/// The same bytes each time.
pub(crate) fn pieces() -> impl Iterator<Item = Bytes> + Send + 'static {
    (0..PIECES).map(|_| Bytes::from_static(&PIECE))
}

type PiecesBody = UnsyncBoxBody<Bytes, Infallible>;

fn body() -> PiecesBody {
    StreamBody::new(stream::iter(pieces().map(|piece| Ok(Frame::data(piece))))).boxed_unsync()
}

/// Counts the bytes of a body without keeping them.
async fn length(mut body: Body) -> Result<usize, BodyError> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}

/// Both directions, and the baseline.
pub(crate) struct Streams {
    setup: Setup,
    pipe: Pipe,
}

impl Streams {
    pub(crate) async fn start(bus: &Bus) -> Self {
        Self { setup: Setup::start(bus, Streaming).await, pipe: Pipe::start(bus).await }
    }

    pub(crate) fn measure<M: Measurement>(
        &self,
        concurrency: Concurrency<'_>,
        clock: &M,
        group: &mut BenchmarkGroup<'_, M>,
    ) {
        group.sample_size(10).throughput(Throughput::Bytes(BODY_BYTES as u64));
        let transfer = |method| Transfer { requester: self.setup.requester.clone(), host: host(), method };
        concurrency.measure(group, clock, "download/h8s", transfer(Method::GET));
        concurrency.measure(group, clock, "upload/h8s", transfer(Method::POST));
        concurrency.measure(group, clock, "one way/async_nats", self.pipe.clone());
    }
}

/// A body down for `GET`, up for `POST`.
#[derive(Clone)]
struct Transfer {
    requester: Requester,
    host: Host,
    method: Method,
}

impl Exchange for Transfer {
    async fn run(&self) {
        let is_upload = self.method == Method::POST;
        let request = heads::bare().map(|()| if is_upload { body() } else { nothing() });
        let (mut parts, body) = request.into_parts();
        parts.method = self.method.clone();
        let request = Request::from_parts(parts, body);
        let response = self.requester.send(&self.host, request).await.expect("the responder answers");
        // The responder responds with an error unless the upload is complete.
        assert!(response.status().is_success());
        let bytes = length(response.into_body()).await.expect("the body is complete");
        assert_eq!(bytes, if is_upload { 0 } else { BODY_BYTES });
    }
}

/// Reads the request body, and sends the requested bytes.
#[derive(Clone)]
struct Streaming;

impl Service<Request<Body>> for Streaming {
    type Response = Response<PiecesBody>;
    type Error = BodyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BodyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.method() == Method::GET {
                return Ok(Response::new(body()));
            }
            let all = length(request.into_body()).await? == BODY_BYTES;
            let mut response = Response::new(nothing());
            if !all {
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
            }
            Ok(response)
        })
    }
}

fn nothing() -> PiecesBody {
    Empty::new().boxed_unsync()
}
