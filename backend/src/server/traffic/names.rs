//! Addresses of flows to the objects they belong to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use vipscope_shared::model::{ClusterState, Key, Keyed, Pod, Protocol, Text};
use vipscope_shared::traffic::{TrafficEdge, TrafficEnd, TrafficSource};

use crate::agent::{Flow, FlowEnd};

/// What is where in one state.
#[derive(Debug)]
pub struct Names<'a> {
    pods: HashMap<IpAddr, &'a Pod>,
    nodes: HashMap<IpAddr, &'a Text>,
    /// Pods in their node's network.
    on_hosts: HashMap<(IpAddr, u16), &'a Pod>,
    vips: HashMap<(IpAddr, Protocol, u16), (&'a Key, &'a Text)>,
    node_ports: HashMap<(Protocol, u16), (&'a Key, &'a Text)>,
}

impl<'a> Names<'a> {
    pub fn new(state: &'a ClusterState) -> Names<'a> {
        let (mut pods, mut on_hosts) = (HashMap::new(), HashMap::new());
        for pod in state.pods().values() {
            let ports = || pod.containers.iter().flat_map(|container| &container.ports);
            for ip in &pod.ips {
                if pod.host_network {
                    on_hosts.extend(ports().map(|port| ((*ip, port.port.get()), &**pod)));
                } else {
                    pods.insert(*ip, &**pod);
                }
            }
        }
        let (mut vips, mut node_ports) = (HashMap::new(), HashMap::new());
        for service in state.services().values().filter(|service| service.is_proxied()) {
            for port in &service.ports {
                let named = (service.key(), &port.name);
                for ip in service.cluster_ip.ips().iter().copied().chain(service.outside_ips()) {
                    vips.insert((ip, port.protocol, port.port.get()), named);
                }
                if let Some(number) = port.node_port {
                    node_ports.insert((port.protocol, number.get()), named);
                }
            }
        }
        let own = |node: &'a std::sync::Arc<vipscope_shared::model::Node>| {
            node.addresses.iter().map(move |address| (address.ip, node.name()))
        };
        let nodes = state.nodes().values().flat_map(own).collect();
        Names { pods, nodes, on_hosts, vips, node_ports }
    }

    pub fn edge(&self, node: &Text, flow: &Flow) -> TrafficEdge {
        let claim = self.vips.get(&(flow.to.ip(), flow.protocol, flow.to.port()));
        let node_port = || {
            let found = self.node_ports.get(&(flow.protocol, flow.to.port()));
            found.filter(|_| self.nodes.contains_key(&flow.to.ip()))
        };
        let claim = claim.or_else(node_port);
        TrafficEdge {
            source: self.source(flow.source),
            node: node.clone(),
            vip: flow.to,
            protocol: flow.protocol,
            service: claim.map(|(service, _)| (*service).clone()),
            port_name: claim.map(|(_, port)| (*port).clone()).filter(|port| !port.is_empty()),
            end: match flow.end {
                FlowEnd::Delivered(endpoint) => TrafficEnd::Delivered { endpoint, pod: self.pod(endpoint) },
                FlowEnd::Failed(endpoint) => TrafficEnd::Failed { endpoint },
                FlowEnd::Refused => TrafficEnd::Refused,
                FlowEnd::Dropped => TrafficEnd::Dropped,
                FlowEnd::Unclaimed => TrafficEnd::Unclaimed,
            },
        }
    }

    fn source(&self, ip: IpAddr) -> TrafficSource {
        match (self.pods.get(&ip), self.nodes.get(&ip)) {
            (Some(pod), _) => TrafficSource::Pod(pod.key().clone()),
            (None, Some(node)) => TrafficSource::Node((*node).clone()),
            (None, None) => TrafficSource::Outside,
        }
    }

    fn pod(&self, to: SocketAddr) -> Option<Key> {
        let on_host = || self.on_hosts.get(&(to.ip(), to.port()));
        self.pods.get(&to.ip()).or_else(on_host).map(|pod| pod.key().clone())
    }
}
