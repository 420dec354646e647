//! One JSON value to one model object. What makes the object useless is an error; what only one entry of it needs (an
//! unreadable external IP, say) is left out and reported, as kube-proxy does.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::encode_objects::LAST_APPLIED;
use super::{KEPT_ANNOTATIONS, plain, proxy, wire};
use crate::delta::Object;
use crate::model::*;

/// What became of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub object_ref: ObjectRef,
    /// Absent if the object is useless; then `fault` says why.
    pub object: Option<Object>,
    pub fault: Option<Arc<Fault>>,
}

/// The kind that `apiVersion` and `kind` name, if vipscope keeps it. ConfigMaps count only as kube-proxy's, by name.
pub fn kind_of(value: &Value) -> Option<Kind> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    match (text("apiVersion")?, text("kind")?) {
        ("v1", "Namespace") => Some(Kind::Namespace),
        ("v1", "Node") => Some(Kind::Node),
        ("v1", "Pod") => Some(Kind::Pod),
        ("v1", "Service") => Some(Kind::Service),
        ("v1", "Endpoints") => Some(Kind::Endpoints),
        ("discovery.k8s.io/v1" | "discovery.k8s.io/v1beta1", "EndpointSlice") => Some(Kind::EndpointSlice),
        ("v1", "ConfigMap") => {
            let meta =
                |field: &str| value.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str);
            let key = (meta("namespace").unwrap_or_default(), meta("name").unwrap_or_default());
            (key == PROXY_CONFIG_MAP).then_some(Kind::ProxyConfig)
        }
        _ => None,
    }
}

/// Decodes an object that says its own kind; `None` if vipscope does not keep that kind.
pub fn decode(value: Value) -> Option<Decoded> {
    Some(decode_as(kind_of(&value)?, value))
}

/// Decodes an object whose kind is known, e.g. an item of a typed list.
pub fn decode_as(kind: Kind, value: Value) -> Decoded {
    let object_ref = object_ref(kind, &value);
    let mut causes = Causes::default();
    let object = match read(kind, value, &mut causes) {
        Ok(object) => Some(object),
        Err(cause) => {
            causes.0.insert(0, cause);
            None
        }
    };
    let effect = if object.is_some() { FaultEffect::Partial } else { FaultEffect::Dropped };
    let fault = (!causes.0.is_empty())
        .then(|| Arc::new(Fault { object: object_ref.clone(), effect, causes: causes.0 }));
    Decoded { object_ref, object, fault }
}

fn read(kind: Kind, value: Value, causes: &mut Causes) -> Result<Object, Cause> {
    Ok(match kind {
        Kind::Namespace => Object::Namespace(Arc::new(Namespace {
            meta: meta(parse::<wire::Named>(value)?.metadata, kind)?,
        })),
        Kind::Node => Object::Node(Arc::new(node(parse(value)?, causes)?)),
        Kind::Pod => Object::Pod(Arc::new(pod(parse(value)?, causes)?)),
        Kind::Service => Object::Service(Arc::new(service(parse(value)?, causes)?)),
        Kind::EndpointSlice => Object::EndpointSlice(Arc::new(slice(parse(value)?, causes)?)),
        Kind::Endpoints => Object::Endpoints(Arc::new(endpoints(parse(value)?, causes)?)),
        Kind::ProxyConfig => Object::ProxyConfig(Arc::new(proxy_config(parse(value)?)?)),
    })
}

/// Who it is, as far as that can be read.
fn object_ref(kind: Kind, value: &Value) -> ObjectRef {
    let text = |field: &str| {
        let found = value.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str);
        Text::from(found.unwrap_or_default())
    };
    let namespace = if is_namespaced(kind) { text("namespace") } else { "".into() };
    let name = text("name");
    let name = if name.is_empty() { "(unnamed)".into() } else { name };
    ObjectRef { kind, key: Key { namespace, name } }
}

fn is_namespaced(kind: Kind) -> bool {
    !matches!(kind, Kind::Namespace | Kind::Node)
}

/// Things wrong with parts of an object that is usable all the same.
#[derive(Default)]
pub(super) struct Causes(pub(super) Vec<Cause>);

impl Causes {
    fn add(&mut self, field: impl Into<Text>, reason: impl Into<Text>) {
        self.0.push(Cause { field: field.into(), reason: reason.into() });
    }

