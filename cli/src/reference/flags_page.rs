//! docs/reference/flags.md, and the test that it is current.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

use super::groups::{grouped, headings};
use super::programs::Program;

/// The file, relative to this crate.
const PAGE: &str = "../docs/reference/flags.md";
/// With this variable the test writes the file.
const UPDATE: &str = "H8S_UPDATE";
/// The heading of the flags that `h8sd`, `h8s-host` and `h8srd` share.
const SHARED: &str = "NATS";

const INTRODUCTION: &str = "\
# Flags

Generated from the definitions behind `--help`; do not edit. `h8s completions SHELL` prints a shell completion, `h8s man
--out DIR` writes man pages from the same definitions.

A flag takes precedence over its environment variable, which takes precedence over the `--config` file (TOML; its keys
are the long names), which takes precedence over the default. Durations are written `500ms`, `30s` or `5m`, sizes
`65536`, `64KiB` or `10MiB`. A program reports all invalid values together, and exits with code 2.
";

/// The whole page.
fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut shared = Vec::new();
    for program in [Program::H8sd, Program::H8sHost, Program::H8srd] {
        let command = grouped(program);
        heading(&mut page, "##", program.name(), &command);
        for (heading, arguments) in groups(program, &command) {
            match heading {
                Some(SHARED) => {
                    shared.push(arguments.iter().map(|argument| row(argument)).collect::<String>())
                }
                _ => table(&mut page, heading.unwrap_or("Arguments"), &arguments),
            }
        }
        let _ = write!(page, "\n{SHARED}: [flags of all three programs](#nats).\n");
    }
    assert!(shared.len() == 3 && shared.iter().all(|rows| *rows == shared[0]), "the {SHARED} flags differ");
    let _ =
        write!(page, "\n## {SHARED}\n\nFlags of `h8sd`, `h8s-host` and `h8srd`.\n\n{COLUMNS}{}", shared[0]);
    for command in grouped(Program::H8s).get_subcommands() {
        heading(&mut page, "##", &format!("h8s {}", command.get_name()), command);
        page.push('\n');
        page.push_str(COLUMNS);
        command.get_arguments().filter(|argument| is_documented(argument)).for_each(|argument| {
            page.push_str(&row(argument));
        });
    }
    page
}

const COLUMNS: &str = "| flag | environment | default | meaning |\n|---|---|---|---|\n";

fn heading(page: &mut String, level: &str, name: &str, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "\n{level} {name}\n\n{}.\n", about.trim_end_matches('.'));
}

/// The flags by heading, in the order of the headings; positional arguments come first, without one.
fn groups(program: Program, command: &Command) -> Vec<(Option<&str>, Vec<&Arg>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Arg>)> = Vec::new();
    for argument in command.get_arguments().filter(|argument| is_documented(argument)) {
        let heading = argument.get_help_heading();
        assert!(
            heading.is_some() || argument.is_positional(),
            "--{} of {} has no group: add it to cli/src/reference/groups.rs",
            argument.get_id(),
            command.get_name()
        );
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, arguments)) => arguments.push(argument),
            None => groups.push((heading, vec![argument])),
        }
    }
    let order = headings(program);
    groups.sort_by_key(|(heading, _)| {
        heading
            .map_or(0, |heading| 1 + order.iter().position(|known| *known == heading).unwrap_or(order.len()))
    });
    groups
}

fn is_documented(argument: &Arg) -> bool {
    !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
}

fn table(page: &mut String, heading: &str, arguments: &[&Arg]) {
    let _ = write!(page, "\n### {heading}\n\n{COLUMNS}");
    arguments.iter().for_each(|argument| page.push_str(&row(argument)));
}

fn row(argument: &Arg) -> String {
    let code = |text: String| if text.is_empty() { "—".to_owned() } else { format!("`{text}`") };
    let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let takes_value = argument.get_action().takes_values();
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let default = if takes_value { defaults.collect::<Vec<_>>().join(",") } else { String::new() };
    format!("| {} | {} | {} | {} |\n", code(name(argument)), code(variable), code(default), meaning(argument))
}

/// `--listen <ADDRESS>`, or the name of a positional argument.
fn name(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    match (argument.get_long(), argument.get_action().takes_values(), value) {
        (Some(long), true, Some(value)) => format!("--{long} <{value}>"),
        (Some(long), ..) => format!("--{long}"),
        (None, _, value) => value.unwrap_or_default(),
    }
}

/// The help, and the possible values.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.replace('\n', " ").replace('|', "\\|").replace('*', "\\*");
    let values = argument.get_possible_values();
    let values: Vec<String> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
    if values.is_empty() || !argument.get_action().takes_values() {
        return help;
    }
    format!("{}. One of {}", help.trim_end_matches('.'), values.join(", "))
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let expected = page();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &expected).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = page.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        page == expected,
        "docs/reference/flags.md is not current. Write it with\n\n    {UPDATE}=1 cargo test -p {} --bins \
         flags_page\n\nThe first difference: {difference:#?}",
        env!("CARGO_PKG_NAME")
    );
}
