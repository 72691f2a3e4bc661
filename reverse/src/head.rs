//! How a request's head is rewritten for a backend: target, `Host`, what describes the client, what belongs to one hop.

use std::str::FromStr;

use h8s_nats::ExchangeContext;
use h8s_wire::{PathPattern, reserved};
use http::header::{self, Entry, HeaderName};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri};

use crate::backend_url::BackendUrl;
use crate::rescue::Failure;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// What `Host` a backend sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    #[default]
    Keep,
    /// The one of the backend's URL.
    Backend,
    /// Always this one.
    Fixed(Authority),
}

impl FromStr for HostHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "backend" => Ok(Self::Backend),
            host => match host.parse::<Authority>() {
                Ok(authority) if !host.contains('@') => Ok(Self::Fixed(authority)),
                _ => Err(format!("{host:?} is no host; write keep, backend, or a host such as app.internal")),
            },
        }
    }
}

/// Which version of HTTP the head is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// How heads of one mapping are rewritten.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub(crate) url: BackendUrl,
    pub(crate) path: PathPattern,
    pub(crate) host_header: HostHeader,
    pub(crate) strip_prefix: bool,
}

impl Rewrite {
    /// Makes `head` one for the backend.
    ///
    /// # Errors
    /// [`Failure::Request`]: it cannot be passed on.
    pub(crate) fn rewrite(&self, head: &mut http::request::Parts, version: Version) -> Result<(), Failure> {
        let context = head.extensions.remove::<ExchangeContext>().unwrap_or_default();
        strip(&mut head.headers, version);
        self.describe(&mut head.headers, &context);
        let target = self.target(&head.uri)?;
        head.uri = match version {
            Version::Http1 => {
                if let Some(authority) = self.own_authority() {
                    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| UNPASSABLE_HOST)?;
                    head.headers.insert(header::HOST, host);
                }
                target.into()
            }
            Version::Http2 => {
                let host = head.headers.remove(header::HOST);
                let authority = match self.own_authority() {
                    Some(authority) => authority.clone(),
                    None => {
                        let host = host.ok_or(UNPASSABLE_HOST)?;
                        Authority::try_from(host.as_bytes()).map_err(|_| UNPASSABLE_HOST)?
                    }
                };
                let uri = Uri::builder().scheme(self.url.scheme().clone()).authority(authority);
                uri.path_and_query(target).build().map_err(|_| UNPASSABLE_TARGET)?
            }
        };
        Ok(())
    }

    /// The gateway has said who the client is; a gateway that does not is helped out.
    fn describe(&self, headers: &mut HeaderMap, context: &ExchangeContext) {
        if let (Entry::Vacant(vacant), Some(client)) = (headers.entry(FORWARDED_FOR), context.client)
            && let Ok(client) = HeaderValue::from_str(&client.to_string())
        {
            vacant.insert(client);
        }
        let scheme = if context.is_secure { "https" } else { "http" };
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
        if let Some(host) = headers.get(header::HOST).cloned() {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        if self.strip_prefix && !is_everything(&self.path) {
            let prefix = self.path.to_string();
            let prefix = HeaderValue::from_str(prefix.trim_end_matches('*').trim_end_matches('/'));
            headers.extend(prefix.ok().map(|prefix| (FORWARDED_PREFIX, prefix)));
        }
    }

    /// What `Host` says in the place of what the client's says.
    fn own_authority(&self) -> Option<&Authority> {
        match &self.host_header {
            HostHeader::Keep => None,
            HostHeader::Backend => Some(self.url.authority()),
            HostHeader::Fixed(authority) => Some(authority),
        }
    }

    /// What the client asked for, byte for byte, but for the prefix and the base.
    fn target(&self, uri: &Uri) -> Result<PathAndQuery, Failure> {
        let Some(asked) = uri.path_and_query() else { return Ok(PathAndQuery::from_static("/")) };
        let base = self.url.base();
        let is_part = !is_everything(&self.path) || !base.is_empty();
        if is_part && has_dot_segments(asked.path()) {
            return Err(DOT_SEGMENTS);
        }
        if base.is_empty() && !self.strip_prefix {
            return Ok(asked.clone());
        }
        let rest = match asked.path() {
            "*" => "",
            path if self.strip_prefix => without_segments(path, segments(&self.path)),
            path => path,
        };
        let slash = if base.is_empty() && rest.is_empty() { "/" } else { "" };
        let query = asked.query().map(|query| format!("?{query}")).unwrap_or_default();
        PathAndQuery::try_from(format!("{base}{slash}{rest}{query}")).map_err(|_| UNPASSABLE_TARGET)
    }
}

