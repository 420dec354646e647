//! What each kind does when an object of it is created or changed: shape check, defaults, validation, allocation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, discovery::v1 as discovery};
use serde::Deserialize;
use serde_json::{Value, json};
use vipscope_shared::admission::allocation::service_base;
use vipscope_shared::admission::service::{self, Rejected};
use vipscope_shared::admission::{FieldError, endpoints, labels, types};
use vipscope_shared::model::IpFamily;

use super::errors::Refusal;
use super::object;
use super::resources::Type;
use super::schema;
use super::store::Transaction;

/// Checks that every known field has the type that the API gives it. After this, code may index known paths.
pub fn check_shape(resource: Type, value: &Value) -> Result<(), Refusal> {
    let info = resource.info();
    let schema = schema::of_kind(info.group, info.kind);
    if let Some(why) = schema.and_then(|schema| schema::type_error(value, schema)) {
        return Err(cannot_handle(resource, info.kind, &why));
    }
    match resource {
        Type::Namespaces => shape::<core::Namespace>(resource, value),
        Type::Nodes => shape::<core::Node>(resource, value),
        Type::Pods => shape::<core::Pod>(resource, value),
        Type::Services => shape::<core::Service>(resource, value),
        Type::Endpoints => shape::<core::Endpoints>(resource, value),
        Type::ConfigMaps => shape::<core::ConfigMap>(resource, value),
        Type::Events => shape::<core::Event>(resource, value),
        Type::EndpointSlices => shape::<discovery::EndpointSlice>(resource, value),
        Type::Deployments => shape::<apps::Deployment>(resource, value),
        Type::ReplicaSets => shape::<apps::ReplicaSet>(resource, value),
        Type::Secrets => shape::<core::Secret>(resource, value),
        Type::ServiceAccounts => shape::<core::ServiceAccount>(resource, value),
    }
}

fn shape<'de, T: Deserialize<'de>>(resource: Type, value: &'de Value) -> Result<(), Refusal> {
    T::deserialize(value)
        .map(|_| ())
        .map_err(|error| cannot_handle(resource, resource.info().kind, &error.to_string()))
}

/// 400: the body is not one of the resource's kind.
pub fn cannot_handle(resource: Type, kind: &str, why: &str) -> Refusal {
    let info = resource.info();
    Refusal::bad_request(types::cannot_handle(kind, &info.api_version(), info.kind, why))
}

/// Admits `new`, which replaces `old` if there is one: afterwards it is what is stored.
pub fn admit(
    resource: Type,
    new: &mut Value,
    old: Option<&Value>,
    tx: &mut Transaction<'_>,
) -> Result<(), Refusal> {
    let mut errors = labels::validate("metadata.labels", &new["metadata"]["labels"]);
    errors.extend(bad_finalizers(new));
    errors.extend(match resource {
        Type::Services if errors.is_empty() => return admit_service(new, old, tx),
        Type::Services => Vec::new(),
        Type::Namespaces => admit_namespace(new),
        Type::Pods => admit_pod(new, old),
        Type::Endpoints => endpoints::admit_endpoints(new),
        Type::EndpointSlices => endpoints::admit_slice(new, old),
        Type::Deployments | Type::ReplicaSets => admit_workload(resource, new, old),
        Type::Secrets => admit_secret(new, old),
        Type::Nodes | Type::ConfigMaps | Type::Events | Type::ServiceAccounts => Vec::new(),
    });
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(resource, object::name(new), &errors)) }
}

/// Finalizers are Kubernetes' own, or carry the domain of who handles them.
fn bad_finalizers(object: &Value) -> Vec<FieldError> {
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let mut errors = Vec::new();
    for (at, name) in object::finalizers(object).enumerate() {
        let field = format!("metadata.finalizers[{at}]");
        if let Some(why) = labels::bad_key(name) {
            errors.push(FieldError::invalid(field, name, why));
        } else if !STANDARD.contains(&name) && !name.contains('/') {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(field, name, why));
        }
    }
    errors
}

/// Is the name one that the kind allows?
pub fn check_name(resource: Type, name: &str) -> Option<FieldError> {
    match resource {
        Type::Services | Type::Namespaces => service::dns_label("metadata.name", name),
        _ => service::dns_subdomain("metadata.name", name),
    }
}

fn admit_service(new: &mut Value, old: Option<&Value>, tx: &mut Transaction<'_>) -> Result<(), Refusal> {
    let given = old.map_or(0, cluster_ips).max(cluster_ips(new));
    let (allocations, chance) = tx.allocations();
    let admitted = service::admit(new, old, allocations, &mut |bound| chance.below(bound));
    if tx.is_dry_run() && admitted.is_ok() {
        show_bases(new, given);
    }
    admitted.map_err(|rejected| match rejected {
        Rejected::Invalid(errors) => Refusal::invalid(Type::Services, object::name(new), &errors),
        Rejected::Internal(text) => Refusal::internal(text),
    })
}

/// How many addresses a Service has, or asks for.
fn cluster_ips(service: &Value) -> usize {
    let single = usize::from(!object::text(service, "/spec/clusterIP").is_empty());
    object::list(service, "/spec/clusterIPs").len().max(single)
}

