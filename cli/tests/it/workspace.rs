//! Arrows between crates only point down: programs → ingress, host-provider, reverse → settings → nats → wire.

use std::process::Command;

use serde_json::Value;

/// The crates of the workspace that each crate may depend on. A new crate needs an entry.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("h8s-wire", &[]),
    ("h8s-settings", &["h8s-nats", "h8s-wire"]),
    ("h8s-broker", &[]),
    ("h8s-nats", &["h8s-wire"]),
    ("h8s", &["h8s-nats", "h8s-wire"]),
    ("h8s-ingress", &["h8s-nats", "h8s-wire", "h8s-settings"]),
    ("h8s-host", &["h8s-nats", "h8s-wire", "h8s-settings"]),
    ("h8s-reverse", &["h8s-nats", "h8s-wire", "h8s-settings"]),
    (
        "h8s-cli",
        &["h8s-broker", "h8s-host", "h8s-ingress", "h8s-nats", "h8s-reverse", "h8s-settings", "h8s-wire"],
    ),
    ("h8s-test-support", &["h8s-broker"]),
    // It includes sources of other crates instead of depending on these.
    (MODELS, &["h8s-wire"]),
    ("h8s-conformance", &["h8s-nats", "h8s-wire"]),
    (
        BENCHES,
        &["h8s-broker", "h8s-host", "h8s-ingress", "h8s-nats", "h8s-reverse", "h8s-test-support", "h8s-wire"],
    ),
];

/// Benches may depend on what they compare with.
const BENCHES: &str = "h8s-benches";
/// Names what the sources name that it includes.
const MODELS: &str = "h8s-models";

/// An entry of a manifest, of any kind but `[dev-dependencies]`.
#[derive(Debug)]
struct Dependency {
    of: String,
    on: String,
}

struct Workspace {
    members: Vec<String>,
    dependencies: Vec<Dependency>,
    dev_dependencies: Vec<Dependency>,
}

fn workspace() -> Workspace {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let mut workspace =
        Workspace { members: Vec::new(), dependencies: Vec::new(), dev_dependencies: Vec::new() };
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        workspace.members.push(name.to_owned());
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap().to_owned();
            let list = match dependency["kind"].as_str() {
                Some("dev") => &mut workspace.dev_dependencies,
                _ => &mut workspace.dependencies,
            };
            list.push(Dependency { of: name.to_owned(), on });
        }
    }
    workspace
}

#[test]
fn every_crate_is_in_the_table() {
    let mut members = workspace().members;
    members.sort();
    let mut known = MAY_USE.map(|(name, _)| name);
    known.sort_unstable();

    assert_eq!(members, known);
}

#[test]
fn dependencies_follow_the_table() {
    let wrong: Vec<Dependency> = workspace()
        .dependencies
        .into_iter()
        .filter(|dependency| dependency.on == "h8s" || dependency.on.starts_with("h8s-"))
        .filter(|dependency| {
            let allowed =
                MAY_USE.iter().find(|(name, _)| *name == dependency.of).map_or(&[][..], |(_, may)| may);
            !allowed.contains(&dependency.on.as_str())
        })
        .collect();

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_nats_depends_on_the_nats_client() {
    let users: Vec<String> = workspace()
        .dependencies
        .into_iter()
        .filter(|each| each.on == "async-nats")
        .map(|each| each.of)
        .collect();

    let expected = |user: &String| ["h8s-nats", BENCHES, MODELS].contains(&user.as_str());
    assert!(users.iter().all(expected) && users.contains(&"h8s-nats".to_owned()), "{users:?}");
}

#[test]
fn only_the_host_depends_on_wasmtime() {
    let Workspace { dependencies, dev_dependencies, .. } = workspace();
    let mut users: Vec<String> = dependencies
        .into_iter()
        .chain(dev_dependencies)
        .filter(|each| each.on.starts_with("wasmtime"))
        .map(|each| each.of)
        .collect();
    users.dedup();

    assert_eq!(users, ["h8s-host"]);
}