    /// `Some` on success; otherwise takes note.
    fn note<T>(&mut self, result: Result<T, Cause>) -> Option<T> {
        result.map_err(|cause| self.0.push(cause)).ok()
    }
}

pub(super) fn cause(field: impl Into<Text>, reason: impl Into<Text>) -> Cause {
    Cause { field: field.into(), reason: reason.into() }
}

/// Into a wire type, with the path of the field that does not fit.
fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Cause> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        cause(if path == "." { "" } else { &path }, plain(&error.inner().to_string()))
    })
}

fn meta(wire: wire::ObjectMeta, kind: Kind) -> Result<Meta, Cause> {
    let name =
        wire.name.filter(|name| !name.is_empty()).ok_or_else(|| cause("metadata.name", "is missing"))?;
    let namespace = match wire.namespace {
        _ if !is_namespaced(kind) => "".into(),
        Some(namespace) if !namespace.is_empty() => namespace,
        // What kubectl does with a manifest that names none.
        _ => "default".into(),
    };
    let owner = wire.owner_references.and_then(|owners| {
        let chosen = owners.iter().position(|owner| owner.controller == Some(true)).unwrap_or(0);
        owners.into_iter().nth(chosen)
    });
    let kept = |key: &Text| KEPT_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix));
    let annotations = wire.annotations.unwrap_or_default().into_iter().filter(|(key, _)| kept(key)).collect();
    Ok(Meta {
        key: Key { namespace, name },
        uid: wire.uid.unwrap_or_else(|| "".into()),
        created: time("metadata.creationTimestamp", wire.creation_timestamp)?,
        deleted: time("metadata.deletionTimestamp", wire.deletion_timestamp)?,
        labels: labels(wire.labels.unwrap_or_default()),
        annotations: labels(annotations),
        owner: owner.map(|owner| Owner { kind: owner.kind, name: owner.name }),
    })
}

fn labels(map: BTreeMap<Text, Option<Text>>) -> Labels {
    let map: BTreeMap<Text, Text> =
        map.into_iter().map(|(k, v)| (k, v.unwrap_or_else(|| "".into()))).collect();
    map.into()
}

fn time(field: &str, text: Option<Text>) -> Result<Option<Timestamp>, Cause> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| cause(field, format!("`{text}` is not an RFC 3339 time")))
}

/// Reads an address as Kubernetes does: leading zeros of IPv4 octets are decimal, IPv4-mapped IPv6 is IPv4.
pub(super) fn ip(field: impl Into<Text>, text: &str) -> Result<IpAddr, Cause> {
    lenient_ip(text).ok_or_else(|| cause(field, format!("`{text}` is not an IP address")))
}

fn lenient_ip(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let octet = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits
            .then(|| part.trim_start_matches('0'))
            .map(|part| if part.is_empty() { "0" } else { part })?
            .parse()
            .ok()
    };
    let octets: Vec<u8> = text.split('.').map(octet).collect::<Option<_>>()?;
    let octets: [u8; 4] = octets.try_into().ok()?;
    Some(IpAddr::from(octets))
}

/// Reads a CIDR as Kubernetes does; the host bits are cleared, as every printed rule has them.
pub(super) fn cidr(field: impl Into<Text>, text: &str) -> Result<IpNet, Cause> {
    let parsed = || {
        let (address, length) = text.split_once('/')?;
        let length: u8 = length.parse().ok()?;
        let literal: Option<IpAddr> = address.parse().ok();
        let mapped = matches!((literal, lenient_ip(address)?), (Some(IpAddr::V6(_)), IpAddr::V4(_)));
        let length = if mapped { length.checked_sub(96)? } else { length };
        IpNet::new(lenient_ip(address)?, length).ok().map(|net| net.trunc())
    };
    parsed().ok_or_else(|| cause(field, format!("`{text}` is not a CIDR such as 10.0.0.0/8")))
}

fn protocol(field: impl Into<Text>, text: Option<Text>) -> Result<Protocol, Cause> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Protocol::Tcp) };
    text.parse().map_err(|()| cause(field, format!("`{text}` is not one of TCP, UDP, SCTP")))
}

fn one_of<T>(field: &str, text: &str, known: &[(&str, T)]) -> Result<T, Cause>
where
    T: Clone,
{
    known.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone()).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        cause(field, format!("`{text}` is not one of {}", names.join(", ")))
    })
}

