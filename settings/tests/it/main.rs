//! The public door, with the real environment.

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Parser)]
struct Flags {
    // cargo sets this for every test it runs.
    #[arg(long, env = "CARGO_PKG_NAME")]
    name: String,
    #[arg(long)]
    config: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    count: u16,
}

#[test]
fn the_environment_of_the_process_is_read() {
    let loaded = h8s_settings::load::<Flags>(["program", "--count", "3"]).unwrap();

    assert_eq!((loaded.flags.name.as_str(), loaded.flags.count), ("h8s-settings", 3));
    assert!(loaded.flags.config.is_none() && loaded.file.is_none());
}

#[test]
fn tables_nobody_asked_for_are_mistakes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "count = 2\n[component]\nfile = 'a.wasm'").unwrap();
    let argv = ["program".as_ref(), "--config".as_ref(), file.path().as_os_str()];

    let exit = h8s_settings::load::<Flags>(argv).unwrap_err();
    assert!(exit.to_string().contains("component is not a known key"), "{exit}");

    let loaded = h8s_settings::load_with::<Flags>(argv, &["component"]).unwrap();
    assert_eq!((loaded.flags.count, loaded.tables["component"]["file"].as_str()), (2, Some("a.wasm")));
}
