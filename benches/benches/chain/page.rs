//! What everybody answers: the page of `components/hello`, for the path that is asked for.

use h8s_benches::heads;
use http::Response;
use http::header::CONTENT_TYPE;

/// Its type.
pub(crate) const TYPE: &str = "text/html; charset=utf-8";

/// What the component makes of it; if it ever makes something else, nothing is measured.
pub(crate) fn body() -> String {
    let path = heads::TARGET.split_once('?').map_or(heads::TARGET, |(path, _)| path);
    include_str!("../../../components/hello/src/hello.html").replace("{path}", path)
}

/// The head before it.
pub(crate) fn head() -> Response<()> {
    Response::builder().header(CONTENT_TYPE, TYPE).body(()).expect("it is a response")
}
