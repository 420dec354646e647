//! How Services are found: rows from the DNS specification, CoreDNS and the kubelet, each against one small cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use vipscope_shared::discovery::{
    Absence, Answer, Dns, Environment, Nameserver, PodNames, Resolver, environment, variables_of,
};
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Key, Pod, Service};

const CLUSTER: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: prod}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: io}}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {clusterIP: 10.96.0.10, ports: [{name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: prod, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  clusterIP: 10.96.1.5
  clusterIPs: [10.96.1.5, "fd00:10:96::5"]
  ipFamilies: [IPv4, IPv6]
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: Metrics, port: 9090}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: prod, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.5], conditions: {ready: true}}
- {addresses: [10.244.0.6], conditions: {ready: false}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: io}, spec: {clusterIP: 10.96.9.9, ports: [{port: 80}]}}
---
apiVersion: v1
kind: Service
metadata: {name: pg, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 1, targetPort: 5432}, {name: admin, port: 2}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pg-1, namespace: shop, labels: {kubernetes.io/service-name: pg}}
addressType: IPv4
ports: [{name: sql, port: 5432, protocol: TCP}]
endpoints:
- {addresses: [10.244.1.2], hostname: pg-0, conditions: {}}
- {addresses: [10.244.1.3], conditions: {ready: true}}
- {addresses: [10.244.1.4], hostname: pg-2, conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pg-6, namespace: shop, labels: {kubernetes.io/service-name: pg}}
addressType: IPv6
ports: [{name: sql, port: 5432, protocol: TCP}]
endpoints: [{addresses: ["fd00::12"], hostname: pg-0}]
---
{apiVersion: v1, kind: Service, metadata: {name: bare, namespace: shop}, spec: {clusterIP: None}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bare-1, namespace: shop, labels: {kubernetes.io/service-name: bare}}
addressType: IPv4
endpoints: [{addresses: [10.244.8.1, 10.244.8.2]}]
---
{apiVersion: v1, kind: Service, metadata: {name: empty, namespace: shop}, spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {type: ExternalName, externalName: DB.example.com.}}
---
{apiVersion: v1, kind: Service, metadata: {name: literal, namespace: shop}, spec: {type: ExternalName, externalName: 192.0.2.1, ports: [{name: a, port: 1}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: alias, namespace: shop}, spec: {type: ExternalName, externalName: web.prod.svc.cluster.local}}
---
{apiVersion: v1, kind: Service, metadata: {name: loop, namespace: shop}, spec: {type: ExternalName, externalName: loop.shop.svc.cluster.local}}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop}
spec: {containers: [{name: main}]}
status: {podIP: 10.244.3.3}
"#;

fn cluster() -> ClusterState {
    let loaded = manifest::load(CLUSTER).unwrap();
    assert_eq!(loaded.faults, []);
    loaded.state
}

fn service<'a>(state: &'a ClusterState, name: &str) -> &'a Service {
    let (namespace, name) = name.split_once('/').unwrap();
    state.services().get(&Key::new(namespace, name)).unwrap()
}

