//! Services: defaults, validation and allocation as in Kubernetes 1.36, on a cluster with IPv4 or with both families.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go`, `pkg/apis/core/validation/validation.go` (`ValidateService`),
//! `pkg/registry/core/service/{strategy.go,storage/alloc.go}`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::FieldError;
use super::allocation::{Allocations, Held, NODE_PORT_RANGE, Range, Unavailable};
use super::families::{self, FAMILIES, POLICIES};
use super::labels;
use crate::model::IpFamily;

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
pub const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

/// Why a Service was not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// 422 with these errors; never empty.
    Invalid(Vec<FieldError>),
    /// 500: a range is full, or a health check port can't be had.
    Internal(String),
}

/// Fills in, checks and completes `service`, which replaces `old` if there is one. `below` gives a random number below its
/// argument. After success `service` is what the API server would store.
pub fn admit(
    service: &mut Value,
    old: Option<&Value>,
    allocations: &Allocations,
    below: &mut dyn FnMut(u64) -> u64,
) -> Result<(), Rejected> {
    if !service["spec"].is_object() {
        service["spec"] = json!({});
    }
    if let Some(old) = old {
        carry_over(service, old);
    }
    if !spec_text(service, "clusterIP").is_empty() && spec_list(service, "clusterIPs").is_empty() {
        service["spec"]["clusterIPs"] = json!([service["spec"]["clusterIP"]]);
    }
    apply_defaults(service);
    let mut errors = validate(service);
    if errors.is_empty() {
        errors = families::settle(service, old, allocations.families());
    }
    if let Some(old) = old.filter(|_| errors.is_empty()) {
        errors = validate_update(service, old);
    }
    if !errors.is_empty() {
        return Err(Rejected::Invalid(errors));
    }
    drop_unused(service);
    allocate(service, old, allocations, below)
}

pub(super) fn spec_text<'a>(service: &'a Value, field: &str) -> &'a str {
    service["spec"][field].as_str().unwrap_or_default()
}

