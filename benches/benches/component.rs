//! Measures a fresh instance of `hello`, from the request to the end of its response, next to a reused instance and a
//! service that does nothing. No NATS, no sockets.

use bytes::Bytes;
use criterion::measurement::{Measurement, WallTime};
use criterion::{Criterion, Throughput};
use h8s_benches::{Concurrency, CpuTime, Exchange, FixedResponse, criterion, heads, runtime};
use h8s_host::{
    ComponentService, ComponentSource, ConfigurationSource, EngineConfig, HostEngine, Limits, OutgoingSource,
    load,
};
use h8s_test_support::guests::guest;
use http::Request;
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use tower_service::Service;

fn main() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let hello = Hello { fresh: runtime.block_on(hello(1)), reused: runtime.block_on(hello(REUSE)) };

    let one = Concurrency::new(&runtime, 1);
    let (mut wall, mut cpu) = (criterion(WallTime), criterion(CpuTime));
    measure(&mut wall, &WallTime, "component/1 at a time", one, &hello);
    measure(&mut cpu, &CpuTime, "component/1 at a time, cpu", one, &hello);
    // Enough to keep all threads of a typical machine busy.
    measure(&mut wall, &WallTime, "component/64 at a time", Concurrency::new(&runtime, 64), &hello);
    wall.final_summary();
}

/// Calls per instance, so many that its creation is negligible.
const REUSE: u32 = 10_000;

struct Hello {
    fresh: ComponentService,
    reused: ComponentService,
}

/// Loaded like in `h8s-host`, on an engine with its defaults.
async fn hello(reuse: u32) -> ComponentService {
    let engine = HostEngine::new(EngineConfig::default()).expect("an engine starts");
    println!("instances come from: {:?}", engine.allocation());
    let source = ComponentSource {
        file: guest("hello"),
        name: "hello".to_owned(),
        environment: Vec::new(),
        configuration: ConfigurationSource::default(),
        outgoing: OutgoingSource::default(),
        limits: Limits { reuse, ..Limits::default() },
    };
    load(&engine, None, vec![source]).await.expect("hello loads").remove(0)
}

fn measure<M: Measurement + 'static>(
    criterion: &mut Criterion<M>,
    clock: &M,
    name: &str,
    concurrency: Concurrency<'_>,
    hello: &Hello,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let empty = FixedResponse::new(heads::bare_answer(), Bytes::new());
    let call = |service: &ComponentService, path| Call { service: service.clone(), request: request(path) };
    concurrency.measure(&mut group, clock, "page", call(&hello.fresh, "/"));
    concurrency.measure(&mut group, clock, "json", call(&hello.fresh, "/api"));
    concurrency.measure(&mut group, clock, "page, reused", call(&hello.reused, "/"));
    concurrency.measure(&mut group, clock, "json, reused", call(&hello.reused, "/api"));
    concurrency.measure(&mut group, clock, "empty service", Call { service: empty, request: request("/") });
    group.finish();
}

/// A browser's request.
fn request(path: &str) -> Request<Empty<Bytes>> {
    let (mut parts, ()) = heads::browser().into_parts();
    parts.uri = format!("http://{}{path}", heads::HOST).parse().expect("it is a URI");
    Request::from_parts(parts, Empty::new())
}

/// A request to a service.
#[derive(Clone)]
struct Call<S> {
    service: S,
    request: Request<Empty<Bytes>>,
}

impl<S, B> Exchange for Call<S>
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug,
    B: Body<Data = Bytes> + Send,
    B::Error: std::fmt::Debug,
{
    async fn run(&self) {
        let response = self.service.clone().call(self.request.clone()).await.expect("it is answered");
        assert!(response.status().is_success());
        response.into_body().collect().await.expect("the body is complete");
    }
}
