//! Rules for people: nothing is lost, links lead somewhere, limits hold, and the words are right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::cases;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, Key, Keyed, ProxyMode};
use vipscope_shared::netfilter::iptables::{Match, parse_rule};
use vipscope_shared::proxy::reading::{
    Block, LineId, NoRules, PartKind, Reading, Role, Stage, View, Wanted, choose, native, read,
};
use vipscope_shared::proxy::{Rules, Scope, generate, generate_for};

const EVERYTHING: usize = usize::MAX;

fn view(limit: usize, lit: &BTreeSet<LineId>) -> View<'_> {
    View { limit, focus: None, lit }
}

fn whole(rules: &Rules) -> Reading {
    read(rules, view(EVERYTHING, &BTreeSet::new()))
}

fn blocks(reading: &Reading) -> impl Iterator<Item = &Block> {
    reading.sections.iter().flat_map(|section| &section.blocks)
}

fn block<'a>(reading: &'a Reading, part: &str) -> &'a Block {
    let parts = || blocks(reading).map(|block| &*block.part).collect::<Vec<_>>();
    blocks(reading).find(|block| &*block.part == part).unwrap_or_else(|| panic!("no {part} in {:?}", parts()))
}

/// Calls with the rules of every Service of every case in every mode, and with the whole node's.
fn each_service(mut check: impl FnMut(&str, &Rules, &Rules)) {
    let mut count = 0;
    for case in cases() {
        let state = manifest::load(&case.text).unwrap().state;
        let node = state.node(&case.node).unwrap();
        for mode in ProxyMode::ALL {
            let all = generate(&state, node, case.family, mode).with_jumps();
            for service in state.services().values() {
                let rules = generate_for(&state, node, case.family, mode, Scope::Service(service.key()));
                check(&format!("{} {mode} {}", case.name, service.key()), &rules, &all);
                count += 1;
            }
        }
    }
    assert!(count > 2_000, "{count}");
}

#[test]
fn every_line_is_shown_or_counted_once_and_known_by_what_stands_on_the_node() {
    each_service(|name, rules, all| {
        let mut left = rules.clone().with_jumps().parts();
        let nodes = all.parts();
        let reading = whole(rules);
        assert_eq!(reading.sections.iter().map(|section| section.hidden.lines).sum::<usize>(), 0, "{name}");
        let mut idle = 0;
        for block in blocks(&reading) {
            let lines = left.get_mut(&*block.part).unwrap_or_else(|| panic!("{name}: {}", block.part));
            for line in &block.lines {
                assert_eq!(line.id.part, block.part);
                let at = lines.iter().position(|known| **known == *line.id.text);
                lines.remove(at.unwrap_or_else(|| panic!("{name}: {:?} twice or not there", line.id)));
                assert!(
                    nodes[&*block.part].iter().any(|known| **known == *line.id.text),
                    "{name} {:?}",
                    line.id
                );
            }
            idle += block.idle;
        }
        // What makes a table, chain, set or map is no line.
        let makes = |line: &&String| {
            ["table", "chain", "set", "map"].iter().any(|w| line.starts_with(&format!("add {w} ")))
        };
        let rest = left.values().flatten().filter(|line| !makes(line)).count();
        assert_eq!(rest, idle, "{name}: {left:?}");
    });
}

#[test]
fn words_are_the_rule_without_its_comment_and_links_lead_somewhere() {
    each_service(|name, rules, _| {
        let reading = whole(rules);
        let parts: BTreeSet<&str> = blocks(&reading).map(|block| &*block.part).collect();
        for block in blocks(&reading) {
            for line in &block.lines {
                assert_eq!(line.cut, 0);
                let text = line.words.iter().map(|word| &*word.text).collect::<Vec<_>>().join(" ");
                if block.kind == PartKind::Chain && !block.table.is_empty() {
                    let (chain, mut rule, _) = parse_rule(&line.id.text).unwrap();
                    rule.matches.retain(|each| !matches!(each, Match::Comment(_)));
                    assert_eq!(
                        parse_rule(&format!("-A {chain} {text}")).unwrap().1,
                        rule,
                        "{name}: {}",
                        line.id.text
                    );
                } else {
                    let plain = line.id.text.split(" comment \"").next().unwrap();
                    assert!(
                        plain.contains(text.split(" : ").next().unwrap()),
                        "{name}: {text} / {}",
                        line.id.text
                    );
                }
                for word in &line.words {
                    if let Role::Part(part) = &word.role {
                        assert!(parts.contains(&**part), "{name}: {part}");
                    }
                }
                assert!(
                    line.about.ends_with('.') && !line.about.contains("unknown"),
                    "{name}: {}",
                    line.about
                );
            }
            assert!(!block.about.is_empty(), "{name}: {} is not explained", block.part);
        }
    });
}

