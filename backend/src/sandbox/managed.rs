//! Server-side apply: who owns which field, in `metadata.managedFields`, and what happens where owners disagree.
//!
//! Fields are paths of elements as Kubernetes writes them (`f:name`, `k:{"port":80,"protocol":"TCP"}`, `v:"text"`).
//! Upstream: `sigs.k8s.io/structured-merge-diff`, `k8s.io/apimachinery/pkg/util/managedfields`. Only clients' writes are
//! recorded; the sandbox's own controllers own nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::errors::Refusal;
use super::object;
use super::objects::Part;
use super::resources::{Feature, Type};
use super::schema::{self, Field, Fields, Merge, Schema, Shape, Typed};

type Path = Vec<String>;
type Paths = BTreeSet<Path>;
/// Every field with its value; an element of a list with keys is there as itself too, with `null`.
type Leaves<'a> = BTreeMap<Path, &'a Value>;

const KUBECTL_CLIENT_SIDE: &str = "kubectl-client-side-apply";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// What the server owns in `metadata`.
const SERVER_METADATA: [&str; 11] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];
/// What the server allocates for Services: nobody's.
const ALLOCATED: [&str; 6] =
    ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort", "healthCheckNodePort"];

/// Whose a write is, for `managedFields`.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Tracking {
    /// The sandbox's own: ownership stays as it is.
    #[default]
    Off,
    /// A client's create, update or patch.
    Update(String),
    /// An apply, which has worked out the owners already.
    Applied(Vec<Entry>),
}

/// One owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    manager: String,
    operation: &'static str,
    api_version: String,
    time: String,
    subresource: String,
    fields: Paths,
}

impl Entry {
    fn parse(value: &Value) -> Entry {
        let text = |pointer| object::text(value, pointer).to_owned();
        let mut fields = Paths::new();
        read_tree(&value["fieldsV1"], &mut Vec::new(), &mut fields);
        let apply = object::text(value, "/operation") == "Apply";
        Entry {
            manager: text("/manager"),
            operation: if apply { "Apply" } else { "Update" },
            api_version: text("/apiVersion"),
            time: text("/time"),
            subresource: text("/subresource"),
            fields,
        }
    }

    fn to_value(&self) -> Value {
        let mut value = json!({
            "manager": self.manager, "operation": self.operation, "apiVersion": self.api_version, "time": self.time,
            "fieldsType": "FieldsV1", "fieldsV1": tree(&self.fields),
        });
        if !self.subresource.is_empty() {
            value["subresource"] = self.subresource.as_str().into();
        }
        value
    }

    fn is(&self, manager: &str, operation: &str, subresource: &str) -> bool {
        (self.manager.as_str(), self.operation, self.subresource.as_str())
            == (manager, operation, subresource)
    }
}

fn read_tree(node: &Value, path: &mut Path, into: &mut Paths) {
    let Some(children) = node.as_object() else { return };
    if children.is_empty() && !path.is_empty() {
        into.insert(path.clone());
    }
    for (element, child) in children {
        if element == "." {
            into.insert(path.clone());
            continue;
        }
        path.push(element.clone());
        read_tree(child, path, into);
        path.pop();
    }
}

fn tree(paths: &Paths) -> Value {
    let mut root = Map::new();
    for path in paths {
        let mut node = &mut root;
        for element in path {
            let child = node.entry(element.as_str()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(child) = child else { break };
            node = child;
        }
    }
    // A path that others go on from is marked by a dot.
    paths.iter().for_each(|path| mark(&mut root, path));
    Value::Object(root)
}

fn mark(node: &mut Map<String, Value>, path: &[String]) {
    match path.split_first() {
        None if !node.is_empty() => drop(node.insert(".".to_owned(), json!({}))),
        None => {}
        Some((element, rest)) => {
            if let Some(Value::Object(child)) = node.get_mut(element) {
                mark(child, rest);
            }
        }
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    object::list(object, "/metadata/managedFields").iter().map(Entry::parse).collect()
}

/// Which fields a write to this part is about.
struct Scope {
    resource: Type,
    part: Part,
}

impl Scope {
    fn subresource(&self) -> &'static str {
        if self.part == Part::Status { "status" } else { "" }
    }

    fn leaves<'a>(&self, object: &'a Value) -> Leaves<'a> {
        let info = self.resource.info();
        let mut leaves = Leaves::new();
        if let Some(schema) = schema::of_kind(info.group, info.kind) {
            walk_struct(object, schema, &mut Vec::new(), &mut leaves);
        }
        leaves.retain(|path, _| self.holds(path));
        leaves
    }

    fn holds(&self, path: &[String]) -> bool {
        let name =
            |at: usize| path.get(at).and_then(|element| element.strip_prefix("f:")).unwrap_or_default();
        let status = name(0) == "status" && self.resource.has(Feature::Status);
        match name(0) {
            "kind" | "apiVersion" => false,
            "metadata" => self.part == Part::Main && path.len() > 1 && !SERVER_METADATA.contains(&name(1)),
            _ => status == (self.part == Part::Status),
        }
    }
}

