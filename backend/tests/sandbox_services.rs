//! Services as the API server admits them: the exact words of every refusal and warning, allocation, changes of type.
//! Rows come from the reference `service-semantics.md` 1.3 to 1.6.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::IpAddr;

use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use vipscope::sandbox::{Options, Sandbox};
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::apply::apply;
use vipscope_shared::whatif::edit;

const SERVICES: &str = "/api/v1/namespaces/default/services";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = r"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn sandbox() -> Sandbox {
    Sandbox::start(Options { empty: true, churn: false, ..Options::default() })
}

const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

struct Answer {
    code: u16,
    body: Value,
    warnings: Vec<String>,
}

async fn send(sandbox: &Sandbox, method: &str, path: &str, body: Value) -> Answer {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let answer = sandbox.router().oneshot(request.body(body).unwrap()).await.unwrap();
    let code = answer.status().as_u16();
    let warnings = answer.headers().get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned());
    let warnings = warnings.collect();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    Answer { code, body: serde_json::from_slice(&body).unwrap(), warnings }
}

async fn create(sandbox: &Sandbox, name: &str, spec: Value) -> Answer {
    send(sandbox, "POST", SERVICES, json!({"metadata": {"name": name}, "spec": spec})).await
}

async fn put_in_place(sandbox: &Sandbox, name: &str, spec: Value) -> Value {
    let made = create(sandbox, name, spec).await;
    assert_eq!(made.code, 201, "{}", made.body["message"]);
    made.body
}

async fn patch(sandbox: &Sandbox, name: &str, spec: Value) -> Answer {
    send(sandbox, "PATCH", &format!("{SERVICES}/{name}"), json!({ "spec": spec })).await
}

