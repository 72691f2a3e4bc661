//! What a responder serves, and how a request finds it: hosts, path and method patterns, the most specific match.

mod host;
mod interest;
mod path_tokens;
mod pattern;
mod pattern_map;

pub use host::{Host, HostError};
pub use interest::Interest;
pub use path_tokens::{MAX_PATH_TOKENS, MAX_SUBJECT_BYTES, PathTokens, decode_token, encode_token};
pub use pattern::{MethodPattern, PathPattern, PatternError};
pub use pattern_map::PatternMap;
