//! Another component in the place of one that runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h8s_host::{ComponentService, Limits, Swapped};
use h8s_nats::Refused;
use h8s_test_support::{eventually, guests::guest};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower_service::Service;

use crate::edge::{Edge, HOST, gateway, post, respond, served};
use crate::fixture::{assert_unharmed, call, get, get_text, guests, request, serve, text, within};

/// A guest whose file is another, and which does the same.
pub(crate) fn variant(name: &str, files: &Path) -> PathBuf {
    // A custom section with a name of one byte (Component Model, `Binary.md`).
    let section = [0x00, 0x02, 0x01, b'v'];
    let file = files.join(name);
    std::fs::write(&file, [std::fs::read(guest(name)).unwrap(), section.to_vec()].concat()).unwrap();
    file
}

async fn swap(service: &ComponentService, name: &str) {
    let swapped = within(service.swap(&guest(name))).await.unwrap();
    assert!(matches!(swapped, Swapped::After(_)), "{swapped:?}");
}

/// Which of the two guests an answer to `GET /ok` is from.
async fn who(service: &ComponentService) -> &'static str {
    match get_text(service, "/ok").await {
        (StatusCode::OK, said) if said == "ok\n" => "guests",
        (StatusCode::OK, said) if said.contains("<code>/ok</code>") => "hello",
        odd => panic!("{odd:?}"),
    }
}

/// Starts out with 1,500 pages of memory.
const LARGE: &str = "(component (core module $m (memory 1500)) (core instance (instantiate $m)))";

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_components_take_turns() {
    // given clients that send requests without a pause
    let service = guests().await;
    let answers = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (service, answers) = (service.clone(), Arc::clone(&answers));
        clients.spawn(async move {
            // then each gets a response, from one or the other
            loop {
                who(&service).await;
                answers.fetch_add(1, Ordering::Relaxed);
                // Nothing else here would give way.
                tokio::task::yield_now().await;
            }
        });
    }
    // when components are swapped meanwhile, then later requests are served by the new one
    for name in ["hello", "guests"].repeat(5) {
        let enough = answers.load(Ordering::Relaxed) + 50;
        eventually("they are answered", async || answers.load(Ordering::Relaxed) >= enough).await;
        swap(&service, name).await;
        assert_eq!(who(&service).await, name);
    }
    assert!(clients.try_join_next().is_none(), "a client has ended");
    clients.shutdown().await;
    within(service.idle()).await;
}

