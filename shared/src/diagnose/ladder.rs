//! The endpoint ladder: why traffic for a Service reaches, or does not reach, one pod from one node. Each rung passes, fails
//! or is unknown, with the fields it rests on and a command that verifies it; the first that fails names the trouble.
//!
//! The last rung is asked of the rules themselves (`proxy`), not of the objects, so the two can disagree in the open.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::facts::labels_text;
use super::finding::Evidence;
use super::shell;
use crate::model::{
    ClusterState, Endpoint, EndpointPort, EndpointSlice, IpFamily, Key, Keyed, Node, ObjectRef, Pod,
    ProxyMode, SERVICE_NAME_LABEL, Service, ServicePort, ServiceType, TargetPort, Text,
};
use crate::proxy::{self, Backend, Categories, Hinted, PortView, Scope, Via, backends, categorize, shares};

/// From which Service, over which node, to which pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub service: Key,
    /// The port's name, or its number; the Service's first port if `None`.
    pub port: Option<Text>,
    pub pod: Key,
    /// The node whose rules the traffic meets: the client's own, or the one it comes in by.
    pub node: Text,
    /// Whether the traffic comes from inside, to the cluster IP, or from outside.
    pub via: Via,
    /// The node's own mode if `None`.
    pub mode: Option<ProxyMode>,
}

/// The rungs, from the bottom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    ServiceExists,
    SelectorMatches,
    PortResolves,
    InSlice,
    Ready,
    TrafficPolicy,
    TopologyHint,
    Affinity,
    RuleOnNode,
}

impl Step {
    pub const ALL: [Step; 9] = [
        Step::ServiceExists,
        Step::SelectorMatches,
        Step::PortResolves,
        Step::InSlice,
        Step::Ready,
        Step::TrafficPolicy,
        Step::TopologyHint,
        Step::Affinity,
        Step::RuleOnNode,
    ];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Step::ServiceExists => "Service exists",
            Step::SelectorMatches => "Selector matches the pod",
            Step::PortResolves => "Port resolves on the pod",
            Step::InSlice => "Pod is in a slice",
            Step::Ready => "Endpoint is ready, or serves while it terminates",
            Step::TrafficPolicy => "Traffic policy allows it from this node",
            Step::TopologyHint => "Topology hints allow it from this node",
            Step::Affinity => "Session affinity leaves the choice open",
            Step::RuleOnNode => "A rule on this node leads to it",
        }
    }
}

/// What became of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    Fail,
    /// The objects do not tell; or a rung below must hold first.
    Unknown,
}

/// One rung.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub step: Step,
    pub verdict: Verdict,
    /// Why, in words.
    pub says: String,
    pub evidence: Vec<Evidence>,
    /// A command that shows the same on the cluster.
    pub verify: String,
}

/// All nine rungs, from the bottom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// The lowest rung that fails.
    pub fn first_failure(&self) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.verdict == Verdict::Fail)
    }
}

/// Climbs the ladder. Objects that are not there are failures, not errors.
pub fn ladder(state: &ClusterState, question: &Question) -> Ladder {
    let verify = Verify { question };
    let service = state.services().get(&question.service);
    let port = service.and_then(|service| chosen_port(service, question.port.as_deref()));
    let mut rungs = vec![service_exists(&verify, service, port)];
    let pod = state.pods().get(&question.pod);
    let (Some(service), Verdict::Pass) = (service, rungs[0].verdict) else {
        return Ladder { rungs: padded(rungs, &verify, "there is no Service port to judge by") };
    };
    let Some(pod) = pod else {
        rungs.push(no_pod(&verify, question));
        return Ladder { rungs: padded(rungs, &verify, "the pod is not there") };
    };
    let climb = Climb { state, question, service, port, pod, verify };
    rungs.push(climb.selector_matches());
    rungs.push(climb.port_resolves());
    let found = climb.endpoint();
    rungs.push(climb.in_slice(found));
    match (found, state.node(&question.node), port) {
        (Some((_, endpoint)), Some(node), Some(port)) if service.is_proxied() => {
            let backends = backends(state, service, port, climb.family());
            let view = PortView::of(service, port, climb.family());
            let categories = categorize(&backends, view, node);
            let standing = Standing { backends: &backends, view, categories: &categories };
            rungs.push(climb.ready(endpoint, &standing));
            rungs.push(climb.traffic_policy(&standing));
            rungs.push(climb.topology_hint(endpoint, &standing));
            rungs.push(climb.affinity(&standing));
            rungs.push(climb.rule_on_node(node));
        }
        (Some((_, endpoint)), ..) if !service.is_proxied() => {
            rungs.push(climb.published(endpoint));
            rungs = padded(
                rungs,
                &climb.verify,
                "kube-proxy has no part in it: clients find the endpoint by DNS",
            );
        }
        (Some(_), ..) => {
            let why = format!("Node {} is not there", question.node);
            rungs = padded(rungs, &climb.verify, &why);
            if let Some(last) = rungs.last_mut() {
                last.verdict = Verdict::Fail;
            }
        }
        (None, ..) => rungs = padded(rungs, &climb.verify, "the pod is in no slice"),
    }
    Ladder { rungs }
}

