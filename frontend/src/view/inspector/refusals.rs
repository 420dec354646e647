//! On which nodes connections to a Service fail, and how: what the endpoints alone do not show.

use std::collections::BTreeSet;

use vipscope_shared::model::{ClusterState, IpFamily, Keyed, Service, Text};
use vipscope_shared::proxy::{PortView, Refusal, Via, backends, categorize, shares};

use crate::words;

/// Nodes named in a line; the rest is counted.
const NAMED: usize = 6;

/// One line for each way to fail, port by port unless all ports fail alike. Empty if every node has somewhere to send to.
pub fn refusals(state: &ClusterState, service: &Service, chosen: Option<usize>, via: Via) -> Vec<String> {
    if !service.is_proxied() {
        return Vec::new();
    }
    let families: BTreeSet<IpFamily> = service.cluster_ip.ips().iter().copied().map(IpFamily::of).collect();
    let mut lines: Vec<(String, String)> = Vec::new();
    for (index, port) in service.ports.iter().enumerate() {
        if chosen.is_some_and(|chosen| chosen != index) {
            continue;
        }
        for &family in &families {
            let label = if families.len() > 1 { format!(" ({family})") } else { String::new() };
            let all = backends(state, service, port, family);
            let view = PortView::of(service, port, family);
            let (mut dropped, mut refused) = (Vec::new(), Vec::new());
            for node in state.nodes().values() {
                match shares(&categorize(&all, view, node), view, via).refusal {
                    Some(Refusal::Drop) => dropped.push(node.name().clone()),
                    Some(Refusal::Reject) => refused.push(node.name().clone()),
                    None => {}
                }
            }
            let port = format!("{}{label}: ", words::port_id(port));
            let nodes = state.nodes().len();
            lines.extend(drop_line(&dropped, nodes, via).map(|line| (port.clone(), line)));
            lines.extend(refuse_line(&refused, nodes).map(|line| (port, line)));
        }
    }
    merge(lines, service.ports.len())
}

fn drop_line(nodes: &[Text], of: usize, via: Via) -> Option<String> {
    (!nodes.is_empty()).then(|| {
        format!(
            "Dropped on {}: {} is Local, and no endpoint there can take them.",
            named(nodes, of),
            words::policy_name(via)
        )
    })
}

fn refuse_line(nodes: &[Text], of: usize) -> Option<String> {
    (!nodes.is_empty())
        .then(|| format!("Refused at once on {}: there is no endpoint to send to.", named(nodes, of)))
}

fn named(nodes: &[Text], of: usize) -> String {
    if nodes.len() == of {
        return "every node".to_owned();
    }
    let names: Vec<&str> = nodes.iter().take(NAMED).map(|name| &**name).collect();
    match nodes.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more nodes", names.join(", ")),
    }
}

/// A line that holds for every port needs no port before it.
fn merge(lines: Vec<(String, String)>, ports: usize) -> Vec<String> {
    let Some((_, first)) = lines.first() else { return Vec::new() };
    if lines.len() >= ports && lines.iter().all(|(_, line)| line == first) {
        return vec![first.clone()];
    }
    lines.into_iter().map(|(port, line)| format!("{port}{line}")).collect()
}
