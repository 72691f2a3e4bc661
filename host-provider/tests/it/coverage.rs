//! A guest without a test fails the build.

use crate::stand::{get_text, guests};

const TESTS: &[&str] = &[
    include_str!("bodies.rs"),
    include_str!("faults.rs"),
    include_str!("heads.rs"),
    include_str!("limits.rs"),
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
