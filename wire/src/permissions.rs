//! The NATS permissions of each role (`PROTOCOL.md §2`, permissions).
//!
//! Permissions are static, but ids are created at each start, so a permission on gateway inboxes covers all of them. The
//! protocol describes the consequences.

use std::fmt;

use crate::routing::Host;
use crate::subject::{QueueGroup, Subject, Subjects};

mod table;

use table::{Rights, Row};

/// The kind of process that a NATS user is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `h8sd`: forwards the requests of clients.
    Gateway,
    /// `h8s-host`: responds, accepts WebSockets, and pushes to the WebSockets of its hosts.
    Host,
    /// `h8srd`: responds and accepts WebSockets.
    Daemon,
    /// A NATS client that only subscribes and replies.
    Plain,
    /// A person or tool that watches, and publishes only list requests.
    Operator,
}

impl Role {
    /// All roles, in the order of the protocol's table.
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Host, Self::Daemon, Self::Plain, Self::Operator];

    /// The name, as `h8s permissions --role` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Host => "host",
            Self::Daemon => "daemon",
            Self::Plain => "plain",
            Self::Operator => "operator",
        }
    }

    /// Whether the role responds to requests. Responders use a queue group and need at least one host.
    pub const fn is_responder(self) -> bool {
        matches!(self, Self::Host | Self::Daemon | Self::Plain)
    }

    const fn row(self, of_hosts: bool) -> &'static Row {
        match (self, of_hosts) {
            (Self::Gateway, false) => &table::GATEWAY,
            (Self::Gateway, true) => &table::GATEWAY_OF_HOSTS,
            (Self::Host, _) => &table::HOST,
            (Self::Daemon, _) => &table::DAEMON,
            (Self::Plain, _) => &table::PLAIN,
            (Self::Operator, false) => &table::OPERATOR,
            (Self::Operator, true) => &table::OPERATOR_OF_HOSTS,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether responders subscribe to this template in their queue group.
fn is_shared(template: &str) -> bool {
    template.starts_with("x.") || template.starts_with("http.")
}

/// A permission for one subject or subject pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The subject or subject pattern.
    pub subject: Subject,
    /// The queue group to which a subscription is restricted. Always `None` for publishing.
    pub group: Option<QueueGroup>,
    /// The purpose, in a few words.
    pub purpose: &'static str,
}

impl fmt::Display for Right {
    /// In the syntax of `nats-server`: the subject, then the queue group if any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{} {group}", self.subject),
            None => self.subject.fmt(f),
        }
    }
}

/// The permissions of a role. Everything else is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The allowed subjects for publishing.
    pub publish: Vec<Right>,
    /// The allowed subjects for subscriptions.
    pub subscribe: Vec<Right>,
    /// A denied subscription that `subscribe` would cover, in the syntax of `nats-server`. An operator must not join a
    /// queue group: a member takes messages from the other members.
    pub deny: Option<String>,
}

impl Permissions {
    /// The permissions of a role for these hosts. Without hosts, those of gateways and operators cover all hosts, and
    /// those of responders none. If `group` is given, responders may subscribe to requests in that queue group only.
    pub fn of(role: Role, hosts: &[Host], group: Option<&QueueGroup>, subjects: &Subjects) -> Self {
        let row = role.row(!hosts.is_empty());
        let publish = rights(row.publish, hosts, None, subjects);
        let group = group.filter(|_| role.is_responder());
        let subscribe = rights(row.subscribe, hosts, group, subjects);
        let deny = (role == Role::Operator).then(|| format!("{}.> >", subjects.prefix()));
        Self { publish, subscribe, deny }
    }
}

fn rights(templates: Rights, hosts: &[Host], group: Option<&QueueGroup>, subjects: &Subjects) -> Vec<Right> {
    let of_template = |(template, purpose): &(&str, &'static str)| -> Vec<Right> {
        let right = |subject: &str| Right {
            subject: Subject::new(format!("{}.{subject}", subjects.prefix())),
            group: group.filter(|_| is_shared(template)).cloned(),
            purpose,
        };
        match template.contains('@') {
            true => hosts.iter().map(|host| right(&template.replace('@', host.reversed()))).collect(),
            false => vec![right(template)],
        }
    };
    templates.iter().flat_map(of_template).collect()
}

#[cfg(test)]
mod tests;
