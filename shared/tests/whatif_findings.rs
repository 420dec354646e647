//! Findings that appear and vanish: those of the Services that a change concerns are the same as those of two whole diagnoses. Random
//! clusters of few names, addresses and ports, so that everything meets everything, and random changes of a few objects.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::diagnose::{self, Code};
use vipscope_shared::model::{
    AddressType, ClusterIp, ClusterState, Conditions, Container, ContainerPort, Declared, Endpoint,
    EndpointAddress, EndpointPort, EndpointSlice, Endpoints, Ingress, IpFamily, IpMode, Key, Kind, Labels,
    MANAGED_BY_LABEL, Meta, Namespace, Node, NodeAddress, NodeAddressType, ObjectRef, Owner, Pod, PodPhase,
    Protocol, ProxyConfig, ProxyMode, ProxySettings, SERVICE_NAME_LABEL, Service, ServicePort, ServiceType,
    Subset, SubsetAddress, TargetPort, TrafficPolicy,
};
use vipscope_shared::synthetic::Random;
use vipscope_shared::traffic::CALLS_ANNOTATION;
use vipscope_shared::whatif::{Options, difference_with};

/// Clusters in an ordinary run; `VIPSCOPE_CLUSTERS` asks for more.
const CLUSTERS: u64 = 120;
const CHANGES: usize = 6;
const NAMESPACES: [&str; 3] = ["a", "b", "default"];
const NAMES: [&str; 7] = ["web", "web-service", "db", "1st", "cart", "carts", "kubernetes"];
const VALUES: [&str; 4] = ["web", "wep", "db", "cart"];

fn now() -> Timestamp {
    "2026-01-31T12:00:00Z".parse().unwrap()
}

struct Maker {
    random: Random,
    dual: bool,
}

