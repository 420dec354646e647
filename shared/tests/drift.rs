//! Drift: nothing where rules are the same, however they were read; each difference once, with the Service that it is about. Law:
//! the rules of a Service picked out of all rules of a node are those that the engine makes for the Service alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, Key, ProxyMode};
use vipscope_shared::netfilter::{iptables, nft};
use vipscope_shared::proxy::drift::{Namer, drift, parts_of, rules_of, without_rules_of};
use vipscope_shared::proxy::parts::Parts;
use vipscope_shared::proxy::{Format, Rules, Scope, generate, generate_for};
use vipscope_shared::traffic::DriftKind;

const CLUSTER: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {podCIDRs: [10.244.0.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.0.10}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: cart, namespace: shop}, spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10], ipFamilies: [IPv4], sessionAffinity: ClientIP,
  ports: [{name: http, port: 80, targetPort: 8080}, {name: metrics, port: 9090, targetPort: 9090}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}, addressType: IPv4,
  ports: [{name: http, port: 8080}, {name: metrics, port: 9090}], endpoints: [{addresses: [10.244.0.2], nodeName: n1}, {addresses: [10.244.1.2], nodeName: n2}, {addresses: [10.244.1.3], nodeName: n2}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, externalTrafficPolicy: Local, healthCheckNodePort: 32100, clusterIP: 10.96.0.11, clusterIPs: [10.96.0.11], ipFamilies: [IPv4],
  loadBalancerSourceRanges: [203.0.113.0/24], externalIPs: [198.51.100.7], ports: [{port: 443, targetPort: 8443, nodePort: 30443}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.9}]}}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
  ports: [{port: 8443}], endpoints: [{addresses: [10.244.0.3], nodeName: n1}]}
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, spec: {type: NodePort, clusterIP: 10.96.0.12, clusterIPs: [10.96.0.12], ipFamilies: [IPv4],
  ports: [{port: 53, protocol: UDP, nodePort: 30053}]}}
"#;

const SERVICES: [&str; 3] = ["cart", "web", "empty"];

fn state() -> ClusterState {
    let loaded = manifest::load(CLUSTER).unwrap();
    assert_eq!(loaded.faults, []);
    loaded.state
}

fn rules(state: &ClusterState, mode: ProxyMode) -> Rules {
    generate(state, state.node("n1").unwrap(), IpFamily::IPv4, mode)
}

/// The rules as a tool prints them and a node's reader parses them.
fn read_again(rules: &Rules) -> Rules {
    let text = rules.print(Format::Native).unwrap();
    match rules {
        Rules::Iptables(_) => {
            let mut tables = iptables::parse(&text).unwrap().into_iter().map(|loaded| loaded.table);
            Rules::Iptables([tables.next().unwrap(), tables.next().unwrap()])
        }
        Rules::Nftables(_) => Rules::Nftables(nft::parse(&text).unwrap().tables.remove(0).table),
        other => other.clone(),
    }
}

fn lines(state: &ClusterState, expected: &Parts, actual: &Parts) -> Vec<(DriftKind, String, Option<String>)> {
    let lines = drift(state, IpFamily::IPv4, expected, actual);
    lines.into_iter().map(|line| (line.kind, line.part, line.service.map(|key| key.to_string()))).collect()
}

#[test]
fn the_same_rules_have_no_drift_however_they_were_read() {
    let state = state();
    for mode in ProxyMode::ALL {
        let rules = rules(&state, mode);
        let expected = parts_of(&rules, &[]);
        let mut actual = parts_of(&read_again(&rules), &[]);
        // What others keep there, and another order of Services.
        for part in [
            "nat/PREROUTING",
            "nat/KUBE-PROXY-CANARY",
            "mangle/KUBE-KUBELET-CANARY",
            "filter/DOCKER",
            "nat/KUBE-SEP-STALE",
        ] {
            actual.insert(
                part.to_owned(),
                if part.contains("STALE") { vec![] } else { vec![format!("-A {part} -j RETURN")] },
            );
        }
        for part in ["nat/KUBE-SERVICES", "filter/KUBE-SERVICES", "map service-ips"] {
            actual.entry(part.to_owned()).and_modify(|lines| lines.reverse());
        }
        assert_eq!(lines(&state, &expected, &actual), [], "{mode}");
    }
}

