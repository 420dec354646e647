//! A trace in words and as JSON: what people, scripts and the dashboard read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Predictor;
use crate::model::{ClusterState, IpFamily, Key, Protocol, ProxyMode, Text, key_text};
use crate::netfilter::iptables::TableName;
use crate::netfilter::nft::{Hook, Key as MapKey};
use crate::proxy::ports::PortInfo;
use crate::proxy::reading::{self, LineId};
use crate::trace::{
    Conditions, Effect, ElementRef, Fraction, Origin, Outcome, Packet, Place, RuleRef, Step, Trace, Verdict,
};

/// What an answer rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Rules that the engine made from the objects.
    Predicted,
    /// Rules read from the node.
    Observed,
}

/// What can happen to one packet on one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub node: Text,
    pub mode: ProxyMode,
    pub family: IpFamily,
    pub basis: Basis,
    pub packet: PacketView,
    /// The Service port that the destination belongs to, as `namespace/service[:port]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The same as a key and a port's name, if the answer was not read from JSON.
    #[serde(skip)]
    pub claim: Option<Claim>,
    pub outcomes: Vec<OutcomeView>,
    /// In what the node's own rules do otherwise than the predicted ones, in words; empty if they do the same, and if the
    /// answer is a prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub service: Key,
    /// Empty if the port has no name.
    pub port_name: Text,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketView {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    #[serde(with = "lower_protocol")]
    pub protocol: Protocol,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeView {
    pub probability: f64,
    /// The same, exactly: numerator, denominator.
    pub fraction: [u64; 2],
    pub verdict: Verdict,
    /// Where the packet goes in the end.
    pub destination: SocketAddr,
    /// The pod behind the destination, as `namespace/name`, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_text::option")]
    pub pod: Option<Key>,
    pub masquerade: bool,
    /// State outside the rules on which it depends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    pub reason: String,
    pub steps: Vec<StepView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    pub hook: String,
    /// Empty, like chain and rule, for what IPVS or the proxy process does.
    pub table: String,
    pub chain: String,
    /// As the rule's tool writes it; empty for the end of a chain.
    pub rule: String,
    /// The element of nft's map that decided, as its tool writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    pub effect: String,
    /// What the rule asks of a packet, in words; empty if it takes every one, or if the step was read from JSON.
    #[serde(skip)]
    pub matched: String,
    /// What it did; `None` if the step was read from JSON.
    #[serde(skip)]
    pub kind: Option<StepKind>,
}

/// What a step does, whatever chain or address it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// On to another chain.
    Match,
    /// On to one of several chains.
    Choice,
    Return,
    Mark,
    Unmark,
    Dnat,
    /// IPVS sends it to a real server, or has none.
    Ipvs,
    Redirect,
    /// The proxy process connects to an endpoint, or has none.
    Proxy,
    Masquerade,
    Accept,
    Drop,
    Reject,
    Pass,
    Unknown,
}

impl From<Effect> for StepKind {
    fn from(effect: Effect) -> StepKind {
        match effect {
            Effect::Jump(_) => StepKind::Match,
            Effect::Choose { .. } => StepKind::Choice,
            Effect::Return => StepKind::Return,
            Effect::Mark => StepKind::Mark,
            Effect::Unmark => StepKind::Unmark,
            Effect::Dnat { .. } => StepKind::Dnat,
            Effect::Schedule { .. } | Effect::NoRealServer => StepKind::Ipvs,
            Effect::Redirect(_) => StepKind::Redirect,
            Effect::Proxy { .. } | Effect::NoEndpoint => StepKind::Proxy,
            Effect::Masquerade => StepKind::Masquerade,
            Effect::Accept => StepKind::Accept,
            Effect::Drop | Effect::Martian | Effect::Loopback => StepKind::Drop,
            Effect::Reject => StepKind::Reject,
            Effect::Pass => StepKind::Pass,
            Effect::Unknown => StepKind::Unknown,
        }
    }
}

