//! What h8s puts on NATS: subjects, heads and frames (`PROTOCOL.md`).
//!
//! Pure: no runtime, no NATS client, no HTTP server, no clock. Everything here turns values into bytes and
//! bytes that strangers sent into values or a typed error; nothing panics on what it is given.
//!
//! - [`Host`], [`PathTokens`], [`PathPattern`], [`MethodPattern`]: the parts of a subject
//! - [`Subjects`]: every subject there is, under one prefix
//! - [`Interest`], [`Announcement`], [`PatternMap`]: who serves what, and the most specific match
//! - [`Permissions`]: what each [`Role`] may publish and subscribe to
//! - [`QueueGroup`]: who shares the exchanges of an interest
//! - [`Frame`]: the native dialect; [`RequestHead`], [`ResponseHead`]: its HTTP heads (RFC 9292)
//! - [`plain`]: the plain dialect, HTTP as NATS headers; [`push`]: messages to and from WebSockets as NATS messages
//! - [`ConnectionEntry`], [`Established`], [`Closed`], [`Beat`], [`Page`]: which WebSockets are open
//! - [`subprotocol`]: what a WebSocket's two ends agree to speak; [`websocket_handshake`]: keys and fields of its
//!   opening handshake
//! - [`reserved`]: names that are never a client's or a responder's to set

mod connection;
mod control;
mod fields;
mod frame;
mod grpc;
mod head;
mod host;
mod id;
mod inbox;
mod interest;
mod message;
mod names;
mod pattern;
mod pattern_map;
mod permissions;
pub mod plain;
pub mod push;
mod queue_group;
pub mod reserved;
mod subject;
pub mod subprotocol;
mod sync;
mod token;
mod varint;
pub mod websocket_handshake;

pub use connection::{Beat, Closed, ConnectionEntry, ConnectionError, Established, Page};
pub use control::ConnectionSubject;
pub use fields::FieldError;
pub use frame::{
    AbortCode, Frame, FrameError, HeadFrame, HeadKind, Kind, MAX_DATA_BYTES, MAX_FRAME_BYTES, MAX_HEAD_BYTES,
    MAX_INLINE_BYTES, MessageFlags, Peek, RefusedCode, VERSION, encode_head, frame_cost,
};
pub use grpc::is_grpc;
pub use head::{ConnectionEpoch, HeadError, RequestHead, ResponseHead};
pub use host::{Host, HostError};
pub use id::{ConnectionId, ExchangeId, GatewayId, IdError, ResponderId};
pub use inbox::{Inbox, Replies};
pub use interest::{Announcement, AnnouncementError, Dialect, Interest};
pub use message::{Close, MAX_CLOSE_REASON_BYTES, Message, MessageKind};
pub use pattern::{MethodPattern, PathPattern, PatternError};
pub use pattern_map::PatternMap;
pub use permissions::{Permissions, Right, Role};
pub use queue_group::{QueueGroup, QueueGroupError};
pub use subject::{HttpSubject, PREFIX, PrefixError, Subject, Subjects};
pub use sync::{Sync, SyncEntry};
pub use token::{MAX_PATH_TOKENS, MAX_SUBJECT_BYTES, PathTokens, decode_token, encode_token};
