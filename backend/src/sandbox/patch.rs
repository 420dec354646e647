//! PATCH: JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes' strategic merge.
//!
//! Strategic merge is `vipscope_shared::admission::strategic`.

use serde_json::Value;
use vipscope_shared::admission::strategic;

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
        PatchKind::Strategic => {
            strategic::merge(&mut result, patch).map_err(|why| Refusal::plain(500, why.to_string()))?
        }
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
