//! What the README says is so: its flags are the programs' flags, its examples work as they stand.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory;
use h8s_test_support::guests::guest;
use h8s_test_support::http_client::get;
use h8s_test_support::process::{Process, program};
use h8s_test_support::raw_origin::RawOrigin;

const README: &str = include_str!("../../../README.md");

/// The fenced block that has `part` in it.
fn block(part: &str) -> &'static str {
    let mut fences = README.split("```");
    let found = std::iter::from_fn(|| fences.nth(1)).find(|block| block.contains(part));
    let block = found.unwrap_or_else(|| panic!("no example in the README has {part:?}"));
    block.split_once('\n').expect("a block begins with its language").1
}

/// Flag, environment variable and default of every row of the table under a heading.
fn rows(heading: &str) -> BTreeSet<[String; 3]> {
    let section = README.split("\n### ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no section {heading:?}"));
    let cells = |line: &str| -> Vec<String> {
        line.split(" | ").map(|cell| cell.trim_matches(['|', ' ']).replace(['`', '—'], "")).collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `--")).map(cells);
    rows.map(|row| {
        let flag = row[0].split(' ').next().unwrap_or_default().trim_start_matches("--").to_owned();
        [flag, row[1].clone(), row[2].clone()]
    })
    .collect()
}

/// The same, as the program has it.
fn flags<F: CommandFactory>() -> BTreeSet<[String; 3]> {
    let command = F::command();
    let arguments = command.get_arguments().filter_map(|argument| {
        let flag = argument.get_long()?.to_owned();
        let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
        let default: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = if argument.get_action().takes_values() { default.join(",") } else { String::new() };
        Some([flag, variable.unwrap_or_default(), default])
    });
    arguments.collect()
}

#[test]
fn the_tables_of_flags_are_the_programs_flags() {
    let about_nats = rows("All three, about NATS");
    assert!(about_nats.len() > 5, "{about_nats:?}");
    for (heading, flags) in [
        ("`h8sd`", flags::<h8s_ingress::Flags>()),
        ("`h8s-host", flags::<h8s_host::Flags>()),
        ("`h8srd`", flags::<h8s_reverse::Flags>()),
    ] {
        let documented: BTreeSet<_> = rows(heading).union(&about_nats).cloned().collect();
        let differences: Vec<_> = documented.symmetric_difference(&flags).collect();
        assert!(differences.is_empty(), "{heading}: {differences:#?}");
    }
}

#[test]
fn the_tables_of_h8s_are_its_help() {
    for command in ["dev", "permissions"] {
        compare_with_help(command);
    }
}

fn compare_with_help(command: &str) {
    let help = Command::new(env!("CARGO_BIN_EXE_h8s")).args([command, "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let documented = rows(&format!("`h8s {command}"));
    assert!(documented.len() > 4, "{documented:?}");
    for [flag, variable, default] in &documented {
        assert!(help.contains(&format!("--{flag}")), "--{flag}");
        assert!(help.contains(variable) && help.contains(default), "--{flag}: {variable} {default}");
    }
    let listed = help.lines().filter(|line| line.trim_start().starts_with('-') && line.contains("--"));
    let listed = listed.filter(|line| !line.contains("--help") && !line.contains("--version")).count();
    assert_eq!(listed, documented.len(), "{help}");
}

#[test]
fn the_host_s_file_is_one() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["hello", "echo"] {
        std::fs::copy(guest(name), directory.path().join(format!("{name}.wasm"))).unwrap();
    }
    let file = directory.path().join("host.toml");
    std::fs::write(&file, block("[[component]]")).unwrap();
    let argv = ["h8s-host".as_ref(), "--no-cache".as_ref(), "--config".as_ref(), file.as_os_str()];
    let (host, _) = h8s_host::Flags::load(argv).and_then(h8s_host::Flags::configs).unwrap();
    assert_eq!(host.components.len(), 2);
}

#[test]
fn the_host_s_file_of_a_component_that_calls_out_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("host.toml");
    std::fs::write(&file, block("secrets = {")).unwrap();
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
    let command = block("--secret TOKEN=env:TOKEN").lines().find(|line| line.contains("h8s dev")).unwrap();
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
    // then the service was asked with the token, which is said nowhere
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
fn the_daemon_s_file_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["internal".to_owned()]).unwrap();
    let ca = directory.path().join("internal-ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let file = directory.path().join("daemon.toml");
    let shown = block("[[backend]]").replace("internal-ca.pem", ca.to_str().unwrap());
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
    let shown = block("async def answer");
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
    write("Cargo.toml", block("name = \"greet\""));
    write("src/lib.rs", block("You asked for {}\\n\", request.uri().path()"));
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
