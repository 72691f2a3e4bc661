//! The format JSON, which `nats-server` also accepts as configuration. Without a password.

use h8s_wire::{Permissions, Right};
use serde_json::{Value, json};

/// A user entry, or without a name the permissions alone.
pub(super) fn text(permissions: &Permissions, user: Option<&str>) -> String {
    let texts = |rights: &[Right]| rights.iter().map(Right::to_string).collect::<Vec<_>>();
    let mut subscribe = json!({ "allow": texts(&permissions.subscribe) });
    if let Some(deny) = &permissions.deny {
        subscribe["deny"] = json!([deny]);
    }
    let permissions: Value =
        json!({ "publish": { "allow": texts(&permissions.publish) }, "subscribe": subscribe });
    let whole = match user {
        Some(user) => json!({ "user": user, "permissions": permissions }),
        None => permissions,
    };
    format!("{whole:#}")
}
