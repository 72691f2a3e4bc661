//! The order of flags in documentation: by concern, not in the one list of `--help`.

use clap::Command;

use super::programs::Program;

/// A heading, and the long names of its flags.
type Group = (&'static str, &'static [&'static str]);

const GATEWAY: &[Group] = &[
    ("Listening", &["listen", "admin-listen", "tls-cert", "tls-key"]),
    (
        "Requests",
        &[
            "host-filters",
            "authorization-key",
            "trusted-proxies",
            "request-timeout",
            "wait-for-responder",
            "track-interest",
            "publish-only",
            "max-body-size",
        ],
    ),
    (
        "WebSockets",
        &[
            "allowed-origins",
            "max-websockets",
            "max-message-size",
            "websocket-queue",
            "drop-oldest",
            "websocket-ping-interval",
            "reopen-timeout",
        ],
    ),
    (
        "Limits",
        &[
            "max-connections",
            "max-connections-per-address",
            "max-exchanges",
            "max-exchanges-per-connection",
            "max-header-size",
            "max-headers",
            "handshake-timeout",
            "header-timeout",
            "idle-timeout",
            "body-timeout",
            "write-timeout",
            "abuse-pause",
        ],
    ),
    ("Process", &["config", "threads", "grace-period", "access-log", "log-format"]),
];

const HOST: &[Group] = &[
    ("Served components", &["host", "path", "methods"]),
    ("Component settings", &["env", "setting", "secret", "allow-outgoing", "outgoing-ca"]),
    ("Limits", &["max-memory", "timeout", "cpu-budget", "concurrency", "reuse"]),
    ("Compiled code", &["watch", "cache-dir", "no-cache"]),
    ("Process", &["config", "grace-period", "log-format"]),
];

const DAEMON: &[Group] = &[
    ("Served hosts and paths", &["hostname", "path", "strip-prefix", "queue-group"]),
    (
        "Backend",
        &[
            "backend-url",
            "backend-protocol",
            "backend-ca",
            "host-header",
            "connect-timeout",
            "keep-alive",
            "idle-timeout",
        ],
    ),
    ("Limits", &["max-connections", "max-websockets", "max-message-size"]),
    ("Process", &["config", "threads", "grace-period", "log-format"]),
];

/// The groups of a program. `h8s` has few flags per command, and no groups.
fn groups(program: Program) -> &'static [Group] {
    match program {
        Program::H8s => &[],
        Program::H8sd => GATEWAY,
        Program::H8sHost => HOST,
        Program::H8srd => DAEMON,
    }
}

/// The headings of a program, in order.
#[cfg(test)]
pub(crate) fn headings(program: Program) -> Vec<&'static str> {
    groups(program).iter().map(|(heading, _)| *heading).collect()
}

/// A program's definition with a help heading for each flag of a group that has none.
pub(crate) fn grouped(program: Program) -> Command {
    program.command().mut_args(|arg| {
        let group = |flag: &str| groups(program).iter().find(|(_, flags)| flags.contains(&flag));
        match arg.get_long().and_then(group) {
            Some((heading, _)) if arg.get_help_heading().is_none() => arg.help_heading(*heading),
            _ => arg,
        }
    })
}
