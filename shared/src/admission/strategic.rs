//! Kubernetes' strategic merge: patches that know from a table which lists merge, and by which key; all others are replaced.
//! [`merge`] is what an API server does with one, [`three_way`] makes the one that `kubectl apply` sends.
//!
//! Upstream: `k8s.io/apimachinery/pkg/util/strategicpatch`; the keys are the `patchMergeKey` tags of the API types.

use serde_json::{Map, Value, json};

/// An element of a list that merges by a field, without that field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("map: {element} does not contain declared merge key: {key}")]
pub struct NoMergeKey {
    /// As Go prints it.
    element: String,
    key: &'static str,
}

impl NoMergeKey {
    fn new(element: &Value, key: &'static str) -> NoMergeKey {
        NoMergeKey { element: go_text(element), key }
    }
}

/// Merges a strategic merge patch into `target`.
pub fn merge(target: &mut Value, patch: &Value) -> Result<(), NoMergeKey> {
    merge_at(target, patch, &mut Vec::new())
}

/// The patch that `kubectl apply` makes: `modified` is the manifest, `current` the object as it is, `last` the manifest applied
/// before, if that is known. What `modified` leaves out stays, unless `last` had it. Nothing differs: an empty object.
pub fn three_way(last: &Value, modified: &Value, current: &Value) -> Result<Value, NoMergeKey> {
    Ok(Value::Object(differing(last, modified, current, &mut Vec::new())?))
}

fn differing(
    last: &Value,
    modified: &Value,
    current: &Value,
    path: &mut Vec<String>,
) -> Result<Map<String, Value>, NoMergeKey> {
    let mut patch = Map::new();
    for (field, wanted) in modified.as_object().into_iter().flatten() {
        let before = last.get(field).unwrap_or(&Value::Null);
        match (current.get(field), wanted) {
            (Some(found @ Value::Object(_)), Value::Object(_)) => {
                path.push(field.clone());
                let inner = differing(before, wanted, found, path)?;
                path.pop();
                if !inner.is_empty() {
                    patch.insert(field.clone(), inner.into());
                }
            }
            (Some(Value::Array(found)), Value::Array(wanted)) => {
                let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
                differing_list(&mut patch, field, [before, wanted, found], path)?;
            }
            (Some(found), wanted) if found == wanted => {}
            _ => drop(patch.insert(field.clone(), wanted.clone())),
        }
    }
    let gone = last.as_object().into_iter().flatten().filter(|(field, _)| modified.get(field).is_none());
    patch.extend(gone.map(|(field, _)| (field.clone(), Value::Null)));
    Ok(patch)
}

/// Adds to `patch` what changes the list `field`; the lists are those of the last manifest, of this one, and of the object.
fn differing_list(
    patch: &mut Map<String, Value>,
    field: &str,
    [last, wanted, found]: [&[Value]; 3],
    path: &mut Vec<String>,
) -> Result<(), NoMergeKey> {
    match strategy(path, field) {
        ListMerge::Replace if wanted == found => {}
        ListMerge::Replace => drop(patch.insert(field.to_owned(), wanted.into())),
        ListMerge::Set => {
            let missing: Vec<Value> = wanted.iter().filter(|item| !found.contains(item)).cloned().collect();
            let gone: Vec<Value> = last.iter().filter(|item| !wanted.contains(item)).cloned().collect();
            if !missing.is_empty() {
                patch.insert(field.to_owned(), missing.into());
            }
            if !gone.is_empty() {
                patch.insert(format!("{DELETE}{field}"), gone.into());
            }
        }
        ListMerge::By(key) => {
            path.push(field.to_owned());
            let items = differing_elements([last, wanted, found], key, path)?;
            path.pop();
            let id = |item: &&Value| wanted.iter().any(|wanted| wanted.get(key) == item.get(key));
            let moved =
                found.iter().filter(id).map(|item| &item[key]).ne(wanted.iter().map(|item| &item[key]));
            if moved || !items.is_empty() {
                let order: Vec<Value> = wanted.iter().map(|item| json!({ key: item[key] })).collect();
                patch.insert(format!("{ORDER}{field}"), order.into());
            }
            if !items.is_empty() {
                patch.insert(field.to_owned(), items.into());
            }
        }
    }
    Ok(())
}

