//! A page at every path, and JSON at every path that ends in `/api`.

use serde_json::json;
use wstd::http::{Body, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    if request.uri().path().ends_with("/api") { api(&request) } else { page(&request) }
}

fn page(request: &Request<Body>) -> Result<Response<Body>, Error> {
    let html = include_str!("hello.html").replace("{path}", &escape(request.uri().path()));
    Ok(Response::builder().header("content-type", "text/html; charset=utf-8").body(html.into())?)
}

fn api(request: &Request<Body>) -> Result<Response<Body>, Error> {
    let description = json!({
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "query": request.uri().query(),
        "headers": request.headers().len(),
    });
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(format!("{description}\n").into())?)
}

/// Escapes text from a client for HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
