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

/// The subjects in the headers of a plain request.
#[derive(Clone, Copy, Debug)]
pub struct RequestSubjects<'a> {
    /// The subject of the request.
    pub publish: &'a str,
    /// The reply subject; empty if no reply is expected.
    pub reply: &'a str,
    /// The subject of the notice of an early end; empty if there will be no notice.
    pub close: &'a str,
}

/// Emits the NATS headers of a request, names in `Train-Case`.
///
/// Omits reserved and hop-by-hop names. The caller must have removed the other names that `Connection` lists
/// ([`reserved::strip_hop_by_hop`]).
///
/// # Errors
/// [`PlainError::NotUtf8`] if a value is not UTF-8. Maps to 400.
pub fn encode_request<'a>(
    head: &'a RequestHead,
    subjects: RequestSubjects<'a>,
    mut emit: impl FnMut(&str, &str),
) -> Result<(), PlainError> {
    emit("Host", head.authority.as_str());
    // `Expect` has no meaning here: the body is in the same message.
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

/// Decodes a request. The subject provides what the headers omit, e.g. for `nats request` at a prompt.
///
/// # Errors
/// [`PlainError`] if a header is not valid in HTTP, or if `Host` or an original method, path or query is malformed or
/// repeated.
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
    // The body is in the same message.
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

/// Refuses a repeated header that must be unique (for `Host`, RFC 9112 §3.2).
fn once<'a>(slot: &mut Option<&'a str>, value: &'a str, name: &'static str) -> Result<(), PlainError> {
    if slot.replace(value).is_some() { Err(PlainError::Original(name)) } else { Ok(()) }
}

fn target(path: &str, query: Option<&str>) -> Result<PathAndQuery, PlainError> {
    let whole = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // A `?` in the path would change where the query starts.
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
    fn a_request_carries_every_part_and_no_reserved_name() {
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
    fn a_request_without_headers_is_read_from_its_subject() {
        let subject =
            HttpSubject { method: Method::GET, host: "b.example".parse().unwrap(), path: "/a%20b".into() };
        let head = decode_request(&subject, []).unwrap();
        assert_eq!(head.uri().unwrap().to_string(), "http://b.example/a%20b");
    }

    #[test]
    fn requests_with_repeated_or_misplaced_parts_are_refused() {
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
