//! Why a flow differs between two modes, configurations or clusters: worked out from the flow itself, its Service and the
//! settings of the node, not from the mode alone. Sources: `pkg/proxy` of Kubernetes 1.36 and, for userspace mode, of 1.25.

use std::net::IpAddr;
use std::sync::Arc;

use super::difference::{FlowChange, Share, SourceClass, TargetKind};
use crate::model::{ClusterState, IpFamily, IpMode, Key, Keyed, Node, Protocol, ProxyMode, Service, Text};
use crate::proxy::node::{NodeContext, NodePorts};
use crate::trace::{Origin, Verdict};

/// Said of a flow whose cause is not among those that are known.
pub const UNKNOWN: &str = "no cause is known";

/// The two clusters and what of them concerns one flow.
struct Facts<'a> {
    flow: &'a FlowChange,
    class: &'a SourceClass,
    states: [&'a ClusterState; 2],
    contexts: [NodeContext; 2],
    services: [Option<&'a Arc<Service>>; 2],
    /// An address of the destination.
    ip: Option<IpAddr>,
}

/// In words; [`UNKNOWN`] if nothing that is known explains it.
pub(super) fn cause(flow: &FlowChange, before: &ClusterState, after: &ClusterState) -> String {
    let found = Facts::of(flow, [before, after]).map(|facts| facts.causes()).unwrap_or_default();
    if found.is_empty() { UNKNOWN.to_owned() } else { found.join("; ") }
}

impl<'a> Facts<'a> {
    fn of(flow: &'a FlowChange, states: [&'a ClusterState; 2]) -> Option<Facts<'a>> {
        let class = flow.sources.classes.first()?;
        let family = flow.target.family;
        let context = |state: &ClusterState, name: &Text| {
            let node: &Arc<Node> = state.node(name)?;
            Some(NodeContext::new(state, node, family, state.proxy_settings(name).mode))
        };
        let node = class.node()?;
        let earlier = class.moved_from.as_ref().unwrap_or(node);
        let contexts = [context(states[0], earlier)?, context(states[1], node)?];
        let service = |state: &'a ClusterState| state.services().get(flow.target.service.as_ref()?);
        let own = contexts[1].node.primary_ip(family);
        Some(Facts {
            flow,
            class,
            services: states.map(service),
            contexts,
            states,
            ip: flow.target.ip.or(own),
        })
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if let Some(earlier) = &self.class.moved_from {
            let class = self.class;
            causes.extend(class.pods.first().map(|pod| {
                let node = class.nodes.join(", ");
                format!("Pod {pod} is on node {node} instead of {earlier}, with that node's rules")
            }));
        }
        causes.extend(self.objects());
        let aspects: [fn(&Facts<'a>) -> Option<String>; 13] = [
            Facts::localhost,
            Facts::node_port_addresses,
            Facts::unused_port,
            Facts::health_check,
            Facts::unserved,
            Facts::bound_address,
            Facts::conflict,
            Facts::endpoint_of_service,
            Facts::firewall,
            Facts::endpoints,
            Facts::refusal,
            Facts::source,
            Facts::choice,
        ];
        causes.extend(aspects.iter().filter_map(|aspect| aspect(self)));
        causes
    }

    fn modes(&self) -> [ProxyMode; 2] {
        [self.contexts[0].mode, self.contexts[1].mode]
    }

    fn is_between(&self, mode: ProxyMode) -> bool {
        let [before, after] = self.modes();
        before != after && (before == mode || after == mode)
    }

    fn has(&self, mode: ProxyMode) -> bool {
        self.modes().contains(&mode)
    }

    fn service(&self) -> Option<&'a Arc<Service>> {
        self.services[1].or(self.services[0])
    }

    fn shares(&self) -> [&'a [Share]; 2] {
        [&self.flow.before, &self.flow.after]
    }

    /// The Service or its endpoints are others.
    fn objects(&self) -> Option<String> {
        let key = self.flow.target.service.as_ref()?;
        let text = match self.services {
            [None, Some(_)] => format!("Service {key} is only in the second cluster"),
            [Some(_), None] => format!("Service {key} is only in the first cluster"),
            [Some(old), Some(new)] if old != new => {
                let fields = fields(old, new);
                if fields.is_empty() {
                    return self.slices(key);
                }
                format!("Service {key} has another {}", fields.join(", "))
            }
            _ => return self.slices(key),
        };
        Some(text)
    }

    fn slices(&self, key: &Key) -> Option<String> {
        let [old, new] = self.states;
        if let ([pod], None) = (&self.class.pods[..], &self.class.moved_from) {
            let ips = |state: &ClusterState| state.pods().get(pod).map(|pod| pod.ips.clone());
            if ips(old) != ips(new) {
                return Some(format!("Pod {pod} has another address, by which rules know it"));
            }
        }
        let same = old.slices_of(key).eq(new.slices_of(key));
        let same_endpoints = !self.has(ProxyMode::Userspace)
            || old.endpoints().get(key) == new.endpoints().get(key)
                && old.endpoints().is_empty() == new.endpoints().is_empty();
        if !(same && same_endpoints) {
            return Some(format!("Service {key} has other endpoints"));
        }
        let [a, b] = &self.contexts;
        let stays = self.class.moved_from.is_none();
        (stays && a.node.zone() != b.node.zone()).then(|| {
            let node = a.node.name();
            format!("node {node} is in another zone, for which hints mean other endpoints")
        })
    }

    fn verdicts_differ(&self) -> bool {
        let [before, after] = self.shares().map(|shares| {
            let mut verdicts: Vec<Verdict> = shares.iter().map(|share| share.verdict).collect();
            verdicts.sort_unstable();
            verdicts.dedup();
            verdicts
        });
        before != after
    }

    fn healths_differ(&self) -> bool {
        let [before, after] = self.shares().map(|shares| shares.iter().map(|share| share.health).max());
        before != after
    }

    fn localhost(&self) -> Option<String> {
        if self.flow.target.kind != TargetKind::LocalhostNodePort {
            return None;
        }
        let why = |context: &NodeContext| match context.mode {
            ProxyMode::Iptables if context.localhost_node_ports => {
                "in iptables mode 127.0.0.1 is an address for node ports (localhostNodePorts, by route_localnet)"
            }
            ProxyMode::Iptables => {
                "in iptables mode loopback is no address for node ports where localhostNodePorts is off, nodePortAddresses leaves it out, or the family is IPv6"
            }
            ProxyMode::Nftables => "in nftables mode loopback is never an address for node ports",
            ProxyMode::Ipvs => "in ipvs mode loopback is never an address for node ports",
            ProxyMode::Userspace => "in userspace mode loopback is an address for node ports like any other",
        };
        let [before, after] = &self.contexts;
        let (old, new) = (why(before), why(after));
        (old != new).then(|| format!("{old}; {new}"))
    }

    fn node_port_addresses(&self) -> Option<String> {
        let [before, after] = &self.contexts;
        // kube-proxy listens at health-check node ports on the same addresses.
        let is_health = self.flow.target.kind == TargetKind::HealthCheck && self.healths_differ();
        if self.flow.target.kind != TargetKind::NodePort && !is_health {
            return None;
        }
        let on = |context: &NodeContext| {
            // Userspace mode redirects on every local address.
            let all = context.mode == ProxyMode::Userspace || context.node_ports == NodePorts::All;
            all || matches!(&context.node_ports, NodePorts::On(ips) if self.ip.is_some_and(|ip| ips.contains(&ip)))
        };
        if on(before) == on(after) && is_health {
            return None;
        }
        if on(before) == on(after) {
            return self.refused_everywhere([on(before), on(after)]);
        }
        let words = |context: &NodeContext| match (on(context), &context.settings.node_port_addresses) {
            (true, crate::model::NodePortAddresses::Unset) => {
                format!(
                    "node ports answer here by the default of {} mode (nodePortAddresses is not set)",
                    context.mode
                )
            }
            (true, _) => "nodePortAddresses holds this address".to_owned(),
            (false, crate::model::NodePortAddresses::Unset) => format!(
                "by default (nodePortAddresses is not set) {} mode has node ports on the node's primary address only",
                context.mode
            ),
            (false, _) => "nodePortAddresses leaves this address out".to_owned(),
        };
        Some(format!("{}; {}", words(before), words(after)))
    }

    /// Where a node port has no endpoints, iptables mode looks only whether the address is local.
    fn refused_everywhere(&self, [old, new]: [bool; 2]) -> Option<String> {
        let refused = |shares: &[Share]| {
            shares.iter().any(|share| share.verdict == Verdict::Reject || share.verdict == Verdict::Drop)
        };
        let differs = self.verdicts_differ() && self.shares().into_iter().any(refused);
        (!old && !new && differs && self.is_between(ProxyMode::Iptables)).then(|| {
            "nodePortAddresses leaves this address out; but where a node port has no endpoint, iptables mode refuses or drops it on every address of the node (KUBE-EXTERNAL-SERVICES)".to_owned()
        })
    }

    fn unused_port(&self) -> Option<String> {
        if self.flow.target.kind != TargetKind::UnusedPort {
            return None;
        }
        let of_mode = |mode: ProxyMode| match mode {
            ProxyMode::Iptables => {
                "iptables mode has no rule for ports that no Service has, and the packet is routed on"
            }
            ProxyMode::Userspace => {
                "userspace mode has no rule for ports that no Service has, and the packet is routed on"
            }
            ProxyMode::Nftables => {
                "nftables mode refuses ports of cluster IPs that no Service has (cluster-ips-check)"
            }
            ProxyMode::Ipvs => {
                "ipvs mode has every Service's address on the node itself (kube-ipvs0) and refuses what no Service has there (KUBE-IPVS-FILTER)"
            }
        };
        let [before, after] = self.modes();
        (before != after).then(|| format!("{}; {}", of_mode(before), of_mode(after)))
    }

    fn health_check(&self) -> Option<String> {
        let differs =
            self.verdicts_differ() || (self.healths_differ() && self.is_between(ProxyMode::Userspace));
        let is_it = self.flow.target.kind == TargetKind::HealthCheck && differs;
        let [before, after] = self.modes();
        (is_it && before != after).then(|| {
            let of_mode = |mode: ProxyMode| match mode {
                ProxyMode::Iptables | ProxyMode::Ipvs => format!("{mode} mode accepts health-check node ports by a rule"),
                ProxyMode::Nftables => "nftables mode accepts nothing by a rule: whether the health-check node port can be reached is up to the node's own firewall".to_owned(),
                ProxyMode::Userspace => "userspace mode knows no health-check node ports".to_owned(),
            };
            format!("{}; {}", of_mode(before), of_mode(after))
        })
    }

    /// Userspace mode leaves some things out, and takes others that the later modes leave.
    fn unserved(&self) -> Option<String> {
        if !self.is_between(ProxyMode::Userspace) {
            return None;
        }
        if self.flow.target.protocol == Protocol::Sctp && self.flow.target.kind != TargetKind::UnusedPort {
            return Some("userspace mode does not serve SCTP".to_owned());
        }
        let service = self.service()?;
        let proxied =
            |ingress: &crate::model::Ingress| ingress.ip == self.ip && ingress.ip_mode == IpMode::Proxy;
        let is_balancer = self.flow.target.kind == TargetKind::LoadBalancer;
        (is_balancer && service.ingress.iter().any(proxied)).then(|| {
            "the balancer's ipMode is Proxy, so that its address is left to the balancer; userspace mode is older than that and takes it".to_owned()
        })
    }

    /// A Service's address that the node itself has, or that kube-proxy is told to bind to.
    fn bound_address(&self) -> Option<String> {
        let [before, after] = &self.contexts;
        if before.settings.bind_address != after.settings.bind_address {
            return Some(
                "another bindAddress: it decides which address of the node kube-proxy takes for its own"
                    .to_owned(),
            );
        }
        let ip = self.ip?;
        let own = after.node.addresses.iter().any(|address| address.ip == ip);
        let claimed = self.states.iter().any(|state| {
            state.services().values().any(|service| {
                service.cluster_ip.ips().contains(&ip)
                    || service.external_ips.contains(&ip)
                    || service.ingress.iter().any(|ingress| ingress.ip == Some(ip))
            })
        });
        (own && claimed && before.mode != after.mode && self.verdicts_differ()).then(|| {
            format!("{ip} is an address both of the node and of a Service: ipvs mode refuses all of its ports there that no Service has, userspace and iptables mode answer by the first rule that fits, and nftables mode by its map of Services before that of node ports")
        })
    }

    /// Several Services claim the same.
    fn conflict(&self) -> Option<String> {
        let [before, after] = self.modes();
        let target = &self.flow.target;
        let claims = |service: &&Arc<Service>| {
            let at = self.flow.target.ip.is_some_and(|ip| {
                service.cluster_ip.ips().contains(&ip)
                    || service.external_ips.contains(&ip)
                    || service.ingress.iter().any(|ingress| ingress.ip == Some(ip))
            });
            service.ports.iter().any(|port| {
                let same = port.protocol == target.protocol;
                let by_port = port.node_port.is_some_and(|number| number.get() == target.port);
                same && ((at && port.port.get() == target.port) || by_port)
            })
        };
        let count = self.states[1].services().values().filter(claims).count();
        let others = [0, 1].map(|nth: usize| {
            let mut keys: Vec<&Key> = self.states[nth]
                .services()
                .values()
                .filter(claims)
                .map(|service| &service.meta.key)
                .collect();
            keys.sort_unstable();
            keys
        });
        if others[0] != others[1] && others.iter().any(|keys| keys.len() > 1) {
            return Some("several Services claim this destination, and not the same ones as before: in iptables and userspace mode the first rule wins, in nftables and ipvs mode the last one".to_owned());
        }
        let twice = self.service().is_some_and(|service| {
            self.flow.target.ip.is_some_and(|ip| {
                let external = service.external_ips.iter().filter(|known| **known == ip).count();
                let balancer = service.ingress.iter().filter(|ingress| ingress.ip == Some(ip)).count();
                external + balancer + usize::from(service.cluster_ip.ips().contains(&ip)) > 1
            })
        });
        if before == after {
            return None;
        }
        if count > 1 {
            return Some("several Services claim this destination: in iptables and userspace mode the first rule wins, in nftables and ipvs mode the last one".to_owned());
        }
        twice.then(|| "the Service has this address twice (externalIPs, balancer, cluster IP): in iptables and userspace mode the first rule wins, in nftables and ipvs mode the last one".to_owned())
    }

    /// The address of an endpoint, or of what it is reached by, belongs to a Service too.
    fn endpoint_of_service(&self) -> Option<String> {
        let [before, after] = self.modes();
        let ends = self.shares().into_iter().flatten().filter_map(|share| share.endpoint);
        let is_vip = |ip: IpAddr| {
            self.states[1].services().values().find(|service| {
                service.cluster_ip.ips().contains(&ip)
                    || service.external_ips.contains(&ip)
                    || service.ingress.iter().any(|ingress| ingress.ip == Some(ip))
            })
        };
        let (end, service) = ends.filter_map(|end| Some((end, is_vip(end.ip())?))).next()?;
        (before != after && self.verdicts_differ()).then(|| {
            format!(
                "the endpoint {end} has an address of Service {}, so that the packet meets rules for that address too: nftables mode refuses ports of a cluster IP that no Service has, ipvs mode takes the address for one of the node's",
                service.meta.key
            )
        })
    }

    /// `loadBalancerSourceRanges`.
    fn firewall(&self) -> Option<String> {
        let service = self.service()?;
        let family = self.flow.target.family;
        let ours = service.source_ranges.iter().filter(|range| IpFamily::of(range.addr()) == family);
        let guarded = service.vips().any(|ip| Some(ip) == self.flow.target.ip) && ours.count() > 0;
        let [before, after] = self.modes();
        let differs = self.verdicts_differ() || self.masquerade() != [None, None];
        if !(guarded && differs && before != after) {
            return None;
        }
        let of_mode = |mode: ProxyMode| match mode {
            ProxyMode::Iptables => {
                "iptables mode enforces loadBalancerSourceRanges by not translating (so a Service without endpoints refuses, and an external IP of the same address goes around them)"
            }
            ProxyMode::Nftables => {
                "nftables mode drops what is outside loadBalancerSourceRanges before anything else"
            }
            ProxyMode::Ipvs => {
                "ipvs mode drops what is outside loadBalancerSourceRanges in INPUT; the node itself has the address as its source there"
            }
            ProxyMode::Userspace => "userspace mode does not enforce loadBalancerSourceRanges",
        };
        Some(format!("{}; {}", of_mode(before), of_mode(after)))
    }

    /// Other endpoints from the same objects.
    fn endpoints(&self) -> Option<String> {
        let ends = |shares: &[Share]| {
            let mut ends: Vec<_> = shares.iter().filter_map(|share| share.endpoint).collect();
            ends.sort_unstable();
            ends.dedup();
            ends
        };
        let [before, after] = self.shares().map(ends);
        if before == after || self.modes()[0] == self.modes()[1] {
            return self.detector_policy(before != after);
        }
        if self.has(ProxyMode::Userspace) {
            return Some("userspace mode takes the ready addresses of the Endpoints object, on all nodes: no traffic policies, hints or terminating endpoints, and only what that object has".to_owned());
        }
        let service = self.service()?;
        let internal = self.flow.target.kind == TargetKind::ClusterIp;
        let local = if internal { service.internal_policy } else { service.external_policy };
        let name = if internal { "internalTrafficPolicy" } else { "externalTrafficPolicy" };
        (self.has(ProxyMode::Ipvs) && !local.is_cluster()).then(|| {
            format!("{name} is Local: ipvs mode sends everyone to the node's own endpoints, and to all of them if it has none; the other modes send pods and the node itself to all endpoints of external addresses, and drop if there is no local one")
        })
    }

    /// Who is of the cluster decides about externalTrafficPolicy Local, too.
    fn detector_policy(&self, differs: bool) -> Option<String> {
        let [before, after] = &self.contexts;
        (differs && before.detector != after.detector).then(|| {
            "another detectLocalMode or clusterCIDR: who counts as a pod of the node is sent to all endpoints under externalTrafficPolicy Local".to_owned()
        })
    }

    /// No endpoint, and other words for that.
    fn refusal(&self) -> Option<String> {
        let [before, after] = self.modes();
        let kinds = [TargetKind::UnusedPort, TargetKind::HealthCheck, TargetKind::LocalhostNodePort];
        if before == after || !self.verdicts_differ() || kinds.contains(&self.flow.target.kind) {
            return None;
        }
        let nobody = |shares: &[Share]| shares.iter().all(|share| share.verdict != Verdict::Deliver);
        if ![self.shares()[0], self.shares()[1]].into_iter().any(nobody) {
            return None;
        }
        if self.has(ProxyMode::Userspace) {
            return Some("where there is no endpoint, userspace mode takes the connection and closes it, and loses datagrams; the other modes refuse or drop by a rule".to_owned());
        }
        let service = self.service()?;
        let outside = self.flow.target.kind != TargetKind::ClusterIp;
        let local = if outside { service.external_policy } else { service.internal_policy };
        if !local.is_cluster() {
            return Some("policy Local without an endpoint on the node: iptables and nftables mode drop; ipvs mode takes other endpoints, and refuses if there are none".to_owned());
        }
        (outside && self.has(ProxyMode::Iptables) && self.class.origin == Origin::Node).then(|| {
            "iptables mode has no rule against packets of the node itself for external addresses without endpoints: they leave as they are; the other modes refuse them".to_owned()
        })
    }

    /// Whether all that is delivered is masqueraded, before and after: `None` if nothing, or not the same for all.
    fn masquerade(&self) -> [Option<bool>; 2] {
        let marked = |share: &Share| (share.verdict == Verdict::Deliver).then_some(share.masquerade);
        let of = |shares: &[Share]| shares.iter().filter_map(marked).collect::<Vec<bool>>();
        let [before, after] = self.shares().map(of);
        if before == after { [None, None] } else { [before.first().copied(), after.first().copied()] }
    }

    /// Another source address.
    fn source(&self) -> Option<String> {
        let sorted = |shares: &[Share]| {
            let mut all: Vec<_> =
                shares.iter().filter_map(|share| Some((share.endpoint?, share.masquerade))).collect();
            all.sort_unstable();
            all
        };
        let [old, new] = self.shares().map(sorted);
        let differs =
            old.iter().any(|(end, masked)| new.iter().any(|(other, now)| end == other && masked != now));
        if !differs {
            return None;
        }
        let [before, after] = &self.contexts;
        if self.is_between(ProxyMode::Userspace) {
            return Some("in userspace mode the kube-proxy process opens the connection to the endpoint, so its source is always the node".to_owned());
        }
        if before.masquerade_all() != after.masquerade_all() {
            return Some(format!(
                "masqueradeAll is {} before and {} after (iptables.masqueradeAll is not what nftables mode reads)",
                on(before.masquerade_all()),
                on(after.masquerade_all())
            ));
        }
        if before.detector != after.detector {
            return Some("another detectLocalMode or clusterCIDR: other sources count as pods of the node, which are not masqueraded".to_owned());
        }
        if self.is_between(ProxyMode::Ipvs) {
            return Some(self.ipvs_source());
        }
        if self.is_between(ProxyMode::Nftables) {
            return Some("an endpoint that reaches itself: nftables mode masquerades endpoints of this node only, iptables mode every endpoint".to_owned());
        }
        None
    }

    fn ipvs_source(&self) -> String {
        let itself = |share: &Share| share.endpoint.is_some_and(|to| to.ip() == self.class.example);
        let text = match self.class.origin {
            Origin::Node if self.class.example.is_loopback() => {
                "ipvs mode leaves packets from loopback addresses as they are (KUBE-SERVICES returns)"
            }
            Origin::Node if self.contexts[1].detector.is_none() => {
                "the node's own packets have the Service's address as their source in ipvs mode, by which it knows them where no local-traffic detector is set"
            }
            Origin::Node => {
                "ipvs mode masquerades the node's own packets by the address that they are for, not where they come from: under policy Local it leaves them as they are"
            }
            _ if self.shares().into_iter().flatten().any(itself) => {
                "an endpoint that reaches itself: ipvs mode masquerades endpoints of this node only, by a set (KUBE-LOOP-BACK), and what IPVS delivers to the node itself not at all"
            }
            _ => {
                "ipvs mode marks by sets of addresses and ports, and what it delivers to the node itself is not masqueraded"
            }
        };
        text.to_owned()
    }

    /// How one of the endpoints is chosen.
    fn choice(&self) -> Option<String> {
        let condition = |shares: &[Share]| shares.iter().find_map(|share| share.condition.clone());
        let [old, new] = self.shares().map(condition);
        if old == new {
            return None;
        }
        let [before, after] = &self.contexts;
        let how = |context: &NodeContext| match context.mode {
            ProxyMode::Iptables | ProxyMode::Nftables => {
                format!("{} mode chooses endpoints at random", context.mode)
            }
            ProxyMode::Ipvs => {
                let scheduler = &*context.settings.ipvs_scheduler;
                format!(
                    "ipvs mode chooses by its scheduler, {}",
                    if scheduler.is_empty() { "rr" } else { scheduler }
                )
            }
            ProxyMode::Userspace => "userspace mode gives connections out in turn".to_owned(),
        };
        let mut text = format!("{}; {}", how(before), how(after));
        if self.service().is_some_and(|service| service.affinity_seconds.is_some())
            && before.mode != after.mode
        {
            text.push_str("; what is known of clients for session affinity is not carried over (ipvs mode keeps it by address, the others by port of the Service)");
        }
        (how(before) != how(after) || before.mode != after.mode).then_some(text)
    }
}

fn on(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

/// The fields of a Service that decide about traffic and are others.
fn fields(old: &Service, new: &Service) -> Vec<&'static str> {
    let rows = [
        ("type", old.service_type != new.service_type),
        ("clusterIPs", old.cluster_ip != new.cluster_ip || old.ip_families != new.ip_families),
        ("ports", old.ports != new.ports),
        ("externalIPs", old.external_ips != new.external_ips),
        ("status.loadBalancer", old.ingress != new.ingress),
        ("loadBalancerSourceRanges", old.source_ranges != new.source_ranges),
        ("sessionAffinity", old.affinity_seconds != new.affinity_seconds),
        ("externalTrafficPolicy", old.external_policy != new.external_policy),
        ("internalTrafficPolicy", old.internal_policy != new.internal_policy),
        ("healthCheckNodePort", old.health_check_node_port != new.health_check_node_port),
        ("metadata.labels", old.meta.labels != new.meta.labels),
    ];
    rows.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