impl Maker {
    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.random.below(all.len())].clone()
    }

    fn maybe<T: Clone>(&mut self, times: usize, all: &[T]) -> Option<T> {
        self.random.once_in(times).then(|| self.pick(all))
    }

    fn key(&mut self) -> Key {
        Key::new(self.pick(&NAMESPACES), self.pick(&NAMES))
    }

    fn labels(&mut self) -> Labels {
        let mut pairs = vec![("app", self.pick(&VALUES))];
        if self.random.once_in(3) {
            pairs.push(("tier", self.pick(&["x", "y"])));
        }
        pairs.into_iter().collect()
    }

    fn number(all: u16) -> NonZeroU16 {
        NonZeroU16::new(all).unwrap()
    }

    fn ip(&mut self) -> IpAddr {
        let near = self.random.below(6);
        let net = self.pick(&["10.96.0", "10.96.0", "10.244.0", "192.168.0"]);
        format!("{net}.{near}").parse().unwrap()
    }

    fn time(&mut self) -> Timestamp {
        let minutes = self.pick(&[1, 7, 20, 300]);
        now() - SignedDuration::from_mins(minutes)
    }

    fn meta(&mut self, key: Key) -> Meta {
        let mut meta = Meta::named(key);
        meta.created = self.random.once_in(2).then(|| self.time());
        meta.deleted = self.random.once_in(12).then(|| self.time());
        let notes = [
            ("vipscope.dev/ignore", "SVC001,SVC037"),
            ("service.kubernetes.io/topology-aware-hints", "auto"),
        ];
        meta.annotations = self.maybe(8, &notes).into_iter().collect();
        meta
    }

    fn service(&mut self) -> Service {
        let key = self.key();
        let meta = self.meta(key.clone());
        let mut service = Service { meta, ..Service::named(key) };
        let types = [
            ServiceType::ClusterIP,
            ServiceType::ClusterIP,
            ServiceType::NodePort,
            ServiceType::LoadBalancer,
        ];
        service.service_type = self.pick(&types);
        if self.random.once_in(5) {
            service.service_type = ServiceType::ExternalName;
            let names =
                ["web.a.svc", "db.b.svc.cluster.local", "cart.c.svc", "carts.default.svc", "db.a.svc", "x"];
            service.external_name = Some(self.pick(&names).into());
            return service;
        }
        service.selector = (!self.random.once_in(4)).then(|| self.labels());
        service.cluster_ip = match self.random.below(6) {
            0 => ClusterIp::Headless,
            _ => ClusterIp::Ips(vec![format!("10.96.0.{}", self.random.below(6)).parse().unwrap()]),
        };
        service.ip_families = vec![self.pick(&[IpFamily::IPv4, IpFamily::IPv4, IpFamily::IPv6])];
        service.ip_family_policy = self.maybe(2, &["PreferDualStack".into(), "SingleStack".into()]);
        service.external_policy = self.pick(&[TrafficPolicy::Cluster, TrafficPolicy::Local]);
        service.internal_policy =
            self.pick(&[TrafficPolicy::Cluster, TrafficPolicy::Cluster, TrafficPolicy::Local]);
        service.external_ips = self.random.once_in(4).then(|| self.ip()).into_iter().collect();
        let open = service.service_type != ServiceType::ClusterIP;
        for nth in 0..1 + self.random.below(2) {
            let port = self.port(nth, open);
            service.ports.push(port);
        }
        if service.service_type == ServiceType::LoadBalancer {
            let checks = [30_000, 30_001, 30_002].map(Maker::number);
            service.health_check_node_port = self.maybe(2, &checks);
            let ip = self.ip();
            let ip_mode = self.pick(&[IpMode::Vip, IpMode::Proxy]);
            let ingress = Ingress { ip: Some(ip), hostname: None, ip_mode };
            service.ingress = self.maybe(2, &[ingress]).into_iter().collect();
            service.source_ranges = self.maybe(3, &["10.0.0.0/8".parse().unwrap()]).into_iter().collect();
        }
        service.declared = self.random.once_in(4).then(|| {
            Box::new(Declared {
                cluster_ip: service.cluster_ip.ips().first().copied(),
                node_ports: vec![Maker::number(31_000)],
            })
        });
        service
    }

    fn port(&mut self, nth: usize, open: bool) -> ServicePort {
        let targets = [TargetPort::Number(Maker::number(8080)), TargetPort::Name("http".into())];
        let numbers = [30_000, 30_001, 31_000, 20_000].map(Maker::number);
        ServicePort {
            name: format!("p{nth}").into(),
            protocol: self.pick(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp]),
            port: Maker::number(80 + nth as u16),
            target_port: self.pick(&targets),
            node_port: open.then(|| self.pick(&numbers)),
            app_protocol: None,
        }
    }

    fn pod(&mut self) -> Pod {
        let key = Key::new(self.pick(&NAMESPACES), format!("pod-{}", self.random.below(6)));
        let mut pod = Pod { meta: self.meta(key.clone()), ..Pod::named(key) };
        pod.meta.labels = self.labels();
        let kind = self.pick(&["StatefulSet", "DaemonSet", "Job"]);
        pod.meta.owner = Some(Owner { kind: kind.into(), name: self.pick(&NAMES).into() });
        pod.node = Some(self.pick(&["n0", "n1", "n2"]).into());
        pod.phase = self.pick(&[PodPhase::Running, PodPhase::Running, PodPhase::Succeeded]);
        pod.ready = !self.random.once_in(3);
        let nth = self.random.below(6);
        let (four, six) = (format!("10.244.0.{nth}"), format!("fd00::{nth}"));
        let families: &[&[&String]] =
            if self.dual { &[&[&four, &six], &[&four, &six], &[&four], &[&six]] } else { &[&[&four]] };
        pod.ips = self.pick(families).iter().map(|ip| ip.parse().unwrap()).collect();
        pod.no_service_links = !self.random.once_in(3);
        pod.subdomain = self.random.once_in(4).then(|| self.pick(&NAMES).into());
        pod.hostname = self.maybe(2, &["h".into()]);
        if self.random.once_in(3) {
            pod.host_network = true;
            let port = self.pick(&[30_000, 30_001, 31_000].map(Maker::number));
            let protocol = self.pick(&[Protocol::Tcp, Protocol::Udp]);
            let ports = vec![ContainerPort { name: "".into(), port, protocol }];
            let (started, waiting, readiness) = (None, None, None);
            pod.containers =
                vec![Container { name: "main".into(), ports, sidecar: false, started, waiting, readiness }];
        }
        if self.random.once_in(4) {
            let calls = format!("{}/{}=1", pod.meta.key.namespace, self.pick(&NAMES));
            pod.meta.annotations = [(CALLS_ANNOTATION, &*calls)].into_iter().collect();
        }
        pod
    }

    fn slice(&mut self) -> EndpointSlice {
        let (service, nth) = (self.key(), self.random.below(2));
        let mut meta = Meta::named(Key::new(service.namespace.clone(), format!("{}-{nth}", service.name)));
        let managers = ["endpointslice-controller.k8s.io", "somebody"];
        let mut labels = vec![(MANAGED_BY_LABEL, self.pick(&managers).to_owned())];
        if !self.random.once_in(8) {
            labels.push((SERVICE_NAME_LABEL, service.name.to_string()));
        }
        meta.labels = labels.iter().map(|(key, value)| (*key, &**value)).collect();
        meta.owner = self.maybe(2, &[Owner { kind: "Service".into(), name: service.name }]);
        let mut endpoints = Vec::new();
        for _ in 0..self.random.below(3) {
            let ip = self.ip();
            endpoints.push(Endpoint {
                addresses: vec![EndpointAddress::Ip(ip)],
                conditions: Conditions {
                    ready: self.maybe(2, &[true, false]),
                    serving: None,
                    terminating: None,
                },
                node: Some(self.pick(&["n0", "n1", "n2"]).into()),
                zone: self.maybe(2, &["z0".into(), "z1".into()]),
                hostname: None,
                target: None,
                zone_hints: Vec::new(),
                node_hints: Vec::new(),
            });
        }
        let port = EndpointPort {
            name: "p0".into(),
            protocol: Protocol::Tcp,
            port: NonZeroU16::new(8080),
            app_protocol: None,
        };
        EndpointSlice { meta, address_type: AddressType::IPv4, ports: vec![port], endpoints }
    }

    fn endpoints(&mut self) -> Endpoints {
        let mut meta = Meta::named(self.key());
        meta.labels = self
            .maybe(3, &[("endpoints.kubernetes.io/managed-by", "endpoint-controller")])
            .into_iter()
            .collect();
        let ip = self.ip();
        let address = SubsetAddress { ip, hostname: None, node: None, target: None };
        Endpoints {
            meta,
            subsets: vec![Subset { addresses: vec![address], not_ready: Vec::new(), ports: Vec::new() }],
        }
    }

    fn node(&mut self) -> Node {
        let nth = self.random.below(3);
        let mut node = Node::named(format!("n{nth}"));
        node.ready = true;
        node.meta.labels = self
            .maybe(2, &[("topology.kubernetes.io/zone", "z0"), ("topology.kubernetes.io/zone", "z1")])
            .into_iter()
            .collect();
        let ip = format!("192.168.0.{nth}").parse().unwrap();
        node.addresses = vec![NodeAddress { address_type: NodeAddressType::InternalIP, ip }];
        node
    }

    fn object(&mut self) -> Object {
        match self.random.below(20) {
            0..7 => Object::Service(Arc::new(self.service())),
            7..12 => Object::Pod(Arc::new(self.pod())),
            12..15 => Object::EndpointSlice(Arc::new(self.slice())),
            15 | 16 => Object::Endpoints(Arc::new(self.endpoints())),
            17 => {
                let key = Key::cluster(self.pick(&NAMESPACES));
                Object::Namespace(Arc::new(Namespace { meta: self.meta(key) }))
            }
            18 => Object::Node(Arc::new(self.node())),
            _ => {
                let settings = ProxySettings { mode: self.pick(&ProxyMode::ALL), ..ProxySettings::default() };
                let meta = Meta::named(ProxyConfig::well_known_key());
                Object::ProxyConfig(Arc::new(ProxyConfig { meta, settings, nodes: BTreeMap::new() }))
            }
        }
    }

    fn change(&mut self, state: &mut ClusterState) -> ObjectRef {
        let nodes: Vec<Arc<Node>> = state.nodes().values().cloned().collect();
        if self.random.once_in(10) && !nodes.is_empty() {
            let node = self.pick(&nodes);
            let mut turned = Node::clone(&node);
            match self.random.below(3) {
                0 => turned.unschedulable = !turned.unschedulable,
                1 => turned.ready = !turned.ready,
                _ => turned.meta.labels = self.node().meta.labels,
            }
            let turned = Object::Node(Arc::new(turned));
            let _ = state.apply(&Change::Upsert(turned.clone()));
            return turned.object_ref();
        }
        let slices: Vec<Arc<EndpointSlice>> = state.slices().values().cloned().collect();
        if self.random.once_in(10) && !slices.is_empty() {
            let moved: Arc<EndpointSlice> = self.pick(&slices);
            let mut moved = EndpointSlice::clone(&moved);
            let zone = self.maybe(3, &["z0".into(), "z1".into()]);
            moved.endpoints.iter_mut().for_each(|endpoint| endpoint.zone = zone.clone());
            let moved = Object::EndpointSlice(Arc::new(moved));
            let _ = state.apply(&Change::Upsert(moved.clone()));
            return moved.object_ref();
        }
        let kind =
            self.pick(&[Kind::Service, Kind::Pod, Kind::EndpointSlice, Kind::Endpoints, Kind::Namespace]);
        let all = state.refs(kind);
        let change = match self.random.once_in(3) && !all.is_empty() {
            true => Change::Delete(self.pick(&all)),
            false => Change::Upsert(self.object()),
        };
        let _ = state.apply(&change);
        match change {
            Change::Upsert(object) => object.object_ref(),
            Change::Delete(object) => object,
            _ => unreachable!(),
        }
    }
}