#[test]
fn the_records_of_every_kind_of_service() {
    let state = cluster();
    let dns = Dns::new(&state);
    let rows: [(&str, &[&str]); 7] = [
        (
            "prod/web",
            &[
                "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa PTR web.prod.svc.cluster.local",
                "5.1.96.10.in-addr.arpa PTR web.prod.svc.cluster.local",
                "_http._tcp.web.prod.svc.cluster.local SRV 80 web.prod.svc.cluster.local",
                "_metrics._tcp.web.prod.svc.cluster.local SRV 9090 web.prod.svc.cluster.local",
                "web.prod.svc.cluster.local A 10.96.1.5",
                "web.prod.svc.cluster.local AAAA fd00:10:96::5",
            ],
        ),
        // Only named ports have SRV records.
        (
            "io/web",
            &["9.9.96.10.in-addr.arpa PTR web.io.svc.cluster.local", "web.io.svc.cluster.local A 10.96.9.9"],
        ),
        // Ready endpoints only, by host name or dashed address, and the target port.
        (
            "shop/pg",
            &[
                "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa PTR pg-0.pg.shop.svc.cluster.local",
                "2.1.244.10.in-addr.arpa PTR pg-0.pg.shop.svc.cluster.local",
                "3.1.244.10.in-addr.arpa PTR 10-244-1-3.pg.shop.svc.cluster.local",
                "10-244-1-3.pg.shop.svc.cluster.local A 10.244.1.3",
                "_sql._tcp.pg.shop.svc.cluster.local SRV 5432 10-244-1-3.pg.shop.svc.cluster.local",
                "_sql._tcp.pg.shop.svc.cluster.local SRV 5432 pg-0.pg.shop.svc.cluster.local",
                "pg-0.pg.shop.svc.cluster.local A 10.244.1.2",
                "pg-0.pg.shop.svc.cluster.local AAAA fd00::12",
                "pg.shop.svc.cluster.local A 10.244.1.2",
                "pg.shop.svc.cluster.local A 10.244.1.3",
                "pg.shop.svc.cluster.local AAAA fd00::12",
            ],
        ),
        ("shop/empty", &[]),
        ("shop/db", &["db.shop.svc.cluster.local CNAME db.example.com"]),
        ("shop/literal", &[]),
        ("shop/alias", &["alias.shop.svc.cluster.local CNAME web.prod.svc.cluster.local"]),
    ];
    for (name, expected) in rows {
        let mut expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        let mut records: Vec<String> =
            dns.records(service(&state, name)).iter().map(ToString::to_string).collect();
        records.sort();
        expected.sort();
        assert_eq!(records, expected, "{name}");
    }
}

fn short(answer: &Answer) -> String {
    match answer {
        Answer::NoData => "no data".to_owned(),
        Answer::NxDomain => "nxdomain".to_owned(),
        Answer::Elsewhere => "elsewhere".to_owned(),
        Answer::Records(records) => {
            records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>().join(", ")
        }
    }
}