pub(super) fn spec_list<'a>(service: &'a Value, field: &str) -> &'a [Value] {
    service["spec"][field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ports_mut(service: &mut Value) -> &mut [Value] {
    service["spec"]["ports"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default()
}

pub(super) fn is_type(service: &Value, types: &[&str]) -> bool {
    types.contains(&spec_text(service, "type"))
}

fn is_headless(service: &Value) -> bool {
    spec_text(service, "clusterIP") == "None"
}

fn has_selector(service: &Value) -> bool {
    service["spec"]["selector"].as_object().is_some_and(|map| !map.is_empty())
}

/// Headless and without a selector: its addresses are whatever its slices say.
pub(super) fn takes_any_family(service: &Value) -> bool {
    is_headless(service) && !has_selector(service)
}

fn is_external(service: &Value) -> bool {
    is_type(service, &["NodePort", "LoadBalancer"])
        || (is_type(service, &["ClusterIP"]) && !spec_list(service, "externalIPs").is_empty())
}

fn needs_health_check(service: &Value) -> bool {
    is_type(service, &["LoadBalancer"]) && spec_text(service, "externalTrafficPolicy") == "Local"
}

/// An update that leaves out allocated values keeps them; one that leaves values of the former type gets rid of them.
fn carry_over(service: &mut Value, old: &Value) {
    let (new_type, old_type) = (type_or_default(service), type_or_default(old));
    if new_type != "ExternalName" && old_type != "ExternalName" {
        // Who changes only the one means both.
        let (spec, before) = (&mut service["spec"], &old["spec"]);
        if spec["clusterIP"] != before["clusterIP"] && spec["clusterIPs"] == before["clusterIPs"] {
            spec["clusterIPs"] = match spec["clusterIP"].as_str().unwrap_or_default() {
                "" => Value::Null,
                ip => json!([ip]),
            };
        }
        if spec["clusterIP"] == "" {
            spec["clusterIP"] = Value::Null;
        }
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if service["spec"][field].is_null() && !old["spec"][field].is_null() {
                service["spec"][field] = old["spec"][field].clone();
            }
        }
    }
    if ["NodePort", "LoadBalancer"].contains(&new_type.as_str()) {
        carry_node_ports(service, old);
    }
    if new_type == "LoadBalancer" && service["spec"]["healthCheckNodePort"].is_null() {
        let port = old["spec"]["healthCheckNodePort"].clone();
        if !port.is_null() && spec_text(service, "externalTrafficPolicy") == "Local" {
            service["spec"]["healthCheckNodePort"] = port;
        }
    }
    if new_type != old_type {
        drop_type_fields(service, old, &new_type);
    }
}

fn type_or_default(service: &Value) -> String {
    let text = spec_text(service, "type");
    if text.is_empty() { "ClusterIP".to_owned() } else { text.to_owned() }
}

fn carry_node_ports(service: &mut Value, old: &Value) {
    let used: BTreeSet<u64> = spec_list(service, "ports").iter().filter_map(node_port).collect();
    let known: Vec<(Value, u64)> = spec_list(old, "ports")
        .iter()
        .filter_map(|port| Some((port["name"].clone(), node_port(port)?)))
        .filter(|(_, number)| !used.contains(number))
        .collect();
    for port in ports_mut(service) {
        let same = known.iter().find(|(name, _)| *name == port["name"]);
        if let (None, Some((_, number))) = (node_port(port), same) {
            port["nodePort"] = (*number).into();
        }
    }
}

fn node_port(port: &Value) -> Option<u64> {
    port["nodePort"].as_u64().filter(|number| *number != 0)
}

/// Fields of the old type that the client left as they were go with the type.
fn drop_type_fields(service: &mut Value, old: &Value, new_type: &str) {
    let unchanged = |service: &Value, field: &str| service["spec"][field] == old["spec"][field];
    let remove = |service: &mut Value, field: &str| {
        service["spec"].as_object_mut().map(|spec| spec.remove(field));
    };
    if new_type == "ExternalName" {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if unchanged(service, field) {
                remove(service, field);
            }
        }
    }
    if new_type != "LoadBalancer" {
        for field in ["loadBalancerClass", "allocateLoadBalancerNodePorts", "healthCheckNodePort"] {
            if unchanged(service, field) {
                remove(service, field);
            }
        }
    }
    if ["ClusterIP", "ExternalName"].contains(&new_type) {
        if unchanged(service, "externalTrafficPolicy") && !is_external(service) {
            remove(service, "externalTrafficPolicy");
        }
        let before: BTreeSet<u64> = spec_list(old, "ports").iter().filter_map(node_port).collect();
        for port in ports_mut(service) {
            if let (Some(number), Some(map)) = (node_port(port), port.as_object_mut())
                && before.contains(&number)
            {
                map.remove("nodePort");
            }
        }
    }
}

fn set_default(value: &mut Value, field: &str, default: impl Into<Value>) {
    let absent = value[field].is_null() || value[field] == "";
    if absent {
        value[field] = default.into();
    }
}

