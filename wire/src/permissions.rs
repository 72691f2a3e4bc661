//! What each role may say and hear on NATS, and nothing more (`PROTOCOL.md §2`, permissions).
//!
//! For permissions that are written down once: ids are made at every start, so a right to inboxes of gateways is one to
//! all of them. What follows from that is in the protocol's text.

use std::fmt;

use crate::routing::Host;
use crate::subject::{QueueGroup, Subject, Subjects};

mod table;

use table::{Rights, Row};

/// Whom a NATS user is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `h8sd`: requests of clients.
    Gateway,
    /// `h8s-host`: answers, WebSockets, and pushes to any of the hosts' WebSockets.
    Host,
    /// `h8srd`: answers and WebSockets.
    Daemon,
    /// A NATS client that subscribes and replies, and announces nothing.
    Plain,
    /// Who watches, and says nothing but questions.
    Operator,
}

impl Role {
    /// All of them, in the order of the protocol's table.
    pub const ALL: [Self; 5] = [Self::Gateway, Self::Host, Self::Daemon, Self::Plain, Self::Operator];

    /// One word, as a person names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Host => "host",
            Self::Daemon => "daemon",
            Self::Plain => "plain",
            Self::Operator => "operator",
        }
    }

    /// Whether it answers requests, and so is in a queue group and nothing without hosts.
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

/// These are taken in queue groups, so that one of several responders answers.
fn is_shared(template: &str) -> bool {
    template.starts_with("x.") || template.starts_with("http.")
}

/// A right to one subject, or to all that a pattern covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Where.
    pub subject: Subject,
    /// Only as a member of this queue group. To publish, never.
    pub group: Option<QueueGroup>,
    /// What for, in a few words.
    pub purpose: &'static str,
}

impl fmt::Display for Right {
    /// As `nats-server` has it: the subject, then the queue group if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{} {group}", self.subject),
            None => self.subject.fmt(f),
        }
    }
}

/// All that a role may do; the rest is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Where it may publish.
    pub publish: Vec<Right>,
    /// What it may subscribe to.
    pub subscribe: Vec<Right>,
    /// What it may not subscribe to, though `subscribe` covers it; as `nats-server` has it. Who only watches may be in no
    /// queue group: a member takes messages away from the others.
    pub deny: Option<String>,
}

impl Permissions {
    /// The permissions of a role for these hosts. Without hosts: a gateway's and an operator's for all, and a
    /// responder's for none. Responders take requests as members of `group` only, or of any if there is none.
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
