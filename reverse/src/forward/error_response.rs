//! Maps every failure to a response or to an error for the gateway.

use h8s_nats::{BoxError, LoggedError};
use http::{HeaderValue, Response, StatusCode, header};

use super::failure::{Failure, RequestLabel, log, log_not_forwarded};
use super::response_body::ReverseBody;
use crate::backend::BackendUrl;

/// For the log of the gateway, which responds to the client with a page, problem details or a gRPC status.
const NO_RESPONSE: LoggedError = LoggedError("no valid response from the service behind this responder");
const UNPASSABLE: LoggedError =
    LoggedError("the call cannot be forwarded to the service behind this responder");

/// The response for a failure, or the error for the gateway.
pub(crate) fn error_response(
    failure: Failure,
    label: &RequestLabel,
    backend: &BackendUrl,
) -> Result<Response<ReverseBody>, BoxError> {
    match failure {
        Failure::Refused(refused) => Err(refused.into()),
        Failure::Request(text) => {
            log_not_forwarded(text, label, backend);
            // A gRPC client needs a gRPC status, which the gateway makes.
            if label.is_grpc {
                Err(UNPASSABLE.into())
            } else {
                Ok(text_response(StatusCode::BAD_REQUEST, text))
            }
        }
        failure => {
            log(&failure, label, backend);
            Err(NO_RESPONSE.into())
        }
    }
}

/// A plain-text response of this daemon.
pub(crate) fn text_response(status: StatusCode, text: &'static str) -> Response<ReverseBody> {
    let mut response = Response::new(ReverseBody::text(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
