//! `h8s completions` and `h8s man`: their output is valid and complete.

use std::process::{Command, Output};

use clap::CommandFactory as _;
use h8s_test_support::process::program;

fn h8s(arguments: &[&str]) -> Output {
    program(env!("CARGO_BIN_EXE_h8s")).args(arguments).output().unwrap()
}

/// The long flags of the programs that are libraries, too.
fn flags() -> [(&'static str, Vec<String>); 3] {
    let long = |command: clap::Command| {
        command.get_arguments().filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
    };
    [
        ("h8sd", long(h8s_ingress::Flags::command())),
        ("h8s-host", long(h8s_host::Flags::command())),
        ("h8srd", long(h8s_reverse::Flags::command())),
    ]
}

#[test]
fn completions_are_scripts_with_every_flag() {
    let directory = tempfile::tempdir().unwrap();
    for (name, flags) in flags() {
        let output = h8s(&["completions", "bash", "--program", name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(flags.len() > 10, "{name}: {flags:?}");
        for flag in flags {
            assert!(script.contains(&format!("--{flag}")), "{name}: --{flag}");
        }
        let file = directory.path().join(name);
        std::fs::write(&file, script).unwrap();
        let checked = Command::new("bash").arg("-n").arg(&file).output().unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{name}: {checked:?}");
    }
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = h8s(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        for word in ["dev", "permissions", "completions", "man", "listen"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn an_unknown_shell_is_an_error_with_exit_code_2() {
    let output = h8s(&["completions", "tcsh"]);
    let error = String::from_utf8(output.stderr).unwrap();

    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("tcsh") && error.contains("bash"), "{error}");
}

#[test]
fn man_pages_are_roff_with_every_flag() {
    // given a directory that does not exist yet
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("man1");
    // when
    let output = h8s(&["man", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // then each program has a page, and each command of h8s
    let page = |name: &str| std::fs::read_to_string(out.join(format!("{name}.1"))).unwrap();
    for (name, flags) in flags() {
        let page = page(name).replace("\\-", "-");
        for flag in flags {
            assert!(page.contains(&format!("--{flag}")), "{name}: --{flag}");
        }
    }
    for name in
        ["h8s", "h8sd", "h8s-host", "h8srd", "h8s-dev", "h8s-permissions", "h8s-completions", "h8s-man"]
    {
        let page = page(name);
        assert!(
            page.lines()
                .find(|line| !line.starts_with(".ie") && !line.starts_with(".el"))
                .unwrap()
                .starts_with(".TH"),
            "{name}: {page}"
        );
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert!(page("h8s-dev").replace("\\-", "-").contains("--nats-url"));
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = h8s(&["man", "--out", file.path().to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();

    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(file.path().to_str().unwrap()), "{error}");
}