/// Fills up with rungs that nobody can judge.
fn padded(mut rungs: Vec<Rung>, verify: &Verify<'_>, why: &str) -> Vec<Rung> {
    for step in Step::ALL.into_iter().skip(rungs.len()) {
        rungs.push(verify.rung(step, Verdict::Unknown, why));
    }
    rungs
}

fn chosen_port<'a>(service: &'a Service, wanted: Option<&str>) -> Option<&'a ServicePort> {
    let fits = |port: &&ServicePort| {
        wanted.is_none_or(|wanted| &*port.name == wanted || port.port.to_string() == wanted)
    };
    service.ports.iter().find(fits)
}

fn service_exists(verify: &Verify<'_>, service: Option<&Arc<Service>>, port: Option<&ServicePort>) -> Rung {
    let step = Step::ServiceExists;
    let Some(service) = service else {
        return verify.rung(step, Verdict::Fail, format!("Service {} is not there", verify.question.service));
    };
    let object = service.object_ref();
    if service.service_type == ServiceType::ExternalName {
        let name = service.external_name.as_deref().unwrap_or_default();
        let rung = verify.rung(step, Verdict::Fail, "an ExternalName is only a CNAME: it has no endpoints");
        return rung.with(&object, "spec.externalName", name);
    }
    if service.is_headless() && service.ports.is_empty() && verify.question.port.is_none() {
        let says = "it is headless, without ports: clients find its endpoints by DNS, and choose a port";
        return verify.rung(step, Verdict::Pass, says).with(&object, "spec.clusterIP", "None");
    }
    let Some(port) = port else {
        let ports = service.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ");
        let wanted = verify.question.port.as_deref().unwrap_or("any");
        let says = format!("the Service is there, but it has no port {wanted}");
        return verify.rung(step, Verdict::Fail, says).with(&object, "spec.ports", ports);
    };
    let says = if service.is_headless() {
        "it is headless: clients find its endpoints by DNS".to_owned()
    } else if service.cluster_ip.ips().is_empty() {
        return verify.rung(step, Verdict::Fail, "it has no cluster IP yet").with(
            &object,
            "spec.clusterIP",
            "(empty)",
        );
    } else {
        let ips = service.cluster_ip.ips().iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("{} port {}/{}", ips.join(", "), port.port, port.protocol)
    };
    verify.rung(step, Verdict::Pass, says).with(&object, "spec.type", service.service_type)
}

fn no_pod(verify: &Verify<'_>, question: &Question) -> Rung {
    verify.rung(Step::SelectorMatches, Verdict::Fail, format!("Pod {} is not there", question.pod))
}

impl Rung {
    fn with(mut self, object: &ObjectRef, field: impl Into<Text>, value: impl ToString) -> Rung {
        let value = value.to_string().into();
        self.evidence.push(Evidence { object: object.clone(), field: field.into(), value });
        self
    }
}

/// The commands.
#[derive(Clone, Copy)]
struct Verify<'a> {
    question: &'a Question,
}

