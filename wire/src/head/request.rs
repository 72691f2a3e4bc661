use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::EXPECT;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri};

use super::{
    HeadError, REQUEST, extension, fields, for_each_extension, get_bytes, put_extension, put_extension_with,
};
use crate::id::ConnectionId;
use crate::varint;

/// The WebSocket connection that an exchange carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionEpoch {
    /// Constant while the client is connected.
    pub connection: ConnectionId,
    /// How many times the connection has been reopened because its responder was lost or is draining. Starts at 0.
    pub epoch: u64,
}

/// A request head, exactly as the client sent it, without hop-by-hop fields.
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
    /// The header fields, without `Host`: the authority replaces it.
    pub headers: HeaderMap,
    /// The protocol of an extended CONNECT, e.g. `websocket`.
    pub protocol: Option<String>,
    /// The client's address, as far as the gateway trusts it.
    pub client: Option<IpAddr>,
    /// The time until the gateway's response timeout expires, in whole milliseconds. `None` while the request body is
    /// still in transit: the timeout then starts again with each piece.
    pub timeout: Option<Duration>,
    /// The WebSocket connection that this exchange carries.
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

    /// Whether the client sent `Expect: 100-continue` (RFC 9110 §10.1.1). If so, no body byte may be sent before the
    /// responder grants credit, which it does when its handler begins to read (`PROTOCOL.md §5`).
    pub fn expects_continue(&self) -> bool {
        self.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    pub(super) fn put(&self, out: &mut BytesMut) -> Result<(), HeadError> {
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
            put_extension_with(extension::TIMEOUT, out, |value| varint::put(milliseconds, value));
        }
        if let Some(ConnectionEpoch { connection, epoch }) = self.connection {
            put_extension_with(extension::CONNECTION, out, |value| {
                value.put_slice(connection.as_bytes());
                varint::put(epoch, value);
            });
        }
        Ok(())
    }

    pub(super) fn get(from: &mut Bytes) -> Result<Self, HeadError> {
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
            extension::CLIENT => self.client = Some(get_address(&value)?),
            extension::TIMEOUT => {
                let milliseconds = varint::get(&mut value).filter(|_| value.is_empty());
                let milliseconds = milliseconds.ok_or(HeadError::Extension)?;
                self.timeout = Some(Duration::from_millis(milliseconds));
            }
            extension::CONNECTION => self.connection = Some(get_connection_epoch(value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Refuses every target that the `http` crate would change, e.g. one with a fragment: a target keeps its exact bytes.
pub(crate) fn get_target(bytes: Bytes) -> Result<PathAndQuery, HeadError> {
    let target = PathAndQuery::from_maybe_shared(bytes.clone()).map_err(|_| HeadError::Target)?;
    let is_exact = target.as_str().as_bytes() == bytes;
    let has_known_form = bytes.first() == Some(&b'/') || bytes == "*";
    if is_exact && has_known_form { Ok(target) } else { Err(HeadError::Target) }
}

/// RFC 8441 §4: a token from the registry of `Upgrade`, so visible ASCII. It becomes a pseudo-header.
fn check_protocol(bytes: &[u8]) -> Result<&str, HeadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| HeadError::Extension)?;
    let is_visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible { Ok(text) } else { Err(HeadError::Extension) }
}

fn get_address(bytes: &[u8]) -> Result<IpAddr, HeadError> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into()).map_err(|_| HeadError::Extension)
}

fn get_connection_epoch(mut value: Bytes) -> Result<ConnectionEpoch, HeadError> {
    let (id, _) = value.split_first_chunk::<16>().ok_or(HeadError::Extension)?;
    let connection = ConnectionId::from_bytes(*id);
    value.advance(16);
    let epoch = varint::get(&mut value).filter(|_| value.is_empty()).ok_or(HeadError::Extension)?;
    Ok(ConnectionEpoch { connection, epoch })
}
