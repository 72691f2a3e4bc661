//! HTTP as a message with headers and data, for guests without `wasi:http`: the plain dialect (`PROTOCOL.md §4`),
//! without NATS.

use bytes::Bytes;
use h8s_wire::plain::{self, PlainError, RequestSubjects};
use h8s_wire::{Host, MethodPattern, PathTokens, RequestHead, Subjects};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Response, header};

use crate::bindings::fields::grouped;
use crate::instance::fault::Fault;

/// Stands for the requester's inbox. The reply is returned to the requester whatever its subject is.
const REPLY: &str = "h8s.reply";

/// A message, as in both WIT packages.
pub(crate) struct Msg {
    /// Each name once, with its values in order.
    pub(crate) headers: Vec<(String, Vec<String>)>,
    pub(crate) data: Vec<u8>,
    pub(crate) reply: String,
    pub(crate) subject: String,
}

/// Why a request cannot be expressed as a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the request names no host")]
    Host,
    #[error(transparent)]
    Plain(#[from] PlainError),
}

impl Msg {
    /// A request with its whole body.
    pub(crate) fn request(subjects: &Subjects, parts: Parts, body: &Bytes) -> Result<Self, RequestError> {
        let authority = authority(&parts).ok_or(RequestError::Host)?;
        let host = Host::parse(authority.as_str()).map_err(|_| RequestError::Host)?;
        let method = MethodPattern::named(&parts.method).unwrap_or(MethodPattern::Any);
        let target = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let subject = subjects.http(&method, &host, &PathTokens::of(target.path())).into_string();
        let head = RequestHead {
            method: parts.method,
            scheme: parts.uri.scheme().cloned().unwrap_or(Scheme::HTTP),
            authority,
            target,
            headers: parts.headers,
            protocol: None,
            connection: None,
            client: None,
            timeout: None,
        };
        let mut fields = Vec::new();
        let named = RequestSubjects { publish: &subject, reply: REPLY, close: "" };
        plain::encode_request(&head, named, |name, value| fields.push((name.to_owned(), value.to_owned())))?;
        let headers = grouped(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let headers = headers.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        Ok(Self { headers, data: body.to_vec(), reply: REPLY.into(), subject })
    }

    /// Decodes a reply into a response.
    pub(crate) fn into_response(self, method: &Method) -> Result<Response<Bytes>, Fault> {
        let fields = self
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())));
        let plain = plain::decode_response(fields, self.data.len(), *method != Method::HEAD)
            .map_err(|error| Fault::BadAnswer(error.to_string()))?;
        if plain.more {
            return Err(Fault::BadAnswer("it announces more pieces, and a reply is one message".into()));
        }
        let mut response = Response::new(Bytes::from(self.data));
        *response.status_mut() = plain.head.status;
        *response.headers_mut() = plain.head.headers;
        Ok(response)
    }
}

fn authority(parts: &Parts) -> Option<Authority> {
    let host = || parts.headers.get(header::HOST)?.to_str().ok()?.parse().ok();
    parts.uri.authority().cloned().or_else(host)
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    fn parts(request: http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_is_encoded_as_in_the_plain_dialect() {
        let request = Request::post("http://a.example:8080/x%20y//z?q=1&r")
            .header("x-two", "1")
            .header("content-type", "text/plain")
            .header("x-two", "2")
            .header("status-code", "500")
            .header("connection", "close");
        let msg = Msg::request(&Subjects::default(), parts(request), &Bytes::from_static(b"body")).unwrap();
        let header = |name: &str| {
            let values =
                msg.headers.iter().find(|(known, _)| known == name).map(|(_, values)| values.join("|"));
            values.unwrap_or_else(|| "-".into())
        };
        assert_eq!((header("X-Two"), header("Content-Type")), ("1|2".into(), "text/plain".into()));
        assert_eq!((header("Connection"), header("Status-Code")), ("-".into(), "-".into()));
        assert_eq!(header("X-H8s-Original-Path"), "/x%20y//z");
        assert_eq!(
            (header("X-H8s-Original-Query"), header("Host")),
            ("q=1&r".into(), "a.example:8080".into())
        );
        assert_eq!((&*msg.data, &*msg.reply), (&b"body"[..], REPLY));
        assert!(msg.subject.starts_with("h8s.http.POST.example.a._.x"), "{}", msg.subject);
    }

    fn answer(headers: &[(&str, &str)], method: Method) -> Result<Response<Bytes>, Fault> {
        let headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
        Msg { headers, data: b"data".into(), reply: "elsewhere".into(), subject: String::new() }
            .into_response(&method)
    }

    #[test]
    fn a_reply_becomes_a_response() {
        let given = [("Status-Code", "418"), ("X-Kept", "1"), ("X-H8s-Mine", "1"), ("Connection", "close")];
        let response = answer(&given, Method::GET).unwrap();
        assert_eq!((response.status(), response.headers().len()), (StatusCode::IM_A_TEAPOT, 1));
        assert_eq!(response.body(), "data");
        assert_eq!(answer(&[], Method::GET).unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn an_invalid_reply_is_the_components_fault() {
        for (name, value) in [
            ("Status-Code", "99"),
            ("Status-Code", "101"),
            ("Content-Length", "3"),
            ("X-Bad\r\n", "1"),
            ("X-Bad", "a\r\nSet-Cookie: b"),
            ("H8s-More", "true"),
            ("Transfer-Encoding", "gzip"),
        ] {
            assert!(
                matches!(answer(&[(name, value)], Method::GET), Err(Fault::BadAnswer(_))),
                "{name}: {value}"
            );
        }
        assert!(answer(&[("Content-Length", "3")], Method::HEAD).is_ok());
    }

    #[test]
    fn names_are_in_train_case() {
        assert_eq!(plain::train_case("x-h8s-original-path"), "X-H8s-Original-Path");
    }
}
