//! A request as it arrived, read as strictly as RFC 9112 can be read: of two readings it is neither.

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
    /// Names and values in their order and spelling, without the space around them. What is no UTF-8 is replaced: see
    /// [`raw`](Self::raw).
    pub headers: Vec<(String, String)>,
}

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// Its head.
    pub head: RequestHead,
    /// Its body, chunks put together.
    pub body: Vec<u8>,
    /// Names and values that followed a chunked body.
    pub trailers: Vec<(String, String)>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Fault {
    /// What was read allows for a second reading, or for none.
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
        let Some(lines) = text.strip_suffix("\r\n\r\n") else { return fault("no end") };
        if lines.replace("\r\n", "").contains(|c: char| c.is_ascii_control() && c != '\t') {
            return fault("a control character, or a line break that is half");
        }
        let mut lines = lines.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let &[method, target, "HTTP/1.1"] = &words[..] else { return fault("no request line of HTTP/1.1") };
        if !is_token(method) || target.is_empty() {
            return fault("no method, or no target,");
        }
        let headers = lines.map(field).collect::<Result<_, _>>()?;
        let (method, target) = (method.to_owned(), target.to_owned());
        let head = Self { raw, method, target, headers };
        match head.all("host").len() {
            1 => head.framing().map(|_| head),
            hosts => fault(&format!("{hosts} hosts")),
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
        _ => Err(Fault::Wrong(format!("{line:?} is no header"))),
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

/// A chunk without extensions, which nobody here sends.
async fn read_chunk(client: &mut RawClient) -> Result<Vec<u8>, Fault> {
    let line = read_line(client).await?;
    let is_size = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = is_size.then(|| usize::from_str_radix(&line, 16).ok()).flatten();
    let size = size.ok_or_else(|| Fault::Wrong(format!("{line:?} is no size of a chunk")))?;
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
        return Err(Fault::Wrong(format!("a control character, or a line break that is half in {line:?}")));
    }
    Ok(line)
}