/// Elements of one key, of which there may be several (a port number of two protocols), meet in their order.
fn differing_elements(
    [last, wanted, found]: [&[Value]; 3],
    key: &'static str,
    path: &mut Vec<String>,
) -> Result<Vec<Value>, NoMergeKey> {
    let mut items = Vec::new();
    for (at, item) in wanted.iter().enumerate() {
        let id = item.get(key).ok_or_else(|| NoMergeKey::new(item, key))?;
        let same = |other: &&Value| other.get(key) == Some(id);
        let nth = wanted[..at].iter().filter(same).count();
        let Some(old) = found.iter().filter(same).nth(nth) else {
            items.push(item.clone());
            continue;
        };
        let before = last.iter().filter(same).nth(nth).unwrap_or(&Value::Null);
        let mut inner = differing(before, item, old, path)?;
        if !inner.is_empty() {
            inner.insert(key.to_owned(), id.clone());
            items.push(inner.into());
        }
    }
    let stays = |item: &&Value| wanted.iter().any(|wanted| wanted.get(key) == item.get(key));
    let gone = last.iter().filter(|item| item.get(key).is_some() && !stays(item));
    items.extend(gone.map(|item| json!({ "$patch": "delete", key: item[key] })));
    Ok(items)
}

/// Directives before the name of a list.
const DELETE: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// How a list is merged.
enum ListMerge {
    /// By the value of this field of its elements.
    By(&'static str),
    /// As a set of plain values.
    Set,
    Replace,
}

/// The merge strategy of the list called `field` inside `parents`.
fn strategy(parents: &[String], field: &str) -> ListMerge {
    let inside = |name: &str| parents.last().is_some_and(|parent| parent == name);
    match field {
        "ports" if inside("containers") || inside("initContainers") || inside("ephemeralContainers") => {
            ListMerge::By("containerPort")
        }
        "ports" if inside("spec") => ListMerge::By("port"),
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "secrets" => ListMerge::By("name"),
        "volumeMounts" => ListMerge::By("mountPath"),
        "volumeDevices" => ListMerge::By("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => ListMerge::By("ip"),
        "topologySpreadConstraints" => ListMerge::By("topologyKey"),
        "conditions" => ListMerge::By("type"),
        "addresses" if inside("status") => ListMerge::By("type"),
        "ownerReferences" => ListMerge::By("uid"),
        "finalizers" => ListMerge::Set,
        "podCIDRs" if inside("spec") => ListMerge::Set,
        _ => ListMerge::Replace,
    }
}

fn directive(value: &Value) -> Option<&str> {
    value.get("$patch").and_then(Value::as_str)
}

fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let plain = map.iter().filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            Value::Object(plain.map(|(key, value)| (key.clone(), without_directives(value))).collect())
        }
        Value::Array(list) => {
            let plain = list.iter().filter(|item| directive(item).is_none());
            Value::Array(plain.map(without_directives).collect())
        }
        other => other.clone(),
    }
}

