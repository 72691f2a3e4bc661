//! Asks another service, with a token that its visitors never see: `GET /x` here is `GET UPSTREAM/x` there.

use wstd::http::{Body, Client, Error, Request, Response, StatusCode};

wit_bindgen::generate!({ path: "../../wit/wasi-config", world: "imports" });

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let (Some(upstream), Some(token)) = (told("UPSTREAM"), told("TOKEN")) else {
        return failed("Nobody said where to ask: give it UPSTREAM and TOKEN.\n");
    };
    let there = Request::get(format!("{upstream}{}", request.uri().path()))
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())?;
    match Client::new().send(there).await {
        // The body goes on as it comes.
        Ok(response) => {
            let (head, body) = response.into_parts();
            let mut answer = Response::builder().status(head.status);
            if let Some(kind) = head.headers.get("content-type") {
                answer = answer.header("content-type", kind);
            }
            Ok(answer.body(body)?)
        }
        Err(error) => {
            eprintln!("{upstream} was not asked: {error}");
            failed("The other service cannot be asked.\n")
        }
    }
}

/// A setting, or a secret.
fn told(name: &str) -> Option<String> {
    wasi::config::store::get(name).ok().flatten()
}

fn failed(why: &'static str) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(StatusCode::BAD_GATEWAY).body(why.into())?)
}