fn apply_defaults(service: &mut Value) {
    let spec = &mut service["spec"];
    set_default(spec, "type", "ClusterIP");
    set_default(spec, "sessionAffinity", "None");
    if spec["selector"].as_object().is_some_and(serde_json::Map::is_empty) {
        spec["selector"] = Value::Null;
    }
    if spec["sessionAffinity"] == "ClientIP" {
        let config = &mut spec["sessionAffinityConfig"]["clientIP"];
        set_default(config, "timeoutSeconds", 10_800);
    } else if let Some(spec) = spec.as_object_mut() {
        spec.remove("sessionAffinityConfig");
    }
    for port in ports_mut(service) {
        set_default(port, "protocol", "TCP");
        if port["targetPort"].is_null() || port["targetPort"] == "" || port["targetPort"] == 0 {
            port["targetPort"] = port["port"].clone();
        }
        if port["name"] == "" {
            port["name"] = Value::Null;
        }
    }
    let external = is_external(service);
    let spec = &mut service["spec"];
    if external {
        set_default(spec, "externalTrafficPolicy", "Cluster");
    }
    if spec["type"] != "ExternalName" {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if spec["type"] == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
    prune(service);
}

/// Removes nulls that the steps above left.
fn prune(service: &mut Value) {
    for port in ports_mut(service) {
        drop_nulls(port);
    }
    drop_nulls(&mut service["spec"]);
}

fn drop_nulls(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// Checks a Service that has its defaults.
pub fn validate(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    validate_ports(service, &mut errors);
    validate_types(service, &mut errors);
    validate_addresses(service, &mut errors);
    validate_policies(service, &mut errors);
    errors.extend(labels::validate("spec.selector", &service["spec"]["selector"]));
    errors.extend(validate_annotations(service));
    errors
}

/// The two annotations for hints must agree.
fn validate_annotations(service: &Value) -> Option<FieldError> {
    const MODE: &str = "service.kubernetes.io/topology-mode";
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    let annotation = |key: &str| service["metadata"]["annotations"][key].as_str();
    let (mode, hints) = (annotation(MODE)?, annotation(HINTS)?);
    let why = format!("must match annotations[{HINTS}] when both are specified");
    (mode != hints).then(|| FieldError::invalid(format!("metadata.annotations[{MODE}]"), mode, why))
}

/// Checks the status that a client sets.
pub fn validate_status(service: &Value) -> Vec<FieldError> {
    let ingress = &service["status"]["loadBalancer"]["ingress"];
    let entries = ingress.as_array().map(Vec::as_slice).unwrap_or_default();
    if !entries.is_empty() && !is_type(service, &["LoadBalancer"]) {
        let why = "may only be used when `spec.type` is 'LoadBalancer'";
        return vec![FieldError::forbidden("status.loadBalancer.ingress", why)];
    }
    let mut errors = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let (ip, mode) = (entry["ip"].as_str(), entry["ipMode"].as_str());
        let field = format!("status.loadBalancer.ingress[{at}]");
        if let Some(why) = ip.and_then(bad_ip) {
            errors.push(FieldError::invalid(format!("{field}.ip"), ip.unwrap_or_default(), why));
        }
        match mode {
            Some(_) if ip.is_none() => {
                let why = "may not be specified when `ip` is not set";
                errors.push(FieldError::forbidden(format!("{field}.ipMode"), why));
            }
            Some(mode) if !["Proxy", "VIP"].contains(&mode) => {
                errors.push(FieldError::unsupported(format!("{field}.ipMode"), mode, &["Proxy", "VIP"]));
            }
            _ => {}
        }
    }
    errors
}

fn validate_ports(service: &Value, errors: &mut Vec<FieldError>) {
    let ports = spec_list(service, "ports");
    if ports.is_empty() && !is_headless(service) && !is_type(service, &["ExternalName"]) {
        errors.push(FieldError::required("spec.ports"));
    }
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{at}]");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(format!("{field}.name")));
        } else if !name.is_empty() {
            errors.extend(dns_label(&format!("{field}.name"), name));
            if !names.insert(name) {
                errors.push(FieldError::duplicate(format!("{field}.name"), format!("\"{name}\"")));
            }
        }
        validate_port_number(&format!("{field}.port"), &port["port"], errors);
        let protocol = port["protocol"].as_str().unwrap_or_default();
        if !PROTOCOLS.contains(&protocol) {
            errors.push(FieldError::unsupported(format!("{field}.protocol"), protocol, &PROTOCOLS));
        }
        match &port["targetPort"] {
            Value::String(name) => {
                errors.extend(port_name(&format!("{field}.targetPort"), name));
            }
            number => validate_port_number(&format!("{field}.targetPort"), number, errors),
        }
        errors.extend(app_protocol(&format!("{field}.appProtocol"), &port["appProtocol"]));
        if !numbers.insert((port["port"].as_i64(), protocol)) {
            let number = &port["port"];
            errors.push(FieldError::duplicate(
                field,
                format!(
                    r#"{{"Name":"","Protocol":"{protocol}","AppProtocol":null,"Port":{number},"TargetPort":0,"NodePort":0}}"#
                ),
            ));
        }
    }
}

