//! Edits: what state results from each, and what is refused, in which words.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

mod support_yaml;

use jiff::Timestamp;
use support_yaml::HEALTHY;
use vipscope_shared::manifest;
use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::edit::parse;

fn cluster() -> ClusterState {
    manifest::load(HEALTHY).unwrap().state
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

/// What changes, one word an object.
fn changed(edits: &str) -> String {
    let state = cluster();
    let edited = match apply(&state, &parse(edits).unwrap(), now()) {
        Ok(edited) => edited,
        Err(refusal) => return refusal.to_string(),
    };
    let words: Vec<String> = edited.changed.iter().map(ToString::to_string).collect();
    words.join(", ")
}

#[test]
fn changed_objects_are_exactly_those_that_differ() {
    for (edits, expected) in [
        ("[]", ""),
        ("[{op: node, node: node-a, state: uncordon}]", ""),
        ("[{op: pod, pod: shop/web-5d9-a, state: ready}]", ""),
        (
            "[{op: pod, pod: shop/web-5d9-a, state: gone}]",
            "Pod shop/web-5d9-a, EndpointSlice shop/web-x1, Endpoints shop/web",
        ),
        ("[{op: node, node: node-a, state: cordon}]", "Node node-a"),
    ] {
        assert_eq!(changed(edits), expected, "{edits}");
    }
}
