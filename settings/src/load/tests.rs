//! Precedence, and every kind of error, with an injected environment.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use clap::CommandFactory as _;

use super::*;
use crate::Secret;

#[derive(Debug, Parser)]
#[command(name = "program", version = "1.2.3")]
struct Flags {
    /// Components to serve
    #[arg(value_name = "COMPONENT")]
    components: Vec<PathBuf>,
    #[arg(long, env = "CONFIG")]
    config: Option<PathBuf>,
    /// Where clients connect
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, env = "TIMEOUT", default_value = "10s", value_parser = crate::duration)]
    request_timeout: Duration,
    #[arg(long, env = "MAX_BODY", value_parser = crate::size)]
    max_body_size: Option<u64>,
    #[arg(long, env = "HOSTS", value_delimiter = ',')]
    host_filters: Vec<String>,
    #[arg(long, env = "TRACK")]
    track_interest: bool,
    #[arg(long, env = "KEY")]
    authorization_key: Option<Secret>,
    #[arg(long, env = "MODE", value_parser = ["fast", "safe"], default_value = "safe")]
    mode: String,
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    #[arg(long)]
    tls_key: Option<PathBuf>,
    #[arg(long)]
    offset: Option<i32>,
}

#[derive(Debug, Parser)]
#[command(name = "strict")]
struct Strict {
    #[arg(long, env = "BACKEND")]
    backend_url: String,
    #[arg(long)]
    hostname: String,
}

/// Loads from `line` (split at spaces), `env` and no file.
fn read<F: Parser>(line: &str, env: &[(&str, &str)]) -> Result<Loaded<F>, Exit> {
    let argv = ["program"].into_iter().chain(line.split_whitespace());
    let lookup = |name: &OsStr| {
        let found = env.iter().find(|(known, _)| name == *known);
        found.map(|(_, value)| OsString::from(value))
    };
    load_from(argv, &["component"], &lookup)
}

/// Loads with a file of this content beside `line` and `env`.
fn read_with(content: &str, line: &str, env: &[(&str, &str)]) -> Result<Loaded<Flags>, Exit> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    read(&format!("--config {} {line}", file.path().display()), env)
}

/// The lines about invalid settings, without the temporary file's path.
fn errors_of<F: std::fmt::Debug>(result: Result<Loaded<F>, Exit>) -> Vec<String> {
    let exit = result.unwrap_err();
    assert_eq!(exit.code(), 2, "{exit}");
    exit.to_string().lines().map(|line| line.replace(std::env::temp_dir().to_str().unwrap(), "")).collect()
}

#[test]
fn defaults_apply_without_other_values() {
    let loaded = read::<Flags>("", &[]).unwrap();

    assert_eq!(loaded.flags.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(loaded.flags.request_timeout, Duration::from_secs(10));
    assert!(!loaded.flags.track_interest && loaded.file.is_none() && loaded.tables.is_empty());
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let file = "listen = '127.0.0.1:1'\nrequest-timeout = '1s'\nmode = 'fast'";
    let env = [("LISTEN", "127.0.0.1:2"), ("TIMEOUT", "2s")];

    let flags = read_with(file, "--listen 127.0.0.1:3", &env).unwrap().flags;

    assert_eq!(flags.listen.port(), 3);
    assert_eq!(flags.request_timeout, Duration::from_secs(2));
    assert_eq!(flags.mode, "fast");
    assert_eq!(flags.max_body_size, None);
}

#[test]
fn an_empty_environment_variable_is_not_set() {
    let flags = read_with("request-timeout = '1s'", "", &[("TIMEOUT", ""), ("LISTEN", "")]).unwrap().flags;

    assert_eq!((flags.request_timeout, flags.listen.port()), (Duration::from_secs(1), 8080));
}

#[test]
fn a_file_holds_any_scalar_lists_and_switches() {
    let file = "max-body-size = 1024\noffset = -5\ntrack-interest = true\nhost-filters = ['a', 'b']";

    let flags = read_with(file, "one.wasm two.wasm", &[]).unwrap().flags;

    assert_eq!((flags.max_body_size, flags.offset, flags.track_interest), (Some(1024), Some(-5), true));
    assert_eq!(flags.host_filters, ["a", "b"]);
    assert_eq!(flags.components, [PathBuf::from("one.wasm"), PathBuf::from("two.wasm")]);
}

#[test]
fn lists_are_split_at_commas_and_a_higher_layer_replaces_the_whole_list() {
    let flags = read_with("host-filters = 'a,b'", "", &[("HOSTS", "c,d")]).unwrap().flags;

    assert_eq!(flags.host_filters, ["c", "d"]);
}

#[test]
fn a_switch_in_a_higher_layer_wins_also_when_it_is_false() {
    assert!(read_with("track-interest = false", "--track-interest", &[]).unwrap().flags.track_interest);
    assert!(!read_with("track-interest = true", "", &[("TRACK", "false")]).unwrap().flags.track_interest);
    assert!(read_with("", "", &[("TRACK", "1")]).unwrap().flags.track_interest);
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"offset = 7").unwrap();

    let loaded = read::<Flags>("", &[("CONFIG", file.path().to_str().unwrap())]).unwrap();

    assert_eq!(loaded.flags.offset, Some(7));
    assert_eq!(loaded.file.as_deref(), Some(file.path()));
}

