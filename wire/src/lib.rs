//! The h8s wire protocol: subjects, heads and frames (`PROTOCOL.md`).
//!
//! A pure crate: no runtime, no NATS client, no HTTP server, no clock. It encodes values to bytes, and decodes bytes
//! from untrusted peers to values or a typed error. No input makes it panic. It speaks protocol version [`VERSION`].
//!
//! # Contents
//!
//! - Routing (§2, §3): [`Host`], [`PathTokens`], [`PathPattern`] and [`MethodPattern`]; an [`Interest`] combines them,
//!   and a [`PatternMap`] finds the most specific one for a request.
//! - Subjects (§2): [`Subjects`] builds every [`Subject`] under one prefix; [`Inbox`], [`QueueGroup`].
//! - [`Announcement`] (§3): a responder publishes what it serves.
//! - Heads (§5): [`RequestHead`] and [`ResponseHead`], as in RFC 9292.
//! - Frames (§5): [`Frame`], the native dialect; [`Peek`] reads the kind only.
//! - [`plain`] (§4): the plain dialect, HTTP as NATS headers and payload.
//! - WebSockets (§6): [`Message`] and [`Close`], [`push`], [`subprotocol`]; [`ConnectionEntry`], [`Established`],
//!   [`Closed`], [`Beat`] and [`Page`] list the open connections.
//! - [`Permissions`] (§2): what each [`Role`] may publish and subscribe to.
//! - [`reserved`] (§1): header names that neither clients nor responders may set.
//!
//! Error enums are exhaustive on purpose: the golden vectors cover every variant, and the compiler checks that.
//!
//! # Layers
//!
//! Each module uses only modules of the lines above its own.
//!
//! ```text
//! id  varint  reserved  grpc  routing
//! head  subject  announcement  websocket
//! frame  plain  permissions
//! ```

mod announcement;
mod frame;
mod grpc;
mod head;
mod id;
mod permissions;
pub mod plain;
pub mod reserved;
mod routing;
mod subject;
mod varint;
mod websocket;

pub use announcement::{Announcement, AnnouncementError, Dialect};
pub use frame::{
    AbortCode, Frame, FrameError, HeadFrame, Kind, MAX_DATA_BYTES, MessageFlags, Peek, RefusedCode, Sync,
    SyncEntry, VERSION, encode_head, frame_cost,
};
pub use grpc::is_grpc;
pub use head::{
    ConnectionEpoch, FieldError, HeadError, HeadKind, MAX_FRAME_BYTES, MAX_HEAD_BYTES, MAX_INLINE_BYTES,
    RequestHead, ResponseHead,
};
pub use id::{ConnectionId, ExchangeId, GatewayId, IdError, ResponderId};
pub use permissions::{Permissions, Right, Role};
pub use routing::{
    Host, HostError, Interest, MAX_PATH_TOKENS, MAX_SUBJECT_BYTES, MethodPattern, PathPattern, PathTokens,
    PatternError, PatternMap, decode_token, encode_token,
};
pub use subject::{
    ConnectionSubject, HttpSubject, Inbox, PREFIX, PrefixError, QueueGroup, QueueGroupError, Replies,
    Subject, Subjects,
};
pub use websocket::{
    Beat, Close, Closed, ConnectionEntry, ConnectionError, Established, MAX_CLOSE_REASON_BYTES, Message,
    MessageKind, Page, handshake as websocket_handshake, push, subprotocol,
};
