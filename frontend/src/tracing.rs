//! Traces for the dashboard, pure: which things can be the ends of one, what is asked of the rules, who is left out and
//! why, and how the modes differ.

use vipscope_shared::model::{ClusterState, Keyed, Pod, ProxyMode, Service, Text};
use vipscope_shared::predict::cards::{Share, shares_text};
use vipscope_shared::predict::names::{Destination, NameError, Source};
use vipscope_shared::predict::{Answer, Question, Reply, ask};
use vipscope_shared::proxy::{EndpointRow, PortStanding, Via, endpoint_rows};
use vipscope_shared::scene::{NO_NODE, ServiceStatus, SourceId, Target};
use vipscope_shared::trace::Verdict;

use crate::view_state::Traced;
use crate::words;

/// One of the two ends of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    From,
    To,
}

impl End {
    pub const BOTH: [End; 2] = [End::From, End::To];

    pub fn as_str(self) -> &'static str {
        match self {
            End::From => "from",
            End::To => "to",
        }
    }

    pub fn other(self) -> End {
        match self {
            End::From => End::To,
            End::To => End::From,
        }
    }

    /// What is wrong with a text for this end.
    pub fn problem(self, text: &str) -> Option<NameError> {
        match self {
            End::From => text.parse::<Source>().err(),
            End::To => text.parse::<Destination>().err(),
        }
    }

    /// What is on the map as this end of a trace, as it would be typed. `None`: it can't be one.
    pub fn name(self, state: &ClusterState, target: &Target) -> Option<String> {
        match self {
            End::From => source(state, target).map(|source| source.to_string()),
            End::To => destination(state, target).map(|destination| destination.to_string()),
        }
    }
}

/// Of many pods or nodes, the first that can send.
fn source(state: &ClusterState, target: &Target) -> Option<Source> {
    let can_send = |pod: &&std::sync::Arc<Pod>| pod.node.is_some() && !pod.ips.is_empty();
    Some(match target {
        Target::Pod(key) => Source::Pod(key.clone()),
        Target::Node(name) if &**name != NO_NODE => Source::Node(name.clone()),
        Target::Address(address) => Source::Ip(address.parse().ok()?),
        Target::Source(SourceId::Outside) => Source::External,
        Target::Source(SourceId::Nodes) => Source::Node(state.nodes().values().next()?.name().clone()),
        Target::Source(SourceId::Pods(namespace)) => {
            Source::Pod(state.pods().in_namespace(namespace).find(can_send)?.key().clone())
        }
        Target::Node(_) | Target::Namespace(_) | Target::Service(_) | Target::Port(..) => return None,
    })
}

fn destination(state: &ClusterState, target: &Target) -> Option<Destination> {
    let socket = |ip: Option<std::net::IpAddr>, port: u16| Some(Destination::Socket((ip?, port).into()));
    match target {
        Target::Service(key) => Some(Destination::Service(key.clone(), None)),
        Target::Port(key, port) => Some(Destination::Service(key.clone(), Some(port.clone()))),
        Target::Pod(key) => {
            let pod = state.pods().get(key)?;
            let port = pod.containers.iter().flat_map(|container| &container.ports).next()?;
            socket(pod.ips.first().copied(), port.port.into())
        }
        Target::Address(_) | Target::Node(_) | Target::Namespace(_) | Target::Source(_) => None,
    }
}

/// A question and what the rules say to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub node: Text,
    /// The mode that the node's kube-proxy is set to.
    pub configured: ProxyMode,
    /// Errors in words.
    pub reply: Result<Reply, String>,
}

impl Run {
    pub fn of(state: &ClusterState, traced: &Traced) -> Run {
        let question = question(state, traced, traced.mode);
        let configured = state.proxy_settings(&question.node).mode;
        Run {
            reply: ask(state, &question).map_err(|error| error.to_string()),
            node: question.node,
            configured,
        }
    }

    /// The answers, if there is a VIP.
    pub fn answers(&self) -> &[Answer] {
        match &self.reply {
            Ok(Reply::Answers(answers)) => answers,
            _ => &[],
        }
    }
}

/// The node whose rules are asked: where the source is at home, the chosen one, or the first.
pub fn node_of(state: &ClusterState, from: Option<&Source>, chosen: Option<&Text>) -> Option<Text> {
    let home = from.and_then(|from| from.home(state));
    let first = || state.nodes().values().next().map(|node| node.name().clone());
    let bound = home.filter(|_| matches!(from, Some(Source::Pod(_))));
    bound.or(chosen).or(home).cloned().or_else(first)
}

fn question(state: &ClusterState, traced: &Traced, mode: Option<ProxyMode>) -> Question {
    Question {
        node: node_of(state, Some(&traced.from), traced.node.as_ref()).unwrap_or_default(),
        mode,
        from: traced.from.clone(),
        to: traced.to.clone(),
        protocol: traced.protocol,
    }
}

/// What one mode makes of the packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeRow {
    pub mode: ProxyMode,
    pub verdict: Verdict,
    pub headline: String,
    /// With their shares, if there are not too many.
    pub endpoints: Vec<Share>,
    /// `yes`, `no`, or for how many of the endpoints.
    pub masquerade: String,
    pub reason: String,
    pub condition: Option<String>,
    /// In what it differs from the configured mode.
    pub differs: Vec<&'static str>,
    pub is_configured: bool,
}