#[test]
fn a_part_finds_what_the_whole_finds() {
    let mut met: BTreeMap<Code, usize> = BTreeMap::new();
    let clusters = env::var("VIPSCOPE_CLUSTERS").ok().and_then(|text| text.parse().ok()).unwrap_or(CLUSTERS);
    for seed in 0..clusters {
        let mut random = Random(seed);
        let dual = random.once_in(3);
        let mut maker = Maker { random, dual };
        let mut before = ClusterState::default();
        for _ in 0..maker.pick(&[6, 20, 40, 80]) {
            let _ = before.apply(&Change::Upsert(maker.object()));
        }
        for _ in 0..CHANGES {
            let mut after = before.clone();
            let mut changed = BTreeSet::new();
            for _ in 0..maker.pick(&[1, 1, 1, 2, 4]) {
                changed.insert(maker.change(&mut after));
            }
            let changed: Vec<ObjectRef> = changed.into_iter().collect();
            let part = Options { changed: Some(&changed), ..Options::at(now()) };
            let part = difference_with(&before, &after, &part).findings;
            let whole = difference_with(&before, &after, &Options::at(now())).findings;
            assert_eq!(part, whole, "seed {seed}: {changed:?}");
            for finding in part.appeared.iter().chain(&part.vanished) {
                *met.entry(finding.code).or_default() += 1;
            }
            before = after;
        }
    }
    let checks = diagnose::CHECKS.iter().map(|check| check.code);
    let silent: Vec<Code> = checks.filter(|code| !met.contains_key(code)).collect();
    println!("{met:?}\nnever: {silent:?}");
    assert!(clusters < CLUSTERS || met.len() >= 38, "too little was met: {met:?}");
}

