//! SVC001: a selector that matches no pod, and what it probably meant.

use super::super::similar::likeness;
use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(1),
    title: "Selector matches no pod",
    severity: Severity::Error,
    condition: "The Service is no ExternalName, has a selector, and no pod of its namespace has all its labels.",
    explanation: "The Service's slices stay empty, so every connection to it is refused, and a headless name does not resolve.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if !s.has_selector() || !s.pods.is_empty() {
        return Vec::new();
    }
    let Some(selector) = &s.service.selector else { return Vec::new() };
    let others = s.facts.state.pods().in_namespace(s.service.namespace()).count();
    let problem = s
        .problem(format!(
            "{} matches none of the {} of namespace {}",
            s.selector_text(),
            count(others, "pod"),
            s.namespace()
        ))
        .own("spec.selector", s.selector_text());
    vec![with_suggestion(s, selector, problem)]
}

fn with_suggestion<'a>(s: &Subject<'a>, selector: &'a Labels, problem: Problem) -> Problem {
    let show = ["kubectl", "-n", s.namespace(), "get", "pods", "--show-labels"];
    let pods = s.facts.state.pods();
    let near =
        pods.in_namespace(s.service.namespace()).filter_map(|pod| Some((one_off(selector, pod)?, pod)));
    if let Some(((_, key, value), pod)) = near.min_by_key(|((far, ..), _)| *far) {
        let target = format!("service/{}", s.name());
        let corrected = selector.iter().map(|(k, v)| format!("{k}={}", if *k == key { &value } else { v }));
        let pairs: Vec<String> = corrected.collect();
        let mut words = vec!["kubectl", "-n", s.namespace(), "set", "selector", &target];
        words.extend(pairs.iter().map(String::as_str));
        return problem
            .evidence(pod.object_ref(), format!("metadata.labels.{key}"), &value)
            .advice(format!(
                "the nearest pods, those of {}, have {key}={value}: if they are meant, correct the selector, or \
                 their labels",
                pod.workload()
            ))
            .kubectl(&words);
    }
    match s.facts.stranger(selector) {
        Some(pod) => problem
            .evidence(pod.object_ref(), "metadata.namespace", pod.namespace())
            .advice(format!(
                "a selector reaches only its own namespace, and pods with these labels are in namespace {}: create the Service there",
                pod.namespace()
            ))
            .kubectl(&show),
        None => problem.advice("correct the selector, or the labels of the workload's pods").kubectl(&show),
    }
}

/// The one pair that keeps the selector from matching, if there is just one and the pod has that key: how far off its
/// value is, the key, the pod's value.
fn one_off(selector: &Labels, pod: &Pod) -> Option<(usize, Text, Text)> {
    let mut wrong = selector.iter().filter(|(key, value)| pod.meta.labels.get(key) != Some(*value));
    let ((key, wanted), None) = (wrong.next()?, wrong.next()) else { return None };
    let has = pod.meta.labels.get(key)?;
    let far = likeness(wanted, has);
    // With other pairs that match, even an unlike value is a hint.
    let far = if selector.len() > 1 { far.unwrap_or(usize::MAX) } else { far? };
    Some((far, key.clone(), has.clone()))
}
