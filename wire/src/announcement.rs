//! Interest: who serves which host, path and method, and in which dialects (`PROTOCOL.md §3`).

use serde::{Deserialize, Serialize};

use crate::id::ResponderId;
use crate::routing::{HostError, Interest, MethodPattern, PatternError};

/// How a responder can be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// HTTP as NATS headers and payload.
    Plain,
    /// Binary frames.
    Native,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why a control message announces nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// Not JSON of the right shape.
    #[error("not an announcement: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a host.
    #[error("announced host: {0}")]
    Host(#[from] HostError),
    /// Not a path or method pattern.
    #[error("announced pattern: {0}")]
    Pattern(#[from] PatternError),
}

/// An interest as it is announced: JSON, so that a responder in any language, or a person at a prompt, can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What is served.
    pub interest: Interest,
    /// In which dialects; never empty.
    pub dialects: Vec<Dialect>,
    /// By whom. Two responders of one interest are told apart by it, so that one may leave; those without one (or
    /// with a text that is no id) are one and the same.
    pub responder: Option<ResponderId>,
}

/// Owned texts: a borrowed one would refuse every JSON escape, and some encoders escape what others do not.
#[derive(Serialize, Deserialize)]
struct Json {
    host: String,
    path: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    dialects: Vec<Dialect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    responder: Option<String>,
}

impl Announcement {
    /// The JSON text.
    pub fn encode(&self) -> Vec<u8> {
        let json = Json {
            host: self.interest.host.name().to_owned(),
            path: self.interest.path.to_string(),
            method: Some(self.interest.method.to_string()),
            dialects: self.dialects.clone(),
            responder: self.responder.map(|id| id.to_string()),
        };
        // Strings and lists of names: there is nothing that JSON could not say.
        serde_json::to_vec(&json).unwrap_or_default()
    }

    /// Reads one. Without a method it is `ANY`; without dialects, plain; unknown keys and dialects are skipped.
    ///
    /// # Errors
    /// See [`AnnouncementError`].
    pub fn decode(text: &[u8]) -> Result<Self, AnnouncementError> {
        let json: Json = serde_json::from_slice(text)?;
        let mut dialects = json.dialects;
        if dialects.is_empty() {
            dialects.push(Dialect::Plain);
        }
        Ok(Self {
            interest: Interest {
                host: json.host.parse()?,
                path: json.path.parse()?,
                method: json.method.map_or(Ok(MethodPattern::Any), |method| method.parse())?,
            },
            dialects,
            responder: json.responder.and_then(|id| id.parse().ok()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let announcement = Announcement {
            interest: Interest {
                host: "api.example.com".parse().unwrap(),
                path: "/a\"b/*".parse().unwrap(),
                method: "GET".parse().unwrap(),
            },
            dialects: vec![Dialect::Plain, Dialect::Native],
            responder: Some(ResponderId::from_bytes([7; 16])),
        };
        assert_eq!(Announcement::decode(&announcement.encode()).unwrap(), announcement);
    }

    #[test]
    fn the_least_that_a_person_may_write() {
        let announcement = Announcement::decode(br#"{"host":"a.example","path":"/*","later":1}"#).unwrap();
        assert_eq!(announcement.interest.to_string(), "ANY a.example/*");
        assert_eq!(announcement.dialects, [Dialect::Plain]);
        let newer =
            Announcement::decode(br#"{"host":"a","path":"/","dialects":["native","telepathic"]}"#).unwrap();
        assert_eq!(newer.dialects, [Dialect::Native, Dialect::Unknown]);
        let escaped =
            Announcement::decode(br#"{"host":"a\u002eexample","path":"\/x","method":"\u0047ET"}"#).unwrap();
        assert_eq!(escaped.interest.to_string(), "GET a.example/x");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"host":"","path":"/"}"#,
            r#"{"host":"a","path":"x"}"#,
            r#"{"host":"a","path":"/","method":"A B"}"#,
        ] {
            assert!(Announcement::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
