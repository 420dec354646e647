//! SVC011: a slice that belongs to no Service.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(11),
    title: "EndpointSlice not bound",
    severity: Severity::Warn,
    condition: "A slice has no owner, and its label kubernetes.io/service-name is missing or names a Service that is not in its namespace.",
    explanation: "The label alone binds a slice to a Service; without it the endpoints reach nobody.",
    needs: &[Kind::EndpointSlice, Kind::Service],
    of_deleted: false,
    how: How::Cluster(find),
};

fn find(facts: &Facts<'_>) -> Vec<Problem> {
    let loose = facts.in_scope(facts.state.slices()).filter(|slice| slice.meta.owner.is_none());
    let problem = |slice: &Arc<EndpointSlice>| {
        let (message, value) = match slice.service() {
            None => (format!("the label {SERVICE_NAME_LABEL} is missing"), "(absent)".into()),
            Some(key) if !facts.state.services().contains(&key) => {
                (format!("Service {key} is not there"), key.name)
            }
            Some(_) => return None,
        };
        let label = format!("{SERVICE_NAME_LABEL}=SERVICE");
        let problem = Problem::new(slice.object_ref(), message)
            .own(format!("metadata.labels.{SERVICE_NAME_LABEL}"), value)
            .advice("label it with the Service's name, or delete it")
            .kubectl(&[
                "kubectl",
                "-n",
                slice.namespace(),
                "label",
                "--overwrite",
                "endpointslice",
                slice.name(),
                &label,
            ]);
        Some(problem)
    };
    loose.filter_map(problem).collect()
}
