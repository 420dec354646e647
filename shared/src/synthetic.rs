//! Made-up clusters of any size, for tests, benchmarks and the browser: the same seed gives the same cluster.
//!
//! Every kind of Service is among them, most of them well, a few of them broken in the usual ways.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use crate::controllers::HEADLESS_LABEL;
use crate::controllers::endpointslices::{MANAGER, MAX_ENDPOINTS};
use crate::delta::{Change, Object};
use crate::model::{
    AddressType, ClusterIp, ClusterState, Conditions, Endpoint, EndpointAddress, EndpointPort, EndpointSlice,
    Freshness, Ingress, IpMode, Key, Keyed, Kind, Labels, MANAGED_BY_LABEL, Meta, Namespace, Node,
    NodeAddress, NodeAddressType, Owner, Pod, PodPhase, Protocol, SERVICE_NAME_LABEL, Service, ServicePort,
    ServiceType, Source, TargetPort, TargetRef, Text, ZONE_LABEL,
};

/// How large a cluster is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub namespaces: usize,
    pub nodes: usize,
    pub services: usize,
    /// In all; spread unevenly over the Services.
    pub endpoints: usize,
}

impl Size {
    /// The size at which the map has to stay smooth.
    pub const LARGE: Size = Size { namespaces: 20, nodes: 50, services: 500, endpoints: 5_000 };
    /// About as large as the sandbox.
    pub const SMALL: Size = Size { namespaces: 3, nodes: 4, services: 14, endpoints: 44 };
}

/// The cluster as a state.
pub fn cluster(size: Size, seed: u64) -> ClusterState {
    let mut state = ClusterState::default();
    for object in objects(size, seed) {
        let _ = state.apply(&Change::Upsert(object));
    }
    for kind in Kind::ALL {
        let _ = state.apply(&Change::Source(Source { kind, freshness: Freshness::Fixed }));
    }
    state
}

/// The cluster's objects, each after those that it refers to.
pub fn objects(size: Size, seed: u64) -> Vec<Object> {
    let mut maker = Maker { size, random: Random(seed), objects: Vec::new(), pods: 0 };
    (0..size.namespaces).for_each(|nth| maker.namespace(nth));
    (0..size.nodes).for_each(|nth| maker.node(nth));
    let mut left = size.endpoints;
    for nth in 0..size.services {
        let fair = left / (size.services - nth);
        let endpoints = match nth + 1 == size.services {
            true => left,
            false => maker.random.below(2 * fair + 1).min(left),
        };
        left -= endpoints;
        maker.service(nth, endpoints);
    }
    maker.objects
}

/// A cluster for measuring: every Service has one port and one cluster IP, and the same number of ready endpoints, which
/// are spread over the nodes.
pub fn uniform(services: usize, endpoints_each: usize, nodes: usize) -> ClusterState {
    let size = Size { namespaces: 20, nodes, services, endpoints: services * endpoints_each };
    let mut maker = Maker { size, random: Random(1), objects: Vec::new(), pods: 0 };
    (0..nodes).for_each(|nth| maker.node(nth));
    for nth in 0..services {
        let key = Key::new(maker.namespace_name(nth), format!("service-{nth}"));
        let mut service = Service::named(key.clone());
        service.cluster_ip = ClusterIp::Ips(vec![vip(nth)]);
        service.ports = vec![port("http", 80, 8080)];
        let pods: Vec<Pod> = (0..endpoints_each).map(|_| Pod { ready: true, ..maker.pod(&key) }).collect();
        maker.slices(&service, &pods);
        maker.objects.push(Object::Service(Arc::new(service)));
    }
    let mut state = ClusterState::default();
    for object in maker.objects {
        let _ = state.apply(&Change::Upsert(object));
    }
    state
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, good enough to spread things.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next_u64() % limit as u64) as usize }
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