const UNPASSABLE_HOST: Failure = Failure::Request("The request names no host that can be passed on.\n");
const UNPASSABLE_TARGET: Failure = Failure::Request("The request's target cannot be passed on.\n");
const DOT_SEGMENTS: Failure =
    Failure::Request("The path has dot segments, which could lead out of what is served.\n");

fn is_everything(path: &PathPattern) -> bool {
    path.is_prefix() && path.tokens().is_empty()
}

fn segments(path: &PathPattern) -> usize {
    path.tokens().split('.').filter(|token| !token.is_empty()).count()
}

/// The path from behind its first `count` segments; routing takes `//` for `/`.
fn without_segments(path: &str, count: usize) -> &str {
    let mut rest = path;
    for _ in 0..count {
        let segment = rest.trim_start_matches('/');
        rest = &segment[segment.find('/').unwrap_or(segment.len())..];
    }
    rest
}

/// Where only a part of a backend is served, `..` must not lead to the rest of it, however it is written.
fn has_dot_segments(path: &str) -> bool {
    if !path.contains('.') && !path.contains('%') {
        return false;
    }
    let decoded = decoded(path);
    decoded.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| {
        // Servlet containers take parameters away first: `..;x` is `..` to them.
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        matches!(name, b"." | b"..")
    })
}

