//! Which component is served at which path, from the command line.

use std::path::{Path, PathBuf};

use h8s_settings::{ConfigErrors, Exit};
use h8s_wire::PathPattern;
use toml::Table;

/// The error without arguments, outside a component's directory.
const NO_COMPONENT: &str = "no component to serve: the current directory has no Cargo.toml of a library with \
                            crate-type = [\"cdylib\"]; name a .wasm file or a component's directory, as in \
                            `h8s dev components/hello`";

/// One argument: `[PATH=]COMPONENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComponentArgument {
    /// The path to serve, if the argument has one.
    pub(crate) path: Option<PathPattern>,
    /// An existing file, or an existing directory to build.
    pub(crate) component: PathBuf,
}

/// A component's file, and the path it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) path: PathPattern,
    pub(crate) file: PathBuf,
    /// Its name in the log: the file's name.
    pub(crate) name: String,
}

/// Reads all arguments; without any, the component is the current directory.
///
/// # Errors
/// All invalid arguments.
pub(crate) fn arguments(texts: &[String], current: &Path) -> Result<Vec<ComponentArgument>, Exit> {
    let mut mistakes = ConfigErrors::new();
    if texts.is_empty() && !holds_component(current) {
        mistakes.push(NO_COMPONENT);
    }
    let here = texts.is_empty().then(|| ComponentArgument { path: None, component: ".".into() });
    let read = |argument: &String| parse(argument).map_err(|mistake| mistakes.push(mistake)).ok();
    let arguments = texts.iter().filter_map(read).chain(here).collect();
    mistakes.into_result().map(|()| arguments)
}

fn parse(argument: &str) -> Result<ComponentArgument, String> {
    // A file may have `=` in its name.
    if Path::new(argument).exists() {
        return Ok(ComponentArgument { path: None, component: argument.into() });
    }
    let Some((path, component)) = argument.split_once('=') else {
        return Err(format!("component {argument}: no such file or directory"));
    };
    let path = path
        .parse()
        .map_err(|error| format!("{argument}: {path:?} is not a valid path to serve: {error}"))?;
    match Path::new(component).exists() {
        true => Ok(ComponentArgument { path: Some(path), component: component.into() }),
        false => Err(format!("component {component}: no such file or directory")),
    }
}

/// Whether it is a package with a `cdylib`, which is how components are built.
fn holds_component(directory: &Path) -> bool {
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
    let manifest: Table = manifest.parse().unwrap_or_default();
    let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")?.as_array());
    manifest.contains_key("package")
        && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib")))
}

/// Assigns a path to every component. `files` has one file for each argument.
///
/// # Errors
/// Two components would serve the same path.
pub(crate) fn placements(
    arguments: &[ComponentArgument],
    files: Vec<PathBuf>,
) -> Result<Vec<Placement>, Exit> {
    let mut mistakes = ConfigErrors::new();
    let without_path = arguments.iter().filter(|argument| argument.path.is_none()).count();
    let mut placements: Vec<Placement> = Vec::new();
    for (argument, file) in arguments.iter().zip(files) {
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let default = if without_path == 1 { "/*".to_owned() } else { format!("/{name}/*") };
        let path = argument.path.clone().map_or_else(|| default.parse(), Ok);
        let Ok(path) = path else {
            mistakes.push(format!(
                "{0}: its name is not a valid path; name one, as in /somewhere/*={0}",
                file.display()
            ));
            continue;
        };
        if let Some(other) = placements.iter().find(|other| other.path == path) {
            let (other, file) = (other.file.display(), file.display());
            mistakes.push(format!(
                "{other} and {file} would both be served at {path}; name another path, as in /somewhere/*={file}"
            ));
        }
        placements.push(Placement { path, file, name });
    }
    mistakes.into_result().map(|()| placements)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(arguments: &[&str]) -> Result<Vec<String>, String> {
        let parsed: Vec<ComponentArgument> = arguments
            .iter()
            .map(|argument| match argument.split_once('=') {
                Some((path, component)) => {
                    ComponentArgument { path: Some(path.parse().unwrap()), component: component.into() }
                }
                None => ComponentArgument { path: None, component: argument.into() },
            })
            .collect();
        let files = parsed.iter().map(|argument| argument.component.clone()).collect();
        let placed = placements(&parsed, files).map_err(|exit| exit.to_string())?;
        Ok(placed.iter().map(|placement| format!("{} {}", placement.path, placement.name)).collect())
    }

    #[test]
    fn one_component_is_served_everywhere() {
        assert_eq!(places(&["x/hello.wasm"]).unwrap(), ["/* hello"]);
    }

    #[test]
    fn several_components_are_served_under_their_names() {
        assert_eq!(places(&["hello.wasm", "x/echo.wasm"]).unwrap(), ["/hello/* hello", "/echo/* echo"]);
    }

    #[test]
    fn a_named_path_is_kept() {
        assert_eq!(places(&["/api=a.wasm", "b.wasm"]).unwrap(), ["/api a", "/* b"]);
    }

    #[test]
    fn one_path_serves_one_component() {
        let error = places(&["a/x.wasm", "b/x.wasm", "/c/*=c.wasm", "/c/*=d.wasm"]).unwrap_err();

        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(error.contains("a/x.wasm and b/x.wasm would both be served at /x/*"), "{error}");
        assert!(error.contains("c.wasm and d.wasm would both be served at /c/*"), "{error}");
    }

    #[test]
    fn a_name_that_is_not_a_valid_path_needs_one() {
        let error = places(&["*.wasm", "b.wasm"]).unwrap_err();

        assert!(error.contains("*.wasm: its name is not a valid path"), "{error}");
    }

    #[test]
    fn arguments_are_read_and_all_errors_reported() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a=b.wasm");
        std::fs::write(&odd, "").unwrap();
        let odd = odd.to_str().unwrap().to_owned();

        let read = arguments(&[odd.clone(), format!("/x/*={odd}")], directory.path()).unwrap();
        assert_eq!(read[0], ComponentArgument { path: None, component: odd.clone().into() });
        assert_eq!(
            read[1],
            ComponentArgument { path: Some("/x/*".parse().unwrap()), component: odd.as_str().into() }
        );

        let texts = ["nowhere.wasm".to_owned(), "/x=nowhere".into(), format!("x={odd}")];
        let error = arguments(&texts, directory.path()).unwrap_err().to_string();
        assert_eq!(error.lines().count(), 3, "{error}");
        assert!(error.contains("nowhere.wasm: no such file"), "{error}");
        assert!(
            error.contains("\"x\" is not a valid path to serve: a path pattern starts with '/'"),
            "{error}"
        );
    }

    #[test]
    fn without_arguments_it_is_the_component_in_the_current_directory() {
        let directory = tempfile::tempdir().unwrap();
        let here = |manifest: &str| {
            std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
            arguments(&[], directory.path())
        };

        let found = here("[package]\nname = 'a'\n[lib]\ncrate-type = ['cdylib']\n").unwrap();
        assert_eq!(found, [ComponentArgument { path: None, component: ".".into() }]);
        for nothing in ["", "[workspace]\n", "[package]\nname = 'a'\n", "not toml"] {
            let error = here(nothing).unwrap_err().to_string();
            assert!(error.contains("h8s dev components/hello"), "{nothing}: {error}");
        }
    }
}