#[test]
fn answers_to_one_name() {
    const VIPS: &str = "A 10.96.1.5, AAAA fd00:10:96::5";
    const ALL: &str = "SRV 80 web.prod.svc.cluster.local, SRV 9090 web.prod.svc.cluster.local";
    const PEERS: &str = "A 10.244.1.2, A 10.244.1.3, AAAA fd00::12";
    const TARGETS: &str =
        "SRV 5432 10-244-1-3.pg.shop.svc.cluster.local, SRV 5432 pg-0.pg.shop.svc.cluster.local";
    let state = cluster();
    let rows = [
        // CoreDNS: without a port, the SRV records of all ports; with one, addresses, too.
        ("web.prod.svc.cluster.local", VIPS, ALL),
        ("WEB.Prod.SVC.cluster.LOCAL.", VIPS, ALL),
        ("_http._tcp.web.prod.svc.cluster.local", VIPS, "SRV 80 web.prod.svc.cluster.local"),
        ("_HTTP._TCP.web.prod.svc.cluster.local", VIPS, "SRV 80 web.prod.svc.cluster.local"),
        ("web.io.svc.cluster.local", "A 10.96.9.9", "SRV 80 web.io.svc.cluster.local"),
        ("_http._udp.web.prod.svc.cluster.local", "nxdomain", "nxdomain"),
        ("a._http._tcp.web.prod.svc.cluster.local", "nxdomain", "nxdomain"),
        // CoreDNS: endpoints of ClusterIP Services have names, too, while they are ready.
        (
            "10-244-0-5.web.prod.svc.cluster.local",
            "A 10.244.0.5",
            "SRV 8080 10-244-0-5.web.prod.svc.cluster.local",
        ),
        ("10-244-0-6.web.prod.svc.cluster.local", "nxdomain", "nxdomain"),
        (
            "pg-0.pg.shop.svc.cluster.local",
            "A 10.244.1.2, AAAA fd00::12",
            "SRV 5432 pg-0.pg.shop.svc.cluster.local",
        ),
        ("pg.shop.svc.cluster.local", PEERS, TARGETS),
        ("_sql._tcp.pg.shop.svc.cluster.local", PEERS, TARGETS),
        ("_admin._tcp.pg.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        // Every address of an endpoint, and no port at all.
        ("bare.shop.svc.cluster.local", "A 10.244.8.1, A 10.244.8.2", "no data"),
        ("10-244-8-2.bare.shop.svc.cluster.local", "A 10.244.8.2", "no data"),
        ("pg-2.pg.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        ("empty.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        ("nothing.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        ("db.shop.svc.cluster.local", "CNAME db.example.com", "no data"),
        ("x.db.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        ("_a._tcp.db.shop.svc.cluster.local", "CNAME db.example.com", "no data"),
        ("literal.shop.svc.cluster.local", "nxdomain", "nxdomain"),
        (
            "alias.shop.svc.cluster.local",
            "CNAME web.prod.svc.cluster.local, A 10.96.1.5, AAAA fd00:10:96::5",
            "no data",
        ),
        ("shop.svc.cluster.local", "no data", "no data"),
        ("mars.svc.cluster.local", "nxdomain", "nxdomain"),
        ("svc.cluster.local", "no data", "no data"),
        ("cluster.local", "no data", "no data"),
        ("mycluster.local", "elsewhere", "elsewhere"),
        ("example.com", "elsewhere", "elsewhere"),
        ("10-1-2-3.shop.pod.cluster.local", "A 10.1.2.3", "no data"),
        ("fd00--7.shop.pod.cluster.local", "AAAA fd00::7", "no data"),
        ("10-1-2-3.mars.pod.cluster.local", "nxdomain", "nxdomain"),
        ("words.shop.pod.cluster.local", "nxdomain", "nxdomain"),
    ];
    let dns = Dns::new(&state);
    for (name, addresses, services) in rows {
        assert_eq!(short(&dns.addresses(name)), addresses, "{name}");
        assert_eq!(short(&dns.services(name)), services, "{name}");
    }
    let circle = dns.addresses("loop.shop.svc.cluster.local");
    assert!(matches!(circle, Answer::Records(chain) if chain.len() == 8), "a circle of CNAMEs ends");
    let with = |pod_names| Dns { pod_names, ..Dns::new(&state) };
    for (pods, name, expected) in [
        (PodNames::Disabled, "10-244-3-3.shop.pod.cluster.local", "nxdomain"),
        (PodNames::Verified, "10-244-3-3.shop.pod.cluster.local", "A 10.244.3.3"),
        (PodNames::Verified, "10-244-3-4.shop.pod.cluster.local", "nxdomain"),
    ] {
        assert_eq!(short(&with(pods).addresses(name)), expected, "{pods:?} {name}");
    }
}

/// The client pod with something in its spec.
fn client(spec: &str) -> Pod {
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: client, namespace: shop}}, spec: {{{spec}}}}}"
    );
    let loaded = manifest::load(&text).unwrap();
    assert_eq!(loaded.faults, [], "{spec}");
    Pod::clone(loaded.state.pods().values().next().unwrap())
}