fn decoded(path: &str) -> Vec<u8> {
    let mut rest = path.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        let escaped =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                rest = &after[2..];
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

/// `TE: trailers` is the one of those fields that a backend must see: without it there are no trailers.
fn strip(headers: &mut HeaderMap, version: Version) {
    let takes_trailers = headers.get_all(header::TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    reserved::strip_hop_by_hop(headers);
    if takes_trailers {
        headers.insert(header::TE, TRAILERS);
        if version == Version::Http1 {
            // RFC 9110 §10.1.4
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, request};

    fn rewrite(url: &str, path: &str) -> Rewrite {
        Rewrite {
            url: url.parse().unwrap(),
            path: path.parse().unwrap(),
            host_header: HostHeader::Keep,
            strip_prefix: false,
        }
    }

    fn head(target: &str, headers: &[(&'static str, &str)]) -> request::Parts {
        let mut request = Request::builder().uri(target).header("host", "app.example:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let context = ExchangeContext::default().client(Some([192, 0, 2, 7].into())).is_secure(true);
        request.extension(context).body(()).unwrap().into_parts().0
    }

    fn target(rewrite: &Rewrite, path: &str) -> Result<String, String> {
        let mut head = head(&format!("https://app.example:8080{path}"), &[]);
        match rewrite.rewrite(&mut head, Version::Http1) {
            Ok(()) => Ok(head.uri.to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn targets_pass_byte_for_byte() {
        let rewrite = rewrite("http://localhost:3000", "/*");

        for path in
            ["/", "/a%2Fb//c/?x=%20&&y", "//", "/../a/./%2e%2E", "/?", "/a?b?c", "/%00%ff;a=1,b", "/{}\""]
        {
            assert_eq!(target(&rewrite, path).as_deref(), Ok(path));
        }
        let mut asterisk = head("*", &[]);
        rewrite.rewrite(&mut asterisk, Version::Http1).unwrap();
        assert_eq!(asterisk.uri, "*");
    }

    #[test]
    fn the_prefix_goes_and_the_base_comes() {
        let stripping = Rewrite { strip_prefix: true, ..rewrite("http://a", "/api/v1/*") };
        let based = rewrite("http://a/base/", "/*");
        let both = Rewrite { url: "http://a/base".parse().unwrap(), ..stripping.clone() };

        for (rewrite, path, seen) in [
            (&stripping, "/api/v1/users?x", "/users?x"),
            (&stripping, "/api/v1", "/"),
            (&stripping, "/api/v1/", "/"),
            (&stripping, "//%61pi//v1//x/", "//x/"),
            (&stripping, "/api/v1?x", "/?x"),
            (&based, "/x/?y", "/base/x/?y"),
            (&based, "/", "/base/"),
            (&both, "/api/v1/x", "/base/x"),
            (&both, "/api/v1", "/base"),
        ] {
            assert_eq!(target(rewrite, path).as_deref(), Ok(seen), "{path}");
        }
    }

    #[test]
    fn t13_dot_segments_do_not_lead_out_of_a_prefix() {
        let rewrite = rewrite("http://a", "/api/*");

        for path in [
            "/api/../admin",
            "/api/%2e%2E/x",
            "/api/..%2fx",
            "/api/..%5Cx",
            "/api/.",
            "/api/..\\x",
            "/api/..;/x",
            "/api/%2e.%3Ba=1/x",
        ] {
            assert!(target(&rewrite, path).is_err(), "{path}");
        }
        let based = self::rewrite("http://a/public", "/*");
        assert!(target(&based, "/../admin").is_err() && target(&based, "/%2e%2e/admin").is_err());
        for path in ["/api/..x", "/api/...", "/api/a.b", "/api/%2", "/api/%zz"] {
            assert_eq!(target(&rewrite, path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn host_is_the_clients_unless_told() {
        let keep = rewrite("http://localhost:3000", "/*");
        let backend = Rewrite { host_header: "backend".parse().unwrap(), ..keep.clone() };
        let fixed = Rewrite { host_header: "app.internal".parse().unwrap(), ..keep.clone() };

        for (rewrite, seen) in
            [(keep, "app.example:8080"), (backend, "localhost:3000"), (fixed, "app.internal")]
        {
            let (mut one, mut two) = (head("/", &[]), head("/x", &[]));
            rewrite.rewrite(&mut one, Version::Http1).unwrap();
            rewrite.rewrite(&mut two, Version::Http2).unwrap();

            assert_eq!(one.headers["host"], seen);
            assert_eq!(one.headers["x-forwarded-host"], "app.example:8080");
            assert_eq!((two.uri.to_string(), two.headers.get("host")), (format!("http://{seen}/x"), None));
        }
        assert!("a b".parse::<HostHeader>().is_err() && "u@a".parse::<HostHeader>().is_err());
    }

    #[test]
    fn what_the_gateway_says_of_the_client_is_kept_and_completed() {
        let rewrite = Rewrite { strip_prefix: true, ..rewrite("http://a", "/api/*") };
        let mut said = head("/api/x", &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "http")]);
        let mut unsaid = head("/api/x", &[]);

        rewrite.rewrite(&mut said, Version::Http1).unwrap();
        rewrite.rewrite(&mut unsaid, Version::Http1).unwrap();

        assert_eq!(
            (&said.headers["x-forwarded-for"], &said.headers["x-forwarded-proto"]),
            (&"6.6.6.6".parse().unwrap(), &"http".parse().unwrap())
        );
        assert_eq!(
            (&unsaid.headers["x-forwarded-for"], &unsaid.headers["x-forwarded-proto"]),
            (&"192.0.2.7".parse().unwrap(), &"https".parse().unwrap())
        );
        assert_eq!(said.headers["x-forwarded-prefix"], "/api");
    }

    #[test]
    fn fields_of_one_hop_end_here_but_trailers_are_asked_for() {
        let fields = [
            ("connection", "x-private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip, trailers"),
            ("trailer", "x-sum"),
        ];
        let (mut one, mut two) = (head("/", &fields), head("/", &fields));
        let rewrite = rewrite("http://a", "/*");

        rewrite.rewrite(&mut one, Version::Http1).unwrap();
        rewrite.rewrite(&mut two, Version::Http2).unwrap();

        let gone = ["x-private", "keep-alive", "transfer-encoding", "upgrade"];
        assert!(gone.iter().all(|name| !one.headers.contains_key(*name) && !two.headers.contains_key(*name)));
        for head in [&one, &two] {
            assert_eq!(
                (&head.headers["te"], &head.headers["trailer"]),
                (&"trailers".parse().unwrap(), &"x-sum".parse().unwrap())
            );
        }
        assert_eq!(
            (&one.headers["connection"], two.headers.get("connection")),
            (&"te".parse().unwrap(), None)
        );
    }
}
