//! SVC049: topology hints that do not hold.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(49),
    title: "Hints ignored",
    severity: Severity::Warn,
    condition: "A Service with a cluster IP has trafficDistribution, or the annotation topology-mode Auto, and ready endpoints; and one of those has no hint, or a zone with nodes has no endpoint hinted for it. (The event TopologyAwareHintsDisabled is not read.)",
    explanation: "One ready endpoint without a hint switches hints off on every node; a zone without a hinted endpoint sends its traffic anywhere.",
    needs: &[Kind::EndpointSlice, Kind::Node],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let Some((field, value)) = wish(s).filter(|_| s.service.is_proxied()) else { return Vec::new() };
    let ready: Vec<_> = s.usable.iter().filter(|endpoint| endpoint.conditions.is_ready()).collect();
    if ready.is_empty() {
        return Vec::new();
    }
    let unhinted: Vec<String> = ready
        .iter()
        .filter(|endpoint| endpoint.zone_hints.is_empty() && endpoint.node_hints.is_empty())
        .filter_map(|endpoint| endpoint.addresses.first())
        .map(ToString::to_string)
        .collect();
    let hinted: BTreeSet<_> = ready.iter().flat_map(|endpoint| &endpoint.zone_hints).collect();
    let deserted: Vec<_> = s.facts.zones.iter().filter(|zone| !hinted.contains(**zone)).collect();
    let problem = if !unhinted.is_empty() {
        s.problem(format!(
            "{} without a hint: hints are off on every node",
            count(unhinted.len(), "ready endpoint")
        ))
        .own("endpoints[].hints", format!("(absent): {}", list(&unhinted)))
    } else if !deserted.is_empty() {
        s.problem(format!("no endpoint is hinted for zone {}", list(&deserted)))
            .own("endpoints[].hints.forZones", list(&hinted))
    } else {
        return Vec::new();
    };
    let target = s
        .live_pods()
        .next()
        .map_or_else(|| "deployment/NAME".to_owned(), |pod| format!("deployment/{}", pod.workload()));
    let problem = problem
        .own(field, value)
        .advice("label every node with its zone, and run enough replicas that each zone has some")
        .kubectl(&["kubectl", "get", "nodes", "-L", ZONE_LABEL])
        .kubectl(&[
            "kubectl",
            "-n",
            s.namespace(),
            "scale",
            &target,
            &format!("--replicas={}", 2 * s.facts.zones.len().max(1)),
        ]);
    vec![problem]
}

/// Whether a Service wants its endpoints to have hints.
pub fn asks_for_hints(service: &Service) -> bool {
    topology_annotation(service).is_some() || service.traffic_distribution.is_some()
}

/// What asks for hints.
fn wish(s: &Subject<'_>) -> Option<(String, String)> {
    let annotation = topology_annotation(s.service).filter(|(_, value)| value.eq_ignore_ascii_case("auto"));
    let annotation =
        annotation.map(|(key, value)| (format!("metadata.annotations.{key}"), value.to_string()));
    let distribution = s.service.traffic_distribution;
    annotation.or_else(|| {
        distribution.map(|value| ("spec.trafficDistribution".to_owned(), value.as_str().to_owned()))
    })
}
