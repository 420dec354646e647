//! What several checks ask of objects, and how they put it in words and commands.

use std::net::IpAddr;

use jiff::SignedDuration;
use serde_json::Value;

use super::super::facts::{Subject, list};
use crate::model::{Endpoints, Keyed, Pod, Service, ServicePort, TargetPort, Text};

pub(super) fn minutes(number: i64) -> SignedDuration {
    SignedDuration::from_mins(number)
}

/// In whole minutes, hours or days.
pub(super) fn duration_text(duration: SignedDuration) -> String {
    match duration.as_mins() {
        minutes @ ..120 => format!("{minutes} min"),
        minutes @ 120..2880 => format!("{} h", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}

/// The pod has the port's target: a number always, a name if a container has it with the protocol.
pub(super) fn resolves(pod: &Pod, port: &ServicePort) -> bool {
    match &port.target_port {
        TargetPort::Number(_) => true,
        TargetPort::Name(name) => pod.named_port(name, port.protocol).is_some(),
    }
}

/// With any protocol.
pub(super) fn has_port_named(pod: &Pod, name: &str) -> bool {
    pod.containers.iter().flat_map(|container| &container.ports).any(|port| &*port.name == name)
}

/// The container ports of a pod: `http 8080/TCP, 9090/TCP`.
pub(super) fn ports_of(pod: &Pod) -> String {
    let ports = pod.containers.iter().flat_map(|container| &container.ports);
    let texts: Vec<String> = ports
        .map(|port| format!("{} {}/{}", port.name, port.port, port.protocol).trim_start().to_owned())
        .collect();
    if texts.is_empty() { "(none)".to_owned() } else { list(texts) }
}

/// Why a pod is not ready, as far as its status says.
pub(super) fn unready(pod: &Pod) -> String {
    if pod.phase.is_final() {
        return pod.phase.as_str().to_owned();
    }
    let waiting = pod.containers.iter().find_map(|container| container.waiting.as_deref());
    let texts = [waiting, pod.unready_reason.as_deref()];
    let text = texts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    if text.is_empty() { format!("False, phase {}", pod.phase.as_str()) } else { text }
}

pub(super) fn has_addresses(object: &Endpoints) -> bool {
    object.subsets.iter().any(|subset| !subset.addresses.is_empty() || !subset.not_ready.is_empty())
}

/// `topology-mode`, or its deprecated name: the key and the value.
pub(super) fn topology_annotation(service: &Service) -> Option<(&'static str, &Text)> {
    let keys = ["service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"];
    keys.into_iter().find_map(|key| Some((key, service.meta.annotations.get(key)?)))
}

/// A JSON patch of the Service, as a kubectl command.
pub(super) struct JsonPatch<'a> {
    namespace: &'a str,
    name: &'a str,
    patch: String,
}

pub(super) fn json_patch<'a>(s: &Subject<'a>, patch: &Value) -> JsonPatch<'a> {
    JsonPatch { namespace: s.namespace(), name: s.name(), patch: patch.to_string() }
}

impl JsonPatch<'_> {
    pub(super) fn words(&self) -> [&str; 9] {
        ["kubectl", "-n", self.namespace, "patch", "service", self.name, "--type=json", "-p", &self.patch]
    }
}

/// A slice for the Service with one address, to be filled in. JSON strings are YAML, too, whatever the names hold.
pub(super) fn slice_manifest(service: &Service, address: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let family = if address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { "IPv6" } else { "IPv4" };
    let ports = service.ports.iter().map(|port| {
        let number = match port.target_port {
            TargetPort::Number(number) => number,
            TargetPort::Name(_) => port.port,
        };
        format!("- {{name: {}, port: {number}, protocol: {}}}\n", quoted(&port.name), port.protocol)
    });
    let ports: String = ports.collect();
    let ports = if ports.is_empty() { "ports: []\n".to_owned() } else { format!("ports:\n{ports}") };
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {}\n  namespace: {}\n  labels:\n    \
         kubernetes.io/service-name: {}\naddressType: {family}\n{ports}endpoints:\n- addresses: [{}]\n",
        quoted(&format!("{}-1", service.name())),
        quoted(service.namespace()),
        quoted(service.name()),
        quoted(address),
    )
}
