//! A WebSocket that returns every message, and a page beside it: one axum application for both.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use h8s::{Incoming, WebSocketUpgrade};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let bus = h8s::connect(&url).await?;
    let app = Router::new().route("/", get(async || "open /echo")).route("/echo", any(echo));

    h8s::serve(&bus, "ANY,WS ws.example.com/*", app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}

async fn echo(mut request: Request) -> Response {
    let mut upgrade = match WebSocketUpgrade::from_request(&mut request) {
        Ok(upgrade) => upgrade,
        Err(error) => return (StatusCode::UPGRADE_REQUIRED, error.to_string()).into_response(),
    };
    if upgrade.protocols().any(|name| name == "echo.example") {
        upgrade = upgrade.protocol("echo.example");
    }
    upgrade.on_upgrade(async |mut socket| {
        while let Incoming::Message { message, .. } = socket.next().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}
