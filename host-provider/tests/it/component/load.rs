//! Invalid component files: one sentence each, with the file and the cause.

use std::path::PathBuf;

use h8s_host::{ComponentSource, Limits, LoadErrors};
use h8s_test_support::guests::guest;
use tempfile::TempDir;

use crate::fixture::{engine, source};

/// Files for one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn wat(&self, name: &str, text: &str) -> PathBuf {
        self.bytes(name, &wat::parse_str(text).unwrap())
    }

    fn bytes(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    }
}

async fn refusal(file: PathBuf) -> String {
    refusals(vec![file]).await.to_string()
}

async fn refusals(files: Vec<PathBuf>) -> LoadErrors {
    let source = |file: PathBuf| ComponentSource { file, ..source("guests", Limits::default()) };
    h8s_host::load(engine(), None, files.into_iter().map(source).collect()).await.unwrap_err()
}

#[tokio::test]
async fn a_file_that_is_not_there() {
    assert_eq!(refusal("/nowhere/x.wasm".into()).await, "component /nowhere/x.wasm: there is no such file");
}

#[tokio::test]
async fn a_directory() {
    let files = Files::new();
    let message = refusal(files.0.path().to_owned()).await;
    assert!(message.contains("cannot be read"), "{message}");
}

#[tokio::test]
async fn a_file_that_is_not_wasm() {
    let files = Files::new();
    for bytes in [&b"#!/bin/sh"[..], b"", b"\0asm", b"\x7fELF\x02\x01\x01"] {
        let message = refusal(files.bytes("x.wasm", bytes)).await;
        assert!(message.ends_with("x.wasm: not a WebAssembly file"), "{message}");
    }
}

#[tokio::test]
async fn a_core_module() {
    let files = Files::new();
    let message = refusal(files.wat("core.wasm", "(module)")).await;
    assert!(message.contains("core.wasm: a core module, not a component"), "{message}");
}