/// A port number from 1 to 65535.
pub fn validate_port_number(field: &str, value: &Value, errors: &mut Vec<FieldError>) {
    if !value.as_i64().is_some_and(|number| (1..=65_535).contains(&number)) {
        errors.push(FieldError::invalid(field, value.clone(), "must be between 1 and 65535, inclusive"));
    }
}

/// A qualified name, as an application protocol has to be.
pub fn app_protocol(field: &str, value: &Value) -> Option<FieldError> {
    let name = value.as_str()?;
    labels::bad_key(name).map(|why| FieldError::invalid(field, name, why))
}

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        && bytes.first().is_some_and(|byte| alphanumeric(*byte))
        && bytes.last().is_some_and(|byte| alphanumeric(*byte))
}

/// A DNS-1123 label, as port names, Service names and namespaces have to be.
pub fn dns_label(field: &str, text: &str) -> Option<FieldError> {
    if text.len() > 63 {
        return Some(FieldError::invalid(field, text, "must be no more than 63 characters"));
    }
    if text.contains('.') {
        return Some(FieldError::invalid(field, text, "must not contain dots"));
    }
    (!is_dns_label(text)).then(|| FieldError::invalid(field, text, DNS_LABEL))
}

/// A DNS-1123 subdomain, as most names have to be.
pub fn dns_subdomain(field: &str, text: &str) -> Option<FieldError> {
    if text.len() > 253 {
        return Some(FieldError::invalid(field, text, "must be no more than 253 characters"));
    }
    (!text.split('.').all(is_dns_label)).then(|| FieldError::invalid(field, text, DNS_SUBDOMAIN))
}

/// An IANA service name, as named target ports have to be.
pub fn port_name(field: &str, text: &str) -> Option<FieldError> {
    let why = if text.len() > 15 {
        "must be no more than 15 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        "must contain at least one letter (a-z)"
    } else if text.contains("--") {
        "must not contain consecutive hyphens"
    } else if text.starts_with('-') || text.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(FieldError::invalid(field, text, why))
}

fn validate_types(service: &Value, errors: &mut Vec<FieldError>) {
    let service_type = spec_text(service, "type");
    if !TYPES.contains(&service_type) {
        errors.push(FieldError::unsupported("spec.type", service_type, &TYPES));
    }
    if is_type(service, &["NodePort", "LoadBalancer"]) && is_headless(service) {
        let why = format!("may not be set to 'None' for {service_type} services");
        errors.push(FieldError::invalid("spec.clusterIPs[0]", "None", why));
    }
    if service_type == "ClusterIP" {
        let with = spec_list(service, "ports").iter().enumerate().filter(|(_, p)| node_port(p).is_some());
        errors.extend(with.map(|(at, _)| {
            let field = format!("spec.ports[{at}].nodePort");
            FieldError::forbidden(field, "may not be used when `type` is 'ClusterIP'")
        }));
    }
    if service_type != "LoadBalancer" {
        let forbidden = [
            ("loadBalancerClass", "spec.loadBalancerClass"),
            ("allocateLoadBalancerNodePorts", "spec.allocateLoadBalancerNodePorts"),
            ("loadBalancerSourceRanges", "spec.LoadBalancerSourceRanges"),
        ];
        for (field, path) in forbidden.iter().filter(|(field, _)| !service["spec"][*field].is_null()) {
            let _ = field;
            errors.push(FieldError::forbidden(*path, "may only be used when `type` is 'LoadBalancer'"));
        }
    }
    if service_type == "ExternalName" {
        validate_external_name(service, errors);
    }
}

