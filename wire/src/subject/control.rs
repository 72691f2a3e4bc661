//! Control subjects: who serves what, which connections are open, and broadcasts (`PROTOCOL.md §2`). Each ends in a host,
//! since permissions are granted by subject.

use super::{Subject, Subjects};
use crate::routing::Host;

/// What a message about a host's connections is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionSubject {
    /// A gateway has one more.
    Established,
    /// A gateway has one less.
    Closed,
    /// A gateway says how many it has.
    Beat,
    /// Somebody asks gateways for theirs.
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
    /// Where a responder announces what it serves.
    pub fn interest_register(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.interest.register.{}", self.prefix(), host.reversed()))
    }

    /// Where a responder takes it back.
    pub fn interest_unregister(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.interest.unregister.{}", self.prefix(), host.reversed()))
    }

    /// Everything about interest, for a gateway: one subscription, so that what one responder says stays in order.
    pub fn interest_all(&self) -> Subject {
        Subject::new(format!("{}.control.interest.>", self.prefix()))
    }

    /// Where a gateway asks everybody to announce again.
    pub fn interest_list(&self) -> Subject {
        Subject::new(format!("{}.control.interest.list", self.prefix()))
    }

    /// What an interest control message says about itself: whether it registers (or takes back), and for which
    /// host. Its payload may speak of no other host, since permissions are granted by subject.
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

    /// What gateways say about a host's connections, and how they are asked for them.
    pub fn connections(&self, about: ConnectionSubject, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.conn.{}.{}", self.prefix(), about.token(), host.reversed()))
    }

    /// Everything about a host's connections, for a registry: one subscription, so that what one gateway says stays in
    /// order.
    pub fn connections_all(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.conn.*.{}", self.prefix(), host.reversed()))
    }

    /// All questions for lists of connections, for a gateway.
    pub fn connection_lists(&self) -> Subject {
        Subject::new(format!("{}.control.ws.conn.{}.>", self.prefix(), ConnectionSubject::List.token()))
    }

    /// What a message about connections is, and of which host.
    pub fn parse_connections(&self, subject: &str) -> Option<(ConnectionSubject, Host)> {
        let rest = subject.strip_prefix(self.prefix())?.strip_prefix(".control.ws.conn.")?;
        let (about, host) = rest.split_once('.')?;
        let about = ConnectionSubject::ALL.into_iter().find(|known| known.token() == about)?;
        Some((about, Host::from_reversed(host)?))
    }

    /// Where a message to many of a host's connections is published.
    pub fn broadcast(&self, host: &Host) -> Subject {
        Subject::new(format!("{}.control.ws.broadcast.{}", self.prefix(), host.reversed()))
    }

    /// All broadcasts, for a gateway.
    pub fn broadcasts(&self) -> Subject {
        Subject::new(format!("{}.control.ws.broadcast.>", self.prefix()))
    }

    /// The host that a broadcast is for.
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
    fn interest_subjects_say_their_host() {
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
    fn subjects_about_connections_say_what_and_of_which_host() {
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