/// The table of the reference: ndots 5, from namespace `shop`.
#[test]
fn names_walk_the_search_list() {
    let state = cluster();
    let dns = Dns::new(&state);
    let resolver = Resolver::of(&state, &client(""), "cluster.local");
    let z = "cluster.local";
    let rows: [(&str, Vec<String>, &str); 8] = [
        ("pg", vec![format!("pg.shop.svc.{z}")], "A 10.244.1.2, A 10.244.1.3, AAAA fd00::12"),
        (
            "web.prod",
            vec![format!("web.prod.shop.svc.{z}"), format!("web.prod.svc.{z}")],
            "A 10.96.1.5, AAAA fd00:10:96::5",
        ),
        (
            "web.prod.svc",
            vec![
                format!("web.prod.svc.shop.svc.{z}"),
                format!("web.prod.svc.svc.{z}"),
                format!("web.prod.svc.{z}"),
            ],
            "A 10.96.1.5, AAAA fd00:10:96::5",
        ),
        (
            "web.prod.svc.cluster.local",
            vec![
                format!("web.prod.svc.{z}.shop.svc.{z}"),
                format!("web.prod.svc.{z}.svc.{z}"),
                format!("web.prod.svc.{z}.{z}"),
                format!("web.prod.svc.{z}"),
            ],
            "A 10.96.1.5, AAAA fd00:10:96::5",
        ),
        ("web.prod.svc.cluster.local.", vec![format!("web.prod.svc.{z}")], "A 10.96.1.5, AAAA fd00:10:96::5"),
        (
            "api.example.com",
            vec![
                format!("api.example.com.shop.svc.{z}"),
                format!("api.example.com.svc.{z}"),
                format!("api.example.com.{z}"),
                "api.example.com".to_owned(),
            ],
            "elsewhere",
        ),
        // A two-label name meets the Service `web` of namespace `io` before the public domain.
        ("web.io", vec![format!("web.io.shop.svc.{z}"), format!("web.io.svc.{z}")], "A 10.96.9.9"),
        // A bare name never reaches another namespace.
        (
            "web",
            vec![format!("web.shop.svc.{z}"), format!("web.svc.{z}"), format!("web.{z}"), "web".to_owned()],
            "elsewhere",
        ),
    ];
    for (name, asked, answer) in rows {
        let lookup = resolver.addresses(&dns, name);
        let names: Vec<&String> = lookup.queries.iter().map(|query| &query.name).collect();
        assert_eq!(names, asked.iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(short(&lookup.answered().unwrap().answer), answer, "{name}");
        let before = &lookup.queries[..lookup.queries.len() - 1];
        assert!(
            before.iter().all(|query| query.answer == Answer::NxDomain || query.answer == Answer::NoData)
        );
    }
    let srv = resolver.services(&dns, "_http._tcp.web.prod.svc.cluster.local");
    assert_eq!(srv.queries.len(), 1, "six dots: absolute first");
    assert_eq!(short(&srv.queries[0].answer), "SRV 80 web.prod.svc.cluster.local");
    assert!(resolver.addresses(&dns, "gone.prod.svc.cluster.local.").answered().is_none());
}

/// A pod's spec; whom it asks, its search list, where the node's own stands in it, and ndots.
type PolicyRow<'a> = (&'a str, Nameserver, &'a [&'a str], Option<usize>, u8);

