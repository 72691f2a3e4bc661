//! Admits a request, or rejects it before anything reaches NATS.
//!
//! The order is part of the contract: what the request *is* (method, host), then whether this gateway serves the host,
//! then whether the client is authorized, and only then announced interest, so that an unauthorized client learns
//! nothing about routes.

use h8s_settings::Secret;
use h8s_wire::{Host, HostError};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Uri, Version, request};
use subtle::ConstantTimeEq;

use crate::{AllowedOrigins, HostFilters, Limits, Upstream};

/// A rejection before NATS. `error_response` maps each to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Rejection {
    /// `CONNECT`, or a name that subjects use for something else (`WS`, `ANY`).
    #[error("method is not served")]
    Method,
    /// Not exactly one `Host`, or two that disagree.
    #[error("host is missing or ambiguous")]
    Ambiguous,
    #[error(transparent)]
    Host(#[from] HostError),
    /// Not among `--host-filters`.
    #[error("host is not served here")]
    Filtered,
    /// `--authorization-key` is set, and the request does not carry it.
    #[error("authorization key is missing or wrong")]
    Unauthorized,
    /// No responder has announced interest, and `--track-interest` is set.
    #[error("no responder has announced interest")]
    NoInterest,
    /// The declared length is over `--max-body-size`.
    #[error("declared body is over {limit_bytes} bytes")]
    BodyTooLarge { limit_bytes: u64 },
    /// A malformed WebSocket handshake.
    #[error("malformed WebSocket handshake: {0}")]
    Upgrade(&'static str),
    /// A WebSocket version other than 13.
    #[error("WebSocket version is not served")]
    WebSocketVersion,
    /// An extended CONNECT to another protocol.
    #[error("protocol is not served")]
    Protocol,
    /// `--publish-only` serves no WebSockets.
    #[error("WebSockets are not served by a gateway that only publishes")]
    PublishOnly,
    /// The page's origin is not allowed.
    #[error("origin is not allowed")]
    Origin,
    /// `--max-websockets` is reached.
    #[error("too many WebSockets are open")]
    TooManyWebSockets,
    /// `--max-exchanges` is reached.
    #[error("too many exchanges are in flight")]
    TooManyExchanges,
    /// `--max-exchanges-per-connection` is reached, counting recent resets.
    #[error("too many exchanges on one connection")]
    TooManyOnConnection,
    /// Over `--max-header-size` or `--max-headers`.
    #[error("head is too large")]
    HeadTooLarge,
}

/// Checks for every request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission {
    pub(crate) host_filters: HostFilters,
    pub(crate) authorization_key: Option<Secret>,
    pub(crate) track_interest: bool,
    pub(crate) max_body_bytes: Option<u64>,
}

/// An admitted request: its host, and the authority as the client wrote it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) host: Host,
    pub(crate) authority: HeaderValue,
}

impl Admission {
    /// Checks a request head. `declared_bytes` is the body's length where the client declared one.
    pub(crate) fn admit(
        &self,
        head: &request::Parts,
        declared_bytes: Option<u64>,
        upstream: &impl Upstream,
    ) -> Result<Admitted, Rejection> {
        check_method(&head.method)?;
        let admitted = self.admit_client(head)?;
        if self.track_interest && !upstream.serves(&admitted.host, &head.method, head.uri.path()) {
            return Err(Rejection::NoInterest);
        }
        match (self.max_body_bytes, declared_bytes) {
            (Some(limit_bytes), Some(declared)) if declared > limit_bytes => {
                Err(Rejection::BodyTooLarge { limit_bytes })
            }
            _ => Ok(admitted),
        }
    }

    /// Checks the head of a WebSocket request.
    pub(crate) fn admit_websocket(
        &self,
        head: &request::Parts,
        origins: &AllowedOrigins,
        upstream: &impl Upstream,
    ) -> Result<Admitted, Rejection> {
        let admitted = self.admit_client(head)?;
        if !origins.admit(&head.headers, &admitted.authority) {
            return Err(Rejection::Origin);
        }
        if self.track_interest && !upstream.serves_websocket(&admitted.host, head.uri.path()) {
            return Err(Rejection::NoInterest);
        }
        Ok(admitted)
    }

    fn admit_client(&self, head: &request::Parts) -> Result<Admitted, Rejection> {
        let authority = authority(&head.uri, &head.headers, head.version)?;
        let host = Host::parse(authority.to_str().unwrap_or("\u{fffd}"))?;
        if !self.host_filters.admit(&host) {
            return Err(Rejection::Filtered);
        }
        self.check_key(&head.headers)?;
        Ok(Admitted { host, authority })
    }

    /// Whether the gateway consumes `Authorization`, so that it is not forwarded.
    pub(crate) fn consumes_authorization(&self) -> bool {
        self.authorization_key.is_some()
    }

