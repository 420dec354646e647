//! The words of rows read back: which targets and which sources they mean, by the objects alone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use vipscope_shared::model::{ClusterState, IpFamily, Key, Keyed, Node, Service, Text};
use vipscope_shared::proxy::find_node;
use vipscope_shared::proxy::ports::cluster_ip;
use vipscope_shared::whatif::difference::{Target, TargetKind};

/// Somebody who connects.
#[derive(Debug, Clone)]
pub enum Who {
    Pod(Key, IpAddr),
    Node(IpAddr),
    Outside(IpAddr),
}

/// `a, b and c`; `None` if some are held back.
fn items(text: &str) -> Option<Vec<&str>> {
    let items: Vec<&str> = text.split(", ").flat_map(|part| part.split(" and ")).collect();
    items.iter().all(|item| !item.ends_with(" more")).then_some(items)
}

/// The addresses next to a network.
pub fn neighbours(net: IpNet) -> Vec<IpAddr> {
    let step = |ip: IpAddr, by: i128| -> Option<IpAddr> {
        match ip {
            IpAddr::V4(ip) => {
                u32::try_from(i128::from(u32::from(ip)) + by).ok().map(|n| IpAddr::V4(n.into()))
            }
            IpAddr::V6(ip) => u128::from(ip).checked_add_signed(by).map(|n| IpAddr::V6(n.into())),
        }
    };
    [step(net.network(), -1), step(net.broadcast(), 1)].into_iter().flatten().collect()
}

/// Everything that the Service has in one of the clusters; of unused ports one.
fn targets_of(service: &Service) -> Vec<Target> {
    let key = Some(service.key().clone());
    let mut all = Vec::new();
    for family in IpFamily::BOTH {
        let Some(ip) = cluster_ip(service, family) else { continue };
        let ours = |ip: &IpAddr| IpFamily::of(*ip) == family;
        let mut ips = vec![(TargetKind::ClusterIp, ip)];
        ips.extend(service.external_ips.iter().copied().filter(ours).map(|ip| (TargetKind::ExternalIp, ip)));
        let balancer = service.ingress.iter().filter_map(|ingress| ingress.ip).filter(ours);
        ips.extend(balancer.map(|ip| (TargetKind::LoadBalancer, ip)));
        let target = |kind, ip, port: u16, name: &Text, protocol| Target {
            service: key.clone(),
            port_name: name.clone(),
            kind,
            ip,
            port,
            protocol,
            family,
        };
        for port in &service.ports {
            for (kind, ip) in &ips {
                all.push(target(*kind, Some(*ip), port.port.get(), &port.name, port.protocol));
            }
            for kind in [TargetKind::NodePort, TargetKind::LocalhostNodePort] {
                let number = port.node_port.map(std::num::NonZeroU16::get);
                all.extend(number.map(|number| target(kind, None, number, &port.name, port.protocol)));
            }
        }
        let tcp = vipscope_shared::model::Protocol::Tcp;
        let health = service.health_check_node_port.map(std::num::NonZeroU16::get);
        all.extend(health.map(|number| target(TargetKind::HealthCheck, None, number, &"".into(), tcp)));
        all.extend(ips.iter().map(|(_, ip)| target(TargetKind::UnusedPort, Some(*ip), 0, &"".into(), tcp)));
    }
    all
}

/// The targets of a Service that the words mean, of those that it has in one of the clusters and of those that `also` knows.
/// `None` if the words hold back names.
pub fn targets_in(
    words: &str,
    service: &Key,
    states: [&ClusterState; 2],
    also: &BTreeSet<Target>,
) -> Option<BTreeSet<Target>> {
    let mut all: BTreeSet<Target> = BTreeSet::new();
    for known in states.iter().filter_map(|state| state.services().get(service)) {
        all.extend(targets_of(known));
    }
    let families: BTreeSet<IpFamily> = all.iter().map(|target| target.family).collect();
    let ours: Vec<&Target> = also.iter().filter(|target| target.service.as_ref() == Some(service)).collect();
    // Whichever port of an address is unused, it is the same target.
    let is_known = |one: &Target| {
        one.kind == TargetKind::UnusedPort && ours.iter().any(|own| (own.kind, own.ip) == (one.kind, one.ip))
    };
    all.retain(|target| !is_known(target));
    all.extend(ours.into_iter().cloned());
    let mut said = BTreeSet::new();
    for clause in words.split("; ") {
        let (ports, ways) = match clause.split_once("by ") {
            Some((ports, ways)) => (ports.trim_end_matches(", "), ways),
            None => ("", clause),
        };
        let ports = match ports.strip_prefix("ports ").or_else(|| ports.strip_prefix("port ")) {
            Some(ports) => Some(items(ports)?),
            None => None,
        };
        for ways in ways.split(" and by ") {
            let (ways, of) = families_in(ways, &families);
            let ways = items(ways)?;
            let is_meant = |target: &&Target| {
                let port = match &*target.port_name {
                    "" => target.port.to_string(),
                    name => name.to_owned(),
                };
                let by_port = ports.as_ref().is_none_or(|ports| ports.contains(&&*port));
                by_port && of.contains(&target.family) && ways.iter().any(|way| is_way(way, target, &all))
            };
            said.extend(all.iter().filter(is_meant).cloned());
        }
    }
    Some(said)
}