fn validate_external_name(service: &Value, errors: &mut Vec<FieldError>) {
    for (field, path) in [
        ("clusterIPs", "spec.clusterIPs"),
        ("ipFamilies", "spec.ipFamilies"),
        ("ipFamilyPolicy", "spec.ipFamilyPolicy"),
    ] {
        let set = !service["spec"][field].is_null()
            || (field == "clusterIPs" && !spec_text(service, "clusterIP").is_empty());
        if set {
            errors.push(FieldError::forbidden(path, "may not be set for ExternalName services"));
        }
    }
    let name = spec_text(service, "externalName");
    if name.is_empty() {
        errors.push(FieldError::required("spec.externalName"));
    } else {
        errors.extend(dns_subdomain("spec.externalName", name.strip_suffix('.').unwrap_or(name)));
    }
}

fn validate_addresses(service: &Value, errors: &mut Vec<FieldError>) {
    validate_families(service, errors);
    validate_cluster_ips(service, errors);
    for (at, ip) in spec_list(service, "externalIPs").iter().enumerate() {
        errors.extend(outside_ip(&format!("spec.externalIPs[{at}]"), ip.as_str().unwrap_or_default()));
    }
    for (at, range) in spec_list(service, "loadBalancerSourceRanges").iter().enumerate() {
        if is_type(service, &["LoadBalancer"]) {
            let field = format!("spec.LoadBalancerSourceRanges[{at}]");
            errors.extend(cidr(&field, range.as_str().unwrap_or_default()));
        }
    }
}

fn validate_families(service: &Value, errors: &mut Vec<FieldError>) {
    if is_type(service, &["ExternalName"]) {
        return;
    }
    let families = spec_list(service, "ipFamilies");
    for (at, family) in families.iter().enumerate() {
        let (field, text) = (format!("spec.ipFamilies[{at}]"), family.as_str().unwrap_or_default());
        if !FAMILIES.contains(&text) {
            errors.push(FieldError::unsupported(field, text, &FAMILIES));
        } else if families[..at].contains(family) {
            errors.push(FieldError::duplicate(field, family.to_string()));
        }
    }
    let policy = spec_text(service, "ipFamilyPolicy");
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        errors.push(FieldError::unsupported("spec.ipFamilyPolicy", policy, &POLICIES));
    }
}

fn validate_cluster_ips(service: &Value, errors: &mut Vec<FieldError>) {
    let single = spec_text(service, "clusterIP");
    let plural = spec_list(service, "clusterIPs");
    let of_all = |why: &str| FieldError::invalid("spec.clusterIPs", plural.to_vec(), why);
    if single.is_empty() && !plural.is_empty() {
        errors.push(of_all("must be empty when `clusterIP` is not specified"));
    } else if plural.first().is_some_and(|first| first != single) {
        errors.push(of_all("first value must match `clusterIP`"));
    }
    let given: Vec<&str> = match plural {
        [] if single.is_empty() => Vec::new(),
        [] => vec![single],
        ips => ips.iter().filter_map(Value::as_str).collect(),
    };
    if given.contains(&"None") {
        if given.len() > 1 {
            errors.push(of_all("'None' must be the first and only value"));
        }
        return;
    }
    let before = errors.len();
    for (at, ip) in given.iter().enumerate() {
        if let Some(why) = bad_ip(ip) {
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{at}]"), *ip, why));
        }
    }
    if given.len() > 2 {
        errors.push(of_all("may only hold up to 2 values"));
    }
    if errors.len() > before {
        return;
    }
    let family = |ip: &str| if ip.contains(':') { "IPv6" } else { "IPv4" };
    if let [first, second] = given.as_slice()
        && family(first) == family(second)
    {
        errors.push(of_all("may specify no more than one IP for each IP family"));
        return;
    }
    for (at, (ip, wanted)) in given.iter().zip(spec_list(service, "ipFamilies")).enumerate() {
        let wanted = wanted.as_str().filter(|wanted| FAMILIES.contains(wanted) && family(ip) != *wanted);
        if let Some(wanted) = wanted {
            let why = format!("expected an {wanted} value as indicated by `ipFamilies[{at}]`");
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{at}]"), *ip, why));
        }
    }
}

