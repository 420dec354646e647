//! Discovery: what is served, aggregated (what kubectl asks for first) and group by group (what every client understands).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::resources::{Feature, RESOURCES, Resource, Type};
use super::reviews::REVIEWS;

const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Served without objects: `policy` is there for evictions.
const BARE_GROUPS: [&str; 1] = ["policy"];

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
    let known = group.is_empty() || is_group(group);
    if !known || version != "v1" {
        return None;
    }
    let resources: Vec<Value> = entries(group).iter().flat_map(Entry::legacy).collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

/// The aggregated form's media type in this version of it, if `accept` has it.
pub fn aggregated_type(accept: &str) -> Option<&'static str> {
    let first = accept.split(',').find(|one| one.trim().starts_with("application/json"))?;
    let has = |wanted: &str| first.split(';').any(|part| part.trim() == wanted);
    if !has("as=APIGroupDiscoveryList") || !has("g=apidiscovery.k8s.io") {
        return None;
    }
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let v2beta1 = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    match (has("v=v2"), has("v=v2beta1")) {
        (true, _) => Some(v2),
        (_, true) => Some(v2beta1),
        _ => None,
    }
}

/// `/api` (the core group) or `/apis` (the others), aggregated.
pub fn aggregated(core: Core, media_type: &str) -> Value {
    let version = if media_type.contains("v2beta1") { "v2beta1" } else { "v2" };
    let names = match core {
        Core::Only => vec![""],
        Core::Without => group_names(),
    };
    let item = |name: &str| {
        let resources: Vec<Value> = entries(name).iter().map(Entry::aggregated).collect();
        let metadata = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
        json!({
            "metadata": metadata,
            "versions": [{ "version": "v1", "freshness": "Current", "resources": resources }],
        })
    };
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{version}"), "metadata": {},
        "items": names.into_iter().map(item).collect::<Vec<_>>(),
    })
}

/// Which groups an aggregated answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Core {
    Only,
    Without,
}

/// An entity tag for a document.
pub fn etag(document: &Value) -> String {
    let hash = Sha256::digest(document.to_string().as_bytes());
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hex}\"")
}

/// True if anything is served below the group.
pub fn is_group(name: &str) -> bool {
    group_names().contains(&name)
}

fn group_names() -> Vec<&'static str> {
    let stored = RESOURCES.iter().map(|info| info.group).filter(|group| !group.is_empty());
    let reviews = REVIEWS.iter().map(|row| row.0);
    let mut names: Vec<_> = stored.chain(reviews).chain(BARE_GROUPS).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn group_entry(name: &str) -> Value {
    let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

/// A resource with its subresources.
struct Entry {
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    verbs: &'static [&'static str],
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    subs: Vec<Sub>,
}

struct Sub {
    name: &'static str,
    /// Group, version and kind, where they are not the resource's.
    kind: Option<(&'static str, &'static str, &'static str)>,
    verbs: &'static [&'static str],
}

fn entries(group: &str) -> Vec<Entry> {
    let stored = RESOURCES.iter().filter(|info| info.group == group).map(Entry::of);
    let reviews = REVIEWS.iter().filter(|row| row.0 == group).map(|row| Entry {
        plural: row.1,
        singular: row.1.strip_suffix('s').unwrap_or(row.1),
        kind: row.2,
        namespaced: row.3,
        verbs: &["create"],
        short_names: &[],
        categories: &[],
        subs: Vec::new(),
    });
    let mut all: Vec<Entry> = stored.chain(reviews).collect();
    all.sort_by_key(|entry| entry.plural);
    all
}

impl Entry {
    fn of(info: &'static Resource) -> Entry {
        const STATUS: &[&str] = &["get", "patch", "update"];
        let sub = |name, kind, verbs| Sub { name, kind, verbs };
        let mut subs = Vec::new();
        if info.resource == Type::Pods {
            subs.push(sub("eviction", Some(("policy", "v1", "Eviction")), &["create"]));
            subs.push(sub("portforward", Some(("", "v1", "PodPortForwardOptions")), &["create", "get"]));
        }
        if info.resource.has(Feature::Scale) {
            subs.push(sub("scale", Some(("autoscaling", "v1", "Scale")), STATUS));
        }
        if info.resource.has(Feature::Status) {
            subs.push(sub("status", None, STATUS));
        }
        Entry {
            plural: info.plural,
            singular: info.singular,
            kind: info.kind,
            namespaced: info.resource.is_namespaced(),
            verbs: &VERBS,
            short_names: info.short_names,
            categories: info.categories,
            subs,
        }
    }

    fn legacy(&self) -> Vec<Value> {
        let mut all = vec![json!({
            "name": self.plural, "singularName": self.singular, "namespaced": self.namespaced, "kind": self.kind,
            "verbs": self.verbs, "shortNames": self.short_names, "categories": self.categories,
        })];
        for sub in &self.subs {
            let mut entry = json!({
                "name": format!("{}/{}", self.plural, sub.name), "singularName": "", "namespaced": self.namespaced,
                "kind": sub.kind.map_or(self.kind, |kind| kind.2), "verbs": sub.verbs,
            });
            if let Some((group, version, _)) = sub.kind.filter(|kind| !kind.0.is_empty()) {
                entry["group"] = group.into();
                entry["version"] = version.into();
            }
            all.push(entry);
        }
        all
    }

    fn aggregated(&self) -> Value {
        let kind = |group: &str, version: &str, kind: &str| json!({ "group": group, "version": version, "kind": kind });
        let sub = |sub: &Sub| {
            let of = sub.kind.map_or_else(|| kind("", "", self.kind), |of| kind(of.0, of.1, of.2));
            json!({ "subresource": sub.name, "responseKind": of, "verbs": sub.verbs })
        };
        json!({
            "resource": self.plural, "responseKind": kind("", "", self.kind),
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": self.singular,
            "verbs": self.verbs, "shortNames": self.short_names, "categories": self.categories,
            "subresources": self.subs.iter().map(sub).collect::<Vec<_>>(),
        })
    }
}
