//! A node of its own: one network namespace for the node, one for its pods, one for everything else, and rules loaded into
//! the first.
//!
//! The other two own every address there is: what comes in over their interface is theirs, and what they send themselves
//! goes to the node, whatever its destination.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::process::{Command, Stdio};

use vipscope_shared::model::{ClusterState, IpFamily, Node, ProxyMode};
use vipscope_shared::predict::{Predictor, origin_of};
use vipscope_shared::proxy;
use vipscope_shared::proxy::rules::Format;
use vipscope_shared::trace::Origin;

use super::agent::{Agent, Listen, Seen, Shot};
use crate::support::namespace::{Namespace, program};

/// Who loads the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// iptables of this variant: `legacy` or `nft`.
    Iptables(&'static str),
    Nft,
}

impl Loader {
    pub const ALL: [Loader; 3] = [Loader::Iptables("legacy"), Loader::Iptables("nft"), Loader::Nft];

    pub fn mode(self) -> ProxyMode {
        match self {
            Loader::Iptables(_) => ProxyMode::Iptables,
            Loader::Nft => ProxyMode::Nftables,
        }
    }

    pub fn name(self) -> String {
        match self {
            Loader::Iptables(variant) => format!("iptables-{variant}"),
            Loader::Nft => "nftables".to_owned(),
        }
    }
}

impl Loader {
    /// Another host takes nothing from a loopback address but answers of the node.
    fn refuse_martians(self, host: &Namespace) {
        match self {
            Loader::Iptables(variant) => {
                let restore = program(IpFamily::IPv4, variant, "restore");
                let rule = "-A INPUT ! -i lo -s 127.0.0.0/8 -m conntrack --ctstate NEW -j DROP";
                let rules = format!("*filter\n:INPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n");
                host.must("martians", &[&restore, "--wait"], &rules)
            }
            Loader::Nft => {
                let rule = "iif != lo ip saddr 127.0.0.0/8 ct state new drop";
                let chain = format!("chain input {{ type filter hook input priority 0; {rule}; }}");
                host.must("martians", &["nft", "-f", "-"], &format!("table ip martians {{ {chain}; }}\n"))
            }
        };
    }
}

/// The links between the node and the others: numbers of the addresses on them.
const ELSE_LINK: u8 = 1;
const PODS_LINK: u8 = 2;
/// Where the others send all they send.
const TO_NODE: &str = "50";
/// The node's interface for everything else. No detector's name begins so.
const ELSE_NAME: &str = "zz-else";
const PODS_NAME: &str = "zz-pods";

