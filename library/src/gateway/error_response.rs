//! The one place where a gateway's error becomes a response. The text names no subject, address or cause.

use h8s_nats::{ExchangeError, Refused};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::{GatewayBody, GatewayError};

/// When trying again may help, in seconds: responders announce themselves every 5 s.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

pub(super) fn of(error: &GatewayError) -> Response<GatewayBody> {
    let (status, text) = verdict(error);
    let mut response = Response::new(GatewayBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

fn verdict(error: &GatewayError) -> (StatusCode, &'static str) {
    const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
    let error = match error {
        GatewayError::NoHost | GatewayError::Host(_) => {
            return (StatusCode::BAD_REQUEST, "The Host is missing or not valid.\n");
        }
        GatewayError::Exchange(error) => error,
    };
    match error {
        ExchangeError::NoResponders => (UNAVAILABLE, "No responder serves this address.\n"),
        ExchangeError::Refused(Refused::Unreachable) => {
            (StatusCode::BAD_GATEWAY, "The service behind this address cannot be reached.\n")
        }
        ExchangeError::Refused(_) => (UNAVAILABLE, "The service at this address is busy or restarting.\n"),
        ExchangeError::Disconnected | ExchangeError::Publish(_) => {
            (UNAVAILABLE, "The gateway is not connected.\n")
        }
        ExchangeError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "The response took too long.\n"),
        ExchangeError::HeadTooLarge => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's header fields are too large.\n")
        }
        ExchangeError::BodyTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, "The request's body is too large.\n")
        }
        ExchangeError::InvalidRequest(_) => {
            (StatusCode::BAD_REQUEST, "The request's header fields are not valid.\n")
        }
        ExchangeError::RequestBody(_) => (StatusCode::BAD_REQUEST, "The request's body is incomplete.\n"),
        _ => (StatusCode::BAD_GATEWAY, "The response was lost or is not valid.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_the_status_that_its_documentation_names() {
        for (error, status, retries) in [
            (ExchangeError::NoResponders, 503, true),
            (ExchangeError::Refused(Refused::Busy), 503, true),
            (ExchangeError::Refused(Refused::Unreachable), 502, false),
            (ExchangeError::Timeout, 504, false),
            (ExchangeError::BodyTooLarge { limit_bytes: 1 }, 413, false),
            (ExchangeError::HeadTooLarge, 431, false),
            (ExchangeError::PeerGone, 502, false),
        ] {
            let response = of(&error.into());
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), retries, "{status}");
        }
        assert_eq!(of(&GatewayError::NoHost).status(), 400);
    }
}