/// `cluster IP, IPv4 and IPv6`.
fn families_in<'w>(ways: &'w str, all: &BTreeSet<IpFamily>) -> (&'w str, BTreeSet<IpFamily>) {
    for (ending, families) in [
        (", IPv4 and IPv6", &IpFamily::BOTH[..]),
        (", IPv4", &[IpFamily::IPv4]),
        (", IPv6", &[IpFamily::IPv6]),
    ] {
        if let Some(ways) = ways.strip_suffix(ending) {
            return (ways, families.iter().copied().collect());
        }
    }
    (ways, all.clone())
}

fn is_way(way: &str, target: &Target, all: &BTreeSet<Target>) -> bool {
    if way == "any unused port of the cluster IP" {
        let is_it = |known: &Target| known.kind == TargetKind::ClusterIp && known.ip == target.ip;
        return target.kind == TargetKind::UnusedPort && all.iter().any(is_it);
    }
    if way == "at all addresses" || way == "ports" {
        return !matches!(
            target.kind,
            TargetKind::LocalhostNodePort | TargetKind::HealthCheck | TargetKind::UnusedPort
        );
    }
    let kind = match target.kind {
        TargetKind::ClusterIp => "cluster IP",
        TargetKind::ExternalIp => "external IP",
        TargetKind::LoadBalancer => "load balancer",
        TargetKind::NodePort => "node port",
        TargetKind::LocalhostNodePort => "node port on localhost",
        TargetKind::HealthCheck => "health check node port",
        TargetKind::UnusedPort => "any unused port",
    };
    let Some(only) = way.strip_prefix(kind) else { return false };
    let address = match (target.kind, target.ip) {
        (TargetKind::UnusedPort, Some(ip)) => format!(" of {ip}"),
        (_, Some(ip)) => {
            format!(" {} {}", std::net::SocketAddr::new(ip, target.port), target.protocol.lower())
        }
        (_, None) => format!(" {} {}", target.port, target.protocol.lower()),
    };
    // Without an address, all those that the Service itself has are meant; on one address of a node, it is said.
    let is_whole = only.is_empty() && !(target.kind == TargetKind::NodePort && target.ip.is_some());
    is_whole || only == address
}

/// Whether somebody on a node is one of those whom the words mean; `None` if they hold back names.
pub fn sources_in(words: &str, states: [&ClusterState; 2], family: IpFamily) -> Option<Sources> {
    if words == "everyone" {
        return sources_in("all pods; all nodes themselves; outside through any node", states, family);
    }
    if let Some(place) = words.strip_prefix("everyone on or through ") {
        let long = match place.strip_prefix("zone ") {
            Some(zone) => {
                let of = format!("the nodes of zone {zone}");
                format!("all pods in zone {zone}; {of} themselves; outside through {of}")
            }
            None => format!("pods on {place}; {place} themselves; outside through {place}"),
        };
        return sources_in(&long, states, family);
    }
    let mut parts = Vec::new();
    for segment in words.split("; ") {
        parts.push(Segment::read(segment, states, family)?);
    }
    Some(Sources(parts))
}

/// Those whom words mean.
pub struct Sources(Vec<Segment>);

impl Sources {
    /// `None`: some of such sources, and the words do not say which.
    pub fn has(&self, node: &Text, who: &Who) -> Option<bool> {
        let mut parts = self.0.iter().filter(|part| part.has(node, who)).peekable();
        let is_found = parts.peek().is_some();
        if is_found && parts.all(|part| part.is_some) { None } else { Some(is_found) }
    }
}

