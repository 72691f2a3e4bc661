//! The format of `nats-server`'s configuration, with the purpose of each subject.

use std::fmt::Write as _;

use h8s_wire::{Permissions, Right};

/// A user entry, or without a name the permissions alone.
pub(super) fn text(permissions: &Permissions, user: Option<&str>, about: &[String]) -> String {
    let mut lines: Vec<String> = about.iter().map(|line| format!("# {line}")).collect();
    let block = block(permissions);
    match user {
        None => lines.extend(block),
        Some(user) => {
            lines.push("{".to_owned());
            lines.push(format!("  user: {user:?}, password: ${}", variable(user)));
            lines.extend(block.iter().map(|line| format!("  {line}")));
            lines.push("}".to_owned());
        }
    }
    lines.join("\n")
}

fn block(permissions: &Permissions) -> Vec<String> {
    let mut lines = vec!["permissions: {".to_owned(), "  publish: {".to_owned()];
    allow(&permissions.publish, &mut lines);
    lines.extend(["  }", "  subscribe: {"].map(str::to_owned));
    allow(&permissions.subscribe, &mut lines);
    if let Some(deny) = &permissions.deny {
        lines.push("    # no queue groups: a member would take messages from the other members".to_owned());
        lines.push(format!("    deny: {deny:?}"));
    }
    lines.extend(["  }", "}"].map(str::to_owned));
    lines
}

/// One subject per line, below its purpose.
fn allow(rights: &[Right], lines: &mut Vec<String>) {
    lines.push("    allow: [".to_owned());
    let mut purpose = "";
    for right in rights {
        if right.purpose != purpose {
            purpose = right.purpose;
            lines.push(format!("      # {purpose}"));
        }
        lines.push(format!("      {:?}", right.to_string()));
    }
    lines.push("    ]".to_owned());
}

/// The variable of the password: `APP_PASSWORD` for `app`.
fn variable(user: &str) -> String {
    let mut name = String::new();
    for byte in user.bytes() {
        let sign = if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
        let _ = write!(name, "{}", char::from(sign));
    }
    name + "_PASSWORD"
}