fn some(text: Option<Text>) -> Option<Text> {
    text.filter(|text| !text.is_empty())
}

fn service(wire: wire::Service, causes: &mut Causes) -> Result<Service, Cause> {
    let spec = wire.spec.unwrap_or_default();
    let mut service = Service::named(Key::cluster(""));
    let (declared, finalizers) =
        (declared(&wire.metadata), wire.metadata.finalizers.clone().unwrap_or_default());
    service.meta = meta(wire.metadata, Kind::Service)?;
    if let Some(text) = some(spec.service_type.clone()) {
        use ServiceType::*;
        let known = [
            ("ClusterIP", ClusterIP),
            ("NodePort", NodePort),
            ("LoadBalancer", LoadBalancer),
            ("ExternalName", ExternalName),
        ];
        service.service_type = one_of("spec.type", &text, &known)?;
    }
    service.cluster_ip = cluster_ip(&spec)?;
    for (i, port) in spec.ports.unwrap_or_default().into_iter().enumerate() {
        service.ports.push(service_port(&format!("spec.ports[{i}]"), port)?);
    }
    service.selector = spec.selector.filter(|map| !map.is_empty()).map(labels);
    service.external_name = some(spec.external_name);
    let external = spec.external_ips.unwrap_or_default();
    let external = external.iter().enumerate().map(|(i, text)| ip(format!("spec.externalIPs[{i}]"), text));
    service.external_ips = external.filter_map(|read| causes.note(read)).collect();
    service.load_balancer_ip = some(spec.load_balancer_ip);
    service.load_balancer_class = some(spec.load_balancer_class);
    let ranges = spec.load_balancer_source_ranges.unwrap_or_default();
    let ranges = ranges.iter().enumerate();
    let ranges = ranges.map(|(i, text)| cidr(format!("spec.loadBalancerSourceRanges[{i}]"), text.trim()));
    service.source_ranges = ranges.filter_map(|read| causes.note(read)).collect();
    service.allocate_node_ports = spec.allocate_load_balancer_node_ports;
    if let Some(text) = some(spec.session_affinity) {
        let client_ip = one_of("spec.sessionAffinity", &text, &[("None", false), ("ClientIP", true)])?;
        let timeout = spec.session_affinity_config.and_then(|config| config.client_ip?.timeout_seconds);
        service.affinity_seconds = client_ip.then(|| timeout.unwrap_or(10_800));
    }
    service.external_policy = policy("spec.externalTrafficPolicy", spec.external_traffic_policy)?;
    service.internal_policy = policy("spec.internalTrafficPolicy", spec.internal_traffic_policy)?;
    service.health_check_node_port = spec.health_check_node_port.and_then(NonZeroU16::new);
    service.publish_not_ready = spec.publish_not_ready_addresses.unwrap_or(false);
    if let Some(text) = some(spec.traffic_distribution) {
        use TrafficDistribution::*;
        let known = [
            ("PreferClose", PreferClose),
            ("PreferSameZone", PreferSameZone),
            ("PreferSameNode", PreferSameNode),
        ];
        service.traffic_distribution = causes.note(one_of("spec.trafficDistribution", &text, &known));
    }
    let families = spec.ip_families.unwrap_or_default();
    let families = families
        .iter()
        .map(|text| one_of("spec.ipFamilies", text, &[("IPv4", IpFamily::IPv4), ("IPv6", IpFamily::IPv6)]));
    service.ip_families = families.collect::<Result<_, _>>()?;
    service.ip_family_policy = some(spec.ip_family_policy);
    let status = wire.status.unwrap_or_default();
    service.balancer_errors = balancer_errors(&status);
    service.ingress = ingress(status, causes);
    service.finalizers = finalizers;
    service.declared = declared;
    Ok(service)
}

/// The addresses and ports that the manifest asks for. The annotation is text of its author: what can't be read says nothing.
fn declared(meta: &wire::ObjectMeta) -> Option<Box<Declared>> {
    let text = meta.annotations.as_ref()?.get(LAST_APPLIED)?.as_deref()?;
    let spec = serde_json::from_str::<wire::LastApplied>(text).ok()?.spec?;
    let cluster_ips = spec.cluster_ip.into_iter().chain(spec.cluster_ips.into_iter().flatten());
    let ports = spec.ports.unwrap_or_default().into_iter();
    let declared = Declared {
        cluster_ip: cluster_ips.filter_map(|text| lenient_ip(&text)).next(),
        node_ports: ports.filter_map(|port| port.node_port.and_then(NonZeroU16::new)).collect(),
    };
    (declared != Declared::default()).then(|| Box::new(declared))
}