impl StepKind {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            StepKind::Match => "match",
            StepKind::Choice => "choice",
            StepKind::Return => "return",
            StepKind::Mark => "mark",
            StepKind::Unmark => "unmark",
            StepKind::Dnat => "DNAT",
            StepKind::Ipvs => "IPVS",
            StepKind::Redirect => "redirect",
            StepKind::Proxy => "proxy",
            StepKind::Masquerade => "masquerade",
            StepKind::Accept => "accept",
            StepKind::Drop => "drop",
            StepKind::Reject => "reject",
            StepKind::Pass => "pass",
            StepKind::Unknown => "unknown",
        }
    }
}

mod lower_protocol {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::model::Protocol;

    pub fn serialize<S: Serializer>(protocol: &Protocol, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(protocol.lower())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Protocol, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map_err(|()| D::Error::custom(format!("`{text}` is not tcp, udp or sctp")))
    }
}

impl Answer {
    /// In what this answer, of rules that a node has, is another than what was predicted.
    pub fn differences_from(&self, predicted: &Answer) -> Vec<String> {
        let mut words = Vec::new();
        if self.mode != predicted.mode {
            words.push(format!(
                "the node's rules are in mode {}, where mode {} is expected",
                self.mode, predicted.mode
            ));
        }
        let shares = |answer: &Answer| {
            let mut shares: BTreeMap<String, Option<Fraction>> = BTreeMap::new();
            for outcome in &answer.outcomes {
                let [numerator, denominator] = outcome.fraction;
                let share = shares.entry(outcome.end()).or_insert(Some(Fraction::ZERO));
                *share = share.and_then(|share| share.plus(Fraction::new(numerator, denominator)?));
            }
            shares
        };
        let (ours, theirs) = (shares(self), shares(predicted));
        for end in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (ours, theirs) = (ours.get(end), theirs.get(end));
            if ours == theirs {
                continue;
            }
            let text = |share: Option<&Option<Fraction>>| match share {
                None => "never".to_owned(),
                Some(Some(share)) => share.to_string(),
                Some(None) => "a share without an exact form".to_owned(),
            };
            words.push(format!("{end}: {} by the node's rules, {} as predicted", text(ours), text(theirs)));
        }
        words
    }
}

impl OutcomeView {
    /// What becomes of the packet, in a word.
    fn end(&self) -> String {
        match self.verdict {
            Verdict::Deliver => format!("sent to {}", self.destination),
            Verdict::Accept => "taken by the node".to_owned(),
            Verdict::Drop => "dropped".to_owned(),
            Verdict::Reject => "refused".to_owned(),
            Verdict::NoMatch => "not rewritten".to_owned(),
            Verdict::Unknown => "unknown".to_owned(),
        }
    }
}

impl Predictor {
    /// Follows the packet and says what came of it. The answer names the packet as it was asked for.
    pub fn answer(&self, state: &ClusterState, packet: &Packet) -> Answer {
        let mut trace = self.trace(packet);
        if self.stays_in_pod(packet) {
            trace = Trace::untouched(packet);
        }
        let claim = self.claim(packet.destination, packet.port, packet.protocol);
        let Packet { source, destination, port, protocol, origin } = *packet;
        Answer {
            node: self.context.node.meta.key.name.clone(),
            mode: self.context.mode,
            family: self.context.family,
            basis: self.basis,
            packet: PacketView { source, destination, port, protocol, origin },
            service: claim.map(|claim| claim.name.clone()),
            claim: claim.map(|claim| Claim {
                service: Key::new(claim.namespace.clone(), claim.service.clone()),
                port_name: claim.port_name.clone(),
                port: claim.port,
            }),
            outcomes: trace
                .outcomes
                .iter()
                .map(|outcome| self.outcome_view(state, packet, claim, &trace, outcome))
                .collect(),
            differences: Vec::new(),
        }
    }