/// The Service that speaks neither changed nor selects the pod that did: it shares others with a Service that does.
#[test]
fn who_shares_pods_with_a_service_that_is_concerned_is_asked_too() {
    let text = |tier: &str| {
        let service = |name: &str, selector: &str, port: u16| {
            format!(
                "{{kind: Service, apiVersion: v1, metadata: {{name: {name}, namespace: a}}, spec: {{clusterIP: 10.96.0.1, selector: {selector}, ports: [{{port: {port}}}]}}}}\n---\n"
            )
        };
        let pod = |name: &str, labels: &str| {
            format!(
                "{{kind: Pod, apiVersion: v1, metadata: {{name: {name}, namespace: a, labels: {labels}}}, spec: {{nodeName: node-a}}, status: {{phase: Running, podIP: 10.244.0.9}}}}\n---\n"
            )
        };
        service("first", "{app: x}", 80)
            + &service("second", "{tier: t}", 81)
            + &pod("both", "{app: x, tier: t}")
            + &pod("other", &format!("{{tier: {tier}}}"))
    };
    let load = |tier: &str| vipscope_shared::manifest::load(&text(tier)).unwrap().state;
    // The same pods with other ports are no overlap; one pod more is.
    let (same, more) = (load("u"), load("t"));
    let changed = [ObjectRef { kind: Kind::Pod, key: Key::new("a", "other") }];
    let first = ObjectRef { kind: Kind::Service, key: Key::new("a", "first") };
    for (before, after) in [(&same, &more), (&more, &same)] {
        let part = Options { changed: Some(&changed), ..Options::at(now()) };
        let part = difference_with(before, after, &part).findings;
        let whole = difference_with(before, after, &Options::at(now())).findings;
        assert_eq!(part, whole);
        let mut told = part.appeared.iter().chain(&part.vanished);
        assert!(told.any(|finding| finding.code == Code(25) && finding.subject == first), "{part:?}");
    }
}

