//! A guest without a test fails the build.

use h8s_host::Limits;

use crate::fixture::{get_text, guests, serve};

const TESTS: &[&str] = &[
    include_str!("http/bodies.rs"),
    include_str!("instance/faults.rs"),
    include_str!("http/heads.rs"),
    include_str!("instance/limits.rs"),
    include_str!("instance/configuration.rs"),
    include_str!("outgoing/requests.rs"),
    include_str!("instance/reuse.rs"),
    include_str!("instance/sandbox.rs"),
    include_str!("fixture.rs"),
    include_str!("http/streams.rs"),
];

#[tokio::test]
async fn every_behaviour_of_the_test_guest_has_a_test() {
    // given the guest's list of its behaviours
    let (_, behaviours) = get_text(&guests().await, "/").await;
    // then each is the path of a request in some test
    let is_tested = |name: &&str| {
        let paths = [format!("\"/{name}\""), format!("\"/{name}?")];
        TESTS.iter().any(|test| paths.iter().any(|path| test.contains(path)))
    };
    let forgotten: Vec<_> = behaviours.lines().filter(|name| !is_tested(name)).collect();
    assert!(behaviours.lines().count() > 30);
    assert!(forgotten.is_empty(), "no test requests {forgotten:?}");
}

const MESSAGE_TESTS: &[&str] = &[
    include_str!("http/request_reply.rs"),
    include_str!("websocket/sending.rs"),
    include_str!("websocket/messages.rs"),
];

#[tokio::test]
async fn every_behaviour_of_the_message_guest_has_a_test() {
    // given the guest's list of its behaviours
    let service = serve("message-guests", Limits::default()).await;
    let (_, behaviours) = get_text(&service, "/").await;
    // then each is a command, or a segment of a path, in some test
    let is_tested = |name: &&str| {
        let forms = ["\"", "\"/"].map(|start| format!("{start}{name}"));
        let ends = |rest: &str| rest.starts_with(['"', ' ', '?']);
        let occurs = |test: &&str| {
            forms
                .iter()
                .any(|form| test.match_indices(form.as_str()).any(|(at, _)| ends(&test[at + form.len()..])))
                || test.contains(&format!("/{name}\""))
        };
        MESSAGE_TESTS.iter().any(occurs)
    };
    let forgotten: Vec<_> = behaviours.lines().filter(|name| !is_tested(name)).collect();
    assert!(behaviours.lines().count() > 30);
    assert!(forgotten.is_empty(), "no test requests {forgotten:?}");
}