/// One port, and what else.
fn with(more: Value) -> Value {
    let mut spec = json!({"ports": [{"port": 80}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn ports(ports: Value) -> Value {
    json!({ "ports": ports })
}

/// The message without `Service "x" is invalid: `; several errors in brackets.
async fn check_refusals(sandbox: &Sandbox, rows: Vec<(Value, String)>) {
    let mut faults = Vec::new();
    for (spec, expected) in rows {
        let answer = create(sandbox, "x", spec.clone()).await;
        let message = answer.body["message"].as_str().unwrap_or_default();
        let message = message.strip_prefix("Service \"x\" is invalid: ").unwrap_or(message);
        if answer.code != 422 || message != expected {
            faults.push(format!("{spec}\nexpected {expected}\ngot      {} {message}", answer.code));
        }
        if answer.code == 201 {
            send(sandbox, "DELETE", &format!("{SERVICES}/x"), Value::Null).await;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[tokio::test]
async fn refused_ports() {
    let sandbox = sandbox();
    put_in_place(&sandbox, "taken", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}))
        .await;
    let target = |name: &str, why: &str| {
        let expected = format!("spec.ports[0].targetPort: Invalid value: \"{name}\": {why}");
        (ports(json!([{"port": 80, "targetPort": name}])), expected)
    };
    let long = "a".repeat(64);
    let rows = vec![
        (json!({}), "spec.ports: Required value".to_owned()),
        (
            ports(json!([{"port": 80}, {"port": 81}])),
            "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]".to_owned(),
        ),
        (
            ports(json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}])),
            "spec.ports[1].name: Duplicate value: \"a\"".to_owned(),
        ),
        (
            ports(json!([{"name": "HTTP", "port": 80}])),
            format!("spec.ports[0].name: Invalid value: \"HTTP\": {LABEL}"),
        ),
        (
            ports(json!([{"name": "a.b", "port": 80}])),
            "spec.ports[0].name: Invalid value: \"a.b\": must not contain dots".to_owned(),
        ),
        (
            ports(json!([{"name": long, "port": 80}])),
            format!("spec.ports[0].name: Invalid value: \"{long}\": must be no more than 63 characters"),
        ),
        (
            ports(json!([{"name": "a", "port": 80}, {"name": "b", "port": 80}])),
            r#"spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}"#.to_owned(),
        ),
        (
            ports(json!([{"port": 70000}])),
            "[spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive]".to_owned(),
        ),
        (
            ports(json!([{"port": 80, "protocol": "HTTP"}])),
            r#"spec.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP""#.to_owned(),
        ),
        target("abcdefghijklmnop", "must be no more than 15 characters"),
        target("a_b", "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        target("80", "must contain at least one letter (a-z)"),
        target("a--b", "must not contain consecutive hyphens"),
        target("-ab", "must not begin or end with a hyphen"),
        (
            ports(json!([{"port": 80, "nodePort": 30002}])),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'".to_owned(),
        ),
        (
            json!({"clusterIP": "None", "ports": [{"port": 80, "nodePort": 30002}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'".to_owned(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767".to_owned(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}),
            "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated".to_owned(),
        ),
        (
            json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30005}, {"name": "b", "port": 81, "nodePort": 30005}]}),
            "spec.ports[1].nodePort: Invalid value: 30005: provided port is already allocated".to_owned(),
        ),
    ];
    check_refusals(&sandbox, rows).await;
    let text = create(&sandbox, "x", ports(json!([{"port": "80"}]))).await;
    assert_eq!((text.code, text.body["reason"].as_str()), (400, Some("BadRequest")));
    assert_eq!(
        text.body["message"],
        "Service in version \"v1\" cannot be handled as a Service: json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32"
    );
    // The same number with different protocols is legal, also on one node port.
    let both = json!([{"name": "a", "port": 53, "nodePort": 30053}, {"name": "b", "port": 53, "protocol": "UDP", "nodePort": 30053}]);
    put_in_place(&sandbox, "dns", json!({"type": "NodePort", "ports": both})).await;
}

/// Manifests with a value of the wrong type: where they are sent to, and what else than a name they have.
fn misshapen() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let core = |kind, plural, rest: &[Value]| -> Vec<_> {
        rest.iter().map(|rest| ("v1", kind, plural, rest.clone())).collect()
    };
    let mut all = core(
        "Service",
        "services",
        &[
            json!({"spec": {"ports": [{"port": "x"}]}}),
            json!({"spec": {"ports": [{"port": 80.5}]}}),
            json!({"spec": {"ports": [{"port": 3_000_000_000_u64}]}}),
            json!({"spec": {"ports": [{"port": 80, "targetPort": true}]}}),
            json!({"spec": {"ports": [{"port": 80, "targetPort": 80.5}]}}),
            json!({"spec": {"ports": {"port": 80}}}),
            json!({"spec": {"ports": [["http", 80]]}}),
            json!({"spec": {"selector": "app=x"}}),
            json!({"spec": {"selector": {"app": 5}}}),
            json!({"spec": {"type": 5}}),
            json!({"spec": []}),
            json!({"spec": {"publishNotReadyAddresses": "yes"}}),
            json!({"spec": {"sessionAffinityConfig": [[1]]}}),
            json!({"spec": {"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": "1h"}}}}),
            json!({"spec": {"clusterIPs": "10.96.0.9"}}),
            json!({"status": {"loadBalancer": {"ingress": ["192.0.2.1"]}}}),
        ],
    );
    all.extend(core("Endpoints", "endpoints", &[json!({"subsets": [{"addresses": ["192.0.2.1"]}]})]));
    all.extend(core(
        "Pod",
        "pods",
        &[
            json!({"spec": {"nodeName": 5}}),
            json!({"spec": {"containers": {}}}),
            json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": "http"}]}]}}),
            json!({"spec": {"volumes": ["x"]}}),
        ],
    ));
    let slices = [
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": "yes"}}]}),
        json!({"addressType": "IPv4", "endpoints": [{"addresses": "192.0.2.1"}]}),
        json!({"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"], "hints": {"forZones": ["z"]}}]}),
        json!({"addressType": 4, "endpoints": []}),
    ];
    all.extend(slices.map(|rest| ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", rest)));
    all
}

#[tokio::test]
async fn what_if_refuses_wrong_types_in_the_same_words() {
    let sandbox = sandbox();
    for (version, kind, plural, mut manifest) in misshapen() {
        manifest["apiVersion"] = version.into();
        manifest["kind"] = kind.into();
        manifest["metadata"] = json!({"namespace": "default", "name": "x"});
        let prefix = if version == "v1" { "/api/v1" } else { "/apis/discovery.k8s.io/v1" };
        let path = format!("{prefix}/namespaces/default/{plural}");
        let real = send(&sandbox, "POST", &path, manifest.clone()).await;
        assert_eq!(real.code, 400, "{manifest}");
        let text = real.body["message"].as_str().unwrap();
        assert!(
            text.contains(" cannot be handled as a ") && text.contains("json: cannot unmarshal "),
            "{text}"
        );
        let edits = edit::read(json!([{"op": "apply", "manifest": manifest}])).unwrap();
        let refused = apply(&ClusterState::default(), &edits, Timestamp::UNIX_EPOCH);
        assert_eq!(refused.unwrap_err().reason, text, "{manifest}");
    }
}

#[tokio::test]
async fn refused_application_protocols() {
    let sandbox = sandbox();
    let long = "a".repeat(64);
    let rows = [
        ("a b", format!("name part {QUALIFIED}")),
        ("/http", "prefix part must be non-empty".to_owned()),
        ("Example/http", format!("prefix part {SUBDOMAIN}")),
        (&long, "name part must be no more than 63 characters".to_owned()),
        (
            "a/b/c",
            format!(
                "a qualified name {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ),
        ),
    ];
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    for (name, why) in rows {
        let port = json!([{"port": 80, "appProtocol": name}]);
        let error = |field: &str| format!("{field}.appProtocol: Invalid value: \"{name}\": {why}");
        check_refusals(&sandbox, vec![(ports(port.clone()), error("spec.ports[0]"))]).await;
        let slice = json!({"metadata": {"name": "x"}, "addressType": "IPv4", "ports": port});
        let answer = send(&sandbox, "POST", slices, slice).await;
        let expected = format!("EndpointSlice.discovery.k8s.io \"x\" is invalid: {}", error("ports[0]"));
        assert_eq!((answer.code, answer.body["message"].as_str()), (422, Some(expected.as_str())));
    }
    for (at, name) in ["http", "kubernetes.io/h2c"].into_iter().enumerate() {
        put_in_place(&sandbox, &format!("s{at}"), ports(json!([{"port": 80, "appProtocol": name}]))).await;
    }
}

#[tokio::test]
async fn refused_addresses_and_families() {
    let sandbox = sandbox();
    let ips = |field: &str, value: Value, why: &str| (with(json!({field: value})), why.to_owned());
    let rows = vec![
        (
            with(json!({"type": "Nodeport"})),
            r#"spec.type: Unsupported value: "Nodeport": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#.to_owned(),
        ),
        (
            with(json!({"type": "NodePort", "clusterIP": "None"})),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services".to_owned(),
        ),
        (
            with(json!({"type": "LoadBalancer", "clusterIP": "None"})),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services".to_owned(),
        ),
        ips("clusterIP", json!("foo"), "spec.clusterIPs[0]: Invalid value: \"foo\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ips("clusterIP", json!("192.168.1.1"), r#"spec.clusterIPs: Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: the provided IP (192.168.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16"#),
        ips("clusterIP", json!("10.96.0.0"), r#"spec.clusterIPs: Invalid value: ["10.96.0.0"]: failed to allocate IP 10.96.0.0: the provided IP (10.96.0.0) is not in the valid range. The range of valid IPs is 10.96.0.0/16"#),
        ips("clusterIP", json!("10.96.0.1"), r#"spec.clusterIPs: Invalid value: ["10.96.0.1"]: failed to allocate IP 10.96.0.1: provided IP is already allocated"#),
        ips("clusterIPs", json!(["10.96.7.7"]), r#"spec.clusterIPs: Invalid value: ["10.96.7.7"]: must be empty when `clusterIP` is not specified"#),
        (
            with(json!({"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.8"]})),
            r#"spec.clusterIPs: Invalid value: ["10.96.7.8"]: first value must match `clusterIP`"#.to_owned(),
        ),
        (
            with(json!({"clusterIP": "None", "clusterIPs": ["None", "10.96.7.8"]})),
            r#"spec.clusterIPs: Invalid value: ["None","10.96.7.8"]: 'None' must be the first and only value"#.to_owned(),
        ),
        (
            with(json!({"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7", "10.96.7.8"]})),
            r#"spec.clusterIPs: Invalid value: ["10.96.7.7","10.96.7.8"]: may specify no more than one IP for each IP family"#.to_owned(),
        ),
        (
            with(json!({"clusterIP": "10.96.7.7", "clusterIPs": ["10.96.7.7", "fd00::1", "fd00::2"]})),
            r#"spec.clusterIPs: Invalid value: ["10.96.7.7","fd00::1","fd00::2"]: may only hold up to 2 values"#.to_owned(),
        ),
        ips("ipFamilies", json!(["v4"]), r#"spec.ipFamilies[0]: Unsupported value: "v4": supported values: "IPv4", "IPv6""#),
        ips("ipFamilies", json!(["IPv6"]), r#"spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster"#),
        (
            with(json!({"ipFamilies": ["IPv4", "IPv4"], "ipFamilyPolicy": "PreferDualStack"})),
            r#"spec.ipFamilies[1]: Duplicate value: "IPv4""#.to_owned(),
        ),
        ips("ipFamilyPolicy", json!("RequireDualStack"), r#"spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services"#),
        (
            json!({"clusterIP": "None", "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}),
            r#"spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"#.to_owned(),
        ),
    ];
    check_refusals(&sandbox, rows).await;
}

#[tokio::test]
async fn refused_external_names_and_addresses() {
    let sandbox = sandbox();
    let external = |more: Value| {
        let mut spec = json!({"type": "ExternalName", "externalName": "example.com"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let named = |name: &str| {
        let spec = json!({"type": "ExternalName", "externalName": name});
        (spec, format!("spec.externalName: Invalid value: \"{name}\": {SUBDOMAIN}"))
    };
    let ip = |ip: &str, why: &str| {
        (with(json!({"externalIPs": [ip]})), format!("spec.externalIPs[0]: Invalid value: \"{ip}\": {why}"))
    };
    let rows = vec![
        (json!({"type": "ExternalName"}), "spec.externalName: Required value".to_owned()),
        named("_x"),
        named("Example.com"),
        named("fd00::1"),
        (
            external(json!({"clusterIP": "10.96.7.7"})),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services".to_owned(),
        ),
        (
            external(json!({"clusterIP": "None"})),
            "spec.clusterIPs: Forbidden: may not be set for ExternalName services".to_owned(),
        ),
        (
            external(json!({"ipFamilies": ["IPv4"]})),
            "spec.ipFamilies: Forbidden: may not be set for ExternalName services".to_owned(),
        ),
        (
            external(json!({"ipFamilyPolicy": "SingleStack"})),
            "spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services".to_owned(),
        ),
        ip("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ip("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ip("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ip("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ip("010.0.0.1", "must not have leading 0s"),
    ];
    check_refusals(&sandbox, rows).await;
    // An IPv4 literal passes, and so does a trailing dot.
    put_in_place(&sandbox, "literal", json!({"type": "ExternalName", "externalName": "192.0.2.1"})).await;
    put_in_place(&sandbox, "dot", json!({"type": "ExternalName", "externalName": "example.com."})).await;
}

#[tokio::test]
async fn refused_policies() {
    let sandbox = sandbox();
    let affinity = |seconds: u64| {
        let config = json!({"clientIP": {"timeoutSeconds": seconds}});
        let why = format!(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: {seconds}: must be greater than 0 and less than 86400"
        );
        (with(json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": config})), why)
    };
    let row = |more: Value, why: &str| (with(more), why.to_owned());
    let rows = vec![
        row(
            json!({"sessionAffinity": "Cookie"}),
            r#"spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None""#,
        ),
        affinity(0),
        affinity(86_401),
        row(
            json!({"externalTrafficPolicy": "Local"}),
            r#"spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services"#,
        ),
        row(
            json!({"type": "NodePort", "externalTrafficPolicy": "Foo"}),
            r#"spec.externalTrafficPolicy: Unsupported value: "Foo": supported values: "Cluster", "Local""#,
        ),
        row(
            json!({"internalTrafficPolicy": "Foo"}),
            r#"spec.internalTrafficPolicy: Unsupported value: "Foo": supported values: "Cluster", "Local""#,
        ),
        row(
            json!({"healthCheckNodePort": 31999}),
            "spec.healthCheckNodePort: Invalid value: 31999: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
        ),
        row(
            json!({"loadBalancerClass": "example.com/a"}),
            "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        row(
            json!({"allocateLoadBalancerNodePorts": true}),
            "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        row(
            json!({"loadBalancerSourceRanges": ["10.0.0.0/8"]}),
            "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        ),
        row(
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0"]}),
            r#"spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#,
        ),
        row(
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.1/8"]}),
            r#"spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length"#,
        ),
        row(
            json!({"trafficDistribution": "Nearby"}),
            r#"spec.trafficDistribution: Unsupported value: "Nearby": supported values: "PreferClose", "PreferSameZone", "PreferSameNode""#,
        ),
        row(
            json!({"selector": {"a b": "c"}}),
            r#"spec.selector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"#,
        ),
        row(
            json!({"selector": {"a": "b c"}}),
            r#"spec.selector: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#,
        ),
    ];
    check_refusals(&sandbox, rows).await;
}

#[tokio::test]
async fn refused_for_other_reasons() {
    let sandbox = sandbox();
    let mut annotated = json!({"metadata": {"name": "x"}, "spec": with(json!({}))});
    annotated["metadata"]["annotations"] = json!({
        "service.kubernetes.io/topology-mode": "Disabled", "service.kubernetes.io/topology-aware-hints": "Auto",
    });
    let answer = send(&sandbox, "POST", SERVICES, annotated).await;
    assert_eq!(
        answer.body["message"],
        "Service \"x\" is invalid: metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: \"Disabled\": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified"
    );
    put_in_place(&sandbox, "taken", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}))
        .await;
    let check =
        with(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30001}));
    let answer = create(&sandbox, "x", check).await;
    let why = "Internal error occurred: failed to allocate requested HealthCheck NodePort 30001: provided port is already allocated";
    assert_eq!((answer.code, answer.body["message"].as_str()), (500, Some(why)));
    let long = "a".repeat(64);
    let names = [
        ("a.b", "must not contain dots"),
        ("UP", LABEL),
        ("-a", LABEL),
        ("a_b", LABEL),
        (&long, "must be no more than 63 characters"),
    ];
    for (name, why) in names {
        let answer = create(&sandbox, name, with(json!({}))).await;
        let expected =
            format!("Service \"{name}\" is invalid: metadata.name: Invalid value: \"{name}\": {why}");
        assert_eq!((answer.code, answer.body["message"].as_str()), (422, Some(expected.as_str())));
    }
    put_in_place(&sandbox, "1st", with(json!({}))).await;
}

#[tokio::test]
async fn what_may_not_change() {
    let sandbox = sandbox();
    put_in_place(&sandbox, "ip", with(json!({"clusterIP": "10.96.5.5"}))).await;
    let balancer = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "loadBalancerClass": "example.com/a", "healthCheckNodePort": 31999});
    put_in_place(&sandbox, "lb", with(balancer)).await;
    put_in_place(&sandbox, "headless", with(json!({"clusterIP": "None", "selector": {"a": "b"}}))).await;
    let rows = [
        (
            "ip",
            json!({"clusterIP": "10.96.9.9"}),
            r#"spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set"#,
        ),
        (
            "ip",
            json!({"clusterIP": "None"}),
            r#"spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set"#,
        ),
        (
            "ip",
            json!({"ipFamilies": ["IPv6"]}),
            "spec.clusterIPs[0]: Invalid value: \"10.96.5.5\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        (
            "lb",
            json!({"loadBalancerClass": "example.com/b"}),
            r#"spec.loadBalancerClass: Invalid value: "example.com/b": may not change once set"#,
        ),
        (
            "lb",
            json!({"loadBalancerClass": null}),
            "spec.loadBalancerClass: Invalid value: null: may not change once set",
        ),
        (
            "lb",
            json!({"healthCheckNodePort": 31998}),
            "spec.healthCheckNodePort: Forbidden: field is immutable",
        ),
        (
            "headless",
            json!({"type": "NodePort"}),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
    ];
    let mut faults = Vec::new();
    for (name, change, expected) in rows {
        let answer = patch(&sandbox, name, change.clone()).await;
        let expected = format!("Service \"{name}\" is invalid: {expected}");
        if answer.code != 422 || answer.body["message"] != expected {
            faults.push(format!(
                "{name} {change}\nexpected {expected}\ngot      {} {}",
                answer.code, answer.body["message"]
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}});
    let answer = send(&sandbox, "PATCH", &format!("{SERVICES}/ip/status"), status).await;
    assert_eq!(
        answer.body["message"],
        "Service \"ip\" is invalid: status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"
    );
}

#[tokio::test]
async fn warnings() {
    let sandbox = sandbox();
    let rows = [
        (
            with(json!({"externalIPs": ["1.2.3.4"]})),
            "spec.externalIPs is deprecated and may no longer be implemented in some clusters",
        ),
        (
            json!({"clusterIP": "None", "externalIPs": ["1.2.3.4"]}),
            "spec.externalIPs is ignored for headless services",
        ),
        (
            json!({"clusterIP": "None", "loadBalancerIP": "1.2.3.4"}),
            "spec.loadBalancerIP is ignored for headless services",
        ),
        (
            json!({"clusterIP": "None", "sessionAffinity": "ClientIP"}),
            "spec.SessionAffinity is ignored for headless services",
        ),
        (
            json!({"type": "ExternalName", "externalName": "a.b", "externalIPs": ["1.2.3.4"]}),
            "spec.externalIPs is ignored when spec.type is \\\"ExternalName\\\"",
        ),
        (
            with(json!({"externalName": "a.b"})),
            "spec.externalName is ignored when spec.type is not \\\"ExternalName\\\"",
        ),
        (
            with(json!({"trafficDistribution": "PreferClose"})),
            "spec.trafficDistribution: \\\"PreferClose\\\" is deprecated; use \\\"PreferSameZone\\\"",
        ),
        (with(json!({"selektor": {}})), "unknown field \\\"spec.selektor\\\""),
    ];
    for (at, (spec, expected)) in rows.into_iter().enumerate() {
        let answer = create(&sandbox, &format!("s{at}"), spec).await;
        let expected = format!("299 - \"{expected}\"");
        assert!(
            answer.code == 201 && answer.warnings.contains(&expected),
            "{expected}: {:?} {}",
            answer.warnings,
            answer.body
        );
    }
    let mut hints = json!({"metadata": {"name": "hints"}, "spec": with(json!({}))});
    hints["metadata"]["annotations"] = json!({"service.kubernetes.io/topology-aware-hints": "Auto"});
    let answer = send(&sandbox, "POST", SERVICES, hints).await;
    let expected = "299 - \"annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead\"";
    assert_eq!((answer.code, answer.warnings), (201, vec![expected.to_owned()]));
    let quiet = create(&sandbox, "quiet", with(json!({}))).await;
    assert_eq!(quiet.warnings, Vec::<String>::new());
    let endpoints = send(&sandbox, "GET", "/api/v1/namespaces/default/endpoints", Value::Null).await;
    assert_eq!(
        endpoints.warnings,
        ["299 - \"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\""]
    );
}

#[tokio::test]
async fn allocation_and_defaults() {
    let sandbox = sandbox();
    let service = put_in_place(&sandbox, "a", json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP", "selector": {}, "ports": [{"port": 80, "targetPort": ""}]})).await;
    let spec = &service["spec"];
    let ip: Vec<u8> =
        spec["clusterIP"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(ip[..2] == [10, 96] && (ip[2] > 1 || ip[2] == 1 && ip[3] > 0), "the dynamic band: {ip:?}");
    let node_port = spec["ports"][0]["nodePort"].as_u64().unwrap();
    assert!((30_086..=32_767).contains(&node_port));
    assert!((30_086..=32_767).contains(&spec["healthCheckNodePort"].as_u64().unwrap()));
    let expected = json!({
        "allocateLoadBalancerNodePorts": true, "clusterIP": spec["clusterIP"], "clusterIPs": [spec["clusterIP"]],
        "externalTrafficPolicy": "Local", "healthCheckNodePort": spec["healthCheckNodePort"],
        "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "ports": [{"nodePort": node_port, "port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10_800}},
        "type": "LoadBalancer",
    });
    assert_eq!(*spec, expected);
    let headless = put_in_place(&sandbox, "b", json!({"clusterIP": "None"})).await;
    assert_eq!(
        (&headless["spec"]["ipFamilies"], &headless["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4", "IPv6"]), &json!("RequireDualStack"))
    );
    // A dry run allocates nothing: it shows the base of the range.
    let dry = send(
        &sandbox,
        "POST",
        &format!("{SERVICES}?dryRun=All"),
        json!({"metadata": {"name": "c"}, "spec": with(json!({}))}),
    )
    .await;
    assert_eq!((dry.code, &dry.body["spec"]["clusterIP"]), (201, &json!("10.96.0.0")));
    assert!(dry.body["metadata"]["resourceVersion"].is_null() && dry.body["metadata"]["uid"].is_string());
}

#[tokio::test]
async fn the_last_node_port() {
    let sandbox = sandbox();
    let all = |count: u16| {
        let ports = (1..=count).map(|port| json!({"name": format!("p{port}"), "port": port}));
        json!({"type": "NodePort", "ports": ports.collect::<Vec<_>>()})
    };
    let full = "Internal error occurred: failed to allocate a nodePort: range is full";
    let answer = create(&sandbox, "too-many", all(2769)).await;
    assert_eq!((answer.code, answer.body["message"].as_str()), (500, Some(full)));
    put_in_place(&sandbox, "all", all(2768)).await;
    let answer = create(&sandbox, "x", all(1)).await;
    assert_eq!((answer.code, answer.body["message"].as_str()), (500, Some(full)));
    assert_eq!(answer.body["reason"], "InternalError");
    send(&sandbox, "DELETE", &format!("{SERVICES}/all"), Value::Null).await;
    put_in_place(&sandbox, "x", all(1)).await;
}

#[tokio::test]
async fn two_families() {
    let options = Options { empty: true, churn: false, families: Families::DualStack, ..Options::default() };
    let sandbox = Sandbox::start(options);
    let made = put_in_place(&sandbox, "a", with(json!({"ipFamilyPolicy": "PreferDualStack"}))).await;
    let ips: Vec<IpAddr> = serde_json::from_value(made["spec"]["clusterIPs"].clone()).unwrap();
    assert!(matches!(ips[..], [IpAddr::V4(_), IpAddr::V6(_)]), "{ips:?}");
    let single = patch(&sandbox, "a", json!({"ipFamilyPolicy": "SingleStack"})).await.body;
    assert_eq!(single["spec"]["clusterIPs"], json!([ips[0]]));
    put_in_place(&sandbox, "b", with(json!({ "clusterIP": ips[1] }))).await;
    // A dry run shows the bases of ranges in place of what it would allocate.
    let dry = |method, path: String, body| {
        let sandbox = &sandbox;
        async move { send(sandbox, method, &format!("{path}?dryRun=All"), body).await.body }
    };
    let new = json!({"metadata": {"name": "c"}, "spec": with(json!({"ipFamilyPolicy": "RequireDualStack"}))});
    let new = dry("POST", SERVICES.to_owned(), new).await;
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.96.0.0", "fd00:10:96::"]));
    let more = json!({"spec": {"ipFamilyPolicy": "PreferDualStack"}});
    let more = dry("PATCH", format!("{SERVICES}/a"), more).await;
    assert_eq!(more["spec"]["clusterIPs"], json!([ips[0], "fd00:10:96::"]));
    let api_server = send(&sandbox, "GET", &format!("{SERVICES}/kubernetes"), Value::Null).await.body;
    assert_eq!(api_server["spec"]["clusterIPs"], json!(["10.96.0.1"]), "the API server's own has one");
}

#[tokio::test]
async fn changes_of_type() {
    let sandbox = sandbox();
    let first = put_in_place(&sandbox, "s", with(json!({"selector": {"a": "b"}}))).await;
    let ip = first["spec"]["clusterIP"].clone();
    let balancer = patch(&sandbox, "s", json!({"type": "LoadBalancer"})).await.body;
    assert_eq!(
        (&balancer["spec"]["allocateLoadBalancerNodePorts"], &balancer["spec"]["externalTrafficPolicy"]),
        (&json!(true), &json!("Cluster"))
    );
    sandbox.settled().await;
    let node_port = balancer["spec"]["ports"][0]["nodePort"].clone();
    let node = patch(&sandbox, "s", json!({"type": "NodePort"})).await.body;
    assert_eq!(
        (&node["spec"]["ports"][0]["nodePort"], &node["spec"]["allocateLoadBalancerNodePorts"]),
        (&node_port, &Value::Null)
    );
    assert_eq!(node["status"], json!({"loadBalancer": {}}), "the balancer's address goes");
    let cluster = patch(&sandbox, "s", json!({"type": "ClusterIP"})).await.body;
    assert_eq!(
        (&cluster["spec"]["ports"][0]["nodePort"], &cluster["spec"]["externalTrafficPolicy"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(cluster["spec"]["clusterIP"], ip, "the address stays");
    let name =
        patch(&sandbox, "s", json!({"type": "ExternalName", "externalName": "example.com"})).await.body;
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
        assert_eq!(name["spec"][field], Value::Null, "{field}");
    }
    assert_eq!(name["spec"]["ports"][0]["port"], 80);
    // The address is free again.
    put_in_place(&sandbox, "other", with(json!({ "clusterIP": ip }))).await;
    let back = patch(&sandbox, "s", json!({"type": "ClusterIP"})).await;
    assert!(back.code == 200 && back.body["spec"]["clusterIP"] != ip, "{}", back.body["message"]);
    assert_eq!(
        back.warnings,
        ["299 - \"spec.externalName is ignored when spec.type is not \\\"ExternalName\\\"\""]
    );
    // Leaving out what was allocated keeps it; a PUT to a name that is not there creates.
    let plain = json!({"metadata": {"name": "put"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    let path = format!("{SERVICES}/put");
    let made = send(&sandbox, "PUT", &path, plain.clone()).await;
    let again = send(&sandbox, "PUT", &path, plain).await;
    assert_eq!((made.code, again.code, &made.body["spec"]), (201, 200, &again.body["spec"]));
    let gone = send(&sandbox, "DELETE", &path, Value::Null).await;
    assert_eq!((gone.code, &gone.body["kind"]), (200, &json!("Service")));
}

#[tokio::test]
async fn refused_slices_and_endpoints() {
    let sandbox = sandbox();
    let endpoint = |ip: &str| json!([{"addresses": [ip]}]);
    let slice = |more: Value| {
        let mut slice = json!({"metadata": {"name": "x"}, "addressType": "IPv4", "endpoints": []});
        slice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
            "EndpointSlice.discovery.k8s.io",
            slice,
        )
    };
    let subset = |subset: Value| {
        let object = json!({"metadata": {"name": "x"}, "subsets": [subset]});
        ("/api/v1/namespaces/default/endpoints", "Endpoints", object)
    };
    let loopback = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    let rows = [
        (slice(json!({"addressType": ""})), "addressType: Required value".to_owned()),
        (
            slice(json!({"addressType": "IP"})),
            "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""
                .to_owned(),
        ),
        (
            slice(json!({"endpoints": [{"addresses": []}]})),
            "endpoints[0].addresses: Required value: must contain at least 1 address".to_owned(),
        ),
        (
            slice(json!({"endpoints": endpoint("fd00::1")})),
            "endpoints[0].addresses: Invalid value: \"fd00::1\": must be an IPv4 address".to_owned(),
        ),
        (
            slice(json!({"endpoints": endpoint("127.0.0.1")})),
            format!("endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": {loopback}"),
        ),
        (
            slice(json!({"ports": [{"port": 80}, {"port": 81}]})),
            "ports[1].name: Duplicate value: \"\"".to_owned(),
        ),
        (
            subset(json!({"ports": [{"port": 80}]})),
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`".to_owned(),
        ),
        (
            subset(
                json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}, {"name": "b", "port": 81}]}),
            ),
            "subsets[0].ports[0].name: Required value".to_owned(),
        ),
        (
            subset(json!({"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 80}]})),
            format!("subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": {loopback}"),
        ),
    ];
    for ((path, kind, object), expected) in rows {
        let answer = send(&sandbox, "POST", path, object.clone()).await;
        let expected = format!("{kind} \"x\" is invalid: {expected}");
        assert_eq!(
            (answer.code, answer.body["message"].as_str()),
            (422, Some(expected.as_str())),
            "{object}"
        );
    }
    let (path, _, object) = slice(json!({"endpoints": endpoint("10.96.0.1")}));
    assert_eq!(
        send(&sandbox, "POST", path, object).await.code,
        201,
        "a cluster IP is accepted as an address"
    );
    let change = json!({"addressType": "IPv6", "endpoints": null});
    let answer = send(&sandbox, "PATCH", &format!("{path}/x"), change).await;
    assert!(
        answer.body["message"]
            .as_str()
            .unwrap()
            .ends_with("addressType: Invalid value: \"IPv6\": field is immutable")
    );
}
