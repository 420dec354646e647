//! Services on clusters with IPv4 and with both families: policy, families and addresses after every create and change,
//! the words of refusals, and ranges that are full. Rows come from the reference `service-semantics.md` 1.1, 1.3, 1.5, 1.6.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use vipscope_shared::admission::allocation::{Allocations, Families, Held, Unavailable};
use vipscope_shared::admission::service::{self, Rejected};
use vipscope_shared::model::{IpFamily, Key};

const BOTH: Families = Families::DualStack;
const ONLY_V4: Families = Families::IPv4;

/// The Services of a cluster, as their API server stores them.
struct Server(Allocations);

impl Server {
    fn new(families: Families) -> Server {
        Server(Allocations::new(families))
    }

    fn admit(&mut self, key: &Key, mut new: Value, old: Option<&Value>) -> Result<Value, Rejected> {
        service::admit(&mut new, old, &self.0, &mut |_| 0)?;
        self.0.replace(key, Some(&new));
        Ok(new)
    }

    fn create(&mut self, name: &str, spec: Value) -> Result<Value, Rejected> {
        self.admit(&Key::new("default", name), json!({ "spec": spec }), None)
    }

    /// `change` is a merge patch of the spec.
    fn patch(&mut self, name: &str, old: &Value, change: &Value) -> Result<Value, Rejected> {
        let mut new = old.clone();
        for (field, value) in change.as_object().unwrap() {
            let spec = new["spec"].as_object_mut().unwrap();
            match value {
                Value::Null => drop(spec.remove(field)),
                value => drop(spec.insert(field.clone(), value.clone())),
            }
        }
        self.admit(&Key::new("default", name), new, Some(old))
    }
}

