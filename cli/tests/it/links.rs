//! Every relative link in the Markdown files leads to an existing file and heading, and every page of the book is in its
//! table of contents.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// Folders without documents of this project.
const SKIPPED: [&str; 5] = ["target", "node_modules", ".git", "corpus", "artifacts"];
/// The output of mdBook.
const BOOK: &str = "docs/book";

fn root() -> PathBuf {
    normal(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

/// The path without `.` and `..`, as it is written.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn documents() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !path.is_symlink() {
                if !SKIPPED.contains(&name) && path != root().join(BOOK) {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text outside fenced blocks, with the code spans emptied: they contain no links.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    let spans = outside.split('`').enumerate();
    spans.map(|(at, part)| if at % 2 == 0 { part } else { "" }).collect()
}

/// The targets of `[…](target)` and `![…](target)`.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.trim().to_owned()).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook form them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let outside = text.split("```").step_by(2).collect::<Vec<_>>().join("\n");
    let headings = outside.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.strip_prefix(' '))?
    });
    let slugs = headings.map(|heading| {
        let heading = heading.to_lowercase();
        let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || "-_ ".contains(*sign));
        let slug: String = kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect();
        let count = counts.entry(slug.clone()).or_default();
        *count += 1;
        if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
    });
    slugs.collect()
}

/// What is wrong with a link of a document, if anything.
fn fault(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { document.to_owned() } else { normal(&document.parent()?.join(file)) };
    if !file.exists() {
        return Some(format!("{}: {target}: no such file", document.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let known = anchors(&text).contains(anchor);
    (!known).then(|| format!("{}: {target}: no such heading", document.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut count = 0;
    let mut faults = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in links(&text) {
            count += 1;
            faults.extend(fault(&document, &target));
        }
    }
    assert!(count > 200, "only {count} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_of_the_book_is_in_its_table_of_contents() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed: BTreeSet<PathBuf> =
        links(&std::fs::read_to_string(&summary).unwrap()).iter().map(|link| docs.join(link)).collect();
    let pages: BTreeSet<PathBuf> =
        documents().into_iter().filter(|page| page.starts_with(&docs) && *page != summary).collect();
    let missing: Vec<_> = pages.difference(&listed).collect();
    assert!(missing.is_empty(), "not in SUMMARY.md: {missing:?}");
}

#[test]
fn the_readme_is_short() {
    let lines = std::fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= 200, "{lines} lines; move details into docs/");
}

#[test]
fn anchors_are_formed_as_github_forms_them() {
    let page = "# One `two`, three\n## Same\n```\n# not a heading\n```\n## Same\n### §4 Plain — dialect\n";
    let expected = ["one-two-three", "same", "same-1", "4-plain--dialect"];
    assert_eq!(anchors(page), expected.map(str::to_owned).into());
}

#[test]
fn links_are_found_in_prose_only() {
    let page = "[a](b.md) `[c](d.md)` ![e](f.svg)\n```\n[g](h.md)\n```\n[i](j.md#k)";
    assert_eq!(links(page), ["b.md", "f.svg", "j.md#k"]);
}
