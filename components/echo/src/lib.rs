//! Streams the request body back. Nothing is buffered, however large the body is.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut response = Response::builder();
    if let Some(kind) = request.headers().get("content-type") {
        response = response.header("content-type", kind);
    }
    Ok(response.body(request.into_body())?)
}