/// Why a text is not an address.
fn bad_ip(text: &str) -> Option<&'static str> {
    if text.parse::<IpAddr>().is_ok() {
        return None;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.parse::<u8>().is_ok());
    match parts.len() == 4 && numbers {
        true => Some("must not have leading 0s"),
        false => Some("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    }
}

/// A range of addresses, as source ranges are; space around it is tolerated.
fn cidr(field: &str, text: &str) -> Option<FieldError> {
    let why = match text.trim().parse::<IpNet>() {
        Err(_) => "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        Ok(net) if net.trunc() != net => "must not have bits set beyond the prefix length",
        Ok(_) => return None,
    };
    Some(FieldError::invalid(field, text, why))
}

/// An address that may stand for something outside: not loopback, link-local or unspecified.
pub fn outside_ip(field: &str, text: &str) -> Option<FieldError> {
    if let Some(why) = bad_ip(text) {
        return Some(FieldError::invalid(field, text, why));
    }
    let ip = text.parse::<IpAddr>().ok()?;
    let (link_local, multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xffc0 == 0xfe80, ip.segments()[0] & 0xff0f == 0xff02),
    };
    let why = if ip.is_unspecified() {
        "may not be unspecified (0.0.0.0)"
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    } else {
        return None;
    };
    Some(FieldError::invalid(field, text, why))
}

fn validate_policies(service: &Value, errors: &mut Vec<FieldError>) {
    let affinity = spec_text(service, "sessionAffinity");
    if !["ClientIP", "None"].contains(&affinity) {
        errors.push(FieldError::unsupported("spec.sessionAffinity", affinity, &["ClientIP", "None"]));
    }
    let timeout = &service["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    if timeout.as_i64().is_some_and(|seconds| !(1..=86_400).contains(&seconds)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        let why = "must be greater than 0 and less than 86400";
        errors.push(FieldError::invalid(field, timeout.clone(), why));
    }
    for field in ["externalTrafficPolicy", "internalTrafficPolicy"] {
        let (policy, path) = (spec_text(service, field), format!("spec.{field}"));
        if !["", "Cluster", "Local"].contains(&policy) {
            errors.push(FieldError::unsupported(path, policy, &["Cluster", "Local"]));
        } else if field == "externalTrafficPolicy" && !policy.is_empty() && !is_external(service) {
            let why = "may only be set for externally-accessible services";
            errors.push(FieldError::invalid(path, policy, why));
        }
    }
    let distribution = spec_text(service, "trafficDistribution");
    let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
    if !distribution.is_empty() && !known.contains(&distribution) {
        errors.push(FieldError::unsupported("spec.trafficDistribution", distribution, &known));
    }
    let check = &service["spec"]["healthCheckNodePort"];
    if check.as_u64().is_some_and(|port| port != 0) && !needs_health_check(service) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid("spec.healthCheckNodePort", check.clone(), why));
    }
}

/// What may not change.
fn validate_update(service: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(changed_ips(service, old));
    let class = |service: &Value| service["spec"]["loadBalancerClass"].clone();
    let balancers = is_type(service, &["LoadBalancer"]) && is_type(old, &["LoadBalancer"]);
    if balancers && class(service) != class(old) && !class(old).is_null() {
        errors.push(FieldError::invalid("spec.loadBalancerClass", class(service), "may not change once set"));
    }
    let check = |service: &Value| service["spec"]["healthCheckNodePort"].as_u64();
    if needs_health_check(service) && needs_health_check(old) && check(service) != check(old) {
        errors.push(FieldError::forbidden("spec.healthCheckNodePort", "field is immutable"));
    }
    errors
}

