//! What the compare view holds against each other, pure: settings of kube-proxy on side A and side B, or a file as B.
//!
//! It lives in the URL; what a file holds does not. Law: reading what [`Comparison::print`] printed gives the same.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use vipscope_shared::model::{ClusterState, ProxyMode, Text};
use vipscope_shared::whatif::compare::UNKNOWN;
use vipscope_shared::whatif::difference::{Difference, FlowChange};
use vipscope_shared::whatif::edit::Edit;
use vipscope_shared::whatif::{self, apply::apply};
use vipscope_shared::whatif::{Findings, Options};

use crate::view_state::{Telling, Traced};
use crate::whatif::{GroupRow, Row, group_rows, rows};

/// The schedulers of IPVS that kube-proxy can be set to; `rr` is the default.
pub const SCHEDULERS: [&str; 9] = ["rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "dh"];

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::A, Side::B];

    pub fn as_str(self) -> &'static str {
        match self {
            Side::A => "a",
            Side::B => "b",
        }
    }
}

/// A setting that can be on, off, or as the cluster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Switch {
    #[default]
    Own,
    On,
    Off,
}

impl Switch {
    pub const ALL: [Switch; 3] = [Switch::Own, Switch::On, Switch::Off];

    /// Empty for the cluster's own.
    pub fn as_str(self) -> &'static str {
        match self {
            Switch::Own => "",
            Switch::On => "on",
            Switch::Off => "off",
        }
    }

    pub fn parse(text: &str) -> Switch {
        Switch::ALL.into_iter().find(|switch| switch.as_str() == text).unwrap_or_default()
    }

    fn value(self) -> Option<bool> {
        match self {
            Switch::Own => None,
            Switch::On => Some(true),
            Switch::Off => Some(false),
        }
    }
}

/// Settings of every node's kube-proxy; what is not said is as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    pub mode: Option<ProxyMode>,
    /// `primary`, or CIDRs with commas between them; empty = the cluster's own.
    pub node_ports: String,
    pub masquerade_all: Switch,
    pub localhost: Switch,
    /// Empty = the cluster's own.
    pub scheduler: Text,
}

impl Settings {
    /// The fields of a KubeProxyConfiguration that are said.
    fn fields(&self) -> Map<String, Value> {
        let mut set = Map::new();
        let (mut iptables, mut nftables) = (Map::new(), Map::new());
        if let Some(mode) = self.mode {
            set.insert("mode".to_owned(), json!(mode.as_str()));
        }
        let addresses = self.node_ports.split(',').map(str::trim).filter(|one| !one.is_empty());
        let addresses: Vec<&str> = addresses.collect();
        if !addresses.is_empty() {
            set.insert("nodePortAddresses".to_owned(), json!(addresses));
        }
        if let Some(all) = self.masquerade_all.value() {
            iptables.insert("masqueradeAll".to_owned(), json!(all));
            nftables.insert("masqueradeAll".to_owned(), json!(all));
        }
        if let Some(on) = self.localhost.value() {
            iptables.insert("localhostNodePorts".to_owned(), json!(on));
        }
        for (name, part) in [("iptables", iptables), ("nftables", nftables)] {
            if !part.is_empty() {
                set.insert(name.to_owned(), Value::Object(part));
            }
        }
        if !self.scheduler.is_empty() {
            set.insert("ipvs".to_owned(), json!({ "scheduler": &*self.scheduler }));
        }
        set
    }

    /// The edit that makes the cluster's kube-proxies so; `None`: they are as they are.
    pub fn edit(&self) -> Option<Edit> {
        let set = self.fields();
        (!set.is_empty()).then(|| Edit::Proxy { node: "*".into(), set: Value::Object(set) })
    }

    /// `nftables, masqueradeAll on`, or what the cluster has.
    pub fn words(&self, state: &ClusterState) -> String {
        let own = own_modes(state);
        let mut parts = vec![self.mode.map_or(own, |mode| mode.to_string())];
        if !self.node_ports.trim().is_empty() {
            parts.push(format!("nodePortAddresses {}", self.node_ports.trim()));
        }
        let switches = [("masqueradeAll", self.masquerade_all), ("localhostNodePorts", self.localhost)];
        let switches = switches.into_iter().filter(|(_, switch)| *switch != Switch::Own);
        parts.extend(switches.map(|(name, switch)| format!("{name} {}", switch.as_str())));
        if !self.scheduler.is_empty() {
            parts.push(format!("scheduler {}", self.scheduler));
        }
        parts.join(", ")
    }

    fn read(&mut self, name: &str, value: &str) -> bool {
        match name {
            "mode" => self.mode = value.parse().ok(),
            "nodeports" => self.node_ports = value.to_owned(),
            "masquerade-all" => self.masquerade_all = Switch::parse(value),
            "localhost" => self.localhost = Switch::parse(value),
            "scheduler" => {
                let known = SCHEDULERS.into_iter().find(|known| *known == value);
                self.scheduler = known.unwrap_or_default().into();
            }
            _ => return false,
        }
        true
    }
}

