//! The errors of `wasi:http` that a guest gets for failed requests, without internals.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;
use rustls::AlertDescription;
use wasmtime_wasi_http::Error;

use crate::outgoing::dial::DialError;

/// The error for a request without a response.
pub(crate) fn failed(error: &legacy::Error) -> Error {
    tracing::debug!(error = error as &dyn StdError, "outgoing request failed");
    if let Some(dial) = cause::<DialError>(error) {
        return not_connected(dial);
    }
    if cause::<Error>(error).is_some() {
        // The guest did not finish the body.
        return Error::InternalError(Some("the request's body was not finished".into()));
    }
    match cause::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => Error::HttpResponseHeaderSectionSize(None),
        Some(error) if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            Error::ConnectionTerminated
        }
        Some(error) if cause::<io::Error>(error).is_some() => Error::ConnectionTerminated,
        _ => Error::HttpProtocolError,
    }
}

/// The error for an incomplete response.
pub(crate) fn broken_response(error: &hyper::Error) -> Error {
    tracing::debug!(error = error as &dyn StdError, "response to an outgoing request ended early");
    match error.is_incomplete_message() || cause::<io::Error>(error).is_some() {
        true => Error::HttpResponseIncomplete,
        false => Error::HttpProtocolError,
    }
}

fn not_connected(error: &DialError) -> Error {
    match error {
        DialError::Resolve(_) => Error::DnsError { rcode: Some("name not resolved".into()), info_code: None },
        DialError::ResolveTimeout => Error::DnsTimeout,
        DialError::Full => Error::ConnectionLimitReached,
        DialError::ConnectTimeout => Error::ConnectionTimeout,
        DialError::Connect(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
            io::ErrorKind::TimedOut => Error::ConnectionTimeout,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Error::DestinationIpUnroutable
            }
            _ => Error::DestinationUnavailable,
        },
        DialError::Tls(error) => tls(error),
    }
}

fn tls(error: &io::Error) -> Error {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(alert_name(*alert)),
        },
        _ => Error::TlsProtocolError,
    }
}

fn alert_name(alert: AlertDescription) -> String {
    alert.as_str().unwrap_or("unknown").to_owned()
}

/// The first error of type `T` in the chain of causes.
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