    /// Constant time in the position of the first wrong byte. (The key's length is not treated as a secret.)
    fn check_key(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let Some(key) = &self.authorization_key else { return Ok(()) };
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let is_key = given.next().is_some_and(|value| value.as_bytes().ct_eq(key.expose().as_bytes()).into());
        if is_key && given.next().is_none() { Ok(()) } else { Err(Rejection::Unauthorized) }
    }
}

/// Checks the limits of a head, measured as HTTP/1.1 writes it, so that one limit fits both protocols.
pub(crate) fn check_head<B>(request: &Request<B>, limits: &Limits) -> Result<(), Rejection> {
    // Between method, target and version, two spaces; `HTTP/1.1`; two line breaks.
    const REQUEST_LINE_BYTES: usize = 14;
    // `: ` and a line break.
    const FIELD_BYTES: usize = 4;
    let uri = request.uri();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len())
        + uri.authority().map_or(0, |authority| authority.as_str().len());
    let fields = request.headers().iter();
    let field_bytes: usize =
        fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    let head_bytes = request.method().as_str().len() + target + field_bytes + REQUEST_LINE_BYTES;
    let is_within = head_bytes <= limits.head_bytes && request.headers().len() <= limits.fields;
    if is_within { Ok(()) } else { Err(Rejection::HeadTooLarge) }
}

/// `CONNECT` requests a tunnel. `WS` and `ANY`, in any case, have a meaning in subjects.
fn check_method(method: &Method) -> Result<(), Rejection> {
    let name = method.as_str();
    let is_word = name.eq_ignore_ascii_case("WS") || name.eq_ignore_ascii_case("ANY");
    if *method == Method::CONNECT || is_word { Err(Rejection::Method) } else { Ok(()) }
}

/// The authority that the client requested.
///
/// 1. HTTP/1.1 with no `Host`, and anything with two: refused (RFC 9112 §3.2).
/// 2. An absolute target over HTTP/1: the target wins, `Host` is ignored (RFC 9112 §3.2.2).
/// 3. HTTP/2 with `:authority` and a `Host` that differs: malformed (RFC 9113 §8.3.1).
/// 4. Otherwise the one that is present.
fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<HeaderValue, Rejection> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && version == Version::HTTP_11) {
        return Err(Rejection::Ambiguous);
    }
    match (uri.authority(), host) {
        (None, Some(host)) => Ok(host.clone()),
        (None, None) => Err(Rejection::Ambiguous),
        (Some(target), Some(host)) if version == Version::HTTP_2 => {
            let is_same = target.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes());
            if is_same { Ok(host.clone()) } else { Err(Rejection::Ambiguous) }
        }
        (Some(target), _) => HeaderValue::from_str(target.as_str()).map_err(|_| HostError::Character.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority_of(target: &str, hosts: &[&'static str], version: Version) -> Result<String, Rejection> {
        let headers = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host))).collect();
        let found = authority(&target.parse().unwrap(), &headers, version)?;
        Ok(found.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_authority_is_the_targets_or_the_one_host() {
        use Version as V;
        let ambiguous = Err(Rejection::Ambiguous);
        for (target, hosts, version, expected) in [
            ("/", &["a:80"][..], V::HTTP_11, Ok("a:80")),
            ("/", &[], V::HTTP_11, ambiguous),
            ("/", &[], V::HTTP_10, ambiguous),
            ("/", &["a"], V::HTTP_10, Ok("a")),
            ("/", &["a", "a"], V::HTTP_11, ambiguous),
            ("http://t:81/", &["a"], V::HTTP_11, Ok("t:81")),
            ("http://t/", &[], V::HTTP_11, ambiguous),
            ("http://t/", &["a", "b"], V::HTTP_11, ambiguous),
            ("http://t/", &[], V::HTTP_10, Ok("t")),
            ("https://t/", &[], V::HTTP_2, Ok("t")),
            ("https://t/", &["T"], V::HTTP_2, Ok("T")),
            ("https://t/", &["a"], V::HTTP_2, ambiguous),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(authority_of(target, hosts, version), expected, "{target} {hosts:?} {version:?}");
        }
    }

    #[test]
    fn methods_that_subjects_or_tunnels_use_are_refused() {
        for method in ["CONNECT", "WS", "ws", "Any"] {
            assert_eq!(check_method(&method.parse().unwrap()), Err(Rejection::Method), "{method}");
        }
        for method in ["GET", "PROPFIND", "wss", "TRACE"] {
            assert_eq!(check_method(&method.parse().unwrap()), Ok(()), "{method}");
        }
    }

    #[test]
    fn the_key_must_be_there_once_and_exact() {
        let admission =
            Admission { authorization_key: Some("Bearer k".parse().unwrap()), ..Admission::default() };
        for (given, is_admitted) in [
            (&["Bearer k"][..], true),
            (&[], false),
            (&["bearer k"], false),
            (&["Bearer kk"], false),
            (&["Bearer k", "Bearer k"], false),
            (&["Bearer x", "Bearer k"], false),
        ] {
            let headers =
                given.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).collect();
            assert_eq!(admission.check_key(&headers).is_ok(), is_admitted, "{given:?}");
        }
    }
}