fn balancer_errors(status: &wire::ServiceStatus) -> Vec<Cause> {
    let is_error = |condition: &&wire::Condition| {
        condition.condition_type.as_deref() == Some("LoadBalancerPortsError")
            && condition.status.as_deref() == Some("True")
    };
    let conditions = status.conditions.iter().flatten().filter(is_error).map(|condition| {
        let texts = [condition.reason.as_deref(), condition.message.as_deref()];
        let text: Vec<&str> = texts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        cause("status.conditions[LoadBalancerPortsError]", text.join(": "))
    });
    let entries = status.load_balancer.iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let ports = entries.enumerate().flat_map(|(i, entry)| {
        let all = entry.ports.iter().flatten().enumerate();
        all.filter_map(move |(j, port)| {
            let error = port.error.as_deref().filter(|error| !error.is_empty())?;
            let number = port.port.map_or_else(|| "?".to_owned(), |port| port.to_string());
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let field = format!("status.loadBalancer.ingress[{i}].ports[{j}].error");
            Some(cause(field, format!("{number}/{protocol}: {error}")))
        })
    });
    conditions.chain(ports).collect()
}

fn cluster_ip(spec: &wire::ServiceSpec) -> Result<ClusterIp, Cause> {
    let single = spec.cluster_ip.iter().filter(|text| !text.is_empty());
    let plural = spec.cluster_ips.iter().flatten().filter(|text| !text.is_empty());
    let (field, texts): (_, Vec<&Text>) = match &spec.cluster_ips {
        Some(ips) if !ips.is_empty() => ("spec.clusterIPs", plural.collect()),
        _ => ("spec.clusterIP", single.collect()),
    };
    if texts.first().is_some_and(|text| &***text == "None") {
        return Ok(ClusterIp::Headless);
    }
    let ips: Vec<IpAddr> = texts.into_iter().map(|text| ip(field, text)).collect::<Result<_, _>>()?;
    Ok(if ips.is_empty() { ClusterIp::Unset } else { ClusterIp::Ips(ips) })
}

fn service_port(field: &str, wire: wire::ServicePort) -> Result<ServicePort, Cause> {
    let port = NonZeroU16::new(wire.port)
        .ok_or_else(|| cause(format!("{field}.port"), "0 is not a port: must be between 1 and 65535"))?;
    let target_port = match wire.target_port {
        None => TargetPort::Number(port),
        Some(wire::IntOrString::Int(number)) => TargetPort::Number(NonZeroU16::new(number).unwrap_or(port)),
        Some(wire::IntOrString::String(name)) if name.is_empty() => TargetPort::Number(port),
        Some(wire::IntOrString::String(name)) => TargetPort::Name(name),
    };
    Ok(ServicePort {
        name: wire.name.unwrap_or_else(|| "".into()),
        protocol: protocol(format!("{field}.protocol"), wire.protocol)?,
        port,
        target_port,
        node_port: wire.node_port.and_then(NonZeroU16::new),
        app_protocol: some(wire.app_protocol),
    })
}

fn policy(field: &str, text: Option<Text>) -> Result<TrafficPolicy, Cause> {
    let Some(text) = some(text) else { return Ok(TrafficPolicy::Cluster) };
    one_of(field, &text, &[("Cluster", TrafficPolicy::Cluster), ("Local", TrafficPolicy::Local)])
}

fn ingress(status: wire::ServiceStatus, causes: &mut Causes) -> Vec<Ingress> {
    let entries = status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let mut all = Vec::new();
    for (i, entry) in entries.into_iter().enumerate() {
        let field = format!("status.loadBalancer.ingress[{i}]");
        let mode = entry.ip_mode.filter(|mode| !mode.is_empty()).map(|mode| {
            one_of(&format!("{field}.ipMode"), &mode, &[("VIP", IpMode::Vip), ("Proxy", IpMode::Proxy)])
        });
        let Some(ip_mode) = causes.note(mode.unwrap_or(Ok(IpMode::Vip))) else { continue };
        let address = some(entry.ip).map(|text| ip(format!("{field}.ip"), &text));
        let address = match address {
            Some(read) => causes.note(read),
            None => None,
        };
        all.push(Ingress { ip: address, hostname: some(entry.hostname), ip_mode });
    }
    all
}

