//! An axum application behind NATS: `curl -H 'Host: app.example.com' http://gateway/users/7`.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let bus = h8s::connect(&url).await?;
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/users/{id}", get(async |Path(id): Path<u64>| format!("user {id}")))
        .route("/echo", post(async |body: String| body));

    h8s::serve(&bus, "app.example.com/*", app)
        .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
        .await?;
    Ok(())
}
