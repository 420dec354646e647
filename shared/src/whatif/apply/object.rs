//! Whole objects: applied, patched, deleted, with the API server's admission, and its words where it would refuse.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::pod::{Health, Placing, find, start};
use super::unknown::not_found;
use super::workload::siblings;
use super::world::World;
use super::{Outcome, node};
use crate::admission::service::{self, Rejected, dns_label, dns_subdomain};
use crate::admission::{FieldError, endpoints, labels, strategic, types};
use crate::controllers::{endpointslices, mirroring};
use crate::delta::Object;
use crate::manifest::{decode_as, encode, kind_of};
use crate::model::{Cause, EndpointSlice, Key, Keyed, Kind, MANAGED_BY_LABEL, Meta, PodPhase, Service};
use crate::whatif::edit::{ObjectName, kind_word, with_namespace};

/// Annotation in which `kubectl apply` notes the manifest.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Merges `patch` into `target` (RFC 7386): `null` removes, objects merge, all else replaces.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Makes an object, or changes it as `kubectl apply` does: what the manifest leaves out stays as it is, unless a manifest that was
/// applied before by the same edits had it. What other manifests had before is not known: kubectl, where it does not know, does
/// the same. A `status` is merged as well.
pub(super) fn apply(world: &mut World<'_>, manifest: &Value) -> Outcome {
    let Some(kind) = kind_of(manifest) else { return Err(not_kept(manifest)) };
    if !manifest["metadata"].is_object() {
        return Err("metadata: Required value".to_owned());
    }
    let mut value = with_namespace(manifest);
    check_shape(kind, &value)?;
    check_name(kind, &value)?;
    let object = decode_as(kind, value.clone()).object_ref;
    let old = world.state.object(kind, &object.key);
    let applied = value.clone();
    match &old {
        None => check_namespace(world, kind, &object.key)?,
        Some(old) => value = merged(world.last_applied(&object), &applied, encode(old))?,
    }
    note_applied(&mut value, manifest);
    store(world, kind, value, old.as_ref())?;
    world.note_applied(object, applied);
    Ok(())
}

/// The object with the manifest applied to it.
fn merged(last: &Value, manifest: &Value, mut object: Value) -> Outcome<Value> {
    let patch = strategic::three_way(last, manifest, &object).map_err(|error| error.to_string())?;
    strategic::merge(&mut object, &patch).map_err(|error| error.to_string())?;
    Ok(object)
}

fn note_applied(value: &mut Value, manifest: &Value) {
    let annotations = &mut value["metadata"]["annotations"];
    if annotations.is_null() || annotations.is_object() {
        annotations[LAST_APPLIED] = manifest.to_string().into();
    }
}

fn not_kept(manifest: &Value) -> String {
    let text = |field: &str| manifest.get(field).and_then(Value::as_str).unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("", _) | (_, "") => "manifest: expected an object with apiVersion, kind and metadata".to_owned(),
        (_, "List") => {
            "manifest: expected one object: give each item of the List an edit of its own".to_owned()
        }
        (_, kind @ ("Deployment" | "StatefulSet" | "ReplicaSet" | "DaemonSet")) => {
            format!("{kind}s are known only by their pods: scale it, or apply a Pod")
        }
        (_, "ConfigMap") => "of ConfigMaps only kube-system/kube-proxy matters here".to_owned(),
        (version, kind) => {
            format!("no matches for kind \"{kind}\" in version \"{version}\" among those that move traffic")
        }
    }
}

/// Merges a patch into an object that is there.
pub(super) fn patch(world: &mut World<'_>, object: &ObjectName, patch: &Value) -> Outcome {
    let ObjectName { kind, key } = object;
    let missing = || not_found(&world.state, *kind, key);
    let old = world.state.object(*kind, key).ok_or_else(missing)?;
    if !patch.is_object() {
        return Err("patch: expected an object: a JSON merge patch (RFC 7386)".to_owned());
    }
    let mut value = encode(&old);
    merge(&mut value, patch);
    for (pointer, expected) in [("/metadata/name", &key.name), ("/metadata/namespace", &key.namespace)] {
        let found = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if found != &**expected {
            let field = pointer[1..].replace('/', ".");
            let error = FieldError::invalid(field, found, "field is immutable");
            return Err(invalid(*kind, key, &[error]));
        }
    }
    if kind_of(&value) != Some(*kind) {
        return Err(invalid(
            *kind,
            key,
            &[FieldError::invalid("kind", value["kind"].clone(), "field is immutable")],
        ));
    }
    store(world, *kind, value, Some(&old))
}

