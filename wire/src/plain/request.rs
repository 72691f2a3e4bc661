use bytes::Bytes;
use http::Method;
use http::header::{self, HeaderMap};
use http::uri::{Authority, PathAndQuery, Scheme};

use super::{
    CONNECTION_CLOSE_SUBJECT, ORIGINAL_METHOD, ORIGINAL_PATH, ORIGINAL_QUERY, PUBLISH_SUBJECT, PlainError,
    REPLY_SUBJECT, append, emit_fields,
};
use crate::head::{self, RequestHead};
use crate::reserved;
use crate::subject::HttpSubject;

/// The subjects that a plain request names in its head.
#[derive(Clone, Copy, Debug)]
pub struct RequestSubjects<'a> {
    /// Where it is published.
    pub publish: &'a str,
    /// Where the reply goes; empty when none is awaited.
    pub reply: &'a str,
    /// Where a notice of an early end goes; empty when nobody could send one.
    pub close: &'a str,
}

/// Writes a request's NATS headers, names in `Train-Case`.
///
/// Reserved and hop-by-hop names stay behind; whatever else `Connection` lists, the caller has removed
/// ([`reserved::strip_hop_by_hop`]).
///
/// # Errors
/// [`PlainError::NotUtf8`]: 400 at the client.
pub fn encode_request<'a>(
    head: &'a RequestHead,
    subjects: RequestSubjects<'a>,
    mut emit: impl FnMut(&str, &str),
) -> Result<(), PlainError> {
    emit("Host", head.authority.as_str());
    // Nobody is asked to continue here: the body comes with the head.
    let fields = head.headers.iter().filter(|(name, _)| ![header::HOST, header::EXPECT].contains(name));
    emit_fields(fields, &mut emit)?;
    emit(ORIGINAL_METHOD, head.method.as_str());
    emit(ORIGINAL_PATH, head.target.path());
    if let Some(query) = head.target.query() {
        emit(ORIGINAL_QUERY, query);
    }
    emit(PUBLISH_SUBJECT, subjects.publish);
    for (name, subject) in [(REPLY_SUBJECT, subjects.reply), (CONNECTION_CLOSE_SUBJECT, subjects.close)] {
        if !subject.is_empty() {
            emit(name, subject);
        }
    }
    Ok(())
}

/// Reads a request. What the headers leave out (a `nats request` at a prompt has none), the subject says.
///
/// # Errors
/// Headers that no HTTP request could have: a malformed or repeated `Host` or original method, path or query among
/// them.
pub fn decode_request<'a>(
    subject: &HttpSubject,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<RequestHead, PlainError> {
    let (mut method, mut host, mut path, mut query) = (None, None, None, None);
    let mut fields = HeaderMap::new();
    for (name, value) in headers {
        match name {
            _ if name.eq_ignore_ascii_case(ORIGINAL_METHOD) => once(&mut method, value, ORIGINAL_METHOD)?,
            _ if name.eq_ignore_ascii_case(ORIGINAL_PATH) => once(&mut path, value, ORIGINAL_PATH)?,
            _ if name.eq_ignore_ascii_case(ORIGINAL_QUERY) => once(&mut query, value, ORIGINAL_QUERY)?,
            _ if name.eq_ignore_ascii_case("host") => once(&mut host, value, "Host")?,
            _ => append(&mut fields, name, value)?,
        }
    }
    reserved::strip_hop_by_hop(&mut fields);
    // The body is here already.
    fields.remove(header::EXPECT);
    let method = method.map_or(Ok(subject.method.clone()), |method| Method::from_bytes(method.as_bytes()));
    let host = host.unwrap_or(subject.host.name());
    Ok(RequestHead {
        method: method.map_err(|_| PlainError::Original(ORIGINAL_METHOD))?,
        scheme: Scheme::HTTP,
        authority: Authority::try_from(host).map_err(|_| PlainError::Original("Host"))?,
        target: target(path.unwrap_or(&subject.path), query)?,
        headers: fields,
        protocol: None,
        connection: None,
        client: None,
        timeout: None,
    })
}

