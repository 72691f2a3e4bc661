//! docs/threats.md and the tree agree: every number that a test or a comment refers to is described there, and every
//! test that it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The catalogue, relative to the workspace.
const CATALOGUE: &str = "docs/threats.md";
/// The sources that refer to threats.
const EXTENSIONS: [&str; 3] = ["rs", "py", "js"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn catalogue() -> String {
    let path = workspace().join(CATALOGUE);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sections by number: `## T5 Request smuggling` and what follows.
fn sections(catalogue: &str) -> BTreeMap<u32, &str> {
    let sections = catalogue.split("\n## ").skip(1).filter_map(|section| {
        let number = section.strip_prefix('T')?.split(|sign: char| !sign.is_ascii_digit()).next()?;
        Some((number.parse().ok()?, section))
    });
    sections.collect()
}

/// All source files below a directory, without build output.
fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !["target", "node_modules"].contains(&&*name) && !name.starts_with('.') {
                sources(&path, files);
            }
        } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
}

/// The numbers in `T5` and `t5_name`, at most two digits.
fn numbers(text: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for word in text.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_')) {
        // A name may carry several numbers: `t17_t18_daemons_are_killed`.
        let parts = word.split('_').take_while(|part| number(part, 't').is_some());
        let is_name = word.contains('_');
        numbers.extend(parts.filter(|_| is_name).filter_map(|part| number(part, 't')));
        numbers.extend(number(word, 'T'));
    }
    numbers
}

fn number(word: &str, letter: char) -> Option<u32> {
    let digits = word.strip_prefix(letter)?;
    (digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[test]
fn every_number_in_the_tree_is_in_the_catalogue() {
    let catalogue = catalogue();
    let known = sections(&catalogue);
    assert!(known.len() > 20, "{CATALOGUE} has {} sections `## T…`", known.len());
    let mut files = Vec::new();
    sources(&workspace(), &mut files);
    // This file shows examples.
    files.retain(|file| !file.ends_with("cli/tests/it/threats.rs"));
    let mut unknown = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = name + "\n" + &std::fs::read_to_string(&file).unwrap_or_default();
        let missing = numbers(&text).into_iter().filter(|number| !known.contains_key(number));
        unknown.extend(missing.map(|number| format!("T{number} in {}", file.display())));
    }
    assert!(unknown.is_empty(), "not in {CATALOGUE}: {unknown:#?}");
}

/// The links of a list entry of a section, and the names in code spans after them.
fn tests_of(entry: &str) -> (Vec<&str>, Vec<&str>) {
    let links = entry.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let after = entry.rsplit_once(')').map_or("", |(_, after)| after);
    let names = after.split('`').skip(1).step_by(2).collect();
    (links, names)
}

#[test]
fn every_test_in_the_catalogue_exists() {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    for (number, section) in sections(&catalogue) {
        let is_controlled = catalogue
            .lines()
            .any(|line| line.starts_with(&format!("| [T{number}](")) && line.ends_with("| controlled |"));
        let tests = section.split_once("**Tests.**").map_or("", |(_, tests)| tests);
        let mut files = 0;
        for entry in tests.split("\n- ").skip(1) {
            let (links, names) = tests_of(entry);
            for link in links {
                let path = workspace().join("docs").join(link.split('#').next().unwrap_or(link));
                let Ok(text) = std::fs::read_to_string(&path) else {
                    if !path.is_dir() {
                        wrong.push(format!("T{number}: {link} does not exist"));
                    }
                    continue;
                };
                files += 1;
                let missing = names.iter().filter(|name| !text.contains(&format!("fn {name}(")));
                wrong.extend(missing.map(|name| format!("T{number}: {link} has no test {name}")));
            }
        }
        if is_controlled && files == 0 {
            wrong.push(format!("T{number} is controlled, but names no test"));
        }
    }
    assert!(wrong.is_empty(), "{CATALOGUE}: {wrong:#?}");
}

#[test]
fn numbers_are_found_in_names_and_comments() {
    let found = |text: &str| numbers(text).into_iter().collect::<Vec<_>>();

    assert_eq!(found("//! T1: a long address (T24)"), [1, 24]);
    assert_eq!(found("async fn t17_t18_daemons_are_killed() {"), [17, 18]);
    for none in ["T", "T123", "t5", "at1_b", "TT1", "target_1"] {
        assert_eq!(found(none), [0_u32; 0], "{none}");
    }
}
