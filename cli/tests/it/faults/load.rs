//! Clients that send requests continuously, and check every byte of the responses.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use h8s_test_support::execution_log::ExecutionLog;
use h8s_test_support::http_client::HttpClient;
use h8s_test_support::{soon, within};
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::work::{Plan, Work};

/// Half of them over HTTP/1.1, half over HTTP/2.
const CLIENTS: usize = 8;
/// The gateway's request timeout in these tests, as a flag.
pub(crate) const REQUEST_TIMEOUT: [&str; 2] = ["--request-timeout", "2s"];
/// The request timeout, and what a loaded machine may add to it.
const HEAD_DEADLINE: Duration = Duration::from_secs(6);
/// For a body that stops: a dead peer is detected at the second missed beat of 5 s.
const BODY_DEADLINE: Duration = Duration::from_secs(18);
/// The pause after a failure, which prevents busy loops.
const PAUSE: Duration = Duration::from_millis(10);

/// Running clients.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Tally>,
}

struct Shared {
    /// The gateways for new connections. Clients of a removed one continue until it closes their connection.
    gateways: RwLock<Vec<String>>,
    plan: Plan,
    next: AtomicU64,
    exact: watch::Sender<u64>,
    is_over: AtomicBool,
    /// Whether a request without a response is repeated, with the same number.
    repeats: bool,
}

/// The results of requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Complete and correct responses.
    pub(crate) exact: Vec<u64>,
    /// Error responses by status.
    pub(crate) refused: BTreeMap<StatusCode, u64>,
    /// Visibly truncated responses.
    pub(crate) cut: u64,
    /// Requests whose connection or stream ended without a response: a gateway that learns of a broken body together with
    /// the head may not send the head.
    pub(crate) unanswered: u64,
    /// Refused connections.
    pub(crate) unreached: u64,
    /// Repeated requests.
    pub(crate) repeated: u64,
    /// The longest time between two correct responses to one client.
    pub(crate) longest_gap: Duration,
}

enum Outcome {
    Exact,
    Refused(StatusCode),
    Cut,
}

enum Sent {
    /// The connection had been closed before: the request was not sent.
    Never,
    Unanswered,
    Answered(Outcome),
}

impl Load {
    /// Starts sending to these gateways. No request is repeated.
    pub(crate) fn start(gateways: &[&str], plan: Plan) -> Self {
        Self::with(gateways, plan, false)
    }

    /// Requests without a response are repeated.
    pub(crate) fn repeating(gateways: &[&str], plan: Plan) -> Self {
        Self::with(gateways, plan, true)
    }

    fn with(gateways: &[&str], plan: Plan, repeats: bool) -> Self {
        let shared = Arc::new(Shared {
            gateways: RwLock::new(gateways.iter().map(|url| (*url).to_owned()).collect()),
            plan,
            next: AtomicU64::new(0),
            exact: watch::Sender::new(0),
            is_over: AtomicBool::new(false),
            repeats,
        });
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(Client::new(Arc::clone(&shared), number).run());
        }
        Self { shared, clients }
    }

    /// Replaces the gateways.
    pub(crate) fn set_gateways(&self, gateways: &[&str]) {
        *self.shared.gateways.write().unwrap() = gateways.iter().map(|url| (*url).to_owned()).collect();
    }

    /// Waits for this many more correct responses.
    pub(crate) async fn more(&self, count: u64) {
        let mut exact = self.shared.exact.subscribe();
        let goal = *exact.borrow() + count;
        within(HEAD_DEADLINE + BODY_DEADLINE, exact.wait_for(|exact| *exact >= goal)).await.unwrap();
    }

    /// Stops the clients after their current requests.
    pub(crate) async fn stop(mut self) -> Tally {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(tally) = within(HEAD_DEADLINE + BODY_DEADLINE, self.clients.join_next()).await {
            all.add(tally.unwrap());
        }
        all
    }
}

struct Client {
    shared: Arc<Shared>,
    number: usize,
    version: Version,
    connection: Option<HttpClient>,
    tally: Tally,
}

impl Client {
    fn new(shared: Arc<Shared>, number: usize) -> Self {
        let version = if number.is_multiple_of(2) { Version::HTTP_11 } else { Version::HTTP_2 };
        Self { shared, number, version, connection: None, tally: Tally::default() }
    }