/// Two values for what a request has once are no request (RFC 9112 §3.2 of `Host`): which one would count?
fn once<'a>(slot: &mut Option<&'a str>, value: &'a str, name: &'static str) -> Result<(), PlainError> {
    if slot.replace(value).is_some() { Err(PlainError::Original(name)) } else { Ok(()) }
}

fn target(path: &str, query: Option<&str>) -> Result<PathAndQuery, PlainError> {
    let whole = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A path with a `?` of its own would move the border between path and query.
    let target = head::get_target(Bytes::from(whole)).ok().filter(|target| target.path() == path);
    target.ok_or(PlainError::Original(ORIGINAL_PATH))
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn request() -> RequestHead {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "a"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("nats-msg-id", "1"),
            ("x-h8s-evil", "1"),
            ("status", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        RequestHead {
            method: Method::POST,
            scheme: Scheme::HTTP,
            authority: Authority::from_static("a.example:8080"),
            target: PathAndQuery::from_static("/a%2Fb//c?x=%20&y"),
            headers,
            protocol: None,
            connection: None,
            client: None,
            timeout: None,
        }
    }

    #[test]
    fn a_request_says_everything_and_nothing_reserved() {
        let mut out = Vec::new();
        let subjects = RequestSubjects { publish: "p", reply: "r", close: "c" };
        encode_request(&request(), subjects, |name, value| out.push((name.to_owned(), value.to_owned())))
            .unwrap();
        let out: Vec<_> = out.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            out,
            [
                ("Host", "a.example:8080"),
                ("Accept", "a"),
                ("X-Two", "1"),
                ("X-Two", "2"),
                (ORIGINAL_METHOD, "POST"),
                (ORIGINAL_PATH, "/a%2Fb//c"),
                (ORIGINAL_QUERY, "x=%20&y"),
                (PUBLISH_SUBJECT, "p"),
                (REPLY_SUBJECT, "r"),
                (CONNECTION_CLOSE_SUBJECT, "c"),
            ]
        );
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/other".into() };
        let read = decode_request(&subject, out).unwrap();
        assert_eq!(
            (read.method, read.authority, read.target),
            (request().method, request().authority, request().target)
        );
        assert_eq!(read.headers.len(), 3, "{:?}", read.headers);
    }

    #[test]
    fn a_request_without_headers_is_what_its_subject_says() {
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/a%20b".into() };
        let head = decode_request(&subject, []).unwrap();
        assert_eq!(head.uri().unwrap().to_string(), "http://b.example/a%20b");
    }

    #[test]
    fn requests_that_say_something_twice_or_outside_its_place_are_refused() {
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/".into() };
        for (headers, what) in [
            (&[("Host", "a"), ("host", "b")][..], "Host"),
            (&[("Host", "a b")], "Host"),
            (&[(ORIGINAL_METHOD, "GET"), (ORIGINAL_METHOD, "PUT")], ORIGINAL_METHOD),
            (&[(ORIGINAL_METHOD, "G T")], ORIGINAL_METHOD),
            (&[(ORIGINAL_PATH, "/a?b")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "/a#b")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "a")], ORIGINAL_PATH),
            (&[(ORIGINAL_PATH, "")], ORIGINAL_PATH),
            (&[(ORIGINAL_QUERY, "a#b")], ORIGINAL_PATH),
        ] {
            let refused = decode_request(&subject, headers.iter().copied());
            assert_eq!(refused, Err(PlainError::Original(what)), "{headers:?}");
        }
        let head = decode_request(&subject, [("Transfer-Encoding", "chunked"), ("X-A", "1")]).unwrap();
        assert_eq!(head.headers.len(), 1, "hop-by-hop names end here: {:?}", head.headers);
    }

    #[test]
    fn a_value_outside_utf8_is_refused() {
        let mut head = request();
        head.headers.insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let subjects = RequestSubjects { publish: "p", reply: "r", close: "c" };
        let error = encode_request(&head, subjects, |_, _| {}).unwrap_err();
        assert_eq!(error, PlainError::NotUtf8(HeaderName::from_static("x-latin")));
    }
}