#[tokio::test]
async fn a_component_cut_in_half() {
    let files = Files::new();
    let whole = std::fs::read(guest("hello")).unwrap();
    let message = refusal(files.bytes("half.wasm", &whole[..whole.len() / 2])).await;
    assert!(message.contains("half.wasm: invalid: "), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[tokio::test]
async fn imports_that_the_host_does_not_offer() {
    // given a component with two unknown imports beside a known one
    let files = Files::new();
    let file = files.wat(
        "imports.wasm",
        r#"(component
            (import "wasi:cli/environment@0.2.0" (instance))
            (import "acme:rockets/launch@1.0.0" (instance (export "go" (func))))
            (import "wasi:http/types@9.0.0" (instance (export "f" (func)))))"#,
    );
    // when
    let message = refusal(file).await;
    // then both are named, and the known one is not
    assert!(
        message.ends_with(
            "imports.wasm: imports acme:rockets/launch@1.0.0, wasi:http/types@9.0.0 which this host does not offer"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn an_import_of_another_shape() {
    let files = Files::new();
    let text = r#"(component (import "wasi:cli/environment@0.2.0" (instance (export "no-such-thing" (func))))
        (instance $h (export "x" (instance)))
    )"#;
    let text = text.replace("(instance $h (export \"x\" (instance)))", HANDLER);
    let message = refusal(files.wat("shape.wasm", &text)).await;
    assert!(message.contains("does not fit") && message.contains("wasi:cli/environment@0.2.0"), "{message}");
    assert!(message.contains("no-such-thing"), "{message}");
}

/// An export by the name of the handler, with nothing in it.
const HANDLER: &str = r#"(instance $h) (export "wasi:http/incoming-handler@0.2.0" (instance $h))"#;

#[tokio::test]
async fn a_handler_of_another_shape() {
    let files = Files::new();
    let message = refusal(files.wat("shape.wasm", &format!("(component {HANDLER})"))).await;
    assert!(message.contains("shape.wasm: its export does not fit this host"), "{message}");
}

#[tokio::test]
async fn a_component_that_answers_nothing() {
    let files = Files::new();
    let message = refusal(files.wat("empty.wasm", "(component)")).await;
    assert!(
        message.ends_with(
            "empty.wasm: does not export any of wasi:http/incoming-handler@0.2, h8s:provider/request-reply@0.1 or \
             h8s:provider/receiver@0.1 (it exports nothing)"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn exports_by_the_right_name_in_another_shape() {
    let files = Files::new();
    // A function of the right name without parameters, in each of the packages; and one that is missing.
    let function = r#"(core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f"))) (instance $e (export "NAME" (func $f)))"#;
    for (interface, name, cause) in [
        ("h8s:provider/receiver@0.1.0", "handle-message", "unexpected parameters"),
        ("h8s:provider/receiver@0.1.7", "handle-message", "unexpected parameters"),
        ("h8s:provider/request-reply@0.1.0", "handle-message", "unexpected parameters"),
        ("mattilsynet:h8s-provider/receiver@0.1.0", "handle-message", "unexpected parameters"),
        ("h8s:provider/lifecycle@0.1.0", "on-close", "function on-open is missing"),
        ("h8s:provider/receiver@0.1.0", "handle-messages", "function handle-message is missing"),
    ] {
        let export = format!("(export \"{interface}\" (instance $e))");
        let text = format!("(component {} {export})", function.replace("NAME", name));
        let message = refusal(files.wat("shape.wasm", &text)).await;
        assert!(message.contains("shape.wasm: its export does not fit this host: "), "{message}");
        assert!(message.contains(cause), "{interface} {name}: {message}");
    }
}

#[tokio::test]
async fn what_answers_nothing_is_named() {
    let files = Files::new();
    let text = r#"(component (instance $i) (export "h8s:provider/sender@0.1.0" (instance $i)))"#;
    let message = refusal(files.wat("alone.wasm", text)).await;
    assert!(message.ends_with("(it exports h8s:provider/sender@0.1.0)"), "{message}");
}

#[tokio::test]
async fn other_versions_of_ours_are_unknown() {
    let files = Files::new();
    let text = r#"(component (import "h8s:provider/sender@0.2.0" (instance (export "send" (func)))))"#;
    let message = refusal(files.wat("newer.wasm", text)).await;
    assert!(
        message.contains("imports h8s:provider/sender@0.2.0 which this host does not offer"),
        "{message}"
    );
}

#[tokio::test]
async fn a_component_that_starts_out_too_large() {
    let small = ComponentSource {
        limits: Limits { memory_bytes: 64 << 10, ..Limits::default() },
        ..source("guests", Limits::default())
    };
    let error = h8s_host::load(engine(), None, vec![small]).await.unwrap_err().to_string();
    assert!(error.contains("bytes of memory, the limit is 65536"), "{error}");
}

#[tokio::test]
async fn precompiled_code_is_not_accepted() {
    // given a component precompiled by wasmtime
    let engine = wasmtime::Engine::default();
    let compiled = engine.precompile_component(&std::fs::read(guest("hello")).unwrap()).unwrap();
    // when it is offered as a component
    let files = Files::new();
    let message = refusal(files.bytes("hello.cwasm", &compiled)).await;
    // then
    assert!(message.ends_with("hello.cwasm: not a WebAssembly file"), "{message}");
}

#[tokio::test]
async fn all_errors_are_reported_together() {
    let files = Files::new();
    let wrong =
        vec![files.bytes("a.wasm", b"?"), guest("hello"), files.wat("b.wasm", "(module)"), "c.wasm".into()];
    let LoadErrors(errors) = refusals(wrong).await;
    let names: Vec<_> =
        errors.iter().map(|error| error.to_string().split(": ").nth(1).unwrap().to_owned()).collect();
    assert_eq!(errors.len(), 3);
    assert!(
        names[0].starts_with("not a WebAssembly") && names[2].starts_with("there is no such file"),
        "{names:?}"
    );
}
