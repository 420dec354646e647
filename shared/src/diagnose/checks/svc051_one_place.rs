//! SVC051: all endpoints in one place.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(51),
    title: "All endpoints in one zone or on one node",
    severity: Severity::Warn,
    condition: "Two or more usable endpoints, all with a node: all on the same one, while the cluster has several; or all in one zone, while the nodes have several.",
    explanation: "The loss of that node, or zone, takes the whole Service away.",
    needs: &[Kind::EndpointSlice, Kind::Node],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    if s.is_external_name() || s.usable.len() < 2 || s.usable.iter().any(|endpoint| endpoint.node.is_none()) {
        return Vec::new();
    }
    let nodes = s.nodes();
    let zones: BTreeSet<_> = s.usable.iter().map(|endpoint| endpoint.zone.as_ref()).collect();
    let one_node = nodes.len() == 1 && s.facts.state.nodes().len() > 1;
    let one_zone = zones.len() == 1 && !zones.contains(&None) && s.facts.zones.len() > 1;
    let total = count(s.usable.len(), "endpoint");
    let problem = if one_node {
        s.problem(format!("{total}, all on node {}", list(&nodes))).own("endpoints[].nodeName", list(&nodes))
    } else if one_zone {
        let zones = list(zones.into_iter().flatten());
        s.problem(format!("{total}, all in zone {zones}")).own("endpoints[].zone", zones)
    } else {
        return Vec::new();
    };
    let key = if one_zone && !one_node { ZONE_LABEL } else { "kubernetes.io/hostname" };
    let problem = problem
        .advice("spread the pods: topologySpreadConstraints in the workload's template")
        .manifest(format!("topologySpreadConstraints:\n- maxSkew: 1\n  topologyKey: {key}\n  whenUnsatisfiable: ScheduleAnyway\n  labelSelector: {{}}  # the labels of the pods\n"));
    vec![problem]
}
