//! The host's test guest: one component, one behaviour per path.
//!
//! It also exports `request-reply`, which answers every request with an error: each test shows that `incoming-handler`
//! takes precedence.
//!
//! `GET /` lists the behaviours, one name per line. A test of the host fails if a behaviour has no test.

mod answer;
mod configuration;
mod faults;
mod heads;
mod outgoing;
mod reuse;
mod sandbox;
mod streams;

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

type Behaviour = fn(IncomingRequest, ResponseOutparam);

/// All behaviours, by path.
const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("ok", answer::ok),
    // Faults before a response.
    ("trap", faults::trap),
    ("loop", faults::spin),
    ("recurse", faults::recurse),
    ("allocate", faults::allocate),
    ("grow", faults::grow),
    ("never-answer", faults::never_answer),
    ("no-response", faults::no_response),
    ("exit", faults::exit),
    ("error-code", faults::error_code),
    ("flood-host-calls", faults::flood_host_calls),
    ("huge-host-call", faults::huge_host_call),
    ("open-resources", faults::open_resources),
    ("random", faults::random),
    // Bodies.
    ("trap-after-head", streams::trap_after_head),
    ("loop-after-head", streams::loop_after_head),
    ("forget-body", streams::forget_body),
    ("drop-body", streams::drop_body),
    ("answer-first", streams::answer_first),
    ("read-first", streams::read_first),
    ("slow-stream", streams::slow_stream),
    ("endless-stream", streams::endless_stream),
    ("trailers", streams::trailers),
    ("late-work", streams::late_work),
    ("late-loop", streams::late_loop),
    // Heads.
    ("length-too-long", heads::length_too_long),
    ("length-too-short", heads::length_too_short),
    ("length-without-body", heads::length_without_body),
    ("many-headers", heads::many_headers),
    ("endless-headers", heads::endless_headers),
    ("forbidden-headers", heads::forbidden_headers),
    ("invalid-status", heads::invalid_status),
    ("status-101", heads::status_101),
    ("status-204", heads::status_204),
    ("no-body", heads::no_body),
    // The sandbox.
    ("print", sandbox::print),
    ("print-endlessly", sandbox::print_endlessly),
    ("print-long-line", sandbox::print_long_line),
    ("leave-traces", sandbox::leave_traces),
    ("environment", sandbox::environment),
    ("reach-out", sandbox::reach_out),
    ("send-http", sandbox::send_http),
    ("configuration", configuration::configuration),
    ("configuration-draft", configuration::configuration_draft),
    // Outgoing requests.
    ("fetch", outgoing::fetch),
    ("relay", outgoing::relay),
    ("never-read", outgoing::never_read),
    ("ten-thousand-calls", outgoing::ten_thousand_calls),
    ("forge-host", outgoing::forge_host),
    // Reused instances.
    ("count", reuse::count),
    ("count-and-stay", reuse::count_and_stay),
    ("compute", reuse::compute),
    ("hoard-memory", reuse::hoard_memory),
    ("hoard-resources", reuse::hoard_resources),
];

struct Guests;

impl wasip2::exports::http::incoming_handler::Guest for Guests {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let name = path.trim_start_matches('/').split('?').next().unwrap_or_default();
        match BEHAVIOURS.iter().find(|(known, _)| *known == name) {
            Some((_, behave)) => behave(request, out),
            None => answer::send(out, 200, &list()),
        }
    }
}

wit_bindgen::generate!({
    path: "../../wit/provider",
    inline: "package h8s:guests; world guests { export h8s:provider/request-reply@0.1.0; }",
    generate_all,
});

/// Never called: `incoming-handler` takes precedence.
impl exports::h8s::provider::request_reply::Guest for Guests {
    fn handle_message(_msg: h8s::provider::types::Msg) -> Result<h8s::provider::types::Msg, String> {
        Err("a request has come as a message".into())
    }
}

export!(Guests);

fn list() -> String {
    BEHAVIOURS.iter().map(|(name, _)| format!("{name}\n")).collect()
}

wasip2::http::proxy::export!(Guests);