/// The same packet in every mode; an error in words.
pub fn modes(state: &ClusterState, traced: &Traced) -> Result<Vec<ModeRow>, String> {
    let mut answers = Vec::new();
    for mode in ProxyMode::ALL {
        let reply = ask(state, &question(state, traced, Some(mode))).map_err(|error| error.to_string())?;
        let Reply::Answers(mut all) = reply else { return Ok(Vec::new()) };
        let nth = traced.answer.min(all.len().saturating_sub(1));
        if nth < all.len() {
            answers.push(all.swap_remove(nth));
        }
    }
    let configured = answers.first().map(|answer| state.proxy_settings(&answer.node).mode);
    let standard = answers.iter().find(|answer| Some(answer.mode) == configured);
    Ok(answers.iter().map(|answer| mode_row(answer, standard)).collect())
}

fn mode_row(answer: &Answer, standard: Option<&Answer>) -> ModeRow {
    let story = answer.story();
    let delivered = answer.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Deliver);
    let endpoints: Vec<Share> = delivered.map(Share::of).collect();
    let masqueraded = endpoints.iter().filter(|share| share.masquerade).count();
    let masquerade = match (masqueraded, endpoints.len()) {
        (_, 0) => "–".to_owned(),
        (0, _) => "no".to_owned(),
        (some, all) if some == all => "yes".to_owned(),
        (some, all) => format!("for {some} of {all}"),
    };
    ModeRow {
        mode: answer.mode,
        verdict: story.verdict,
        headline: story.headline,
        endpoints,
        masquerade,
        reason: story.reason,
        condition: story.condition,
        differs: standard.map(|standard| differences(answer, standard)).unwrap_or_default(),
        is_configured: standard.is_some_and(|standard| standard.mode == answer.mode),
    }
}

/// In what clients would see a difference, or endpoints.
fn differences(answer: &Answer, standard: &Answer) -> Vec<&'static str> {
    let verdicts = |answer: &Answer| -> Vec<Verdict> {
        let mut all: Vec<Verdict> = answer.outcomes.iter().map(|outcome| outcome.verdict).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let ways = |answer: &Answer| -> Vec<_> {
        let mut all: Vec<_> =
            answer.outcomes.iter().map(|outcome| (outcome.destination, outcome.fraction)).collect();
        all.sort_unstable();
        all
    };
    let sources = |answer: &Answer| -> Vec<_> {
        let mut all: Vec<_> =
            answer.outcomes.iter().map(|outcome| (outcome.destination, outcome.masquerade)).collect();
        all.sort_unstable();
        all
    };
    if verdicts(answer) != verdicts(standard) {
        return vec!["another verdict"];
    }
    let other_ways = ways(answer) != ways(standard);
    // Of endpoints that both have.
    let own = sources(answer);
    let other_source = sources(standard)
        .iter()
        .any(|(to, masquerade)| own.iter().any(|(known, kept)| known == to && kept != masquerade));
    [(other_ways, "other shares"), (other_source, "another source address")]
        .into_iter()
        .filter_map(|(differs, words)| differs.then_some(words))
        .collect()
}

/// An endpoint of the Service that gets nothing of this packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// A pod, or nothing but an address.
    pub target: Target,
    pub name: String,
    pub why: String,
}

/// Endpoints of the Service to which the packet can't go, and why not.
pub fn left_out(state: &ClusterState, answer: &Answer) -> Vec<LeftOut> {
    let Some(claim) = &answer.claim else { return Vec::new() };
    let Some(service) = state.services().get(&claim.service) else { return Vec::new() };
    let Some(nth) = service.ports.iter().position(|port| port.name == claim.port_name) else {
        return Vec::new();
    };
    let inside = service.cluster_ip.ips().contains(&answer.packet.destination);
    let via = if inside { Via::ClusterIp } else { Via::External };
    let gets = |row: &EndpointRow| {
        let ip = row.address.as_ref().and_then(|address| address.ip());
        let mut delivered = answer.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Deliver);
        ip.is_some_and(|ip| delivered.any(|outcome| outcome.destination.ip() == ip))
    };
    let rows = endpoint_rows(state, service, via);
    let rows = rows.iter().filter(|row| !gets(row));
    rows.filter_map(|row| one_left_out(state, service, row, row.ports.get(nth).map(|(_, one)| one)?, via))
        .collect()
}

/// What is wrong with the Service of a packet that is not delivered, if anything is.
pub fn service_problem(state: &ClusterState, answer: &Answer) -> Option<Text> {
    let claim = answer.claim.as_ref()?;
    let is_delivered = answer.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Deliver);
    let service = state.services().get(&claim.service).filter(|_| !is_delivered)?;
    Some(ServiceStatus::of(state, service).problem).filter(|problem| !problem.is_empty())
}

fn one_left_out(
    state: &ClusterState,
    service: &Service,
    row: &EndpointRow,
    standing: &PortStanding,
    via: Via,
) -> Option<LeftOut> {
    let address = row.address.as_ref().map(ToString::to_string);
    let target = match (&row.pod, &address) {
        (Some(key), _) => Target::Pod(key.clone()),
        (None, address) => Target::Address(address.as_deref()?.into()),
    };
    let name = row.pod.as_ref().map(|key| key.name.to_string()).or(address)?;
    let words = words::standing(state, service, row, standing, via);
    let why = match standing {
        PortStanding::Receives { .. } => format!("not from this node: {words}"),
        PortStanding::Nothing(_) => words,
    };
    Some(LeftOut { target, name, why })
}

/// Endpoints, one a line: `cart-a 1/2`; of many the shares alone.
pub fn endpoints_text(shares: &[Share]) -> String {
    if shares.len() > 4 {
        return shares_text(shares);
    }
    let one = |share: &Share| {
        let name =
            share.pod.as_ref().map_or_else(|| share.destination.to_string(), |pod| pod.name.to_string());
        format!("{name} {}", share.text())
    };
    shares.iter().map(one).collect::<Vec<_>>().join("\n")
}
