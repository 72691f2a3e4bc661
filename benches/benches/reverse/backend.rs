//! A typical backend: a hyper server over HTTP/1.1, as a separate process.

use bytes::Bytes;
use h8s_benches::contents::{Comparison, Contents};
use h8s_benches::{accept_all, runtime};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// The argument that selects the backend role.
pub(crate) const ROLE: &str = "--backend";

/// The response body, also of the native responder.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// Never returns.
pub(crate) fn run() {
    runtime()
        .block_on(accept_all(|stream| http1::Builder::new().serve_connection(stream, service_fn(answer))));
}

/// `POST` compares the body and returns its size; a path of digits returns that number of bytes.
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
