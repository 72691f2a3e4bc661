//! T2: nothing in a request becomes part of a subject's structure.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use h8s_test_support::raw_client::RawClient;
use h8s_test_support::{Bus, eventually, over_both_buses};

use crate::programs::Gateway;

/// Subscribes to everything, and answers every request with 200.
struct Listener {
    subjects: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn start(bus: &Bus) -> Self {
        let client = async_nats::connect(bus.url()).await.unwrap();
        let mut messages = client.subscribe(">").await.unwrap();
        client.flush().await.unwrap();
        let subjects: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = subjects.clone();
        tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                heard.lock().unwrap().push(message.subject.to_string());
                if message.subject.starts_with("h8s.http.") {
                    client.publish(message.reply.unwrap(), "answered".into()).await.unwrap();
                }
            }
        });
        Self { subjects }
    }

    fn all(&self) -> Vec<String> {
        self.subjects.lock().unwrap().clone()
    }

    /// The subjects of requests.
    fn requests(&self) -> Vec<String> {
        self.all().into_iter().filter(|subject| subject.starts_with("h8s.http.")).collect()
    }
}

/// Request heads, byte for byte, without the empty line.
fn hostile() -> Vec<Vec<u8>> {
    let targets: [&[u8]; 24] = [
        b"/a b",
        b"/*",
        b"/>",
        b"/a.>",
        b"/a.*.b",
        b"/..",
        b"/../../x",
        b"/.",
        b"//",
        b"/a//b",
        b"/%00",
        b"/\0",
        b"/%0d%0aPUB%20x%200",
        b"/a\rb",
        b"/%20",
        b"/%2A/%3E",
        b"/%2e%2e/%2E",
        b"/\xff\xfe",
        b"/%ff%fe",
        "/ünï/日本".as_bytes(),
        b"/$SYS/REQ",
        b"/%zz%",
        b"/_INBOX.>",
        b"*",
    ];
    let hosts: [&[u8]; 16] = [
        b"*",
        b">",
        b"a.*",
        b"a.>",
        b"a..b",
        b".a",
        b"_",
        b"a._.b",
        b"$SYS",
        b"$SYS.REQ",
        b"a b",
        b"a\tb",
        b"a\0b",
        "ünï.example".as_bytes(),
        b"a%2eb",
        b"h8s.control.interest",
    ];
    let methods: [&[u8]; 12] = [
        b"*",
        b">",
        b"GET.x",
        b"G*T",
        b"WS",
        b"ws",
        b"ANY",
        b"$SYS",
        b"G\0T",
        "GÉT".as_bytes(),
        b"PURGE",
        b"M-SEARCH",
    ];
    let head = |method: &[u8], target: &[u8], host: &[u8]| {
        [method, b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\nConnection: close"].concat()
    };
    let mut heads: Vec<Vec<u8>> = targets.iter().map(|target| head(b"GET", target, b"a.example")).collect();
    heads.extend(hosts.iter().map(|host| head(b"GET", b"/x", host)));
    heads.extend(methods.iter().map(|method| head(method, b"/x", b"a.example")));
    // A second Host, a host in the target, a folded one, one after a bare line feed.
    heads.push(head(b"GET", b"/x", b"a.example\r\nHost: b.example"));
    heads.push(head(b"GET", b"http://$SYS.*/x", b"a.example"));
    heads.push(head(b"GET", b"/x", b"a.example\r\n b.example"));
    heads.push(head(b"GET", b"/x", b"a.example\nPUB x 0"));
    heads
}

/// No empty or wildcard token, and nothing but visible ASCII, so that one message is one message.
fn is_literal(subject: &str) -> bool {
    subject.bytes().all(|byte| byte.is_ascii_graphic())
        && subject.split('.').all(|token| !token.is_empty() && !token.contains(['*', '>']))
}

over_both_buses! {
    async fn t2_no_request_chooses_its_subject(bus) {
        // given a subscriber to everything
        let listener = Listener::start(&bus).await;
        let gateway = Gateway::start(&bus.url(), &[]).await;
        for head in hostile() {
            let shown = String::from_utf8_lossy(&head).into_owned();
            let before = listener.requests().len();
            // when
            let mut client = RawClient::connect(&gateway.url).await;
            client.send([&head[..], b"\r\n\r\n"].concat()).await;
            let status = client.response().await.head.status;
            // then it is refused and not published, or published once and answered
            let published = listener.requests()[before..].to_vec();
            match status {
                200 => assert_eq!(published.len(), 1, "{shown:?}: {published:?}"),
                400 | 501 => assert_eq!(published.len(), 0, "{shown:?}: {published:?}"),
                _ => panic!("{shown:?}: {status}"),
            }
        }
        // and nothing arrived late: messages of one connection arrive in order
        let before = listener.requests().len();
        assert_eq!(gateway.status("/last").await, 200);
        eventually("the last request is received", async || listener.requests().len() > before).await;
        assert_eq!(listener.requests()[before..], ["h8s.http.GET.127.0.0.1._.last"]);
        // and every subject is h8s's own, and literal
        for subject in listener.all() {
            assert!(subject.starts_with("h8s.") && is_literal(&subject), "{subject:?}");
        }
        assert!(before > 20, "{before} requests were published");
    }
}
