//! A guest without a test fails the build.

use h8s_host::Limits;

use crate::stand::{get_text, guests, serve};

const TESTS: &[&str] = &[
    include_str!("bodies.rs"),
    include_str!("faults.rs"),
    include_str!("heads.rs"),
    include_str!("limits.rs"),
    include_str!("configuration.rs"),
    include_str!("outgoing.rs"),
    include_str!("reuse.rs"),
    include_str!("sandbox.rs"),
    include_str!("stand.rs"),
    include_str!("streams.rs"),
];

#[tokio::test]
async fn every_behaviour_of_the_test_guest_is_asked_for_by_a_test() {
    // given the list that the guest gives of itself
    let (_, behaviours) = get_text(&guests().await, "/").await;
    // then each is the path of a request in some test
    let is_asked_for = |name: &&str| {
        let paths = [format!("\"/{name}\""), format!("\"/{name}?")];
        TESTS.iter().any(|test| paths.iter().any(|path| test.contains(path)))
    };
    let forgotten: Vec<_> = behaviours.lines().filter(|name| !is_asked_for(name)).collect();
    assert!(behaviours.lines().count() > 30);
    assert!(forgotten.is_empty(), "no test asks for {forgotten:?}");
}

const MESSAGE_TESTS: &[&str] =
    &[include_str!("request_reply.rs"), include_str!("sending.rs"), include_str!("websockets.rs")];

#[tokio::test]
async fn every_behaviour_of_the_message_guest_is_asked_for_by_a_test() {
    // given the list that the guest gives of itself
    let service = serve("message-guests", Limits::default()).await;
    let (_, behaviours) = get_text(&service, "/").await;
    // then each is a command, or a segment of a path, in some test
    let is_asked_for = |name: &&str| {
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
    let forgotten: Vec<_> = behaviours.lines().filter(|name| !is_asked_for(name)).collect();
    assert!(behaviours.lines().count() > 30);
    assert!(forgotten.is_empty(), "no test asks for {forgotten:?}");
}