/// A change, and a Service that has not changed but whose findings have.
struct Reach {
    what: &'static str,
    /// In both clusters.
    around: String,
    /// Differ; empty where there is nothing.
    before: String,
    after: String,
    changed: ObjectRef,
    code: u16,
    about: &'static str,
}

fn yaml(kind: &str, name: &str, metadata: &str, rest: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    format!(
        "{{kind: {kind}, apiVersion: v1, metadata: {{name: {name}, namespace: {namespace}, {metadata}}}, {rest}}}\n---\n"
    )
}

fn service(name: &str, spec: &str) -> String {
    yaml("Service", name, "", &format!("spec: {{{spec}}}"))
}

fn pod(name: &str, spec: &str, status: &str) -> String {
    yaml(
        "Pod",
        name,
        "labels: {app: x}",
        &format!("spec: {{nodeName: node-a, {spec}}}, status: {{phase: Running, {status}}}"),
    )
}

fn object(kind: Kind, name: &str) -> ObjectRef {
    let key = name.split_once('/').map_or_else(|| Key::cluster(name), |(ns, name)| Key::new(ns, name));
    ObjectRef { kind, key }
}

/// Node ports, health-check ports and cluster IPs of other Services, wherever they are.
fn numbers_of_others() -> Vec<Reach> {
    let balancer = |more: &str| {
        format!(
            "type: LoadBalancer, externalTrafficPolicy: Local, clusterIP: 10.96.0.9, ports: [{{port: 80}}], {more}"
        )
    };
    let web = service("a/web", &balancer("healthCheckNodePort: 30001"));
    let open = |more: &str| {
        service("b/other", &format!("type: NodePort, clusterIP: 10.96.0.8, ports: [{{port: 80{more}}}]"))
    };
    let other = object(Kind::Service, "b/other");
    let applied = r#"annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"clusterIP":"10.96.2.0"}}'}"#;
    let api = |ip: &str| service("default/kubernetes", &format!("clusterIP: {ip}, ports: [{{port: 443}}]"));
    vec![
        Reach {
            what: "the range of cluster IPs begins elsewhere",
            around: yaml("Service", "a/web", applied, "spec: {clusterIP: 10.96.2.0, ports: [{port: 80}]}"),
            before: api("10.96.0.1"),
            after: api("10.96.1.1"),
            changed: object(Kind::Service, "default/kubernetes"),
            code: 65,
            about: "a/web",
        },
        Reach {
            what: "a node port is the port of another's health check",
            // Some node port of the default range is there in both.
            around: web.clone()
                + &service(
                    "c/third",
                    "type: NodePort, clusterIP: 10.96.0.7, ports: [{port: 80, nodePort: 30005}]",
                ),
            before: open(""),
            after: open(", nodePort: 30001"),
            changed: other.clone(),
            code: 40,
            about: "a/web",
        },
        Reach {
            what: "two health checks have one port",
            around: web,
            before: service("b/other", &balancer("healthCheckNodePort: 30002")),
            after: service("b/other", &balancer("healthCheckNodePort: 30001")),
            changed: other,
            code: 40,
            about: "a/web",
        },
        Reach {
            what: "a pod of another namespace takes a node port on its node",
            around: open(", nodePort: 30001"),
            before: pod("a/host", "hostNetwork: true, containers: [{name: c}]", "podIP: 10.0.0.1"),
            after: pod(
                "a/host",
                "hostNetwork: true, containers: [{name: c, ports: [{containerPort: 30001}]}]",
                "podIP: 10.0.0.1",
            ),
            changed: object(Kind::Pod, "a/host"),
            code: 37,
            about: "b/other",
        },
    ]
}