/// In every namespace: what comes is neither judged by its source nor redirected, and ICMP is never held back.
const ALL_SETTINGS: &[(&str, &str)] = &[
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_ratemask", "0"),
    ("ipv6/icmp/ratelimit", "0"),
    ("ipv6/icmp/ratemask", ""),
    ("ipv6/conf/all/accept_redirects", "0"),
    ("ipv6/conf/default/accept_redirects", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
];

const NODE_SETTINGS: &[(&str, &str)] = &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")];

/// Any address is their own, also one that they sent from themselves. Loopback is let through, since they send to the node's, and
/// what they refuse for that is up to [`Loader::refuse_martians`].
const OTHERS_SETTINGS: &[(&str, &str)] = &[
    ("ipv4/conf/all/accept_local", "1"),
    ("ipv4/conf/all/route_localnet", "1"),
    ("ipv4/ip_nonlocal_bind", "1"),
    ("ipv6/ip_nonlocal_bind", "1"),
];

pub struct Bed {
    loader: Loader,
    // Threads leave before their namespaces go.
    node_agent: Agent,
    pods_agent: Agent,
    else_agent: Agent,
    node: Namespace,
    _pods: Namespace,
    _else: Namespace,
    /// The name of the node's interface for pods.
    pods_name: String,
    /// Lines for `ip -batch` that remove what the last cluster needed.
    undo: Vec<String>,
    /// The kernel remembers clients under the loader's rules; iptables needs `xt_recent` for that.
    pub has_recent: bool,
}

impl Bed {
    /// `None` where there are no namespaces to be had; the reason is printed.
    pub fn new(what: &str, loader: Loader) -> Option<Bed> {
        Namespace::sweep();
        let make = |side: &str| Namespace::new(&format!("judge-{what}-{}-{side}", loader.name()));
        let (node, pods, other) = (make("node")?, make("pods")?, make("else")?);
        let agents = [&node, &pods, &other].map(Agent::enter);
        agents.iter().for_each(|agent| agent.set(ALL_SETTINGS));
        let [node_agent, pods_agent, else_agent] = agents;
        node_agent.set(NODE_SETTINGS);
        ip(node.name(), &["link set lo up".to_owned()]);
        for (peer, agent, link, name) in
            [(&other, &else_agent, ELSE_LINK, ELSE_NAME), (&pods, &pods_agent, PODS_LINK, PODS_NAME)]
        {
            agent.set(OTHERS_SETTINGS);
            ip(
                node.name(),
                &[format!(
                    "link add {name} address {} type veth peer eth0 address {} netns {}",
                    mac(link, 1),
                    mac(link, 2),
                    peer.name()
                )],
            );
            ip(peer.name(), &links(link, 2, "eth0"));
            ip(peer.name(), &others(link));
            ["-4", "-6"].iter().for_each(|family| ip_as(&["-n", peer.name(), family], &others_rules()));
            loader.refuse_martians(peer);
        }
        let mut bed = Bed {
            loader,
            node_agent,
            pods_agent,
            else_agent,
            node,
            _pods: pods,
            _else: other,
            pods_name: PODS_NAME.to_owned(),
            undo: Vec::new(),
            has_recent: true,
        };
        bed.has_recent = bed.takes_recent();
        ip(bed.node.name(), &links(ELSE_LINK, 1, ELSE_NAME));
        ip(bed.node.name(), &defaults());
        bed.rename_pods(PODS_NAME);
        Some(bed)
    }

    fn takes_recent(&self) -> bool {
        let Loader::Iptables(variant) = self.loader else { return true };
        let restore = program(IpFamily::IPv4, variant, "restore");
        let rules = "*filter\n:PROBE - [0:0]\n-A PROBE -m recent --name probe --set\nCOMMIT\n";
        self.node.run(&[&restore, "--wait"], rules).status.success()
    }

    /// Gives the node the cluster's addresses, routes and rules, and has somebody listen on `sockets`.
    pub fn load(&mut self, what: &str, view: &View<'_>, sockets: &BTreeSet<Listen>) {
        let context = &view.predictor.context;
        let family = context.family;
        let wanted = view.predictor.host.pod_interface.as_deref().unwrap_or(PODS_NAME);
        let mut lines = std::mem::take(&mut self.undo);
        if !lines.is_empty() {
            ip(self.node.name(), &lines);
        }
        if wanted != self.pods_name {
            self.rename_pods(wanted);
        }
        let own = |ip| format!("addr add {} dev lo{}", host(ip), nodad(ip));
        lines = view.own().into_iter().map(own).collect();
        let known = sockets.iter().map(|(_, to)| to.ip()).chain(view.sources.iter().copied());
        let mut pods: BTreeSet<IpAddr> = known.collect();
        pods.retain(|ip| view.place(*ip) == Origin::Pod);
        lines.extend(pods.into_iter().map(|ip| pod_route(ip, wanted)));
        ip(self.node.name(), &lines);
        self.node_agent.settle(view.own_ipv6());
        self.undo =
            lines.iter().map(|line| line.replacen(" add ", " del ", 1).replace(" nodad", "")).collect();
        let localnet = view.predictor.host.route_localnet;
        self.node_agent.set(&[("ipv4/conf/all/route_localnet", if localnet { "1" } else { "0" })]);
        self.load_rules(what, view, family);
        for (origin, agent) in self.agents() {
            agent.serve(sockets.iter().filter(|(_, to)| view.place(to.ip()) == origin).copied().collect());
        }
    }

    fn load_rules(&self, what: &str, view: &View<'_>, family: IpFamily) {
        let rules = proxy::generate(view.state, &view.predictor.context.node, family, self.loader.mode());
        let text = rules.with_jumps().print(Format::Native).unwrap();
        match self.loader {
            // Emptied first: what xt_recent remembers goes with the last rule that names it.
            Loader::Iptables(variant) => {
                let text = format!("*filter\nCOMMIT\n*nat\nCOMMIT\n{text}");
                let restore = program(family, variant, "restore");
                self.node.must(what, &[&restore, "--wait"], &text)
            }
            Loader::Nft => self.node.must(what, &["nft", "-f", "-"], &format!("flush ruleset\n{text}")),
        };
    }

    /// Sends all of them at once, each from where its source is.
    pub fn fire(&self, shots: &[(Origin, Shot)]) -> Vec<Seen> {
        let mut seen: Vec<Option<Seen>> = vec![None; shots.len()];
        let flying = self.agents().map(|(origin, agent)| {
            let own: Vec<usize> = (0..shots.len()).filter(|&nth| shots[nth].0 == origin).collect();
            let wait = agent.fire(own.iter().map(|&nth| shots[nth].1).collect());
            (own, wait)
        });
        for (own, wait) in flying {
            for (nth, one) in own.into_iter().zip(wait.recv().unwrap()) {
                seen[nth] = Some(one);
            }
        }
        seen.into_iter().map(Option::unwrap).collect()
    }

    /// How many packets and connections servers have taken so far.
    pub fn taken(&self) -> usize {
        self.agents().iter().map(|(_, agent)| agent.taken()).sum()
    }

    fn agents(&self) -> [(Origin, &Agent); 3] {
        [
            (Origin::Node, &self.node_agent),
            (Origin::Pod, &self.pods_agent),
            (Origin::Outside, &self.else_agent),
        ]
    }

    fn rename_pods(&mut self, name: &str) {
        let old = std::mem::replace(&mut self.pods_name, name.to_owned());
        ip(self.node.name(), &[format!("link set {old} down"), format!("link set {old} name {name}")]);
        let mut lines = vec![format!("addr flush dev {name}")];
        lines.extend(links(PODS_LINK, 1, name));
        ip(self.node.name(), &lines);
    }
}

/// A cluster as its node sees it.
pub struct View<'a> {
    pub state: &'a ClusterState,
    pub node: &'a Node,
    pub predictor: &'a Predictor,
    /// Where packets come from.
    pub sources: BTreeSet<IpAddr>,
}

