//! Lists WebSockets, and pushes messages to them.
//!
//! - `GET /…` lists the open connections in JSON.
//! - `POST /…` sends the body to all of them.
//!
//! Both take a filter: `?subject=h8s.ws.ws.localhost._.chat` (with NATS wildcards; write `>` as `%3E`), or `?path=/chat`.

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
    let connections = match find(request.uri().query().unwrap_or_default()) {
        Ok(connections) => connections,
        Err(error) => return respond(status(&error), json!({ "error": error.to_string() })),
    };
    match *request.method() {
        Method::GET => respond(StatusCode::OK, connections.iter().map(describe).collect()),
        Method::POST => {
            let body = request.body_mut().contents().await?.to_vec();
            respond(StatusCode::OK, push(&connections, body))
        }
        _ => respond(StatusCode::METHOD_NOT_ALLOWED, json!({ "error": "use GET to list, POST to send" })),
    }
}

/// The connections that match the filters of a query.
fn find(query: &str) -> Result<Vec<Connection>, SenderError> {
    let mut connections = match parameter(query, "subject") {
        Some(subject) => get_connections_by_subject(&subject)?,
        None => get_connections()?,
    };
    if let Some(path) = parameter(query, "path") {
        connections.retain(|connection| connection.path == path);
    }
    Ok(connections)
}

/// The first value of a parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Sends the body to each connection, as text if it is UTF-8, and reports the result.
fn push(connections: &[Connection], body: Vec<u8>) -> Value {
    let message = match String::from_utf8(body) {
        Ok(text) => Frame::Text(text),
        Err(bytes) => Frame::Binary(bytes.into_bytes()),
    };
    let failed: Vec<Value> = connections
        .iter()
        .filter_map(|connection| Some((connection, send(&connection.id, &message).err()?)))
        .map(|(connection, error)| json!({ "connection": connection.id, "why": error.to_string() }))
        .collect();
    json!({ "sent": connections.len() - failed.len(), "failed": failed })
}

fn describe(connection: &Connection) -> Value {
    json!({ "connection": connection.id, "path": connection.path, "subject": connection.subject })
}

fn status(error: &SenderError) -> StatusCode {
    match error {
        SenderError::Invalid(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn respond(status: StatusCode, body: Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(format!("{body}\n").into())?)
}