/// Policy, families and addresses in one line, or the errors.
fn told(admitted: &Result<Value, Rejected>) -> String {
    match admitted {
        Ok(service) => {
            let spec = &service["spec"];
            let list = |field: &str| {
                let items = spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
                items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(",")
            };
            assert_eq!(spec["clusterIP"], spec["clusterIPs"][0], "{spec}");
            let policy = spec["ipFamilyPolicy"].as_str().unwrap_or_default();
            format!("{policy} {} {}", list("ipFamilies"), list("clusterIPs")).trim().to_owned()
        }
        Err(Rejected::Invalid(errors)) => {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        Err(Rejected::Internal(text)) => text.clone(),
    }
}

/// One port, and what else.
fn with(more: Value) -> Value {
    let mut spec = json!({"ports": [{"port": 80}], "selector": {"app": "a"}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

const NOT_DUAL: &str = r#"spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services"#;
const NO_V6: &str = r#"Invalid value: "IPv6": not configured on this cluster"#;
const TWO_FAMILIES: &str = r#"spec.ipFamilyPolicy: Invalid value: "SingleStack": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"#;
const V4: &str = "10.96.1.1";
const V6: &str = "fd00:10:96::101";

#[test]
fn every_policy_with_every_families_on_both_kinds_of_cluster() {
    let single = || format!("SingleStack IPv4 {V4}");
    let no_v6 = |at: u8| format!("spec.ipFamilies[{at}]: {NO_V6}");
    let dual = |policy: &str| format!("{policy} IPv4,IPv6 {V4},{V6}");
    let turned = |policy: &str| format!("{policy} IPv6,IPv4 {V6},{V4}");
    let (prefer, require) = ("PreferDualStack", "RequireDualStack");
    // Policy, families, with IPv4 only, with both.
    let rows: Vec<(Value, Value, String, String)> = vec![
        (json!(null), json!(null), single(), single()),
        (json!(null), json!(["IPv4"]), single(), single()),
        (json!(null), json!(["IPv6"]), no_v6(0), format!("SingleStack IPv6 {V6}")),
        (json!(null), json!(["IPv4", "IPv6"]), TWO_FAMILIES.to_owned(), TWO_FAMILIES.to_owned()),
        (json!(null), json!(["IPv6", "IPv4"]), TWO_FAMILIES.to_owned(), TWO_FAMILIES.to_owned()),
        (json!("SingleStack"), json!(null), single(), single()),
        (json!("SingleStack"), json!(["IPv4"]), single(), single()),
        (json!("SingleStack"), json!(["IPv6"]), no_v6(0), format!("SingleStack IPv6 {V6}")),
        (json!("SingleStack"), json!(["IPv4", "IPv6"]), TWO_FAMILIES.to_owned(), TWO_FAMILIES.to_owned()),
        (json!("SingleStack"), json!(["IPv6", "IPv4"]), TWO_FAMILIES.to_owned(), TWO_FAMILIES.to_owned()),
        (json!(prefer), json!(null), format!("{prefer} IPv4 {V4}"), dual(prefer)),
        (json!(prefer), json!(["IPv4"]), format!("{prefer} IPv4 {V4}"), dual(prefer)),
        (json!(prefer), json!(["IPv6"]), no_v6(0), turned(prefer)),
        (json!(prefer), json!(["IPv4", "IPv6"]), no_v6(1), dual(prefer)),
        (json!(prefer), json!(["IPv6", "IPv4"]), no_v6(0), turned(prefer)),
        (json!(require), json!(null), NOT_DUAL.to_owned(), dual(require)),
        (json!(require), json!(["IPv4"]), NOT_DUAL.to_owned(), dual(require)),
        (json!(require), json!(["IPv6"]), format!("{NOT_DUAL}; {}", no_v6(0)), turned(require)),
        (json!(require), json!(["IPv4", "IPv6"]), format!("{NOT_DUAL}; {}", no_v6(1)), dual(require)),
        (json!(require), json!(["IPv6", "IPv4"]), format!("{NOT_DUAL}; {}", no_v6(0)), turned(require)),
    ];
    for (policy, families, v4, both) in rows {
        for (cluster, expected) in [(ONLY_V4, v4), (BOTH, both)] {
            for kind in ["ClusterIP", "NodePort", "LoadBalancer"] {
                let spec = json!({"type": kind, "ipFamilyPolicy": policy, "ipFamilies": families});
                let admitted = Server::new(cluster).create("x", with(spec.clone()));
                assert_eq!(told(&admitted), expected, "{cluster:?} {spec}");
            }
            // With a selector, headless Services are the same but for their addresses.
            let spec = json!({"clusterIP": "None", "ipFamilyPolicy": policy, "ipFamilies": families});
            let admitted = Server::new(cluster).create("x", with(spec.clone()));
            let headless = expected.rsplit_once(' ').map(|(start, _)| format!("{start} None"));
            let headless = if admitted.is_ok() { headless.unwrap() } else { expected };
            assert_eq!(told(&admitted), headless, "{cluster:?} {spec}");
        }
    }
}

#[test]
fn without_a_selector_headless_services_take_any_family_on_every_cluster() {
    let rows = [
        (json!(null), json!(null), "RequireDualStack IPv4,IPv6 None"),
        (json!(null), json!(["IPv6"]), "RequireDualStack IPv6,IPv4 None"),
        (json!("SingleStack"), json!(null), "SingleStack IPv4 None"),
        (json!("SingleStack"), json!(["IPv6"]), "SingleStack IPv6 None"),
        (json!("SingleStack"), json!(["IPv4", "IPv6"]), TWO_FAMILIES),
        (json!("PreferDualStack"), json!(null), "PreferDualStack IPv4,IPv6 None"),
        (json!("RequireDualStack"), json!(["IPv6", "IPv4"]), "RequireDualStack IPv6,IPv4 None"),
    ];
    for (policy, families, expected) in rows {
        for cluster in [ONLY_V4, BOTH] {
            let spec = json!({"clusterIP": "None", "ipFamilyPolicy": policy, "ipFamilies": families});
            let admitted = Server::new(cluster).create("x", spec.clone());
            assert_eq!(told(&admitted), expected, "{cluster:?} {spec}");
        }
    }
}

#[test]
fn addresses_that_are_asked_for() {
    let policy = |policy: &str, ips: Value| {
        with(json!({"ipFamilyPolicy": policy, "clusterIP": ips[0], "clusterIPs": ips}))
    };
    let rows = [
        // Families are those of the addresses.
        (BOTH, with(json!({"clusterIP": "fd00:10:96::7"})), "SingleStack IPv6 fd00:10:96::7"),
        (BOTH, with(json!({"clusterIP": "10.96.0.7"})), "SingleStack IPv4 10.96.0.7"),
        (
            BOTH,
            policy("PreferDualStack", json!(["fd00:10:96::7", "10.96.0.7"])),
            "PreferDualStack IPv6,IPv4 fd00:10:96::7,10.96.0.7",
        ),
        (
            BOTH,
            policy("PreferDualStack", json!(["fd00:10:96::7"])),
            "PreferDualStack IPv6,IPv4 fd00:10:96::7,10.96.1.1",
        ),
        (
            BOTH,
            policy("RequireDualStack", json!(["10.96.0.7"])),
            "RequireDualStack IPv4,IPv6 10.96.0.7,fd00:10:96::101",
        ),
        // IPv6 has no broadcast address.
        (BOTH, with(json!({"clusterIP": "fd00:10:96::ffff"})), "SingleStack IPv6 fd00:10:96::ffff"),
        (
            ONLY_V4,
            with(json!({"clusterIP": "fd00:10:96::7"})),
            r#"spec.clusterIPs[0]: Invalid value: ["fd00:10:96::7"]: IPv6 is not configured on this cluster"#,
        ),
        (
            ONLY_V4,
            with(json!({"ipFamilies": ["IPv6"], "clusterIP": "fd00:10:96::7"})),
            r#"spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster"#,
        ),
        (
            BOTH,
            policy("SingleStack", json!(["10.96.0.7", "fd00:10:96::7"])),
            "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified",
        ),
        (
            BOTH,
            with(json!({"ipFamilies": ["IPv6"], "clusterIP": "10.96.0.7"})),
            "spec.clusterIPs[0]: Invalid value: \"10.96.0.7\": expected an IPv6 value as indicated by `ipFamilies[0]`",
        ),
        (
            BOTH,
            with(json!({"clusterIP": "fd00::1"})),
            r#"spec.clusterIPs: Invalid value: ["fd00::1"]: failed to allocate IP fd00::1: the provided IP (fd00::1) is not in the valid range. The range of valid IPs is fd00:10:96::/112"#,
        ),
        (
            BOTH,
            with(json!({"clusterIP": "fd00:10:96::"})),
            r#"spec.clusterIPs: Invalid value: ["fd00:10:96::"]: failed to allocate IP fd00:10:96::: the provided IP (fd00:10:96::) is not in the valid range. The range of valid IPs is fd00:10:96::/112"#,
        ),
        (
            BOTH,
            policy("PreferDualStack", json!(["10.96.0.1"])),
            r#"spec.clusterIPs: Invalid value: ["10.96.0.1",""]: failed to allocate IP 10.96.0.1: provided IP is already allocated"#,
        ),
        (
            BOTH,
            with(json!({"ipFamilyPolicy": "Both"})),
            r#"spec.ipFamilyPolicy: Unsupported value: "Both": supported values: "PreferDualStack", "RequireDualStack", "SingleStack""#,
        ),
    ];
    for (cluster, spec, expected) in rows {
        let mut server = Server::new(cluster);
        server.create("kubernetes", with(json!({"clusterIP": "10.96.0.1"}))).unwrap();
        assert_eq!(told(&server.create("x", spec.clone())), expected, "{cluster:?} {spec}");
    }
}

/// What a Service is, a change, and what it is then, or why not.
type Change = (Value, Value, &'static str);

fn check_changes(rows: &[Change]) {
    for (spec, change, expected) in rows {
        let mut server = Server::new(BOTH);
        let old = server.create("x", spec.clone()).unwrap();
        assert_eq!(told(&server.patch("x", &old, change)), *expected, "{spec} then {change}");
    }
}

fn single() -> Value {
    with(json!({}))
}

fn prefer() -> Value {
    with(json!({"ipFamilyPolicy": "PreferDualStack"}))
}

const PREFERRED: &str = "PreferDualStack IPv4,IPv6 10.96.1.1,fd00:10:96::101";
const REQUIRED: &str = "RequireDualStack IPv4,IPv6 10.96.1.1,fd00:10:96::101";
const ALONE: &str = "SingleStack IPv4 10.96.1.1";

#[test]
fn up_to_two_families() {
    check_changes(&[
        (single(), json!({"ipFamilyPolicy": "PreferDualStack"}), PREFERRED),
        (single(), json!({"ipFamilyPolicy": "RequireDualStack"}), REQUIRED),
        (
            single(),
            json!({"ipFamilyPolicy": "RequireDualStack", "clusterIPs": ["10.96.1.1", "fd00:10:96::7"]}),
            "RequireDualStack IPv4,IPv6 10.96.1.1,fd00:10:96::7",
        ),
        // The primary address stays.
        (
            with(json!({"ipFamilies": ["IPv6"]})),
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            "PreferDualStack IPv6,IPv4 fd00:10:96::101,10.96.1.1",
        ),
        (single(), json!({"ipFamilies": ["IPv4", "IPv6"]}), TWO_FAMILIES),
        (prefer(), json!({"ipFamilyPolicy": "RequireDualStack"}), REQUIRED),
    ]);
}

#[test]
fn down_to_one_family() {
    check_changes(&[
        // The policy alone says it.
        (prefer(), json!({"ipFamilyPolicy": "SingleStack"}), ALONE),
        (prefer(), json!({"ipFamilyPolicy": "SingleStack", "clusterIPs": ["10.96.1.1"]}), ALONE),
        (prefer(), json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv4"]}), ALONE),
        (
            prefer(),
            json!({"clusterIPs": ["10.96.1.1"]}),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary cluster IP",
        ),
        (
            prefer(),
            json!({"ipFamilies": ["IPv4"]}),
            "spec.ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be 'SingleStack' to release the secondary IP family",
        ),
    ]);
}

#[test]
fn addresses_stay() {
    check_changes(&[
        // Leaving things out changes nothing.
        (prefer(), json!({"ipFamilyPolicy": null}), PREFERRED),
        (prefer(), json!({"clusterIP": null, "clusterIPs": null, "ipFamilies": null}), PREFERRED),
        (prefer(), json!({"clusterIP": ""}), PREFERRED),
        (
            prefer(),
            json!({"clusterIPs": ["10.96.1.1", "fd00:10:96::7"]}),
            r#"spec.clusterIPs[1]: Invalid value: ["10.96.1.1","fd00:10:96::7"]: may not change once set"#,
        ),
        (
            single(),
            json!({"clusterIP": "10.96.0.7"}),
            r#"spec.clusterIPs[0]: Invalid value: ["10.96.0.7"]: may not change once set"#,
        ),
        (
            prefer(),
            json!({"ipFamilies": ["IPv6", "IPv4"]}),
            "spec.clusterIPs[0]: Invalid value: \"10.96.1.1\": expected an IPv6 value as indicated by `ipFamilies[0]`; spec.clusterIPs[1]: Invalid value: \"fd00:10:96::101\": expected an IPv4 value as indicated by `ipFamilies[1]`",
        ),
    ]);
}

#[test]
fn types_and_families() {
    let alias = || json!({"type": "ExternalName", "externalName": "example.com", "ports": [{"port": 80}]});
    check_changes(&[
        (prefer(), json!({"type": "NodePort"}), PREFERRED),
        (prefer(), json!({"type": "LoadBalancer"}), PREFERRED),
        (
            with(json!({"type": "NodePort", "ipFamilyPolicy": "RequireDualStack"})),
            json!({"type": "ClusterIP", "ipFamilyPolicy": "SingleStack"}),
            ALONE,
        ),
        (prefer(), json!({"type": "ExternalName", "externalName": "example.com"}), ""),
        (alias(), json!({"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack"}), PREFERRED),
        (alias(), json!({"type": "ClusterIP", "clusterIP": "10.96.1.1"}), ALONE),
        // Headless ones change families at will.
        (
            with(json!({"clusterIP": "None"})),
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            "PreferDualStack IPv4,IPv6 None",
        ),
        (
            with(json!({"clusterIP": "None", "ipFamilyPolicy": "RequireDualStack"})),
            json!({"ipFamilyPolicy": "SingleStack"}),
            "SingleStack IPv4 None",
        ),
        (with(json!({"clusterIP": "None"})), json!({"ipFamilies": ["IPv6"]}), "SingleStack IPv6 None"),
    ]);
}

#[test]
fn released_addresses_are_free_again() {
    for change in [
        json!({"ipFamilyPolicy": "SingleStack"}),
        json!({"type": "ExternalName", "externalName": "example.com"}),
    ] {
        let mut server = Server::new(BOTH);
        let asked = with(json!({"ipFamilyPolicy": "RequireDualStack"}));
        let old = server.create("x", asked).unwrap();
        let wanted = with(json!({"clusterIP": V6}));
        let taken = told(&server.create("y", wanted.clone()));
        assert!(taken.ends_with("provided IP is already allocated"), "{taken}");
        server.patch("x", &old, &change).unwrap();
        assert_eq!(told(&server.create("y", wanted)), format!("SingleStack IPv6 {V6}"));
    }
}

/// A Service of a time when the cluster had other families is left as it is, until its policy changes.
#[test]
fn a_clusters_families_change() {
    let mut single = Server::new(ONLY_V4);
    let old = single.create("x", with(json!({"ipFamilyPolicy": "PreferDualStack"}))).unwrap();
    let rows = [
        (json!({"sessionAffinity": "ClientIP"}), format!("PreferDualStack IPv4 {V4}")),
        (json!({"ipFamilyPolicy": "RequireDualStack"}), format!("RequireDualStack IPv4,IPv6 {V4},{V6}")),
        // A new type looks at all anew.
        (json!({"type": "NodePort"}), format!("PreferDualStack IPv4,IPv6 {V4},{V6}")),
    ];
    for (change, expected) in rows {
        assert_eq!(told(&Server::new(BOTH).patch("x", &old, &change)), expected, "{change}");
    }
}

/// A Service that holds these addresses, as if it were many.
fn hoard(ips: impl Iterator<Item = String>) -> Value {
    json!({"spec": {"clusterIPs": ips.collect::<Vec<_>>()}})
}

#[test]
fn ranges_that_are_full() {
    let v4 = |range: std::ops::Range<u32>| range.map(|n| format!("10.96.{}.{}", n >> 8, n & 255));
    let v6 = |range: std::ops::Range<u32>| range.map(|n| format!("fd00:10:96::{n:x}"));
    let full = "failed to allocate a serviceIP: range is full";
    // What is held, of which families a Service is asked for, and what it gets.
    let rows: Vec<(Vec<Value>, Value, &str)> = vec![
        (vec![hoard(v4(1..65_535))], json!({}), full),
        // The last ones of the upper band, then those of the lower.
        (vec![hoard(v4(1..65_534))], json!({}), "SingleStack IPv4 10.96.255.254"),
        (vec![hoard(v4(257..65_535))], json!({}), "SingleStack IPv4 10.96.0.1"),
        (vec![hoard(v4(257..65_535)), hoard(v4(1..256))], json!({}), "SingleStack IPv4 10.96.1.0"),
        (vec![hoard(v4(1..65_535))], json!({"ipFamilies": ["IPv6"]}), "SingleStack IPv6 fd00:10:96::101"),
        (vec![hoard(v6(1..65_536))], json!({"ipFamilyPolicy": "PreferDualStack"}), full),
        (vec![hoard(v6(1..65_535))], json!({"ipFamilies": ["IPv6"]}), "SingleStack IPv6 fd00:10:96::ffff"),
        (vec![hoard(v6(257..65_536))], json!({"ipFamilies": ["IPv6"]}), "SingleStack IPv6 fd00:10:96::1"),
    ];
    for (at, (held, spec, expected)) in rows.into_iter().enumerate() {
        let mut server = Server::new(BOTH);
        for (number, service) in held.iter().enumerate() {
            server.0.replace(&Key::new("default", format!("hoard-{number}")), Some(service));
        }
        assert_eq!(told(&server.create("x", with(spec))), expected, "row {at}");
    }
}

#[test]
fn node_ports_that_are_full() {
    let hoard = |ports: std::ops::RangeInclusive<u16>| {
        let ports: Vec<Value> = ports.map(|port| json!({"port": port, "nodePort": port})).collect();
        json!({"spec": {"ports": ports}})
    };
    let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
    let rows = [
        (30_000..=32_767, json!({"type": "NodePort"}), Err("failed to allocate a nodePort: range is full")),
        (30_000..=32_766, json!({"type": "NodePort"}), Ok(32_767)),
        (30_086..=32_767, json!({"type": "NodePort"}), Ok(30_000)),
        (30_001..=32_767, local, Err("failed to allocate a HealthCheck NodePort 0: range is full")),
    ];
    for (held, spec, expected) in rows {
        let mut server = Server::new(ONLY_V4);
        server.0.replace(&Key::new("default", "hoard"), Some(&hoard(held.clone())));
        let admitted = server.create("x", with(spec));
        let got = match &admitted {
            Ok(service) => Ok(service["spec"]["ports"][0]["nodePort"].as_u64().unwrap()),
            Err(_) => Err(told(&admitted)),
        };
        assert_eq!(got, expected.map_err(str::to_owned), "{held:?}");
    }
}

#[test]
fn a_cluster_with_one_family_has_no_addresses_of_the_other() {
    let ip = "fd00:10:96::7".parse().unwrap();
    let rows = [(ONLY_V4, Err(Unavailable::OutOfRange)), (BOTH, Ok(()))];
    for (cluster, expected) in rows {
        assert_eq!(Allocations::new(cluster).check_ip(ip, &Held::default()), expected);
        assert_eq!(cluster.has(IpFamily::IPv6), expected.is_ok());
    }
}