/// What is done to the rules, in which part, and what is told of it.
type Row = (&'static str, &'static str, fn(&mut Parts), DriftKind, Option<&'static str>);

fn iptables_rows() -> Vec<Row> {
    vec![
        (
            "a dispatch rule is gone",
            "nat/KUBE-SERVICES",
            |p| drop(p.get_mut("nat/KUBE-SERVICES").unwrap().remove(0)),
            DriftKind::Missing,
            Some("shop/cart"),
        ),
        (
            "a rule of another",
            "nat/KUBE-SERVICES",
            |p| {
                p.get_mut("nat/KUBE-SERVICES").unwrap().push("-A KUBE-SERVICES -m comment --comment \"old/gone:http cluster IP\" -m tcp -p tcp -d 10.96.0.99 --dport 80 -j KUBE-SVC-GONE".to_owned())
            },
            DriftKind::Extra,
            Some("old/gone"),
        ),
        (
            "a general rule is gone",
            "nat/KUBE-POSTROUTING",
            |p| drop(p.get_mut("nat/KUBE-POSTROUTING").unwrap().remove(0)),
            DriftKind::Missing,
            None,
        ),
        (
            "a refusal is gone",
            "filter/KUBE-SERVICES",
            |p| p.get_mut("filter/KUBE-SERVICES").unwrap().retain(|line| !line.contains("shop/empty")),
            DriftKind::Missing,
            Some("shop/empty"),
        ),
    ]
}

fn nftables_rows() -> Vec<Row> {
    vec![
        (
            "an element leads elsewhere",
            "map service-ips",
            |p| {
                let lines = p.get_mut("map service-ips").unwrap();
                let line = lines.iter_mut().find(|line| line.contains("10.96.0.10 ")).unwrap();
                *line = line.replace("10.96.0.10", "10.96.0.99");
            },
            DriftKind::Changed,
            Some("shop/cart"),
        ),
        (
            "an address is gone",
            "set cluster-ips",
            |p| p.get_mut("set cluster-ips").unwrap().retain(|line| !line.contains("{ 10.96.0.11 }")),
            DriftKind::Missing,
            Some("shop/web"),
        ),
    ]
}

fn ipvs_rows() -> Vec<Row> {
    vec![
        (
            "another real server",
            "virtual server TCP 10.96.0.10:80",
            |p| {
                p.get_mut("virtual server TCP 10.96.0.10:80")
                    .unwrap()
                    .push("-> 10.244.9.9:8080 weight 1".to_owned())
            },
            DriftKind::Extra,
            Some("shop/cart"),
        ),
        (
            "another weight",
            "virtual server TCP 10.96.0.10:80",
            |p| {
                let line = p.get_mut("virtual server TCP 10.96.0.10:80").unwrap().last_mut().unwrap();
                *line = line.replace("weight 1", "weight 0");
            },
            DriftKind::Changed,
            Some("shop/cart"),
        ),
        (
            "an address is not bound",
            "dummy interface addresses",
            |p| p.get_mut("dummy interface addresses").unwrap().retain(|line| line != "192.0.2.9"),
            DriftKind::Missing,
            Some("shop/web"),
        ),
        (
            "an entry is gone",
            "ipset KUBE-CLUSTER-IP",
            |p| p.get_mut("ipset KUBE-CLUSTER-IP").unwrap().retain(|line| line != "10.96.0.11,tcp:443"),
            DriftKind::Missing,
            Some("shop/web"),
        ),
    ]
}

#[test]
fn a_difference_is_told_once_with_its_service() {
    let state = state();
    let modes = [
        (ProxyMode::Iptables, iptables_rows()),
        (ProxyMode::Nftables, nftables_rows()),
        (ProxyMode::Ipvs, ipvs_rows()),
    ];
    for (mode, rows) in modes {
        for (what, part, edit, kind, service) in rows {
            let expected = parts_of(&rules(&state, mode), &[]);
            let mut actual = expected.clone();
            edit(&mut actual);
            let told = lines(&state, &expected, &actual);
            assert_eq!(told, [(kind, part.to_owned(), service.map(str::to_owned))], "{mode}: {what}");
        }
    }
}

#[test]
fn the_order_in_the_chain_of_a_service_matters() {
    let state = state();
    let expected = parts_of(&rules(&state, ProxyMode::Iptables), &[]);
    let mut actual = expected.clone();
    let is_choice = |lines: &Vec<String>| lines.iter().any(|line| line.contains("--probability"));
    let (part, chosen) = actual.iter_mut().find(|(_, lines)| is_choice(lines)).unwrap();
    let part = part.clone();
    chosen.reverse();
    assert_eq!(lines(&state, &expected, &actual), [(DriftKind::Changed, part, Some("shop/cart".to_owned()))]);
}

#[test]
fn rules_picked_out_are_those_made_for_the_service_alone() {
    let state = state();
    let (node, namer) = (state.node("n1").unwrap(), Namer::new(&state));
    let sorted = |rules: Rules| {
        let mut parts = rules.parts();
        // Which general rules ipvs mode has depends on the sets that all Services fill.
        parts.retain(|name, _| rules.mode() != ProxyMode::Ipvs || !name.contains("/KUBE-"));
        parts.values_mut().for_each(|lines| lines.sort());
        parts.retain(|_, lines| !lines.is_empty());
        parts
    };
    for mode in ProxyMode::ALL {
        for name in SERVICES {
            let key = Key::new("shop", name);
            let picked = rules_of(rules(&state, mode), &namer, &key);
            let made = generate_for(&state, node, IpFamily::IPv4, mode, Scope::Service(&key));
            assert_eq!(sorted(picked), sorted(made), "{mode} {name}");
        }
    }
}

#[test]
fn deleting_rules_of_a_service_leaves_the_others() {
    let state = state();
    let namer = Namer::new(&state);
    for mode in ProxyMode::ALL {
        for name in SERVICES {
            let whole = rules(&state, mode);
            let cut = without_rules_of(whole.clone(), &namer, &Key::new("shop", name));
            let told = lines(&state, &parts_of(&whole, &[]), &parts_of(&cut, &[]));
            assert!(!told.is_empty(), "{mode} {name}");
            for (kind, part, service) in told {
                assert_eq!(
                    (kind, service),
                    (DriftKind::Missing, Some(format!("shop/{name}"))),
                    "{mode} {name}: {part}"
                );
            }
        }
    }
}
