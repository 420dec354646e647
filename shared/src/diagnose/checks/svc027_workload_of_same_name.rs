//! SVC027: the workload with the Service's name is not selected.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(27),
    title: "Workload of the same name has other labels",
    severity: Severity::Warn,
    condition: "A Deployment, StatefulSet or DaemonSet has the Service's name and pods (it is known by their owner references), and none of these pods has the labels of the selector.",
    explanation: "The two were probably meant for each other.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let pods = s.facts.workload(s.service.namespace(), s.service.name());
    let (Some(selector), Some(first)) =
        (s.service.selector.as_ref().filter(|_| s.has_selector()), pods.first())
    else {
        return Vec::new();
    };
    if pods.iter().any(|pod| selector.selects(&pod.meta.labels)) {
        return Vec::new();
    }
    let target = format!("service/{}", s.name());
    let meant = selector.iter().filter_map(|(key, _)| Some(format!("{key}={}", first.meta.labels.get(key)?)));
    let pairs: Vec<String> = meant.collect();
    let mut words = vec!["kubectl", "-n", s.namespace(), "set", "selector", &target];
    words.extend(pairs.iter().map(String::as_str));
    let problem = s
        .problem(format!("{} does not select the pods of the workload {}", s.selector_text(), s.name()))
        .own("spec.selector", s.selector_text())
        .evidence(first.object_ref(), "metadata.labels", labels_text(&first.meta.labels))
        .advice("let the selector name labels that the workload's template has");
    let problem = if pairs.is_empty() {
        problem.kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "--show-labels"])
    } else {
        problem.kubectl(&words)
    };
    vec![problem]
}
