//! A backend as people have them: a hyper server over HTTP/1.1, in a process of its own.

use bytes::Bytes;
use h8s_benches::contents::{Comparison, Contents};
use h8s_benches::{accept_all, runtime};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// The argument by which this program knows that it is the backend.
pub(crate) const ROLE: &str = "--backend";

/// What it answers, and what a responder that does nothing answers.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// Never returns.
pub(crate) fn run() {
    runtime()
        .block_on(accept_all(|stream| http1::Builder::new().serve_connection(stream, service_fn(answer))));
}

/// `POST` compares what it gets, and says how much that was; a path of digits is that many bytes.
async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Contents>>, hyper::Error> {
    if request.method() == Method::POST {
        let bytes = Comparison::all(request.into_body()).await?;
        return Ok(text(bytes.to_string().into()));
    }
    Ok(match request.uri().path().trim_start_matches('/').parse() {
        Ok(bytes) => Response::new(Either::Right(Contents::of(bytes))),
        Err(_) => text(Bytes::from_static(ANSWER)),
    })
}

fn text(bytes: Bytes) -> Response<Either<Full<Bytes>, Contents>> {
    let response = Response::builder().header(CONTENT_TYPE, "text/plain");
    response.body(Either::Left(Full::new(bytes))).expect("it is a response")
}