/// Sources of one origin that are said in one go.
struct Segment {
    /// Only some of them.
    is_some: bool,
    origin: &'static str,
    nodes: BTreeSet<Text>,
    /// Only these.
    pods: Option<BTreeSet<String>>,
    nets: Vec<IpNet>,
    except: Vec<IpNet>,
    except_pods: BTreeSet<String>,
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap_or_else(|_| IpNet::from(text.parse::<IpAddr>().expect(text)))
}

impl Segment {
    fn read(text: &str, states: [&ClusterState; 2], family: IpFamily) -> Option<Segment> {
        let is_some = text.ends_with(", from some addresses");
        let text = text.trim_end_matches(", from some addresses");
        let (text, except) = match text.split_once(" except ") {
            Some((text, except)) => (text.trim_end_matches(','), items(except)?),
            None => (text, Vec::new()),
        };
        let (who, nets) = match text.split_once(", from ") {
            Some((who, nets)) => (who, items(nets)?),
            None => (text, Vec::new()),
        };
        let all = || -> BTreeSet<Text> {
            let names = states[1].nodes().values().map(|node| node.name().clone());
            names.filter(|name| states.iter().all(|state| find_node(state, name, family).is_ok())).collect()
        };
        let zone = |zone: &str| -> BTreeSet<Text> {
            let is_in = |node: &&std::sync::Arc<Node>| node.zone().is_some_and(|of| **of == *zone);
            let names = states[1].nodes().values().filter(is_in).map(|node| node.name().clone());
            names.filter(|name| all().contains(name)).collect()
        };
        let named = |names: &str| -> Option<BTreeSet<Text>> {
            Some(items(names)?.into_iter().map(Text::from).collect())
        };
        let pods = match who.strip_prefix("pods ").or_else(|| who.strip_prefix("pod ")) {
            Some(pods) if !pods.starts_with("on ") => {
                Some(items(pods)?.into_iter().map(str::to_owned).collect())
            }
            _ => None,
        };
        let (origin, nodes) = match who {
            _ if pods.is_some() => ("pod", all()),
            "all pods" => ("pod", all()),
            "all nodes themselves" => ("node", all()),
            "outside through any node" => ("outside", all()),
            _ => {
                if let Some(of) = who.strip_prefix("all pods in zone ") {
                    ("pod", zone(of))
                } else if let Some(on) = who.strip_prefix("pods on ") {
                    ("pod", named(on)?)
                } else if let Some(of) = who.strip_prefix("outside through the nodes of zone ") {
                    ("outside", zone(of))
                } else if let Some(through) = who.strip_prefix("outside through ") {
                    ("outside", named(through)?)
                } else if let Some(rest) = who.strip_prefix("the nodes of zone ") {
                    ("node", zone(rest.strip_suffix(" themselves").unwrap()))
                } else {
                    let names = who.strip_suffix(" itself").or_else(|| who.strip_suffix(" themselves"));
                    ("node", named(names.unwrap_or_else(|| panic!("{who}")))?)
                }
            }
        };
        let (except_pods, except): (Vec<&str>, Vec<&str>) =
            except.into_iter().partition(|one| one.starts_with("pod "));
        Some(Segment {
            is_some,
            origin,
            nodes,
            pods,
            nets: nets.into_iter().map(net).collect(),
            except: except.into_iter().map(net).collect(),
            except_pods: except_pods.into_iter().map(|pod| pod["pod ".len()..].to_owned()).collect(),
        })
    }

    fn has(&self, node: &Text, who: &Who) -> bool {
        let (origin, ip) = match who {
            Who::Pod(_, ip) => ("pod", ip),
            Who::Node(ip) => ("node", ip),
            Who::Outside(ip) => ("outside", ip),
        };
        if origin != self.origin || !self.nodes.contains(node) {
            return false;
        }
        let longest =
            |nets: &[IpNet]| nets.iter().filter(|net| net.contains(ip)).map(IpNet::prefix_len).max();
        let by_address = match (longest(&self.nets), longest(&self.except)) {
            (None, None) => self.nets.is_empty(),
            (inside, outside) => inside > outside,
        };
        match (who, &self.pods) {
            (Who::Pod(pod, _), Some(pods)) => pods.contains(&pod.to_string()),
            (Who::Pod(pod, _), None) => by_address && !self.except_pods.contains(&pod.to_string()),
            _ => by_address,
        }
    }
}
