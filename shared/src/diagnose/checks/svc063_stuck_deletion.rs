//! SVC063: deletions that do not end.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(63),
    title: "Service or namespace stuck in deletion",
    severity: Severity::Warn,
    condition: "A Service has had a deletionTimestamp for more than 5 minutes, which finalizers such as service.kubernetes.io/load-balancer-cleanup bring about; or its Namespace has.",
    explanation: "A finalizer waits for its controller, which does not run, or cannot clean up at the provider.",
    needs: &[],
    of_deleted: true,
    how: How::Service(find),
};

const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let late = |time| s.facts.age(time).filter(|age| *age > minutes(5));
    if let Some(age) = late(s.service.meta.deleted) {
        let finalizers =
            if s.service.finalizers.is_empty() { "(none)".to_owned() } else { list(&s.service.finalizers) };
        let cloud = s.service.finalizers.iter().any(|finalizer| &**finalizer == CLEANUP);
        let advice = if cloud {
            "repair the cloud controller; as a last resort remove the finalizer, and clean up at the provider by hand"
        } else {
            "repair the controller of the finalizer; as a last resort remove it"
        };
        let patch = serde_json::json!({"metadata": {"finalizers": null}});
        let problem = s
            .problem(format!("being deleted for {}", duration_text(age)))
            .own(
                "metadata.deletionTimestamp",
                s.service.meta.deleted.map_or_else(String::new, |time| time.to_string()),
            )
            .own("metadata.finalizers", finalizers)
            .advice(advice)
            .kubectl(&["kubectl", "-n", s.namespace(), "describe", "service", s.name()])
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "patch",
                "service",
                s.name(),
                "--type=merge",
                "-p",
                &patch.to_string(),
            ]);
        return vec![problem];
    }
    let namespace = s.facts.state.namespaces().get(&Key::cluster(s.service.namespace().clone()));
    let Some((namespace, age)) =
        namespace.and_then(|namespace| Some((namespace, late(namespace.meta.deleted)?)))
    else {
        return Vec::new();
    };
    let problem = s
        .problem(format!("its namespace is being deleted for {}", duration_text(age)))
        .evidence(
            namespace.object_ref(),
            "metadata.deletionTimestamp",
            namespace.meta.deleted.map_or_else(String::new, |time| time.to_string()),
        )
        .advice("see in the namespace's conditions what is left in it and why")
        .kubectl(&["kubectl", "get", "namespace", s.namespace(), "-o", "yaml"]);
    vec![problem]
}
