//! Errors of `h8s`: one sentence each, and exit code 2.

use h8s_test_support::process::{Process, program};

use crate::programs::{component, h8s_dev};

/// The lines on standard error, after checking the exit code.
async fn errors(arguments: &[&str]) -> Vec<String> {
    let mut dev = Process::start(&mut h8s_dev(arguments));
    let code = dev.wait_for_exit().await.code();
    assert_eq!(code, Some(2), "{}", dev.output());
    assert_eq!(dev.stdout(), "");
    dev.stderr().lines().map(str::to_owned).collect()
}

async fn single_error(arguments: &[&str]) -> String {
    let errors = errors(arguments).await;
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors[0].clone()
}

#[tokio::test]
async fn a_port_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let error = single_error(&["--listen", &address, &component("hello")]).await;

    assert!(error.contains(&address) && error.contains("in use") && error.contains("--listen"), "{error}");
}

#[tokio::test]
async fn an_address_that_other_machines_can_reach() {
    let error = single_error(&["--listen", "0.0.0.0:0", &component("hello")]).await;

    assert!(
        error.contains("--listen") && error.contains("other machines") && error.contains("h8sd"),
        "{error}"
    );
}

#[tokio::test]
async fn a_nats_server_that_cannot_be_reached() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("nats://user:secret@{free}");

    let error = single_error(&["--listen=127.0.0.1:0", "--nats-url", &url, &component("hello")]).await;

    assert!(error.contains(&format!("nats://{free}")) && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn invalid_flags_are_all_reported() {
    let errors = errors(&["--listen=nowhere", "--log-format=xml", "--no-such-flag", "x.wasm"]).await;

    for flag in ["--listen", "--log-format", "--no-such-flag"] {
        assert_eq!(errors.iter().filter(|line| line.contains(flag)).count(), 1, "{flag}: {errors:#?}");
    }
}

#[tokio::test]
async fn missing_files_are_all_reported() {
    let errors = errors(&["/nowhere/a.wasm", "/b=/nowhere/b.wasm", "c=d"]).await;

    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].contains("/nowhere/a.wasm: no such file"), "{errors:#?}");
    assert!(errors[1].contains("/nowhere/b.wasm: no such file"), "{errors:#?}");
    assert!(errors[2].contains("c=d") && errors[2].contains("starts with '/'"), "{errors:#?}");
}

#[tokio::test]
async fn files_that_are_not_components_are_all_reported() {
    // given a text, a core module, and a component with an unknown import
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
    let errors = errors(&["--listen=127.0.0.1:0", &text, &core, &import]).await;
    // then
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].contains(&format!("{text}: not a WebAssembly file")), "{errors:#?}");
    assert!(errors[1].contains(&format!("{core}: a core module, not a component")), "{errors:#?}");
    assert!(
        errors[2].contains(&format!("{import}: imports acme:rockets/launch@1.0.0 which this host")),
        "{errors:#?}"
    );
}

#[tokio::test]
async fn two_components_at_one_path() {
    let hello = component("hello");

    let error = single_error(&["--listen=127.0.0.1:0", &hello, &hello]).await;

    assert!(error.contains("would both be served at /hello/*"), "{error}");
}

#[tokio::test]
async fn an_unknown_key_of_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "listne = \"127.0.0.1:0\"\n").unwrap();

    let error = single_error(&["--config", file.path().to_str().unwrap(), "x.wasm"]).await;

    assert!(error.contains("listne") && error.contains("did you mean listen"), "{error}");
}

#[tokio::test]
async fn help_versions_and_unknown_commands() {
    for (arguments, code, expected) in [
        (&["--help"][..], 0, "Usage: h8s <COMMAND>"),
        (&["help", "dev"], 0, "PATH is where"),
        (&["dev", "--help"], 0, "H8S_DEV_LISTEN"),
        (&["--version"], 0, concat!("h8s ", env!("CARGO_PKG_VERSION"))),
        (&["dev", "--version"], 0, concat!("h8s dev ", env!("CARGO_PKG_VERSION"))),
        (&["frobnicate"], 2, "'frobnicate'"),
        (&["permission"], 2, "a similar subcommand exists: 'permissions'"),
        (&[], 2, "Usage: h8s <COMMAND>"),
    ] {
        let mut h8s = Process::start(program(env!("CARGO_BIN_EXE_h8s")).args(arguments));
        assert_eq!(h8s.wait_for_exit().await.code(), Some(code), "{arguments:?}");
        let output = if code == 0 { h8s.stdout() } else { h8s.stderr() };
        assert!(output.contains(expected), "{arguments:?}: {output}");
    }
}
