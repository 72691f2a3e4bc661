//! The format of a command for `nsc`, which adds users with JWTs.

use h8s_wire::Permissions;

/// Adds the user; `nsc edit user` takes the same flags for an existing one.
pub(super) fn text(permissions: &Permissions, user: &str, about: &[String]) -> String {
    let mut lines: Vec<String> = about.iter().map(|line| format!("# {line}")).collect();
    let mut command = vec![format!("nsc add user --name {user}")];
    command.extend(permissions.publish.iter().map(|right| format!("  --allow-pub {}", quoted(right))));
    command.extend(permissions.subscribe.iter().map(|right| format!("  --allow-sub {}", quoted(right))));
    command.extend(permissions.deny.iter().map(|deny| format!("  --deny-sub {}", quoted(deny))));
    lines.push(command.join(" \\\n"));
    lines.join("\n")
}

/// Quotes for a POSIX shell. A queue group may contain any visible character, quotes included.
fn quoted(text: &impl ToString) -> String {
    format!("'{}'", text.to_string().replace('\'', r"'\''"))
}
