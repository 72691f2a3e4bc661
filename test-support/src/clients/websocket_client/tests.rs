use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::Process;
use crate::http_client::HttpClient;
use crate::python::python;
use crate::{Tool, needs};

/// An independent server: echoes, chooses `chat`, and refuses `/refuse`.
const SERVER: &str = r#"
import asyncio, http, websockets

async def echo(socket):
    try:
        async for message in socket:
            if message == "please close":
                await socket.close(4001, "as you say")
            elif message == "please ping":
                await (await socket.ping("data"))
                await socket.send("ponged")
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    print("closed", socket.close_code, socket.close_reason, socket.request.headers.get("X-Mine"), flush=True)

def refuse(connection, request):
    if request.path == "/refuse":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not here")

async def main():
    server = await websockets.serve(
        echo, "127.0.0.1", 0, process_request=refuse, origins=[None, "https://good.example"],
        select_subprotocol=lambda connection, offered: "chat" if "chat" in offered else None)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

async fn server() -> (Process, String) {
    let mut server = python().start_script(SERVER, &[]);
    let line = server.wait_for_line("port").await;
    (server, format!("http://127.0.0.1:{}", line.rsplit(' ').next().unwrap()))
}

/// A client that receives exactly these bytes, and the server's end.
async fn client_receiving(
    bytes: &[u8],
) -> (WebSocketClient<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    far.write_all(bytes).await.unwrap();
    (WebSocketClient::over(near, Vec::new()), far)
}

#[tokio::test]
async fn an_independent_server_understands_it() {
    needs!(Tool::Python);
    let (_server, url) = server().await;
    let mut client = WebSocketClient::connect(&url).await;

    for size in [0, 1, 125, 126, 65_535, 65_536, 700_000] {
        let text = "ü".repeat(size / 2);
        client.text(&text).await;
        assert_eq!(client.next().await, Event::Text(text));
        client.binary(vec![0xff; size]).await;
        assert_eq!(client.next().await, Event::Binary(vec![0xff; size]));
    }
    client.fragments(Opcode::Text, &["in ", "", "parts"]).await;
    assert_eq!(client.next().await, Event::Text("in parts".into()));
    assert_eq!(client.until_pong().await, []);
}

/// Answers an extended CONNECT for WebSockets with 200 and a greeting, `/refuse` with 404.
async fn http2_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(async |mut request: Request<Incoming>| {
            let is_websocket = request.extensions().get::<Protocol>().unwrap().as_str() == "websocket";
            let is_refused = request.uri().path() == "/refuse" || !is_websocket;
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(
                async move { upgrade.await.map(TokioIo::new).unwrap().write_all(b"\x81\x02hi").await },
            );
            let status = if is_refused { 404 } else { 200 };
            let answer = Response::builder().status(status).header("x-host", request.uri().host().unwrap());
            Ok::<_, Infallible>(answer.body(Empty::<bytes::Bytes>::new()).unwrap())
        });
        let mut server = http2::Builder::new(TokioExecutor::new());
        server.enable_connect_protocol().serve_connection(TokioIo::new(stream), service).await
    });
    url
}

#[tokio::test]
async fn http2_carries_many() {
    let url = http2_server().await;
    let mut connection = HttpClient::http2(&url).await;

    for _ in 0..3 {
        let asked = WebSocketClient::upgrade(&format!("{url}/x")).host("a.example");
        let mut client = asked.over_http2(&mut connection).await.unwrap();
        assert_eq!(client.header("X-Host"), Some("a.example"));
        assert_eq!(client.rest().await, [Event::Text("hi".into()), Event::End]);
    }
    let refused = WebSocketClient::upgrade(&format!("{url}/refuse")).over_http2(&mut connection).await;
    assert_eq!(refused.unwrap_err().0.as_u16(), 404);
}

#[tokio::test]
async fn pings_are_answered_while_waiting() {
    needs!(Tool::Python);
    let (_server, url) = server().await;
    let mut client = WebSocketClient::connect(&url).await;

    client.text("please ping").await;

    assert_eq!(client.next().await, Event::Ping(b"data".into()));
    assert_eq!(client.message().await, Event::Text("ponged".into()));
}

