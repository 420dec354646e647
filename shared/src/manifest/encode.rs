//! Model objects back to Kubernetes JSON: what the controllers of `controllers` make, for the sandbox and for exports.

use serde_json::{Map, Value, json};

use crate::model::{
    AddressType, Endpoint, EndpointPort, EndpointSlice, Endpoints, Labels, Meta, SubsetAddress, TargetRef,
    Text,
};

/// `discovery.k8s.io/v1` EndpointSlice. Empty lists are `null`, as the API server prints them.
pub fn encode_slice(slice: &EndpointSlice) -> Value {
    let address_type = match slice.address_type {
        AddressType::IPv4 => "IPv4",
        AddressType::IPv6 => "IPv6",
        AddressType::Fqdn => "FQDN",
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(&slice.meta),
        "addressType": address_type,
        "ports": or_null(slice.ports.iter().map(port).collect()),
        "endpoints": or_null(slice.endpoints.iter().map(endpoint).collect()),
    })
}

/// `v1` Endpoints.
pub fn encode_endpoints(endpoints: &Endpoints) -> Value {
    let mut object =
        json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": metadata(&endpoints.meta) });
    let subsets: Vec<Value> = endpoints
        .subsets
        .iter()
        .map(|subset| {
            let mut out = Map::new();
            set_list(&mut out, "addresses", subset.addresses.iter().map(subset_address).collect());
            set_list(&mut out, "notReadyAddresses", subset.not_ready.iter().map(subset_address).collect());
            set_list(&mut out, "ports", subset.ports.iter().map(subset_port).collect());
            Value::Object(out)
        })
        .collect();
    if !subsets.is_empty() {
        object["subsets"] = Value::Array(subsets);
    }
    object
}

pub(super) fn or_null(list: Vec<Value>) -> Value {
    if list.is_empty() { Value::Null } else { Value::Array(list) }
}

pub(super) fn set(out: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        out.insert(field.to_owned(), value.into());
    }
}

pub(super) fn set_list(out: &mut Map<String, Value>, field: &str, list: Vec<Value>) {
    set(out, field, (!list.is_empty()).then_some(list));
}

pub(super) fn text(text: &Text) -> String {
    text.to_string()
}

pub(super) fn metadata(meta: &Meta) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), text(&meta.key.name).into());
    set(&mut out, "namespace", Some(text(&meta.key.namespace)).filter(|namespace| !namespace.is_empty()));
    set(&mut out, "labels", label_map(&meta.labels));
    set(&mut out, "annotations", label_map(&meta.annotations));
    Value::Object(out)
}

fn label_map(labels: &Labels) -> Option<Map<String, Value>> {
    (!labels.is_empty()).then(|| labels.iter().map(|(key, value)| (text(key), text(value).into())).collect())
}

fn port(port: &EndpointPort) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), text(&port.name).into());
    out.insert("protocol".to_owned(), port.protocol.as_str().into());
    set(&mut out, "port", port.port.map(u16::from));
    set(&mut out, "appProtocol", port.app_protocol.as_ref().map(text));
    Value::Object(out)
}

fn subset_port(endpoint_port: &EndpointPort) -> Value {
    let mut out = port(endpoint_port);
    if let (true, Some(fields)) = (endpoint_port.name.is_empty(), out.as_object_mut()) {
        fields.remove("name");
    }
    out
}

fn endpoint(endpoint: &Endpoint) -> Value {
    let mut out = Map::new();
    let addresses: Vec<Value> = endpoint.addresses.iter().map(|address| address.to_string().into()).collect();
    out.insert("addresses".to_owned(), addresses.into());
    let mut conditions = Map::new();
    set(&mut conditions, "ready", endpoint.conditions.ready);
    set(&mut conditions, "serving", endpoint.conditions.serving);
    set(&mut conditions, "terminating", endpoint.conditions.terminating);
    out.insert("conditions".to_owned(), conditions.into());
    set(&mut out, "hostname", endpoint.hostname.as_ref().map(text));
    set(&mut out, "nodeName", endpoint.node.as_ref().map(text));
    set(&mut out, "zone", endpoint.zone.as_ref().map(text));
    set(&mut out, "targetRef", endpoint.target.as_ref().map(target));
    let names = |names: &[Text]| names.iter().map(|name| json!({ "name": text(name) })).collect::<Vec<_>>();
    let mut hints = Map::new();
    set_list(&mut hints, "forZones", names(&endpoint.zone_hints));
    set_list(&mut hints, "forNodes", names(&endpoint.node_hints));
    set(&mut out, "hints", (!hints.is_empty()).then_some(hints));
    Value::Object(out)
}

fn subset_address(address: &SubsetAddress) -> Value {
    let mut out = Map::new();
    out.insert("ip".to_owned(), address.ip.to_string().into());
    set(&mut out, "hostname", address.hostname.as_ref().map(text));
    set(&mut out, "nodeName", address.node.as_ref().map(text));
    set(&mut out, "targetRef", address.target.as_ref().map(target));
    Value::Object(out)
}

fn target(target: &TargetRef) -> Value {
    let mut out = Map::new();
    out.insert("kind".to_owned(), text(&target.kind).into());
    out.insert("namespace".to_owned(), text(&target.key.namespace).into());
    out.insert("name".to_owned(), text(&target.key.name).into());
    set(&mut out, "uid", Some(text(&target.uid)).filter(|uid| !uid.is_empty()));
    Value::Object(out)
}