/// Addresses stay once they are set; a secondary one may come and go.
fn changed_ips(service: &Value, old: &Value) -> Vec<FieldError> {
    let names = |service: &Value| is_type(service, &["ExternalName"]);
    if names(service) || names(old) || (is_headless(service) && is_headless(old)) {
        return Vec::new();
    }
    let (new, before) = (spec_list(service, "clusterIPs"), spec_list(old, "clusterIPs"));
    // Where their number differs, only the primary one counts.
    let counted = if new.len() == before.len() { new.len() } else { 1 };
    let pairs = new.iter().zip(before).take(counted).enumerate();
    let changed = pairs.filter(|(_, (new, before))| new != before);
    let error = |(at, _)| {
        FieldError::invalid(format!("spec.clusterIPs[{at}]"), new.to_vec(), "may not change once set")
    };
    changed.map(error).collect()
}

/// The status of a Service that no longer is a balancer is emptied.
fn drop_unused(service: &mut Value) {
    if !is_type(service, &["LoadBalancer"]) || !service["status"].is_object() {
        service["status"] = json!({ "loadBalancer": {} });
    }
    if !needs_health_check(service) {
        service["spec"].as_object_mut().map(|spec| spec.remove("healthCheckNodePort"));
    }
}

fn allocate(
    service: &mut Value,
    old: Option<&Value>,
    allocations: &Allocations,
    below: &mut dyn FnMut(u64) -> u64,
) -> Result<(), Rejected> {
    let own = old.map(Held::by).unwrap_or_default();
    if !is_type(service, &["ExternalName"]) {
        allocate_ips(service, &own, allocations, below)?;
    }
    if is_type(service, &["NodePort", "LoadBalancer"]) {
        allocate_ports(service, &own, allocations, below)?;
    }
    Ok(())
}

/// An address for each family, unless it is headless. Those that are asked for have to be free.
fn allocate_ips(
    service: &mut Value,
    own: &Held,
    allocations: &Allocations,
    below: &mut dyn FnMut(u64) -> u64,
) -> Result<(), Rejected> {
    if is_headless(service) {
        return Ok(());
    }
    let families = spec_list(service, "ipFamilies").iter();
    let families: Vec<IpFamily> = families
        .filter_map(|text| IpFamily::BOTH.into_iter().find(|family| text == family.as_str()))
        .collect();
    let mut asked: Vec<String> =
        spec_list(service, "clusterIPs").iter().filter_map(|ip| ip.as_str().map(str::to_owned)).collect();
    // Messages show addresses that are still to be chosen as empty.
    asked.resize(families.len().max(asked.len()), String::new());
    let mut ips = asked.clone();
    for (ip, family) in ips.iter_mut().zip(families) {
        if ip.is_empty() {
            *ip = allocations.choose_ip(family, below).map_err(|_| full("a serviceIP"))?.to_string();
        } else {
            let parsed: Result<IpAddr, _> = ip.parse();
            let checked = parsed.map_err(|_| Unavailable::OutOfRange);
            let checked = checked.and_then(|ip| allocations.check_ip(ip, own));
            checked.map_err(|why| ip_unavailable(ip, allocations.range(family), &asked, why))?;
        }
    }
    service["spec"]["clusterIP"] = json!(ips.first());
    service["spec"]["clusterIPs"] = json!(ips);
    Ok(())
}

fn full(what: &str) -> Rejected {
    Rejected::Internal(format!("failed to allocate {what}: range is full"))
}

/// `asked` is the whole list.
fn ip_unavailable(ip: &str, range: &Range, asked: &[String], why: Unavailable) -> Rejected {
    let text = match why {
        Unavailable::OutOfRange => {
            format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}")
        }
        _ => "provided IP is already allocated".to_owned(),
    };
    let why = format!("failed to allocate IP {ip}: {text}");
    Rejected::Invalid(vec![FieldError::invalid("spec.clusterIPs", asked.to_vec(), why)])
}

