//! Which findings are listed: by severity, check, namespace, subject, text and suppression; and what they are about.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::BTreeSet;

use jiff::Timestamp;
use vipscope_frontend::findings::{Filter, Findings, Suppressed, check_of};
use vipscope_shared::diagnose::{Diagnosis, Options, Progress, Severity, diagnose};
use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, Key, Text};
use vipscope_shared::scene::Target;
use vipscope_shared::synthetic::{self, Size};
use wasm_bindgen_test::wasm_bindgen_test;

/// `shop/lost` selects nothing; `shop/quiet` too, and says that this is meant; `edge/alias` points at an IP address;
/// `shop/web` has a pod that is not ready.
const CLUSTER: &str = r#"
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "lost"},
 "spec": {"clusterIP": "10.96.0.1", "selector": {"app": "lsot"}, "ports": [{"port": 80}]}}
{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "quiet", "annotations": {"vipscope.dev/ignore": "SVC001"}},
 "spec": {"clusterIP": "10.96.0.2", "selector": {"app": "nobody"}, "ports": [{"port": 80}]}}
{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "edge", "name": "alias"},
 "spec": {"type": "ExternalName", "externalName": "192.0.2.1"}}
{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": "web"},
 "spec": {"clusterIP": "10.96.0.3", "selector": {"app": "web"}, "ports": [{"port": 80}]}}
{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": "web-0", "labels": {"app": "web"}},
 "spec": {"nodeName": "node-a", "containers": [{"name": "web"}]},
 "status": {"phase": "Running", "podIP": "10.244.0.9", "conditions": [{"type": "Ready", "status": "False"}]}}
{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
 "metadata": {"namespace": "shop", "name": "web-1", "labels": {"kubernetes.io/service-name": "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
 "ports": [{"port": 80, "protocol": "TCP"}],
 "endpoints": [{"addresses": ["10.244.0.9"], "nodeName": "node-a", "conditions": {"ready": false}, "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"}}]}
"#;

fn state() -> ClusterState {
    let loaded = load(CLUSTER).unwrap();
    assert_eq!(loaded.faults, []);
    loaded.state
}

fn findings() -> Findings {
    let state = state();
    let report = diagnose(&state, &Options::at(Timestamp::UNIX_EPOCH));
    Findings::of(&state, report)
}

/// What is listed, as `CODE subject`.
fn listed(filter: &Filter, namespaces: &[&str]) -> Vec<String> {
    let namespaces: BTreeSet<Text> = namespaces.iter().map(|name| Text::from(*name)).collect();
    let listed = findings().listed(filter, &namespaces);
    let entries = listed.groups.iter().flat_map(|group| &group.entries);
    let lines: Vec<String> =
        entries.map(|e| format!("{} {}", e.finding.code, e.finding.subject.key)).collect();
    assert_eq!(listed.count, lines.len());
    lines
}

/// What is filtered by, the filter, the namespaces, and what every line must be.
type Row = (&'static str, Filter, &'static [&'static str], fn(&str) -> bool);

#[wasm_bindgen_test]
fn each_filter_leaves_what_it_says() {
    let all = Filter { severities: Severity::ALL.into(), ..Filter::default() };
    let base = listed(&all, &[]);
    let has = |lines: &[String], line: &str| lines.iter().any(|one| one == line);
    assert!(
        has(&base, "SVC001 shop/lost") && has(&base, "SVC043 edge/alias") && has(&base, "SVC002 shop/web"),
        "{base:?}"
    );
    assert!(!has(&base, "SVC001 shop/quiet"), "suppressed ones are hidden: {base:?}");
    let rows: [Row; 5] = [
        ("namespace", all.clone(), &["edge"], |line| line.contains(" edge/")),
        ("code", Filter { code: "svc001".parse().ok(), ..all.clone() }, &[], |line| {
            line.starts_with("SVC001")
        }),
        ("text", Filter { text: " LOST ".to_owned(), ..all.clone() }, &[], |line| line.ends_with("lost")),
        ("about", Filter::about(Target::Pod(Key::new("shop", "web-0"))), &[], |line| {
            line.ends_with("shop/web")
        }),
        ("about a port", Filter::about(Target::Port(Key::new("shop", "lost"), "80".into())), &[], |line| {
            line.ends_with("shop/lost")
        }),
    ];
    for (name, filter, namespaces, keeps) in rows {
        let lines = listed(&filter, namespaces);
        assert!(!lines.is_empty() && lines.iter().all(|line| keeps(line)), "{name}: {lines:?}");
        assert!(lines.len() < base.len(), "{name}: {lines:?}");
    }
    let shown = listed(&Filter { suppressed: Suppressed::Shown, ..all.clone() }, &[]);
    assert!(has(&shown, "SVC001 shop/quiet") && shown.len() > base.len(), "{shown:?}");
    assert_eq!(listed(&Filter { severities: BTreeSet::new(), ..all }, &[]), Vec::<String>::new());
}

#[wasm_bindgen_test]
fn counts_say_what_other_choices_would_add() {
    let findings = findings();
    let pressing = findings.pressing(&BTreeSet::new());
    let by_default = findings.listed(&Filter::default(), &BTreeSet::new());
    assert_eq!(pressing.count(), by_default.count, "the badge and the list agree");
    assert_eq!(by_default.severities.get(&Severity::Error), Some(&pressing.errors));
    assert_eq!(by_default.severities.get(&Severity::Info).copied().unwrap_or_default(), pressing.notes);
    assert_eq!(by_default.suppressed, 1);
    let severities: Vec<Severity> = by_default.groups.iter().map(|group| group.severity).collect();
    assert!(severities.windows(2).all(|pair| pair[0] >= pair[1]), "worst first: {severities:?}");
    assert!(by_default.groups.iter().all(|group| check_of(group.code).is_some()));
    let of_edge = findings.pressing(&BTreeSet::from(["edge".into()]));
    assert!(of_edge.count() > 0 && of_edge.count() < pressing.count());
}

#[wasm_bindgen_test]
fn checks_without_their_objects_are_said_to_be_skipped() {
    let loaded = load(r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "b"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}}"#).unwrap();
    let report = diagnose(&loaded.state, &Options::at(Timestamp::UNIX_EPOCH));
    let findings = Findings::of(&loaded.state, report);
    let by_kind = findings.skipped_by_kind();
    let named: usize = by_kind.values().map(Vec::len).sum();
    assert!(named > 0 && named == findings.skipped.len());
    assert!(findings.ran() > 0);
    assert_eq!(
        self::findings().ran(),
        findings.ran() + findings.skipped.len() - self::findings().skipped.len()
    );
}

#[wasm_bindgen_test]
fn slices_of_a_run_find_what_one_run_finds() {
    let state = synthetic::cluster(Size::SMALL, 7);
    let options = Options::at(Timestamp::UNIX_EPOCH);
    let whole = diagnose(&state, &options);
    assert!(!whole.findings.is_empty());
    for step in [1, 3, 1000] {
        let mut diagnosis = Diagnosis::new(&state, &options);
        while diagnosis.step(step) == Progress::More {}
        assert_eq!(diagnosis.report(), whole, "{step} at a time");
    }
}