fn merge_at(target: &mut Value, patch: &Value, path: &mut Vec<String>) -> Result<(), NoMergeKey> {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    match directive(patch) {
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(out) = target else { return Ok(()) };
    retain_keys(out, fields);
    for (field, value) in fields {
        if let Some(list) = field.strip_prefix(DELETE) {
            delete_values(out, list, value);
        } else if !field.starts_with('$') {
            merge_field(out, field, value, path)?;
        }
    }
    for (field, order) in fields {
        if let Some(list) = field.strip_prefix(ORDER) {
            set_order(out, list, order, path);
        }
    }
    Ok(())
}

fn merge_field(
    out: &mut Map<String, Value>,
    field: &str,
    value: &Value,
    path: &mut Vec<String>,
) -> Result<(), NoMergeKey> {
    match value {
        Value::Null => {
            out.remove(field);
        }
        Value::Object(_) if directive(value) == Some("delete") => {
            out.remove(field);
        }
        Value::Object(_) => {
            path.push(field.to_owned());
            let merged = merge_at(out.entry(field).or_insert(Value::Null), value, path);
            path.pop();
            merged?;
        }
        Value::Array(items) => {
            let replace = items.iter().any(|item| item.get("$patch").is_some_and(|p| p == "replace"));
            let merge = if replace { ListMerge::Replace } else { strategy(path, field) };
            let slot = out.entry(field).or_insert(Value::Null);
            merge_list(slot, items, merge, field, path)?;
        }
        plain => {
            out.insert(field.to_owned(), plain.clone());
        }
    }
    Ok(())
}

fn merge_list(
    slot: &mut Value,
    items: &[Value],
    merge: ListMerge,
    field: &str,
    path: &mut Vec<String>,
) -> Result<(), NoMergeKey> {
    let mut list = match (slot.take(), &merge) {
        (Value::Array(list), ListMerge::By(_) | ListMerge::Set) => list,
        _ => Vec::new(),
    };
    match merge {
        ListMerge::Replace => {
            list = items.iter().filter(|i| directive(i).is_none()).map(without_directives).collect()
        }
        ListMerge::Set => {
            for item in items {
                if !list.contains(item) {
                    list.push(item.clone());
                }
            }
        }
        ListMerge::By(key) => {
            path.push(field.to_owned());
            let mut fresh = Vec::new();
            for item in items {
                merge_element(&mut list, &mut fresh, item, key, path)?;
            }
            path.pop();
            // New elements go to the front, as the real server does it without an order directive.
            fresh.append(&mut list);
            list = fresh;
        }
    }
    *slot = Value::Array(list);
    Ok(())
}

fn merge_element(
    list: &mut Vec<Value>,
    fresh: &mut Vec<Value>,
    item: &Value,
    key: &'static str,
    path: &mut Vec<String>,
) -> Result<(), NoMergeKey> {
    let Some(id) = item.get(key) else {
        return Err(NoMergeKey::new(item, key));
    };
    let at = list.iter().position(|old| old.get(key) == Some(id));
    match (at, directive(item)) {
        (at, Some("delete")) => {
            at.map(|at| list.remove(at));
        }
        (Some(at), _) => merge_at(&mut list[at], item, path)?,
        (None, _) => fresh.push(without_directives(item)),
    }
    Ok(())
}

/// A value as Go prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        plain => plain.to_string(),
    }
}

fn retain_keys(out: &mut Map<String, Value>, patch: &Map<String, Value>) {
    let Some(Value::Array(keys)) = patch.get("$retainKeys") else { return };
    out.retain(|field, _| keys.iter().any(|key| key == field));
}

fn delete_values(out: &mut Map<String, Value>, field: &str, values: &Value) {
    let (Some(Value::Array(list)), Value::Array(values)) = (out.get_mut(field), values) else { return };
    list.retain(|item| !values.contains(item));
}

/// Sorts a list as the directive says; elements that it does not name keep their place behind the one before them.
fn set_order(out: &mut Map<String, Value>, field: &str, order: &Value, path: &[String]) {
    let (Some(Value::Array(list)), Value::Array(order)) = (out.get_mut(field), order) else { return };
    let merge = strategy(path, field);
    let rank = |item: &Value| {
        order.iter().position(|wanted| match merge {
            ListMerge::By(key) => wanted.get(key).is_some() && wanted.get(key) == item.get(key),
            _ => wanted == item,
        })
    };
    let mut last = None;
    let ranked = list.drain(..).map(|item| {
        last = rank(&item).or(last);
        (last, item)
    });
    let mut ranked: Vec<(Option<usize>, Value)> = ranked.collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, item)| item));
}