fn walk_struct<'a>(value: &'a Value, schema: &'static Schema, path: &mut Path, into: &mut Leaves<'a>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        path.push(format!("f:{name}"));
        match schema.field(name) {
            Some(field) => walk_field(value, field, path, into),
            None => drop(into.insert(path.clone(), value)),
        }
        path.pop();
    }
}

fn walk_field<'a>(value: &'a Value, field: &'static Field, path: &mut Path, into: &mut Leaves<'a>) {
    let inner = field.schema().filter(|_| !field.is_atomic());
    match (field.shape, &field.merge, value) {
        (Shape::One, _, Value::Object(map)) if !map.is_empty() => match inner {
            Some(schema) => walk_struct(value, schema, path, into),
            None => drop(into.insert(path.clone(), value)),
        },
        (Shape::Map, Merge::Granular, Value::Object(map)) if !map.is_empty() => {
            for (key, value) in map {
                path.push(format!("f:{key}"));
                match inner {
                    Some(schema) if value.is_object() => walk_struct(value, schema, path, into),
                    _ => drop(into.insert(path.clone(), value)),
                }
                path.pop();
            }
        }
        (Shape::List, Merge::Set, Value::Array(list)) if !list.is_empty() => {
            for value in list {
                path.push(format!("v:{value}"));
                into.insert(path.clone(), value);
                path.pop();
            }
        }
        (Shape::List, Merge::Keys(keys), Value::Array(list)) if !list.is_empty() => {
            for element in list {
                path.push(key_element(element, keys));
                into.insert(path.clone(), &Value::Null);
                if let Some(schema) = field.schema() {
                    walk_struct(element, schema, path, into);
                }
                path.pop();
            }
        }
        _ => drop(into.insert(path.clone(), value)),
    }
}

/// The keys of an element; those that it leaves out count with their defaults.
fn keys_of(element: &Value, keys: &[&str]) -> Map<String, Value> {
    let value = |key: &str| element.get(key).cloned().or_else(|| schema::key_default(key));
    keys.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?))).collect()
}

fn key_element(element: &Value, keys: &[&str]) -> String {
    format!("k:{}", Value::Object(keys_of(element, keys)))
}

/// Notes in `new`, which replaces `old`, who owns what after this write.
pub fn track(
    tracking: &Tracking,
    resource: Type,
    part: Part,
    old: Option<&Value>,
    new: &mut Value,
    stamp: &str,
) {
    if *tracking == Tracking::Off {
        if let Some(owners) = old.and_then(|old| old.pointer("/metadata/managedFields")) {
            object::metadata(new).insert("managedFields".to_owned(), owners.clone());
        }
        return;
    }
    let scope = Scope { resource, part };
    let kept = match (old, new.pointer("/metadata/managedFields")) {
        // Clients may set it, to hand over ownership, or empty it.
        (_, Some(Value::Array(list))) if old.is_some() => list.iter().map(Entry::parse).collect(),
        (Some(old), _) => entries(old),
        _ => Vec::new(),
    };
    let mut owners = match tracking {
        Tracking::Off => kept,
        Tracking::Applied(owners) => owners.clone(),
        Tracking::Update(manager) => updated(&scope, kept, manager, old, new, stamp),
    };
    if old.is_some() {
        let now = scope.leaves(new);
        for owner in &mut owners {
            let ours = owner.subresource == scope.subresource();
            owner.fields.retain(|path| !ours || !scope.holds(path) || now.contains_key(path));
        }
    }
    owners.retain(|owner| !owner.fields.is_empty());
    let metadata = object::metadata(new);
    if owners.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), owners.iter().map(Entry::to_value).collect());
    }
}

