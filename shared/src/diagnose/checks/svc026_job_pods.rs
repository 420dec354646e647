//! SVC026: pods of a Job among the endpoints.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(26),
    title: "Selector also catches pods of a Job",
    severity: Severity::Info,
    condition: "A selected pod belongs to a Job.",
    explanation: "Finished ones never serve; running ones get a share of the traffic while they run.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let of_job = |pod: &&&Arc<Pod>| pod.meta.owner.as_ref().is_some_and(|owner| &*owner.kind == "Job");
    let jobs: Vec<_> = s.pods.iter().filter(of_job).filter(|_| s.has_selector()).collect();
    let Some(first) = jobs.first() else { return Vec::new() };
    let owner = |pod: &Pod| {
        pod.meta
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| format!("Job {} ({})", owner.name, pod.phase.as_str()))
    };
    let key = s
        .service
        .selector
        .iter()
        .flat_map(|selector| selector.iter())
        .next()
        .map_or("app", |(key, _)| &**key);
    let problem = s
        .problem(format!("{} of a Job", count(jobs.len(), "selected pod")))
        .evidence_of("metadata.ownerReferences", jobs.iter().map(|pod| (pod.object_ref(), owner(pod))))
        .advice("take the label out of the Job's template")
        .kubectl(&["kubectl", "-n", s.namespace(), "label", "pod", first.name(), &format!("{key}-")]);
    vec![problem]
}
