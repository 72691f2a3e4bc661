//! A gateway inside an axum application: `/healthz` is answered here, everything else over NATS.

use axum::Router;
use axum::routing::get;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("NATS_URL").unwrap_or_else(|_| "nats://127.0.0.1:4222".into());
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
    let bus = h8s::connect(&url).await?;
    let gateway = h8s::Gateway::start(&bus).await?;
    let ready = gateway.clone();
    let app = Router::new()
        .route("/healthz", get(async move || if ready.is_ready() { "ready" } else { "starting" }))
        .fallback_service(gateway);

    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
