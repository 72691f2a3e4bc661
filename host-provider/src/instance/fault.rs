//! What can go wrong in a guest, and how it is reported.
//!
//! The client gets a status and one plain sentence, without internals. The log gets one line with the component's name,
//! the cause and the location in the guest. A fault is logged once, where the call ends.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// A guest's error text is cut to this many characters in the log.
const ERROR_CHARS: usize = 500;

/// Functions of a backtrace that are logged.
const FRAMES_LOGGED: usize = 8;

/// Prefixes of the functions that every panic of a Rust guest passes through.
const PANIC_MACHINERY: [&str; 6] = ["abort", "__rust", "std::", "core::", "alloc::", "rust_"];

/// Why a call of a guest failed. Maps to 500, or to 504 if the guest took too long.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The guest trapped. Maps to 500.
    #[error("{cause}{}", at(.backtrace))]
    Trapped {
        /// The kind of trap.
        cause: String,
        /// The innermost functions, innermost first; empty where there is no backtrace.
        backtrace: String,
    },
    /// The guest trapped after it had been denied memory. Maps to 500.
    #[error("memory limit of {limit_bytes} bytes reached: {cause}{}", at(.backtrace))]
    OutOfMemory {
        /// The limit, in bytes.
        limit_bytes: usize,
        /// The kind of trap.
        cause: String,
        /// As above.
        backtrace: String,
    },
    /// The guest called `exit`. Maps to 500.
    #[error("exited with status {0}")]
    Exited(i32),
    /// The guest used up its CPU budget. Maps to 504.
    #[error("CPU budget of {} ms spent", .0.as_millis())]
    CpuBudgetSpent(Duration),
    /// The guest sent no response head in time. Maps to 504.
    #[error("no response head within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The guest did not return in time. Maps to 504; closes a WebSocket with 1011.
    #[error("not returned within {} ms", .0.as_millis())]
    NotReturned(Duration),
    /// The guest returned without a response. Maps to 500.
    #[error("returned without a response")]
    NoResponse,
    /// The guest answered with an error code of `wasi:http`, or with an error text. Maps to 500.
    #[error("answered with the error {0}")]
    AnsweredError(String),
    /// The guest sent a head that is not a valid final response. Maps to 500.
    #[error("{0}")]
    BadResponse(&'static str),
    /// The guest replied with a message that is not a valid response. Maps to 500.
    #[error("replied with a message that is not a valid response: {0}")]
    BadAnswer(String),
    /// The guest chose a subprotocol that the client did not offer. Maps to 500.
    #[error("chose the subprotocol {0:?}, which the client did not offer")]
    ProtocolNotOffered(String),
    /// The body is not as long as its `content-length`.
    #[error("wrote {written} bytes of body, but content-length is {declared}")]
    WrongLength {
        /// The `content-length`.
        declared: u64,
        /// The bytes written, at least.
        written: u64,
    },
    /// The guest ended its body without finishing it.
    #[error("left its response body unfinished")]
    Unfinished,
    /// The guest was still running long after its response was complete.
    #[error("still running {} ms after its response was complete", .0.as_millis())]
    Lingering(Duration),
}

fn at(backtrace: &str) -> String {
    if backtrace.is_empty() { String::new() } else { format!(" at {backtrace}") }
}

impl Fault {
    /// The fault behind wasmtime's error.
    pub(crate) fn of_call(error: &wasmtime::Error, denied_memory: Option<usize>) -> Self {
        if let Some(I32Exit(status)) = error.downcast_ref() {
            return Self::Exited(*status);
        }
        let backtrace = error.downcast_ref().map(frames).unwrap_or_default();
        let cause = match error.downcast_ref::<Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        match denied_memory {
            Some(limit_bytes) => Self::OutOfMemory { limit_bytes, cause, backtrace },
            None => Self::Trapped { cause, backtrace },
        }
    }

    /// An error text of the guest, shortened for the log.
    pub(crate) fn answered_error(text: String) -> Self {
        Self::AnsweredError(shortened(text))
    }

    /// The status for the client, before the response head is sent.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TimedOut(_) | Self::NotReturned(_) | Self::CpuBudgetSpent(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The error response for the client.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let text = match self.status() {
            StatusCode::GATEWAY_TIMEOUT => "The component took too long.\n",
            _ => "The component failed.\n",
        };
        plain(self.status(), text)
    }

    /// Logs the fault.
    pub(crate) fn log(&self, component: &str, label: &RequestLabel) {
        let RequestLabel { method, uri, request_id } = label;
        let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
        tracing::error!(component, cause = %self, %method, path = uri.path(), request_id, "component failed");
    }
}

pub(crate) fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(ERROR_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A short response of the host itself.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The innermost functions outside the panic machinery, innermost first.
fn frames(backtrace: &WasmBacktrace) -> String {
    let mut names: Vec<String> = backtrace
        .frames()
        .iter()
        .map(|frame| match frame.func_name() {
            Some(name) => demangled(name),
            None => format!("function {}", frame.func_index()),
        })
        .collect();
    names.dedup();
    let first =
        names.iter().position(|name| !PANIC_MACHINERY.iter().any(|machinery| name.starts_with(machinery)));
    names.drain(..first.unwrap_or(0));
    names.truncate(FRAMES_LOGGED);
    names.join(" < ")
}

/// A function's name as in its source, without Rust's hashes (`#`).
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Identifies a request in the log. Without its query, which may hold secrets.
#[derive(Clone, Debug)]
pub(crate) struct RequestLabel {
    pub(crate) method: Method,
    uri: Uri,
    request_id: Option<HeaderValue>,
}

impl RequestLabel {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            request_id: request.headers().get("x-request-id").cloned(),
        }
    }
}
