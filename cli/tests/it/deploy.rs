//! The files in `deploy/` match the programs: flags, keys and variables exist, configurations are valid, and systemd's
//! stop settings match the programs' behaviour.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use h8s_settings::duration;
use h8s_test_support::guests::guest;

/// The programs, and their flags.
fn programs() -> [(&'static str, Command); 3] {
    [
        ("h8sd", h8s_ingress::Flags::command()),
        ("h8s-host", h8s_host::Flags::command()),
        ("h8srd", h8s_reverse::Flags::command()),
    ]
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

/// All values of a unit's key, without comments.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    match values(unit, key)[..] {
        [value] => value,
        ref values => panic!("{key}: {values:?}"),
    }
}

fn variables(command: &Command) -> BTreeSet<String> {
    command.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned())).collect()
}

#[test]
fn units_start_the_programs_with_flags_and_variables_that_they_have() {
    for (name, command) in programs() {
        let unit = text(&format!("{name}.service"));
        let start = value(&unit, "ExecStart");
        let [program, flag, config] = start.split(' ').collect::<Vec<_>>()[..] else { panic!("{start}") };
        assert_eq!(program, format!("/usr/local/bin/{name}"));
        assert_eq!((flag, config), ("--config", &*format!("/etc/h8s/{name}.toml")));
        let known = variables(&command);
        let given = values(&unit, "Environment");
        assert!(given.contains(&"NATS_CREDS_PATH=%d/nats.creds"), "{given:?}");
        for variable in given.iter().map(|given| given.split('=').next().unwrap()) {
            assert!(known.contains(variable), "{name} has no {variable}");
        }
        assert_eq!(value(&unit, "LoadCredential"), format!("nats.creds:/etc/h8s/nats/{name}.creds"));
    }
}

#[test]
fn units_wait_for_the_drain() {
    for (name, command) in programs() {
        let unit = text(&format!("{name}.service"));
        let grace = command.get_arguments().find(|flag| flag.get_long() == Some("grace-period")).unwrap();
        let grace = duration(grace.get_default_values()[0].to_str().unwrap()).unwrap();
        let stop_timeout = duration(value(&unit, "TimeoutStopSec")).unwrap();
        assert!(stop_timeout > grace, "{name}: {stop_timeout:?} for {grace:?}");
        assert_eq!(value(&unit, "KillSignal"), "SIGTERM");
        // SIGHUP ends a daemon; the others reload.
        assert_eq!(values(&unit, "ExecReload").is_empty(), name == "h8srd", "{name}");
    }
}

/// The sandboxing settings that the documentation promises.
#[test]
fn units_are_confined() {
    for (name, _) in programs() {
        let unit = text(&format!("{name}.service"));
        for (key, expected) in [
            ("DynamicUser", "yes"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("RestrictAddressFamilies", "AF_INET AF_INET6"),
        ] {
            assert_eq!(value(&unit, key), expected, "{name}");
        }
        let capabilities = if name == "h8sd" { "CAP_NET_BIND_SERVICE" } else { "" };
        assert_eq!(value(&unit, "CapabilityBoundingSet"), capabilities, "{name}");
        assert!(values(&unit, "SystemCallFilter").contains(&"@system-service"), "{name}");
        let compiles = name == "h8s-host";
        assert_eq!(values(&unit, "MemoryDenyWriteExecute").is_empty(), compiles, "{name}");
    }
}

#[test]
fn the_configurations_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let argv = |name: &str, text: String| {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        ["program".into(), "--config".into(), file.into_os_string()]
    };
    let gateway = argv("h8sd.toml", text("h8sd.toml"));
    let flags = h8s_settings::load::<h8s_ingress::Flags>(gateway).unwrap().flags;
    assert_eq!(flags.configs().unwrap().0.listen.len(), 2);

    let hello = guest("hello");
    let host = text("h8s-host.toml").replace("/srv/h8s/hello.wasm", hello.to_str().unwrap());
    let mut host = argv("h8s-host.toml", host).to_vec();
    host.push("--no-cache".into());
    let loaded = h8s_host::Flags::load(host).unwrap();
    assert_eq!(h8s_host::Flags::configs(loaded).unwrap().0.components.len(), 1);

    let daemon = h8s_reverse::Flags::load(argv("h8srd.toml", text("h8srd.toml"))).unwrap();
    assert_eq!(h8s_reverse::Flags::configs(daemon).unwrap().0.mappings.len(), 1);
}

#[test]
fn commented_out_lines_are_valid_settings() {
    let keys: BTreeSet<_> = h8s_ingress::Flags::command()
        .get_arguments()
        .filter_map(|flag| flag.get_long().map(str::to_owned))
        .collect();
    let text = text("h8sd.toml");
    let commented: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix('#')?.split_once(" = ")).collect();
    assert!(commented.len() >= 3, "{commented:?}");
    assert!(commented.iter().all(|(key, _)| keys.contains(*key)), "{commented:?}");
}

#[test]
fn every_named_variable_exists() {
    let known: BTreeSet<_> = programs().iter().flat_map(|(_, command)| variables(command)).collect();
    for file in path("").read_dir().unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        let text = text(&file);
        let is_part = |sign: char| !(sign.is_ascii_uppercase() || sign.is_ascii_digit() || sign == '_');
        let named = text.split(is_part).filter(|word| {
            ["H8S_", "H8SRD_", "NATS_"]
                .iter()
                .any(|start| word.len() > start.len() && word.starts_with(start))
        });
        for variable in named {
            assert!(known.contains(variable), "{file}: {variable}");
        }
    }
}

#[test]
fn each_program_has_an_image_and_none_runs_as_root() {
    let file = text("Containerfile");
    for (name, command) in programs() {
        let (_, stage) = file.split_once(&format!("\nFROM base AS {name}\n")).unwrap();
        let stage = stage.split("\nFROM ").next().unwrap();
        assert!(stage.contains(&format!("ENTRYPOINT [\"/usr/local/bin/{name}\"]")), "{stage}");
        let known = variables(&command);
        let set = stage.lines().filter_map(|line| line.strip_prefix("ENV ")?.split('=').next());
        assert!(set.into_iter().all(|variable| known.contains(variable)), "{stage}");
        assert!(!stage.contains("USER"), "{stage}");
    }
    let (_, base) = file.split_once(" AS base\n").unwrap();
    assert!(base.split("\nFROM ").next().unwrap().contains("\nUSER 65532:65532\n"), "{base}");
}
