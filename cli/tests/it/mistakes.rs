//! What `h8s` says to mistakes: one sentence each that names it, and exit code 2.

use h8s_test_support::process::{Process, program};

use crate::programs::{component, h8s_dev};

/// The lines that it says, having checked the exit code.
async fn said(arguments: &[&str]) -> Vec<String> {
    let mut dev = Process::start(&mut h8s_dev(arguments));
    let code = dev.wait_for_exit().await.code();
    assert_eq!(code, Some(2), "{}", dev.output());
    assert_eq!(dev.stdout(), "");
    dev.stderr().lines().map(str::to_owned).collect()
}

async fn one_sentence(arguments: &[&str]) -> String {
    let said = said(arguments).await;
    assert_eq!(said.len(), 1, "{said:#?}");
    said[0].clone()
}

#[tokio::test]
async fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let said = one_sentence(&["--listen", &address, &component("hello")]).await;

    assert!(said.contains(&address) && said.contains("in use") && said.contains("--listen"), "{said}");
}

#[tokio::test]
async fn an_address_that_others_can_reach() {
    let said = one_sentence(&["--listen", "0.0.0.0:0", &component("hello")]).await;

    assert!(said.contains("--listen") && said.contains("other machines") && said.contains("h8sd"), "{said}");
}

#[tokio::test]
async fn a_nats_that_is_not_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://user:secret@{free}");

    let said = one_sentence(&["--listen=127.0.0.1:0", "--nats-url", &url, &component("hello")]).await;

    assert!(said.contains(&format!("nats://{free}")) && !said.contains("secret"), "{said}");
}

#[tokio::test]
async fn flags_that_make_no_sense_are_all_told() {
    let said = said(&["--listen=nowhere", "--log-format=xml", "--no-such-flag", "x.wasm"]).await;

    for flag in ["--listen", "--log-format", "--no-such-flag"] {
        assert_eq!(said.iter().filter(|line| line.contains(flag)).count(), 1, "{flag}: {said:#?}");
    }
}

#[tokio::test]
async fn files_that_are_not_there_are_all_told() {
    let said = said(&["/nowhere/a.wasm", "/b=/nowhere/b.wasm", "c=d"]).await;

    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains("/nowhere/a.wasm: there is no such file"), "{said:#?}");
    assert!(said[1].contains("/nowhere/b.wasm: there is no such file"), "{said:#?}");
    assert!(said[2].contains("c=d") && said[2].contains("starts with '/'"), "{said:#?}");
}

#[tokio::test]
async fn files_that_are_no_components_are_all_told() {
    // given a text, a core module, and a component with an import that nobody has
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let import = r#"(component (import "acme:rockets/launch@1.0.0" (instance (export "go" (func)))))"#;
    let text = file("text.wasm", b"hello");
    let core = file("core.wasm", &wat::parse_str("(module)").unwrap());
    let import = file("import.wasm", &wat::parse_str(import).unwrap());
    // when
    let said = said(&["--listen=127.0.0.1:0", &text, &core, &import]).await;
    // then
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].contains(&format!("{text}: not a WebAssembly file")), "{said:#?}");
    assert!(said[1].contains(&format!("{core}: a core module, not a component")), "{said:#?}");
    assert!(
        said[2].contains(&format!("{import}: imports acme:rockets/launch@1.0.0 which this host")),
        "{said:#?}"
    );
}

#[tokio::test]
async fn two_components_in_one_place() {
    let hello = component("hello");

    let said = one_sentence(&["--listen=127.0.0.1:0", &hello, &hello]).await;

    assert!(said.contains("would both be served at /hello/*"), "{said}");
}

#[tokio::test]
async fn an_unknown_key_of_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "listne = \"127.0.0.1:0\"\n").unwrap();

    let said = one_sentence(&["--config", file.path().to_str().unwrap(), "x.wasm"]).await;

    assert!(said.contains("listne") && said.contains("did you mean listen"), "{said}");
}

#[tokio::test]
async fn commands_that_there_are_not() {
    for (arguments, code, expected) in [
        (&["--help"][..], 0, "Usage: h8s <COMMAND>"),
        (&["help", "dev"], 0, "PATH says where"),
        (&["dev", "--help"], 0, "H8S_DEV_LISTEN"),
        (&["--version"], 0, concat!("h8s ", env!("CARGO_PKG_VERSION"))),
        (&["dev", "--version"], 0, concat!("h8s dev ", env!("CARGO_PKG_VERSION"))),
        (&["frobnicate"], 2, "'frobnicate'"),
        (&[], 2, "Usage: h8s <COMMAND>"),
    ] {
        let mut h8s = Process::start(program(env!("CARGO_BIN_EXE_h8s")).args(arguments));
        assert_eq!(h8s.wait_for_exit().await.code(), Some(code), "{arguments:?}");
        let said = if code == 0 { h8s.stdout() } else { h8s.stderr() };
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
