//! Userspace mode against literal rules: the forms are those of kube-proxy 1.25 (`pkg/proxy/userspace/proxier.go`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::collections::BTreeSet;

use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, ProxyMode};
use vipscope_shared::proxy::{self, Format};

fn cluster(services: &str, config: &str) -> ClusterState {
    let node = "kind: Node\napiVersion: v1\nmetadata: {name: n1}\nstatus: {addresses: [\
        {type: InternalIP, address: 192.168.1.1}, {type: InternalIP, address: 'fd00::1'}]}\n";
    let config = format!(
        "kind: ConfigMap\napiVersion: v1\nmetadata: {{namespace: kube-system, name: kube-proxy}}\n\
         data: {{config.conf: \"{config}\"}}\n"
    );
    manifest::load(&format!("{node}---\n{config}---\n{services}")).unwrap().state
}

fn print(state: &ClusterState, family: IpFamily) -> String {
    let rules = proxy::generate(state, state.node("n1").unwrap(), family, ProxyMode::Userspace);
    rules.print(Format::Native).unwrap()
}

/// The rules alone.
fn rules(state: &ClusterState, family: IpFamily) -> Vec<String> {
    print(state, family).lines().filter(|line| line.starts_with("-A")).map(str::to_owned).collect()
}

const EVERYTHING: &str = r"
kind: Service
apiVersion: v1
metadata: {namespace: shop, name: web}
spec:
  type: LoadBalancer
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  externalIPs: [198.51.100.7]
  ports: [{name: http, port: 80, nodePort: 30080, protocol: TCP}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
";

#[test]
fn every_kind_of_portal() {
    let name = "-m comment --comment shop/web:http -p tcp -m tcp";
    let expected = [
        format!("-A KUBE-NODEPORT-NON-LOCAL {name} --dport 48100 -m state --state NEW -j ACCEPT"),
        format!("-A KUBE-PORTALS-CONTAINER {name} --dport 80 -d 10.96.0.10/32 -j REDIRECT --to-ports 48100"),
        format!(
            "-A KUBE-PORTALS-CONTAINER {name} --dport 80 -d 198.51.100.7/32 -m physdev ! --physdev-is-in -j REDIRECT --to-ports 48100"
        ),
        format!(
            "-A KUBE-PORTALS-CONTAINER {name} --dport 80 -d 198.51.100.7/32 -m addrtype --dst-type LOCAL -j REDIRECT --to-ports 48100"
        ),
        format!("-A KUBE-PORTALS-CONTAINER {name} --dport 80 -d 203.0.113.1/32 -j REDIRECT --to-ports 48100"),
        format!(
            "-A KUBE-PORTALS-HOST {name} --dport 80 -d 10.96.0.10/32 -j DNAT --to-destination 192.168.1.1:48100"
        ),
        format!(
            "-A KUBE-PORTALS-HOST {name} --dport 80 -d 198.51.100.7/32 -m addrtype --dst-type LOCAL -j DNAT --to-destination 192.168.1.1:48100"
        ),
        format!(
            "-A KUBE-PORTALS-HOST {name} --dport 80 -d 203.0.113.1/32 -j DNAT --to-destination 192.168.1.1:48100"
        ),
        format!("-A KUBE-NODEPORT-CONTAINER {name} --dport 30080 -j REDIRECT --to-ports 48100"),
        format!("-A KUBE-NODEPORT-HOST {name} --dport 30080 -j DNAT --to-destination 192.168.1.1:48100"),
    ];
    assert_eq!(rules(&cluster(EVERYTHING, ""), IpFamily::IPv4), expected);
}

#[test]
fn with_a_bind_address_everything_is_dnat_to_it() {
    let state = cluster(EVERYTHING, "bindAddress: 192.168.1.9");
    let rules = rules(&state, IpFamily::IPv4);
    let nat: Vec<_> = rules.iter().filter(|rule| !rule.ends_with("ACCEPT")).collect();
    assert_eq!(nat.len(), 9);
    assert!(nat.iter().all(|rule| rule.ends_with("-j DNAT --to-destination 192.168.1.9:48100")), "{nat:#?}");
}

#[test]
fn what_the_mode_does_not_serve() {
    let services = r"
kind: Service
apiVersion: v1
metadata: {namespace: a, name: headless}
spec: {clusterIP: None, clusterIPs: [None], ports: [{port: 80}]}
---
kind: Service
apiVersion: v1
metadata: {namespace: a, name: alias}
spec: {type: ExternalName, externalName: db.example.com}
---
kind: Service
apiVersion: v1
metadata: {namespace: a, name: sctp}
spec: {clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], ports: [{port: 80, protocol: SCTP}]}
---
kind: Service
apiVersion: v1
metadata: {namespace: a, name: six}
spec: {clusterIP: 'fd00:10::6', clusterIPs: ['fd00:10::6'], ipFamilies: [IPv6], ports: [{port: 53, protocol: UDP}]}
";
    let state = cluster(services, "");
    assert_eq!(rules(&state, IpFamily::IPv4), Vec::<String>::new());
    let six = rules(&state, IpFamily::IPv6);
    assert_eq!(six.len(), 2);
    assert!(
        six[0].starts_with("-A KUBE-PORTALS-CONTAINER -m comment --comment a/six -p udp -m udp --dport 53 -d fd00:10::6/128 -j REDIRECT"),
        "{six:?}"
    );
    assert!(six[1].contains("-j DNAT --to-destination [fd00::1]:"), "{six:?}");
}

