//! A received request, parsed strictly (RFC 9112): an ambiguous one is an error.

use std::fmt;

use tokio::net::TcpStream;

use crate::raw_client::RawClient;

/// Request line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The bytes, with the empty line.
    pub raw: Vec<u8>,
    /// `GET`.
    pub method: String,
    /// `/path?query`, as it was sent.
    pub target: String,
    /// Names and values in their order and spelling, without the space around them. Invalid UTF-8 is replaced: see
    /// [`raw`](Self::raw).
    pub headers: Vec<(String, String)>,
}

/// A complete request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// Its head.
    pub head: RequestHead,
    /// Its body, without chunk framing.
    pub body: Vec<u8>,
    /// Names and values that followed a chunked body.
    pub trailers: Vec<(String, String)>,
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Fault {
    /// Invalid or ambiguous.
    Wrong(String),
    /// The connection ended too early.
    Cut(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(what) | Self::Cut(what) => f.write_str(what),
        }
    }
}

/// How a request's body ends (RFC 9112 §6.3).
enum Framing {
    Length(usize),
    Chunked,
}

impl RequestHead {
    /// The header's first value, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a header, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    fn read(raw: Vec<u8>) -> Result<Self, Fault> {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let fault = |what: &str| Err(Fault::Wrong(format!("{what} in {text:?}")));
        let Some(lines) = text.strip_suffix("\r\n\r\n") else { return fault("no empty line") };
        if lines.replace("\r\n", "").contains(|c: char| c.is_ascii_control() && c != '\t') {
            return fault("a control character, or a bare CR or LF");
        }
        let mut lines = lines.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let &[method, target, "HTTP/1.1"] = &words[..] else { return fault("invalid HTTP/1.1 request line") };
        if !is_token(method) || target.is_empty() {
            return fault("invalid method or target");
        }
        let headers = lines.map(field).collect::<Result<_, _>>()?;
        let (method, target) = (method.to_owned(), target.to_owned());
        let head = Self { raw, method, target, headers };
        match head.all("host").len() {
            1 => head.framing().map(|_| head),
            hosts => fault(&format!("{hosts} Host headers")),
        }
    }

    fn framing(&self) -> Result<Framing, Fault> {
        match (&self.all("transfer-encoding")[..], &self.all("content-length")[..]) {
            ([], []) => Ok(Framing::Length(0)),
            ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length
                    .parse()
                    .map(Framing::Length)
                    .map_err(|error| Fault::Wrong(format!("Content-Length {length}: {error}")))
            }
            (["chunked"], []) => Ok(Framing::Chunked),
            (codings, lengths) => {
                Err(Fault::Wrong(format!("Transfer-Encoding {codings:?}, Content-Length {lengths:?}")))
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn field(line: &str) -> Result<(String, String), Fault> {
    match line.split_once(':') {
        Some((name, value)) if is_token(name) => {
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        }
        _ => Err(Fault::Wrong(format!("{line:?} is not a header"))),
    }
}

/// `None` when the connection ends before a head begins.
pub(super) async fn read_head(client: &mut RawClient<TcpStream>) -> Result<Option<RequestHead>, Fault> {
    match client.until(b"\r\n\r\n").await {
        Some(raw) => RequestHead::read(raw).map(Some),
        None => match client.read_to_end().await {
            rest if rest.is_empty() => Ok(None),
            rest => {
                Err(Fault::Cut(format!("the connection ended after {:?}", String::from_utf8_lossy(&rest))))
            }
        },
    }
}

pub(super) async fn read_body(client: &mut RawClient, head: RequestHead) -> Result<RawRequest, Fault> {
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    match head.framing()? {
        Framing::Length(length) => {
            if !client.fill(length).await {
                return Err(Fault::Cut(format!("the connection ended before {length} bytes of a body")));
            }
            body = client.take(length);
        }
        Framing::Chunked => loop {
            let chunk = read_chunk(client).await?;
            if chunk.is_empty() {
                trailers = read_trailers(client).await?;
                break;
            }
            body.extend(chunk);
        },
    }
    Ok(RawRequest { head, body, trailers })
}

/// A chunk. Extensions are refused: no program of the workspace sends any.
async fn read_chunk(client: &mut RawClient) -> Result<Vec<u8>, Fault> {
    let line = read_line(client).await?;
    let is_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = is_size.then(|| usize::from_str_radix(&line, 16).ok()).flatten();
    let size = size.ok_or_else(|| Fault::Wrong(format!("{line:?} is not a valid chunk size")))?;
    if size == 0 {
        return Ok(Vec::new());
    }
    if !client.fill(size + 2).await {
        return Err(Fault::Cut(format!("the connection ended in a chunk of {size} bytes")));
    }
    let chunk = client.take(size);
    match client.take(2) {
        end if end == b"\r\n" => Ok(chunk),
        end => Err(Fault::Wrong(format!("a chunk of {size} bytes is followed by {end:?}"))),
    }
}

async fn read_trailers(client: &mut RawClient) -> Result<Vec<(String, String)>, Fault> {
    let mut trailers = Vec::new();
    loop {
        match read_line(client).await? {
            line if line.is_empty() => return Ok(trailers),
            line => trailers.push(field(&line)?),
        }
    }
}

async fn read_line(client: &mut RawClient) -> Result<String, Fault> {
    let line = client
        .until(b"\r\n")
        .await
        .ok_or_else(|| Fault::Cut("the connection ended in a chunked body".into()))?;
    let line = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
    if line.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return Err(Fault::Wrong(format!("a control character, or a bare CR or LF in {line:?}")));
    }
    Ok(line)
}
