//! Service ports as kube-proxy keys them: by namespace, Service, port name and protocol, in one IP family, with their
//! endpoints. Nothing here depends on the node, so all nodes share it (`pkg/proxy/serviceport.go`).

use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;

use super::common::{Backend, PortView, backends};
use super::hash::base32_sha256;
use crate::model::{ClusterState, IpFamily, Keyed, Protocol, Service, ServicePort, ServiceType, Text};

/// Label whose presence hands a Service to another proxy.
pub(super) const OTHER_PROXY_LABEL: &str = "service.kubernetes.io/service-proxy-name";

/// One port of one Service in one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    pub namespace: Text,
    pub service: Text,
    pub port_name: Text,
    /// `namespace/service`, and `:portname` if the port has a name.
    pub name: String,
    pub protocol: Protocol,
    pub cluster_ip: IpAddr,
    pub port: u16,
    pub node_port: Option<u16>,
    pub external_ips: Vec<IpAddr>,
    /// Balancer addresses of mode VIP.
    pub vips: Vec<IpAddr>,
    /// Empty means everybody.
    pub source_ranges: Vec<IpNet>,
    /// Session affinity by client IP, with its timeout in seconds.
    pub affinity: Option<u32>,
    pub health_check: Option<u16>,
    pub view: PortView,
    /// In the byte order of `IP:PORT`.
    pub endpoints: Vec<Backend>,
    hashes: Derived<Hashes>,
}

/// The hashes in the names of iptables chains.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    pub port: [u8; 16],
    /// One for each endpoint.
    pub endpoints: Box<[[u8; 16]]>,
}

/// Worked out once, when first asked for, from the fields beside it; so it plays no part in comparisons.
#[derive(Debug, Clone)]
struct Derived<T>(OnceLock<T>);

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Derived<T>) -> bool {
        true
    }
}

impl<T> Eq for Derived<T> {}

impl PortInfo {
    /// The same on all nodes.
    pub(super) fn hashes(&self) -> &Hashes {
        let protocol = self.protocol.lower();
        let endpoint = |backend: &Backend| base32_sha256(&[&self.name, protocol, &backend.text]);
        self.hashes.0.get_or_init(|| Hashes {
            port: base32_sha256(&[&self.name, protocol]),
            endpoints: self.endpoints.iter().map(endpoint).collect(),
        })
    }

    pub fn has_source_ranges(&self) -> bool {
        !self.vips.is_empty() && !self.source_ranges.is_empty()
    }
}

/// Every port that kube-proxy programs in `family`, by namespace, Service, port number and protocol.
pub fn port_infos(state: &ClusterState, family: IpFamily) -> Vec<PortInfo> {
    state.services().values().flat_map(|service| port_infos_of(state, service, family)).collect()
}

/// The ports of one Service; none if kube-proxy ignores it.
pub fn port_infos_of(state: &ClusterState, service: &Service, family: IpFamily) -> Vec<PortInfo> {
    let Some(cluster_ip) = cluster_ip(service, family) else { return Vec::new() };
    let mut ports: Vec<&ServicePort> = service.ports.iter().collect();
    ports.sort_by_key(|port| (port.port, port.protocol));
    ports.into_iter().map(|port| port_info(state, service, port, family, cluster_ip)).collect()
}

/// The Service's address in a family; none if kube-proxy ignores it there.
pub fn cluster_ip(service: &Service, family: IpFamily) -> Option<IpAddr> {
    if service.service_type == ServiceType::ExternalName
        || service.meta.labels.get(OTHER_PROXY_LABEL).is_some()
    {
        return None;
    }
    let ips = service.cluster_ip.ips();
    let ip = if service.ip_families.is_empty() {
        ips.first()
    } else {
        ips.get(service.ip_families.iter().position(|known| *known == family)?)
    };
    ip.copied().filter(|ip| IpFamily::of(*ip) == family)
}

fn port_info(
    state: &ClusterState,
    service: &Service,
    port: &ServicePort,
    family: IpFamily,
    cluster_ip: IpAddr,
) -> PortInfo {
    let (namespace, name) = (service.namespace().clone(), service.name().clone());
    let dns = format!("{namespace}/{name}");
    let view = PortView::of(service, port, family);
    let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
    let mut ranges: Vec<IpNet> =
        service.source_ranges.iter().copied().filter(|net| ours(&net.network())).collect();
    if ranges.iter().any(|range| range.prefix_len() == 0) {
        ranges.clear();
    }
    let health_check = service.health_check_node_port.map(u16::from);
    PortInfo {
        name: if port.name.is_empty() { dns } else { format!("{dns}:{}", port.name) },
        namespace,
        service: name,
        port_name: port.name.clone(),
        protocol: port.protocol,
        cluster_ip,
        port: port.port.get(),
        node_port: port.node_port.map(u16::from),
        external_ips: service.external_ips.iter().copied().filter(ours).collect(),
        vips: service.vips().filter(ours).collect(),
        source_ranges: ranges,
        affinity: service.affinity_seconds,
        health_check: health_check
            .filter(|_| service.service_type == ServiceType::LoadBalancer && view.external_local),
        view,
        endpoints: backends(state, service, port, family),
        hashes: Derived(OnceLock::new()),
    }
}