/// `Service "cart" is invalid: spec.ports: Required value`.
fn invalid(kind: Kind, key: &Key, errors: &[FieldError]) -> String {
    let qualified = match kind {
        Kind::EndpointSlice => "EndpointSlice.discovery.k8s.io",
        kind => kind_word(kind),
    };
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let text = if texts.len() == 1 { texts.join("") } else { format!("[{}]", texts.join(", ")) };
    format!("{qualified} \"{}\" is invalid: {text}", key.name)
}

fn check_name(kind: Kind, value: &Value) -> Outcome {
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    let error = match kind {
        _ if name.is_empty() => {
            Some(FieldError::required_because("metadata.name", "name or generateName is required"))
        }
        Kind::Service | Kind::Namespace => dns_label("metadata.name", name),
        _ => dns_subdomain("metadata.name", name),
    };
    let namespace = value["metadata"]["namespace"].as_str();
    let error = error.or_else(|| dns_label("metadata.namespace", namespace?));
    match error {
        Some(error) => Err(invalid(kind, &Key::cluster(name), &[error])),
        None => Ok(()),
    }
}

/// Nothing is made in a namespace that is not there. A file without Namespaces says nothing of them.
fn check_namespace(world: &World<'_>, kind: Kind, key: &Key) -> Outcome {
    let namespace = Key::cluster(key.namespace.clone());
    let all = world.state.namespaces();
    if matches!(kind, Kind::Namespace | Kind::Node) || all.is_empty() || all.contains(&namespace) {
        return Ok(());
    }
    Err(not_found(&world.state, Kind::Namespace, &namespace))
}

/// Admits and writes the object `value`, which replaces `old` if there is one.
fn store(world: &mut World<'_>, kind: Kind, mut value: Value, old: Option<&Object>) -> Outcome {
    let key = decode_as(kind, value.clone()).object_ref.key;
    check_shape(kind, &value)?;
    let errors = labels::validate("metadata.labels", &value["metadata"]["labels"]);
    if !errors.is_empty() {
        return Err(invalid(kind, &key, &errors));
    }
    admit(world, kind, &key, &mut value, old)?;
    let decoded = decode_as(kind, value);
    if let Some(fault) = &decoded.fault {
        let causes: Vec<String> = fault.causes.iter().map(words).collect();
        return Err(format!("{} \"{}\" is invalid: {}", kind_word(kind), key.name, causes.join("; ")));
    }
    let Some(object) = decoded.object else { return Ok(()) };
    write(world, object, old)
}

