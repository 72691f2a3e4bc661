//! The admin listener: `/healthz`, `/readyz`, `/metrics`. Separate from the client listeners, so that it can stay private.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::observability::metrics::Metrics;
use crate::server::workers::Workers;
use crate::shutdown::{Phase, ShutdownWatch};
use crate::{Availability, Upstream};

/// Probes use a connection each every few seconds. This is far above their need, and bounds a misconfigured client.
const MAX_CONNECTIONS: usize = 64;
/// Time limit for a whole request head. Scrapers connect every 15 to 60 s and reconnect cheaply.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// State behind the admin endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Admin<U> {
    pub(crate) workers: Workers<U>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: ShutdownWatch,
}

impl<U: Upstream> Admin<U> {
    /// Accepts until the process ends: `/readyz` must answer while draining.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let connections = TaskTracker::new();
        loop {
            match listener.accept().await {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(self.clone().serve(stream));
                }
                Ok(_) => tracing::warn!("the admin listener refused a connection: too many are open"),
                Err(error) => {
                    tracing::warn!(%error, "the admin listener failed to accept a connection; retrying");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let mut shutdown = self.shutdown.clone();
        let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(self.answer(&request))));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            _ = served => {}
            () = shutdown.reached(Phase::Cut) => {}
        }
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(),
            "/metrics" => self.exposition(),
            _ => text(StatusCode::NOT_FOUND, "/healthz /readyz /metrics\n"),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let reason = match (self.shutdown.phase(), self.workers.availability()) {
            (Phase::Serving, Availability::Ready) => return text(StatusCode::OK, "ready\n"),
            (Phase::Serving, Availability::Learning) => "not ready: learning routes from NATS\n",
            (Phase::Serving, Availability::Disconnected) => "not ready: disconnected from NATS\n",
            (Phase::Draining | Phase::Cut, _) => "not ready: draining\n",
        };
        text(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    fn exposition(&self) -> Response<Full<Bytes>> {
        const OPENMETRICS: HeaderValue =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        match self.metrics.render(&self.workers.bus()) {
            Ok(exposition) => {
                let mut response = text(StatusCode::OK, exposition);
                response.headers_mut().insert(header::CONTENT_TYPE, OPENMETRICS);
                response
            }
            Err(error) => {
                tracing::error!(%error, "failed to render metrics");
                text(StatusCode::INTERNAL_SERVER_ERROR, "failed to render metrics\n")
            }
        }
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
