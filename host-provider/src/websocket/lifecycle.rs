//! `lifecycle`, as guests export it: opening and closing.

use bytes::Bytes;
use h8s_wire::Close;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::bindings::h8s::exported::lifecycle::{Acceptance, Connection, GuestIndices, Origin, Refusal};
use crate::instance::fault::Fault;
use crate::instance::{Call, GuestState};

/// A call of `on-open`.
pub(crate) struct Open {
    pub(crate) lifecycle: GuestIndices,
    pub(crate) connection: Connection,
}

impl Call for Open {
    type Output = Result<Acceptance, Refusal>;

    async fn run(self, store: &mut Store<GuestState>, instance: Instance) -> wasmtime::Result<Self::Output> {
        let guest = self.lifecycle.load(&mut *store, &instance)?;
        guest.call_on_open(store, &self.connection).await
    }
}

/// A call of `on-close`.
pub(crate) struct Closed {
    pub(crate) lifecycle: GuestIndices,
    pub(crate) from: Origin,
    pub(crate) close: Close,
}

impl Call for Closed {
    type Output = ();

    async fn run(self, store: &mut Store<GuestState>, instance: Instance) -> wasmtime::Result<()> {
        let guest = self.lifecycle.load(&mut *store, &instance)?;
        guest.call_on_close(store, &self.from, self.close.code, &self.close.reason).await
    }
}

/// The response for a refused client.
pub(crate) fn refused(refusal: Refusal) -> Result<Response<Bytes>, Fault> {
    let status =
        StatusCode::from_u16(refusal.status).ok().filter(|status| (300..600).contains(&status.as_u16()));
    let status = status.ok_or(Fault::BadResponse("refused a WebSocket with a status outside 300 to 599"))?;
    let mut headers = HeaderMap::new();
    for field in &refusal.headers {
        let name = HeaderName::from_bytes(field.key.as_bytes())
            .map_err(|_| Fault::BadResponse("refused a WebSocket with an invalid header name"))?;
        for value in &field.value {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Fault::BadResponse("refused a WebSocket with an invalid header value"))?;
            headers
                .try_append(name.clone(), value)
                .map_err(|_| Fault::BadResponse("refused a WebSocket with too many headers"))?;
        }
    }
    h8s_wire::reserved::strip_hop_by_hop(&mut headers);
    h8s_wire::reserved::strip_ours(&mut headers);
    // It is computed from the body.
    headers.remove(header::CONTENT_LENGTH);
    let mut response = Response::new(Bytes::from(refusal.body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::h8s::imported::types::KeyValue;

    fn refusal(status: u16, name: &str, value: &str) -> Result<Response<Bytes>, Fault> {
        let headers = vec![KeyValue { key: name.into(), value: vec![value.into()] }];
        refused(Refusal { status, headers, body: b"no".into() })
    }

    #[test]
    fn a_refusal_is_a_response() {
        let response = refusal(401, "WWW-Authenticate", "Basic").unwrap();
        assert_eq!((response.status(), response.body().as_ref()), (StatusCode::UNAUTHORIZED, &b"no"[..]));
        assert_eq!(response.headers()["www-authenticate"], "Basic");
        assert!(refusal(403, "Upgrade", "websocket").unwrap().headers().is_empty());
        assert!(refusal(403, "X-H8s-Original-Path", "/").unwrap().headers().is_empty());
    }

    #[test]
    fn an_invalid_refusal_is_the_components_fault() {
        for (status, name, value) in
            [(101, "a", "b"), (200, "a", "b"), (600, "a", "b"), (403, "a b", "c"), (403, "a", "\r\n")]
        {
            assert!(
                matches!(refusal(status, name, value), Err(Fault::BadResponse(_))),
                "{status} {name} {value:?}"
            );
        }
    }
}
