//! `h8s permissions`: the NATS permissions of a role, ready to paste.

mod conf;
mod json;
mod nsc;

use std::ffi::OsString;
use std::process::ExitCode;

use h8s_settings::{ConfigErrors, Exit};
use h8s_wire::{Host, Permissions, QueueGroup, Role, Subjects};

const EXAMPLES: &str = "\
Examples:
  h8s permissions --role gateway --user gateway
  h8s permissions --role daemon --host app.example.com,api.example.com --user app
  h8s permissions --role host --host app.example.com --format json

For nats-server:  authorization { users: [ …this output… ] }";

/// The queue group of `h8s-host`, which cannot be configured.
const HOSTS_GROUP: &str = "h8s";

/// Print the NATS permissions that a role needs, and no others
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "h8s permissions", version, after_help = EXAMPLES)]
pub(crate) struct PermissionFlags {
    /// gateway (h8sd), host (h8s-host), daemon (h8srd), plain (any NATS client that replies), or operator (read only)
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
    /// Limit the permissions to these hosts, comma-separated. Required for host, daemon and plain; all hosts otherwise
    #[arg(long, value_name = "HOSTS", value_delimiter = ',')]
    host: Vec<Host>,
    /// Allow this queue group only, the --queue-group of h8srd; any group unless set
    #[arg(long, value_name = "NAME")]
    queue_group: Option<QueueGroup>,
    /// First token of every subject
    #[arg(long, env = "H8S_SUBJECT_PREFIX", value_name = "TOKEN", default_value = h8s_wire::PREFIX, value_parser = subjects)]
    subject_prefix: Subjects,
    /// Print a complete user entry of this name; its password is a variable of the server's environment
    #[arg(long, value_name = "NAME", value_parser = user)]
    user: Option<String>,
    /// The output format: conf for nats-server, json, or nsc for an nsc command
    #[arg(long, value_name = "FORMAT", default_value = "conf", value_enum)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Conf,
    Json,
    Nsc,
}

/// Runs `h8s permissions`.
pub(crate) fn main(argv: Vec<OsString>) -> ExitCode {
    let flags = h8s_settings::load::<PermissionFlags>(argv).unwrap_or_else(|exit| exit.exit()).flags;
    flags.check().unwrap_or_else(|exit| exit.exit());
    println!("{}", flags.text());
    ExitCode::SUCCESS
}

impl PermissionFlags {
    /// Checks combinations of flags.
    fn check(&self) -> Result<(), Exit> {
        let mut mistakes = ConfigErrors::new();
        if self.role.is_responder() && self.host.is_empty() {
            mistakes.push(format!("--role {} requires --host, as in --host app.example.com.", self.role));
        }
        if let Some(group) = &self.queue_group {
            if !self.role.is_responder() {
                mistakes.push(format!(
                    "--queue-group {group}: --role {} uses no queue group; omit it.",
                    self.role
                ));
            } else if self.role == Role::Host && group.as_str() != HOSTS_GROUP {
                mistakes.push(format!(
                    "--queue-group {group}: h8s-host always uses the queue group {HOSTS_GROUP}; omit it."
                ));
            }
        }
        if self.format == Format::Nsc && self.user.is_none() {
            mistakes.push("--format nsc requires --user, the name of the user to add.");
        }
        mistakes.into_result()
    }

    fn text(&self) -> String {
        let permissions =
            Permissions::of(self.role, &self.host, self.queue_group.as_ref(), &self.subject_prefix);
        match self.format {
            Format::Conf => conf::text(&permissions, self.user.as_deref(), &self.about()),
            Format::Json => json::text(&permissions, self.user.as_deref()),
            Format::Nsc => nsc::text(&permissions, self.user.as_deref().unwrap_or_default(), &self.about()),
        }
    }

    fn role_name(&self) -> &'static str {
        match self.role {
            Role::Gateway => "a gateway (h8sd)",
            Role::Host => "a host (h8s-host)",
            Role::Daemon => "a reverse daemon (h8srd)",
            Role::Plain => "a plain responder",
            Role::Operator => "an operator",
        }
    }

    /// Comment lines before the permissions.
    fn about(&self) -> Vec<String> {
        let hosts: Vec<_> = self.host.iter().map(Host::name).collect();
        let scope = match &*hosts {
            [] => "all hosts".to_owned(),
            hosts => hosts.join(", "),
        };
        let mut about = vec![format!("Permissions of {} for {scope}", self.role_name())];
        match self.role {
            Role::Gateway if !hosts.is_empty() => {
                about.push(format!(
                    "It sees the interests of all hosts. Start it with --host-filters {}:",
                    hosts.join(",")
                ));
                about.push("NATS denies its requests for other hosts, and their clients wait for 504".to_owned());
            }
            Role::Operator => about.push(
                "While it watches requests, those without a responder get 504 after the timeout, not 503 at once"
                    .to_owned(),
            ),
            _ => {}
        }
        about
    }
}

fn role(text: &str) -> Result<Role, String> {
    let known = Role::ALL.into_iter().find(|role| role.name() == text);
    known.ok_or_else(|| format!("expected one of {}", Role::ALL.map(Role::name).join(", ")))
}

fn subjects(text: &str) -> Result<Subjects, h8s_wire::PrefixError> {
    Subjects::new(text)
}

/// Parses a user name that needs no quotes in any format.
fn user(text: &str) -> Result<String, &'static str> {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    match text.bytes().all(is_sign) && text.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        true => Ok(text.to_owned()),
        false => Err(
            "a user name consists of letters, digits, '-', '_', '.' and '@', and begins with a letter or digit",
        ),
    }
}