#[test]
fn the_resolver_follows_the_pods_dns_policy() {
    let state = cluster();
    let own = ["shop.svc.cluster.local", "svc.cluster.local", "cluster.local"];
    let rows: [PolicyRow<'_>; 10] = [
        ("", Nameserver::Cluster, &own, Some(3), 5),
        ("dnsPolicy: ClusterFirst, hostNetwork: true", Nameserver::Node, &[], Some(0), 1),
        ("dnsPolicy: ClusterFirstWithHostNet, hostNetwork: true", Nameserver::Cluster, &own, Some(3), 5),
        ("dnsPolicy: Default", Nameserver::Node, &[], Some(0), 1),
        (
            "dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.53], searches: [corp.example.]}",
            Nameserver::Custom(vec!["192.0.2.53".parse().unwrap()]),
            &["corp.example"],
            None,
            1,
        ),
        (
            "dnsPolicy: None, dnsConfig: {nameservers: [10.96.0.10], searches: [svc.cluster.local]}",
            Nameserver::Cluster,
            &["svc.cluster.local"],
            None,
            1,
        ),
        (
            "dnsConfig: {searches: [corp.example, svc.cluster.local], options: [{name: ndots, value: \"2\"}, {name: edns0}]}",
            Nameserver::Cluster,
            &["shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"],
            Some(3),
            2,
        ),
        // The first one that answers has the last word.
        (
            "dnsPolicy: None, dnsConfig: {nameservers: [192.0.2.53, 10.96.0.10]}",
            Nameserver::Custom(vec!["192.0.2.53".parse().unwrap(), "10.96.0.10".parse().unwrap()]),
            &[],
            None,
            1,
        ),
        // More than the resolver libraries count to.
        ("dnsConfig: {options: [{name: ndots, value: \"20\"}]}", Nameserver::Cluster, &own, Some(3), 15),
        ("dnsConfig: {options: [{name: ndots, value: many}]}", Nameserver::Cluster, &own, Some(3), 5),
    ];
    for (spec, nameserver, search, node_search, ndots) in rows {
        let resolver = Resolver::of(&state, &client(spec), "cluster.local");
        let found: Vec<&str> = resolver.search.iter().map(|domain| &**domain).collect();
        assert_eq!((&resolver.nameserver, found.as_slice()), (&nameserver, search), "{spec}");
        assert_eq!((resolver.node_search, resolver.ndots), (node_search, ndots), "{spec}");
    }
    let host = Resolver::of(&state, &client("hostNetwork: true"), "cluster.local");
    let lookup = host.addresses(&Dns::new(&state), "web.prod.svc.cluster.local");
    assert_eq!(lookup.queries[0].answer, Answer::Elsewhere, "what the node's resolver says is not known");
    let two =
        Resolver::of(&state, &client("dnsConfig: {options: [{name: ndots, value: \"2\"}]}"), "cluster.local");
    assert_eq!(two.candidates("api.example.com")[0], "api.example.com");
}

fn made(namespace: &str, name: &str, created: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: \"{created}\"}}, spec: {{{spec}}}}}\n"
    )
}

#[test]
fn the_variables_of_a_service_are_the_kubelets() {
    let rows: [(&str, &[&str]); 3] = [
        (
            "clusterIP: 10.0.0.11, ports: [{port: 6379}]",
            &[
                "REDIS_PRIMARY_SERVICE_HOST=10.0.0.11",
                "REDIS_PRIMARY_SERVICE_PORT=6379",
                "REDIS_PRIMARY_PORT=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP=tcp://10.0.0.11:6379",
                "REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp",
                "REDIS_PRIMARY_PORT_6379_TCP_PORT=6379",
                "REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.0.0.11",
            ],
        ),
        (
            "clusterIP: \"fd00::1\", ports: [{name: dns-udp, port: 53, protocol: UDP}, {name: dns, port: 53}]",
            &[
                "REDIS_PRIMARY_SERVICE_HOST=fd00::1",
                "REDIS_PRIMARY_SERVICE_PORT=53",
                "REDIS_PRIMARY_SERVICE_PORT_DNS_UDP=53",
                "REDIS_PRIMARY_SERVICE_PORT_DNS=53",
                "REDIS_PRIMARY_PORT=udp://[fd00::1]:53",
                "REDIS_PRIMARY_PORT_53_UDP=udp://[fd00::1]:53",
                "REDIS_PRIMARY_PORT_53_UDP_PROTO=udp",
                "REDIS_PRIMARY_PORT_53_UDP_PORT=53",
                "REDIS_PRIMARY_PORT_53_UDP_ADDR=fd00::1",
                "REDIS_PRIMARY_PORT_53_TCP=tcp://[fd00::1]:53",
                "REDIS_PRIMARY_PORT_53_TCP_PROTO=tcp",
                "REDIS_PRIMARY_PORT_53_TCP_PORT=53",
                "REDIS_PRIMARY_PORT_53_TCP_ADDR=fd00::1",
            ],
        ),
        ("clusterIP: None, ports: [{port: 6379}]", &[]),
    ];
    for (spec, expected) in rows {
        let state =
            manifest::load(&made("shop", "redis-primary", "2026-01-01T00:00:00Z", spec)).unwrap().state;
        let all = variables_of(service(&state, "shop/redis-primary"));
        let texts: Vec<String> = all.iter().map(|v| format!("{}={}", v.name, v.value)).collect();
        assert_eq!(texts, expected, "{spec}");
    }
}