#[test]
fn limits_hold_and_say_how_much_more_there_is() {
    each_service(|name, rules, _| {
        let (all, some) = (whole(rules), read(rules, view(3, &BTreeSet::new())));
        assert_eq!((all.lines, all.parts), (some.lines, some.parts), "{name}");
        for (all, some) in all.sections.iter().zip(&some.sections) {
            let lines = |blocks: &[Block]| blocks.iter().map(|block| block.lines.len()).sum::<usize>();
            assert!(lines(&some.blocks) <= 3, "{name}");
            assert_eq!(lines(&some.blocks) + some.hidden.lines, lines(&all.blocks), "{name}");
            assert_eq!(some.blocks.len() + some.hidden.parts, all.blocks.len(), "{name}");
        }
    });
}

const CLUSTER: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.96.0.21
  clusterIPs: [10.96.0.21]
  ipFamilies: [IPv4]
  ports:
  - {name: http, port: 80, protocol: TCP}
  - {name: metrics, port: 9090, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
endpoints:
- {addresses: [10.244.0.12], nodeName: node-a, conditions: {ready: true}}
- {addresses: [10.244.1.9], nodeName: node-b, conditions: {ready: true}}
- {addresses: [10.244.3.7], nodeName: node-b, conditions: {ready: true}}
ports: [{name: http, port: 8080, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: db.example.com}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: shop}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop, labels: {service.kubernetes.io/service-proxy-name: mesh}}
spec: {clusterIP: 10.96.0.22, clusterIPs: [10.96.0.22], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: six, namespace: shop}
spec: {clusterIP: 'fd00::6', clusterIPs: ['fd00::6'], ipFamilies: [IPv6], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: both, namespace: shop}
spec: {clusterIP: 'fd00::7', clusterIPs: ['fd00::7', 10.96.0.7], ipFamilies: [IPv6, IPv4], ports: [{port: 80}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.244.0.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.0.10}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-b}
spec: {podCIDRs: [10.244.1.0/24, 'fd00:10::/64']}
status: {addresses: [{type: InternalIP, address: 192.168.0.11}, {type: InternalIP, address: 'fd00:168::11'}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: 'mode: nftables'
";

fn cluster() -> ClusterState {
    manifest::load(CLUSTER).unwrap().state
}

fn rules_of(mode: ProxyMode, port: Option<&str>) -> Rules {
    let (state, key) = (cluster(), Key::new("shop", "cart"));
    let node = state.node("node-a").unwrap();
    let scope = port.map_or(Scope::Service(&key), |port| Scope::Port(&key, port));
    generate_for(&state, node, IpFamily::IPv4, mode, scope)
}

/// Stage and parts, in reading order.
fn outline(reading: &Reading) -> Vec<(Stage, Vec<String>)> {
    let parts = |blocks: &[Block]| blocks.iter().map(|block| block.part.to_string()).collect();
    let sections = reading.sections.iter().filter(|section| section.stage != Stage::Around);
    sections.map(|section| (section.stage, parts(&section.blocks))).collect()
}

#[test]
fn iptables_reads_from_dispatch_to_masquerade() {
    let reading = whole(&rules_of(ProxyMode::Iptables, Some("http")));
    let outline = outline(&reading);
    let stages: Vec<Stage> = outline.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Dispatch, Stage::Service, Stage::Endpoints, Stage::Masquerade]);
    assert_eq!(outline[0].1, ["nat/KUBE-SERVICES"]);
    assert_eq!(outline[3].1, ["nat/KUBE-MARK-MASQ", "nat/KUBE-POSTROUTING"]);
    let dispatch = block(&reading, "nat/KUBE-SERVICES");
    assert_eq!(dispatch.idle, 1, "the rule for node ports leads nowhere for this Service");
    let line = &dispatch.lines[0];
    assert_eq!(
        &*line.about,
        "New connections to 10.96.0.21, TCP port 80: on to the choice among its endpoints."
    );
    assert_eq!(&*line.comment.as_ref().unwrap().text, "shop/cart:http cluster IP");
    let service = block(&reading, &outline[1].1[0]);
    let leads: Vec<&str> = service.lines.iter().filter_map(|line| line.leads_to.as_deref()).collect();
    assert_eq!(leads, ["10.244.0.12:8080", "10.244.1.9:8080", "10.244.3.7:8080"]);
    let abouts: Vec<&str> = service.lines.iter().map(|line| &*line.about).collect();
    let expected = [
        "New connections one in 3, at random: on to the endpoint 10.244.0.12:8080.",
        "New connections one in 2, at random: on to the endpoint 10.244.1.9:8080.",
        "All that come here: on to the endpoint 10.244.3.7:8080.",
    ];
    assert!(abouts.ends_with(&expected), "{abouts:?}");
}

