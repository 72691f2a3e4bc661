//! Control subjects: interest, open connections and broadcasts (`PROTOCOL.md §2`). Each ends in a host, since
//! permissions apply to subjects.

use super::{Subject, Subjects};
use crate::routing::Host;

/// The kind of a control message about the connections of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionSubject {
    /// A connection was opened.
    Established,
    /// A connection was closed.
    Closed,
    /// A gateway publishes its number of open connections.
    Beat,
    /// A responder requests the list of open connections from all gateways.
    List,
}

impl ConnectionSubject {
    const ALL: [Self; 4] = [Self::Established, Self::Closed, Self::Beat, Self::List];

    const fn token(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Closed => "closed",
            Self::Beat => "beat",
            Self::List => "list",
        }
    }
}

impl Subjects {
    /// The subject of announcements.
    pub fn interest_register(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.interest.register.{}", self.prefix(), host.reversed()))
    }

    /// The subject on which a responder withdraws an announcement.
    pub fn interest_unregister(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.interest.unregister.{}", self.prefix(), host.reversed()))
    }

    /// A gateway's subscription to all interest messages. One subscription keeps the messages of a responder in order.
    pub fn interest_all(&self) -> Subject {
        Subject::new(format!("{}.control.interest.>", self.prefix()))
    }

    /// The subject on which a gateway requests announcements from all responders.
    pub fn interest_list(&self) -> Subject {
        Subject::new(format!("{}.control.interest.list", self.prefix()))
    }

    /// Parses the subject of an interest message: `true` for register, `false` for unregister, and the host. A receiver
    /// must ignore a payload that names another host, since permissions apply to subjects.
    pub fn parse_interest(&self, subject: &str) -> Option<(bool, Host)> {
        let rest = subject.strip_prefix(self.prefix())?.strip_prefix(".control.interest.")?;
        let (verb, host) = rest.split_once('.')?;
        let registers = match verb {
            "register" => true,
            "unregister" => false,
            _ => return None,
        };
        Some((registers, Host::from_reversed(host)?))
    }

    /// The subject of control messages about the connections of a host.
    pub fn connections(&self, about: ConnectionSubject, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.conn.{}.{}", self.prefix(), about.token(), host.reversed()))
    }

    /// A registry's subscription to all control messages about the connections of a host. One subscription keeps the
    /// messages of a gateway in order.
    pub fn connections_all(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.conn.*.{}", self.prefix(), host.reversed()))
    }

    /// A gateway's subscription to the list requests of all hosts.
    pub fn connection_lists(&self) -> Subject {
        Subject::new(format!("{}.control.ws.conn.{}.>", self.prefix(), ConnectionSubject::List.token()))
    }

    /// Parses the subject of a control message about connections: its kind and host.
    pub fn parse_connections(&self, subject: &str) -> Option<(ConnectionSubject, Host)> {
        let rest = subject.strip_prefix(self.prefix())?.strip_prefix(".control.ws.conn.")?;
        let (about, host) = rest.split_once('.')?;
        let about = ConnectionSubject::ALL.into_iter().find(|known| known.token() == about)?;
        Some((about, Host::from_reversed(host)?))
    }

    /// The subject of broadcasts to the connections of a host.
    pub fn broadcast(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.broadcast.{}", self.prefix(), host.reversed()))
    }

    /// A gateway's subscription to the broadcasts of all hosts.
    pub fn broadcasts(&self) -> Subject {
        Subject::new(format!("{}.control.ws.broadcast.>", self.prefix()))
    }

    /// Parses the subject of a broadcast: its host.
    pub fn parse_broadcast(&self, subject: &str) -> Option<Host> {
        let rest = subject.strip_prefix(self.prefix())?.strip_prefix(".control.ws.broadcast.")?;
        Host::from_reversed(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        name.parse().unwrap()
    }

    #[test]
    fn interest_subjects_contain_their_host() {
        let subjects = Subjects::default();
        assert_eq!(
            subjects.parse_interest(subjects.interest_register(&host("a.example")).as_str()),
            Some((true, host("a.example")))
        );
        assert_eq!(
            subjects.parse_interest("h8s.control.interest.unregister.__1"),
            Some((false, host("[::1]")))
        );
        assert_eq!(subjects.parse_interest(subjects.interest_list().as_str()), None);
    }

    #[test]
    fn subjects_about_connections_contain_kind_and_host() {
        let (subjects, host) = (Subjects::new("edge.h8s").unwrap(), host("a.example"));
        for about in ConnectionSubject::ALL {
            let subject = subjects.connections(about, &host);
            assert_eq!(subjects.parse_connections(subject.as_str()), Some((about, host.clone())));
            assert_eq!(subjects.parse_broadcast(subject.as_str()), None);
        }
        let broadcast = subjects.broadcast(&host);
        assert_eq!(subjects.parse_broadcast(broadcast.as_str()), Some(host));
        assert_eq!(subjects.parse_connections(broadcast.as_str()), None);
        for foreign in
            ["h8s.control.ws.conn.list.a", "edge.h8s.control.ws.conn.list", "edge.h8s.control.ws.conn.x.a"]
        {
            assert_eq!(subjects.parse_connections(foreign), None, "{foreign}");
        }
    }
}
