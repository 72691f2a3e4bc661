//! Requests and responses that fit one message each.

use bytes::Bytes;
use criterion::measurement::Measurement;
use criterion::{BenchmarkGroup, Throughput};
use h8s_benches::{Concurrency, Exchange, FixedResponse, heads};
use h8s_nats::Requester;
use h8s_test_support::Bus;
use h8s_wire::Host;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use crate::baseline::Yardstick;
use crate::setup::{Setup, host};

/// A request and its response.
pub(crate) struct Case {
    name: &'static str,
    request: Request<()>,
    response: Response<()>,
    /// The body size in both directions.
    body: Bytes,
}

impl Case {
    pub(crate) fn all() -> [Self; 3] {
        let (request, response) = (heads::bare(), heads::bare_answer());
        let bare = Self { name: "bare", request, response, body: Bytes::new() };
        let browser = |name, body| Self { name, request: heads::browser(), response: heads::answer(), body };
        [bare, browser("browser", Bytes::new()), browser("browser, 1 KiB", Bytes::from_static(&[b'x'; 1024]))]
    }
}

/// One case, through h8s and through the baseline.
pub(crate) struct Unary {
    case: Case,
    setup: Setup,
    baseline: Yardstick,
}

impl Unary {
    pub(crate) async fn start(bus: &Bus, case: Case) -> Self {
        let Case { request, response, body, .. } = &case;
        let setup = Setup::start(bus, FixedResponse::new(response.clone(), body.clone())).await;
        let asked = (request.headers(), body.clone());
        let answered = (response.headers(), body.clone());
        let baseline = Yardstick::start(bus, asked, answered).await;
        Self { case, setup, baseline }
    }

    pub(crate) fn measure<M: Measurement>(
        &self,
        concurrency: Concurrency<'_>,
        clock: &M,
        group: &mut BenchmarkGroup<'_, M>,
    ) {
        let name = self.case.name;
        group.throughput(Throughput::Elements(1));
        concurrency.measure(group, clock, &format!("{name}/h8s"), self.through_h8s());
        concurrency.measure(group, clock, &format!("{name}/async_nats"), self.baseline.call());
    }

    fn through_h8s(&self) -> Send {
        let body = self.case.body.clone();
        let request = self.case.request.clone().map(|()| Full::new(body));
        Send { requester: self.setup.requester.clone(), host: host(), request }
    }
}

/// A request through the requester.
#[derive(Clone)]
struct Send {
    requester: Requester,
    host: Host,
    request: Request<Full<Bytes>>,
}

impl Exchange for Send {
    async fn run(&self) {
        let response = self.requester.send(&self.host, self.request.clone()).await;
        let body = response.expect("the responder answers").into_body();
        body.collect().await.expect("the body is complete");
    }
}