#[test]
fn nftables_reads_from_dispatch_to_masquerade() {
    let reading = whole(&rules_of(ProxyMode::Nftables, Some("http")));
    let outline = outline(&reading);
    assert_eq!(outline[0], (Stage::Dispatch, vec!["chain services".into(), "map service-ips".into()]));
    let [chain] = &outline[1].1[..] else { panic!("{outline:?}") };
    assert!(chain.starts_with("chain service-") && chain.ends_with("shop/cart/tcp/http"), "{chain}");
    let about = &block(&reading, chain).lines[0].about;
    let expected = "New connections over TCP: sent to one of 3 endpoints, at random, each as likely.";
    assert_eq!(&**about, expected);
    let element = &block(&reading, "map service-ips").lines[0];
    assert_eq!(&*element.about, "Packets to 10.96.0.21, TCP port 80: on to the choice among its endpoints.");
    let filter = outline.iter().find(|(stage, _)| *stage == Stage::Filter).unwrap();
    assert_eq!(filter.1, ["chain cluster-ips-check", "set cluster-ips"], "all of its ports have endpoints");
}

#[test]
fn a_port_without_endpoints_is_refused() {
    let reading = whole(&rules_of(ProxyMode::Iptables, Some("metrics")));
    assert_eq!(outline(&reading), [(Stage::Filter, vec!["filter/KUBE-SERVICES".into()])]);
    let line = &block(&reading, "filter/KUBE-SERVICES").lines[0];
    assert_eq!(&*line.about, "Packets to 10.96.0.21, TCP port 9090: refused at once.");
    let comment = line.comment.as_ref().unwrap();
    assert_eq!(&*comment.about, "No endpoint of this Service port could take traffic, on any node.");
    let both = whole(&rules_of(ProxyMode::Iptables, None));
    assert!(both.lines > reading.lines);
    assert_eq!(&block(&both, "filter/KUBE-SERVICES").lines[0].id, &line.id);
}

#[test]
fn ipvs_reads_addresses_then_servers() {
    let reading = whole(&rules_of(ProxyMode::Ipvs, Some("http")));
    let outline = outline(&reading);
    assert_eq!(outline[0], (Stage::Dispatch, vec!["dummy interface addresses".into()]));
    assert_eq!(outline[1], (Stage::Service, vec!["virtual server TCP 10.96.0.21:80".into()]));
    let server = block(&reading, "virtual server TCP 10.96.0.21:80");
    assert_eq!(&*server.lines[0].about, "One after the other (round robin).");
    assert_eq!(server.lines.len(), 4);
}

#[test]
fn a_marked_line_and_a_part_in_focus_are_shown_beyond_the_limit() {
    let rules = rules_of(ProxyMode::Iptables, None);
    let all = whole(&rules);
    let endpoints = all.sections.iter().find(|section| section.stage == Stage::Endpoints).unwrap();
    let last = endpoints.blocks.last().unwrap();
    let lit = BTreeSet::from([last.lines[1].id.clone()]);
    let some = read(&rules, view(1, &lit));
    let lines = &block(&some, &last.part).lines;
    assert!(lines.iter().any(|line| line.is_lit && line.id == last.lines[1].id));
    assert_eq!(blocks(&some).flat_map(|block| &block.lines).filter(|line| line.is_lit).count(), 1);
    let none = BTreeSet::new();
    let some = read(&rules, View { limit: 1, focus: Some(&last.part), lit: &none });
    assert_eq!(block(&some, &last.part).lines.len(), 2);
}