/// Every field has the type that the API gives it. After this, code may index known paths.
fn check_shape(kind: Kind, value: &Value) -> Outcome {
    let (types, name) = (types::watched(), kind_word(kind));
    let version = value["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let error = types.of_kind(group, name).and_then(|schema| types.type_error(value, schema));
    error.map_or(Ok(()), |why| Err(types::cannot_handle(name, version, name, &why)))
}

fn words(cause: &Cause) -> String {
    if cause.field.is_empty() {
        cause.reason.to_string()
    } else {
        format!("{}: {}", cause.field, cause.reason)
    }
}

fn admit(world: &mut World<'_>, kind: Kind, key: &Key, value: &mut Value, old: Option<&Object>) -> Outcome {
    let old_value = old.map(encode);
    let errors = match kind {
        Kind::Service => return admit_service(world, key, value, old_value.as_ref()),
        Kind::EndpointSlice => endpoints::admit_slice(value, old_value.as_ref()),
        Kind::Endpoints => endpoints::admit_endpoints(value),
        Kind::Pod | Kind::Node | Kind::Namespace | Kind::ProxyConfig => Vec::new(),
    };
    if errors.is_empty() { Ok(()) } else { Err(invalid(kind, key, &errors)) }
}

fn admit_service(world: &mut World<'_>, key: &Key, value: &mut Value, old: Option<&Value>) -> Outcome {
    let status = value["status"].clone();
    let mut nth = 0;
    let mut below = |bound: u64| {
        nth += 1;
        spread(key, nth) % bound.max(1)
    };
    let admitted = service::admit(value, old, world.allocations(), &mut below);
    admitted.map_err(|rejected| match rejected {
        Rejected::Invalid(errors) => invalid(Kind::Service, key, &errors),
        Rejected::Internal(text) => format!("Internal error occurred: {text}"),
    })?;
    // A status may be given here: what if the balancer had another address.
    if value["spec"]["type"] == "LoadBalancer" && status.is_object() {
        value["status"] = status;
    }
    let errors = service::validate_status(value);
    if errors.is_empty() { Ok(()) } else { Err(invalid(Kind::Service, key, &errors)) }
}

/// In place of chance: the same for the same Service (FNV-1a).
fn spread(key: &Key, nth: u64) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = key.to_string().bytes().chain(nth.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
    hash ^ (hash >> 29)
}

/// What the cluster adds to objects: age, and for pods a node, addresses and a start.
fn write(world: &mut World<'_>, object: Object, old: Option<&Object>) -> Outcome {
    match object {
        Object::Pod(pod) => {
            let mut pod = Arc::unwrap_or_clone(pod);
            let before = match old {
                Some(Object::Pod(before)) => Some(before.clone()),
                _ => None,
            };
            keep(&mut pod.meta, before.as_ref().map(|pod| &pod.meta), world);
            if before.is_none() && pod.phase == PodPhase::Pending {
                let others = siblings(&world.state, &pod);
                let given = pod.node.clone();
                let placing = given.as_ref().map_or(Placing::Schedule(&others), Placing::On);
                start(world, &mut pod, None, placing, Health::Ready)?;
            }
            world.put_pod(pod);
        }
        Object::Node(node) => {
            let mut node = Arc::unwrap_or_clone(node);
            let before = match old {
                Some(Object::Node(before)) => Some(&before.meta),
                _ => None,
            };
            // A manifest of a new node says nothing of its health.
            node.ready |= before.is_none();
            keep(&mut node.meta, before, world);
            world.put_node(node);
        }
        Object::Service(service) => {
            let mut service = Arc::unwrap_or_clone(service);
            let before: Option<&Arc<Service>> = match old {
                Some(Object::Service(before)) => Some(before),
                _ => None,
            };
            keep(&mut service.meta, before.map(|service| &service.meta), world);
            if let Some(before) = before {
                service.balancer_errors = before.balancer_errors.clone();
            }
            world.put(Object::Service(Arc::new(service)));
        }
        other => world.put(other),
    }
    Ok(())
}

/// Identity and age are the server's.
fn keep(meta: &mut Meta, before: Option<&Meta>, world: &World<'_>) {
    match before {
        Some(before) => {
            meta.uid = before.uid.clone();
            meta.created = before.created;
            meta.deleted = before.deleted;
            if meta.owner.is_none() {
                meta.owner = before.owner.clone();
            }
        }
        None => meta.created = Some(world.now),
    }
}

/// Deletes an object, and what the garbage collector and the controllers delete or make again because of it.
pub(super) fn delete(world: &mut World<'_>, object: &ObjectName) -> Outcome {
    let ObjectName { kind, key } = object;
    if world.state.object(*kind, key).is_none() {
        return Err(not_found(&world.state, *kind, key));
    }
    match kind {
        Kind::Namespace => delete_namespace(world, key),
        Kind::Node => return node::remove(world, &key.name),
        Kind::Pod => {
            let pod = find(world, key)?;
            return node::replace(world, &pod);
        }
        Kind::Service => {
            world.remove(Kind::Service, key);
            world.remove(Kind::Endpoints, key);
            collect_slices(world, key);
        }
        Kind::Endpoints => {
            world.remove(Kind::Endpoints, key);
        }
        Kind::EndpointSlice | Kind::ProxyConfig => world.remove(*kind, key),
    }
    Ok(())
}

/// Slices that belong to a Service that is gone, by owner or by their manager.
fn collect_slices(world: &mut World<'_>, service: &Key) {
    let managers = [endpointslices::MANAGER, mirroring::MANAGER];
    let goes = |slice: &&Arc<EndpointSlice>| {
        let manager = slice.meta.labels.get(MANAGED_BY_LABEL);
        let owner = slice.meta.owner.as_ref();
        manager.is_some_and(|by| managers.contains(&&**by))
            || owner.is_some_and(|owner| {
                owner.name == service.name && matches!(&*owner.kind, "Service" | "Endpoints")
            })
    };
    let slices: Vec<Key> =
        world.state.slices_of(service).filter(goes).map(|slice| slice.key().clone()).collect();
    slices.iter().for_each(|slice| world.remove(Kind::EndpointSlice, slice));
}

fn delete_namespace(world: &mut World<'_>, namespace: &Key) {
    let name = &namespace.name;
    for kind in [Kind::Service, Kind::EndpointSlice, Kind::Endpoints, Kind::Pod, Kind::ProxyConfig] {
        for object in world.state.refs(kind).into_iter().filter(|object| object.key.namespace == *name) {
            world.remove(kind, &object.key);
        }
    }
    world.remove(Kind::Namespace, namespace);
}
