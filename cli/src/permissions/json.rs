//! As JSON, which `nats-server` takes as configuration, too. There is no place for a password in it.

use h8s_wire::{Permissions, Right};
use serde_json::{Value, json};

/// A user of this name, or without a name its permissions alone.
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