/// A dry run allocates nothing: in place of addresses after the `given` ones it shows the first of their ranges.
fn show_bases(service: &mut Value, given: usize) {
    let spec = &mut service["spec"];
    let families: Vec<Value> = object::list(spec, "/ipFamilies").to_vec();
    let ips = spec["clusterIPs"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for (ip, family) in ips.iter_mut().zip(families).skip(given) {
        let family = if family == "IPv6" { IpFamily::IPv6 } else { IpFamily::IPv4 };
        *ip = service_base(family).to_string().into();
    }
    if let Some(first) = ips.first().cloned() {
        spec["clusterIP"] = first;
    }
}

/// Checks a status that a client sets.
pub fn check_status(resource: Type, new: &Value) -> Result<(), Refusal> {
    let errors = if resource == Type::Services { service::validate_status(new) } else { Vec::new() };
    if errors.is_empty() { Ok(()) } else { Err(Refusal::invalid(resource, object::name(new), &errors)) }
}

fn admit_namespace(new: &mut Value) -> Vec<FieldError> {
    let name = object::name(new).to_owned();
    new["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
    if !object::is_terminating(new) {
        new["spec"]["finalizers"] = json!(["kubernetes"]);
        new["status"]["phase"] = "Active".into();
    }
    Vec::new()
}

fn set_default(value: &mut Value, field: &str, default: impl Into<Value>) {
    if value.get(field).is_none_or(Value::is_null) {
        value[field] = default.into();
    }
}

fn admit_pod(new: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = pod_spec(&mut new["spec"], "spec");
    let spec = &mut new["spec"];
    set_default(spec, "enableServiceLinks", true);
    if old.is_none() {
        new["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
        return errors;
    }
    let containers = |pod: &Value| pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    if old.is_some_and(|old| containers(old) != containers(new)) {
        let why = "pod updates may not add or remove containers";
        errors.push(FieldError::forbidden("spec.containers", why));
    }
    errors
}

/// Defaults of a pod's or a template's spec.
fn pod_spec(spec: &mut Value, path: &str) -> Vec<FieldError> {
    for (field, default) in
        [("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"), ("schedulerName", "default-scheduler")]
    {
        set_default(spec, field, default);
    }
    set_default(spec, "terminationGracePeriodSeconds", 30);
    set_default(spec, "securityContext", json!({}));
    let mut errors = Vec::new();
    if object::list(spec, "/containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers")));
    }
    let containers = spec["containers"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for (at, container) in containers.iter_mut().enumerate() {
        for field in ["name", "image"] {
            if object::text(container, &format!("/{field}")).is_empty() {
                errors.push(FieldError::required(format!("{path}.containers[{at}].{field}")));
            }
        }
        let image = object::text(container, "/image");
        let latest = image.ends_with(":latest") || !image.rsplit('/').next().unwrap_or(image).contains(':');
        set_default(container, "imagePullPolicy", if latest { "Always" } else { "IfNotPresent" });
        set_default(container, "terminationMessagePath", "/dev/termination-log");
        set_default(container, "terminationMessagePolicy", "File");
        set_default(container, "resources", json!({}));
        let ports = container.get_mut("ports").and_then(Value::as_array_mut);
        ports.into_iter().flatten().for_each(|port| set_default(port, "protocol", "TCP"));
    }
    errors
}

/// `stringData` becomes `data`.
fn admit_secret(new: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    set_default(new, "type", "Opaque");
    if let Some(Value::Object(texts)) = new.as_object_mut().and_then(|fields| fields.remove("stringData")) {
        for (key, text) in texts {
            new["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
        }
    }
    let changed = old.is_some_and(|old| old["type"] != new["type"]);
    let kind = new["type"].clone();
    changed.then(|| FieldError::invalid("type", kind, "field is immutable")).into_iter().collect()
}

fn admit_workload(resource: Type, new: &mut Value, old: Option<&Value>) -> Vec<FieldError> {
    let spec = &mut new["spec"];
    set_default(spec, "replicas", 1);
    if resource == Type::Deployments {
        set_default(spec, "revisionHistoryLimit", 10);
        set_default(spec, "progressDeadlineSeconds", 600);
        set_default(&mut spec["strategy"], "type", "RollingUpdate");
        if spec["strategy"]["type"] == "RollingUpdate" {
            set_default(&mut spec["strategy"]["rollingUpdate"], "maxSurge", "25%");
            set_default(&mut spec["strategy"]["rollingUpdate"], "maxUnavailable", "25%");
        }
    }
    let mut errors = pod_spec(&mut spec["template"]["spec"], "spec.template.spec");
    if spec["replicas"].as_i64().is_some_and(|count| count < 0) {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.replicas", spec["replicas"].clone(), why));
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let wanted = spec["selector"]["matchLabels"].as_object();
    match wanted {
        Some(wanted) if !wanted.is_empty() => {
            if wanted.iter().any(|(key, value)| labels.get(key) != Some(value)) {
                let why = "`selector` does not match template `labels`";
                errors.push(FieldError::invalid("spec.template.metadata.labels", labels.clone(), why));
            }
        }
        _ => errors.push(FieldError::required("spec.selector")),
    }
    if old.is_some_and(|old| old["spec"]["selector"] != new["spec"]["selector"]) {
        let selector = new["spec"]["selector"].clone();
        errors.push(FieldError::invalid("spec.selector", selector, "field is immutable"));
    }
    errors
}