impl View<'_> {
    /// Whose address it is.
    pub fn place(&self, ip: IpAddr) -> Origin {
        if self.predictor.host.is_local(ip) { Origin::Node } else { origin_of(self.state, self.node, ip) }
    }

    /// The node's addresses of its own family, but for loopback.
    fn own(&self) -> Vec<IpAddr> {
        let family = self.predictor.context.family;
        let local = self.predictor.host.local().iter().copied();
        local.filter(|ip| !ip.is_loopback() && IpFamily::of(*ip) == family).collect()
    }

    /// Its IPv6 addresses, and those of the links.
    fn own_ipv6(&self) -> Vec<Ipv6Addr> {
        let links = [ELSE_LINK, PODS_LINK].map(|link| v6(link, 1).parse().unwrap());
        let own =
            self.own().into_iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(ip) } else { None });
        own.chain(links).collect()
    }

    /// Whether a masqueraded packet may have this source.
    pub fn is_nodes(&self, ip: IpAddr) -> bool {
        let links = [ELSE_LINK, PODS_LINK];
        let linked =
            links.iter().any(|link| v4(*link, 1) == ip.to_string() || v6(*link, 1) == ip.to_string());
        linked || self.predictor.host.is_local(ip)
    }
}

/// Has `ip` read lines in a namespace.
fn ip(namespace: &str, lines: &[String]) {
    ip_as(&["-n", namespace], lines);
}

fn ip_as(options: &[&str], lines: &[String]) {
    let text = lines.join("\n") + "\n";
    let mut command = Command::new("ip");
    command.args(options).args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {options:?}: {errors}\n{text}");
}

fn v4(link: u8, side: u8) -> String {
    format!("169.254.{}.{side}", 76 + link)
}

fn v6(link: u8, side: u8) -> String {
    format!("fdfe:{link}::{side}")
}

fn mac(link: u8, side: u8) -> String {
    format!("02:00:00:00:0{link}:0{side}")
}

fn host(ip: IpAddr) -> String {
    format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
}

fn nodad(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { " nodad" } else { "" }
}

/// One side of a link, up, with an address of each family, the other side being known.
fn links(link: u8, side: u8, device: &str) -> Vec<String> {
    let other = 3 - side;
    let neighbour =
        |ip: String| format!("neigh replace {ip} lladdr {} dev {device} nud permanent", mac(link, other));
    vec![
        format!("link set {device} up"),
        format!("addr add {}/30 dev {device}", v4(link, side)),
        format!("addr add {}/64 dev {device} nodad", v6(link, side)),
        neighbour(v4(link, other)),
        neighbour(v6(link, other)),
    ]
}

/// The node's way to one of its pods.
fn pod_route(ip: IpAddr, device: &str) -> String {
    let via = if ip.is_ipv4() { v4(PODS_LINK, 2) } else { v6(PODS_LINK, 2) };
    format!("route add {} via {via} dev {device} onlink", host(ip))
}

/// The node's way to everything else.
fn defaults() -> Vec<String> {
    vec![
        format!("route add 0.0.0.0/0 via {} dev {ELSE_NAME} onlink", v4(ELSE_LINK, 2)),
        format!("route add ::/0 via {} dev {ELSE_NAME} onlink", v6(ELSE_LINK, 2)),
    ]
}

/// All that comes in is local, all that is sent goes to the node: routes.
fn others(link: u8) -> Vec<String> {
    vec![
        "link set lo up".to_owned(),
        format!("route add 0.0.0.0/0 via {} dev eth0 onlink table {TO_NODE}", v4(link, 1)),
        format!("route add ::/0 via {} dev eth0 onlink table {TO_NODE}", v6(link, 1)),
        "route add local 0.0.0.0/0 dev lo table local".to_owned(),
        "route add local ::/0 dev lo table local".to_owned(),
    ]
}

/// The same: which routes are asked first, in each family. What is sent comes from `lo`.
fn others_rules() -> Vec<String> {
    vec![
        format!("rule add pref 1 iif lo lookup {TO_NODE}"),
        "rule add pref 2 lookup local".to_owned(),
        "rule del pref 0".to_owned(),
    ]
}
