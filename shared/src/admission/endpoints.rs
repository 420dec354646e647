//! EndpointSlices and Endpoints: defaults and validation as in Kubernetes 1.36.
//!
//! Upstream: `pkg/apis/discovery/validation/validation.go`, `pkg/apis/core/validation/validation.go` (`ValidateEndpoints`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{FieldError, service};

/// Endpoints of one slice.
const MOST_ENDPOINTS: usize = 1000;

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn set_default(value: &mut Value, field: &str, default: impl Into<Value>) {
    if value.get(field).is_none_or(Value::is_null) {
        value[field] = default.into();
    }
}

/// Fills in and checks Endpoints.
pub fn admit_endpoints(new: &mut Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let subsets = new.get_mut("subsets").and_then(Value::as_array_mut);
    for (at, subset) in subsets.into_iter().flatten().enumerate() {
        let path = format!("subsets[{at}]");
        let (ready, rest) = (list(subset, "/addresses"), list(subset, "/notReadyAddresses"));
        if ready.is_empty() && rest.is_empty() {
            let why = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required_because(path.clone(), why));
        }
        for (field, list) in [("addresses", ready), ("notReadyAddresses", rest)] {
            for (at, address) in list.iter().enumerate() {
                let field = format!("{path}.{field}[{at}].ip");
                errors.extend(service::outside_ip(&field, text(address, "/ip")));
            }
        }
        let ports = subset.get_mut("ports").and_then(Value::as_array_mut);
        ports.into_iter().flatten().for_each(|port| set_default(port, "protocol", "TCP"));
        errors.extend(endpoint_ports(list(subset, "/ports"), &format!("{path}.ports"), Names::Needed));
    }
    errors
}

/// Whether several ports need a name each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Needed,
    /// One may go without.
    Distinct,
}

fn endpoint_ports(ports: &[Value], path: &str, names: Names) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let (field, name) = (format!("{path}[{at}].name"), text(port, "/name"));
        if name.is_empty() && names == Names::Needed && ports.len() > 1 {
            errors.push(FieldError::required(field.clone()));
        } else if !name.is_empty() {
            errors.extend(service::dns_label(&field, name));
        }
        if !seen.insert(name) && names == Names::Distinct {
            errors.push(FieldError::duplicate(field, format!("\"{name}\"")));
        }
        errors.extend(service::app_protocol(&format!("{path}[{at}].appProtocol"), &port["appProtocol"]));
        let protocol = text(port, "/protocol");
        if !service::PROTOCOLS.contains(&protocol) {
            let field = format!("{path}[{at}].protocol");
            errors.push(FieldError::unsupported(field, protocol, &service::PROTOCOLS));
        }
        if names == Names::Needed || !port["port"].is_null() {
            service::validate_port_number(&format!("{path}[{at}].port"), &port["port"], &mut errors);
        }
    }
    errors
}

/// Fills in and checks an EndpointSlice, which replaces `old` if there is one.
pub fn admit_slice(new: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
    let mut errors = Vec::new();
    let address_type = text(new, "/addressType").to_owned();
    if address_type.is_empty() {
        errors.push(FieldError::required("addressType"));
    } else if !TYPES.contains(&address_type.as_str()) {
        errors.push(FieldError::unsupported("addressType", &address_type, &TYPES));
    }
    if old.is_some_and(|old| text(old, "/addressType") != address_type) {
        errors.push(FieldError::invalid("addressType", address_type.as_str(), "field is immutable"));
    }
    for field in ["endpoints", "ports"] {
        // The API server prints these even when empty.
        if new.get(field).is_none() || new[field] == json!([]) {
            new[field] = Value::Null;
        }
    }
    for port in new["ports"].as_array_mut().into_iter().flatten() {
        set_default(port, "name", "");
        set_default(port, "protocol", "TCP");
    }
    for (at, endpoint) in list(new, "/endpoints").iter().enumerate() {
        if list(endpoint, "/addresses").is_empty() {
            let field = format!("endpoints[{at}].addresses");
            errors.push(FieldError::required_because(field, "must contain at least 1 address"));
        }
        for (number, address) in list(endpoint, "/addresses").iter().enumerate() {
            let address = address.as_str().unwrap_or_default();
            let field = format!("endpoints[{at}].addresses[{number}]");
            errors.extend(slice_address(
                &format!("endpoints[{at}].addresses"),
                &field,
                &address_type,
                address,
            ));
        }
    }
    errors.extend(endpoint_ports(list(new, "/ports"), "ports", Names::Distinct));
    if list(new, "/endpoints").len() > MOST_ENDPOINTS {
        let why = format!("must have at most {MOST_ENDPOINTS} items");
        errors.push(FieldError::invalid("endpoints", list(new, "/endpoints").len(), why));
    }
    errors
}

/// `field` is the list's; `own` is the address's.
fn slice_address(field: &str, own: &str, address_type: &str, address: &str) -> Option<FieldError> {
    let (v4, v6) = (address.parse::<std::net::Ipv4Addr>(), address.parse::<std::net::Ipv6Addr>());
    match address_type {
        "IPv4" if v4.is_err() => Some(FieldError::invalid(field, address, "must be an IPv4 address")),
        "IPv6" if v6.is_err() => Some(FieldError::invalid(field, address, "must be an IPv6 address")),
        "IPv4" | "IPv6" => service::outside_ip(own, address),
        "FQDN" => service::dns_subdomain(own, address.trim_end_matches('.')),
        _ => None,
    }
}
