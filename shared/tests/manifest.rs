//! Manifests: what kubectl printed loads without a complaint, and what is broken is reported with object and field.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use vipscope_shared::manifest::{FileError, Loaded, load};
use vipscope_shared::model::{
    ClusterIp, DnsPolicy, FaultEffect, Key, LocalDetector, NodePortAddresses, ProxyMode, ReadinessProbe,
    TargetPort,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn read(path: &Path) -> Loaded {
    let text = fs::read_to_string(path).unwrap();
    load(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_real_cluster_loads_without_complaint() {
    let loaded = read(&fixtures().join("real-cluster-1.36.json"));
    assert_eq!(loaded.faults, []);
    let state = &loaded.state;
    let counts = [
        state.namespaces().len(),
        state.nodes().len(),
        state.pods().len(),
        state.services().len(),
        state.slices().len(),
        state.endpoints().len(),
    ];
    assert_eq!(counts, [5, 4, 11, 16, 14, 13]);
    let ignored: Vec<_> = loaded.ignored.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    assert_eq!(ignored, ["Deployment.apps/v1 3", "ReplicaSet.apps/v1 3"]);
    let apache = state.services().get(&Key::new("default", "apache-http-service")).unwrap();
    assert_eq!(apache.cluster_ip, ClusterIp::Ips(vec!["10.96.136.190".parse().unwrap()]));
    assert_eq!(state.slices_of(&apache.meta.key).flat_map(|slice| &slice.endpoints).count(), 4);
    assert!(apache.meta.annotations.is_empty(), "annotations that nobody needs are dropped");
}

#[test]
fn all_conformance_clusters_load_without_complaint() {
    let mut cases = 0;
    for case in fs::read_dir(fixtures().join("conformance/kube-proxy")).unwrap() {
        let loaded = read(&case.unwrap().path().join("cluster.json"));
        assert_eq!(loaded.faults, []);
        assert!(loaded.ignored.is_empty());
        assert!(loaded.state.proxy_config().is_some());
        cases += 1;
    }
    assert_eq!(cases, 160);
}

/// What only checks and discovery ask for. It goes through the state's own JSON, too.
#[test]
fn what_checks_ask_for_is_read() {
    let text = r#"
apiVersion: v1
kind: Service
metadata:
  name: web
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: |
      {"kind":"Service","spec":{"clusterIP":"10.96.7.7","ports":[{"port":80,"nodePort":31000},{"port":81}]}}
spec: {type: LoadBalancer, clusterIP: 10.96.7.7, ports: [{port: 80, nodePort: 31000}, {port: 81, nodePort: 31001}]}
status:
  conditions:
  - {type: LoadBalancerPortsError, status: "True", reason: Mixed, message: no UDP}
  - {type: Other, status: "True"}
  loadBalancer: {ingress: [{ip: 192.0.2.1, ports: [{port: 80, protocol: TCP}, {port: 53, protocol: UDP, error: Unsupported}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  dnsPolicy: None
  dnsConfig: {nameservers: [192.0.2.53], searches: [a.example], options: [{name: ndots, value: "2"}]}
  containers:
  - {name: a, readinessProbe: {httpGet: {port: http, path: /}}, env: [{name: PASSWORD, value: hunter2}]}
  - {name: b, readinessProbe: {tcpSocket: {port: 5432}}}
  - {name: c, readinessProbe: {exec: {command: ["true"]}}}
  - {name: d}
---
{apiVersion: v1, kind: Service, metadata: {name: plain, annotations: {kubectl.kubernetes.io/last-applied-configuration: "{not json"}}, spec: {ports: [{port: 80}]}}
"#;
    let loaded = load(text).unwrap();
    assert_eq!(loaded.faults, []);
    let json = serde_json::to_string(&loaded.state).unwrap();
    assert!(!json.contains("hunter2"), "values of environments are dropped at the edge");
    let state: vipscope_shared::model::ClusterState = serde_json::from_str(&json).unwrap();
    assert_eq!(state, loaded.state);
    let service = state.services().get(&Key::new("default", "web")).unwrap();
    let declared = service.declared.as_deref().unwrap();
    assert_eq!(declared.cluster_ip, Some("10.96.7.7".parse().unwrap()));
    assert_eq!(declared.node_ports.iter().map(|port| port.get()).collect::<Vec<_>>(), [31000]);
    assert_eq!(service.finalizers.len(), 1);
    assert!(service.meta.annotations.is_empty(), "the annotation itself is dropped");
    let errors: Vec<_> =
        service.balancer_errors.iter().map(|error| format!("{} {}", error.field, error.reason)).collect();
    assert_eq!(
        errors,
        [
            "status.conditions[LoadBalancerPortsError] Mixed: no UDP",
            "status.loadBalancer.ingress[0].ports[1].error 53/UDP: Unsupported"
        ]
    );
    let pod = state.pods().values().next().unwrap();
    let probes: Vec<_> = pod.containers.iter().map(|container| container.readiness.clone()).collect();
    let port = |text: &str| Some(ReadinessProbe::Port(TargetPort::from(std::sync::Arc::from(text))));
    assert_eq!(probes, [port("http"), port("5432"), Some(ReadinessProbe::Command), None]);
    let dns = pod.dns.as_deref().unwrap();
    assert_eq!((dns.policy, dns.ndots, dns.searches.len()), (DnsPolicy::None, Some(2), 1));
    assert_eq!(state.services().get(&Key::new("default", "plain")).unwrap().declared, None);
}

#[test]
fn a_state_survives_its_own_json() {
    let state = read(&fixtures().join("real-cluster-1.36.json")).state;
    let json = serde_json::to_string(&state).unwrap();
    let back: vipscope_shared::model::ClusterState = serde_json::from_str(&json).unwrap();
    assert_eq!(back, state, "indexes included");
}

/// What each broken document is reported as; the Service `good` beside it must always survive.
#[test]
fn bad_objects_are_named_and_the_rest_is_loaded() {
    let service = |spec: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"bad","namespace":"shop"}},"spec":{spec}}}"#
        )
    };
    let rows = [
        (service(r#"{"ports":[{"port":"http"}]}"#), r#"Service shop/bad: spec.ports[0].port: invalid type: string "http", expected a whole number from 0 to 65535"#),
        (service(r#"{"ports":[{"port":0}]}"#), "Service shop/bad: spec.ports[0].port: 0 is not a port: must be between 1 and 65535"),
        (service(r#"{"ports":[{"port":80,"protocol":"HTTP"}]}"#), "Service shop/bad: spec.ports[0].protocol: `HTTP` is not one of TCP, UDP, SCTP"),
        (service(r#"{"clusterIP":"10.0.0"}"#), "Service shop/bad: spec.clusterIP: `10.0.0` is not an IP address"),
        (service(r#"{"type":"Nodeport"}"#), "Service shop/bad: spec.type: `Nodeport` is not one of ClusterIP, NodePort, LoadBalancer, ExternalName"),
        (service(r#"{"externalTrafficPolicy":"local"}"#), "Service shop/bad: spec.externalTrafficPolicy: `local` is not one of Cluster, Local"),
        (r#"{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop"}}"#.into(), "Pod shop/(unnamed): metadata.name: is missing"),
        (r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","creationTimestamp":"yesterday"}}"#.into(), "Pod p: metadata.creationTimestamp: `yesterday` is not an RFC 3339 time"),
        (r#"{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"s","namespace":"a"}}"#.into(), "EndpointSlice a/s: addressType: `` is not one of IPv4, IPv6, FQDN"),
        (r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kube-proxy","namespace":"kube-system"},"data":{"config.conf":"mode: ebpf"}}"#.into(), "ProxyConfig kube-system/kube-proxy: data.config.conf: mode: `ebpf` is not one of iptables, nftables, ipvs, userspace"),
    ];
    let good = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"good","namespace":"shop"},"spec":{"ports":[{"port":80}]}}"#;
    for (bad, expected) in rows {
        let loaded = load(&format!("{bad}\n{good}")).unwrap();
        let faults: Vec<_> = loaded.faults.iter().map(|fault| fault.to_string()).collect();
        assert_eq!(faults, [expected]);
        assert_eq!(loaded.faults[0].effect, FaultEffect::Dropped);
        assert!(loaded.state.services().contains(&Key::new("shop", "good")));
        assert_eq!(loaded.state.faults().count(), 1);
    }
}

#[test]
fn a_bad_entry_costs_only_itself() {
    let text = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},
        "spec":{"externalIPs":["010.1.2.3","nonsense","::ffff:10.0.0.9"],"loadBalancerSourceRanges":[" 10.9.8.7/8 ","10.0.0.1"]}}"#;
    let loaded = load(text).unwrap();
    let service = loaded.state.services().values().next().unwrap();
    assert_eq!(
        service.external_ips.iter().map(|ip| ip.to_string()).collect::<Vec<_>>(),
        ["10.1.2.3", "10.0.0.9"]
    );
    assert_eq!(service.source_ranges.iter().map(|net| net.to_string()).collect::<Vec<_>>(), ["10.0.0.0/8"]);
    let fault = &loaded.faults[0];
    assert_eq!(fault.effect, FaultEffect::Partial);
    assert_eq!(
        fault.to_string(),
        "Service shop/web: spec.externalIPs[1]: `nonsense` is not an IP address; \
         spec.loadBalancerSourceRanges[1]: `10.0.0.1` is not a CIDR such as 10.0.0.0/8"
    );
}

#[test]
fn yaml_documents_lists_and_flow_style_are_one_language() {
    let block = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n    targetPort: http\n";
    let rows = [
        block.to_owned(),
        format!("---\n# a comment\n---\n{block}"),
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80, targetPort: http}]}}".into(),
        r#"[{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":80,"targetPort":"http"}]}}]"#.into(),
        r#"{"apiVersion":"v1","kind":"ServiceList","items":[{"metadata":{"name":"web"},"spec":{"ports":[{"port":80,"targetPort":"http"}]}}]}"#.into(),
    ];
    for text in rows {
        let loaded = load(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let service =
            loaded.state.services().get(&Key::new("default", "web")).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(service.ports[0].target_port, TargetPort::Name("http".into()));
    }
}

#[test]
fn kube_proxy_settings_are_read_from_its_config_map() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-proxy, namespace: kube-system}\ndata:\n  \
        config.conf: |\n    mode: nftables\n    clusterCIDR: 10.244.0.0/16,fd00::/56\n    nodePortAddresses: [primary]\n    \
        nftables: {masqueradeAll: true}\n  node-b.config.conf: |\n    mode: ipvs\n    ipvs: {scheduler: lc}\n";
    let loaded = load(text).unwrap();
    assert_eq!(loaded.faults, []);
    let all = loaded.state.proxy_settings("node-a");
    assert_eq!((all.mode, all.nftables.all, all.nftables.bit), (ProxyMode::Nftables, true, 14));
    assert_eq!(all.node_port_addresses, NodePortAddresses::Primary);
    assert!(matches!(&all.detect_local, LocalDetector::ClusterCidr(cidrs) if cidrs.len() == 2));
    let one = loaded.state.proxy_settings("node-b");
    assert_eq!((one.mode, &*one.ipvs_scheduler), (ProxyMode::Ipvs, "lc"));
}

#[test]
fn what_is_no_kubernetes_file_is_refused_as_a_whole() {
    assert_eq!(load("").unwrap_err(), FileError::Empty);
    assert_eq!(load("just text").unwrap_err(), FileError::NotAnObject { document: 1 });
    assert!(matches!(load(r#"{"kind": "#).unwrap_err(), FileError::Json(_)));
    assert!(matches!(load("a: [").unwrap_err(), FileError::Yaml(_)));
    let alias_bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n\
        g: &g [*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g]\n";
    assert!(
        matches!(load(alias_bomb).unwrap_err(), FileError::Yaml(_)),
        "an alias bomb must not be expanded"
    );
}
