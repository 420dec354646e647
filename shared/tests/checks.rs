//! Every check: clusters in which it must speak, and near misses in which it must be silent, as rows of edits of one
//! healthy cluster; and what is found in the real cluster and in the demo, exactly.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

mod check_rows;
mod support_yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use check_rows::ROWS;
use jiff::Timestamp;
use support_yaml::{HEALTHY, edited};
use vipscope_shared::diagnose::{
    CHECKS, Code, Finding, How, Options, Report, Severity, Skipped, Suppression, diagnose, diagnose_service,
};
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Key, Kind};

type Edits = &'static [(&'static str, &'static str)];

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn load(text: &str) -> ClusterState {
    let loaded = manifest::load(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(loaded.faults, [], "{text}");
    loaded.state
}

fn cluster(edits: &[(&str, &str)], added: &[&str]) -> String {
    added.iter().fold(edited(HEALTHY, edits), |text, more| format!("{text}---\n{more}\n"))
}

fn report(text: &str) -> Report {
    diagnose(&load(text), &Options::at(now()))
}

fn short(finding: &Finding) -> String {
    format!("{} {}", finding.severity, finding.subject)
}

#[test]
fn a_healthy_cluster_has_no_findings() {
    let found = report(HEALTHY);
    assert_eq!(found.findings, []);
    assert_eq!(found.skipped, [Skipped { code: Code(39), kind: Kind::ProxyConfig }]);
}

#[test]
fn checks_speak_where_they_must_and_are_silent_beside() {
    let mut wrong = Vec::new();
    for (code, expected, edits, added) in ROWS {
        assert!(
            !(edits.is_empty() && added.is_empty()),
            "SVC{code:03}: a near miss is not the healthy cluster"
        );
        let found = report(&cluster(edits, added));
        let own: Vec<String> =
            found.findings.iter().filter(|finding| finding.code == Code(*code)).map(short).collect();
        let expected: Vec<String> =
            (!expected.is_empty()).then(|| (*expected).to_owned()).into_iter().collect();
        if own != expected {
            let all: Vec<_> =
                found.findings.iter().map(|f| format!("{} {}: {}", f.code, short(f), f.message)).collect();
            wrong.push(format!(
                "SVC{code:03} {edits:?} {added:?}\n  expected {expected:?}, found {own:?}; all: {all:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_check_has_its_rows() {
    let mut rows: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
    for (code, expected, ..) in ROWS {
        let (speaks, silent) = rows.entry(*code).or_default();
        *(if expected.is_empty() { silent } else { speaks }) += 1;
    }
    for check in CHECKS {
        let (speaks, silent) = rows.remove(&check.code.0).unwrap_or_default();
        match check.how {
            How::Out(_) => assert_eq!((speaks, silent), (0, 0), "{}", check.code),
            _ => assert!(
                speaks >= 1 && silent >= 2,
                "{}: {speaks} rows speak, {silent} are silent",
                check.code
            ),
        }
    }
    assert!(rows.is_empty(), "rows of no check: {rows:?}");
}

#[test]
fn the_registry_is_the_catalogue() {
    let codes: BTreeSet<u16> = CHECKS.iter().map(|check| check.code.0).collect();
    assert_eq!(codes, (1..=68).collect(), "SVC001 to SVC068, each once");
    assert_eq!(CHECKS.len(), 68);
    let out: Vec<u16> =
        CHECKS.iter().filter(|check| matches!(check.how, How::Out(_))).map(|check| check.code.0).collect();
    assert_eq!(out, [54, 60, 61, 62]);
    for check in CHECKS {
        assert!(!check.title.is_empty() && check.title.len() < 80, "{}", check.code);
        assert!(
            check.condition.ends_with(['.', ')']) && check.explanation.ends_with(['.', ')']),
            "{}",
            check.code
        );
        assert_eq!(check.code.to_string().parse(), Ok(check.code));
    }
    for bad in ["SVC000", "SVC069", "svc", "1", "SVC01", ""] {
        assert!(bad.parse::<Code>().is_err(), "{bad}");
    }
    assert_eq!("svc012".parse(), Ok(Code(12)));
}

#[test]
fn every_finding_has_evidence_and_a_way_to_mend_it() {
    for (code, expected, edits, added) in ROWS.iter().filter(|(_, expected, ..)| !expected.is_empty()) {
        for finding in report(&cluster(edits, added)).findings.iter().filter(|f| f.code == Code(*code)) {
            let text = format!("{expected} {finding:?}");
            assert!(!finding.evidence.is_empty() && !finding.message.is_empty(), "{text}");
            assert!(finding.evidence.iter().all(|evidence| !evidence.field.is_empty()), "{text}");
            let fix = &finding.fix;
            assert!(!fix.advice.is_empty(), "{text}");
            assert!(fix.manifest.is_some() || !fix.kubectl.is_empty(), "{text}");
            assert!(fix.kubectl.iter().all(|command| command.starts_with("kubectl ")), "{text}");
            let json = serde_json::to_string(finding).unwrap();
            assert_eq!(&serde_json::from_str::<Finding>(&json).unwrap(), finding);
        }
    }
}

#[test]
fn commands_are_those_of_the_catalogue() {
    let rows: [(u16, Edits, &str); 6] = [
        (
            1,
            &[("selector: {app: web}", "selector: {app: wob}")],
            "kubectl -n shop set selector service/web app=web",
        ),
        (1, &[("selector: {app: web}", "selector: {app: db}")], "kubectl -n shop get pods --show-labels"),
        (
            4,
            &[("targetPort: http", "targetPort: htpp")],
            r#"kubectl -n shop patch service web --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":"http"}]'"#,
        ),
        (
            4,
            &[("targetPort: http", "targetPort: grpc")],
            r#"kubectl -n shop patch service web --type=json -p '[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]'"#,
        ),
        (16, &[("selector: {app: web}, ", "")], "kubectl -n shop delete endpointslices web-x1"),
        (
            50,
            &[("type: ClusterIP", "type: ClusterIP, trafficDistribution: PreferClose")],
            r#"kubectl -n shop patch service web -p '{"spec":{"trafficDistribution":"PreferSameZone"}}'"#,
        ),
    ];
    for (code, edits, command) in rows {
        let found = report(&cluster(edits, &[]));
        let finding = found.findings.iter().find(|finding| finding.code == Code(code)).unwrap();
        assert_eq!(finding.fix.kubectl, [command], "{edits:?}");
    }
}

#[test]
fn manifests_of_fixes_are_objects_that_mend_it() {
    let ip = "{apiVersion: v1, kind: Service, metadata: {name: old, namespace: shop}, spec: {type: ExternalName, externalName: 192.0.2.9, ports: [{name: http, port: 80, targetPort: 8080}]}}";
    let found = report(&cluster(&[], &[ip]));
    let fix = &found.findings.iter().find(|finding| finding.code == Code(43)).unwrap().fix;
    let slice = load(fix.manifest.as_deref().unwrap());
    let slice = slice.slices().values().next().unwrap();
    assert_eq!(slice.service(), Some(Key::new("shop", "old")));
    assert_eq!(slice.ports[0].port.map(u16::from), Some(8080));
    let lonely = "{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: shop}, spec: {clusterIP: 10.96.2.2, ports: [{name: http, port: 80}]}}";
    let found = report(&cluster(&[], &[lonely]));
    let fix = &found.findings.iter().find(|finding| finding.code == Code(9)).unwrap().fix;
    let mended = report(&cluster(&[], &[lonely, fix.manifest.as_deref().unwrap()]));
    assert_eq!(mended.findings, [], "the proposed slice mends it");
}

#[test]
fn what_is_ignored_is_marked_and_not_left_out() {
    let broken = ("selector: {app: web}", "selector: {app: wob}");
    let states = |edits: &[(&str, &str)], ignore: &[u16]| -> Vec<(u16, Option<Suppression>)> {
        let options =
            Options { ignore: ignore.iter().map(|code| Code(*code)).collect(), ..Options::at(now()) };
        let found = diagnose(&load(&cluster(edits, &[])), &options);
        assert_eq!(found.active().count(), found.findings.iter().filter(|f| f.suppressed.is_none()).count());
        found.findings.iter().map(|finding| (finding.code.0, finding.suppressed)).collect()
    };
    assert_eq!(states(&[broken], &[]), [(1, None), (27, None)]);
    assert_eq!(states(&[broken], &[27]), [(1, None), (27, Some(Suppression::Flag))]);
    let annotated = |codes: &'static str| ("labels: {app: web}}\nspec: {type", codes);
    let one = annotated("labels: {app: web}, annotations: {vipscope.dev/ignore: \"SVC001\"}}\nspec: {type");
    let both = annotated(
        "labels: {app: web}, annotations: {vipscope.dev/ignore: \" svc001,, SVC027,nonsense\"}}\nspec: {type",
    );
    let other = annotated("labels: {app: web}, annotations: {vipscope.dev/ignore: SVC002}}\nspec: {type");
    let by_annotation = Some(Suppression::Annotation);
    assert_eq!(states(&[broken, one], &[]), [(1, by_annotation), (27, None)]);
    assert_eq!(states(&[broken, both], &[]), [(1, by_annotation), (27, by_annotation)]);
    assert_eq!(states(&[broken, other], &[]), [(1, None), (27, None)]);
}

#[test]
fn what_is_not_known_is_not_judged() {
    // Services alone, as of `kubectl get svc`: nothing says that there are no pods.
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.1.5, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}";
    let found = report(service);
    assert_eq!(found.findings, []);
    let skipped =
        |code| found.skipped.iter().find(|skipped| skipped.code == Code(code)).map(|skipped| skipped.kind);
    assert_eq!(
        (skipped(1), skipped(9), skipped(28)),
        (Some(Kind::Pod), Some(Kind::EndpointSlice), Some(Kind::Node))
    );
    assert_eq!(skipped(41), None);
}

#[test]
fn a_service_that_is_being_deleted_is_left_alone() {
    let gone = (
        "namespace: shop, creationTimestamp",
        "namespace: shop, deletionTimestamp: \"2026-01-01T23:59:00Z\", creationTimestamp",
    );
    let broken = ("selector: {app: web}", "selector: {app: wob}");
    assert_eq!(report(&cluster(&[gone, broken], &[])).findings, []);
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop, deletionTimestamp: \"2026-01-01T23:58:00Z\"}}";
    assert_eq!(report(&cluster(&[broken], &[namespace])).findings, [], "with its namespace, too");
}

#[test]
fn one_service_is_diagnosed_like_all() {
    for (_, _, edits, added) in ROWS {
        let state = load(&cluster(edits, added));
        let all = diagnose(&state, &Options::at(now()));
        let clusterwide: BTreeSet<_> = CHECKS
            .iter()
            .filter(|check| matches!(check.how, How::Cluster(_)))
            .map(|check| check.code)
            .collect();
        let key = Key::new("shop", "web");
        let one = diagnose_service(&state, &key, &Options::at(now()));
        let own: Vec<_> = all
            .findings
            .iter()
            .filter(|f| {
                !clusterwide.contains(&f.code) && f.subject.kind == Kind::Service && f.subject.key == key
            })
            .cloned()
            .collect();
        assert_eq!(one.findings, own, "{edits:?} {added:?}");
    }
}

#[test]
fn external_names_that_lead_to_each_other() {
    let leads = |from: &str, to: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {from}, namespace: shop}}, spec: {{type: ExternalName, externalName: {to}.shop.svc}}}}"
        )
    };
    let found = |documents: &[&str]| -> Vec<String> {
        let report = report(&cluster(&[], documents));
        report.findings.iter().map(|f| format!("{} {}: {}", f.code, short(f), f.message)).collect()
    };
    let circle = [leads("a", "b"), leads("b", "a")];
    assert_eq!(
        found(&[&circle[0], &circle[1]]),
        [
            "SVC044 error Service shop/a: its external name leads back to itself",
            "SVC044 error Service shop/b: its external name leads back to itself",
        ]
    );
    let chain = [leads("a", "b"), leads("b", "web")];
    assert_eq!(
        found(&[&chain[0], &chain[1]]),
        [
            "SVC044 warn Service shop/a: leads to Service shop/b",
            "SVC044 warn Service shop/b: leads to Service shop/web"
        ]
    );
}

