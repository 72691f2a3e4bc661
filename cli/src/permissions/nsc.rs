//! As a command for `nsc`, which makes users with JWTs.

use h8s_wire::Permissions;

/// Makes the user; `nsc edit user` takes the same flags for one that there is.
pub(super) fn text(permissions: &Permissions, user: &str, about: &[String]) -> String {
    let mut lines: Vec<String> = about.iter().map(|line| format!("# {line}")).collect();
    let mut command = vec![format!("nsc add user --name {user}")];
    command.extend(permissions.publish.iter().map(|right| format!("  --allow-pub {}", quoted(right))));
    command.extend(permissions.subscribe.iter().map(|right| format!("  --allow-sub {}", quoted(right))));
    command.extend(permissions.deny.iter().map(|deny| format!("  --deny-sub {}", quoted(deny))));
    lines.push(command.join(" \\\n"));
    lines.join("\n")
}

/// For a POSIX shell. A queue group may have any visible sign in it, a quote among them.
fn quoted(text: &impl ToString) -> String {
    format!("'{}'", text.to_string().replace('\'', r"'\''"))
}
