//! SVC055: environment variables that clash, or cannot be used.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(55),
    title: "Environment variables clash or are unusable",
    severity: Severity::Info,
    condition: "The Service has a cluster IP, some pod of its namespace gets Service variables, and: a Service named NAME-service stands beside the Service NAME; or the name begins with a digit; or the namespace has more than 500 such Services (reported on its first). (Whether an application expects a number in NAME_PORT is not known.)",
    explanation: "NAME and NAME-service both define NAME_SERVICE_PORT, one a number and one a URL, and which one wins is not defined. A name that begins with a digit makes variables that no shell can read. Thousands of variables can keep containers from starting (argument list too long).",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

const MANY: usize = 500;

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let namespace = s.service.namespace();
    let mut pods = s.facts.state.pods().in_namespace(namespace);
    let listens = |pod: &Arc<Pod>| !pod.no_service_links && !pod.phase.is_final();
    let Some(listener) = pods.find(|pod| listens(pod)).filter(|_| s.service.is_proxied()) else {
        return Vec::new();
    };
    let services = || s.facts.state.services().in_namespace(namespace).filter(|other| other.is_proxied());
    let mut problems = Vec::new();
    let twin = Key { namespace: namespace.clone(), name: format!("{}-service", s.name()).into() };
    if let Some(twin) = s.facts.state.services().get(&twin).filter(|twin| twin.is_proxied()) {
        let variable = s.name().to_uppercase().replace('-', "_") + "_SERVICE_PORT";
        problems.push(
            s.problem(format!("{variable} is defined by {}, too", twin.name()))
                .own("metadata.name", s.name())
                .evidence(twin.object_ref(), "metadata.name", twin.name()),
        );
    }
    if s.name().starts_with(|c: char| c.is_ascii_digit()) {
        problems.push(
            s.problem("its variables begin with a digit, which no shell can read")
                .own("metadata.name", s.name()),
        );
    }
    if services().next().is_some_and(|first| first.key() == s.service.key()) {
        let total = services().count();
        if total > MANY {
            problems.push(s.problem(format!("{total} Services of namespace {namespace} make at least 7 variables each in every container")).own("Services of the namespace", total));
        }
    }
    let finish = |problem: Problem| {
        problem
            .evidence(listener.object_ref(), "spec.enableServiceLinks", true)
            .advice("set enableServiceLinks: false in the templates of pods that do not use these variables")
            .manifest("spec:\n  template:\n    spec:\n      enableServiceLinks: false\n")
    };
    problems.into_iter().map(finish).collect()
}
