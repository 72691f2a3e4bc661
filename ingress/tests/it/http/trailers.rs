//! Trailers from a client's socket to a responder's handler, and back.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use crate::fixture::{Gateway, answering, over_both_buses};
use crate::support::*;

fn x_sum(value: &str) -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().unwrap(), value.parse().unwrap())])
}

/// Responds with the announced and received trailers, and a trailer of its own.
async fn summing(bus: &h8s_test_support::Bus) -> h8s_nats::Responder {
    answering(bus, "POST".parse().unwrap(), |request| async move {
        let announced = request.headers().get("trailer").map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await?;
        let text = format!("{announced:?} {:?}", body.trailers().unwrap()["x-sum"]);
        let frames = [Ok(Frame::data(Bytes::from(text))), Ok(Frame::trailers(x_sum("8")))];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        Ok(Response::builder().header("trailer", "x-sum").body(body)?)
    })
    .await
}

over_both_buses! {
    async fn http1_clients_are_told_which_trailers_come_and_get_them(bus) {
        let _responder = summing(&bus).await;
        let gateway = Gateway::start(&bus).await;

        let head = "POST / HTTP/1.1\r\nHost: app.example\r\nTE: trailers\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let answer = gateway.ingress.raw(&format!("{head}5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")).await;

        let answer = Answer::parse(&answer);
        assert_eq!(answer.field("trailer"), Some("x-sum"));
        assert!(answer.body.contains("Some(\"x-sum\") \"7\"") && answer.body.ends_with("0\r\nx-sum: 8\r\n\r\n"), "{answer:?}");
    }

    async fn an_http1_client_that_takes_none_gets_the_body_alone(bus) {
        let _responder = summing(&bus).await;
        let gateway = Gateway::start(&bus).await;

        let head = "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let answer = gateway.ingress.raw(&format!("{head}5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n")).await;

        assert!(answer.ends_with("0\r\n\r\n") && answer.contains("None \"7\""), "{answer}");
    }

    async fn http2_needs_no_announcement(bus) {
        let _responder = summing(&bus).await;
        let gateway = Gateway::start(&bus).await;
        let body = frames(vec![data("hello"), Ok(Frame::trailers(x_sum("7")))]);
        let request = http::Request::post("http://app.example/").body(body).unwrap();

        let answer = in_time(http2(gateway.ingress.address).await.send_request(request)).await.unwrap();
        let answer = in_time(answer.into_body().collect()).await.unwrap();

        assert_eq!(answer.trailers(), Some(&x_sum("8")));
        assert_eq!(answer.to_bytes(), "None \"7\"");
    }
}
