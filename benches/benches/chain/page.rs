//! The response of every row: the page of `components/hello` for the requested path.

use h8s_benches::heads;
use http::Response;
use http::header::CONTENT_TYPE;

/// Its content type.
pub(crate) const TYPE: &str = "text/html; charset=utf-8";

/// The expected page. If the component produces another one, the bench fails.
pub(crate) fn body() -> String {
    let path = heads::TARGET.split_once('?').map_or(heads::TARGET, |(path, _)| path);
    include_str!("../../../components/hello/src/hello.html").replace("{path}", path)
}

/// The response head.
pub(crate) fn head() -> Response<()> {
    Response::builder().header(CONTENT_TYPE, TYPE).body(()).expect("it is a response")
}
