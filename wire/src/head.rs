//! HTTP heads of the native dialect: RFC 9292 control data and field section, then extension fields of our own
//! (`PROTOCOL.md §5`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::EXPECT;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, StatusCode, Uri};

use crate::fields::{self, FieldError};
use crate::id::ConnectionId;
use crate::varint;

/// RFC 9292 §3.1: known-length request, known-length response.
const REQUEST: u64 = 0;
const RESPONSE: u64 = 1;

/// Ids of extension fields. Unknown ones are skipped.
mod extension {
    /// The `:protocol` of an extended CONNECT (RFC 8441).
    pub(super) const PROTOCOL: u64 = 1;
    /// The client's address: 4 or 16 bytes.
    pub(super) const CLIENT: u64 = 2;
    /// Milliseconds until the gateway gives up on the response head.
    pub(super) const TIMEOUT: u64 = 3;
    /// A WebSocket's connection: its id, 16 bytes, then its epoch.
    pub(super) const CONNECTION: u64 = 4;
    /// Of a response: whoever accepts this WebSocket holds state for it. No value.
    pub(super) const HOLDS_STATE: u64 = 1;
}

/// Which WebSocket an exchange carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionEpoch {
    /// The same for as long as the client is connected.
    pub connection: ConnectionId,
    /// How often it has been opened again, since its responder was lost or moved. 0 at first.
    pub epoch: u64,
}

/// Why bytes are no head, or a head cannot be bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The bytes end before the head does.
    #[error("the head is cut short")]
    Truncated,
    /// Neither a known-length request nor a known-length response.
    #[error("the head is neither a request's nor a response's")]
    Framing,
    /// Not a method.
    #[error("the method is malformed")]
    Method,
    /// Neither `http` nor `https`.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// Not an authority.
    #[error("the authority is malformed")]
    Authority,
    /// Not an origin-form or asterisk-form target.
    #[error("the request target is malformed")]
    Target,
    /// Not a final status (200 to 599).
    #[error("the status is not a final one")]
    Status,
    /// An extension field of a wrong size or text.
    #[error("an extension field is malformed")]
    Extension,
    /// See [`FieldError`].
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Larger than a frame may carry. Maps to 431 for a client's, 502 for a responder's.
    #[error(
        "too large: a head has at most {} bytes, its body bytes {}, a frame {}",
        crate::MAX_HEAD_BYTES,
        crate::MAX_INLINE_BYTES,
        crate::MAX_FRAME_BYTES
    )]
    TooLarge,
}

/// A request's head, exactly as the client sent it, less what belongs to its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// `http` or `https`: how the client reached the gateway.
    pub scheme: Scheme,
    /// Host and port as the client wrote them.
    pub authority: Authority,
    /// Raw path and query.
    pub target: PathAndQuery,
    /// Every other header field. `Host` is not among them: the authority says it.
    pub headers: HeaderMap,
    /// The protocol of an extended CONNECT, e.g. `websocket`.
    pub protocol: Option<String>,
    /// The client's address, as far as the gateway trusts it.
    pub client: Option<IpAddr>,
    /// How long the gateway goes on waiting for the response head, in whole milliseconds. `None` where it cannot say yet:
    /// the body still comes.
    pub timeout: Option<Duration>,
    /// The WebSocket that this exchange carries.
    pub connection: Option<ConnectionEpoch>,
}

