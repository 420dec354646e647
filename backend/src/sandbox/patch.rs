//! PATCH: JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes' strategic merge.
//!
//! Strategic merge knows from a table which lists merge, and by which key; all others are replaced. Upstream:
//! `k8s.io/apimachinery/pkg/util/strategicpatch`.

use serde_json::{Map, Value};

use super::errors::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply.
    Apply,
}

impl PatchKind {
    /// By `Content-Type`.
    pub fn of(content_type: &str) -> Result<PatchKind, Refusal> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(PatchKind::Json),
            "application/merge-patch+json" => Ok(PatchKind::Merge),
            "application/strategic-merge-patch+json" => Ok(PatchKind::Strategic),
            "application/apply-patch+yaml" => Ok(PatchKind::Apply),
            _ => Err(Refusal::unsupported_media("415: Unsupported Media Type")),
        }
    }
}

/// The patched document.
pub fn apply(kind: PatchKind, target: &Value, patch: &Value) -> Result<Value, Refusal> {
    let mut result = target.clone();
    match kind {
        // Applying to what has no managed fields, a Scale, merges.
        PatchKind::Merge | PatchKind::Apply => json_patch::merge(&mut result, patch),
        PatchKind::Strategic => merge_strategic(&mut result, patch, &mut Vec::new())?,
        PatchKind::Json => {
            let operations: json_patch::Patch = serde_json::from_value(patch.clone())
                .map_err(|error| Refusal::bad_request(format!("error decoding patch: {error}")))?;
            if operations.len() > 10_000 {
                return Err(Refusal::too_large());
            }
            json_patch::patch(&mut result, &operations).map_err(|_| Refusal::unprocessable())?;
        }
    }
    Ok(result)
}

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

fn merge_strategic(target: &mut Value, patch: &Value, path: &mut Vec<String>) -> Result<(), Refusal> {
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
        if let Some(list) = field.strip_prefix("$deleteFromPrimitiveList/") {
            delete_values(out, list, value);
        } else if !field.starts_with('$') {
            merge_field(out, field, value, path)?;
        }
    }
    for (field, order) in fields {
        if let Some(list) = field.strip_prefix("$setElementOrder/") {
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
) -> Result<(), Refusal> {
    match value {
        Value::Null => {
            out.remove(field);
        }
        Value::Object(_) if directive(value) == Some("delete") => {
            out.remove(field);
        }
        Value::Object(_) => {
            path.push(field.to_owned());
            let merged = merge_strategic(out.entry(field).or_insert(Value::Null), value, path);
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
) -> Result<(), Refusal> {
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
    key: &str,
    path: &mut Vec<String>,
) -> Result<(), Refusal> {
    let Some(id) = item.get(key) else {
        let text = format!("map: {} does not contain declared merge key: {key}", go_text(item));
        return Err(Refusal::plain(500, text));
    };
    let at = list.iter().position(|old| old.get(key) == Some(id));
    match (at, directive(item)) {
        (at, Some("delete")) => {
            at.map(|at| list.remove(at));
        }
        (Some(at), _) => merge_strategic(&mut list[at], item, path)?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(ports: Value) -> Value {
        json!({ "spec": { "ports": ports, "type": "ClusterIP" } })
    }

    #[test]
    fn strategic_merge() {
        let two = json!([{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]);
        let rows = [
            (
                "a map merges",
                json!({"spec": {"type": "NodePort"}}),
                json!({"spec": {"ports": two, "type": "NodePort"}}),
            ),
            ("null deletes", json!({"spec": {"type": null}}), json!({"spec": {"ports": two}})),
            (
                "a list merges by its key",
                json!({"spec": {"ports": [{"port": 81, "name": "c"}]}}),
                service(json!([{"port": 80, "name": "a"}, {"port": 81, "name": "c"}])),
            ),
            (
                "new elements come first",
                json!({"spec": {"ports": [{"port": 82}]}}),
                service(json!([{"port": 82}, {"port": 80, "name": "a"}, {"port": 81, "name": "b"}])),
            ),
            (
                "what kubectl apply sends for a changed port",
                json!({"spec": {"$setElementOrder/ports": [{"port": 82}, {"port": 81}], "ports": [{"port": 82}, {"$patch": "delete", "port": 80}]}}),
                service(json!([{"port": 82}, {"port": 81, "name": "b"}])),
            ),
            (
                "a list can be replaced",
                json!({"spec": {"ports": [{"$patch": "replace"}, {"port": 9}]}}),
                service(json!([{"port": 9}])),
            ),
            (
                "a map can be replaced",
                json!({"spec": {"$patch": "replace", "x": 1}}),
                json!({"spec": {"x": 1}}),
            ),
        ];
        for (what, patch, expected) in rows {
            assert_eq!(
                apply(PatchKind::Strategic, &service(two.clone()), &patch).unwrap(),
                expected,
                "{what}"
            );
        }
    }

    #[test]
    fn sets_and_unmerged_lists() {
        let target =
            json!({"metadata": {"finalizers": ["a/b", "c/d"]}, "spec": {"externalIPs": ["1.1.1.1"]}});
        let patch = json!({
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"], "finalizers": ["e/f"]},
            "spec": {"externalIPs": ["2.2.2.2"]},
        });
        let result = apply(PatchKind::Strategic, &target, &patch).unwrap();
        assert_eq!(result["metadata"]["finalizers"], json!(["c/d", "e/f"]));
        assert_eq!(result["spec"]["externalIPs"], json!(["2.2.2.2"]));
    }

    #[test]
    fn a_json_patch_that_fails_is_unprocessable() {
        let patch = json!([{"op": "test", "path": "/a", "value": 1}]);
        assert_eq!(apply(PatchKind::Json, &json!({"a": 2}), &patch).unwrap_err().code, 422);
        let refused = apply(PatchKind::Json, &json!({}), &json!({"op": "x"})).unwrap_err();
        assert!(refused.message.starts_with("error decoding patch: "), "{}", refused.message);
    }
}