    fn outcome_view(
        &self,
        state: &ClusterState,
        packet: &Packet,
        claim: Option<&PortInfo>,
        trace: &Trace,
        outcome: &Outcome,
    ) -> OutcomeView {
        let steps = trace.steps(outcome);
        let backend = (self.ports.iter())
            .filter(|info| claim.is_none_or(|claim| claim.name == info.name))
            .flat_map(|info| &info.endpoints)
            .find(|backend| backend.socket() == outcome.destination);
        let delivered = outcome.verdict == Verdict::Deliver;
        let pod = backend.filter(|_| delivered).and_then(|backend| backend.pod.as_ref());
        let fraction = [outcome.probability.numerator(), outcome.probability.denominator()];
        OutcomeView {
            probability: outcome.probability.as_f64(),
            fraction,
            verdict: outcome.verdict,
            destination: outcome.destination,
            pod: pod.cloned(),
            masquerade: outcome.masquerade,
            condition: self.condition(outcome.conditions),
            reason: self.reason(state, packet, claim, outcome, &steps),
            steps: steps.iter().map(|step| self.step_view(packet, step)).collect(),
        }
    }

    fn step_view(&self, packet: &Packet, step: &Step) -> StepView {
        let program = &self.program;
        let place = step.place;
        let element = place.and_then(|place| program.element(place, &keys(packet)));
        StepView {
            matched: self.matched(place, element.as_ref()),
            kind: Some(step.effect.into()),
            hook: step.hook.as_str().to_owned(),
            table: place.map_or("", |place| program.table_of(place.chain)).to_owned(),
            chain: place.map_or("", |place| program.chain_name(place.chain)).to_owned(),
            rule: place.map(|place| program.rule_text(place)).unwrap_or_default(),
            element: element.map(|element| element.text),
            effect: match (step.hook, step.effect) {
                (Hook::Postrouting, Effect::Return) => "return: not marked, so the source stays".to_owned(),
                (_, effect) => program.effect_text(effect),
            },
        }
    }

    fn matched(&self, place: Option<Place>, element: Option<&ElementRef<'_>>) -> String {
        let rule = place.and_then(|place| self.program.rule(place));
        let mut words = match rule {
            Some(RuleRef::Iptables(rule)) => reading::iptables_conditions(rule),
            Some(RuleRef::Nft(rule)) => reading::nft_conditions(rule),
            None => String::new(),
        };
        if let Some(element) = element {
            let comma = if words.is_empty() { "" } else { ", " };
            let _ = write!(words, "{comma}{}", reading::nft_key(element.key));
        }
        words
    }

    fn condition(&self, conditions: Conditions) -> Option<String> {
        let mut words = Vec::new();
        if let Some(seconds) = conditions.affinity {
            words.push(format!(
                "session affinity: a client that came less than {seconds} s ago goes where it went; the shares are those of new clients"
            ));
        }
        if let Some(number) = conditions.scheduler {
            words.push(format!(
                "ipvs scheduler {}: {}",
                self.program.scheduler(number),
                scheduler_words(self.program.scheduler(number))
            ));
        }
        if conditions.in_turn {
            words.push("the userspace proxy gives connections out in turn, and tries the next endpoint if one does not answer".to_owned());
        }
        (!words.is_empty()).then(|| words.join("; "))
    }

    fn reason(
        &self,
        state: &ClusterState,
        packet: &Packet,
        claim: Option<&PortInfo>,
        outcome: &Outcome,
        steps: &[Step],
    ) -> String {
        let name = claim.map(|claim| claim.name.as_str());
        match outcome.verdict {
            Verdict::Deliver => {
                let mut text = match name {
                    Some(name) => format!("sent to an endpoint of {name}"),
                    None => "sent to an endpoint".to_owned(),
                };
                if outcome.masquerade {
                    text.push_str("; its source becomes an address of this node");
                }
                text
            }
            Verdict::Accept => {
                format!("port {} is taken by the node itself: a health check node port", packet.port)
            }
            Verdict::Drop | Verdict::Reject => self.refusal(packet, name, outcome.verdict, steps),
            Verdict::Unknown => {
                let last = steps.last().and_then(|step| step.place);
                let rule = last.map(|place| self.program.rule_text(place)).filter(|text| !text.is_empty());
                match rule {
                    Some(rule) => format!("a rule that is not understood decides: {rule}"),
                    None => "the share has no exact form, or chains nest too deep".to_owned(),
                }
            }
            Verdict::NoMatch => self.no_match(state, packet, claim),
        }
    }