fn updated(
    scope: &Scope,
    mut owners: Vec<Entry>,
    manager: &str,
    old: Option<&Value>,
    new: &Value,
    stamp: &str,
) -> Vec<Entry> {
    let before = old.map(|old| scope.leaves(old)).unwrap_or_default();
    let after = scope.leaves(new);
    let is_allocated = |path: &Path| {
        let last = path.last().and_then(|element| element.strip_prefix("f:")).unwrap_or_default();
        scope.resource == Type::Services && ALLOCATED.contains(&last)
    };
    let changed: Paths = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(value) && !is_allocated(path))
        .map(|(path, _)| path.clone())
        .collect();
    if changed.is_empty() {
        return owners;
    }
    for owner in owners.iter_mut().filter(|owner| !owner.is(manager, "Update", scope.subresource())) {
        owner.fields.retain(|path| !changed.contains(path));
    }
    let own = owners.iter_mut().find(|owner| owner.is(manager, "Update", scope.subresource()));
    match own {
        Some(own) => {
            own.fields.extend(changed);
            own.time = stamp.to_owned();
        }
        None => owners.push(Entry {
            manager: manager.to_owned(),
            operation: "Update",
            api_version: scope.resource.info().api_version(),
            time: stamp.to_owned(),
            subresource: scope.subresource().to_owned(),
            fields: changed,
        }),
    }
    owners
}

/// An apply request.
#[derive(Debug)]
pub struct Apply<'a> {
    pub resource: Type,
    pub part: Part,
    pub manager: &'a str,
    /// Take fields from others.
    pub force: bool,
    pub stamp: String,
}

impl Apply<'_> {
    /// The object that comes of applying `config` to `live`, and its owners. Says who is in the way.
    pub fn run(&self, live: Option<&Value>, config: &Value) -> Result<(Value, Vec<Entry>), Refusal> {
        let scope = Scope { resource: self.resource, part: self.part };
        let info = self.resource.info();
        let schema = schema::of_kind(info.group, info.kind)
            .ok_or_else(|| Refusal::internal(format!("{} has no schema", info.kind)))?;
        self.check(config, schema)?;
        let wanted = scope.leaves(config);
        let mut owners = live.map(entries).unwrap_or_default();
        let Some(live) = live else {
            owners.push(self.entry(&scope, wanted.into_keys().collect(), None));
            return Ok((config.clone(), owners));
        };
        let present = scope.leaves(live);
        let differs = |path: &Path| present.get(path) != wanted.get(path);
        let changed: Paths = wanted.keys().filter(|path| differs(path)).cloned().collect();
        self.settle(&scope, &mut owners, &changed, live)?;
        let at = owners.iter().position(|owner| owner.is(self.manager, "Apply", scope.subresource()));
        let own = at.map(|at| owners.remove(at));
        let mut result = live.clone();
        let mut config = config.clone();
        strip_foreign(&scope, &mut config);
        merge_struct(&mut result, &config, schema);
        let dropped: Vec<&Path> = own
            .iter()
            .flat_map(|own| &own.fields)
            .filter(|path| !wanted.contains_key(*path) && !is_parent(path, &wanted))
            .filter(|path| !owners.iter().any(|owner| owner.fields.iter().any(|held| held.starts_with(path))))
            .collect();
        for path in dropped {
            remove(&mut result, path, schema);
        }
        let entry = self.entry(&scope, wanted.into_keys().collect(), own);
        owners.insert(at.unwrap_or(owners.len()), entry);
        Ok((result, owners))
    }

    fn entry(&self, scope: &Scope, fields: Paths, before: Option<Entry>) -> Entry {
        // Who applies the same again changes nothing.
        let time = before.filter(|before| before.fields == fields).map(|before| before.time);
        Entry {
            manager: self.manager.to_owned(),
            operation: "Apply",
            api_version: self.resource.info().api_version(),
            time: time.unwrap_or_else(|| self.stamp.clone()),
            subresource: scope.subresource().to_owned(),
            fields,
        }
    }

    /// Every field has to be known, and keys unique.
    fn check(&self, config: &Value, schema: &'static Schema) -> Result<(), Refusal> {
        let info = self.resource.info();
        let (name, version) = (object::name(config), info.api_version());
        let of = match info.group {
            "" => format!("/{name}; /{version}, Kind={}", info.kind),
            _ => format!("/{name}; {version}, Kind={}", info.kind),
        };
        let refuse = |why: String| {
            Err(Refusal::plain(500, format!("failed to create typed patch object ({of}): {why}")))
        };
        if let Some(unknown) = schema::drop_unknown(&mut config.clone(), schema).first() {
            return refuse(format!(".{unknown}: field not declared in schema"));
        }
        match duplicate(config, schema, "") {
            Some((path, key)) => refuse(format!("{path}: duplicate entries for key {}", show_key(&key))),
            None => Ok(()),
        }
    }

    /// Takes `changed` from other owners if that may be, else says whose it is.
    fn settle(
        &self,
        scope: &Scope,
        owners: &mut [Entry],
        changed: &Paths,
        live: &Value,
    ) -> Result<(), Refusal> {
        let migrates = self.manager == "kubectl" && object::annotation(live, LAST_APPLIED).is_some();
        let mut conflicts: Vec<(String, String)> = Vec::new();
        for owner in owners.iter_mut() {
            if owner.is(self.manager, "Apply", scope.subresource()) {
                continue;
            }
            // kubectl takes over from what it was itself.
            let force = self.force || migrates && owner.manager == KUBECTL_CLIENT_SIDE;
            for path in changed.iter().filter(|path| owner.fields.contains(*path)) {
                if !force {
                    let using = match owner.operation {
                        "Update" => format!("\"{}\" using {}", owner.manager, owner.api_version),
                        _ => format!("\"{}\"", owner.manager),
                    };
                    conflicts.push((using, show(path)));
                }
            }
            if force {
                owner.fields.retain(|path| !changed.contains(path));
            }
        }
        if conflicts.is_empty() { Ok(()) } else { Err(conflict(conflicts)) }
    }
}

