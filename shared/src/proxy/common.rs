//! Service ports, their endpoints and the categories of those on one node, as kube-proxy 1.36 works them out
//! (`pkg/proxy/endpointslicecache.go`, `pkg/proxy/topology.go`).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use crate::model::{
    ClusterState, IpFamily, Key, Keyed, Node, Service, ServicePort, ServiceType, Text, TrafficPolicy,
};
use crate::netfilter::iptables::write_socket;

/// One endpoint of a Service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `IP:PORT`, IPv6 in brackets: the text that kube-proxy sorts by and writes into rules.
    pub text: Box<str>,
    pub address: IpAddr,
    pub port: NonZeroU16,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    pub node: Option<Text>,
    pub zone: Option<Text>,
    pub pod: Option<Key>,
    pub zone_hints: Vec<Text>,
    pub node_hints: Vec<Text>,
    /// Name of the slice that it was read from.
    pub slice: Text,
}

impl Backend {
    /// Where packets go.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port.get())
    }

    fn is_on(&self, node: &str) -> bool {
        !node.is_empty() && self.node.as_deref() == Some(node)
    }

    fn serves_terminating(&self) -> bool {
        self.serving && self.terminating
    }
}

/// The endpoints of a Service port in one family: all slices merged, one per `IP:PORT`, in the byte order of that text.
/// Of duplicates, a later one replaces an earlier one unless the later one is terminating.
pub fn backends(
    state: &ClusterState,
    service: &Service,
    port: &ServicePort,
    family: IpFamily,
) -> Vec<Backend> {
    let mut found: Vec<Backend> = Vec::new();
    let mut text = String::new();
    for slice in state.slices_of(service.key()) {
        if slice.address_type.family() != Some(family) || slice.meta.labels.get(HEADLESS_LABEL).is_some() {
            continue;
        }
        let same = |p: &&crate::model::EndpointPort| p.name == port.name && p.protocol == port.protocol;
        for number in slice.ports.iter().filter(same).filter_map(|port| port.port) {
            for endpoint in &slice.endpoints {
                let Some(address) = endpoint.addresses.first().and_then(|address| address.ip()) else {
                    continue;
                };
                text.clear();
                write_socket(address, number.get(), &mut text);
                found.push(Backend {
                    text: text.as_str().into(),
                    address,
                    port: number,
                    ready: endpoint.conditions.is_ready(),
                    serving: endpoint.conditions.is_serving(),
                    terminating: endpoint.conditions.is_terminating(),
                    node: endpoint.node.clone(),
                    zone: endpoint.zone.clone(),
                    pod: endpoint.target.as_ref().and_then(|target| target.pod()).cloned(),
                    zone_hints: endpoint.zone_hints.clone(),
                    node_hints: endpoint.node_hints.clone(),
                    slice: slice.name().clone(),
                });
            }
        }
    }
    // Stable, so that duplicates stay in the order in which they were found.
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found.dedup_by(|later, kept| {
        let same = later.text == kept.text;
        if same && !later.terminating {
            std::mem::swap(later, kept);
        }
        same
    });
    found
}

/// Label of slices that belong to headless Services; kube-proxy never sees them.
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// What of a Service port decides about endpoints, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortView {
    pub internal_local: bool,
    pub external_local: bool,
    /// It has a node port, a balancer VIP or an external IP of the family.
    pub external: bool,
}

impl PortView {
    pub fn of(service: &Service, port: &ServicePort, family: IpFamily) -> PortView {
        let accessible = match service.service_type {
            ServiceType::LoadBalancer | ServiceType::NodePort => true,
            ServiceType::ClusterIP => !service.external_ips.is_empty(),
            ServiceType::ExternalName => false,
        };
        PortView {
            internal_local: service.internal_policy == TrafficPolicy::Local,
            external_local: accessible && service.external_policy == TrafficPolicy::Local,
            external: port.node_port.is_some() || service.outside_ips().any(|ip| IpFamily::of(ip) == family),
        }
    }

