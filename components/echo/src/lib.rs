//! Sends the request body back as it comes in, however large it is: nothing is kept.

use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let mut response = Response::builder();
    if let Some(kind) = request.headers().get("content-type") {
        response = response.header("content-type", kind);
    }
    Ok(response.body(request.into_body())?)
}
