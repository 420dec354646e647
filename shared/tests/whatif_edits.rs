//! The language of edits: documents, their schema, words, links, and what is exported for kubectl.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![cfg(not(target_arch = "wasm32"))]

mod support_schema;
mod support_yaml;

use proptest::prelude::*;
use serde_json::{Value, json};
use support_schema::faults;
use support_yaml::{HEALTHY, edited};
use vipscope_shared::manifest;
use vipscope_shared::model::Key;
use vipscope_shared::whatif::edit::link::{BadLink, MOST_BYTES, decode, encode};
use vipscope_shared::whatif::edit::{BadEdits, Edit, NodeEdit, PodEdit, Step, export, parse};

const SCHEMA: &str = include_str!("../schema/edits.schema.json");

/// The example of the design, and every operation once.
const EXAMPLE: &str = r#"[
    {"op":"scale","workload":"Deployment/shop/cart","replicas":5},
    {"op":"pod","pod":"shop/cart-x","state":"unready"},
    {"op":"move","pod":"shop/cart-x","to":"node-b"},
    {"op":"node","node":"node-d","state":"drain"},
    {"op":"zone","node":"node-d","zone":"eu-1b"},
    {"op":"zone","node":"node-d","zone":null},
    {"op":"apply","manifest":{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"ports":[{"port":80}]}}},
    {"op":"patch","object":"Service/shop/cart","patch":{"spec":{"trafficDistribution":"PreferSameZone"}}},
    {"op":"delete","object":"Service/shop/cart"},
    {"op":"delete","object":"ConfigMap/kube-system/kube-proxy"},
    {"op":"proxy","node":"*","set":{"mode":"nftables"}}]"#;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn good_documents_fit_schema_and_types() {
    let wrapped = format!("{{\"edits\":{EXAMPLE}}}");
    for text in [EXAMPLE, &wrapped, "[]", "{\"edits\":[]}"] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(faults(&schema(), &value), [] as [String; 0], "{text}");
        let edits = parse(text).unwrap();
        // What is written again is the same document.
        let list = value.get("edits").unwrap_or(&value);
        assert_eq!(serde_json::to_value(&edits).unwrap(), *list);
    }
    let each: Vec<Value> = serde_json::from_str(EXAMPLE).unwrap();
    let ops: std::collections::BTreeSet<&str> =
        each.iter().map(|edit| edit["op"].as_str().unwrap()).collect();
    assert_eq!(ops.len(), 9, "every operation is in the example");
}