/// 409: these fields (second) are those owners' (first).
fn conflict(conflicts: Vec<(String, String)>) -> Refusal {
    let causes: Value = conflicts
        .iter()
        .map(|(owner, field)| {
            json!({ "reason": "FieldManagerConflict", "message": format!("conflict with {owner}"), "field": field })
        })
        .collect();
    let text = match conflicts.as_slice() {
        [(owner, field)] => format!("Apply failed with 1 conflict: conflict with {owner}: {field}"),
        all => {
            let mut by_owner: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            all.iter().for_each(|(owner, field)| by_owner.entry(owner).or_default().push(field));
            let lines: Vec<String> = by_owner
                .into_iter()
                .map(|(owner, fields)| format!("conflicts with {owner}:\n- {}", fields.join("\n- ")))
                .collect();
            format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
        }
    };
    Refusal { details: json!({ "causes": causes }), reason: "Conflict", ..Refusal::plain(409, text) }
}

fn is_parent(path: &Path, leaves: &Leaves<'_>) -> bool {
    leaves.keys().any(|leaf| leaf.len() > path.len() && leaf.starts_with(path))
}

/// `.spec.ports[port=81,protocol="TCP"].targetPort`.
fn show(path: &Path) -> String {
    let element = |element: &String| match element.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => show_key(&serde_json::from_str(keys).unwrap_or_default()),
        Some(("v", value)) => format!("[={value}]"),
        _ => element.clone(),
    };
    path.iter().map(element).collect()
}

fn show_key(keys: &Map<String, Value>) -> String {
    let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", pairs.join(","))
}

/// The first list with two elements of one key: where, and which key.
fn duplicate(value: &Value, schema: &'static Schema, path: &str) -> Option<(String, Map<String, Value>)> {
    value.as_object().into_iter().flatten().find_map(|(name, value)| {
        let (field, here) = (schema.field(name)?, format!("{path}.{name}"));
        if let (Merge::Keys(keys), Value::Array(list)) = (&field.merge, value) {
            let mut seen = BTreeSet::new();
            if let Some(twice) = list.iter().find(|element| !seen.insert(key_element(element, keys))) {
                return Some((here, keys_of(twice, keys)));
            }
        }
        let inner = field.schema()?;
        match value {
            Value::Object(_) if field.shape == Shape::One => duplicate(value, inner, &here),
            Value::Array(list) => list.iter().find_map(|element| duplicate(element, inner, &here)),
            _ => None,
        }
    })
}

