//! `h8s-host` as it is run: what it says to mistakes, and a life from start to drain on either bus.

use bytes::Bytes;
use h8s_nats::{ConnectOptions, Requester, RequesterConfig};
use h8s_test_support::guests::guest;
use h8s_test_support::process::{Process, program};
use h8s_test_support::{Bus, eventually, over_both_buses, soon};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};

fn start(args: &[&str]) -> Process {
    Process::start(program(env!("CARGO_BIN_EXE_h8s-host")).args(args))
}

async fn mistaken(args: &[&str]) -> Vec<String> {
    let mut host = start(args);
    assert_eq!(host.wait_for_exit().await.code(), Some(2));
    host.stderr().lines().filter(|line| !line.contains(" INFO ")).map(str::to_owned).collect()
}

fn path(guest_name: &str) -> String {
    guest(guest_name).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn mistaken_flags_are_all_told() {
    let said =
        mistaken(&["x.wasm", "--timeout", "0s", "--max-memory", "lots", "--path", "api", "--env", "=x"])
            .await;
    for flag in ["--timeout", "--max-memory", "--path", "--env"] {
        assert!(said.iter().any(|line| line.contains(flag)), "{flag}: {said:?}");
    }
    assert_eq!(said.len(), 4, "{said:?}");
}

#[tokio::test]
async fn mistakes_in_component_tables_are_all_told() {
    // given a file in which every table is wrong in its own way
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = r#"
        [[component]]
        host = "a.example"
        [[component]]
        file = "b.wasm"
        pth = "/b"
        cpu-budget = "soon"
        methods = ["WS"]
        [[component]]
        file = "c.wasm"
        [[component]]
        file = "d.wasm"
        methods = "GET,ANY,WS"
    "#;
    std::fs::write(file.path(), text).unwrap();
    // when
    let said = mistaken(&["--config", file.path().to_str().unwrap(), "--no-cache"]).await;
    // then
    let expected = [
        "[[component]] 1: file is missing",
        "[[component]] 2 (b.wasm): pth: there is no such key",
        "[[component]] 2 (b.wasm): cpu-budget: ",
        "[[component]] 2 (b.wasm): methods: methods are those of HTTP; components that take WebSockets are offered them anyhow",
        "[[component]] 4 (d.wasm): methods: methods are those of HTTP",
    ];
    for sentence in expected {
        assert!(said.iter().any(|line| line.contains(sentence)), "{sentence}: {said:#?}");
    }
}

#[tokio::test]
async fn components_that_serve_the_same_are_all_told() {
    // given three components in one place: one for HTTP, one for both, and one for WebSockets
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("host.toml");
    let table = |name: &str| format!("[[component]]\nfile = \"{}\"\npath = \"/x\"\n", path(name));
    std::fs::write(&file, ["hello", "chat", "websocket-echo"].map(table).concat()).unwrap();
    // when
    let said = mistaken(&["--config", file.to_str().unwrap(), "--no-cache"]).await;
    // then what collides is told, and what does not is not
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said[0].contains("hello.wasm") && said[0].contains("chat.wasm both serve ANY localhost/x: "),
        "{said:#?}"
    );
    assert!(said[1].contains("websocket_echo.wasm both serve WS localhost/x: "), "{said:#?}");
}

#[tokio::test]
async fn without_a_component_there_is_nothing_to_do() {
    let said = mistaken(&[]).await;
    assert!(said[0].contains("there is no component to serve"), "{said:?}");
}

#[tokio::test]
async fn bad_component_files_are_all_told() {
    // given a file that is not there, a core module, and one with an unknown import
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(files.path().join(name), wat::parse_str(text).unwrap()).unwrap()
    };
    write("core.wasm", "(module)");
    write(
        "import.wasm",
        r#"(component (import "acme:rockets/launch@1.0.0" (instance (export "go" (func)))))"#,
    );
    let file = files.path().join("host.toml");
    let tables = ["core", "import", "missing"].map(|name| {
        format!("[[component]]\nfile = \"{}/{name}.wasm\"\npath = \"/{name}\"\n", files.path().display())
    });
    std::fs::write(&file, tables.concat()).unwrap();
    // when
    let said = mistaken(&["--config", file.to_str().unwrap(), "--no-cache"]).await;
    // then each is one sentence
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains("core.wasm: a core module"), "{said:#?}");
    assert!(
        said[1].contains("import.wasm: imports acme:rockets/launch@1.0.0 which this host does not offer"),
        "{said:#?}"
    );
    assert!(said[2].contains("missing.wasm: there is no such file"), "{said:#?}");
}

#[tokio::test]
async fn without_nats_it_says_so_and_ends() {
    let mut host = start(&[&path("hello"), "--no-cache", "--nats-url", "nats://127.0.0.1:1"]);
    assert_eq!(host.wait_for_exit().await.code(), Some(2));
    let said = host.stderr();
    assert!(said.contains("h8s-host: cannot connect to NATS at nats://127.0.0.1:1"), "{said}");
}

async fn requester(bus: &Bus) -> Requester {
    let link = h8s_nats::Bus::connect(ConnectOptions::new(&bus.url()).unwrap()).await.unwrap();
    let requester = Requester::start(link, RequesterConfig::default()).await.unwrap();
    eventually("the requester is ready", async || requester.is_ready()).await;
    requester
}

async fn answer(requester: &Requester, path: &str, body: &Bytes) -> (StatusCode, Bytes) {
    let request = Request::builder().method("POST").uri(path).header("host", "localhost");
    let request = request.body(Full::new(body.clone())).unwrap();
    let response = soon(requester.send(&"localhost".parse().unwrap(), request)).await.unwrap();
    let status = response.status();
    (status, soon(response.into_body().collect()).await.unwrap().to_bytes())
}

over_both_buses! {
    async fn it_serves_several_components_and_drains(bus) {
        // given a host with two components of one file, each at its own path
        let files = tempfile::tempdir().unwrap();
        let config = files.path().join("host.toml");
        let text = format!(
            "[[component]]\nfile = \"{}\"\npath = \"/echo/*\"\n[[component]]\nfile = \"{}\"\npath = \"/*\"\n\
             env = {{ GREETING = \"hello\" }}\ntimeout = \"2s\"\n",
            path("echo"), path("guests"),
        );
        std::fs::write(&config, text).unwrap();
        let url = bus.url();
        let cache = files.path().join("cache");
        let mut host = start(&[
            "--config", config.to_str().unwrap(), "--cache-dir", cache.to_str().unwrap(), "--nats-url", &url,
        ]);
        host.wait_for_line("ready").await;
        let requester = requester(&bus).await;

        // when each is asked, then each answers
        let large = Bytes::from(vec![b'x'; 3 << 20]);
        assert_eq!(answer(&requester, "/echo/a", &large).await, (StatusCode::OK, large));
        assert_eq!(answer(&requester, "/environment", &Bytes::new()).await, (StatusCode::OK, "GREETING=hello\n".into()));
        assert_eq!(answer(&requester, "/trap", &Bytes::new()).await.0, StatusCode::INTERNAL_SERVER_ERROR);

        // and what is under way at SIGTERM is carried to its end
        let request = Request::get("/slow-stream").header("host", "localhost").body(Full::<Bytes>::default()).unwrap();
        let slow = soon(requester.send(&"localhost".parse().unwrap(), request)).await.unwrap();
        host.terminate();
        let (body, status) = tokio::join!(soon(slow.into_body().collect()), host.wait_for_exit());
        assert!(body.unwrap().to_bytes().ends_with(b"data: 4\n\n"));
        assert!(status.success());
    }
}
