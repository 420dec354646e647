//! Modes and configurations compared: every flow that differs has a cause, and the causes are those that are documented.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

#[path = "support/small.rs"]
mod small;
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::collections::BTreeMap;

use small::Maker;
use vipscope_shared::model::{ClusterState, ProxyMode};
use vipscope_shared::whatif::Options;
use vipscope_shared::whatif::compare::{UNKNOWN, compare, with_mode};
use vipscope_shared::whatif::difference::{FlowChange, Share};

fn options() -> Options<'static> {
    Options { rule_lines: Some(0), ..Options::at("2026-01-31T12:00:00Z".parse().unwrap()) }
}

fn unexplained(
    before: &ClusterState,
    after: &ClusterState,
    what: &str,
    seen: &mut BTreeMap<String, usize>,
) -> Vec<String> {
    let flows = compare(before, after, &options()).flows;
    for flow in &flows {
        *seen.entry(flow.cause.clone().unwrap()).or_default() += 1;
    }
    let lacks = |flow: &&FlowChange| flow.cause.as_deref() == Some(UNKNOWN);
    let short = |flow: &FlowChange| {
        let ends = |shares: &[Share]| {
            let shares = shares
                .iter()
                .map(|share| (share.verdict, share.endpoint, share.masquerade, &share.condition));
            format!("{:?}", shares.collect::<Vec<_>>())
        };
        let FlowChange { target, sources, summary, before, after, .. } = flow;
        format!(
            "{what}: {:?} {:?} {}/{}, {}: {summary}\n  {}\n  {}",
            target.kind,
            target.ip,
            target.port,
            target.protocol,
            sources.words,
            ends(before),
            ends(after)
        )
    };
    flows.iter().filter(lacks).map(short).collect()
}

/// A few of them, from all over.
fn sample(missing: &[String]) -> String {
    missing.iter().step_by(missing.len() / 25 + 1).cloned().collect::<Vec<_>>().join("\n")
}

/// Both ways between all modes, on clusters of the conformance corpus and random ones; `VIPSCOPE_ALL` takes the whole corpus.
#[test]
fn no_cause_is_missing() {
    let mut missing = Vec::new();
    let mut seen = BTreeMap::new();
    let corpus = support::cases()
        .into_iter()
        .map(|case| (case.name.clone(), vipscope_shared::manifest::load(&case.text).unwrap().state));
    let random = (0..60).map(|seed| (format!("seed {seed}"), Maker::new(seed).cluster()));
    for (name, state) in corpus.chain(random) {
        for from in ProxyMode::ALL {
            for to in ProxyMode::ALL.into_iter().filter(|to| *to != from) {
                let (before, after) = (with_mode(&state, from), with_mode(&state, to));
                missing.extend(unexplained(&before, &after, &format!("{name} {from} → {to}"), &mut seen));
            }
        }
    }
    assert!(missing.is_empty(), "{} lack a cause, such as\n{}", missing.len(), sample(&missing));
    assert!(seen.len() > 30, "{seen:#?}");
}

/// The same for changed objects and settings.
#[test]
fn changed_objects_are_a_cause() {
    let (mut missing, mut seen) = (Vec::new(), BTreeMap::new());
    for seed in 0..200 {
        let mut maker = Maker::new(seed);
        let before = maker.cluster();
        let (after, what) = maker.change(&before);
        missing.extend(unexplained(&before, &after, &format!("seed {seed} {what}"), &mut seen));
    }
    assert!(missing.is_empty(), "{} lack a cause, such as\n{}", missing.len(), sample(&missing));
}
