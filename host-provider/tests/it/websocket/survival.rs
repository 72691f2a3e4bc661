//! WebSockets whose host process ends: others continue, and mark repeated messages.

use std::collections::BTreeMap;

use h8s_nats::Requester;
use h8s_test_support::guests::guest;
use h8s_test_support::process::{Process, program};
use h8s_test_support::{Bus, eventually, over_both_buses};

use crate::edge::{Client, HOST, gateway, websockets_are_known};

/// Messages of each client, and how many it sends ahead of the answers.
const MESSAGES: usize = 200;
const AHEAD: usize = 10;

async fn host(bus: &Bus) -> Process {
    let file = guest("message-guests");
    let url = bus.url();
    let mut host = Process::start(program(env!("CARGO_BIN_EXE_h8s-host")).args([
        file.to_str().unwrap(),
        "--host",
        HOST,
        "--no-cache",
        "--nats-url",
        &url,
    ]));
    host.wait_for_line("ready").await;
    host
}

/// How often each message was answered, and how often as one that may have been handled before.
#[derive(Default)]
struct Answers(BTreeMap<usize, (usize, usize)>);

impl std::fmt::Debug for Answers {
    /// Only the unusual events.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let odd = self.0.iter().filter(|(_, counts)| **counts != (1, 0));
        write!(f, "{} answers, among them ", self.0.len())?;
        f.debug_map().entries(odd).finish()
    }
}

impl Answers {
    fn take(&mut self, answer: &str) {
        let (head, number) = answer.rsplit_once(' ').unwrap();
        let (times, repeated) = self.0.entry(number.parse().unwrap()).or_default();
        *times += 1;
        *repeated += usize::from(head.ends_with("true"));
    }

    fn repeated(&self) -> usize {
        self.0.values().filter(|(_, repeated)| *repeated > 0).count()
    }

    fn doubled(&self) -> usize {
        self.0.values().filter(|(times, _)| *times > 1).count()
    }
}

/// Says all messages and hears all answers; `midway` is called in the middle.
async fn converse(mut client: Client, midway: impl FnOnce()) -> Answers {
    let (mut answers, mut midway) = (Answers::default(), Some(midway));
    for n in 0..MESSAGES {
        client.say(&format!("origin {n}")).await;
        if n == MESSAGES / 2
            && let Some(midway) = midway.take()
        {
            midway();
        }
        while n - answers.0.len().min(n) >= AHEAD {
            answers.take(&client.hear().await);
        }
    }
    while answers.0.len() < MESSAGES {
        answers.take(&client.hear().await);
    }
    // Nothing comes any more.
    client.say("echo the end").await;
    assert_eq!(client.hear().await, "the end");
    client.close(1000, "").await;
    answers
}

async fn opened(requester: &Requester, count: usize) -> Vec<Client> {
    websockets_are_known(requester, HOST).await;
    let mut clients = Vec::new();
    for _ in 0..count {
        // The first host has chosen: the next must keep the choice.
        let client = Client::open(requester, HOST, "/choose").await;
        assert_eq!(client.protocol.as_deref(), Some("other"));
        clients.push(client);
    }
    clients
}

over_both_buses! {
    async fn a_killed_host_loses_nothing_and_repeated_messages_are_marked(bus) {
        // given clients whose host is not the only one
        let mut first = host(&bus).await;
        let requester = gateway(&bus.url()).await;
        let mut clients = opened(&requester, 5).await;
        let _second = host(&bus).await;
        // when it is killed while they talk
        let last = clients.pop().unwrap();
        let others: Vec<_> = clients.into_iter().map(|client| tokio::spawn(converse(client, || {}))).collect();
        let answers = converse(last, || first.signal("KILL")).await;
        // then each has every answer
        let mut all = vec![answers];
        for other in others {
            all.push(other.await.unwrap());
        }
        for Answers(each) in &all {
            assert!(each.keys().copied().eq(0..MESSAGES), "{all:?}");
        }
        // and few twice: those that were handled, and the word of it was still on its way; usually none or one
        assert!(all.iter().all(|answers| answers.doubled() <= AHEAD), "{all:?}");
        // and messages that came twice were marked as repeated, as were those under way
        assert!(all.iter().all(|answers| answers.repeated() <= AHEAD + 1 + answers.doubled()), "{all:?}");
        let honest = |(times, repeated): &(usize, usize)| *times == 1 || *repeated > 0;
        assert!(all.iter().all(|Answers(each)| each.values().all(honest)), "{all:?}");
        assert!(!first.is_running());
    }

    async fn a_host_that_drains_hands_over_and_repeats_nothing(bus) {
        let mut first = host(&bus).await;
        let requester = gateway(&bus.url()).await;
        let mut clients = opened(&requester, 5).await;
        let mut second = host(&bus).await;
        // when it is stopped while they send
        let last = clients.pop().unwrap();
        let others: Vec<_> = clients.into_iter().map(|client| tokio::spawn(converse(client, || {}))).collect();
        let mut all = vec![converse(last, || first.terminate()).await];
        for other in others {
            all.push(other.await.unwrap());
        }
        // then no client notices
        for answers in &all {
            assert!(answers.0.keys().copied().eq(0..MESSAGES), "{answers:?}");
            assert_eq!(answers.doubled(), 0, "{answers:?}");
            // Marked are the messages that the first had received, though it had begun none of them.
            assert!(answers.repeated() <= AHEAD + 1, "{answers:?}");
        }
        assert!(first.wait_for_exit().await.success());
        // and each connection was opened once and is closed once
        second.wait_for_line("closed").await;
        let calls = |host: &Process, call: &str| host.output().matches(call).count();
        eventually("all are closed", async || calls(&second, "closed ") == 5).await;
        assert_eq!((calls(&first, "opening"), calls(&second, "opening")), (5, 0));
        assert_eq!(calls(&first, "closed "), 0, "{}", first.output());
    }
}
