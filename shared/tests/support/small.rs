//! Small random clusters in which much meets: shared addresses, odd slices, every policy, source ranges, several modes; and
//! random changes to them.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::{
    AddressType, ClusterIp, ClusterState, Conditions, Endpoint, EndpointAddress, EndpointPort, EndpointSlice,
    Ingress, IpFamily, IpMode, Key, Keyed, Labels, LocalDetector, Masquerade, Meta, Node, NodeAddress,
    NodeAddressType, NodePortAddresses, Pod, PodPhase, Protocol, ProxyConfig, ProxyMode, ProxySettings,
    SERVICE_NAME_LABEL, Service, ServicePort, ServiceType, TargetPort, TargetRef, Text, TrafficPolicy,
    ZONE_LABEL,
};
use vipscope_shared::synthetic::Random;

pub struct Maker {
    random: Random,
    /// Some clusters have IPv6 too.
    dual: bool,
    nodes: usize,
    pods: usize,
}

fn v4(text: String) -> IpAddr {
    text.parse().unwrap()
}

impl Maker {
    pub fn new(seed: u64) -> Maker {
        let mut random = Random(seed.wrapping_mul(7_919).wrapping_add(1));
        let dual = random.once_in(5);
        let nodes = 1 + random.below(3);
        Maker { random, dual, nodes, pods: 0 }
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.random.below(all.len())]
    }

    fn node_name(nth: usize) -> Text {
        format!("node-{}", ["a", "b", "c", "d"][nth % 4]).into()
    }

    fn node_ip(nth: usize) -> IpAddr {
        v4(format!("192.168.0.{}", 10 + nth))
    }

    pub fn cluster(&mut self) -> ClusterState {
        let mut objects = Vec::new();
        objects.extend((0..self.nodes).map(|nth| Object::Node(Arc::new(self.node(nth)))));
        let mut pods = Vec::new();
        for _ in 0..2 + self.random.below(4) {
            pods.push(Arc::new(self.pod()));
        }
        objects.extend(pods.iter().cloned().map(Object::Pod));
        let services = 1 + self.random.below(3);
        for nth in 0..services {
            let service = self.service(nth);
            objects.extend(
                self.slices(&service, &pods).into_iter().map(|slice| Object::EndpointSlice(Arc::new(slice))),
            );
            objects.push(Object::Service(Arc::new(service)));
        }
        if !self.random.once_in(6) {
            objects.push(Object::ProxyConfig(Arc::new(self.config())));
        }
        let mut state = ClusterState::default();
        for object in objects {
            let _ = state.apply(&Change::Upsert(object));
        }
        state
    }

    fn node(&mut self, nth: usize) -> Node {
        let mut node = Node::named(Self::node_name(nth));
        if !self.random.once_in(4) {
            node.meta.labels = [(ZONE_LABEL, *self.pick(&["a", "b"]))].into_iter().collect();
        }
        let address = |address_type, ip| NodeAddress { address_type, ip };
        node.addresses.push(address(NodeAddressType::InternalIP, Self::node_ip(nth)));
        if self.random.once_in(3) {
            node.addresses.push(address(NodeAddressType::ExternalIP, v4(format!("203.0.113.{}", 10 + nth))));
        }
        if !self.random.once_in(4) {
            node.pod_cidrs.push(format!("10.244.{nth}.0/24").parse().unwrap());
        }
        if self.dual {
            node.addresses
                .push(address(NodeAddressType::InternalIP, v4(format!("fd00:192:168::{}", 10 + nth))));
            node.pod_cidrs.push(format!("fd00:10:244:{nth}::/64").parse().unwrap());
        }
        node
    }

    fn pod(&mut self) -> Pod {
        self.pods += 1;
        let nth = self.pods;
        let on = self.random.below(self.nodes);
        let mut pod = Pod::named(Key::new("ns", format!("pod-{nth}")));
        pod.node = Some(Self::node_name(on));
        pod.phase = PodPhase::Running;
        pod.ready = true;
        pod.host_network = self.random.once_in(6);
        pod.ips = match pod.host_network {
            true => vec![Self::node_ip(on)],
            false => vec![v4(format!("10.244.{on}.{}", 4 + nth))],
        };
        if self.dual {
            pod.ips.push(match pod.host_network {
                true => v4(format!("fd00:192:168::{}", 10 + on)),
                false => v4(format!("fd00:10:244:{on}::{:x}", 4 + nth)),
            });
        }
        pod
    }

    fn service(&mut self, nth: usize) -> Service {
        let mut service = Service::named(Key::new("ns", format!("svc-{nth}")));
        // Rarely the address of another one, or of a pod.
        let vip = match self.random.below(30) {
            0 => v4(format!("10.244.0.{}", 5 + self.random.below(3))),
            1 => v4("10.96.0.1".to_owned()),
            _ => v4(format!("10.96.0.{}", nth + 1)),
        };
        let mut ips = vec![vip];
        service.ip_families = vec![IpFamily::IPv4];
        if self.dual && !self.random.once_in(3) {
            ips.push(v4(format!("fd00:10:96::{}", nth + 1)));
            service.ip_families.push(IpFamily::IPv6);
        }
        service.cluster_ip = ClusterIp::Ips(ips);
        if self.random.once_in(15) {
            service.cluster_ip = ClusterIp::Headless;
        }
        service.service_type =
            *self.pick(&[ServiceType::ClusterIP, ServiceType::NodePort, ServiceType::LoadBalancer]);
        for port in 0..1 + self.random.below(2) {
            let port = self.port(nth, port, service.service_type);
            service.ports.push(port);
        }
        self.outside(nth, &mut service);
        if self.random.once_in(4) {
            service.affinity_seconds = Some(*self.pick(&[60, 10_800]));
        }
        let policy = [TrafficPolicy::Cluster, TrafficPolicy::Cluster, TrafficPolicy::Local];
        service.internal_policy = *self.pick(&policy);
        service.external_policy = *self.pick(&policy);
        if service.service_type == ServiceType::LoadBalancer
            && service.external_policy == TrafficPolicy::Local
        {
            service.health_check_node_port = NonZeroU16::new(32_000 + nth as u16);
        }
        service
    }

    fn port(&mut self, service: usize, nth: usize, service_type: ServiceType) -> ServicePort {
        let number = *self.pick(&[80, 80, 443, 30_001, 8080]);
        let node_port =
            (service_type != ServiceType::ClusterIP).then(|| *self.pick(&[30_000, 30_010, 30_020]));
        let node_port = node_port.map(|port| port + (service * 2 + nth) as u16);
        let protocols = [Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        ServicePort {
            name: format!("p{nth}").into(),
            protocol: *self.pick(&protocols),
            port: NonZeroU16::new(number + nth as u16).unwrap(),
            target_port: TargetPort::Number(NonZeroU16::new(8080).unwrap()),
            node_port: node_port.and_then(NonZeroU16::new),
            app_protocol: None,
        }
    }

    fn outside(&mut self, nth: usize, service: &mut Service) {
        if self.random.once_in(4) {
            let own = Self::node_ip(self.random.below(self.nodes));
            service.external_ips.push(*self.pick(&[v4("203.0.113.200".to_owned()), own]));
        }
        if service.service_type == ServiceType::LoadBalancer {
            let shared = v4("203.0.113.200".to_owned());
            let own = Self::node_ip(self.random.below(self.nodes));
            let vip = v4(format!("203.0.113.{}", 100 + nth));
            let ip = *self.pick(&[vip, vip, vip, shared, own]);
            let ip_mode = if self.random.once_in(6) { IpMode::Proxy } else { IpMode::Vip };
            service.ingress.push(Ingress { ip: Some(ip), hostname: None, ip_mode });
            for _ in 0..self.random.below(3) {
                let range = *self.pick(&[
                    "10.244.0.0/25",
                    "10.0.0.0/8",
                    "198.51.100.0/24",
                    "192.168.0.10/32",
                    "192.168.0.0/24",
                    "0.0.0.0/0",
                    "10.244.1.0/24",
                    "127.0.0.0/8",
                ]);
                service.source_ranges.push(range.parse::<IpNet>().unwrap());
            }
        }
    }

    fn slices(&mut self, service: &Service, pods: &[Arc<Pod>]) -> Vec<EndpointSlice> {
        let mut slices = vec![self.slice(service, pods, AddressType::IPv4)];
        if self.dual {
            slices.push(self.slice(service, pods, AddressType::IPv6));
        }
        slices
    }

    fn slice(&mut self, service: &Service, pods: &[Arc<Pod>], address_type: AddressType) -> EndpointSlice {
        let mut meta = Meta::named(Key::new("ns", format!("{}-{address_type:?}", service.name())));
        meta.labels = [(SERVICE_NAME_LABEL, &**service.name())].into_iter().collect::<Labels>();
        let hints = self.random.once_in(4);
        let mut endpoints = Vec::new();
        for pod in pods {
            if self.random.once_in(2) {
                continue;
            }
            let ours = |ip: &&IpAddr| Some(IpFamily::of(**ip)) == address_type.family();
            let Some(ip) = pod.ips.iter().find(ours).copied() else { continue };
            endpoints.push(self.endpoint(pod, ip, hints));
        }
        let number = |port: &ServicePort| EndpointPort {
            name: port.name.clone(),
            protocol: port.protocol,
            port: NonZeroU16::new(8080),
            app_protocol: None,
        };
        let mut ports: Vec<EndpointPort> = service.ports.iter().map(number).collect();
        for port in &mut ports {
            if self.random.once_in(5) {
                port.port = NonZeroU16::new(*self.pick(&[9090, 30_000, 30_001, 30_012]));
            }
        }
        EndpointSlice { meta, address_type, ports, endpoints }
    }

    fn endpoint(&mut self, pod: &Pod, ip: IpAddr, hints: bool) -> Endpoint {
        let dying = self.random.once_in(8);
        let ready = !dying && !self.random.once_in(8);
        let conditions = Conditions {
            ready: Some(ready),
            serving: Some(ready || !self.random.once_in(3)),
            terminating: Some(dying),
        };
        let mut node = pod.node.clone();
        if self.random.once_in(12) {
            node = None;
        }
        Endpoint {
            addresses: vec![EndpointAddress::Ip(ip)],
            conditions,
            node,
            zone: Some((*self.pick(&["a", "b"])).into()),
            hostname: None,
            target: Some(TargetRef { kind: "Pod".into(), key: pod.key().clone(), uid: "".into() }),
            zone_hints: if hints { vec![(*self.pick(&["a", "b"])).into()] } else { Vec::new() },
            node_hints: Vec::new(),
        }
    }

    fn config(&mut self) -> ProxyConfig {
        let settings = self.settings();
        let mut config = ProxyConfig {
            meta: Meta::named(ProxyConfig::well_known_key()),
            settings,
            nodes: std::collections::BTreeMap::new(),
        };
        if self.random.once_in(4) {
            let other = self.settings();
            config.nodes.insert(Self::node_name(0), other);
        }
        config
    }

    fn settings(&mut self) -> ProxySettings {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let detectors = [
            LocalDetector::ClusterCidr(vec![net("10.244.0.0/16"), net("fd00:10:244::/56")]),
            LocalDetector::ClusterCidr(Vec::new()),
            LocalDetector::NodeCidr,
            LocalDetector::BridgeInterface("cbr0".into()),
            LocalDetector::InterfaceNamePrefix("veth".into()),
        ];
        let on = [
            NodePortAddresses::Unset,
            NodePortAddresses::Unset,
            NodePortAddresses::Primary,
            NodePortAddresses::Cidrs(vec![net("127.0.0.0/8"), net("203.0.113.0/24")]),
            NodePortAddresses::Cidrs(vec![net("192.168.0.0/24")]),
        ];
        ProxySettings {
            mode: *self.pick(&ProxyMode::ALL),
            node_port_addresses: self.pick(&on).clone(),
            detect_local: self.pick(&detectors).clone(),
            iptables: Masquerade { all: self.random.once_in(6), bit: 14 },
            nftables: Masquerade { all: self.random.once_in(6), bit: 14 },
            localhost_node_ports: !self.random.once_in(4),
            ipvs_scheduler: (*self.pick(&["", "rr", "sh", "lc", "mh"])).into(),
            bind_address: self.random.once_in(8).then(|| v4("192.168.0.10".to_owned())),
            ..ProxySettings::default()
        }
    }

    /// Another cluster, and what was done to it.
    pub fn change(&mut self, before: &ClusterState) -> (ClusterState, String) {
        let mut after = before.clone();
        let mut what = Vec::new();
        for _ in 0..1 + self.random.below(5) / 4 {
            what.push(self.change_once(&mut after));
        }
        (after, what.join(", then "))
    }

    fn change_once(&mut self, state: &mut ClusterState) -> String {
        let services: Vec<Arc<Service>> = state.services().values().cloned().collect();
        let slices: Vec<Arc<EndpointSlice>> = state.slices().values().cloned().collect();
        let pods: Vec<Arc<Pod>> = state.pods().values().cloned().collect();
        let (object, what) = match self.random.below(12) {
            0 => {
                let service = self.service(7);
                let slice = self.slice(&service, &pods, AddressType::IPv4);
                let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
                (Object::Service(Arc::new(service)), "a new Service")
            }
            1 if !services.is_empty() => {
                let gone = self.pick(&services).object_ref();
                let _ = state.apply(&Change::Delete(gone));
                return "a Service goes".to_owned();
            }
            2 | 3 if !services.is_empty() => {
                let nth = self.random.below(services.len());
                let new = self.service(nth);
                let mut service = Service { meta: services[nth].meta.clone(), ..new };
                if !self.random.once_in(3) {
                    service.ports.clone_from(&services[nth].ports);
                }
                (Object::Service(Arc::new(service)), "a Service is another")
            }
            4 if !slices.is_empty() => {
                let gone = self.pick(&slices).object_ref();
                let _ = state.apply(&Change::Delete(gone));
                return "a slice goes".to_owned();
            }
            5..=7 if !slices.is_empty() => {
                let mut slice = EndpointSlice::clone(self.pick(&slices).as_ref());
                self.change_slice(&mut slice, &pods);
                (Object::EndpointSlice(Arc::new(slice)), "a slice is another")
            }
            8 if !pods.is_empty() => {
                let gone = self.pick(&pods).clone();
                let _ = state.apply(&Change::Delete(gone.object_ref()));
                for slice in slices {
                    let mut slice = EndpointSlice::clone(&slice);
                    slice.endpoints.retain(|endpoint| {
                        endpoint.target.as_ref().is_none_or(|target| target.key != *gone.key())
                    });
                    let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
                }
                return "a pod goes".to_owned();
            }
            9 if !pods.is_empty() && self.nodes > 1 && self.random.once_in(2) => {
                let pod = self.pick(&pods).clone();
                self.move_pod(state, &pod);
                return "a pod moves".to_owned();
            }
            9 if !pods.is_empty() => {
                let mut pod = Pod::clone(self.pick(&pods).as_ref());
                pod.ips[0] = v4(format!("10.244.1.{}", 100 + self.random.below(3)));
                (Object::Pod(Arc::new(pod)), "a pod has another address")
            }
            10 => {
                let nth = self.random.below(self.nodes);
                (Object::Node(Arc::new(self.node(nth))), "a node is another")
            }
            _ => (Object::ProxyConfig(Arc::new(self.config())), "other settings"),
        };
        let _ = state.apply(&Change::Upsert(object));
        what.to_owned()
    }

    /// To another node, with another address; most slices know.
    fn move_pod(&mut self, state: &mut ClusterState, pod: &Pod) {
        let other = |nth: &usize| Some(Self::node_name(*nth)) != pod.node;
        let others: Vec<usize> = (0..self.nodes).filter(other).collect();
        let on = *self.pick(&others);
        let mut moved = Pod { node: Some(Self::node_name(on)), ..pod.clone() };
        let nth = 150 + self.random.below(3);
        for ip in moved.ips.iter_mut().filter(|_| !pod.host_network) {
            *ip = match IpFamily::of(*ip) {
                IpFamily::IPv4 => v4(format!("10.244.{on}.{nth}")),
                IpFamily::IPv6 => v4(format!("fd00:10:244:{on}::{nth:x}")),
            };
        }
        let slices: Vec<EndpointSlice> = state.slices().values().map(|slice| (**slice).clone()).collect();
        for mut slice in slices.into_iter().filter(|_| !pod.host_network) {
            if self.random.once_in(4) {
                continue;
            }
            for endpoint in &mut slice.endpoints {
                let EndpointAddress::Ip(known) = &endpoint.addresses[0] else { continue };
                if let Some(nth) = pod.ips.iter().position(|ip| ip == known) {
                    endpoint.addresses = vec![EndpointAddress::Ip(moved.ips[nth])];
                    endpoint.node.clone_from(&moved.node);
                }
            }
            let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
        }
        let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(moved))));
    }

    fn change_slice(&mut self, slice: &mut EndpointSlice, pods: &[Arc<Pod>]) {
        for endpoint in &mut slice.endpoints {
            if self.random.once_in(2) {
                let ready = self.random.once_in(2);
                endpoint.conditions.ready = Some(ready);
                endpoint.conditions.serving = Some(ready || self.random.once_in(2));
            }
            if self.random.once_in(4) {
                endpoint.zone_hints.clear();
            }
        }
        if self.random.once_in(2) && !slice.endpoints.is_empty() {
            slice.endpoints.remove(0);
        }
        if self.random.once_in(2) && !pods.is_empty() {
            let pod = self.pick(pods).clone();
            let ours = |ip: &&IpAddr| Some(IpFamily::of(**ip)) == slice.address_type.family();
            if let Some(ip) = pod.ips.iter().find(ours).copied() {
                let endpoint = self.endpoint(&pod, ip, false);
                slice.endpoints.push(endpoint);
            }
        }
    }
}