impl Verify<'_> {
    fn rung(&self, step: Step, verdict: Verdict, says: impl Into<String>) -> Rung {
        Rung { step, verdict, says: says.into(), evidence: Vec::new(), verify: self.command(step) }
    }

    fn command(&self, step: Step) -> String {
        let (service, pod) = (&self.question.service, &self.question.pod);
        let of_service = ["kubectl", "-n", &service.namespace, "get", "service", &service.name];
        let of_pod = ["kubectl", "-n", &pod.namespace, "get", "pod", &pod.name];
        let label = format!("{SERVICE_NAME_LABEL}={}", service.name);
        let of_slices =
            ["kubectl", "-n", &service.namespace, "get", "endpointslices", "-l", &label, "-o", "yaml"];
        let words: Vec<&str> = match step {
            Step::ServiceExists => [&of_service[..], &["-o", "wide"]].concat(),
            Step::SelectorMatches => [&of_pod[..], &["--show-labels"]].concat(),
            Step::PortResolves => [&of_pod[..], &["-o", "jsonpath={.spec.containers[*].ports}"]].concat(),
            Step::InSlice | Step::Ready | Step::TopologyHint => of_slices.to_vec(),
            Step::TrafficPolicy => [
                &of_service[..],
                &["-o", "jsonpath={.spec.internalTrafficPolicy} {.spec.externalTrafficPolicy}"],
            ]
            .concat(),
            Step::Affinity => {
                [&of_service[..], &["-o", "jsonpath={.spec.sessionAffinity} {.spec.sessionAffinityConfig}"]]
                    .concat()
            }
            Step::RuleOnNode => {
                return self
                    .on_node("(iptables-save; nft list table ip kube-proxy; ipvsadm -Ln) 2>/dev/null");
            }
        };
        shell::command(&words)
    }

    /// A shell on the node.
    fn on_node(&self, script: &str) -> String {
        let node = format!("node/{}", self.question.node);
        shell::command(&[
            "kubectl",
            "debug",
            &node,
            "-it",
            "--image=busybox",
            "--profile=sysadmin",
            "--",
            "chroot",
            "/host",
            "sh",
            "-c",
            script,
        ])
    }
}

/// The endpoints of the port as the node sees them.
struct Standing<'a> {
    backends: &'a [Backend],
    view: PortView,
    categories: &'a Categories,
}

/// Everything that the upper rungs look at.
struct Climb<'a> {
    state: &'a ClusterState,
    question: &'a Question,
    service: &'a Arc<Service>,
    /// `None`: a headless Service without ports.
    port: Option<&'a ServicePort>,
    pod: &'a Arc<Pod>,
    verify: Verify<'a>,
}

impl<'a> Climb<'a> {
    /// The Service's primary family; for a headless one the first of its families that the pod has, or else the pod's.
    fn family(&self) -> IpFamily {
        let vip = self.service.cluster_ip.ips().first().copied().map(IpFamily::of);
        let of_pod = || self.pod.ips.iter().copied().map(IpFamily::of);
        let families = &self.service.ip_families;
        let shared = || families.iter().copied().find(|family| of_pod().any(|own| own == *family));
        let any = || of_pod().next().or_else(|| families.first().copied());
        vip.or_else(shared).or_else(any).unwrap_or(IpFamily::IPv4)
    }