#[test]
fn a_large_service_is_bounded() {
    let state = vipscope_shared::synthetic::uniform(2, 5_000, 3);
    let key = state.services().keys().next().unwrap().clone();
    let node = state.nodes().values().next().unwrap();
    for mode in ProxyMode::ALL {
        let rules = generate_for(&state, node, IpFamily::IPv4, mode, Scope::Service(&key));
        let reading = read(&rules, view(50, &BTreeSet::new()));
        let words: usize = blocks(&reading).flat_map(|block| &block.lines).map(|line| line.words.len()).sum();
        assert!(words < 5_000, "{mode}: {words}");
        let beyond: usize = reading.sections.iter().map(|section| section.hidden.lines).sum();
        let cut: usize = blocks(&reading).flat_map(|block| &block.lines).map(|line| line.cut).sum();
        assert_eq!(beyond + cut > 4_900, mode != ProxyMode::Userspace, "{mode}: {beyond} {cut}");
    }
}

/// Service, wanted node and family; chosen node and family, families to choose from, how the problem begins.
type ChoiceRow =
    (&'static str, &'static str, Option<IpFamily>, &'static str, IpFamily, &'static [IpFamily], &'static str);

#[test]
fn what_is_chosen_and_why_there_is_nothing() {
    let state = cluster();
    let service = |name: &str| state.services().get(&Key::new("shop", name)).unwrap().clone();
    let wanted =
        |node: &str, family| Wanted { node: (!node.is_empty()).then(|| node.into()), mode: None, family };
    const FOUR: IpFamily = IpFamily::IPv4;
    const SIX: IpFamily = IpFamily::IPv6;
    let rows: &[ChoiceRow] = &[
        ("cart", "", None, "node-a", FOUR, &[FOUR], ""),
        ("cart", "", Some(SIX), "node-a", SIX, &[FOUR], "shop/cart has no IPv6 cluster IP"),
        ("cart", "node-x", None, "node-x", FOUR, &[], "Node node-x is not there; there are: node-a, node-b"),
        ("six", "", None, "node-b", SIX, &[SIX], ""),
        (
            "six",
            "node-a",
            None,
            "node-a",
            SIX,
            &[],
            "Node node-a: status.addresses and spec.podCIDRs have no IPv6",
        ),
        ("both", "node-a", None, "node-a", FOUR, &[FOUR], ""),
        ("both", "node-b", None, "node-b", SIX, &[SIX, FOUR], ""),
        ("both", "node-a", Some(SIX), "node-a", SIX, &[FOUR], "Node node-a: status.addresses"),
        (
            "alias",
            "",
            None,
            "node-a",
            FOUR,
            &[],
            "shop/alias is an alias: DNS answers with the name db.example.com.",
        ),
        ("headless", "", None, "node-a", FOUR, &[], "shop/headless is headless"),
        ("other", "", None, "node-a", FOUR, &[], "shop/other is left to another proxy"),
    ];
    for (name, node, family, on, chosen, families, problem) in rows {
        let choice = choose(&state, &service(name), &wanted(node, *family));
        assert_eq!(choice.node.as_deref(), Some(*on), "{name}");
        assert_eq!((choice.family, &*choice.families), (*chosen, *families), "{name} on {node:?}");
        assert_eq!((choice.mode, choice.configured), (ProxyMode::Nftables, ProxyMode::Nftables));
        let said = choice.problem.as_ref().map(NoRules::to_string).unwrap_or_default();
        assert_eq!(said.is_empty(), problem.is_empty(), "{name}: {said}");
        assert!(said.starts_with(problem), "{name}: {said}");
    }
    let choice = choose(&ClusterState::default(), &service("cart"), &Wanted::default());
    assert_eq!((choice.node, choice.problem), (None, Some(NoRules::NoNodes)));
    assert_eq!(choice.mode, ProxyMode::Iptables);
}

#[test]
fn what_is_copied_is_what_the_tools_take() {
    for (mode, starts) in [
        (ProxyMode::Userspace, "*filter\n"),
        (ProxyMode::Iptables, "*filter\n"),
        (ProxyMode::Nftables, "add table ip kube-proxy "),
        (ProxyMode::Ipvs, "# ipset restore\n"),
    ] {
        let text = native(&rules_of(mode, None));
        assert!(text.starts_with(starts), "{text}");
    }
    let ipvs = native(&rules_of(ProxyMode::Ipvs, None));
    let order: BTreeMap<usize, &str> =
        ["# ipset restore\n", "# ip -batch -\n", "# ipvsadm -R\n", "# iptables-restore --noflush\n*nat\n"]
            .into_iter()
            .map(|head| (ipvs.find(head).unwrap_or_else(|| panic!("{head} in {ipvs}")), head))
            .collect();
    assert!(order.values().next().unwrap().contains("ipset") && order.len() == 4);
}