/// Pods that the Service does not select.
fn pods_of_others() -> Vec<Reach> {
    let dual = "ipFamilies: [IPv4], ipFamilyPolicy: PreferDualStack";
    let plain = |name: &str, selector: &str, port: u16| {
        service(name, &format!("clusterIP: 10.96.0.1, selector: {selector}, ports: [{{port: {port}}}]"))
    };
    let pair = plain("a/aaa", "{app: x}", 80)
        + &plain("a/web", "{app: x}", 81)
        + &plain("a/web-service", "{app: x}", 82);
    let local = "internalTrafficPolicy: Local, clusterIP: 10.96.0.1, ports: [{port: 80}]";
    let slice = "{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: web-1, namespace: a, labels: {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{port: 80}], endpoints: [{addresses: [10.244.0.1], nodeName: node-b}]}\n---\n";
    let caller = |calls: &str| {
        yaml(
            "Pod",
            "a/client",
            calls,
            "spec: {nodeName: node-a}, status: {phase: Running, podIP: 10.244.0.7}",
        )
    };
    vec![
        Reach {
            what: "the first pod with both families",
            around: service("a/web", &format!("clusterIP: 10.96.0.1, {dual}, ports: [{{port: 80}}]"))
                + &pod("b/old", "", "podIP: 10.244.0.1"),
            before: pod("b/new", "", "podIP: 10.244.0.2"),
            after: pod("b/new", "", "podIP: 10.244.0.2, podIPs: [{ip: 10.244.0.2}, {ip: 'fd00::2'}]"),
            changed: object(Kind::Pod, "b/new"),
            code: 53,
            about: "a/web",
        },
        Reach {
            what: "the first pod that gets variables",
            around: pair,
            before: pod("a/only", "enableServiceLinks: false", "podIP: 10.244.0.1")
                .replace("app: x", "app: z"),
            after: pod("a/only", "enableServiceLinks: true", "podIP: 10.244.0.1").replace("app: x", "app: z"),
            changed: object(Kind::Pod, "a/only"),
            code: 55,
            about: "a/web",
        },
        Reach {
            what: "a client on a node without endpoint says whom it calls",
            around: service("a/web", local) + slice,
            before: caller(""),
            after: caller("annotations: {vipscope.dev/simulated-calls: 'a/web=1'}"),
            changed: object(Kind::Pod, "a/client"),
            code: 30,
            about: "a/web",
        },
    ]
}

/// Other Services of the namespace.
fn services_beside() -> Vec<Reach> {
    let named = |name: &str, selector: &str, port: u16| {
        service(name, &format!("clusterIP: 10.96.0.1, selector: {selector}, ports: [{{port: {port}}}]"))
    };
    let many: String =
        (0..500).map(|nth| named(&format!("a/web-{nth:03}"), "{app: x}", 1000 + nth)).collect();
    let one = pod("a/pod", "", "podIP: 10.244.0.1");
    vec![
        Reach {
            what: "one Service more than a namespace should have",
            around: many.replace("{app: x}", "{app: none}") + &one,
            before: String::new(),
            after: named("a/zzz", "{app: none}", 80),
            changed: object(Kind::Service, "a/zzz"),
            code: 55,
            about: "a/web-000",
        },
        Reach {
            what: "the same pods under the same port now",
            around: named("a/aaa", "{app: none}", 80) + &named("a/first", "{app: x}", 80) + &one,
            before: named("a/second", "{app: x}", 81),
            after: named("a/second", "{app: x}", 80),
            changed: object(Kind::Service, "a/second"),
            code: 25,
            about: "a/first",
        },
    ]
}

/// What stands at the end of external names.
fn ends_of_names() -> Vec<Reach> {
    let alias = |name: &str, to: &str| service(name, &format!("type: ExternalName, externalName: {to}"));
    let to_b = alias("a/alias", "web.b.svc.cluster.local");
    let reach = |what, changed, before: String, after: String, around: &str| Reach {
        what,
        around: around.to_owned(),
        before,
        after,
        changed,
        code: 44,
        about: "a/alias",
    };
    vec![
        reach(
            "the Service that a name means appears",
            object(Kind::Service, "b/web"),
            String::new(),
            service("b/web", "clusterIP: 10.96.0.1, ports: [{port: 80}]"),
            &to_b,
        ),
        reach(
            "two names further the circle closes",
            object(Kind::Service, "c/end"),
            alias("c/end", "example.com"),
            alias("c/end", "alias.a.svc.cluster.local"),
            &(to_b.clone() + &alias("b/web", "end.c.svc.cluster.local")),
        ),
        reach(
            "the first pod of a namespace shows that the Service is not there",
            object(Kind::Pod, "b/pod"),
            String::new(),
            pod("b/pod", "", "podIP: 10.244.0.1"),
            &(to_b.clone() + &pod("c/pod", "", "podIP: 10.244.0.2")),
        ),
        reach(
            "so does the namespace itself",
            object(Kind::Namespace, "b"),
            String::new(),
            "{kind: Namespace, apiVersion: v1, metadata: {name: b}}\n---\n".to_owned(),
            &(to_b + "{kind: Namespace, apiVersion: v1, metadata: {name: c}}\n---\n"),
        ),
    ]
}