fn environment_of(pod_spec: &str, services: &str) -> Environment {
    let pod = format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: client, namespace: shop}}\nspec: {{containers: [{{name: main}}]{pod_spec}}}\n\
         status: {{containerStatuses: [{{name: main, state: {{running: {{startedAt: \"2026-01-01T12:00:00Z\"}}}}}}]}}\n"
    );
    let kubernetes =
        made("default", "kubernetes", "2025-01-01T00:00:00Z", "clusterIP: 10.96.0.1, ports: [{port: 443}]");
    let loaded = manifest::load(&format!("{kubernetes}{services}{pod}")).unwrap();
    assert_eq!(loaded.faults, []);
    let pod = loaded.state.pods().values().next().unwrap();
    environment(&loaded.state, pod, &pod.containers[0])
}

#[test]
fn a_container_hears_of_the_services_of_its_namespace_at_its_start() {
    let address = "clusterIP: 10.96.5.5, ports: [{port: 80}]";
    let time = |text: &str| text.parse().unwrap();
    let started = time("2026-01-01T12:00:00Z");
    let rows = [
        ("", made("shop", "web", "2026-01-01T11:00:00Z", address), None),
        (
            "",
            made("shop", "web", "2026-01-01T12:00:06Z", address),
            Some(Absence::YoungerThanContainer { started, created: time("2026-01-01T12:00:06Z") }),
        ),
        (
            "",
            made("shop", "web", "2026-01-01T11:59:56Z", address),
            Some(Absence::Unsure { started, created: time("2026-01-01T11:59:56Z") }),
        ),
        (
            ", enableServiceLinks: false",
            made("shop", "web", "2026-01-01T11:00:00Z", address),
            Some(Absence::NoServiceLinks),
        ),
        (
            "",
            made("shop", "web", "2026-01-01T11:00:00Z", "clusterIP: None, ports: [{port: 80}]"),
            Some(Absence::Headless),
        ),
        (
            "",
            made("shop", "web", "2026-01-01T11:00:00Z", "type: ExternalName, externalName: a.example"),
            Some(Absence::NoClusterIp),
        ),
    ];
    for (pod_spec, services, expected) in rows {
        let found = environment_of(pod_spec, &services);
        let names: Vec<&str> = found.variables.iter().map(|variable| &*variable.name).collect();
        assert!(names.contains(&"KUBERNETES_SERVICE_HOST"), "{services}");
        assert_eq!(names.contains(&"WEB_SERVICE_HOST"), expected.is_none(), "{services}");
        let missing: Vec<_> = found.missing.iter().map(|missing| missing.why).collect();
        assert_eq!(missing, expected.into_iter().collect::<Vec<_>>(), "{services}");
    }
    let other = environment_of("", &made("prod", "web", "2026-01-01T11:00:00Z", address));
    assert_eq!((other.variables.len(), other.missing.len(), other.elsewhere), (7, 0, 1));
}

/// Two Services of one name, the API server's and one of the pod's namespace: the latter's variables take the place of the former's.
#[test]
fn a_namesake_of_the_api_servers_service_takes_its_variables() {
    let own = |created| made("shop", "kubernetes", created, "clusterIP: 10.96.7.7, ports: [{port: 80}]");
    let rows = [
        ("", own("2026-01-01T11:00:00Z"), "10.96.7.7", "default/kubernetes Namesake"),
        // Those that the container does not hear of leave it as it is.
        (
            ", enableServiceLinks: false",
            own("2026-01-01T11:00:00Z"),
            "10.96.0.1",
            "shop/kubernetes NoServiceLinks",
        ),
        ("", own("2026-01-01T13:00:00Z"), "10.96.0.1", "shop/kubernetes YoungerThanContainer"),
        (
            "",
            made("prod", "kubernetes", "2026-01-01T11:00:00Z", "clusterIP: 10.96.7.7, ports: [{port: 80}]"),
            "10.96.0.1",
            "",
        ),
    ];
    for (pod_spec, services, host, missing) in rows {
        let found = environment_of(pod_spec, &services);
        let hosts = found.variables.iter().filter(|variable| variable.name == "KUBERNETES_SERVICE_HOST");
        assert_eq!(hosts.map(|variable| &*variable.value).collect::<Vec<_>>(), [host], "{services}");
        assert_eq!(found.conflicts, Vec::<String>::new(), "{services}");
        let texts = found.missing.iter().map(|missing| format!("{} {:?}", missing.service, missing.why));
        assert!(texts.collect::<String>().starts_with(missing), "{services}: {:?}", found.missing);
        assert_eq!(found.missing.is_empty(), missing.is_empty(), "{services}");
    }
}

#[test]
fn two_services_that_define_one_variable_are_a_conflict() {
    let old = "2026-01-01T00:00:00Z";
    let web = made("shop", "web", old, "clusterIP: 10.96.5.5, ports: [{port: 80}]");
    let clash = made("shop", "web-service", old, "clusterIP: 10.96.5.6, ports: [{port: 80}]");
    let apart = made("shop", "web-api", old, "clusterIP: 10.96.5.6, ports: [{port: 80}]");
    assert_eq!(environment_of("", &format!("{web}{clash}")).conflicts, ["WEB_SERVICE_PORT"]);
    assert_eq!(environment_of("", &format!("{web}{apart}")).conflicts, Vec::<String>::new());
}

#[test]
fn addresses_have_names_too() {
    let state = cluster();
    let (dns, z) = (Dns::new(&state), "svc.cluster.local");
    let rows = [
        ("10.96.1.5", format!("PTR web.prod.{z}")),
        ("fd00:10:96::5", format!("PTR web.prod.{z}")),
        // Endpoints of any kind of Service, if they are ready.
        ("10.244.0.5", format!("PTR 10-244-0-5.web.prod.{z}")),
        ("10.244.0.6", "elsewhere".to_owned()),
        ("10.244.1.2", format!("PTR pg-0.pg.shop.{z}")),
        ("fd00::12", format!("PTR pg-0.pg.shop.{z}")),
        // A pod that is nobody's endpoint, an external name that is an address, and the rest of the world.
        ("10.244.3.3", "elsewhere".to_owned()),
        ("192.0.2.1", "elsewhere".to_owned()),
    ];
    for (ip, expected) in &rows {
        assert_eq!(short(&dns.names(ip.parse().unwrap())), *expected, "{ip}");
    }
    let client = state.pods().get(&Key::new("shop", "client")).unwrap();
    let lookup = Resolver::of(&state, client, &dns.zone).names(&dns, "10.96.1.5".parse().unwrap());
    let asked: Vec<&str> = lookup.queries.iter().map(|query| &*query.name).collect();
    assert_eq!(asked, ["5.1.96.10.in-addr.arpa"], "no search path");
    // Who does not ask the cluster's DNS hears what another server says.
    let host = Resolver {
        nameserver: vipscope_shared::discovery::Nameserver::Node,
        ..Resolver::of(&state, client, &dns.zone)
    };
    assert_eq!(short(&host.names(&dns, "10.96.1.5".parse().unwrap()).queries[0].answer), "elsewhere");
}
