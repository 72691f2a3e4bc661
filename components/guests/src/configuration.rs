//! Settings and secrets.

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

use crate::answer::send;

wit_bindgen::generate!({ path: "../../wit/wasi-config", world: "imports" });

mod draft {
    wit_bindgen::generate!({ path: "../../wit/wasi-config-draft", world: "imports" });
}

/// Lists all settings, and looks up a missing one.
pub fn configuration(_request: IncomingRequest, out: ResponseOutparam) {
    use wasi::config::store;
    let all = store::get_all().expect("all are at hand");
    let lines: String = all.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let missing = store::get("missing").expect("it is known that it is not there");
    let first =
        all.first().map(|(name, value)| store::get(name).expect("it is at hand").as_ref() == Some(value));
    send(out, 200, &format!("{lines}missing {missing:?} same {first:?}\n"));
}

/// The same, through the earlier interface.
pub fn configuration_draft(_request: IncomingRequest, out: ResponseOutparam) {
    use draft::wasi::config::runtime;
    let all = runtime::get_all().expect("all are at hand");
    let lines: String = all.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    let missing = runtime::get("missing").expect("it is known that it is not there");
    send(out, 200, &format!("{lines}missing {missing:?}\n"));
}