    fn pod_ip(&self) -> Option<IpAddr> {
        let family = self.family();
        self.pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family)
    }

    fn selector_matches(&self) -> Rung {
        let step = Step::SelectorMatches;
        let (service, pod) = (self.service.object_ref(), self.pod.object_ref());
        let labels = labels_text(&self.pod.meta.labels);
        let Some(selector) = &self.service.selector else {
            let says = "no selector: whoever keeps the slices decides";
            return self.verify.rung(step, Verdict::Unknown, says).with(
                &service,
                "spec.selector",
                "(absent)",
            );
        };
        let other = self.service.namespace() != self.pod.namespace();
        let missing: Vec<String> = selector
            .iter()
            .filter(|(key, value)| self.pod.meta.labels.get(key) != Some(*value))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let (verdict, says) = if other {
            (Verdict::Fail, "the pod is in another namespace".to_owned())
        } else if missing.is_empty() {
            (Verdict::Pass, format!("the pod has {}", labels_text(selector)))
        } else {
            (Verdict::Fail, format!("the pod lacks {}", missing.join(",")))
        };
        let rung = self.verify.rung(step, verdict, says);
        rung.with(&service, "spec.selector", labels_text(selector)).with(&pod, "metadata.labels", labels)
    }

    fn target(&self) -> Option<NonZeroU16> {
        let port = self.port?;
        match &port.target_port {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => self.pod.named_port(name, port.protocol),
        }
    }

    fn port_resolves(&self) -> Rung {
        let step = Step::PortResolves;
        let Some(port) = self.port else {
            let says = "the Service names no port: any port of the pod will do";
            let rung = self.verify.rung(step, Verdict::Pass, says);
            return rung.with(&self.service.object_ref(), "spec.ports", "(none)");
        };
        let (target, protocol) = (&port.target_port, port.protocol);
        let (verdict, says) = match (self.target(), self.service.selector.is_some()) {
            (_, false) => (Verdict::Unknown, "no selector: the slice says which port".to_owned()),
            (Some(number), true) => (Verdict::Pass, format!("{target} is {number}/{protocol} on the pod")),
            (None, true) => (Verdict::Fail, format!("no container has a {protocol} port named {target}")),
        };
        let ports = self.pod.containers.iter().flat_map(|container| &container.ports);
        let ports: Vec<String> =
            ports.map(|port| format!("{} {}/{}", port.name, port.port, port.protocol)).collect();
        let rung = self.verify.rung(step, verdict, says);
        rung.with(&self.service.object_ref(), "spec.ports[].targetPort", target).with(
            &self.pod.object_ref(),
            "spec.containers[].ports",
            if ports.is_empty() { "(none)".to_owned() } else { ports.join(", ") },
        )
    }

    /// The slice and endpoint that stand for the pod, in the family that counts; one with the port is preferred, then one that
    /// does not terminate. Pods in their node's network share its address, so who is named counts before the address.
    fn endpoint(&self) -> Option<(&'a Arc<EndpointSlice>, &'a Endpoint)> {
        let ip = self.pod_ip();
        let is_pods = |endpoint: &Endpoint| {
            let target = endpoint.target.as_ref().and_then(|target| target.pod());
            let address = endpoint.addresses.first().and_then(|address| address.ip());
            let of_other = target.is_some_and(|pod| pod != self.pod.key() && self.state.pods().contains(pod));
            target == Some(self.pod.key()) || (!of_other && ip.is_some() && address == ip)
        };
        let family = self.family();
        let slices = self.state.slices_of(self.service.key());
        let slices = slices.filter(move |slice| slice.address_type.family() == Some(family));
        let all = slices.flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)));
        let all = all.filter(|(_, endpoint)| is_pods(endpoint));
        all.max_by_key(|(slice, endpoint)| (self.has_port(slice), !endpoint.conditions.is_terminating()))
    }

    fn has_port(&self, slice: &EndpointSlice) -> bool {
        self.port.is_none() || self.port_in(slice).is_some()
    }

    fn port_in(&self, slice: &EndpointSlice) -> Option<NonZeroU16> {
        let wanted = self.port?;
        let same = |port: &&EndpointPort| port.name == wanted.name && port.protocol == wanted.protocol;
        slice.ports.iter().filter(same).find_map(|port| port.port)
    }

    fn in_slice(&self, found: Option<(&Arc<EndpointSlice>, &Endpoint)>) -> Rung {
        let step = Step::InSlice;
        let Some((slice, endpoint)) = found else {
            let says = self.why_unlisted();
            let rung = self.verify.rung(step, Verdict::Fail, says);
            return rung.with(&self.pod.object_ref(), "status.phase", self.pod.phase.as_str());
        };
        let address = endpoint.addresses.first().map(ToString::to_string).unwrap_or_default();
        let object = slice.object_ref();
        let (verdict, says) = match self.port {
            None => (Verdict::Pass, format!("slice {} lists {address}", slice.name())),
            Some(_) if self.has_port(slice) => {
                (Verdict::Pass, format!("slice {} lists {address} with the port", slice.name()))
            }
            Some(ServicePort { name, protocol, .. }) => {
                let says = format!(
                    "slice {} lists {address}, but without the port {name:?}/{protocol}",
                    slice.name()
                );
                (Verdict::Fail, says)
            }
        };
        let ports: Vec<String> = slice
            .ports
            .iter()
            .map(|port| format!("{:?} {}/{}", &*port.name, port.port.map_or(0, u16::from), port.protocol))
            .collect();
        let rung = self.verify.rung(step, verdict, says).with(&object, "endpoints[].addresses", address);
        rung.with(&object, "ports", if ports.is_empty() { "(none)".to_owned() } else { ports.join(", ") })
    }

    fn why_unlisted(&self) -> String {
        let pod = self.pod;
        if pod.phase.is_final() {
            format!("no slice lists it: it has {}", pod.phase.as_str().to_lowercase())
        } else if pod.ips.is_empty() {
            "no slice lists it: it has no address yet".to_owned()
        } else if self.pod_ip().is_none() {
            format!("no slice lists it: it has no {} address", self.family())
        } else if pod.node.as_ref().is_none_or(|node| self.state.node(node).is_none()) {
            "no slice lists it: its node is not there".to_owned()
        } else {
            "no slice of the Service lists it".to_owned()
        }
    }

    fn conditions(&self, rung: Rung, endpoint: &Endpoint) -> Rung {
        let conditions = endpoint.conditions;
        let text = format!(
            "ready={} serving={} terminating={}",
            conditions.is_ready(),
            conditions.is_serving(),
            conditions.is_terminating()
        );
        let rung = rung.with(&self.service.object_ref(), "endpoints[].conditions", text);
        match &self.pod.unready_reason {
            Some(reason) => rung.with(&self.pod.object_ref(), "status.conditions[Ready]", reason),
            None => rung,
        }
    }

    fn ready(&self, endpoint: &Endpoint, standing: &Standing<'_>) -> Rung {
        let conditions = endpoint.conditions;
        // Under policy Local each node counts its own endpoints only.
        let local = standing.view.is_local(self.question.via);
        let competes = |backend: &Backend| !local || backend.node == endpoint.node;
        let others_ready = standing.backends.iter().any(|backend| backend.ready && competes(backend));
        let dying = conditions.is_serving() && conditions.is_terminating();
        let (verdict, says) = match (conditions.is_ready(), dying) {
            (true, _) => (Verdict::Pass, "ready"),
            (false, true) if !others_ready => {
                (Verdict::Pass, "terminating, but it still serves, and no other is ready")
            }
            (false, true) => (Verdict::Fail, "terminating, and others are ready"),
            (false, false) if conditions.is_terminating() => {
                (Verdict::Fail, "terminating, and it no longer serves")
            }
            (false, false) => (Verdict::Fail, "not ready"),
        };
        self.conditions(self.verify.rung(Step::Ready, verdict, says), endpoint)
    }

    /// For a Service without a part of kube-proxy: whether DNS publishes the endpoint.
    fn published(&self, endpoint: &Endpoint) -> Rung {
        let (verdict, says) = if endpoint.conditions.is_ready() {
            (Verdict::Pass, "ready: DNS publishes it")
        } else {
            (Verdict::Fail, "not ready: DNS does not publish it")
        };
        self.conditions(self.verify.rung(Step::Ready, verdict, says), endpoint)
    }

    fn traffic_policy(&self, standing: &Standing<'_>) -> Rung {
        let step = Step::TrafficPolicy;
        let (field, policy) = match self.question.via {
            Via::ClusterIp => ("spec.internalTrafficPolicy", self.service.internal_policy),
            Via::External => ("spec.externalTrafficPolicy", self.service.external_policy),
        };
        let own = self.pod.node.as_deref().unwrap_or("(none)");
        let here = own == &*self.question.node;
        let (verdict, says) = if self.question.via == Via::External && !standing.view.external {
            (
                Verdict::Fail,
                "the port has neither a node port nor an address for traffic from outside".to_owned(),
            )
        } else if !standing.view.is_local(self.question.via) {
            (Verdict::Pass, "policy Cluster: endpoints of all nodes count".to_owned())
        } else if here {
            (Verdict::Pass, format!("policy Local, and the pod is on {own}"))
        } else {
            (Verdict::Fail, format!("policy Local, and the pod is on {own}, not on {}", self.question.node))
        };
        let rung = self.verify.rung(step, verdict, says);
        rung.with(&self.service.object_ref(), field, policy.as_str()).with(
            &self.pod.object_ref(),
            "spec.nodeName",
            own,
        )
    }

    fn topology_hint(&self, endpoint: &Endpoint, standing: &Standing<'_>) -> Rung {
        let step = Step::TopologyHint;
        let node = self.state.node(&self.question.node);
        let zone = node.and_then(|node| node.zone());
        let hinted = standing.categories.hinted;
        // Whatever its conditions, which are another rung.
        let chosen = match hinted {
            Some(Hinted::Node) => endpoint.node_hints.contains(&self.question.node),
            _ => zone.is_some_and(|zone| endpoint.zone_hints.contains(zone)),
        };
        let (verdict, says) = if standing.view.is_local(self.question.via) {
            (Verdict::Pass, "hints do not apply to policy Local")
        } else if hinted.is_none() {
            (Verdict::Pass, "no hints are in force on this node")
        } else if chosen {
            (Verdict::Pass, "hinted for this node or its zone")
        } else {
            (Verdict::Fail, "hints keep this node's traffic with other endpoints")
        };
        let hints: Vec<&str> =
            endpoint.zone_hints.iter().chain(&endpoint.node_hints).map(|hint| &**hint).collect();
        let hints = if hints.is_empty() { "(none)".to_owned() } else { hints.join(", ") };
        let rung = self.verify.rung(step, verdict, says).with(
            &self.service.object_ref(),
            "endpoints[].hints",
            hints,
        );
        match (zone, node) {
            (Some(zone), Some(node)) => {
                rung.with(&node.object_ref(), "metadata.labels.topology.kubernetes.io/zone", zone)
            }
            _ => rung,
        }
    }

    fn affinity(&self, standing: &Standing<'_>) -> Rung {
        let share = shares(standing.categories, standing.view, self.question.via);
        let (verdict, says) = match (self.service.affinity_seconds, share.chosen.len()) {
            (None, _) => (Verdict::Pass, "no affinity: every connection is a new choice".to_owned()),
            (Some(_), 1) => (Verdict::Pass, "affinity, but there is only one endpoint to choose".to_owned()),
            (Some(seconds), _) => {
                let says = format!(
                    "a client that this node has seen in the last {seconds} s stays with its endpoint; who that is stands in the kernel only"
                );
                (Verdict::Unknown, says)
            }
        };
        let value = self
            .service
            .affinity_seconds
            .map_or_else(|| "None".to_owned(), |seconds| format!("ClientIP, {seconds} s"));
        self.verify.rung(Step::Affinity, verdict, says).with(
            &self.service.object_ref(),
            "spec.sessionAffinity",
            value,
        )
    }

    fn rule_on_node(&self, node: &Arc<Node>) -> Rung {
        let step = Step::RuleOnNode;
        let mode = self.question.mode.unwrap_or_else(|| self.state.proxy_settings(&self.question.node).mode);
        let family = self.family();
        let object = node.object_ref();
        let (Some(ip), Some(number)) = (self.pod_ip(), self.slice_port()) else {
            let says = "no slice gives it an address and this port, so no rule leads to it";
            return self.verify.rung(step, Verdict::Fail, says).with(&object, "mode", mode);
        };
        if mode == ProxyMode::Userspace {
            let says = "in mode userspace the process, not a rule, chooses the endpoint";
            return self.verify.rung(step, Verdict::Unknown, says).with(&object, "mode", mode);
        }
        let rules = proxy::generate_for(self.state, node, family, mode, Scope::Service(self.service.key()));
        let line = destination_line(&rules, ip, number);
        let socket = std::net::SocketAddr::new(ip, number.get());
        let (verdict, says) = match &line {
            Some((part, _)) => (Verdict::Pass, format!("mode {mode}: {part} sends to {socket}")),
            None => {
                (Verdict::Fail, format!("mode {mode}: no rule on {} sends to {socket}", self.question.node))
            }
        };
        let mut rung = self.verify.rung(step, verdict, says).with(&object, "mode", mode);
        if let Some((part, line)) = line {
            rung = rung.with(&object, part, line);
        }
        rung.verify = self.verify.on_node(&self.rule_script(mode, &socket.to_string()));
        rung
    }

    fn rule_script(&self, mode: ProxyMode, socket: &str) -> String {
        let six = self.family() == IpFamily::IPv6;
        let list = match mode {
            ProxyMode::Nftables if six => "nft list table ip6 kube-proxy",
            ProxyMode::Nftables => "nft list table ip kube-proxy",
            ProxyMode::Ipvs => "ipvsadm -Ln",
            _ if six => "ip6tables-save -t nat",
            _ => "iptables-save -t nat",
        };
        // nft writes the address and the port of a chain's name and of a rule in more than one way.
        let sought = if mode == ProxyMode::Nftables {
            socket.rsplit_once(':').map_or(socket, |(ip, _)| ip.trim_matches(['[', ']']))
        } else {
            socket
        };
        format!("{list} | grep -F {}", shell::command(&[sought]))
    }

    /// The port as the slice has it.
    fn slice_port(&self) -> Option<NonZeroU16> {
        let (slice, _) = self.endpoint()?;
        self.port_in(slice)
    }
}

/// The first line that sends packets to the endpoint, with the part of the rules that it stands in.
fn destination_line(rules: &proxy::Rules, ip: IpAddr, port: NonZeroU16) -> Option<(String, String)> {
    let socket = std::net::SocketAddr::new(ip, port.get()).to_string();
    let spaced = format!("{ip} . {port}");
    let sends = |line: &str| {
        let destination = line.contains("DNAT") || line.contains("dnat") || line.starts_with("-> ");
        destination && (has_word(line, &socket) || has_word(line, &spaced))
    };
    let parts = rules.parts();
    parts.into_iter().find_map(|(part, lines)| {
        let line = lines.into_iter().find(|line| sends(line))?;
        Some((part, line))
    })
}

/// `word` stands in `text`, not as a part of a longer number.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}
