//! The test fixture: components under their own names, requests, and waiting with a deadline.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use h8s_host::{
    BrokenBody, CodeCache, ComponentBody, ComponentService, ComponentSource, ConfigurationSource,
    EngineConfig, HostEngine, Limits, OutgoingSource,
};
use h8s_nats::Refused;
use h8s_test_support::guests::guest;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use crate::log;

/// Long enough for the slowest machine; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it ends in time")
}

/// One engine for all tests.
pub(crate) fn engine() -> &'static HostEngine {
    static ENGINE: OnceLock<HostEngine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        log::start();
        HostEngine::new(EngineConfig { instances: 256, ..EngineConfig::default() }).unwrap()
    })
}

/// One cache for all tests, so that each guest is compiled about once.
fn cache() -> &'static CodeCache {
    static CACHE: OnceLock<(tempfile::TempDir, CodeCache)> = OnceLock::new();
    let (_, cache) = CACHE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(directory.path().join("code")).unwrap();
        (directory, cache)
    });
    cache
}

/// A component under a name that no other test uses.
pub(crate) fn source(component: &str, limits: Limits) -> ComponentSource {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{component}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let configuration = ConfigurationSource::default();
    ComponentSource {
        file: guest(component),
        name,
        environment: Vec::new(),
        configuration,
        outgoing: OutgoingSource::default(),
        limits,
    }
}

pub(crate) async fn serve_on(engine: &HostEngine, source: ComponentSource) -> ComponentService {
    let mut services = h8s_host::load(engine, Some(cache()), vec![source]).await.unwrap();
    services.remove(0)
}

pub(crate) async fn serve(component: &str, limits: Limits) -> ComponentService {
    serve_on(engine(), source(component, limits)).await
}

/// The test guest, with the default limits.
pub(crate) async fn guests() -> ComponentService {
    serve("guests", Limits::default()).await
}

pub(crate) type Given = Result<Response<ComponentBody>, Refused>;

pub(crate) async fn call<B>(service: &ComponentService, request: Request<B>) -> Given
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    within(service.clone().call(request)).await
}

pub(crate) fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://localhost{path}");
    Request::builder().method(method).uri(uri).body(Full::default()).unwrap()
}

pub(crate) async fn get(service: &ComponentService, path: &str) -> Response<ComponentBody> {
    call(service, request(Method::GET, path)).await.unwrap()
}

pub(crate) async fn text(body: ComponentBody) -> Result<String, BrokenBody> {
    let bytes = within(body.collect()).await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

pub(crate) async fn get_text(service: &ComponentService, path: &str) -> (StatusCode, String) {
    let (head, body) = get(service, path).await.into_parts();
    (head.status, text(body).await.unwrap())
}

/// A service that a fault has left unharmed, and with nothing running. More than one try, for its limits may be so
/// short that a busy machine goes over them.
pub(crate) async fn assert_unharmed(service: &ComponentService) {
    let is_well = async || get_text(service, "/ok").await == (StatusCode::OK, "ok\n".into());
    assert!(sooner_or_later(is_well).await);
    within(service.idle()).await;
}

/// Whether a guest that fails in its first turn is answered with a 500. Where a busy machine makes two turns of it,
/// the head may be out already, and the body must break off.
pub(crate) async fn fails_at_once(service: &ComponentService, path: &str) -> bool {
    let (head, body) = get(service, path).await.into_parts();
    match text(body).await {
        Ok(_) => assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}"),
        Err(_) => assert_eq!(head.status, StatusCode::OK, "{path}"),
    }
    head.status == StatusCode::INTERNAL_SERVER_ERROR
}

/// Whether `holds` in one of a hundred tries: a busy machine can spoil some.
pub(crate) async fn sooner_or_later(mut holds: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..100 {
        if holds().await {
            return true;
        }
    }
    false
}

/// Waits until nothing runs any more.
pub(crate) async fn idle(service: &ComponentService) {
    within(service.idle()).await;
    assert_eq!(service.running(), 0);
}

pub(crate) fn short(timeout_ms: u64) -> Limits {
    Limits { timeout: Duration::from_millis(timeout_ms), ..Limits::default() }
}

pub(crate) fn frugal(cpu_budget_ms: u64) -> Limits {
    Limits { cpu_budget: Duration::from_millis(cpu_budget_ms), ..Limits::default() }
}

/// Shared between a test and its tasks.
pub(crate) fn shared<T>(value: T) -> Arc<T> {
    Arc::new(value)
}
