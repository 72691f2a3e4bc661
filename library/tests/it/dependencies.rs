//! What a program that uses the library gets with it.

use std::process::Command;

/// Packages that belong to programs, and not to a library.
const UNWANTED: [&str; 6] = ["clap", "toml", "tracing-subscriber", "anyhow", "hyper", "h8s-settings"];

fn tree() -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--package", "h8s", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn the_dependency_tree_has_nothing_that_belongs_to_programs() {
    let tree = tree();

    assert!(tree.iter().any(|name| name == "h8s-nats") && tree.iter().any(|name| name == "async-nats"));
    let unwanted: Vec<&String> = tree.iter().filter(|name| UNWANTED.contains(&name.as_str())).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}