/// What an apply to this part says about others does not count.
fn strip_foreign(scope: &Scope, config: &mut Value) {
    let Some(fields) = config.as_object_mut() else { return };
    if scope.part == Part::Status {
        fields.retain(|name, _| name == "status");
        return;
    }
    if scope.resource.has(Feature::Status) {
        fields.remove("status");
    }
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        // The version stays: it is checked.
        metadata.retain(|name, _| {
            !SERVER_METADATA.contains(&name.as_str()) || name == "resourceVersion" || name == "uid"
        });
    }
}

fn merge_struct(live: &mut Value, config: &Value, schema: &'static Schema) {
    let Some(wanted) = config.as_object() else {
        *live = config.clone();
        return;
    };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    for (name, value) in wanted {
        match schema.field(name) {
            Some(field) if !value.is_null() => merge_field(&mut live[name.as_str()], value, field),
            Some(_) => {}
            None => live[name.as_str()] = value.clone(),
        }
    }
}

fn merge_field(live: &mut Value, config: &Value, field: &'static Field) {
    let inner = field.schema().filter(|_| !field.is_atomic());
    match (field.shape, &field.merge, config) {
        (Shape::One, _, Value::Object(_)) if inner.is_some() => {
            if let Some(schema) = inner {
                merge_struct(live, config, schema);
            }
        }
        (Shape::Map, Merge::Granular, Value::Object(entries)) => {
            if !live.is_object() {
                *live = Value::Object(Map::new());
            }
            for (key, value) in entries {
                match inner {
                    Some(schema) => merge_struct(&mut live[key.as_str()], value, schema),
                    None => live[key.as_str()] = value.clone(),
                }
            }
        }
        (Shape::List, Merge::Set, Value::Array(values)) => {
            let mut list = live.as_array().cloned().unwrap_or_default();
            let fresh: Vec<Value> = values.iter().filter(|value| !list.contains(value)).cloned().collect();
            list.extend(fresh);
            *live = Value::Array(list);
        }
        (Shape::List, Merge::Keys(keys), Value::Array(elements)) => merge_keyed(live, elements, field, keys),
        _ => *live = config.clone(),
    }
}

fn merge_keyed(live: &mut Value, elements: &[Value], field: &'static Field, keys: &[&str]) {
    let mut list = live.as_array().cloned().unwrap_or_default();
    for element in elements {
        let key = key_element(element, keys);
        match (list.iter_mut().find(|old| key_element(old, keys) == key), field.schema()) {
            (Some(old), Some(schema)) => merge_struct(old, element, schema),
            _ => list.push(element.clone()),
        }
    }
    *live = Value::Array(list);
}

/// Removes the field at `path`.
fn remove(value: &mut Value, path: &[String], schema: &'static Schema) {
    let Some((element, rest)) = path.split_first() else { return };
    let Some(name) = element.strip_prefix("f:") else { return };
    let Some(map) = value.as_object_mut() else { return };
    if rest.is_empty() {
        map.remove(name);
        return;
    }
    let (Some(inner), Some(field)) = (map.get_mut(name), schema.field(name)) else { return };
    match (field.shape, inner) {
        (Shape::One, inner) => {
            if let Some(schema) = field.schema() {
                remove(inner, rest, schema);
            }
        }
        (Shape::Map, Value::Object(entries)) => {
            let Some(key) = rest[0].strip_prefix("f:") else { return };
            match (rest.len(), entries.get_mut(key), field.schema()) {
                (1, ..) => drop(entries.remove(key)),
                (_, Some(entry), Some(schema)) => remove(entry, &rest[1..], schema),
                _ => {}
            }
        }
        (Shape::List, Value::Array(list)) => remove_element(list, rest, field),
        _ => {}
    }
}

