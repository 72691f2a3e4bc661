//! Which component is served where, as the command line says it.

use std::path::{Path, PathBuf};

use h8s_settings::{ConfigErrors, Exit};
use h8s_wire::PathPattern;
use toml::Table;

/// What is said where there is nothing to serve.
const NOTHING: &str = "there is no component to serve: the current directory holds none (no Cargo.toml of a library \
                       with crate-type = [\"cdylib\"]); name a .wasm file or a component's directory, as in \
                       `h8s dev components/hello`";

/// One argument: `[PATH=]COMPONENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where to serve it, if that was said.
    pub(crate) path: Option<PathPattern>,
    /// A file, or a directory that builds one. It is there.
    pub(crate) component: PathBuf,
}

/// A component's file, and where it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) path: PathPattern,
    pub(crate) file: PathBuf,
    /// What logs call it: the file's name.
    pub(crate) name: String,
}

/// Reads all arguments; without any, the current directory is the component.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(crate) fn wanted(arguments: &[String], current: &Path) -> Result<Vec<Wanted>, Exit> {
    let mut mistakes = ConfigErrors::new();
    if arguments.is_empty() && !holds_component(current) {
        mistakes.push(NOTHING);
    }
    let here = (arguments.is_empty()).then(|| Wanted { path: None, component: ".".into() });
    let read = |argument: &String| parse(argument).map_err(|mistake| mistakes.push(mistake)).ok();
    let wanted = arguments.iter().filter_map(read).chain(here).collect();
    mistakes.into_result().map(|()| wanted)
}

fn parse(argument: &str) -> Result<Wanted, String> {
    // A file may have `=` in its name.
    if Path::new(argument).exists() {
        return Ok(Wanted { path: None, component: argument.into() });
    }
    let Some((path, component)) = argument.split_once('=') else {
        return Err(format!("component {argument}: there is no such file or directory"));
    };
    let path = path.parse().map_err(|error| format!("{argument}: {path:?} is no path to serve: {error}"))?;
    match Path::new(component).exists() {
        true => Ok(Wanted { path: Some(path), component: component.into() }),
        false => Err(format!("component {component}: there is no such file or directory")),
    }
}

/// A package that makes a `cdylib` is what components come from.
fn holds_component(directory: &Path) -> bool {
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap_or_default();
    let manifest: Table = manifest.parse().unwrap_or_default();
    let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")?.as_array());
    manifest.contains_key("package")
        && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib")))
}

/// Gives every component its place. `files` has one file for each of `wanted`.
///
/// # Errors
/// Two components would be served in the same place.
pub(crate) fn placements(wanted: &[Wanted], files: Vec<PathBuf>) -> Result<Vec<Placement>, Exit> {
    let mut mistakes = ConfigErrors::new();
    let without_path = wanted.iter().filter(|wanted| wanted.path.is_none()).count();
    let mut placements: Vec<Placement> = Vec::new();
    for (wanted, file) in wanted.iter().zip(files) {
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let default = if without_path == 1 { "/*".to_owned() } else { format!("/{name}/*") };
        let path = wanted.path.clone().map_or_else(|| default.parse(), Ok);
        let Ok(path) = path else {
            mistakes.push(format!("{0}: say where to serve it, as in /somewhere/*={0}", file.display()));
            continue;
        };
        if let Some(other) = placements.iter().find(|other| other.path == path) {
            let (other, file) = (other.file.display(), file.display());
            mistakes.push(format!(
                "{other} and {file} would both be served at {path}: say where, as in /somewhere/*={file}"
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
        let wanted: Vec<Wanted> = arguments
            .iter()
            .map(|argument| match argument.split_once('=') {
                Some((path, component)) => {
                    Wanted { path: Some(path.parse().unwrap()), component: component.into() }
                }
                None => Wanted { path: None, component: argument.into() },
            })
            .collect();
        let files = wanted.iter().map(|wanted| wanted.component.clone()).collect();
        let placed = placements(&wanted, files).map_err(|exit| exit.to_string())?;
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
    fn what_has_a_path_keeps_it() {
        assert_eq!(places(&["/api=a.wasm", "b.wasm"]).unwrap(), ["/api a", "/* b"]);
    }

    #[test]
    fn one_place_holds_one_component() {
        let said = places(&["a/x.wasm", "b/x.wasm", "/c/*=c.wasm", "/c/*=d.wasm"]).unwrap_err();

        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.contains("a/x.wasm and b/x.wasm would both be served at /x/*"), "{said}");
        assert!(said.contains("c.wasm and d.wasm would both be served at /c/*"), "{said}");
    }

    #[test]
    fn a_name_that_is_no_path_needs_one() {
        let said = places(&["*.wasm", "b.wasm"]).unwrap_err();

        assert!(said.contains("*.wasm: say where to serve it"), "{said}");
    }

    #[test]
    fn arguments_are_read_and_all_mistakes_told() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a=b.wasm");
        std::fs::write(&odd, "").unwrap();
        let odd = odd.to_str().unwrap().to_owned();

        let read = wanted(&[odd.clone(), format!("/x/*={odd}")], directory.path()).unwrap();
        assert_eq!(read[0], Wanted { path: None, component: odd.clone().into() });
        assert_eq!(read[1], Wanted { path: Some("/x/*".parse().unwrap()), component: odd.as_str().into() });

        let arguments = ["nowhere.wasm".to_owned(), "/x=nowhere".into(), format!("x={odd}")];
        let said = wanted(&arguments, directory.path()).unwrap_err().to_string();
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.contains("nowhere.wasm: there is no such file"), "{said}");
        assert!(said.contains("\"x\" is no path to serve: a path pattern starts with '/'"), "{said}");
    }

    #[test]
    fn without_arguments_it_is_the_component_in_the_current_directory() {
        let directory = tempfile::tempdir().unwrap();
        let here = |manifest: &str| {
            std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
            wanted(&[], directory.path())
        };

        let found = here("[package]\nname = 'a'\n[lib]\ncrate-type = ['cdylib']\n").unwrap();
        assert_eq!(found, [Wanted { path: None, component: ".".into() }]);
        for nothing in ["", "[workspace]\n", "[package]\nname = 'a'\n", "not toml"] {
            let said = here(nothing).unwrap_err().to_string();
            assert!(said.contains("h8s dev components/hello"), "{nothing}: {said}");
        }
    }
}