const NAMESPACES: [&str; 20] = [
    "shop",
    "edge",
    "payments",
    "search",
    "media",
    "identity",
    "orders",
    "jobs",
    "monitoring",
    "ads",
    "billing",
    "notify",
    "geo",
    "reports",
    "stream",
    "gateway",
    "inventory",
    "pricing",
    "fraud",
    "chat",
];
const NAMES: [&str; 16] = [
    "web", "cart", "catalog", "checkout", "stock", "users", "session", "feed", "mail", "index", "rank",
    "thumbs", "ledger", "quota", "audit", "relay",
];
const NODES_PER_ZONE: usize = 3;
/// Every so many Services one is of the same kind.
const KINDS: usize = 14;

struct Maker {
    size: Size,
    random: Random,
    objects: Vec<Object>,
    /// How many pods there are: their addresses count up with it.
    pods: usize,
}

impl Maker {
    fn namespace_name(&self, nth: usize) -> Text {
        let nth = nth % self.size.namespaces.max(1);
        match NAMESPACES.get(nth) {
            Some(name) => (*name).into(),
            None => format!("team-{nth}").into(),
        }
    }

    fn namespace(&mut self, nth: usize) {
        let key = Key::cluster(self.namespace_name(nth));
        self.objects.push(Object::Namespace(Arc::new(Namespace { meta: Meta::named(key) })));
    }

    fn node(&mut self, nth: usize) {
        let mut node = Node::named(node_name(nth));
        node.meta.labels = [(ZONE_LABEL, &*zone(nth))].into_iter().collect();
        node.ready = nth % 40 != 39;
        node.unschedulable = nth % 25 == 24;
        let [high, low] = (nth as u16 + 10).to_be_bytes();
        let ip = Ipv4Addr::new(192, 168, high, low).into();
        node.addresses = vec![NodeAddress { address_type: NodeAddressType::InternalIP, ip }];
        self.objects.push(Object::Node(Arc::new(node)));
    }

    fn service(&mut self, nth: usize, endpoints: usize) {
        let name = NAMES[nth / self.size.namespaces.max(1) % NAMES.len()];
        let round = nth / self.size.namespaces.max(1) / NAMES.len();
        let name = if round == 0 { name.to_owned() } else { format!("{name}-{round}") };
        let key = Key::new(self.namespace_name(nth), name);
        let mut service = Service::named(key.clone());
        service.selector = Some([("app", &*key.name)].into_iter().collect());
        service.cluster_ip = ClusterIp::Ips(vec![vip(nth)]);
        service.ports = vec![port("http", 80, 8080)];
        self.vary(nth, &mut service);
        let named = service.service_type != ServiceType::ExternalName;
        let service = Arc::new(service);
        self.objects.push(Object::Service(service.clone()));
        if named {
            let pods: Vec<Pod> = (0..endpoints).map(|_| self.pod(&key)).collect();
            self.slices(&service, &pods);
            self.objects.extend(pods.into_iter().map(|pod| Object::Pod(Arc::new(pod))));
        }
    }

    fn vary(&mut self, nth: usize, service: &mut Service) {
        match nth % KINDS {
            0 => {
                service.service_type = ServiceType::LoadBalancer;
                let ip = Some(balancer(nth / KINDS));
                service.ingress = vec![Ingress { ip, hostname: None, ip_mode: IpMode::Vip }];
                service.ports = vec![port("https", 443, 8443)];
            }
            3 => service.ports.push(port("metrics", 9090, 9090)),
            5 => {
                service.service_type = ServiceType::NodePort;
                service.ports[0].node_port = NonZeroU16::new(30_000 + (nth / KINDS % 2_767) as u16);
            }
            8 => service.cluster_ip = ClusterIp::Headless,
            11 => {
                service.service_type = ServiceType::ExternalName;
                service.external_name = Some("db.example.com".into());
                service.cluster_ip = ClusterIp::Unset;
                service.selector = None;
            }
            13 if self.random.once_in(2) => {
                service.selector = Some([("app", "nobody")].into_iter().collect());
            }
            _ => {}
        }
    }