    async fn run(mut self) -> Tally {
        let mut last_exact = Instant::now();
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
            match self.done(number).await {
                Some(Outcome::Exact) => {
                    self.tally.exact.push(number);
                    self.tally.longest_gap = self.tally.longest_gap.max(last_exact.elapsed());
                    last_exact = Instant::now();
                    self.shared.exact.send_modify(|exact| *exact += 1);
                    continue;
                }
                Some(Outcome::Refused(status)) => *self.tally.refused.entry(status).or_default() += 1,
                Some(Outcome::Cut) => self.tally.cut += 1,
                None => self.tally.unanswered += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.tally
    }

    /// `None` when it was sent, but got no response.
    async fn done(&mut self, number: u64) -> Option<Outcome> {
        loop {
            match self.exchange((self.shared.plan)(number)).await {
                Sent::Answered(outcome) => return Some(outcome),
                Sent::Never => {}
                Sent::Unanswered if self.shared.repeats => self.tally.repeated += 1,
                Sent::Unanswered => return None,
            }
        }
    }

    /// Sends the request, over a new connection if necessary, and reads the complete response.
    async fn exchange(&mut self, work: Work) -> Sent {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await,
        };
        let Work { request, answer } = work;
        let asked = describe(&request);
        let response = match within(HEAD_DEADLINE, connection.send(request)).await {
            Ok(response) => response,
            Err(error) if error.is_closed() || error.is_canceled() => return Sent::Never,
            Err(error) => {
                println!("{asked} over {:?} has no response: {error:?}", self.version);
                return Sent::Unanswered;
            }
        };
        let outcome = within(BODY_DEADLINE, read(&asked, response, &answer)).await;
        // After a truncated response over HTTP/1.1 the connection cannot be reused.
        if !matches!(outcome, Outcome::Cut) {
            self.connection = Some(connection);
        }
        Sent::Answered(outcome)
    }

    /// Connects to one of the gateways.
    async fn connect(&mut self) -> HttpClient {
        let (shared, number, version) = (Arc::clone(&self.shared), self.number, self.version);
        soon(async {
            for attempt in number.. {
                let gateway = {
                    let gateways = shared.gateways.read().unwrap();
                    gateways[attempt % gateways.len()].clone()
                };
                if let Ok(connection) = HttpClient::reach(&gateway, version).await {
                    return connection;
                }
                self.tally.unreached += 1;
                tokio::time::sleep(PAUSE).await;
            }
            unreachable!("there is always another attempt")
        })
        .await
    }
}

async fn read(asked: &str, response: Response<Incoming>, answer: &[u8]) -> Outcome {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return Outcome::Cut };
    let body = body.to_bytes();
    if head.status == StatusCode::OK {
        assert!(
            body == answer,
            "{asked} got a complete response of {} bytes instead of the correct one of {} bytes",
            body.len(),
            answer.len()
        );
        return Outcome::Exact;
    }
    let is_known = matches!(head.status.as_u16(), 502..=504);
    assert!(is_known, "{asked} got {}: {}", head.status, String::from_utf8_lossy(&body));
    Outcome::Refused(head.status)
}

fn describe<B>(request: &Request<B>) -> String {
    format!("{} {}", request.method(), request.uri())
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.exact.extend(other.exact);
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.cut += other.cut;
        self.unanswered += other.unanswered;
        self.unreached += other.unreached;
        self.repeated += other.repeated;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
    }

    /// Checks that every request got a complete and correct response.
    pub(crate) fn check_nothing_lost(&self) {
        let lost = self.refused.values().sum::<u64>() + self.cut + self.unanswered;
        assert_eq!(lost, 0, "{self}");
    }

    /// Checks that nothing was executed twice, and that answered requests were executed.
    pub(crate) fn check_against(&self, log: &ExecutionLog) {
        assert_eq!(log.repeated(), [0_u64; 0], "executed twice; {self}");
        let undone = self.exact.iter().filter(|number| log.times_started(**number) != 1).count();
        assert_eq!(undone, 0, "answered, but not executed; {self}");
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { exact, refused, cut, unanswered, unreached, repeated, longest_gap } = self;
        write!(
            f,
            "{} exact, refused {refused:?}, {cut} cut, {unanswered} unanswered, connection refused {unreached} times, \
             {repeated} repeated, at most {longest_gap:?} without an exact answer",
            exact.len()
        )
    }
}