#[test]
fn tables_are_handed_back_untouched() {
    let file =
        "offset = 1\n[[component]]\nfile = 'a.wasm'\nlimits = { memory = 5 }\n[[component]]\nfile = 'b.wasm'";

    let loaded = read_with(file, "", &[]).unwrap();

    let components = loaded.tables["component"].as_array().unwrap();
    assert_eq!(components.len(), 2);
    assert_eq!(components[0]["limits"]["memory"].as_integer(), Some(5));
    assert_eq!(loaded.flags.offset, Some(1));
}

#[test]
fn all_errors_of_all_layers_are_reported_together() {
    let file = "request-timeout = 5\nlisten_on = 'x'\nhost-filters = { a = 1 }";
    let line = "--listen nowhere --mode quick --colour red --offset";
    let env = [("MAX_BODY", "10 apples"), ("TRACK", "perhaps")];

    let errors = errors_of(read_with(file, line, &env)).join("\n");

    for expected in [
        "--listen \"nowhere\": invalid socket address syntax (the default is 127.0.0.1:8080).",
        "--mode \"quick\": expected one of fast, safe (the default is safe).",
        "--colour is not a flag of this program; see --help.",
        "a value is required for '--offset <OFFSET>' but none was supplied; see --help.",
        "MAX_BODY=\"10 apples\": \"apples\" is not a unit of size",
        "TRACK=\"perhaps\": expected true or false.",
        "request-timeout = \"5\": the unit is missing; write 5s for seconds",
        "listen_on is not a known key",
        "host-filters is a table; write host-filters = \"value\", or a list of values.",
    ] {
        assert!(errors.contains(expected), "{expected}\nis missing in\n{errors}");
    }
    assert_eq!(errors.lines().count(), 9, "{errors}");
}

#[test]
fn a_table_overrides_the_flags_of_all_layers() {
    let file =
        "offset = 1\nmode = 'fast'\n[[component]]\noffset = 2\ntrack-interest = true\nhost-filters = ['b']";
    let loaded = read_with(file, "--offset 3 --host-filters a", &[("TIMEOUT", "2s")]).unwrap();
    let table = loaded.tables["component"][0].as_table().unwrap();
    let mut errors = ConfigErrors::new();
    let keys = ["offset", "track-interest", "host-filters"];

    let flags: Flags = loaded.layers.overridden("[[component]] 1", table, &keys, &mut errors).unwrap();

    assert!(errors.is_empty() && flags.track_interest && !loaded.flags.track_interest);
    assert_eq!((flags.offset, flags.host_filters, flags.mode.as_str()), (Some(2), vec!["b".into()], "fast"));
    assert_eq!((flags.request_timeout, loaded.flags.offset), (Duration::from_secs(2), Some(3)));
}

#[test]
fn errors_in_a_table_are_all_reported_under_its_label() {
    let file = "[[component]]\noffset = 'x'\nofset = 1\nrequest-timeout = 5\nmode = { a = 1 }";
    let loaded = read_with(file, "", &[]).unwrap();
    let table = loaded.tables["component"][0].as_table().unwrap();
    let mut errors = ConfigErrors::new();

    let keys = ["offset", "request-timeout", "mode"];
    assert!(loaded.layers.overridden::<Flags>("[[component]] 1", table, &keys, &mut errors).is_none());

    let errors = errors.into_result().unwrap_err().to_string();
    for expected in [
        "[[component]] 1: offset = \"x\": ",
        "[[component]] 1: ofset: unknown key; the keys are offset, request-timeout, mode",
        "[[component]] 1: request-timeout = \"5\": the unit is missing; write 5s",
        "[[component]] 1: mode: write a value",
    ] {
        assert!(errors.contains(expected), "{expected}\nis missing in\n{errors}");
    }
}