#[tokio::test]
async fn what_has_begun_is_finished_by_the_one_that_began_it() {
    // given a stream that has begun
    let service = guests().await;
    let mut body = get(&service, "/slow-stream").await.into_body();
    let first = within(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 0\n\n");
    // when another takes over
    swap(&service, "hello").await;
    assert_eq!(who(&service).await, "hello");
    // then the rest comes all the same
    assert_eq!(text(body).await.unwrap(), "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
    within(service.idle()).await;
}

#[tokio::test]
async fn both_together_keep_to_the_limits() {
    // given a component that may do two things at a time, and does
    let service = serve("guests", Limits { concurrency: 2, queue: 1, ..Limits::default() }).await;
    let first = get(&service, "/endless-stream").await;
    let second = get(&service, "/endless-stream").await;
    let mut queued = service.clone().call(request(Method::GET, "/ok"));
    assert!(futures_util::poll!(&mut queued).is_pending());
    // when another takes over, then it may not do a third
    swap(&service, "hello").await;
    assert_eq!(call(&service, request(Method::GET, "/ok")).await.unwrap_err(), Refused::Busy);
    // and requests that waited are served by the new one
    drop(first);
    let said = text(within(queued).await.unwrap().into_body()).await.unwrap();
    assert!(said.contains("<code>/ok</code>"), "{said}");
    // and in the end both places are free
    drop(second);
    within(service.idle()).await;
    assert_eq!(service.running(), 0);
}

#[tokio::test]
async fn instances_that_wait_are_not_those_of_another() {
    // given a component with an instance that waits for its next call
    let service = serve("guests", Limits { reuse: 100, ..Limits::default() }).await;
    assert_eq!((who(&service).await, service.idle_instances()), ("guests", 1));
    // when another takes over, and the first comes back
    for name in ["hello", "guests"] {
        swap(&service, name).await;
        // then no instance of the other is idle
        assert_eq!(service.idle_instances(), 0);
        assert_eq!((who(&service).await, service.idle_instances()), (name, 1));
    }
}

#[tokio::test]
async fn what_is_broken_is_refused_and_what_runs_stays() {
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let file = files.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    };
    let whole = std::fs::read(guest("hello")).unwrap();
    let service = serve("guests", Limits { memory_bytes: 64 << 20, ..Limits::default() }).await;
    for (file, why) in [
        (file("half.wasm", &whole[..whole.len() / 2]), "half.wasm: invalid: "),
        (file("empty.wasm", b""), "empty.wasm: not a WebAssembly file"),
        (file("core.wasm", &wat::parse_str("(module)").unwrap()), "core.wasm: a core module"),
        (file("none.wasm", &wat::parse_str("(component)").unwrap()), "none.wasm: does not export any of"),
        (
            file("large.wasm", &wat::parse_str(LARGE).unwrap()),
            "needs 98304000 bytes of memory, the limit is 67108864",
        ),
        (files.path().join("gone.wasm"), "gone.wasm: there is no such file"),
        (guest("chat"), "chat.wasm: now serves HTTP and WebSockets instead of HTTP; restart to apply"),
        (guest("websocket-echo"), "websocket_echo.wasm: now serves WebSockets instead of HTTP"),
    ] {
        let said = within(service.swap(&file)).await.unwrap_err().to_string();
        assert!(said.starts_with("component /") && said.contains(why), "{said}");
        assert_unharmed(&service).await;
    }
}

#[tokio::test]
async fn what_runs_already_is_left_alone() {
    let files = tempfile::tempdir().unwrap();
    let service = guests().await;
    assert_eq!(service.swap(&guest("guests")).await.unwrap(), Swapped::Unchanged);
    assert!(matches!(service.swap(&variant("guests", files.path())).await.unwrap(), Swapped::After(_)));
    assert_unharmed(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_continues_with_the_new_one() {
    // given a client that talks with one component
    let edge = Edge::guests().await;
    let mut client = edge.open("/room").await;
    assert_eq!(client.ask("echo before").await, "before");
    // when another takes over, then it has the next message
    swap(&edge.service, "chat").await;
    client.say("echo between").await;
    eventually("the chat answers", async || !client.pushed.texts().is_empty()).await;
    // and its `on-open` was not called
    let pushed = client.pushed.texts();
    assert!(pushed[0].contains("\"text\":\"echo between\""), "{pushed:?}");
    // and so on
    swap(&edge.service, "message-guests").await;
    assert_eq!(client.ask("echo after").await, "after");
    client.close(1000, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_or_overtakes_while_components_take_turns() {
    // given many clients that send without waiting for replies
    let files = tempfile::tempdir().unwrap();
    let edge = Edge::of("websocket-echo", Limits::default()).await;
    let mut clients = JoinSet::new();
    for _ in 0..10 {
        let mut client = edge.open("/").await;
        clients.spawn(async move {
            for n in 0..200 {
                client.say(&n.to_string()).await;
            }
            for n in 0..200 {
                assert_eq!(client.hear().await, n.to_string());
            }
            client.close(1000, "").await;
        });
    }
    // when components are swapped meanwhile
    let two = [variant("websocket-echo", files.path()), guest("websocket-echo")];
    let mut turns = 0;
    while !clients.is_empty() {
        within(edge.service.swap(&two[turns % 2])).await.unwrap();
        turns += 1;
        // then all comes back once, in order
        while let Some(client) = clients.try_join_next() {
            client.unwrap();
        }
    }
    assert_eq!(edge.service.running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_that_sends_gets_to_know_whom() {
    // given a component that sends nothing, beside one with a client
    let bus = h8s_test_support::Bus::embedded().await;
    let quiet = [served("hello", HOST, Limits::default()).await];
    let talks = [served("websocket-echo", HOST, Limits::default()).await];
    let _responders = (respond(&bus.url(), &quiet).await, respond(&bus.url(), &talks).await);
    let requester = gateway(&bus.url()).await;
    crate::edge::websockets_are_known(&requester, HOST).await;
    let client = crate::edge::Client::open(&requester, HOST, "/").await;
    // when one that does takes its place
    swap(&quiet[0].service, "sender").await;
    // then it reaches the client
    let said = post(&requester, HOST, "/", "hello from outside").await;
    assert_eq!(said, (StatusCode::OK, "{\"failed\":[],\"sent\":1}\n".into()));
    client.pushed.are(&["hello from outside"]).await;
}