const BAD: &[(&str, &str)] = &[
    ("null", "expected an array of edits, or an object with the field `edits`: found nothing"),
    ("5", "expected an array of edits, or an object with the field `edits`: found a single value"),
    (
        r#"{"edits":5}"#,
        "expected an array of edits, or an object with the field `edits`: found `edits` that is not an array",
    ),
    (
        r#"{"edits":[],"more":1}"#,
        "expected an array of edits, or an object with the field `edits`: found an object with other fields",
    ),
    ("[5]", "edit 1: expected an object with the field `op`"),
    (
        "[{}]",
        "edit 1: op: is missing; expected one of scale, pod, move, node, zone, apply, patch, delete, proxy",
    ),
    (r#"[{"op":"sclae"}]"#, "edit 1: op: `sclae` is not one of scale, pod,"),
    (r#"[{"op":3}]"#, "edit 1: op: expected one of"),
    (r#"[{"op":"scale","workload":"Deployment/shop/cart"}]"#, "edit 1: scale: missing field `replicas`"),
    (
        r#"[{"op":"delete","object":"Node/a"},{"op":"scale","workload":"Deployment/shop/cart","replicas":"5"}]"#,
        "edit 2: replicas: invalid type: string \"5\", expected a whole number from 0 to 4294967295",
    ),
    (
        r#"[{"op":"scale","workload":"Deployment/shop/cart","replicas":-1}]"#,
        "edit 1: replicas: invalid value: integer `-1`, expected a whole number from 0 to 4294967295",
    ),
    (
        r#"[{"op":"scale","workload":"Deployment/shop/cart","replicas":1.5}]"#,
        "edit 1: replicas: invalid type: floating point `1.5`, expected a whole number from 0 to 4294967295",
    ),
    (
        r#"[{"op":"scale","workload":"cart","replicas":1}]"#,
        "edit 1: workload: `cart` does not name an object: expected KIND/NAMESPACE/NAME",
    ),
    (
        r#"[{"op":"scale","workload":"Deployment/shop/cart","replicas":1,"now":true}]"#,
        "edit 1: now: unknown field `now`, expected `workload` or `replicas`",
    ),
    (r#"[{"op":"pod","pod":"cart-x","state":"gone"}]"#, "edit 1: pod: `cart-x` is not NAMESPACE/NAME"),
    (
        r#"[{"op":"pod","pod":"shop/cart-x","state":"dead"}]"#,
        "edit 1: state: unknown variant `dead`, expected one of `ready`, `unready`, `terminating`, `gone`",
    ),
    (
        r#"[{"op":"node","node":"node-a","state":"off"}]"#,
        "edit 1: state: unknown variant `off`, expected one of `cordon`",
    ),
    (r#"[{"op":"zone","node":"node-a"}]"#, "edit 1: zone: missing field `zone`"),
    (
        r#"[{"op":"zone","node":"node-a","zone":5}]"#,
        "edit 1: zone: invalid type: integer `5`, expected a string",
    ),
    (
        r#"[{"op":"delete","object":"Deployment/shop/cart"}]"#,
        "edit 1: object: `Deployment/shop/cart` does not name an object",
    ),
    (
        r#"[{"op":"delete","object":"Service/cart"}]"#,
        "edit 1: object: `Service/cart` does not name an object",
    ),
    (r#"[{"op":"delete","object":"Node/shop/a"}]"#, "edit 1: object: `Node/shop/a` does not name an object"),
    (
        r#"[{"op":"delete","object":"ConfigMap/shop/other"}]"#,
        "edit 1: object: `ConfigMap/shop/other` does not name an object",
    ),
    (r#"[{"op":"apply"}]"#, "edit 1: apply: missing field `manifest`"),
    (r#"[{"op":"patch","object":"Service/shop/cart"}]"#, "edit 1: patch: missing field `patch`"),
    (r#"[{"op":"proxy","node":null,"set":{}}]"#, "edit 1: node: invalid type: null, expected a string"),
];

#[test]
fn bad_documents_fit_neither() {
    for (text, expected) in BAD {
        let value: Value = serde_json::from_str(text).unwrap();
        assert!(!faults(&schema(), &value).is_empty(), "the schema takes {text}");
        let found = parse(text).expect_err(text).to_string();
        assert!(found.starts_with(expected), "{text}\n  expected {expected}\n  found    {found}");
        // One edit alone is refused as well.
        let first = value.as_array().and_then(|list| list.last());
        if let Some(edit) = first {
            assert!(serde_json::from_value::<Edit>(edit.clone()).is_err(), "{edit}");
        }
    }
    let many = serde_json::to_string(&vec![json!({"op":"delete","object":"Node/a"}); 1001]).unwrap();
    assert_eq!(parse(&many), Err(BadEdits::TooMany(1001)));
    assert!(!faults(&schema(), &serde_json::from_str(&many).unwrap()).is_empty());
}

#[test]
fn faults_name_edit_and_field() {
    let Err(BadEdits::Edit { index, field, .. }) =
        parse(r#"[{"op":"delete","object":"Node/a"},{"op":"pod","pod":"a/b","state":1}]"#)
    else {
        panic!("taken")
    };
    assert_eq!((index, &*field), (1, "state"));
    assert!(matches!(parse("{not json"), Err(BadEdits::Document(_))));
    assert_eq!(parse("a: 1\n---\nb: 2\n"), Err(BadEdits::NotAList("several documents")));
}

#[test]
fn yaml_is_the_same() {
    let yaml = "edits:\n- op: scale\n  workload: Deployment/shop/cart\n  replicas: 5\n- {op: node, node: node-d, state: drain}\n";
    assert_eq!(
        parse(yaml).unwrap(),
        parse(EXAMPLE)
            .unwrap()
            .into_iter()
            .filter(|edit| matches!(edit, Edit::Scale { .. } | Edit::Node { .. }))
            .collect::<Vec<_>>()
    );
}

#[test]
fn words() {
    let rows = [
        ("{op: scale, workload: Deployment/shop/cart, replicas: 5}", "scale Deployment shop/cart to 5"),
        ("{op: pod, pod: shop/cart-x, state: gone}", "pod shop/cart-x gone"),
        ("{op: move, pod: shop/cart-x, to: node-b}", "move pod shop/cart-x to node-b"),
        ("{op: node, node: node-d, state: drain}", "drain node-d"),
        ("{op: node, node: node-d, state: lost}", "lose node-d"),
        ("{op: zone, node: node-d, zone: z2}", "node-d in zone z2"),
        ("{op: zone, node: node-d, zone: null}", "node-d in no zone"),
        (
            "{op: apply, manifest: {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}}",
            "apply Service shop/web",
        ),
        (
            "{op: apply, manifest: {apiVersion: v1, kind: Node, metadata: {name: node-e}}}",
            "apply Node node-e",
        ),
        ("{op: apply, manifest: 5}", "apply an object without a name"),
        (
            "{op: patch, object: Service/shop/cart, patch: {spec: {trafficDistribution: PreferSameZone}}}",
            "shop/cart trafficDistribution: PreferSameZone",
        ),
        (
            "{op: patch, object: Service/shop/cart, patch: {spec: {selector: {app: null}, ports: [{}, {}]}}}",
            "shop/cart ports: 2 entries, selector.app: removed",
        ),
        ("{op: patch, object: Service/shop/cart, patch: {a: 1, b: 2, c: {}}}", "shop/cart a: 1 and 2 more"),
        (
            "{op: patch, object: Node/node-a, patch: {spec: {unschedulable: true}}}",
            "Node node-a unschedulable: true",
        ),
        ("{op: patch, object: Service/shop/cart, patch: {}}", "shop/cart unchanged"),
        ("{op: delete, object: Service/shop/cart}", "delete Service shop/cart"),
        ("{op: delete, object: ConfigMap/kube-system/kube-proxy}", "delete ConfigMap kube-system/kube-proxy"),
        ("{op: proxy, node: '*', set: {mode: nftables}}", "kube-proxy on all nodes: mode: nftables"),
        (
            "{op: proxy, node: node-b, set: {ipvs: {scheduler: lc}}}",
            "kube-proxy on node-b: ipvs.scheduler: lc",
        ),
    ];
    for (edit, expected) in rows {
        assert_eq!(parse(&format!("[{edit}]")).unwrap()[0].words(), expected, "{edit}");
    }
}

#[test]
fn what_kubectl_would_do() {
    let state = manifest::load(HEALTHY).unwrap().state;
    let rows = [
        (
            "{op: scale, workload: Deployment/shop/web, replicas: 5}",
            Some("kubectl -n shop scale deployment/web --replicas=5"),
        ),
        ("{op: pod, pod: shop/web-1, state: ready}", None),
        (
            "{op: pod, pod: shop/web-1, state: terminating}",
            Some("kubectl -n shop delete pod web-1 --wait=false"),
        ),
        (
            "{op: pod, pod: shop/web-1, state: gone}",
            Some("kubectl -n shop delete pod web-1 --grace-period=0 --force"),
        ),
        ("{op: move, pod: shop/web-1, to: node-b}", None),
        ("{op: node, node: node-a, state: cordon}", Some("kubectl cordon node-a")),
        (
            "{op: node, node: node-a, state: drain}",
            Some("kubectl drain node-a --ignore-daemonsets --delete-emptydir-data"),
        ),
        ("{op: node, node: node-a, state: lost}", None),
        (
            "{op: zone, node: node-a, zone: z9}",
            Some("kubectl label node node-a topology.kubernetes.io/zone=z9 --overwrite"),
        ),
        (
            "{op: zone, node: node-a, zone: null}",
            Some("kubectl label node node-a topology.kubernetes.io/zone- --overwrite"),
        ),
        (
            "{op: patch, object: Service/shop/web, patch: {spec: {sessionAffinity: \"it's\"}}}",
            Some(
                r#"kubectl -n shop patch service web --type merge -p '{"spec":{"sessionAffinity":"it'\''s"}}'"#,
            ),
        ),
        ("{op: delete, object: 'Service/shop/$(id)'}", Some("kubectl -n shop delete service '$(id)'")),
        ("{op: delete, object: Node/node-a}", Some("kubectl delete node node-a")),
        (
            "{op: proxy, node: '*', set: {mode: nftables}}",
            Some(
                "kubectl -n kube-system edit configmap kube-proxy && kubectl -n kube-system rollout restart daemonset kube-proxy # in config.conf: {\"mode\":\"nftables\"}",
            ),
        ),
        ("{op: proxy, node: node-a, set: {mode: nftables}}", None),
    ];
    for (edit, expected) in rows {
        let edits = parse(&format!("[{edit}]")).unwrap();
        let found = edits[0].to_kubectl(&state);
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{edit}");
        let step = match expected {
            Some(line) => Step::Command(line.to_owned()),
            None => Step::LeftOut(edits[0].words()),
        };
        assert_eq!(export(&state, &edits).steps, [step], "{edit}");
    }
    let owner = ", ownerReferences: [{kind: ReplicaSet, name: web-5d9, controller: true}]";
    let bare = manifest::load(&edited(HEALTHY, &[(owner, "")])).unwrap().state;
    let drain = &parse("[{op: node, node: node-a, state: drain}]").unwrap()[0];
    assert!(drain.to_kubectl(&bare)[0].ends_with(" --force"), "nobody makes bare pods again");
    let exported = export(&state, &parse(EXAMPLE).unwrap());
    let manifest = exported.manifest().unwrap();
    let applied: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(applied["metadata"]["name"], "web");
    assert_eq!(manifest::load(&manifest).unwrap().state.services().len(), 1);
    let left_out: Vec<&str> = exported.left_out().collect();
    assert_eq!(left_out, ["pod shop/cart-x unready", "move pod shop/cart-x to node-b"]);
    assert_eq!(exported.steps.len(), 11);
}

/// The steps of an export, each in short: `apply A B`, the command, `- words`.
fn steps(edits: &str) -> Vec<String> {
    let state = manifest::load(HEALTHY).unwrap().state;
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let short = |step: &Step| match step {
        Step::Command(line) => line.replace("kubectl ", ""),
        Step::Apply(objects) => format!("apply {}", objects.iter().map(name).collect::<Vec<_>>().join(" ")),
        Step::LeftOut(words) => format!("- {words}"),
    };
    export(&state, &parse(edits).unwrap()).steps.iter().map(short).collect()
}

#[test]
fn steps_keep_the_order_of_the_edits() {
    let apply = |name: &str| {
        format!("{{op: apply, manifest: {{apiVersion: v1, kind: Service, metadata: {{name: {name}}}}}}}")
    };
    let patch = "{op: patch, object: Service/default/n1, patch: {spec: {sessionAffinity: ClientIP}}}";
    let patched = r#"-n default patch service n1 --type merge -p '{"spec":{"sessionAffinity":"ClientIP"}}'"#;
    let unready = "{op: pod, pod: shop/web-5d9-a, state: unready}";
    assert_eq!(steps(&format!("[{}, {patch}]", apply("n1"))), ["apply n1", patched]);
    assert_eq!(steps(&format!("[{patch}, {}]", apply("n1"))), [patched, "apply n1"]);
    let list = format!("[{}, {}, {patch}, {unready}, {}]", apply("n1"), apply("n2"), apply("n3"));
    assert_eq!(steps(&list), ["apply n1 n2", patched, "- pod shop/web-5d9-a unready", "apply n3"]);

    let exported = export(&manifest::load(HEALTHY).unwrap().state, &parse(&list).unwrap());
    let script = exported.script();
    let places = ["\"n1\"", "\"n2\"", "\nEOF\nkubectl -n default patch", "\n# no command: pod", "\"n3\""];
    let places: Vec<usize> = places.iter().map(|text| script.find(text).expect(text)).collect();
    assert!(places.is_sorted() && script.starts_with("kubectl apply -f - <<'EOF'\n"), "{script}");
    assert_eq!(manifest::load(&exported.manifest().unwrap()).unwrap().state.services().len(), 3);
    assert!(!exported.is_empty() && export(&manifest::load(HEALTHY).unwrap().state, &[]).is_empty());
}

#[test]
fn a_status_is_written_through_its_subresource() {
    let ingress = "{loadBalancer: {ingress: [{ip: 192.0.2.7}]}}";
    let json = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    assert_eq!(
        steps(&format!("[{{op: patch, object: Service/shop/web, patch: {{status: {ingress}}}}}]")),
        [format!("-n shop patch service web --subresource=status --type merge -p '{json}'")]
    );
    let both = format!("{{spec: {{type: LoadBalancer}}, status: {ingress}}}");
    assert_eq!(
        steps(&format!("[{{op: patch, object: Service/shop/web, patch: {both}}}]")),
        [
            r#"-n shop patch service web --type merge -p '{"spec":{"type":"LoadBalancer"}}'"#.to_owned(),
            format!("-n shop patch service web --subresource=status --type merge -p '{json}'"),
        ]
    );
    let manifest = format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: shop}}, status: {ingress}}}"
    );
    assert_eq!(
        steps(&format!("[{{op: apply, manifest: {manifest}}}, {{op: apply, manifest: {manifest}}}]")),
        ["apply web", &format!("-n shop patch service web --subresource=status -p '{json}'")].repeat(2)
    );
    // A kind without that subresource.
    assert_eq!(
        steps("[{op: patch, object: EndpointSlice/shop/web-x1, patch: {status: {}}}]"),
        [r#"-n shop patch endpointslice web-x1 --type merge -p '{"status":{}}'"#]
    );
}

#[test]
fn hostile_text_stays_one_word_of_a_script() {
    let edits = json!([
        {"op": "delete", "object": "Service/shop/a\nb"},
        {"op": "patch", "object": "Service/shop/web", "patch": {"metadata": {"annotations": {"a": "\u{9b}31m\nEOF\n'"}}}},
        {"op": "apply", "manifest": {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "\u{9b}x\nEOF\nid"}}},
        {"op": "pod", "pod": "shop/a\nid", "state": "ready"},
    ]);
    let script =
        export(&manifest::load(HEALTHY).unwrap().state, &parse(&edits.to_string()).unwrap()).script();
    let controls: String = script.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert_eq!(controls, "");
    assert_eq!(script.lines().filter(|line| *line == "EOF").count(), 1, "{script}");
    assert!(!script.lines().any(|line| line.starts_with("id")), "{script}");
    assert!(script.contains(r"\u009b31m\nEOF\n'\''"), "the text is the same: {script}");
}

#[test]
fn links_that_are_not() {
    assert_eq!(encode(&[]), "");
    assert_eq!(decode(""), Ok(Vec::new()));
    assert_eq!(decode("%%%"), Err(BadLink::Base64));
    assert_eq!(decode("AAAA"), Err(BadLink::Deflate));
    let good = encode(&parse(EXAMPLE).unwrap());
    assert!(
        good.len() < EXAMPLE.len()
            && good.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
    assert_eq!(decode(&good[..good.len() / 8 * 4]), Err(BadLink::Deflate));
    let packed = |text: &str| {
        use base64::Engine;
        let bytes = miniz_oxide::deflate::compress_to_vec(text.as_bytes(), 9);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    };
    assert_eq!(decode(&packed("[")), Err(BadLink::Json));
    assert!(matches!(decode(&packed("[{}]")), Err(BadLink::Edits(_))));
    // A thousand times smaller than what it grows to.
    let bomb = packed(&" ".repeat(MOST_BYTES + 1));
    assert!(bomb.len() < MOST_BYTES / 500, "{}", bomb.len());
    assert_eq!(decode(&bomb), Err(BadLink::Deflate));
}

fn word() -> impl Strategy<Value = String> + Clone {
    "[a-z\u{e4}\u{1f600}' \"$-]{1,12}"
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let json = prop_oneof![
        Just(json!({})),
        word().prop_map(|text| json!({"spec": {"selector": {"app": text}}})),
        (any::<i64>(), any::<bool>()).prop_map(|(n, b)| json!({"a": [n, b, null, {"x": 1.5}]})),
    ];
    let key = (word(), word()).prop_map(|(namespace, name)| Key::new(namespace, name));
    let state =
        prop::sample::select(vec![PodEdit::Ready, PodEdit::Unready, PodEdit::Terminating, PodEdit::Gone]);
    let node =
        prop::sample::select(vec![NodeEdit::Cordon, NodeEdit::Uncordon, NodeEdit::Drain, NodeEdit::Lost]);
    let object = prop::sample::select(vec![
        "Service/shop/cart",
        "Node/node-a",
        "Namespace/x",
        "ConfigMap/kube-system/kube-proxy",
    ]);
    prop_oneof![
        any::<u32>()
            .prop_map(|replicas| Edit::Scale { workload: "Deployment/shop/cart".parse().unwrap(), replicas }),
        (key.clone(), state).prop_map(|(pod, state)| Edit::Pod { pod, state }),
        (key, word()).prop_map(|(pod, to)| Edit::Move { pod, to: to.into() }),
        (word(), node).prop_map(|(node, state)| Edit::Node { node: node.into(), state }),
        (word(), prop::option::of(word()))
            .prop_map(|(node, zone)| Edit::Zone { node: node.into(), zone: zone.map(Into::into) }),
        json.clone().prop_map(|manifest| Edit::Apply { manifest }),
        (object.clone(), json.clone())
            .prop_map(|(object, patch)| Edit::Patch { object: object.parse().unwrap(), patch }),
        object.prop_map(|object| Edit::Delete { object: object.parse().unwrap() }),
        (word(), json).prop_map(|(node, set)| Edit::Proxy { node: node.into(), set }),
    ]
}

proptest! {
    #[test]
    fn links_say_what_was_put_in(edits in prop::collection::vec(any_edit(), 0..12)) {
        prop_assert_eq!(decode(&encode(&edits)), Ok(edits.clone()));
        let text = serde_json::to_string(&edits).unwrap();
        prop_assert_eq!(faults(&schema(), &serde_json::from_str(&text).unwrap()), Vec::<String>::new());
        prop_assert_eq!(parse(&text), Ok(edits));
    }

    #[test]
    fn no_text_makes_a_link_panic(text in "[A-Za-z0-9_-]{0,60}") {
        let _ = decode(&text);
        let _ = parse(&text);
    }
}
