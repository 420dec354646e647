//! What `kubectl apply` sends for a manifest, and what becomes of the object.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use vipscope_shared::admission::strategic::{merge, three_way};

/// The patch, and the object after it.
fn applied(last: &Value, manifest: &Value, object: &Value) -> (Value, Value) {
    let patch = three_way(last, manifest, object).unwrap();
    let mut after = object.clone();
    merge(&mut after, &patch).unwrap();
    // Applied again it changes nothing.
    assert_eq!(three_way(manifest, manifest, &after).unwrap(), json!({}), "{manifest} to {after}");
    (patch, after)
}

#[test]
fn manifests_meet_objects() {
    let spec = |ports: Value| json!({"spec": {"type": "NodePort", "ports": ports}});
    let [one, two] = [
        json!({"port": 80, "name": "a", "nodePort": 30080}),
        json!({"port": 81, "name": "b", "nodePort": 30081}),
    ];
    let object = spec(json!([one, two]));
    let manifest = |ports: Value| json!({"spec": {"ports": ports}});
    let rows = [
        ("nothing said", json!(null), json!({}), json!({}), object.clone()),
        (
            "a field is set, the others stay",
            json!(null),
            json!({"spec": {"selector": {"app": "x"}}}),
            json!({"spec": {"selector": {"app": "x"}}}),
            json!({"spec": {"type": "NodePort", "selector": {"app": "x"}, "ports": [one, two]}}),
        ),
        (
            "what the last manifest had and this one has not is removed",
            json!({"spec": {"type": "NodePort", "externalIPs": ["192.0.2.1"]}}),
            manifest(json!([{"port": 80}, {"port": 81}])),
            json!({"spec": {"type": null, "externalIPs": null}}),
            manifest(json!([one, two])),
        ),
        (
            "an element is changed by its key",
            json!(null),
            manifest(json!([{"port": 81, "name": "c"}])),
            json!({"spec": {"ports": [{"port": 81, "name": "c"}], "$setElementOrder/ports": [{"port": 81}]}}),
            spec(json!([one, {"port": 81, "name": "c", "nodePort": 30081}])),
        ),
        (
            "an element that the last manifest had goes",
            manifest(json!([{"port": 80}, {"port": 81}])),
            manifest(json!([{"port": 81}])),
            json!({"spec": {"ports": [{"port": 80, "$patch": "delete"}], "$setElementOrder/ports": [{"port": 81}]}}),
            spec(json!([two])),
        ),
        (
            "a new element where the manifest has it",
            json!(null),
            manifest(json!([{"port": 80}, {"port": 79}, {"port": 81}])),
            json!({"spec": {"ports": [{"port": 79}],
                "$setElementOrder/ports": [{"port": 80}, {"port": 79}, {"port": 81}]}}),
            spec(json!([one, {"port": 79}, two])),
        ),
        (
            "only the order",
            json!(null),
            manifest(json!([{"port": 81}, {"port": 80}])),
            json!({"spec": {"$setElementOrder/ports": [{"port": 81}, {"port": 80}]}}),
            spec(json!([two, one])),
        ),
        (
            "null removes",
            json!(null),
            json!({"spec": {"type": null}}),
            json!({"spec": {"type": null}}),
            manifest(json!([one, two])),
        ),
    ];
    for (what, last, manifest, patch, after) in rows {
        let found = three_way(&last, &manifest, &object).unwrap();
        assert_eq!(found, patch, "{what}");
        let mut changed = object.clone();
        merge(&mut changed, &found).unwrap();
        assert_eq!(changed, after, "{what}");
    }
}

#[test]
fn lists_without_a_key_are_replaced_and_sets_are_joined() {
    let object = json!({"metadata": {"finalizers": ["a/b", "c/d"]},
        "spec": {"externalIPs": ["192.0.2.1", "192.0.2.2"]}, "endpoints": [{"addresses": ["10.0.0.1"], "zone": "z"}]});
    let last = json!({"metadata": {"finalizers": ["a/b"]}});
    let manifest = json!({"metadata": {"finalizers": ["e/f"]},
        "spec": {"externalIPs": ["192.0.2.2"]}, "endpoints": [{"addresses": ["10.0.0.1"]}]});
    let (patch, after) = applied(&last, &manifest, &object);
    assert_eq!(patch["metadata"]["$deleteFromPrimitiveList/finalizers"], json!(["a/b"]));
    assert_eq!(after["metadata"]["finalizers"], json!(["c/d", "e/f"]));
    assert_eq!(after["spec"], manifest["spec"]);
    assert_eq!(after["endpoints"], manifest["endpoints"]);
}

#[test]
fn one_port_number_of_two_protocols() {
    let ports = |udp: u16| json!({"spec": {"ports": [{"port": 53, "protocol": "UDP", "targetPort": udp}, {"port": 53, "protocol": "TCP"}]}});
    let (patch, after) = applied(&Value::Null, &ports(53), &ports(53));
    assert_eq!((patch, after), (json!({}), ports(53)));
    let (_, after) = applied(&Value::Null, &ports(5353), &ports(53));
    assert_eq!(after, ports(5353));
}

#[test]
fn an_element_without_its_key_is_refused() {
    let error = three_way(
        &Value::Null,
        &json!({"spec": {"ports": [{"name": "a"}]}}),
        &json!({"spec": {"ports": [{"port": 80}]}}),
    );
    assert_eq!(error.unwrap_err().to_string(), "map: map[name:a] does not contain declared merge key: port");
    // Last manifests are text from a cluster: anything.
    for last in [json!(5), json!({"spec": []}), json!({"spec": {"ports": [{}, 5, {"port": {}}]}})] {
        let manifest = json!({"spec": {"ports": [{"port": 80}]}});
        let mut object = json!({"spec": {"ports": [{"port": 80, "name": "a"}]}});
        let patch = three_way(&last, &manifest, &object).unwrap();
        merge(&mut object, &patch).unwrap();
        assert_eq!(object["spec"]["ports"], json!([{"port": 80, "name": "a"}]), "{last}");
    }
}
