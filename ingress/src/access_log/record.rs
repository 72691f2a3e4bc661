//! What the access log says about one exchange.
//!
//! Never a header's value, a body, or a query: that is where tokens and passwords travel. The path is said, and whether
//! there was a query.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Instant;

use h8s_nats::ServedBy;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use serde::Serialize;

use super::{AccessLog, LineWriter};
use crate::forwarded::{Peer, REQUEST_ID};
use crate::trace;

/// What a client makes up is said up to here: a line is for reading.
const MOST_BYTES: usize = 1024;

/// Who ended an exchange before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cause {
    Client,
    Upstream,
    /// A limit, or the end of the grace period.
    Gateway,
}

impl Cause {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// One exchange, as far as it has come. Dropped, it is a line.
#[derive(Debug)]
pub(crate) struct Record {
    writer: LineWriter,
    format: AccessLog,
    started: Instant,
    client: IpAddr,
    method: Method,
    target: Uri,
    version: Version,
    host: Option<HeaderValue>,
    request_id: Option<HeaderValue>,
    trace_id: Option<String>,
    /// Learns who answers.
    pub(crate) served_by: ServedBy,
    status: Option<StatusCode>,
    reason: Option<&'static str>,
    sent_bytes: u64,
    cut_by: Option<Cause>,
}

impl Record {
    pub(super) fn new<B>(writer: LineWriter, format: AccessLog, request: &Request<B>, peer: &Peer) -> Self {
        Self {
            writer,
            format,
            started: Instant::now(),
            client: peer.address(),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            host: None,
            request_id: None,
            trace_id: None,
            served_by: ServedBy::default(),
            status: None,
            reason: None,
            sent_bytes: 0,
            cut_by: None,
        }
    }

    /// It is admitted: who it is from, and by what others know it.
    pub(crate) fn admitted(&mut self, client: IpAddr, host: &HeaderValue, headers: &HeaderMap) {
        self.client = client;
        self.host = Some(host.clone());
        self.request_id = headers.get(REQUEST_ID).cloned();
        self.trace_id = trace::id(headers).map(ToOwned::to_owned);
    }

    /// The client's response has this status; by ourselves, for `reason`.
    pub(crate) fn answered(&mut self, status: StatusCode, reason: Option<&'static str>) {
        (self.status, self.reason) = (Some(status), reason);
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    pub(crate) fn cut(&mut self, by: Cause) {
        self.cut_by = Some(by);
    }

    fn line(&self) -> Line {
        let visible = |value: &HeaderValue| visible(value.as_bytes());
        Line {
            time: h8s_settings::timestamp(),
            client: self.client,
            method: visible_text(self.method.as_str()),
            host: self.host.as_ref().map(visible),
            path: visible_text(self.target.path()),
            has_query: self.target.query().is_some(),
            protocol: protocol(self.version),
            status: self.status.map(|status| status.as_u16()),
            bytes: self.sent_bytes,
            // Whole microseconds.
            duration_ms: (self.started.elapsed().as_micros() as f64) / 1000.0,
            route: self.served_by.interest().map(|interest| format!("{}{}", interest.host, interest.path)),
            responder: self.served_by.responder().map(|responder| responder.to_string()),
            request_id: self.request_id.as_ref().map(visible),
            trace_id: self.trace_id.clone(),
            reason: self.reason,
            cut_by: self.cut_by.or((self.status.is_none()).then_some(Cause::Client)),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let line = self.line();
        self.writer.write(match self.format {
            AccessLog::Json => line.json(),
            AccessLog::Off | AccessLog::Text => line.text(),
        });
    }
}

/// The keys of a JSON line, in this order. What is not known is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
struct Line {
    /// When it ended, RFC 3339.
    time: String,
    client: IpAddr,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    path: String,
    #[serde(rename = "query")]
    has_query: bool,
    protocol: &'static str,
    /// None where the client left before there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Of the response's body, that went out.
    bytes: u64,
    duration_ms: f64,
    /// What the responder had announced.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    /// Why the gateway answered by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_by: Option<Cause>,
}

impl Line {
    fn json(&self) -> String {
        // Nothing in it can fail to be JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }

    /// `time client "request" status bytes duration`, then what else there is, by name.
    fn text(&self) -> String {
        let Self { time, client, method, path, protocol, bytes, duration_ms, .. } = self;
        let host = self.host.as_deref().unwrap_or_default();
        let query = if self.has_query { "?…" } else { "" };
        let status = self.status.map_or("-".to_owned(), |status| status.to_string());
        let mut line = format!(
            "{time} {client} \"{method} {host}{path}{query} {protocol}\" {status} {bytes} {duration_ms}ms"
        );
        let named = [
            ("route", self.route.as_deref()),
            ("responder", self.responder.as_deref()),
            ("request", self.request_id.as_deref()),
            ("trace", self.trace_id.as_deref()),
            ("reason", self.reason),
            ("cut-by", self.cut_by.map(Cause::name)),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(line, " {name}={value}");
            }
        }
        line.push('\n');
        line
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

fn visible_text(text: &str) -> String {
    visible(text.as_bytes())
}

/// On one line whatever it holds, and not endless.
fn visible(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(MOST_BYTES)];
    // Spaces are what divides the text of a line.
    let mut text = shown.escape_ascii().to_string().replace(' ', "\\x20");
    if shown.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrustedProxies;

    fn record(target: &str) -> Record {
        let request = Request::post(target).body(()).unwrap();
        let peer = Peer::new("192.0.2.7".parse().unwrap(), false, TrustedProxies::default());
        Record::new(LineWriter::default(), AccessLog::Text, &request, &peer)
    }

    #[test]
    fn a_query_is_never_said() {
        let mut record = record("/login?password=hunter2&next=/");
        record.answered(StatusCode::OK, None);
        let line = record.line();

        assert!(line.text().contains("\"POST /login?… HTTP/1.1\" 200 0 "), "{}", line.text());
        assert!(
            !line.json().contains("hunter2") && line.json().contains("\"query\":true"),
            "{}",
            line.json()
        );
    }

    #[test]
    fn what_a_client_makes_up_stays_on_one_line_and_within_bounds() {
        let mut record = record(&format!("/{}", "a".repeat(60_000)));
        let odd = HeaderValue::from_bytes(b"a\" b\xff=c").unwrap();
        let headers = HeaderMap::from_iter([(REQUEST_ID, odd.clone())]);
        record.admitted(record.client, &odd, &headers);

        for line in [record.line().text(), record.line().json()] {
            assert_eq!(line.lines().count(), 1);
            assert!(line.len() < 2 * MOST_BYTES && line.contains(r"\xff"), "{line}");
        }
    }

    #[test]
    fn without_a_status_the_client_left_first() {
        let line = record("/").line();

        assert!(
            line.text().ends_with(" cut-by=client\n") && line.text().contains(" - 0 "),
            "{}",
            line.text()
        );
        assert!(!line.json().contains("status"), "{}", line.json());
    }
}