fn slice(wire: wire::EndpointSlice, causes: &mut Causes) -> Result<EndpointSlice, Cause> {
    use AddressType::*;
    let meta = meta(wire.metadata, Kind::EndpointSlice)?;
    let text = wire.address_type.unwrap_or_else(|| "".into());
    let address_type = one_of("addressType", &text, &[("IPv4", IPv4), ("IPv6", IPv6), ("FQDN", Fqdn)])?;
    let ports = wire.ports.unwrap_or_default().into_iter().enumerate();
    let ports = ports.map(|(i, port)| endpoint_port(&format!("ports[{i}]"), port, Naming::Required));
    let ports = ports.collect::<Result<_, _>>()?;
    let mut all = Vec::new();
    for (i, wire) in wire.endpoints.unwrap_or_default().into_iter().enumerate() {
        let hints = wire.hints.unwrap_or_default();
        let names = |hints: Option<Vec<wire::HintName>>| {
            hints.unwrap_or_default().into_iter().map(|h| h.name).collect()
        };
        let texts = wire.addresses.unwrap_or_default();
        let mut addresses = Vec::with_capacity(texts.len());
        for text in texts {
            let address = match address_type.family() {
                None => Ok(EndpointAddress::Name(text)),
                Some(_) => ip(format!("endpoints[{i}].addresses"), &text).map(EndpointAddress::Ip),
            };
            addresses.extend(causes.note(address));
        }
        if addresses.is_empty() {
            causes.add(format!("endpoints[{i}]"), "has no usable address");
            continue;
        }
        all.push(Endpoint {
            addresses,
            conditions: wire.conditions.unwrap_or_default(),
            node: some(wire.node_name),
            zone: some(wire.zone),
            hostname: some(wire.hostname),
            target: wire.target_ref.and_then(|target| target_ref(target, &meta)),
            zone_hints: names(hints.for_zones),
            node_hints: names(hints.for_nodes),
        });
    }
    Ok(EndpointSlice { meta, address_type, ports, endpoints: all })
}

/// Whether a port without a name counts: kube-proxy skips it in a slice; in Endpoints no name is the empty name.
enum Naming {
    Required,
    Optional,
}

fn endpoint_port(field: &str, wire: wire::EndpointPort, naming: Naming) -> Result<EndpointPort, Cause> {
    let usable = wire.name.is_some() || matches!(naming, Naming::Optional);
    Ok(EndpointPort {
        name: wire.name.unwrap_or_else(|| "".into()),
        protocol: protocol(format!("{field}.protocol"), wire.protocol)?,
        port: wire.port.filter(|_| usable).and_then(NonZeroU16::new),
        app_protocol: some(wire.app_protocol),
    })
}

fn target_ref(wire: wire::ObjectReference, owner: &Meta) -> Option<TargetRef> {
    let namespace = some(wire.namespace).unwrap_or_else(|| owner.key.namespace.clone());
    let kind = some(wire.kind).unwrap_or_else(|| "Pod".into());
    Some(TargetRef {
        kind,
        key: Key { namespace, name: some(wire.name)? },
        uid: wire.uid.unwrap_or_else(|| "".into()),
    })
}

fn endpoints(wire: wire::Endpoints, causes: &mut Causes) -> Result<Endpoints, Cause> {
    let meta = meta(wire.metadata, Kind::Endpoints)?;
    let mut subsets = Vec::new();
    for (i, subset) in wire.subsets.unwrap_or_default().into_iter().enumerate() {
        let mut addresses = |field: &str, list: Option<Vec<wire::SubsetAddress>>| -> Vec<SubsetAddress> {
            let read = list.unwrap_or_default().into_iter().enumerate().map(|(j, address)| {
                Ok(SubsetAddress {
                    ip: ip(format!("subsets[{i}].{field}[{j}].ip"), &address.ip)?,
                    hostname: some(address.hostname),
                    node: some(address.node_name),
                    target: address.target_ref.and_then(|target| target_ref(target, &meta)),
                })
            });
            read.filter_map(|address| causes.note(address)).collect()
        };
        let ready = addresses("addresses", subset.addresses);
        let not_ready = addresses("notReadyAddresses", subset.not_ready_addresses);
        let ports = subset.ports.unwrap_or_default().into_iter().enumerate();
        let ports =
            ports.map(|(j, port)| endpoint_port(&format!("subsets[{i}].ports[{j}]"), port, Naming::Optional));
        subsets.push(Subset { addresses: ready, not_ready, ports: ports.collect::<Result<_, _>>()? });
    }
    Ok(Endpoints { meta, subsets })
}

