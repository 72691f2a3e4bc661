//! T21: whatever a guest does before it answers costs one 5xx with one line in the log, and nothing else.

use std::time::{Duration, Instant};

use h8s_host::Limits;
use http::{Method, StatusCode};

use crate::stand::{assert_unharmed, call, frugal, get_text, guests, request, serve, short};
use crate::{log, stand};

async fn costs_one_response(limits: Limits, path: &str, status: StatusCode, cause: &str) {
    // given a component with these limits
    let service = serve("guests", limits).await;
    // when it misbehaves
    let (given, text) = get_text(&service, path).await;
    // then the client learns that, and no more
    let expected = match status {
        StatusCode::GATEWAY_TIMEOUT => "The component took too long.\n",
        _ => "The component failed.\n",
    };
    assert_eq!((given, text.as_str()), (status, expected));
    // and the log says what happened, once
    let line = log::line(&[&log::of(&service), "component failed"]).await;
    assert!(line.contains(cause), "{line}");
    assert!(line.contains(&format!("\"path\":\"{path}\"")), "{line}");
    assert_eq!(log::lines(&[&log::of(&service), "component failed"]).len(), 1);
    assert_unharmed(&service).await;
}

const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
const TOO_LONG: StatusCode = StatusCode::GATEWAY_TIMEOUT;

#[tokio::test]
async fn a_trap() {
    costs_one_response(Limits::default(), "/trap", FAILED, "unreachable").await;
}

#[tokio::test]
async fn an_endless_loop() {
    costs_one_response(frugal(50), "/loop", TOO_LONG, "CPU budget of 50 ms spent").await;
}

#[tokio::test]
async fn a_deep_recursion() {
    costs_one_response(Limits::default(), "/recurse", FAILED, "call stack exhausted").await;
}

#[tokio::test]
async fn memory_without_end() {
    let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
    costs_one_response(limits, "/allocate", FAILED, "memory limit of 16777216 bytes reached").await;
}

#[tokio::test]
async fn four_gibibytes_at_once_are_refused_to_a_guest_that_can_do_without() {
    let service = guests().await;
    assert_eq!(get_text(&service, "/grow").await, (StatusCode::OK, "refused: true\n".into()));
    assert_unharmed(&service).await;
}

#[tokio::test]
async fn no_answer_ever() {
    costs_one_response(short(50), "/never-answer", TOO_LONG, "no response head within").await;
}

#[tokio::test]
async fn a_return_without_a_response() {
    costs_one_response(Limits::default(), "/no-response", FAILED, "returned without a response").await;
}

#[tokio::test]
async fn an_exit() {
    costs_one_response(Limits::default(), "/exit", FAILED, "exited with status 1").await;
}

#[tokio::test]
async fn an_error_code() {
    costs_one_response(Limits::default(), "/error-code", FAILED, "guest-secret").await;
}

#[tokio::test]
async fn a_flood_of_host_calls() {
    costs_one_response(frugal(50), "/flood-host-calls", TOO_LONG, "CPU budget").await;
}

#[tokio::test]
async fn a_host_call_with_too_much_data() {
    costs_one_response(Limits::default(), "/huge-host-call", FAILED, "fuel").await;
}

#[tokio::test]
async fn resources_without_end() {
    let limits = Limits { resources: 500, ..Limits::default() };
    costs_one_response(limits, "/open-resources", FAILED, "resource table").await;
}

#[tokio::test]
async fn handles_without_end() {
    let limits = Limits { handles: 500, ..Limits::default() };
    costs_one_response(limits, "/open-resources", FAILED, "handle").await;
}

#[tokio::test]
async fn headers_without_end() {
    costs_one_response(Limits::default(), "/endless-headers", FAILED, "total size of fields exceeds limit")
        .await;
}

#[tokio::test]
async fn too_many_random_bytes() {
    costs_one_response(Limits::default(), "/random", FAILED, "random").await;
}

#[tokio::test]
async fn output_without_end() {
    costs_one_response(frugal(50), "/print-endlessly", TOO_LONG, "CPU budget").await;
}

#[tokio::test]
async fn the_log_line_has_the_request_id_and_where_it_trapped() {
    // given a request with an id and a secret in its query
    let service = guests().await;
    let mut request = request(Method::GET, "/trap?secret");
    request.headers_mut().insert("x-request-id", "id-4711".parse().unwrap());
    // when it fails
    let response = call(&service, request).await.unwrap();
    // then the line has the one, not the other, and names the function
    assert_eq!(response.status(), FAILED);
    let line = log::line(&[&log::of(&service), "component failed"]).await;
    assert!(line.contains("id-4711") && line.contains("guests::faults::trap"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

#[tokio::test]
async fn the_gateways_deadline_is_kept_where_it_is_sooner() {
    // given a gateway that gives up long before the component's own timeout
    let service = guests().await;
    let mut request = request(Method::GET, "/never-answer");
    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    let context = h8s_nats::ExchangeContext::default().deadline(Some(deadline));
    request.extensions_mut().insert(context);
    // when
    let started = Instant::now();
    let response = call(&service, request).await.unwrap();
    // then
    assert_eq!(response.status(), TOO_LONG);
    assert!(started.elapsed() < stand::PATIENCE / 2);
    assert_unharmed(&service).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_lets_others_run_on_the_same_thread() {
    // given one thread, and a guest that loops on it
    let service = serve("guests", frugal(2_000)).await;
    let looping = tokio::spawn({
        let service = service.clone();
        async move { get_text(&service, "/loop").await }
    });
    tokio::task::yield_now().await;
    // when another request comes meanwhile
    let (status, _) = get_text(&service, "/ok").await;
    // then it is answered long before the loop ends
    assert_eq!(status, StatusCode::OK);
    assert!(!looping.is_finished());
    assert_eq!(looping.await.unwrap().0, TOO_LONG);
}
