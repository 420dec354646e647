//! OpenAPI documents of what is served, v3 by group version and v2 as a whole: `kubectl explain` reads them, and `kubectl
//! apply` learns from them that the server checks fields itself.
//!
//! Types and their descriptions are those of `k8s_openapi`. PATCH operations have no body on purpose: kubectl would compute
//! patches from it, and needs merge keys for that which the descriptions don't carry.

use std::collections::HashMap;
use std::sync::LazyLock;

use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, discovery::v1 as discovery};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::resources::{RESOURCES, Resource, Type};

const V3: &str = "#/components/schemas/";
const V2: &str = "#/definitions/";

/// A document and its hash.
#[derive(Debug)]
pub struct Document {
    pub text: String,
    hash: String,
}

impl Document {
    fn new(document: &Value) -> Document {
        let text = document.to_string();
        let hash = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect();
        Document { text, hash }
    }
}

/// By path below `/openapi/v3/`: `api/v1`, `apis/apps/v1`.
static V3_DOCUMENTS: LazyLock<HashMap<String, Document>> = LazyLock::new(|| {
    let mut paths: Vec<String> = RESOURCES.iter().map(group_path).collect();
    paths.sort();
    paths.dedup();
    paths.into_iter().map(|path| (path.clone(), Document::new(&v3(&path)))).collect()
});

static V2_DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let text = definitions(RESOURCES.iter()).to_string().replace(V3, V2);
    let definitions: Value = serde_json::from_str(&text).unwrap_or_default();
    Document::new(&json!({
        "swagger": "2.0", "info": { "title": "vipscope sandbox", "version": "v1.36.0" },
        "paths": paths(RESOURCES.iter()), "definitions": definitions,
    }))
});

/// `/openapi/v3`.
pub fn index() -> Value {
    let entry = |(path, document): (&String, &Document)| {
        (path.clone(), json!({ "serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.hash) }))
    };
    json!({ "paths": V3_DOCUMENTS.iter().map(entry).collect::<Map<String, Value>>() })
}

/// `/openapi/v3/PATH`.
pub fn document(path: &str) -> Option<&'static Document> {
    V3_DOCUMENTS.get(path)
}

/// `/openapi/v2`.
pub fn swagger() -> &'static Document {
    &V2_DOCUMENT
}

fn group_path(info: &Resource) -> String {
    let root = if info.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", info.api_version())
}

fn v3(path: &str) -> Value {
    let served = || RESOURCES.iter().filter(|info| group_path(info) == path);
    json!({
        "openapi": "3.0.0", "info": { "title": "vipscope sandbox", "version": "v1.36.0" },
        "paths": paths(served()), "components": { "schemas": definitions(served()) },
    })
}

fn group_version_kind(info: &Resource) -> Value {
    json!({ "group": info.group, "version": info.version, "kind": info.kind })
}

fn paths<'a>(served: impl Iterator<Item = &'a Resource>) -> Value {
    let mut paths = Map::new();
    for info in served {
        let root = format!("/{}", group_path(info));
        let collection = match info.resource.is_namespaced() {
            true => format!("{root}/namespaces/{{namespace}}/{}", info.plural),
            false => format!("{root}/{}", info.plural),
        };
        paths.insert(format!("{collection}/{{name}}"), item_operations(info));
        paths.insert(collection, operations(info, &[("get", "list"), ("post", "post")]));
        if info.resource.is_namespaced() {
            paths.insert(format!("{root}/{}", info.plural), operations(info, &[("get", "list")]));
        }
    }
    Value::Object(paths)
}

fn item_operations(info: &Resource) -> Value {
    operations(info, &[("get", "get"), ("put", "put"), ("patch", "patch"), ("delete", "delete")])
}

fn operations(info: &Resource, actions: &[(&str, &str)]) -> Value {
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
    let operation = |(method, action): &(&str, &str)| {
        let writes = matches!(*action, "post" | "put" | "patch");
        let parameters: Vec<Value> = match writes {
            true => ["dryRun", "fieldManager", "fieldValidation"].map(parameter).into(),
            false => Vec::new(),
        };
        let operation = json!({
            "operationId": format!("{action}{}{}", info.group.replace('.', ""), info.kind),
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": group_version_kind(info),
            "parameters": parameters, "responses": { "200": { "description": "OK" } },
        });
        ((*method).to_owned(), operation)
    };
    Value::Object(actions.iter().map(operation).collect())
}

/// The schemas of these kinds, and all that they use, by name.
fn definitions<'a>(served: impl Iterator<Item = &'a Resource>) -> Value {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let mut kinds = Vec::new();
    for info in served {
        let schema = serde_json::to_value(schema_of(info.resource, &mut generator)).unwrap_or_default();
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix(V3)).unwrap_or_default();
        kinds.push((name.to_owned(), group_version_kind(info)));
    }
    let mut all: Map<String, Value> = generator.take_definitions(true);
    for (name, kind) in kinds {
        if let Some(schema) = all.get_mut(&name) {
            schema["x-kubernetes-group-version-kind"] = json!([kind]);
        }
    }
    all.values_mut().for_each(wrap_references);
    Value::Object(all)
}

fn schema_of(resource: Type, generator: &mut SchemaGenerator) -> schemars::Schema {
    match resource {
        Type::Namespaces => generator.subschema_for::<core::Namespace>(),
        Type::Nodes => generator.subschema_for::<core::Node>(),
        Type::Pods => generator.subschema_for::<core::Pod>(),
        Type::Services => generator.subschema_for::<core::Service>(),
        Type::Endpoints => generator.subschema_for::<core::Endpoints>(),
        Type::ConfigMaps => generator.subschema_for::<core::ConfigMap>(),
        Type::Events => generator.subschema_for::<core::Event>(),
        Type::Secrets => generator.subschema_for::<core::Secret>(),
        Type::ServiceAccounts => generator.subschema_for::<core::ServiceAccount>(),
        Type::EndpointSlices => generator.subschema_for::<discovery::EndpointSlice>(),
        Type::Deployments => generator.subschema_for::<apps::Deployment>(),
        Type::ReplicaSets => generator.subschema_for::<apps::ReplicaSet>(),
    }
}

/// A reference can't have a description beside it: Kubernetes puts it into `allOf`.
fn wrap_references(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(wrap_references);
            if map.len() > 1
                && let Some(reference) = map.remove("$ref")
            {
                map.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(wrap_references),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_patch_and_a_schema() {
        for info in &RESOURCES {
            let document: Value = serde_json::from_str(&document(&group_path(info)).unwrap().text).unwrap();
            let kind = group_version_kind(info);
            let mut operations = document["paths"].as_object().unwrap().values();
            assert!(
                operations.any(|path| path["patch"]["x-kubernetes-group-version-kind"] == kind),
                "{}",
                info.kind
            );
            let mut schemas = document["components"]["schemas"].as_object().unwrap().values();
            let found = schemas.find(|schema| schema["x-kubernetes-group-version-kind"] == json!([kind]));
            assert!(
                found.is_some_and(|schema| schema["properties"]["metadata"].is_object()),
                "{}",
                info.kind
            );
        }
        assert!(swagger().text.contains("#/definitions/io.k8s.api.core.v1.ServiceSpec"));
    }
}