fn pod(wire: wire::Pod, causes: &mut Causes) -> Result<Pod, Cause> {
    let (spec, status) = (wire.spec.unwrap_or_default(), wire.status.unwrap_or_default());
    let mut pod = Pod::named(Key::cluster(""));
    pod.meta = meta(wire.metadata, Kind::Pod)?;
    pod.node = some(spec.node_name);
    pod.host_network = spec.host_network.unwrap_or(false);
    pod.hostname = some(spec.hostname);
    pod.subdomain = some(spec.subdomain);
    pod.no_service_links = spec.enable_service_links == Some(false);
    pod.dns = pod_dns(spec.dns_policy, spec.dns_config, causes)?;
    pod.phase = match status.phase.as_deref() {
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some("Unknown") => PodPhase::Unknown,
        _ => PodPhase::Pending,
    };
    let texts: Vec<Text> = match status.pod_ips {
        Some(ips) if !ips.is_empty() => ips.into_iter().map(|entry| entry.ip).collect(),
        _ => some(status.pod_ip).into_iter().collect(),
    };
    pod.ips = texts.iter().filter_map(|text| causes.note(ip("status.podIPs", text))).collect();
    let mut conditions = status.conditions.unwrap_or_default().into_iter();
    if let Some(ready) = conditions.find(|condition| condition.condition_type.as_deref() == Some("Ready")) {
        pod.ready = ready.status.as_deref() == Some("True");
        pod.ready_since = time("status.conditions", ready.last_transition_time)?;
        pod.unready_reason = some(ready.message).or(some(ready.reason)).filter(|_| !pod.ready);
    }
    let statuses: Vec<wire::ContainerStatus> =
        status.container_statuses.into_iter().chain(status.init_container_statuses).flatten().collect();
    let sidecars = spec.init_containers.unwrap_or_default().into_iter();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = spec.containers.unwrap_or_default().into_iter().map(|container| (container, false));
    for (wire, sidecar) in containers.chain(sidecars.map(|container| (container, true))) {
        pod.containers.push(container(wire, sidecar, &statuses)?);
    }
    Ok(pod)
}

/// `None` for the default.
fn pod_dns(
    policy: Option<Text>,
    config: Option<wire::DnsConfig>,
    causes: &mut Causes,
) -> Result<Option<Box<PodDns>>, Cause> {
    let mut dns = PodDns::default();
    if let Some(text) = some(policy) {
        use DnsPolicy::*;
        let known = [ClusterFirst, ClusterFirstWithHostNet, Default, None];
        dns.policy = one_of("spec.dnsPolicy", &text, &known.map(|policy| (policy.as_str(), policy)))?;
    }
    let config = config.unwrap_or_default();
    let nameservers = config.nameservers.unwrap_or_default();
    let nameservers = nameservers.iter().map(|text| ip("spec.dnsConfig.nameservers", text));
    dns.nameservers = nameservers.filter_map(|read| causes.note(read)).collect();
    dns.searches = config.searches.unwrap_or_default();
    let mut options = config.options.unwrap_or_default().into_iter();
    let ndots = options.find(|option| option.name.as_deref() == Some("ndots"));
    dns.ndots = ndots.and_then(|option| option.value?.parse().ok());
    Ok((dns != PodDns::default()).then(|| Box::new(dns)))
}

/// Handlers without a usable port are commands as far as anyone here asks.
fn readiness(probe: wire::Probe) -> ReadinessProbe {
    let handler = probe.http_get.or(probe.tcp_socket).or(probe.grpc);
    let port = match handler.and_then(|handler| handler.port) {
        Some(wire::IntOrString::Int(number)) => NonZeroU16::new(number).map(TargetPort::Number),
        Some(wire::IntOrString::String(name)) => some(Some(name)).map(TargetPort::from),
        None => None,
    };
    port.map_or(ReadinessProbe::Command, ReadinessProbe::Port)
}

