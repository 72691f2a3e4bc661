//! Pushes what is posted to WebSockets, and lists which there are.
//!
//! - `POST /…` sends the body to everybody connected; with `?subject=h8s.ws.ws.localhost._.chat` (wildcards included,
//!   `>` written `%3E`) to those of a subject, with `?path=/chat` to those of a path.
//! - `GET /…` lists the same in JSON.

mod query;

use serde_json::{Value, json};
use wstd::http::{Body, Error, Method, Request, Response, StatusCode};

use h8s::provider::sender::{get_connections, get_connections_by_subject, send};
use h8s::provider::types::{Connection, Error as SenderError, Frame};

wit_bindgen::generate!({
    path: "../../wit/provider",
    inline: "package h8s:sender; world pusher { import h8s:provider/sender@0.1.0; }",
    generate_all,
});

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let found = match find(request.uri().query().unwrap_or_default()) {
        Ok(found) => found,
        Err(error) => return answer(status(&error), json!({ "error": error.to_string() })),
    };
    match *request.method() {
        Method::GET => answer(StatusCode::OK, found.iter().map(described).collect()),
        Method::POST => {
            let body = request.body_mut().contents().await?.to_vec();
            answer(StatusCode::OK, push(&found, body))
        }
        _ => answer(StatusCode::METHOD_NOT_ALLOWED, json!({ "error": "GET lists, POST sends" })),
    }
}

/// The connections that a query speaks of.
fn find(query: &str) -> Result<Vec<Connection>, SenderError> {
    let found = match query::value(query, "subject") {
        Some(subject) => get_connections_by_subject(&subject)?,
        None => get_connections()?,
    };
    let path = query::value(query, "path");
    Ok(found.into_iter().filter(|found| path.as_ref().is_none_or(|path| *path == found.path)).collect())
}

/// Sends to each, and says how that went.
fn push(to: &[Connection], body: Vec<u8>) -> Value {
    let message = match String::from_utf8(body) {
        Ok(text) => Frame::Text(text),
        Err(bytes) => Frame::Binary(bytes.into_bytes()),
    };
    let failed: Vec<Value> = to
        .iter()
        .filter_map(|connection| Some((connection, send(&connection.id, &message).err()?)))
        .map(|(connection, error)| json!({ "connection": connection.id, "why": error.to_string() }))
        .collect();
    json!({ "sent": to.len() - failed.len(), "failed": failed })
}

fn described(connection: &Connection) -> Value {
    json!({ "connection": connection.id, "path": connection.path, "subject": connection.subject })
}

fn status(error: &SenderError) -> StatusCode {
    match error {
        SenderError::Invalid(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn answer(status: StatusCode, what: Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(format!("{what}\n").into())?)
}