/// The mode that the nodes have, or all of them if they differ.
pub fn own_modes(state: &ClusterState) -> String {
    let mut modes: Vec<ProxyMode> = Vec::new();
    for node in state.nodes().keys() {
        let mode = state.proxy_settings(&node.name).mode;
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    if modes.is_empty() {
        modes.push(state.proxy_settings("").mode);
    }
    modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// What B is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Against {
    /// The same cluster with other settings.
    #[default]
    Settings,
    /// The cluster in a file.
    File,
}

/// Both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    pub a: Settings,
    pub b: Settings,
    pub against: Against,
}

impl Comparison {
    pub fn side(&self, side: Side) -> &Settings {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    pub fn side_mut(&mut self, side: Side) -> &mut Settings {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Takes a pair of the query string; true if it was about the comparison.
    pub fn read(&mut self, name: &str, value: &str) -> bool {
        if name == "against" {
            self.against = if value == "file" { Against::File } else { Against::Settings };
            return true;
        }
        let side = Side::BOTH.into_iter().find_map(|side| {
            let name = name.strip_prefix(side.as_str())?.strip_prefix('-')?;
            Some((side, name))
        });
        side.is_some_and(|(side, name)| self.side_mut(side).read(name, value))
    }

    /// Pairs of a query string; what is as by default is left out.
    pub fn print(&self) -> Vec<(&'static str, String)> {
        let names = |side: Side| match side {
            Side::A => ["a-mode", "a-nodeports", "a-masquerade-all", "a-localhost", "a-scheduler"],
            Side::B => ["b-mode", "b-nodeports", "b-masquerade-all", "b-localhost", "b-scheduler"],
        };
        let mut pairs = Vec::new();
        for side in Side::BOTH {
            let settings = self.side(side);
            let values = [
                settings.mode.map(|mode| mode.as_str().to_owned()).unwrap_or_default(),
                settings.node_ports.clone(),
                settings.masquerade_all.as_str().to_owned(),
                settings.localhost.as_str().to_owned(),
                settings.scheduler.to_string(),
            ];
            pairs.extend(names(side).into_iter().zip(values).filter(|(_, value)| !value.is_empty()));
        }
        pairs.extend((self.against == Against::File).then(|| ("against", "file".to_owned())));
        pairs
    }
}

/// Groups of flows that differ for the same reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    pub words: String,
    pub groups: Vec<GroupRow>,
}

impl Cause {
    /// How many flows differ for it.
    pub fn flows(&self) -> usize {
        self.groups.iter().map(|group| group.rows.len()).sum()
    }
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Compared {
    /// Settings that kube-proxy would not take.
    Refused { side: Side, reason: String },
    Differences {
        /// The sides in words.
        a: String,
        b: String,
        causes: Vec<Cause>,
    },
}

/// Compares: the cluster as A has it with the cluster as B has it, or with `other`. With pauses if it takes long.
pub async fn compare(
    state: &ClusterState,
    comparison: &Comparison,
    other: Option<&ClusterState>,
    now: Timestamp,
    pause: &impl AsyncFn(),
) -> Compared {
    let make = |side: Side| match comparison.side(side).edit() {
        None => Ok(None),
        Some(edit) => match apply(state, &[edit], now) {
            Ok(edited) => Ok(Some(edited.state)),
            Err(refusal) => Err(Compared::Refused { side, reason: refusal.reason }),
        },
    };
    let a = match make(Side::A) {
        Ok(a) => a,
        Err(refused) => return refused,
    };
    let before = a.as_ref().unwrap_or(state);
    let b = match other {
        Some(_) => Ok(None),
        None => make(Side::B),
    };
    let b = match b {
        Ok(b) => b,
        Err(refused) => return refused,
    };
    let after = other.or(b.as_ref()).unwrap_or(state);
    pause().await;
    let options = Options { findings: Findings::Skip, rule_lines: None, ..Options::at(now) };
    let difference = whatif::compare::compare_paced(before, after, &options, pause).await;
    pause().await;
    let file = || "the file".to_owned();
    Compared::Differences {
        a: comparison.a.words(state),
        b: if other.is_some() { file() } else { comparison.b.words(state) },
        causes: causes(before, &difference),
    }
}

/// The groups by what makes them differ, the gravest first.
fn causes(before: &ClusterState, difference: &Difference) -> Vec<Cause> {
    let modes = |(row, flow): (Row, &FlowChange)| Row {
        why: flow.summary.clone(),
        trace: row.trace.map(|traced| Traced { telling: Telling::Modes, ..traced }),
        ..row
    };
    let rows: Vec<Row> = rows(before, difference).into_iter().zip(&difference.flows).map(modes).collect();
    let mut causes: Vec<Cause> = Vec::new();
    for group in group_rows(difference, &rows) {
        let words = group.cause.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        match causes.iter_mut().find(|cause| cause.words == words) {
            Some(cause) => cause.groups.push(group),
            None => causes.push(Cause { words, groups: vec![group] }),
        }
    }
    causes
}