fn container(
    wire: wire::Container,
    sidecar: bool,
    statuses: &[wire::ContainerStatus],
) -> Result<Container, Cause> {
    let name = wire.name.unwrap_or_else(|| "".into());
    let state =
        statuses.iter().find(|status| status.name.as_ref() == Some(&name)).and_then(|s| s.state.as_ref());
    let started = state.and_then(|state| state.running.as_ref()?.started_at.clone());
    let mut ports = Vec::new();
    for port in wire.ports.unwrap_or_default() {
        let field = "spec.containers[].ports[].containerPort";
        ports.push(ContainerPort {
            name: port.name.unwrap_or_else(|| "".into()),
            port: NonZeroU16::new(port.container_port)
                .ok_or_else(|| cause(field, "0 is not a port: must be between 1 and 65535"))?,
            protocol: protocol("spec.containers[].ports[].protocol", port.protocol)?,
        });
    }
    Ok(Container {
        ports,
        sidecar,
        started: time("status.containerStatuses[].state.running.startedAt", started)?,
        waiting: state.and_then(|state| some(state.waiting.as_ref()?.reason.clone())),
        readiness: wire.readiness_probe.map(readiness),
        name,
    })
}

fn node(wire: wire::Node, causes: &mut Causes) -> Result<Node, Cause> {
    let (spec, status) = (wire.spec.unwrap_or_default(), wire.status.unwrap_or_default());
    let mut node = Node::named("");
    node.meta = meta(wire.metadata, Kind::Node)?;
    for (i, address) in status.addresses.unwrap_or_default().into_iter().enumerate() {
        let address_type = match &*address.address_type {
            "InternalIP" => NodeAddressType::InternalIP,
            "ExternalIP" => NodeAddressType::ExternalIP,
            _ => continue,
        };
        let read = ip(format!("status.addresses[{i}].address"), &address.address);
        node.addresses.extend(causes.note(read).map(|ip| NodeAddress { address_type, ip }));
    }
    let cidrs = match spec.pod_cidrs {
        Some(cidrs) if !cidrs.is_empty() => cidrs,
        _ => some(spec.pod_cidr).into_iter().collect(),
    };
    node.pod_cidrs = cidrs.iter().filter_map(|text| causes.note(cidr("spec.podCIDRs", text))).collect();
    node.unschedulable = spec.unschedulable.unwrap_or(false);
    let conditions = status.conditions.unwrap_or_default();
    let mut ready =
        conditions.iter().filter(|condition| condition.condition_type.as_deref() == Some("Ready"));
    node.ready = ready.any(|condition| condition.status.as_deref() == Some("True"));
    node.allocatable_millicpu = status.allocatable.and_then(|all| match all.get("cpu")? {
        wire::IntOrText::Int(cores) => Some(cores * 1000),
        wire::IntOrText::Text(text) => millicpu(text),
    });
    node.version = status.node_info.and_then(|info| some(info.kubelet_version));
    Ok(node)
}

/// A CPU quantity in thousandths: `8`, `0.5`, `1500m`. Others (suffixes like `k`) do not occur for CPUs.
fn millicpu(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => text
            .parse::<f64>()
            .ok()
            .filter(|cores| (0.0..1e9).contains(cores))
            .map(|cores| (cores * 1000.0) as u64),
    }
}

fn proxy_config(wire: wire::ConfigMap) -> Result<ProxyConfig, Cause> {
    let meta = meta(wire.metadata, Kind::ProxyConfig)?;
    let data = wire.data.unwrap_or_default();
    let mut config = ProxyConfig { meta, settings: ProxySettings::default(), nodes: BTreeMap::new() };
    for (file, text) in &data {
        let text = text.as_deref().unwrap_or_default();
        if &**file == "config.conf" {
            config.settings = proxy::settings(&format!("data.{file}"), text)?;
        } else if let Some(node) = file.strip_suffix(".config.conf") {
            config.nodes.insert(node.into(), proxy::settings(&format!("data.{file}"), text)?);
        }
    }
    Ok(config)
}
