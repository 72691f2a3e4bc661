//! Forwards requests to another service, with a token that clients never see: `GET /x` here is `GET UPSTREAM/x` there.
//!
//! `UPSTREAM` is a setting, `TOKEN` a secret; the host must be on the component's allow-list.

use wstd::http::{Body, Client, Error, Request, Response, StatusCode};

wit_bindgen::generate!({ path: "../../wit/wasi-config", world: "imports" });

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (Some(upstream), Some(token)) = (setting("UPSTREAM"), setting("TOKEN")) else {
        return bad_gateway("UPSTREAM or TOKEN is not set.\n");
    };
    let upstream_request = Request::get(format!("{upstream}{}", request.uri().path()))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())?;
    match Client::new().send(upstream_request).await {
        Ok(upstream_response) => {
            let (head, body) = upstream_response.into_parts();
            let mut response = Response::builder().status(head.status);
            if let Some(content_type) = head.headers.get("content-type") {
                response = response.header("content-type", content_type);
            }
            // The body is streamed.
            Ok(response.body(body)?)
        }
        Err(error) => {
            eprintln!("request to {upstream} failed: {error}");
            bad_gateway("The other service cannot be reached.\n")
        }
    }
}

/// A setting or a secret of this component.
fn setting(name: &str) -> Option<String> {
    wasi::config::store::get(name).ok().flatten()
}

fn bad_gateway(text: &'static str) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(StatusCode::BAD_GATEWAY).body(text.into())?)
}
