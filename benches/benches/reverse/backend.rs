//! A backend as people have them: a hyper server over HTTP/1.1, in a process of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h8s_benches::runtime;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::contents::{self, Comparison};

/// The argument by which this program knows that it is the backend.
pub(crate) const ROLE: &str = "--backend";

/// What it answers, and what a responder that does nothing answers.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// Bytes of a large body that are handed to hyper at once, as by a file server.
const PIECE_BYTES: u64 = 64 * 1024;

/// Never returns.
pub(crate) fn run() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        println!("listening on {}", listener.local_addr().expect("a listener has an address"));
        loop {
            let (stream, _) = listener.accept().await.expect("a listener accepts");
            stream.set_nodelay(true).expect("a socket");
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            // Clients may leave when they like.
            tokio::spawn(async { drop(connection.await) });
        }
    });
}

/// `POST` compares what it gets, and says how much that was; a path of digits is that many bytes.
async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Contents>>, hyper::Error> {
    if request.method() == Method::POST {
        let bytes = compared(request.into_body()).await?;
        return Ok(text(bytes.to_string().into()));
    }
    Ok(match request.uri().path().trim_start_matches('/').parse() {
        Ok(bytes) => Response::new(Either::Right(Contents { position: 0, bytes })),
        Err(_) => text(Bytes::from_static(ANSWER)),
    })
}

fn text(bytes: Bytes) -> Response<Either<Full<Bytes>, Contents>> {
    let response = Response::builder().header(CONTENT_TYPE, "text/plain");
    response.body(Either::Left(Full::new(bytes))).expect("it is a response")
}

async fn compared(mut body: Incoming) -> hyper::Result<u64> {
    let mut comparison = Comparison::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            comparison.next(&data);
        }
    }
    Ok(comparison.bytes())
}

/// So many bytes, made as they are asked for.
struct Contents {
    position: u64,
    bytes: u64,
}

impl Body for Contents {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = PIECE_BYTES.min(self.bytes - self.position);
        if next == 0 {
            return Poll::Ready(None);
        }
        let mut piece = vec![0; next as usize];
        contents::fill(self.position, &mut piece);
        self.position += next;
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.position == self.bytes
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes - self.position)
    }
}