    fn pod(&mut self, service: &Key) -> Pod {
        let hash = format!("7d{:06x}", service.name.len() * 7_919 + service.namespace.len() * 104_729);
        let set = format!("{}-{hash}", service.name);
        let name = format!("{set}-{}", self.suffix());
        let mut pod = Pod::named(Key::new(service.namespace.clone(), name));
        pod.meta.labels = [("app", &*service.name), ("pod-template-hash", &hash)].into_iter().collect();
        pod.meta.owner = Some(Owner { kind: "ReplicaSet".into(), name: set.into() });
        pod.node = Some(node_name(self.random.below(self.size.nodes)));
        pod.ips = vec![pod_ip(self.pods)];
        pod.phase = PodPhase::Running;
        pod.ready = !self.random.once_in(60);
        self.pods += 1;
        pod
    }

    fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..5).map(|_| char::from(LETTERS[self.random.below(LETTERS.len())])).collect()
    }

    /// At most 100 endpoints in a slice, as the controller does it.
    fn slices(&mut self, service: &Service, pods: &[Pod]) {
        let name = service.name();
        for (nth, pods) in pods.chunks(MAX_ENDPOINTS).enumerate() {
            let key = Key::new(service.namespace().clone(), format!("{name}-{nth:05}"));
            let mut meta = Meta::named(key);
            let headless = service.is_headless().then_some((HEADLESS_LABEL, ""));
            let labels = [(SERVICE_NAME_LABEL, &**name), (MANAGED_BY_LABEL, MANAGER)];
            meta.labels = labels.into_iter().chain(headless).collect::<Labels>();
            meta.owner = Some(Owner { kind: "Service".into(), name: name.clone() });
            let slice = EndpointSlice {
                meta,
                address_type: AddressType::IPv4,
                ports: service.ports.iter().map(endpoint_port).collect(),
                endpoints: pods.iter().map(endpoint).collect(),
            };
            self.objects.push(Object::EndpointSlice(Arc::new(slice)));
        }
    }
}

fn node_name(nth: usize) -> Text {
    format!("node-{:02}", nth + 1).into()
}

fn zone(node: usize) -> Text {
    const LETTERS: [&str; NODES_PER_ZONE] = ["a", "b", "c"];
    format!("eu-1{}", LETTERS[node % LETTERS.len()]).into()
}

fn zone_of(node: &str) -> Option<Text> {
    let number: usize = node.strip_prefix("node-")?.parse().ok()?;
    Some(zone(number.checked_sub(1)?))
}

/// An address of RFC 5737, and when those are used up, of RFC 2544.
fn balancer(nth: usize) -> IpAddr {
    let [high, low] = (nth as u16).to_be_bytes();
    let ip = if nth < 250 { Ipv4Addr::new(203, 0, 113, low + 1) } else { Ipv4Addr::new(198, 18, high, low) };
    IpAddr::V4(ip)
}

fn vip(nth: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 96 + (nth / 62_500) as u8, (nth / 250 % 250) as u8, (nth % 250) as u8 + 2))
}

fn pod_ip(nth: usize) -> IpAddr {
    let host = (nth % (1 << 16)) as u16;
    let [high, low] = host.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, 128 + (nth >> 16) as u8, high, low))
}

fn port(name: &str, number: u16, target: u16) -> ServicePort {
    let number = NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
    let target = NonZeroU16::new(target).unwrap_or(NonZeroU16::MIN);
    ServicePort {
        name: name.into(),
        protocol: Protocol::Tcp,
        port: number,
        target_port: TargetPort::Number(target),
        node_port: None,
        app_protocol: None,
    }
}

fn endpoint_port(port: &ServicePort) -> EndpointPort {
    let number = match &port.target_port {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(_) => None,
    };
    EndpointPort { name: port.name.clone(), protocol: port.protocol, port: number, app_protocol: None }
}

fn endpoint(pod: &Pod) -> Endpoint {
    let conditions =
        Conditions { ready: Some(pod.ready), serving: Some(pod.ready), terminating: Some(false) };
    Endpoint {
        addresses: pod.ips.iter().map(|ip| EndpointAddress::Ip(*ip)).collect(),
        conditions,
        zone: pod.node.as_deref().and_then(zone_of),
        node: pod.node.clone(),
        hostname: None,
        target: Some(TargetRef { kind: "Pod".into(), key: pod.key().clone(), uid: "".into() }),
        zone_hints: Vec::new(),
        node_hints: Vec::new(),
    }
}
