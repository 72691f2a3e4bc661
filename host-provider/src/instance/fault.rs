//! What a guest can do wrong, and what client and log are told about it.
//!
//! The client learns a status and one plain sentence, nothing of the inside. The log gets one line with the
//! component's name, the cause and where in the guest it happened. A fault is logged once, by whoever ends the
//! exchange for it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// What a guest says of its error goes to the log up to here, in characters.
const SAID_CHARS: usize = 500;

/// Functions of a backtrace that go to the log.
const FRAMES_LOGGED: usize = 8;

/// How the names of functions begin through which every panic of a Rust guest goes.
const PANIC_MACHINERY: [&str; 6] = ["abort", "__rust", "std::", "core::", "alloc::", "rust_"];

/// Why an exchange failed in the guest. Always the component's fault (500), unless it only took too long (504).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It trapped. Maps to 500.
    #[error("{cause}{}", at(.backtrace))]
    Trapped {
        /// The kind of trap.
        cause: String,
        /// The innermost functions, innermost first; empty where there is no backtrace.
        backtrace: String,
    },
    /// It trapped after it had been denied memory. Maps to 500.
    #[error("memory limit of {limit_bytes} bytes reached: {cause}{}", at(.backtrace))]
    OutOfMemory {
        /// The limit, in bytes.
        limit_bytes: usize,
        /// The kind of trap.
        cause: String,
        /// As above.
        backtrace: String,
    },
    /// It called `exit`. Maps to 500.
    #[error("exited with status {0}")]
    Exited(i32),
    /// It computed for longer than it may. Maps to 504.
    #[error("CPU budget of {} ms spent", .0.as_millis())]
    CpuBudgetSpent(Duration),
    /// It gave no response head in time. Maps to 504.
    #[error("no response head within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// It did not return in time. Maps to 504; closes a WebSocket with 1011.
    #[error("not returned within {} ms", .0.as_millis())]
    NotReturned(Duration),
    /// It returned and never answered. Maps to 500.
    #[error("returned without a response")]
    NoResponse,
    /// It answered with an error code of `wasi:http`, or in words. Maps to 500.
    #[error("answered with the error {0}")]
    AnsweredError(String),
    /// It answered with a head that is no final response, or contradicts its body. Maps to 500.
    #[error("{0}")]
    BadResponse(&'static str),
    /// It answered with a message that is no response, in this way. Maps to 500.
    #[error("answered with a message that is no response: {0}")]
    BadAnswer(String),
    /// It chose a subprotocol that the client does not offer. Maps to 500.
    #[error("chose the subprotocol {0:?}, which the client does not offer")]
    ProtocolNotOffered(String),
    /// Its body is not as long as its `content-length` says.
    #[error("wrote {written} bytes of body where content-length says {declared}")]
    WrongLength {
        /// What the head says.
        declared: u64,
        /// What came, at least.
        written: u64,
    },
    /// It ended its body without finishing it.
    #[error("left its response body unfinished")]
    Unfinished,
    /// It was still busy long after its answer was complete.
    #[error("still running {} ms after its answer was complete", .0.as_millis())]
    Lingering(Duration),
}

fn at(backtrace: &str) -> String {
    if backtrace.is_empty() { String::new() } else { format!(" at {backtrace}") }
}

impl Fault {
    /// What ended a call, read from wasmtime's error.
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

    /// What a guest says of its error, as far as the log wants to know it.
    pub(crate) fn said(text: String) -> Self {
        Self::AnsweredError(shortened(text))
    }

    /// The status for the client, where no head is out yet.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TimedOut(_) | Self::NotReturned(_) | Self::CpuBudgetSpent(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client gets in place of the guest's answer.
    pub(crate) fn response(&self) -> Response<Bytes> {
        let text = match self.status() {
            StatusCode::GATEWAY_TIMEOUT => "The component took too long.\n",
            _ => "The component failed.\n",
        };
        plain(self.status(), text)
    }

    /// The one line about it in the log.
    pub(crate) fn log(&self, component: &str, label: &RequestLabel) {
        let RequestLabel { method, uri, request_id } = label;
        let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
        tracing::error!(component, cause = %self, %method, path = uri.path(), request_id, "component failed");
    }
}

pub(crate) fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SAID_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A short answer of the host's own.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The innermost functions that tell something, innermost first.
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
    let telling =
        names.iter().position(|name| !PANIC_MACHINERY.iter().any(|machinery| name.starts_with(machinery)));
    names.drain(..telling.unwrap_or(0));
    names.truncate(FRAMES_LOGGED);
    names.join(" < ")
}

/// A function's name as its author wrote it. Rust's hashes tell a reader nothing (`#`).
fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Which request a log line is about: what identifies it and holds no secrets (the query might).
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
