//! `Expect: 100-continue` from a client's socket to a responder's handler: 100 means that the handler reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use http_body_util::BodyExt;

use crate::fixture::{Gateway, answering, full, over_both_buses};
use crate::support::*;

const HEAD: &str =
    "POST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

over_both_buses! {
    async fn a_client_is_told_to_go_on_when_the_handler_reads(bus) {
        let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        let _responder = answering(&bus, "POST".parse().unwrap(), move |request| {
            let arrived = arrived.clone();
            async move {
                let (go, wait) = tokio::sync::oneshot::channel::<()>();
                arrived.send(go).unwrap();
                wait.await?;
                Ok(Response::new(full(request.into_body().collect().await?.to_bytes())))
            }
        })
        .await;
        let gateway = Gateway::start(&bus).await;
        let mut client = gateway.ingress.connect().await;
        client.send(HEAD).await;
        let go = in_time(arrivals.recv()).await.unwrap();
        // Meanwhile another exchange completes.
        let mut other = gateway.ingress.connect().await;
        other.send(HEAD).await;
        in_time(arrivals.recv()).await.unwrap().send(()).unwrap();
        assert_eq!(other.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        other.send("other").await;
        other.until("other").await;
        let early = client.stream.try_read(&mut [0; 64]);
        assert_eq!(early.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

        go.send(()).unwrap();

        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        // The connection serves the next request.
        client.send("helloPOST / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n").await;
        client.until("hello").await;
        in_time(arrivals.recv()).await.unwrap().send(()).unwrap();
        client.until("HTTP/1.1 200 OK").await;
    }

    async fn t6_an_early_answer_ends_a_connection_whose_body_may_still_come(bus) {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let _responder = answering(&bus, "ANY".parse().unwrap(), move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            async {
                // After the accept, so that a gateway that sends 100 too early has sent it by now.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Ok(Response::builder().status(401).body(full("who?"))?)
            }
        })
        .await;
        let gateway = Gateway::start(&bus).await;
        let mut client = gateway.ingress.connect().await;
        client.send(HEAD).await;

        let answer = client.until("who?").await;
        client.send("GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n").await;

        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert_eq!(client.rest().await, "", "the gateway closes");
        assert_eq!(requests.load(Ordering::SeqCst), 1);
    }
}