impl RequestHead {
    /// The absolute URI: scheme, authority, path and query.
    ///
    /// # Errors
    /// [`HeadError::Target`] for `*`, which has no absolute form.
    pub fn uri(&self) -> Result<Uri, HeadError> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(self.target.clone())
            .build()
            .map_err(|_| HeadError::Target)
    }

    /// Whether the client waits until its body is wanted (RFC 9110 §10.1.1). Then nothing of it may be sent before the
    /// responder grants credit, which it does when its handler begins to read (`PROTOCOL.md §5`).
    pub fn expects_continue(&self) -> bool {
        self.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    pub(crate) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        if self.scheme != Scheme::HTTP && self.scheme != Scheme::HTTPS {
            return Err(HeadError::Scheme);
        }
        varint::put(REQUEST, out);
        varint::put_bytes(self.method.as_str().as_bytes(), out);
        varint::put_bytes(self.scheme.as_str().as_bytes(), out);
        varint::put_bytes(self.authority.as_str().as_bytes(), out);
        self.put_target(out);
        fields::put(&self.headers, out)?;
        varint::put_section(out, |section| self.put_extensions(section))
    }

    /// An absolute-form target may have a query and no path (`http://a?b`), which is `/?b` in origin form.
    fn put_target(&self, out: &mut BytesMut) {
        let target = self.target.as_str();
        let slash = if target.starts_with('?') { "/" } else { "" };
        varint::put((slash.len() + target.len()) as u64, out);
        out.put_slice(slash.as_bytes());
        out.put_slice(target.as_bytes());
    }

    fn put_extensions(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        if let Some(protocol) = &self.protocol {
            check_protocol(protocol.as_bytes())?;
            put_extension(extension::PROTOCOL, protocol.as_bytes(), out);
        }
        match self.client {
            Some(IpAddr::V4(address)) => put_extension(extension::CLIENT, &address.octets(), out),
            Some(IpAddr::V6(address)) => put_extension(extension::CLIENT, &address.octets(), out),
            None => {}
        }
        if let Some(timeout) = self.timeout {
            let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(varint::MAX);
            varint::put(extension::TIMEOUT, out);
            varint::put_section(out, |value| varint::put(milliseconds, value));
        }
        if let Some(ConnectionEpoch { connection, epoch }) = self.connection {
            varint::put(extension::CONNECTION, out);
            varint::put_section(out, |value| {
                value.put_slice(connection.as_bytes());
                varint::put(epoch, value);
            });
        }
        Ok(())
    }

    fn get(from: &mut Bytes) -> Result<Self, HeadError> {
        let method = Method::from_bytes(&get_bytes(from)?).map_err(|_| HeadError::Method)?;
        let scheme = match &*get_bytes(from)? {
            b"http" => Scheme::HTTP,
            b"https" => Scheme::HTTPS,
            _ => return Err(HeadError::Scheme),
        };
        let authority = Authority::from_maybe_shared(get_bytes(from)?).map_err(|_| HeadError::Authority)?;
        let target = get_target(get_bytes(from)?)?;
        let headers = fields::get(from)?;
        let mut head = Self {
            method,
            scheme,
            authority,
            target,
            headers,
            protocol: None,
            client: None,
            timeout: None,
            connection: None,
        };
        for_each_extension(from, |id, value| head.set_extension(id, value))?;
        Ok(head)
    }

    fn set_extension(&mut self, id: u64, mut value: Bytes) -> Result<(), HeadError> {
        match id {
            extension::PROTOCOL => self.protocol = Some(check_protocol(&value)?.to_owned()),
            extension::CLIENT => self.client = Some(client_address(&value)?),
            extension::TIMEOUT => {
                let milliseconds = varint::get(&mut value).filter(|_| value.is_empty());
                let milliseconds = milliseconds.ok_or(HeadError::Extension)?;
                self.timeout = Some(Duration::from_millis(milliseconds));
            }
            extension::CONNECTION => self.connection = Some(connection_epoch(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// A target keeps its bytes: whatever `http` would change (a fragment it drops) is refused.
pub(crate) fn get_target(bytes: Bytes) -> Result<PathAndQuery, HeadError> {
    let target = PathAndQuery::from_maybe_shared(bytes.clone()).map_err(|_| HeadError::Target)?;
    let exact = target.as_str().as_bytes() == bytes;
    let formed = bytes.first() == Some(&b'/') || bytes == "*";
    if exact && formed { Ok(target) } else { Err(HeadError::Target) }
}

/// RFC 8441 §4: a token of the registry that `Upgrade` uses, so visible ASCII; it ends up in a pseudo-header.
fn check_protocol(bytes: &[u8]) -> Result<&str, HeadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| HeadError::Extension)?;
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible { Ok(text) } else { Err(HeadError::Extension) }
}

fn client_address(bytes: &[u8]) -> Result<IpAddr, HeadError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into()).map_err(|_| HeadError::Extension)
}

fn connection_epoch(mut value: Bytes) -> Result<ConnectionEpoch, HeadError> {
    let (id, _) = value.split_first_chunk::<16>().ok_or(HeadError::Extension)?;
    let connection = ConnectionId::from_bytes(*id);
    value.advance(16);
    let epoch = varint::get(&mut value).filter(|_| value.is_empty()).ok_or(HeadError::Extension)?;
    Ok(ConnectionEpoch { connection, epoch })
}

/// A response's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// A final status: 200 to 599. Interim responses do not travel.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// Whoever accepts a WebSocket with this holds state for it: it cannot be opened again elsewhere.
    pub holds_state: bool,
}

impl ResponseHead {
    pub(crate) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        let status = final_status(self.status.as_u16().into())?;
        varint::put(RESPONSE, out);
        varint::put(status.as_u16().into(), out);
        fields::put(&self.headers, out)?;
        varint::put_section(out, |section| {
            if self.holds_state {
                put_extension(extension::HOLDS_STATE, b"", section);
            }
        });
        Ok(())
    }

    fn get(from: &mut Bytes) -> Result<Self, HeadError> {
        let status = final_status(varint::get(from).ok_or(HeadError::Truncated)?)?;
        let headers = fields::get(from)?;
        let mut holds_state = false;
        for_each_extension(from, |id, _| {
            holds_state |= id == extension::HOLDS_STATE;
            Ok(())
        })?;
        Ok(Self { status, headers, holds_state })
    }
}

/// 200 to 599 (RFC 9110 §15).
pub(crate) fn final_status(number: u64) -> Result<StatusCode, HeadError> {
    let number = u16::try_from(number).ok().filter(|number| (200..600).contains(number));
    number.and_then(|number| StatusCode::from_u16(number).ok()).ok_or(HeadError::Status)
}

/// Either head, by its framing indicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A gateway's.
    Request(Box<RequestHead>),
    /// A responder's.
    Response(ResponseHead),
}

impl HeadKind {
    pub(crate) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
        match self {
            Self::Request(head) => head.put(out),
            Self::Response(head) => head.put(out),
        }
    }

    pub(crate) fn get(from: &mut Bytes) -> Result<Self, HeadError> {
        match varint::get(from).ok_or(HeadError::Truncated)? {
            REQUEST => RequestHead::get(from).map(|head| Self::Request(Box::new(head))),
            RESPONSE => ResponseHead::get(from).map(Self::Response),
            _ => Err(HeadError::Framing),
        }
    }
}

fn get_bytes(from: &mut Bytes) -> Result<Bytes, HeadError> {
    varint::get_bytes(from).ok_or(HeadError::Truncated)
}

fn put_extension(id: u64, value: &[u8], out: &mut BytesMut) {
    varint::put(id, out);
    varint::put_bytes(value, out);
}

fn for_each_extension(
    from: &mut Bytes,
    mut each: impl FnMut(u64, Bytes) -> Result<(), HeadError>,
) -> Result<(), HeadError> {
    let mut section = get_bytes(from)?;
    while !section.is_empty() {
        let id = varint::get(&mut section).ok_or(HeadError::Truncated)?;
        each(id, get_bytes(&mut section)?)?;
    }
    Ok(())
}
