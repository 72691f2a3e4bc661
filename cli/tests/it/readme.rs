//! The examples of the README and of the pages in `docs/` work as printed.

use std::path::Path;

use h8s_test_support::guests::guest;
use h8s_test_support::http_client::get;
use h8s_test_support::process::{Process, program};
use h8s_test_support::raw_origin::RawOrigin;

/// The pages with examples that are run here.
const COMPONENTS: &str = include_str!("../../../docs/components/rust.md");
const OUTGOING: &str = include_str!("../../../docs/components/outgoing.md");
const CONFIGURATION: &str = include_str!("../../../docs/reference/configuration.md");
const LOCAL_SERVICES: &str = include_str!("../../../docs/local-services.md");
const RESPONDERS: &str = include_str!("../../../docs/responders.md");

/// The first fenced block of a page that contains `part`.
fn block<'a>(page: &'a str, part: &str) -> &'a str {
    let mut fences = page.split("```");
    let found = std::iter::from_fn(|| fences.nth(1)).find(|block| block.contains(part));
    let block = found.unwrap_or_else(|| panic!("no example of the page contains {part:?}"));
    block.split_once('\n').expect("a block begins with its language").1
}

#[test]
fn the_gateway_s_file_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["internal".to_owned()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let file = directory.path().join("h8sd.toml");
    let shown = block(CONFIGURATION, "track-interest = true");
    let shown = shown.replace("/etc/h8s/tls/fullchain.pem", cert.to_str().unwrap());
    std::fs::write(&file, shown.replace("/etc/h8s/tls/privkey.pem", key.to_str().unwrap())).unwrap();
    let argv = ["h8sd".as_ref(), "--config".as_ref(), file.as_os_str()];
    let flags = h8s_settings::load::<h8s_ingress::Flags>(argv).unwrap().flags;
    let (gateway, _) = flags.configs().unwrap();
    assert_eq!(gateway.listen.len(), 2);
}

#[test]
fn the_host_s_file_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["hello", "echo"] {
        std::fs::copy(guest(name), directory.path().join(format!("{name}.wasm"))).unwrap();
    }
    let file = directory.path().join("host.toml");
    std::fs::write(&file, block(COMPONENTS, "[[component]]")).unwrap();
    let argv = ["h8s-host".as_ref(), "--no-cache".as_ref(), "--config".as_ref(), file.as_os_str()];
    let (host, _) = h8s_host::Flags::load(argv).and_then(h8s_host::Flags::configs).unwrap();
    assert_eq!(host.components.len(), 2);
}

#[test]
fn the_host_s_file_of_a_component_that_calls_out_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("host.toml");
    std::fs::write(&file, block(OUTGOING, "secrets = {")).unwrap();
    let argv = ["h8s-host".as_ref(), "--no-cache".as_ref(), "--config".as_ref(), file.as_os_str()];
    let (host, _) = h8s_host::Flags::load(argv).and_then(h8s_host::Flags::configs).unwrap();
    let source = &host.components[0].source;
    assert_eq!((source.outgoing.allowed.len(), source.configuration.secrets.len()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_that_calls_out_does() {
    // given the example's command, with a service of this machine in place of the example's
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/x-test\r\nContent-Length: 5\r\n\r\nhello";
    let service = RawOrigin::answering(answer).await;
    let url = format!("http://localhost:{}", service.address().port());
    let command =
        block(OUTGOING, "--secret TOKEN=env:TOKEN").lines().find(|line| line.contains("h8s dev")).unwrap();
    let command = command.replace("https://api.example.com", &url).replace("api.example.com", &url);
    let command = command.replace("fetch.wasm", guest("fetch").to_str().unwrap());
    let mut dev = program(env!("CARGO_BIN_EXE_h8s"));
    dev.args(command.split_whitespace().skip_while(|word| *word != "dev")).args(["--listen", "127.0.0.1:0"]);
    dev.envs([
        ("TOKEN", "hunter2"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
    ]);
    let mut dev = Process::start(&mut dev);
    let line = dev.wait_for_line("http://127.0.0.1").await;
    let own = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    // when
    let (status, headers, body) = get(&format!("{own}/users/me")).await;
    // then the service received the token, which no output shows
    assert_eq!((status.as_u16(), body.as_ref()), (200, &b"hello"[..]), "{}", dev.output());
    assert_eq!(headers["content-type"], "text/x-test");
    let asked = service.last();
    assert_eq!(
        (asked.head.target.as_str(), asked.head.header("authorization")),
        ("/users/me", Some("Bearer hunter2"))
    );
    assert!(!dev.output().contains("hunter2"));
}

#[test]
fn the_daemon_s_file_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["internal".to_owned()]).unwrap();
    let ca = directory.path().join("internal-ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let file = directory.path().join("daemon.toml");
    let shown = block(LOCAL_SERVICES, "[[backend]]").replace("internal-ca.pem", ca.to_str().unwrap());
    std::fs::write(&file, shown).unwrap();
    let argv = ["h8srd".as_ref(), "--config".as_ref(), file.as_os_str()];
    let (daemon, _) = h8s_reverse::Flags::load(argv).and_then(h8s_reverse::Flags::configs).unwrap();
    let hosts: Vec<usize> = daemon.mappings.iter().map(|mapping| mapping.hosts.len()).collect();
    assert_eq!(hosts, [1, 2]);
    assert!(daemon.mappings[1].strip_prefix && !daemon.mappings[0].strip_prefix);
}

#[test]
fn the_python_responder_is_the_example_s() {
    let example = include_str!("../../../examples/plain-responder.py");
    let shown = block(RESPONDERS, "async def answer");
    assert!(shown.lines().count() > 8 && example.contains(shown.trim_end()), "not in the example:\n{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_component_builds_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", block(COMPONENTS, "name = \"greet\""));
    write("src/lib.rs", block(COMPONENTS, "You asked for {}\\n\", request.uri().path()"));
    // What the other components use is here already: the example needs no network.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/Cargo.lock");
    std::fs::copy(lock, directory.path().join("Cargo.lock")).unwrap();

    // The first build takes longer than anything else that is waited for here.
    let mut cargo = program("cargo");
    let built =
        cargo.args(["build", "--release", "--target", "wasm32-wasip2"]).env_remove("CARGO_TARGET_DIR");
    assert!(built.current_dir(directory.path()).status().unwrap().success());

    let mut dev = program(env!("CARGO_BIN_EXE_h8s"));
    dev.args(["dev", "--listen", "127.0.0.1:0", "."])
        .current_dir(directory.path())
        .env_remove("CARGO_TARGET_DIR");
    let mut dev = Process::start(&mut dev);
    let line = dev.wait_for_line("http://127.0.0.1").await;
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let (status, _, body) = get(&format!("{url}/some/where")).await;
    assert_eq!((status.as_u16(), body.as_ref()), (200, &b"You asked for /some/where\n"[..]));
}
