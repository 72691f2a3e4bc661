//! Heap allocations of a small request, at a gateway and at a native responder. Each has its own thread; allocations by
//! hyper, tokio and the NATS client count too.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread::{self, Scope, ScopedJoinHandle};

use allocation_counter::measure;
use h8s_test_support::{Tool, needs};
use h8s_wire::MethodPattern;
use http::Response;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::fixture::{Bus, Gateway, answering, full};

/// Warm-up requests: maps and buffers reach their final size.
const BEFORE: usize = 500;
const COUNTED: usize = 1_000;

/// A request as sent by `curl`, and one as sent by a browser.
const BARE: &str = "GET /items/42?colour=blue HTTP/1.1\r\nHost: app.example\r\n\r\n";
const BROWSER: &str = "GET /items/42?colour=blue HTTP/1.1\r\nHost: app.example\r\nConnection: keep-alive\r\n\
    Cache-Control: max-age=0\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nReferer: https://app.example/\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789\r\n\r\n";

/// Raise the limits only for a reason, and document it in `docs/performance.md`.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_request_allocates_no_more_than_it_did() {
    needs!(Tool::NatsServer);
    let bus = Bus::real().await;

    for (request, at_gateway, at_responder) in [(BARE, 27, 24), (BROWSER, 30, 24)] {
        let counted = tokio::task::block_in_place(|| count(&bus, request));

        assert!(counted.0 <= at_gateway && counted.1 <= at_responder, "{counted:?} allocations: {request}");
    }
}

/// Allocations for one request, at the gateway and at the responder.
fn count(bus: &Bus, request: &str) -> (u64, u64) {
    thread::scope(|scope| {
        let (responder, ()) = Side::start(scope, async || {
            let responder =
                answering(bus, MethodPattern::Any, |_| async { Ok(Response::new(full("hello"))) });
            (responder.await, ())
        });
        let (gateway, address) = Side::start(scope, async || {
            let gateway = Gateway::start(bus).await;
            let address = gateway.ingress.address;
            (gateway, address)
        });
        let mut client = TcpStream::connect(address).unwrap();
        ask(&mut client, request, BEFORE);
        let sides = [gateway, responder].map(Side::begin);
        ask(&mut client, request, COUNTED);
        let [gateway, responder] = sides.map(Side::end);
        (gateway, responder)
    })
}

/// Sends the requests in sequence, on one connection.
fn ask(client: &mut TcpStream, request: &str, count: usize) {
    let mut answer = [0; 4096];
    for _ in 0..count {
        client.write_all(request.as_bytes()).unwrap();
        let bytes = client.read(&mut answer).unwrap();
        let answer = std::str::from_utf8(&answer[..bytes]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    }
}

/// A thread that does all the work of one side.
struct Side<'scope> {
    begins: mpsc::Receiver<()>,
    turn: Option<oneshot::Sender<()>>,
    end: Option<oneshot::Sender<()>>,
    thread: ScopedJoinHandle<'scope, u64>,
}

impl<'scope> Side<'scope> {
    /// `start` returns a value to keep alive, and a value for the caller.
    fn start<T, R: Send + 'scope>(
        scope: &'scope Scope<'scope, '_>,
        start: impl AsyncFnOnce() -> (T, R) + Send + 'scope,
    ) -> (Self, R) {
        let (tell, told) = mpsc::channel();
        let (tell_begin, begins) = mpsc::channel();
        let (turn, turned) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = scope.spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let (kept, about) = runtime.block_on(start());
            tell.send(about).unwrap();
            runtime.block_on(turned).unwrap();
            let allocated = measure(|| {
                tell_begin.send(()).unwrap();
                runtime.block_on(ended).unwrap();
            });
            drop(kept);
            allocated.count_total / COUNTED as u64
        });
        let about = told.recv().unwrap();
        (Self { begins, turn: Some(turn), end: Some(end), thread }, about)
    }

    /// Counts from now on.
    fn begin(mut self) -> Self {
        self.turn.take().unwrap().send(()).unwrap();
        self.begins.recv().unwrap();
        self
    }

    fn end(mut self) -> u64 {
        self.end.take().unwrap().send(()).unwrap();
        self.thread.join().unwrap()
    }
}