#[test]
fn many_endpoints_and_many_services() {
    let endpoints: Vec<String> =
        (0..1001).map(|n| format!("{{addresses: [10.{}.{}.1]}}", n / 250, n % 250)).collect();
    let slice = format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-big, namespace: shop, labels: {{kubernetes.io/service-name: web}}}}, addressType: IPv4, ports: [{{name: http, port: 8080}}], endpoints: [{}]}}",
        endpoints.join(", ")
    );
    let codes = |text: &str| -> Vec<String> {
        report(text).findings.iter().map(|finding| format!("{} {}", finding.code, finding.subject)).collect()
    };
    assert_eq!(codes(&cluster(&[], &[&slice])), ["SVC019 Service shop/web"]);
    let fewer = slice
        .replace(", {addresses: [10.4.0.1]}", "")
        .replace(", {addresses: [10.3.249.1]}", "")
        .replace(", {addresses: [10.3.248.1]}", "")
        .replace(", {addresses: [10.3.247.1]}", "");
    assert_eq!(codes(&cluster(&[], &[&fewer])), Vec::<String>::new(), "1000 addresses fit");
    let crowd = |number: usize| -> String {
        let one = |n: usize| {
            format!(
                "{{apiVersion: v1, kind: Service, metadata: {{name: zz{n:04}, namespace: shop}}, spec: {{clusterIP: 10.97.{}.{}, ports: [{{port: 80, targetPort: 8080}}], selector: {{app: web, n: x}}}}}}",
                n / 250,
                n % 250 + 1
            )
        };
        (0..number).map(one).collect::<Vec<_>>().join("\n---\n")
    };
    let variables = |number| {
        codes(&cluster(&[], &[&crowd(number)]))
            .iter()
            .filter(|code| code.starts_with("SVC055"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(variables(500), ["SVC055 Service shop/web"]);
    assert_eq!(variables(499), Vec::<String>::new());
}

#[test]
fn every_cluster_can_be_diagnosed_and_twice_is_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance/kube-proxy");
    let mut found = 0;
    for case in fs::read_dir(folder).unwrap() {
        let state = load(&fs::read_to_string(case.unwrap().path().join("cluster.json")).unwrap());
        let report = diagnose(&state, &Options::at(now()));
        assert_eq!(report, diagnose(&state, &Options::at(now())));
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
        found += report.findings.len();
    }
    assert!(found > 160, "{found}: made-up clusters are full of oddities");
}

/// What is found in a cluster, a line each.
fn lines(state: &ClusterState, now: &str) -> Vec<String> {
    let found = diagnose(state, &Options::at(now.parse().unwrap()));
    found.findings.iter().map(|f| format!("{} {} {}: {}", f.severity, f.code, f.subject, f.message)).collect()
}

#[test]
fn the_real_cluster_has_exactly_these_findings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/real-cluster-1.36.json");
    let state = load(&fs::read_to_string(path).unwrap());
    let found = lines(&state, "2026-11-22T23:00:00Z");
    let expected: Vec<&str> = include_str!("check_rows/real-cluster.txt").lines().collect();
    assert!(found == expected, "found:\n{}", found.join("\n"));
}

#[test]
fn no_severity_is_outside_its_order() {
    assert!(Severity::Info < Severity::Warn && Severity::Warn < Severity::Error);
    let found = report(&cluster(
        &[("selector: {app: web}", "selector: {app: wob}"), ("type: ClusterIP", "type: LoadBalancer")],
        &[],
    ));
    let severities: Vec<_> = found.findings.iter().map(|finding| finding.severity).collect();
    assert!(severities.len() >= 3 && severities.is_sorted_by(|a, b| a >= b), "{severities:?}");
}
