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

/// A program's definition with a help heading for each flag that has none. `h8s` has few flags per command and stays as
/// it is.
pub(crate) fn grouped(program: Program) -> Command {
    let groups = match program {
        Program::H8s => return program.command(),
        Program::H8sd => GATEWAY,
        Program::H8sHost => HOST,
        Program::H8srd => DAEMON,
    };
    program.command().mut_args(|arg| {
        let position = |flag: &str| groups.iter().find(|(_, flags)| flags.contains(&flag));
        match arg.get_long().and_then(position) {
            Some((heading, _)) if arg.get_help_heading().is_none() => arg.help_heading(*heading),
            _ => arg,
        }
    })
}
