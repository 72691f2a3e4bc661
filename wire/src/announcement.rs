//! Announcements: a responder publishes the interests that it serves (`PROTOCOL.md §3`).

use serde::{Deserialize, Serialize};

use crate::id::ResponderId;
use crate::routing::{HostError, Interest, MethodPattern, PatternError};

/// A dialect that a responder speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// HTTP as NATS headers and payload.
    Plain,
    /// Binary frames.
    Native,
    /// A dialect that this version does not define.
    #[serde(other)]
    Unknown,
}

/// Why a control message is not a valid announcement.
#[derive(Debug, thiserror::Error)]
pub enum AnnouncementError {
    /// The message is not JSON, or lacks a key.
    #[error("invalid announcement: {0}")]
    Json(#[from] serde_json::Error),
    /// The host is invalid.
    #[error("invalid host in announcement: {0}")]
    Host(#[from] HostError),
    /// The path or method pattern is invalid.
    #[error("invalid pattern in announcement: {0}")]
    Pattern(#[from] PatternError),
}

/// An announced interest. JSON, for responders in any language and for people at a prompt.
///
/// ```
/// use h8s_wire::{Announcement, Dialect};
///
/// let announcement = Announcement::decode(br#"{"host":"a.example","path":"/*"}"#)?;
/// assert_eq!(announcement.interest.to_string(), "ANY a.example/*");
/// assert_eq!(announcement.dialects, [Dialect::Plain]);
/// # Ok::<(), h8s_wire::AnnouncementError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The announced interest.
    pub interest: Interest,
    /// The dialects of the responder; never empty.
    pub dialects: Vec<Dialect>,
    /// The announcing responder. It distinguishes the responders of one interest, so that one of them can unregister.
    /// Responders without an id, or with an invalid one, count as one.
    pub responder: Option<ResponderId>,
}

/// Owned strings: a borrowed one would reject every JSON escape, and some encoders escape more than others.
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
    /// Encodes the JSON text.
    pub fn encode(&self) -> Vec<u8> {
        let json = Json {
            host: self.interest.host.name().to_owned(),
            path: self.interest.path.to_string(),
            method: Some(self.interest.method.to_string()),
            dialects: self.dialects.clone(),
            responder: self.responder.map(|id| id.to_string()),
        };
        // Serializing strings and lists cannot fail.
        serde_json::to_vec(&json).unwrap_or_default()
    }

    /// Decodes the JSON text. The default method is `ANY`, the default dialect plain. Unknown keys and dialects are
    /// ignored.
    ///
    /// # Errors
    /// [`AnnouncementError`] if the text is not valid JSON, or the host, path or method is invalid.
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
    fn optional_keys_have_defaults() {
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
    fn invalid_announcements_are_refused() {
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