    fn refusal(&self, packet: &Packet, name: Option<&str>, verdict: Verdict, steps: &[Step]) -> String {
        let what = if verdict == Verdict::Drop { "dropped" } else { "refused" };
        let Some(last) = steps.last() else { return what.to_owned() };
        let service = name.unwrap_or("the destination");
        match last.effect {
            Effect::Martian => {
                format!("{what}: the kernel takes no packet from elsewhere for a loopback address")
            }
            Effect::Loopback => format!(
                "{what}: {} is the node's own, and no other host answers it; from another address of the node it may",
                packet.source
            ),
            Effect::NoRealServer => format!("{what}: {service} has no endpoint that this node uses"),
            Effect::NoEndpoint if verdict == Verdict::Reject => {
                format!("kube-proxy takes the connection and closes it: {service} has no ready endpoint")
            }
            Effect::NoEndpoint => format!("kube-proxy loses the datagram: {service} has no ready endpoint"),
            _ => {
                let place = last.place;
                let elements = steps.iter().rev().filter_map(|step| step.place);
                let element = elements
                    .filter_map(|place| self.program.element(place, &keys(packet)))
                    .find_map(|element| element.comment);
                let comment = place.and_then(|place| self.program.rule_comment(place));
                let mut text = what.to_owned();
                let why = match (comment, element, last.effect) {
                    (Some(comment), ..) => comment.to_owned(),
                    (None, Some(name), Effect::Drop) => format!("{name} has no local endpoints"),
                    (None, Some(name), _) => format!("{name} has no endpoints"),
                    (None, None, _) => match place {
                        Some(place) => format!("by chain {}", self.program.chain_name(place.chain)),
                        None => return text,
                    },
                };
                let _ = write!(text, ": {why}");
                text
            }
        }
    }

    fn no_match(&self, state: &ClusterState, packet: &Packet, claim: Option<&PortInfo>) -> String {
        let to = packet.destination;
        if self.stays_in_pod(packet) {
            return "loopback is the pod's own: the packet never reaches the node".to_owned();
        }
        if let Some(claim) = claim {
            return format!(
                "no rule of {} rewrites it here, so it goes on to {to} as it is, where usually nobody answers",
                claim.name
            );
        }
        let mut services = state.services().values();
        let owner = services.find(|service| {
            service.is_proxied()
                && (service.cluster_ip.ips().contains(&to) || service.outside_ips().any(|ip| ip == to))
        });
        match owner {
            Some(service) => format!(
                "Service {} has {to}, but no {} port {}: no rule matches, and usually nobody answers",
                service.meta.key,
                packet.protocol.lower(),
                packet.port
            ),
            None => "no rule of a Service concerns it: it goes on as it is".to_owned(),
        }
    }
}

/// The keys by which nft's maps of Services are asked for this packet.
fn keys(packet: &Packet) -> [MapKey; 2] {
    let Packet { destination, port, protocol, .. } = *packet;
    [MapKey::IpProtocolPort(destination, protocol, port), MapKey::ProtocolPort(protocol, port)]
}

fn scheduler_words(scheduler: &str) -> &'static str {
    match scheduler {
        "rr" => "connections go to the real servers in turn",
        "wrr" => "connections go to the real servers in turn, by weight",
        "lc" | "wlc" => "the real server with the fewest connections is next",
        "sh" => "the source address decides, always alike",
        "dh" => "the destination address decides, always alike",
        "mh" => "a hash of the source decides, always alike",
        "sed" | "nq" => "the real server that is expected to answer soonest is next",
        _ => "which real server is next depends on its state",
    }
}

impl StepView {
    /// The lines of the Rules panel that this step went through.
    pub fn lines(&self) -> Vec<LineId> {
        let iptables = TableName::ALL.iter().any(|table| table.as_str() == self.table);
        let part = match iptables {
            true => format!("{}/{}", self.table, self.chain),
            false => format!("chain {}", self.chain),
        };
        let rule =
            (!self.rule.is_empty()).then(|| LineId { part: part.into(), text: self.rule.as_str().into() });
        // `add element ip kube-proxy MAP { …`
        let element = self.element.as_deref().and_then(|text| {
            let map = text.split(' ').nth(4)?;
            Some(LineId { part: format!("map {map}").into(), text: text.into() })
        });
        rule.into_iter().chain(element).collect()
    }
}