#[test]
fn several_unknown_flags_are_all_named_with_suggestions() {
    let errors = errors_of(read::<Flags>("--lisen 127.0.0.1:1 --zzz=1 --mode slow", &[]));

    assert_eq!(
        errors,
        [
            "--lisen is not a flag of this program; did you mean --listen?",
            "--zzz is not a flag of this program; see --help.",
            "--mode \"slow\": expected one of fast, safe (the default is safe).",
        ]
    );
}

#[test]
fn a_misspelled_key_gets_a_suggestion() {
    let errors = errors_of(read_with("max_body_size = 1\n[[componnent]]\nfile = 'a'", "", &[])).join("\n");

    assert!(errors.contains("max_body_size is not a known key; did you mean max-body-size?"), "{errors}");
    assert!(errors.contains("componnent is not a known key; did you mean component?"), "{errors}");
}

#[test]
fn a_file_cannot_name_another() {
    let errors = errors_of(read_with("config = 'other.toml'", "", &[])).join("\n");

    assert!(errors.contains("config is not a known key"), "{errors}");
}

#[test]
fn an_invalid_file_is_named_with_its_line_beside_the_other_errors() {
    let errors = errors_of(read_with("offset = 1\noffset = 2", "--listen x", &[]));

    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].contains(", line 2: not valid TOML (") && errors[0].contains("duplicate key"),
        "{errors:?}"
    );
}

#[test]
fn a_missing_file_is_an_error() {
    let errors = errors_of(read::<Flags>("--config /nowhere/at/all.toml", &[]));

    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("--config /nowhere/at/all.toml: cannot be read"), "{errors:?}");
}

#[test]
fn every_missing_required_flag_is_named_with_its_remedies() {
    let errors = errors_of(read::<Strict>("", &[]));

    assert_eq!(
        errors,
        ["--backend-url is missing; give it or set BACKEND.", "--hostname is missing; give it.",]
    );
    assert_eq!(errors_of(read::<Strict>("--hostname x", &[])).len(), 1);
    assert_eq!(read::<Strict>("--hostname x", &[("BACKEND", "y")]).unwrap().flags.backend_url, "y");
}

#[test]
fn conflicts_between_flags_are_checked_over_all_layers() {
    let errors = errors_of(read::<Flags>("--tls-cert a.pem", &[])).join("\n");
    assert!(errors.contains("--tls-key"), "{errors}");

    let flags = read_with("tls-key = 'a.key'", "--tls-cert a.pem", &[]).unwrap().flags;
    assert_eq!((flags.tls_cert, flags.tls_key), (Some("a.pem".into()), Some("a.key".into())));
}

#[test]
fn a_flag_given_twice_is_an_error() {
    let errors = errors_of(read::<Flags>("--offset 1 --offset 2", &[]));

    assert!(errors[0].contains("cannot be used multiple times"), "{errors:?}");
}

#[test]
fn secrets_appear_neither_in_errors_nor_in_help() {
    let flags = read::<Flags>("--authorization-key hunter2", &[]).unwrap().flags;
    assert!(!format!("{flags:?}").contains("hunter2"));

    let errors = errors_of(read_with("authorization-key = ''", "", &[])).join("\n");
    assert!(errors.contains("authorization-key = [secret]: an empty secret protects nothing"), "{errors}");

    let masked = Flags::command().mut_args(mask_secrets);
    let key = masked.get_arguments().find(|arg| arg.get_long() == Some("authorization-key")).unwrap();
    assert!(key.is_hide_env_values_set());
}

#[test]
fn help_and_version_pass_through_with_code_0() {
    let help = read::<Flags>("--listen nonsense --help", &[]).unwrap_err();
    assert_eq!(help.code(), 0);
    for expected in ["Usage: program", "Where clients connect", "[default: 127.0.0.1:8080]", "[env: LISTEN="]
    {
        assert!(help.to_string().contains(expected), "{expected} is missing in\n{help}");
    }
    assert!(help.to_string().contains("[possible values: fast, safe]"), "{help}");
    assert_eq!(read::<Flags>("-h", &[]).unwrap_err().code(), 0);

    let version = read::<Flags>("--version", &[]).unwrap_err();
    assert_eq!((version.code(), version.to_string().as_str()), (0, "program 1.2.3"));
    assert_eq!(read::<Strict>("--help", &[]).unwrap_err().code(), 0);
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_utf8_is_an_error() {
    use std::os::unix::ffi::OsStringExt as _;
    let value = OsString::from_vec(b"\xff\xfe".to_vec());

    let argv = [OsString::from("program"), "--listen".into(), value];
    let errors = errors_of(load_from::<Flags>(argv, &[], &|_| None));

    assert!(errors[0].starts_with("--listen") && errors[0].contains("UTF-8"), "{errors:?}");
}
