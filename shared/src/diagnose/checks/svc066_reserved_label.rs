//! SVC066: labels that belong to the controllers.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(66),
    title: "Reserved label on Service",
    severity: Severity::Info,
    condition: "The Service has a label endpointslice.kubernetes.io/managed-by, kubernetes.io/service-name or service.kubernetes.io/headless.",
    explanation: "All other labels of a Service are copied to its slices; these three mean something there, and are not.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

const RESERVED: [&str; 3] = [MANAGED_BY_LABEL, SERVICE_NAME_LABEL, "service.kubernetes.io/headless"];

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let found = RESERVED.iter().filter_map(|key| Some((*key, s.service.meta.labels.get(key)?)));
    let problem = |(key, value): (&str, &Text)| {
        s.problem(format!("the label {key} is reserved for slices"))
            .own(format!("metadata.labels.{key}"), value)
            .advice("remove the label")
            .kubectl(&["kubectl", "-n", s.namespace(), "label", "service", s.name(), &format!("{key}-")])
    };
    found.map(problem).collect()
}
