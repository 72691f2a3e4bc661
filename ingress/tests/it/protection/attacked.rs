//! `h8sd` as a separate process, under attack while other clients are served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use h8s_nats::Responder;
use h8s_test_support::process::program;
use h8s_test_support::{Bus, Process, eventually};
use h8s_wire::MethodPattern;
use tokio::task::JoinHandle;

use crate::fixture::{answering, full};
use crate::support::*;

/// Shared by all responses.
static LARGE: &[u8] = &[b'x'; 8 << 20];

/// A gateway with a responder that answers every path except `/hang`.
pub(crate) struct Attacked {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    operators: SocketAddr,
    hanging: Hanging,
    _responder: Responder,
    _bus: Bus,
}

impl Attacked {
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_program(program(env!("CARGO_BIN_EXE_h8sd")).args(flags)).await
    }

    pub(crate) async fn start_program(command: &mut std::process::Command) -> Self {
        let bus = Bus::embedded().await;
        let hanging = Hanging::default();
        let hangs = hanging.clone();
        let responder = answering(&bus, MethodPattern::Any, move |request| {
            let hangs = hangs.clone();
            async move {
                match request.uri().path() {
                    "/hang" => {
                        let _one = hangs.begin();
                        std::future::pending().await
                    }
                    "/large" => Ok(http::Response::new(full(bytes::Bytes::from_static(LARGE)))),
                    _ => Ok(http::Response::new(full("hello"))),
                }
            }
        })
        .await;
        // Neighbours and attackers share an address, so a pause would affect both.
        command.env("H8S_ABUSE_PAUSE", "0s");
        command.env("NO_COLOR", "1").env("H8S_LISTEN", "127.0.0.1:0").env("H8S_ADMIN_LISTEN", "127.0.0.1:0");
        let mut process = Process::start(command.env("NATS_URL", bus.url()));
        let line = process.wait_for_line("listening on ").await;
        let address = line.rsplit(' ').next().unwrap().parse().unwrap();
        let line = process.wait_for_line("operators: http://").await;
        let operators = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        let operators = operators.parse().unwrap();
        let attacked = Self { process, address, operators, hanging, _responder: responder, _bus: bus };
        eventually("requests are served", async || status(attacked.address).await == Some(200)).await;
        attacked
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn page(&self) -> String {
        let mut client = Raw::connect(self.operators).await;
        client.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        Answer::parse(&client.rest().await).body
    }

    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let page = self.page().await;
        let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) async fn limited(&self, limit: &str) -> f64 {
        self.metric("h8s_ingress_limited_total", &format!("\"{limit}\"")).await
    }

    /// The highest number of requests that hung at the responder at once.
    pub(crate) fn most_hanging(&self) -> usize {
        self.hanging.0.1.load(Ordering::Relaxed)
    }

    /// Resident memory of the process.
    pub(crate) fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// A client that sends requests continuously.
    pub(crate) fn neighbour(&self) -> Neighbour {
        let (address, is_over, served) =
            (self.address, Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (stop, count) = (is_over.clone(), served.clone());
        let task = tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(status(address).await, Some(200), "after {}", count.load(Ordering::Relaxed));
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Neighbour { is_over, served, task }
    }
}

/// The current and the highest number of requests that hang at the responder.
#[derive(Clone, Default)]
struct Hanging(Arc<(AtomicUsize, AtomicUsize)>);

struct Hangs(Hanging);

impl Hanging {
    fn begin(&self) -> Hangs {
        let now = self.0.0.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.1.fetch_max(now, Ordering::Relaxed);
        Hangs(self.clone())
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client whose requests must all succeed.
pub(crate) struct Neighbour {
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Neighbour {
    /// Stops the client. Panics if one of its requests failed.
    pub(crate) async fn was_served(self) {
        // At least one request must begin after this point.
        let before = self.served.load(Ordering::Relaxed);
        let is_served = || self.served.load(Ordering::Relaxed) > before + 1 || self.task.is_finished();
        eventually("the neighbour is served", async || is_served()).await;
        self.is_over.store(true, Ordering::Relaxed);
        in_time(self.task).await.unwrap();
    }
}

/// The status of one request on a new connection. `None`: no response.
pub(crate) async fn status(address: SocketAddr) -> Option<u16> {
    let mut client = Raw::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n").await;
    let seen = client.try_rest().await.unwrap_or_else(|(seen, _)| seen);
    seen.split(' ').nth(1)?.parse().ok()
}
