//! Requests that parsers may read in two ways (T5). A server must read them in one, or refuse them. Where one reading has a
//! second request, its target is `/hidden`.

/// Fields after `Host`, and the rest of the request.
const HEADS: [(&str, &str); 43] = [
    ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
    (
        "TE.CL",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n31\r\nGET /hidden HTTP/1.1\r\nHost: 127.0.0.1\r\nX: 1\r\n\r\nx\r\n0\r\n\r\n",
    ),
    ("TE.TE", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    ("TE.TE, odd", "Transfer-Encoding: chunked\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("TE identity", "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n"),
    ("TE gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("TE chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("TE with a tab", "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"),
    ("TE with a vertical tab", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("TE in quotes", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("TE in capitals", "TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n"),
    ("TE before a space", "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n"),
    ("TE folded", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n"),
    ("TE after a bare line feed", "X: 1\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE after a CR", "X: 1\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
    (
        "TE as a hop",
        "Connection: transfer-encoding, content-length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("CL as a hop", "Connection: content-length\r\nContent-Length: 4\r\n\r\nbody"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 20\r\n\r\n"),
    ("two equal lengths", "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody"),
    ("a list of lengths", "Content-Length: 4, 4\r\n\r\nbody"),
    ("a length with a sign", "Content-Length: +4\r\n\r\nbody"),
    ("a negative length", "Content-Length: -4\r\n\r\nbody"),
    ("a length with spaces", "Content-Length: 4 4\r\n\r\nbody"),
    ("a length in hexadecimal", "Content-Length: 0x4\r\n\r\nbody"),
    ("a length out of range", "Content-Length: 18446744073709551620\r\n\r\nbody"),
    ("an empty length", "Content-Length:\r\n\r\n"),
    ("a length with a leading zero", "Content-Length: 04\r\n\r\nbody"),
    ("a folded header", "X: 1\r\n two\r\nContent-Length: 0\r\n\r\n"),
    ("a line that is not a header", "nothing\r\n\r\n"),
    ("NUL in a value", "X: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in a name", "X\0: a\r\nContent-Length: 0\r\n\r\n"),
    ("chunk extensions", "Transfer-Encoding: chunked\r\n\r\n4;x=\"\\r\\n\";y\r\nbody\r\n0;z\r\n\r\n"),
    ("a chunk longer than its size", "Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size out of range", "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nbody\r\n0\r\n\r\n"),
    ("a chunk with bare line feeds", "Transfer-Encoding: chunked\r\n\r\n4\nbody\n0\n\n"),
    (
        "framing headers in trailers",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    ("an upgrade", "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n"),
    (
        "TE and a length, twice over",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    ("a length after a NUL", "Content-Length\0: 4\r\n\r\nbody"),
    ("a space before the colon", "Content-Length : 4\r\n\r\nbody"),
    ("a chunk size with a sign", "Transfer-Encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size in C notation", "Transfer-Encoding: chunked\r\n\r\n0x4\r\nbody\r\n0\r\n\r\n"),
    ("a chunk size with a leading space", "Transfer-Encoding: chunked\r\n\r\n 4\r\nbody\r\n0\r\n\r\n"),
];

/// The requests by name: each begins with a request for `/a` of this host.
pub fn requests(host: &str) -> Vec<(&'static str, String)> {
    let hidden = format!("GET /hidden HTTP/1.1\r\nHost: {host}\r\nX: ");
    let whole = [
        (
            "HTTP/1.0 with TE",
            format!("GET /a HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        ("HTTP/0.9", format!("GET /a\r\n\r\n{hidden}")),
        ("an invalid version", format!("GET /a HTTP/1.1 {hidden}")),
        ("two hosts", format!("GET /a HTTP/1.1\r\nHost: {host}\r\nHost: evil\r\n\r\n{hidden}")),
        ("an absolute target of another host", format!("GET http://evil/a HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        ("a target with a space", format!("GET /a b HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        ("bare line feeds", format!("GET /a HTTP/1.1\nHost: {host}\n\n")),
        ("empty lines before", format!("\r\n\r\nGET /a HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        ("an empty line after", format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n\r\n")),
        ("HEAD", format!("HEAD /a HTTP/1.1\r\nHost: {host}\r\n\r\n")),
        ("CONNECT", format!("CONNECT {host}:1 HTTP/1.1\r\nHost: {host}\r\n\r\n")),
    ];
    let heads = HEADS.map(|(name, head)| (name, format!("POST /a HTTP/1.1\r\nHost: {host}\r\n{head}")));
    heads.into_iter().chain(whole).collect()
}