#[tokio::test]
async fn both_sides_can_close() {
    needs!(Tool::Python);
    let (mut server, url) = server().await;
    let mut client = WebSocketClient::connect(&url).await;
    client.close(4000, "gone").await;
    assert_eq!(client.rest().await, [Event::Close(4000, "gone".into()), Event::End]);
    drop(client);
    server.wait_for_line("closed 4000 gone None").await;

    let mut client = WebSocketClient::upgrade(&url).header("X-Mine", "1").send().await.unwrap();
    client.text("please close").await;
    assert_eq!(client.next().await, Event::Close(4001, "as you say".into()));
    client.close(4001, "all right").await;
    assert_eq!(client.rest().await, [Event::End]);
    drop(client);
    server.wait_for_line("closed 4001 all right 1").await;
}

#[tokio::test]
async fn a_vanished_client_is_a_reset() {
    needs!(Tool::Python);
    let (mut server, url) = server().await;

    WebSocketClient::connect(&url).await.reset();

    server.wait_for_line("closed 1006").await;
}

#[tokio::test]
async fn the_request_s_headers_are_sent() {
    needs!(Tool::Python);
    let (_server, url) = server().await;
    let at = |path: &str| WebSocketClient::upgrade(&format!("{url}{path}"));

    let client = at("/").origin("https://good.example").protocols("other, chat").send().await.unwrap();
    assert_eq!(client.protocol(), Some("chat"));
    let refusal = at("/refuse").send().await.unwrap_err();
    assert_eq!((refusal.head.status, refusal.text().as_str()), (403, "not here"));
    assert_eq!(at("/").origin("https://evil.example").send().await.unwrap_err().head.status, 403);
    assert_eq!(at("/").set("Sec-WebSocket-Version", "12").send().await.unwrap_err().head.status, 400);
    assert_eq!(at("/").without("Sec-WebSocket-Key").send().await.unwrap_err().head.status, 400);
}

#[tokio::test]
async fn rules_can_be_violated() {
    needs!(Tool::Python);
    let (_server, url) = server().await;
    let wrong = Frame::new(Opcode::Text, "wrong");
    for bytes in [
        wrong.clone().unmasked().encode(),
        Frame { rsv: 0b010, ..wrong.clone() }.encode(),
        Frame { opcode: Opcode::Other(3), ..wrong.clone() }.encode(),
        Frame::new(Opcode::Ping, [0; 126]).encode(),
        Frame { opcode: Opcode::Continuation, ..wrong }.encode(),
    ] {
        let mut client = WebSocketClient::connect(&url).await;
        client.raw(bytes).await;
        assert!(matches!(client.next().await, Event::Close(1002, _)));
    }
    let mut client = WebSocketClient::connect(&url).await;
    client.raw(Frame::new(Opcode::Binary, "").head(1 << 40)).await;
    assert!(matches!(client.next().await, Event::Close(1009, _)));
}

#[tokio::test]
async fn bytes_are_read_in_any_pieces() {
    let (mut client, mut far) = client_receiving(b"\x01\x01a\x89\x00\x80").await;
    assert_eq!(client.next().await, Event::Ping(Vec::new()));
    // A cancelled wait loses nothing.
    assert!(tokio::time::timeout(Duration::ZERO, client.event()).await.is_err());
    far.write_all(b"\x01b\x88\x00").await.unwrap();
    drop(far);

    assert_eq!(
        client.rest().await,
        [Event::Text("ab".into()), Event::Close(1005, String::new()), Event::End]
    );
}

#[tokio::test]
async fn a_client_can_leave_pings_unanswered() {
    let (client, mut far) = client_receiving(b"\x89\x01a\x89\x01b").await;
    let mut client = client.without_pongs();
    client.next().await;
    client.next().await;
    client.finish().await;

    let mut said = Vec::new();
    far.read_to_end(&mut said).await.unwrap();

    assert_eq!(said, b"");
}

#[tokio::test]
async fn halves_are_independent() {
    needs!(Tool::Python);
    let (_server, url) = server().await;
    let (mut reader, mut writer) = WebSocketClient::connect(&url).await.split();

    let flood = tokio::spawn(async move {
        for number in 0..100 {
            writer.write_all(&Frame::new(Opcode::Text, number.to_string()).encode()).await.unwrap();
        }
        writer
    });

    for number in 0..100 {
        assert_eq!(reader.next().await, Event::Text(number.to_string()));
    }
    soon(flood).await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "a server masks nothing")]
async fn a_violation_by_the_server_is_detected() {
    client_receiving(b"\x81\x81abcde").await.0.next().await;
}

#[tokio::test]
#[should_panic(expected = "[\"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\"]")]
async fn a_wrong_accept_value_is_detected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let answer =
            "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream
    });
    WebSocketClient::connect(&url).await;
    drop(answering);
}
