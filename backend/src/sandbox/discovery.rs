//! Discovery: what is served, in the unaggregated form, which every client falls back to.

use serde_json::{Value, json};

use super::resources::{Feature, RESOURCES, Resource};

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// `/version`.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "32", "gitVersion": "v1.32.0+vipscope-sandbox", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "vipscope/sandbox",
    })
}

/// `/api`.
pub fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

/// `/apis`.
pub fn groups() -> Value {
    let groups: Vec<Value> = group_names().into_iter().map(group_entry).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`.
pub fn group(name: &str) -> Option<Value> {
    let name = group_names().into_iter().find(|known| *known == name)?;
    let mut entry = group_entry(name);
    entry["kind"] = "APIGroup".into();
    entry["apiVersion"] = "v1".into();
    Some(entry)
}

/// `/api/v1` and `/apis/GROUP/VERSION`.
pub fn resource_list(group: &str, version: &str) -> Option<Value> {
    let served: Vec<&Resource> =
        RESOURCES.iter().filter(|info| info.group == group && info.version == version).collect();
    let first = served.first()?;
    let resources: Vec<Value> = served.iter().flat_map(|info| entries(info)).collect();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(), "resources": resources,
    }))
}

/// True if anything is served below the group.
pub fn is_group(name: &str) -> bool {
    group_names().contains(&name)
}

fn group_names() -> Vec<&'static str> {
    let mut names: Vec<_> =
        RESOURCES.iter().map(|info| info.group).filter(|group| !group.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn group_entry(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn entries(info: &Resource) -> Vec<Value> {
    let namespaced = info.resource.is_namespaced();
    let mut all = vec![json!({
        "name": info.plural, "singularName": info.singular, "namespaced": namespaced, "kind": info.kind,
        "verbs": VERBS, "shortNames": info.short_names, "categories": info.categories,
    })];
    let sub = |name: &str, kind: &str| {
        json!({
            "name": format!("{}/{name}", info.plural), "singularName": "", "namespaced": namespaced, "kind": kind,
            "verbs": ["get", "patch", "update"],
        })
    };
    if info.resource.has(Feature::Status) {
        all.push(sub("status", info.kind));
    }
    if info.resource.has(Feature::Scale) {
        let mut scale = sub("scale", "Scale");
        scale["group"] = "autoscaling".into();
        scale["version"] = "v1".into();
        all.push(scale);
    }
    all
}