/// One row for each way in which a change reaches a Service that it does not touch. Without nodes, so that only findings differ.
/// Nodes that take new pods, or take none; and nodes in other zones.
fn nodes_of_others() -> Vec<Reach> {
    let node = |name: &str, spec: &str| {
        format!(
            "{{kind: Node, apiVersion: v1, metadata: {{name: {name}}}, spec: {{{spec}}}, status: {{conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n"
        )
    };
    let local = "type: NodePort, externalTrafficPolicy: Local, clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30001}]";
    let slice = |more: &str| {
        format!(
            "{{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {{name: web-1, namespace: a, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, ports: [{{port: 80}}], endpoints: [{{addresses: [10.244.0.1], nodeName: node-b{more}}}]}}\n---\n"
        )
    };
    let lost = |node: String| node.replace("'True'", "Unknown");
    let zone = |name: &str, zone: &str| {
        node(name, "")
            .replace("}, spec", &format!(", labels: {{topology.kubernetes.io/zone: {zone}}}}}, spec"))
    };
    let in_zones = |after: &str, spec: &str, what, code| Reach {
        what,
        around: service("a/web", spec)
            + &slice(", zone: b, hints: {forZones: [{name: b}]}")
            + &slice(", zone: b, hints: {forZones: [{name: b}]}")
                .replace("0.1]", "0.2]")
                .replace("web-1", "web-2")
                .replace("node-b", "node-c")
            + &zone("node-b", "b")
            + &zone("node-c", "b"),
        before: zone("node-a", "b"),
        after: zone("node-a", after),
        changed: object(Kind::Node, "node-a"),
        code,
        about: "a/web",
    };
    let beside = |before: String, after: String, what| Reach {
        what,
        around: service("a/web", local) + &slice("") + &node("node-b", ""),
        before,
        after,
        changed: object(Kind::Node, "node-a"),
        code: 28,
        about: "a/web",
    };
    let close = "clusterIP: 10.96.0.1, ports: [{port: 80}], trafficDistribution: PreferClose";
    vec![
        beside(
            node("node-a", ""),
            node("node-a", "unschedulable: true"),
            "a node without endpoints is cordoned",
        ),
        beside(node("node-a", ""), lost(node("node-a", "")), "a node without endpoints is lost"),
        in_zones("c", close, "a node makes a second zone", 49),
        Reach {
            around: in_zones("c", close, "", 49).around + &zone("node-d", "d"),
            ..in_zones("c", close, "a node makes a third zone", 49)
        },
        in_zones("c", "clusterIP: 10.96.0.1, ports: [{port: 80}]", "the only zone is one of two", 51),
    ]
}

#[test]
fn whom_a_change_reaches_from_afar() {
    let load = |text: &str| {
        let loaded = vipscope_shared::manifest::load(text).unwrap();
        assert_eq!(loaded.faults, [], "{text}");
        loaded.state
    };
    let rows = [numbers_of_others(), pods_of_others(), services_beside(), ends_of_names(), nodes_of_others()];
    let mut failed = Vec::new();
    for Reach { what, around, before, after, changed, code, about } in rows.into_iter().flatten() {
        let [before, after] = [before, after].map(|text| load(&format!("{around}{text}")));
        let changed = [changed];
        for (old, new) in [(&before, &after), (&after, &before)] {
            let part = Options { changed: Some(&changed), ..Options::at(now()) };
            let part = difference_with(old, new, &part).findings;
            let whole = difference_with(old, new, &Options::at(now())).findings;
            let mut told = whole.appeared.iter().chain(&whole.vanished);
            let (code, about) = (Code(code), object(Kind::Service, about));
            assert!(
                told.any(|finding| finding.code == code && finding.subject == about),
                "{what}: {whole:?}"
            );
            if part != whole {
                failed.push(what);
            }
        }
    }
    assert_eq!(failed, [""; 0]);
}