#[test]
fn proxy_ports_are_repeatable_and_never_shared() {
    let service = |n: usize| {
        format!(
            "{{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{{\"namespace\":\"many\",\"name\":\"s{n}\"}},\
             \"spec\":{{\"clusterIP\":\"10.{}.{}.{}\",\"ports\":[{{\"port\":80,\"protocol\":\"TCP\"}}]}}}}",
            97 + n / 62_500,
            n / 250 % 250,
            n % 250 + 1
        )
    };
    // Some hundred ports are somebody else's first choice.
    let count = 4_000;
    let items: Vec<String> = (0..count).map(service).collect();
    let state = cluster(&items.join("\n---\n"), "");
    let text = print(&state, IpFamily::IPv4);
    assert_eq!(text, print(&state, IpFamily::IPv4));
    let ports = text.lines().filter_map(|line| line.split_once("--to-ports ")).map(|(_, port)| port);
    let ports: BTreeSet<u16> = ports.map(|port| port.parse().unwrap()).collect();
    assert_eq!(ports.len(), count);
    assert!(ports.first() >= Some(&32_768) && ports.last() <= Some(&60_999));
}

#[test]
fn jumps_stand_as_kube_proxy_put_them() {
    let state = cluster(EVERYTHING, "");
    let rules = proxy::generate(&state, state.node("n1").unwrap(), IpFamily::IPv4, ProxyMode::Userspace);
    let text = rules.with_jumps().print(Format::Native).unwrap();
    let built_in = ["-A INPUT", "-A OUTPUT", "-A PREROUTING", "-A FORWARD"];
    let jumps: Vec<&str> =
        text.lines().filter(|line| built_in.iter().any(|chain| line.starts_with(chain))).collect();
    assert_eq!(
        jumps,
        [
            r#"-A INPUT -m comment --comment "Ensure that non-local NodePort traffic can flow" -j KUBE-NODEPORT-NON-LOCAL"#,
            r#"-A PREROUTING -m comment --comment "handle ClusterIPs; NOTE: this must be before the NodePort rules" -j KUBE-PORTALS-CONTAINER"#,
            r#"-A PREROUTING -m addrtype --dst-type LOCAL -m comment --comment "handle service NodePorts; NOTE: this must be the last rule in the chain" -j KUBE-NODEPORT-CONTAINER"#,
            r#"-A OUTPUT -m comment --comment "handle ClusterIPs; NOTE: this must be before the NodePort rules" -j KUBE-PORTALS-HOST"#,
            r#"-A OUTPUT -m addrtype --dst-type LOCAL -m comment --comment "handle service NodePorts; NOTE: this must be the last rule in the chain" -j KUBE-NODEPORT-HOST"#,
        ]
    );
}