    /// Some traffic may go to endpoints on any node.
    pub fn uses_cluster(self) -> bool {
        !self.internal_local || self.external
    }

    /// Some traffic may go to this node's endpoints only.
    pub fn uses_local(self) -> bool {
        self.internal_local || (self.external_local && self.external)
    }
}

/// Which endpoints a node uses; indexes into the list given to [`categorize`], in its order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Categories {
    /// Used by traffic under policy Cluster.
    pub cluster: Vec<usize>,
    /// Used by traffic under policy Local.
    pub local: Vec<usize>,
    /// Some endpoint, on any node, could take traffic.
    pub has_any: bool,
    /// Hints narrowed `cluster`.
    pub hinted: Option<Hinted>,
    /// Everything that traffic through this node can reach: `cluster`, `local`, or both.
    pub reachable: Vec<usize>,
}

impl Categories {
    /// Traffic to the cluster IP has somewhere to go.
    pub fn has_internal(&self, view: PortView) -> bool {
        self.has_any && (!view.internal_local || !self.local.is_empty())
    }

    /// Traffic from outside has somewhere to go.
    pub fn has_external(&self, view: PortView) -> bool {
        self.has_any && (!view.external_local || !self.local.is_empty())
    }
}

/// By which hints `cluster` was narrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hinted {
    Node,
    Zone,
}

/// Sorts the endpoints of a port into the categories of one node (`CategorizeEndpoints`).
pub fn categorize(all: &[Backend], view: PortView, node: &Node) -> Categories {
    let mut categories = Categories::default();
    if all.is_empty() {
        return categories;
    }
    let name: &str = node.name();
    let zone = node.zone().map_or("", |zone| &**zone);
    let pick = |keep: &dyn Fn(&Backend) -> bool| -> Vec<usize> {
        (0..all.len()).filter(|&i| keep(&all[i])).collect()
    };
    if view.uses_cluster() {
        categories.hinted = hinted(all, name, zone);
        let passes = |backend: &Backend| match categories.hinted {
            None => true,
            Some(Hinted::Node) => backend.node_hints.iter().any(|hint| &**hint == name),
            Some(Hinted::Zone) => backend.zone_hints.iter().any(|hint| &**hint == zone),
        };
        categories.cluster = pick(&|backend| backend.ready && passes(backend));
        if categories.cluster.is_empty() {
            categories.cluster = pick(&Backend::serves_terminating);
        }
        categories.has_any = !categories.cluster.is_empty();
    }
    categories.reachable.clone_from(&categories.cluster);
    if view.uses_local() {
        categories.has_any |= all.iter().any(|backend| backend.ready || backend.serves_terminating());
        categories.local = pick(&|backend| backend.ready && backend.is_on(name));
        let fallback = categories.local.is_empty();
        if fallback {
            categories.local = pick(&|backend| backend.serves_terminating() && backend.is_on(name));
        }
        let differs = categories.hinted.is_some() || (fallback && !categories.local.is_empty());
        if !view.uses_cluster() {
            categories.reachable.clone_from(&categories.local);
        } else if differs {
            categories.reachable.extend(&categories.local);
            categories.reachable.sort_unstable();
            categories.reachable.dedup();
        }
    }
    categories
}

/// Hints hold only if every ready endpoint has them and one of them means this node.
fn hinted(all: &[Backend], node: &str, zone: &str) -> Option<Hinted> {
    let ready = || all.iter().filter(|backend| backend.ready);
    let holds = |hints: fn(&Backend) -> &Vec<Text>, here: &str| {
        ready().all(|backend| !hints(backend).is_empty())
            && ready().any(|b| hints(b).iter().any(|hint| &**hint == here))
    };
    if holds(|backend| &backend.node_hints, node) {
        Some(Hinted::Node)
    } else if !zone.is_empty() && holds(|backend| &backend.zone_hints, zone) {
        Some(Hinted::Zone)
    } else {
        None
    }
}
