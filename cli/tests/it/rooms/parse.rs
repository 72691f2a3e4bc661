//! The paths in a Rust source file that lead to other modules of its crate. Not a full parser: it knows comments,
//! literals, `#[cfg(test)]`, `use` trees and paths.

/// The segments of a path from the crate root.
pub(crate) type Path = Vec<String>;

/// All paths with `crate::` or `super::` outside tests, from the crate root. `module` is the file's own path.
pub(crate) fn paths(text: &str, module: &[String]) -> Vec<Path> {
    let code = without_tests(&code(text));
    let tokens = tokens(&code);
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_start = at == 0 || tokens[at - 1] != "::";
        let is_path = tokens.get(at + 1).is_some_and(|next| next == "::");
        let base = match tokens[at].as_str() {
            "crate" if is_start && is_path => Some(Vec::new()),
            "super" if is_start && is_path => Some(module[..module.len().saturating_sub(1)].to_vec()),
            _ => None,
        };
        at += 1;
        if let Some(base) = base {
            at = tree(&tokens, at, &base, &mut paths);
        }
    }
    paths
}

/// The names that a crate root re-exports with `pub use`, and their paths.
pub(crate) fn re_exports(text: &str) -> Vec<(String, Path)> {
    let code = without_tests(&code(text));
    let tokens = tokens(&code);
    let mut exports = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at] != "pub" || tokens.get(at + 1).is_none_or(|next| next != "use") {
            continue;
        }
        let end = tokens[at..].iter().position(|token| token == ";").map_or(tokens.len(), |end| at + end);
        let mut paths = Vec::new();
        let mut start = at + 2;
        while ["crate", "self", "::"].contains(&tokens[start].as_str()) {
            start += 1;
        }
        tree_items(&tokens[..end], start, &[], &mut paths);
        exports.extend(paths.into_iter().filter_map(|path| Some((path.last()?.clone(), path))));
    }
    exports
}

/// Reads `::` and what follows it. Returns the position after the path or tree.
fn tree(tokens: &[String], mut at: usize, base: &[String], paths: &mut Vec<Path>) -> usize {
    let mut path = base.to_vec();
    while tokens.get(at).is_some_and(|token| token == "::") {
        let Some(next) = tokens.get(at + 1) else { break };
        match next.as_str() {
            "{" => return tree_items(tokens, at + 1, &path, paths),
            "super" => drop(path.pop()),
            "self" | "*" => {}
            name if is_name(name) => path.push(name.to_owned()),
            // Generic arguments: `crate::a::B::<C>`.
            _ => break,
        }
        at += 2;
    }
    paths.push(path);
    at
}

/// Reads `{a, b::c}`, or a single item where a list or a tree begins.
fn tree_items(tokens: &[String], mut at: usize, base: &[String], paths: &mut Vec<Path>) -> usize {
    let is_group = tokens.get(at).is_some_and(|token| token == "{");
    at += usize::from(is_group);
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            "as" => at += 2,
            "self" | "*" => {
                paths.push(base.to_vec());
                at += 1;
            }
            name if is_name(name) => {
                at = tree(tokens, at + 1, &[base, &[name.to_owned()]].concat(), paths);
            }
            _ => at += 1,
        }
        if !is_group {
            return at;
        }
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_')
}

/// Names, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut signs = code.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign.is_whitespace() {
            continue;
        }
        let mut token = sign.to_string();
        if sign.is_ascii_alphanumeric() || sign == '_' {
            while let Some(next) = signs.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                token.push(next);
            }
        } else if sign == ':' && signs.next_if_eq(&':').is_some() {
            token.push(':');
        }
        tokens.push(token);
    }
    tokens
}

/// The text without comments and the contents of literals.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string(rest)
        } else if sign == '"' {
            string(rest)
        } else if sign == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(sign);
            rest = &rest[sign.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of `r#"…"#`; 0 if it is a raw identifier.
fn raw_string(rest: &str) -> usize {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    rest[start..].find(&end).map_or(rest.len(), |found| start + found + end.len())
}

fn string(rest: &str) -> usize {
    let mut signs = rest.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => drop(signs.next()),
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut signs = rest.char_indices().skip(1);
    match signs.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(rest.len(), |end| end + 4),
        Some(_) => signs.next().filter(|(_, sign)| *sign == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// The code without items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(TEST) {
        kept.push_str(&rest[..start]);
        rest = &rest[start + TEST.len()..];
        rest = &rest[item(rest)..];
    }
    kept + rest
}

/// The length of the item at the beginning: up to its `;`, or the end of its braces.
fn item(code: &str) -> usize {
    let mut depth = 0;
    for (at, sign) in code.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let module = ["room".to_owned(), "file".to_owned()];
        paths(text, &module).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_followed() {
        assert_eq!(found("use crate::a::{self, b::{C, D as E}, f};"), ["a", "a::b::C", "a::b::D", "a::f"]);
        assert_eq!(
            found("use super::sibling::X; use super::super::other::Y;"),
            ["room::sibling::X", "other::Y"]
        );
        assert_eq!(found("pub(crate) use crate::{G, h::*};"), ["G", "h"]);
    }

    #[test]
    fn paths_in_code_are_followed() {
        assert_eq!(found("fn f() -> crate::a::B { crate::c::d::<E>(x) }"), ["a::B", "c::d"]);
        assert_eq!(found("impl other_crate::Trait for X { pub(crate) fn f() {} }"), [""; 0]);
    }

    #[test]
    fn comments_literals_and_tests_are_skipped() {
        let text = r##"
            // crate::a
            /* crate::b */
            const C: &str = "crate::c \" crate::d";
            const D: &str = r#"crate::e"#;
            const E: [char; 2] = ['"', '\''];
            fn f<'a>(x: &'a str) { crate::yes::g(x) }
            #[cfg(test)]
            mod tests { use crate::f; fn g() { crate::h() } }
            #[cfg(test)]
            mod more;
            use crate::also;
        "##;
        assert_eq!(found(text), ["yes::g", "also"]);
    }

    #[test]
    fn re_exports_have_their_paths() {
        let exports = re_exports("mod a; pub use a::{B, c::D}; pub use self::e::F; use g::H;");
        let exports: Vec<_> =
            exports.iter().map(|(name, path)| format!("{name} {}", path.join("::"))).collect();
        assert_eq!(exports, ["B a::B", "D a::c::D", "F e::F"]);
    }
}