fn remove_element(list: &mut Vec<Value>, path: &[String], field: &'static Field) {
    let Some((element, rest)) = path.split_first() else { return };
    let is = |value: &Value| match &field.merge {
        Merge::Keys(keys) => key_element(value, keys) == *element,
        _ => format!("v:{value}") == *element,
    };
    let Some(at) = list.iter().position(is) else { return };
    if rest.is_empty() {
        list.remove(at);
    } else if let Some(schema) = field.schema() {
        remove(&mut list[at], rest, schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, Refusal> {
        let request =
            Apply { resource: Type::Services, part: Part::Main, manager, force, stamp: "now".to_owned() };
        let (mut result, owners) = request.run(live, config)?;
        track(&Tracking::Applied(owners), Type::Services, Part::Main, live, &mut result, "now");
        Ok(result)
    }

    fn service(ports: Value, labels: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": labels}, "spec": {"ports": ports}})
    }

    #[test]
    fn owners_share_conflict_and_let_go() {
        let one = service(json!([{"port": 80, "targetPort": 8080}]), json!({"a": "1"}));
        let live = apply(None, &one, "m1", false).unwrap();
        let fields = json!({
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}, "f:targetPort": {}}}},
        });
        assert_eq!(live["metadata"]["managedFields"][0]["fieldsV1"], fields);
        // The same again is silence.
        assert_eq!(apply(Some(&live), &one, "m1", false).unwrap(), live);

        let other = service(json!([{"port": 80, "targetPort": 9090}]), json!({"a": "2"}));
        let refused = apply(Some(&live), &other, "m2", false).unwrap_err();
        assert_eq!(
            refused.message,
            "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .metadata.labels.a\n- .spec.ports[port=80,protocol=\"TCP\"].targetPort"
        );
        let forced = apply(Some(&live), &other, "m2", true).unwrap();
        assert_eq!(forced["spec"]["ports"], json!([{"port": 80, "targetPort": 9090}]));
        // The first owner lets go of the label, which is the other's now, and keeps the port.
        let less = service(json!([{"port": 80}]), json!({}));
        let after = apply(Some(&forced), &less, "m1", false).unwrap();
        assert_eq!(after["metadata"]["labels"], json!({"a": "2"}));
        // What nobody wants any more goes.
        let alone = apply(Some(&after), &service(json!([{"port": 80}]), json!({})), "m2", false).unwrap();
        assert_eq!(alone["metadata"]["labels"], json!({}));
        assert_eq!(alone["spec"]["ports"], json!([{"port": 80}]));
    }

    #[test]
    fn an_update_takes_what_it_changes() {
        let mut live = service(json!([{"port": 80}]), json!({"a": "1", "b": "1"}));
        track(&Tracking::Update("um".into()), Type::Services, Part::Main, None, &mut live, "now");
        let wanted = service(json!([{"port": 80}]), json!({"a": "2"}));
        let refused = apply(Some(&live), &wanted, "m1", false).unwrap_err();
        assert_eq!(
            refused.message,
            "Apply failed with 1 conflict: conflict with \"um\" using v1: .metadata.labels.a"
        );
        let mut live = apply(Some(&live), &wanted, "m1", true).unwrap();
        let before = live.clone();
        live["metadata"]["labels"]["a"] = "3".into();
        track(&Tracking::Update("um".into()), Type::Services, Part::Main, Some(&before), &mut live, "now");
        let owners = entries(&live);
        let holds = |manager: &str| {
            let path: Path = ["f:metadata", "f:labels", "f:a"].map(str::to_owned).into();
            owners.iter().any(|owner| owner.manager == manager && owner.fields.contains(&path))
        };
        assert!(holds("um") && !holds("m1"), "{owners:?}");
    }

    #[test]
    fn bad_configurations() {
        let rows = [
            (
                service(json!([{"port": 81}, {"port": 81, "protocol": "TCP"}]), json!({})),
                "failed to create typed patch object (/web; /v1, Kind=Service): .spec.ports: duplicate entries for key [port=81,protocol=\"TCP\"]",
            ),
            (
                json!({"metadata": {"name": "web"}, "spec": {"foo": 1}}),
                "failed to create typed patch object (/web; /v1, Kind=Service): .spec.foo: field not declared in schema",
            ),
        ];
        for (config, expected) in rows {
            let refused = apply(None, &config, "m1", false).unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (500, expected));
        }
    }
}