fn allocate_ports(
    service: &mut Value,
    own: &Held,
    allocations: &Allocations,
    below: &mut dyn FnMut(u64) -> u64,
) -> Result<(), Rejected> {
    let automatic = service["spec"]["allocateLoadBalancerNodePorts"] != false;
    let health_check = needs_health_check(service);
    let mut given = BTreeSet::new();
    // Ports of one number share a node port across protocols.
    let mut by_port: Vec<(Value, u16)> = Vec::new();
    for (at, port) in spec_list(service, "ports").iter().enumerate() {
        let Some(number) = node_port(port) else { continue };
        let checked = u16::try_from(number).map_err(|_| Unavailable::OutOfRange);
        let checked = checked.and_then(|number| allocations.check_port(number, own).map(|()| number));
        let number = checked.map_err(|why| port_unavailable(at, number, why))?;
        let twice = by_port.iter().any(|(other, taken)| *taken == number && *other != port["port"]);
        if twice {
            return Err(port_unavailable(at, u64::from(number), Unavailable::Taken));
        }
        given.insert(number);
        by_port.push((port["port"].clone(), number));
    }
    for port in ports_mut(service).iter_mut().filter(|port| node_port(port).is_none() && automatic) {
        let shared = by_port.iter().find(|(number, _)| *number == port["port"]).map(|(_, given)| *given);
        let number = match shared {
            Some(number) => number,
            None => allocations.choose_port(&given, below).map_err(|_| full("a nodePort"))?,
        };
        given.insert(number);
        by_port.push((port["port"].clone(), number));
        port["nodePort"] = number.into();
    }
    if health_check {
        let asked = service["spec"]["healthCheckNodePort"].as_u64().filter(|number| *number != 0);
        let number = match asked {
            Some(number) => health_check_port(number, own, allocations)?,
            None => {
                let chosen = allocations.choose_port(&given, below);
                u64::from(chosen.map_err(|_| full("a HealthCheck NodePort 0"))?)
            }
        };
        service["spec"]["healthCheckNodePort"] = number.into();
    }
    Ok(())
}

fn health_check_port(number: u64, own: &Held, allocations: &Allocations) -> Result<u64, Rejected> {
    let fits = u16::try_from(number).is_ok_and(|port| allocations.check_port(port, own).is_ok());
    let why = "provided port is already allocated";
    let refused = || format!("failed to allocate requested HealthCheck NodePort {number}: {why}");
    if fits { Ok(number) } else { Err(Rejected::Internal(refused())) }
}

fn port_unavailable(at: usize, number: u64, why: Unavailable) -> Rejected {
    let why = match why {
        Unavailable::OutOfRange => {
            format!("provided port is not in the valid range. The range of valid ports is {NODE_PORT_RANGE}")
        }
        _ => "provided port is already allocated".to_owned(),
    };
    Rejected::Invalid(vec![FieldError::invalid(format!("spec.ports[{at}].nodePort"), number, why)])
}

/// What clients should know about a Service that is admitted.
pub fn warnings(service: &Value) -> Vec<String> {
    let given = |field: &str| match &service["spec"][field] {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    };
    let (headless, external_name) = (is_headless(service), is_type(service, &["ExternalName"]));
    let annotations = &service["metadata"]["annotations"];
    let rows = [
        (
            given("externalIPs"),
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
        (headless && given("externalIPs"), "spec.externalIPs is ignored for headless services"),
        (headless && given("loadBalancerIP"), "spec.loadBalancerIP is ignored for headless services"),
        (
            headless && spec_text(service, "sessionAffinity") == "ClientIP",
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            external_name && given("externalIPs"),
            "spec.externalIPs is ignored when spec.type is \"ExternalName\"",
        ),
        (
            !external_name && given("externalName"),
            "spec.externalName is ignored when spec.type is not \"ExternalName\"",
        ),
        (
            spec_text(service, "trafficDistribution") == "PreferClose",
            "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"",
        ),
        (
            !annotations["service.kubernetes.io/topology-aware-hints"].is_null(),
            "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead",
        ),
    ];
    rows.into_iter().filter(|(applies, _)| *applies).map(|(_, text)| text.to_owned()).collect()
}
