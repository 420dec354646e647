//! The conformance corpus and random variations of it, for the tests of rules.

pub mod namespace;
pub mod packets;

use std::fs;
use std::path::Path;

use serde::Deserialize;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, ProxyMode};
use vipscope_shared::netfilter::{iptables, ipvs, nft};
use vipscope_shared::proxy;
use vipscope_shared::proxy::node::NodeContext;
use vipscope_shared::proxy::ports::port_infos;

#[derive(Deserialize)]
struct About {
    node: String,
    family: IpFamily,
}

/// One recorded case, as a cluster.
pub struct Case {
    pub name: String,
    /// The `cluster.json`.
    pub text: String,
    pub node: String,
    pub family: IpFamily,
}

/// Every case of the corpus, in order.
pub fn cases() -> Vec<Case> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/fixtures/conformance/kube-proxy");
    let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
        .into_iter()
        .map(|path| {
            let about: About =
                serde_json::from_str(&fs::read_to_string(path.join("case.json")).unwrap()).unwrap();
            Case {
                name: path.file_name().unwrap().to_string_lossy().into_owned(),
                text: fs::read_to_string(path.join("cluster.json")).unwrap(),
                node: about.node,
                family: about.family,
            }
        })
        .collect()
}

/// The rules of one node in all modes.
pub struct Rules {
    pub iptables: [iptables::Table; 2],
    pub nft: nft::Table,
    pub ipvs: ipvs::Ruleset,
    pub userspace: [iptables::Table; 2],
}

pub fn rules(state: &ClusterState, node: &str, family: IpFamily) -> Rules {
    let ports = port_infos(state, family);
    let node = state.node(node).unwrap();
    let context = |mode| NodeContext::new(state, node, family, mode);
    Rules {
        iptables: proxy::iptables::generate(&ports, &context(ProxyMode::Iptables)),
        nft: proxy::nftables::generate(&ports, &context(ProxyMode::Nftables)),
        ipvs: proxy::ipvs::generate(&ports, &context(ProxyMode::Ipvs)),
        userspace: proxy::userspace::generate(state, &context(ProxyMode::Userspace)),
    }
}

impl Case {
    pub fn rules(&self) -> Rules {
        rules(&manifest::load(&self.text).unwrap().state, &self.node, self.family)
    }
}

/// The restore input of several tables.
pub fn iptables_text(tables: &[iptables::Table]) -> String {
    let mut text = String::new();
    tables.iter().for_each(|table| table.write(&mut text));
    text
}

/// A source of choices, repeatable by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The rules of a [`varied`] cluster.
pub fn variation(case: &Case, seed: u64) -> Rules {
    let Varied { state, node, family } = varied(case, seed);
    rules(&state, &node, family)
}

/// A cluster, and from where it is looked at.
pub struct Varied {
    pub state: ClusterState,
    pub node: String,
    pub family: IpFamily,
}

/// The cluster of a case with some Services and slices gone, and ports, addresses, affinity, policies and marks changed;
/// seen from any of its nodes.
pub fn varied(case: &Case, seed: u64) -> Varied {
    let mut dice = Dice(seed);
    let bit = dice.roll(32);
    let text = (0..32).fold(case.text.clone(), |text, old| {
        text.replace(&format!("masqueradeBit\\\": {old}\\n"), &format!("masqueradeBit\\\":  {bit}\\n"))
    });
    let mut list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let items = list["items"].as_array_mut().unwrap();
    items.retain(|item| {
        !matches!(item["kind"].as_str(), Some("Service" | "EndpointSlice")) || dice.roll(8) > 0
    });
    for item in items {
        match item["kind"].as_str() {
            Some("Service") => vary_service(item, &mut dice),
            Some("EndpointSlice") => vary_slice(item, &mut dice),
            _ => {}
        }
    }
    let state = manifest::load(&list.to_string()).unwrap().state;
    let nodes: Vec<String> = state.nodes().values().map(|node| node.meta.key.name.to_string()).collect();
    let node = nodes[dice.roll(nodes.len() as u64) as usize].clone();
    Varied { state, node, family: if dice.roll(2) == 0 { IpFamily::IPv4 } else { IpFamily::IPv6 } }
}

fn vary_service(service: &mut serde_json::Value, dice: &mut Dice) {
    let spec = &mut service["spec"];
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        port["port"] = (1 + dice.roll(65_535)).into();
    }
    if dice.roll(4) == 0 {
        spec["sessionAffinity"] = "ClientIP".into();
        let timeout = 1 + dice.roll(86_400);
        spec["sessionAffinityConfig"] = serde_json::json!({ "clientIP": { "timeoutSeconds": timeout } });
    }
    for policy in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        if spec[policy].is_string() {
            spec[policy] = ["Cluster", "Local"][dice.roll(2) as usize].into();
        }
    }
}

fn vary_slice(slice: &mut serde_json::Value, dice: &mut Dice) {
    let ipv4 = slice["addressType"] == "IPv4";
    for endpoint in slice["endpoints"].as_array_mut().into_iter().flatten() {
        let (high, low) = (dice.roll(256), 1 + dice.roll(254));
        let ip = if ipv4 { format!("10.244.{high}.{low}") } else { format!("fd00:10:244::{high:x}:{low:x}") };
        endpoint["addresses"] = serde_json::json!([ip]);
    }
    for port in slice["ports"].as_array_mut().into_iter().flatten() {
        port["port"] = (1 + dice.roll(65_535)).into();
    }
}
