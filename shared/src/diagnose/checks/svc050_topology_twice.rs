//! SVC050: two wishes for topology, or an old name of one.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(50),
    title: "Topology annotation and trafficDistribution",
    severity: Severity::Info,
    condition: "Both trafficDistribution and a topology annotation other than Disabled are set; or trafficDistribution is PreferClose.",
    explanation: "The annotation wins. PreferClose is the deprecated name of PreferSameZone.",
    needs: &[],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some(distribution) = s.service.traffic_distribution else { return Vec::new() };
    let annotation =
        topology_annotation(s.service).filter(|(_, value)| !value.eq_ignore_ascii_case("disabled"));
    let both = annotation.map(|(key, value)| {
        s.problem(format!("the annotation {key} wins over trafficDistribution"))
            .own(format!("metadata.annotations.{key}"), value)
            .own("spec.trafficDistribution", distribution.as_str())
            .advice("remove the annotation")
            .kubectl(&["kubectl", "-n", s.namespace(), "annotate", "service", s.name(), &format!("{key}-")])
    });
    let old = (distribution == TrafficDistribution::PreferClose).then(|| {
        let patch = serde_json::json!({"spec": {"trafficDistribution": "PreferSameZone"}});
        s.problem("PreferClose is deprecated")
            .own("spec.trafficDistribution", "PreferClose")
            .advice("call it PreferSameZone (Kubernetes 1.34 and later)")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "patch",
                "service",
                s.name(),
                "-p",
                &patch.to_string(),
            ])
    });
    both.into_iter().chain(old).collect()
}
