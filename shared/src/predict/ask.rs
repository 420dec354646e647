//! One question in names, all its answers: what the command line, the HTTP interface and the dashboard ask.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::names::{Destination, NameError, Resolved, Source, Target};
use super::{Answer, Predictor};
use crate::model::{ClusterState, IpFamily, Keyed, Node, Protocol, ProxyMode, Text};
use crate::proxy::node::NodeContext;
use crate::proxy::ports::port_infos;
use crate::proxy::{NodeError, Rules, find_node, userspace};
use crate::trace::Packet;

/// What becomes of a connection from here to there, as seen by the rules of a node?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub node: Text,
    /// `None`: the mode of the node's kube-proxy.
    pub mode: Option<ProxyMode>,
    pub from: Source,
    pub to: Destination,
    /// `None`: TCP for an address; each port's own for a Service.
    pub protocol: Option<Protocol>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// One for each address and port that the destination stands for.
    Answers(Vec<Answer>),
    /// No VIP is concerned.
    Resolution(Resolution),
}

/// How a name without a VIP leads somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resolution", rename_all = "kebab-case")]
pub enum Resolution {
    /// DNS answers with the endpoints' addresses; clients connect to them.
    Headless { service: String, addresses: Vec<SocketAddr> },
    /// DNS answers with another name (CNAME).
    ExternalName { service: String, name: Text },
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Resolution {
    /// In one sentence.
    pub fn words(&self) -> String {
        match self {
            Resolution::Headless { service, addresses } if addresses.is_empty() => format!(
                "Service {service} is headless and has no ready endpoint: DNS answers with no address; no rule is concerned"
            ),
            Resolution::Headless { service, addresses } => {
                let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                format!(
                    "Service {service} is headless: it has no VIP and no rules. DNS answers with its endpoints' addresses, and clients connect to one of {}",
                    list.join(", ")
                )
            }
            Resolution::ExternalName { service, name } => format!(
                "Service {service} is an ExternalName: it has no VIP and no rules. DNS answers with a CNAME for {name}"
            ),
        }
    }
}

/// Rules of one family that a node really has.
#[derive(Debug, Clone)]
pub struct Observed {
    pub family: IpFamily,
    pub rules: Rules,
    /// Of the userspace proxy.
    pub sockets: Vec<userspace::ProxySocket>,
}

/// Asks the rules that kube-proxy should have.
pub fn ask(state: &ClusterState, question: &Question) -> Result<Reply, AskError> {
    ask_each(state, question, |node, packet, mode| {
        let family = IpFamily::of(packet.destination);
        Predictor::for_packet(state, node, family, mode, packet).answer(state, packet)
    })
}

/// Asks the rules that the node has, and says in what their answers are others than those of the rules that it should have.
/// The question's own mode plays no part: rules have one.
pub fn ask_observed(
    state: &ClusterState,
    question: &Question,
    observed: &[Observed],
) -> Result<Reply, AskError> {
    let mut made: Vec<Predictor> = Vec::new();
    let expected = Question { mode: None, ..question.clone() };
    ask_each(state, &expected, |node, packet, mode| {
        let family = IpFamily::of(packet.destination);
        let predicted = || Predictor::for_packet(state, node, family, mode, packet).answer(state, packet);
        if !made.iter().any(|known| known.context.family == family)
            && let Some(Observed { rules, sockets, .. }) = observed.iter().find(|one| one.family == family)
        {
            let context = NodeContext::new(state, node, family, rules.mode());
            let ports = port_infos(state, family);
            made.push(Predictor::with_rules(context, rules.clone(), sockets.clone(), ports));
        }
        let Some(predictor) = made.iter().find(|known| known.context.family == family) else {
            return predicted();
        };
        let mut answer = predictor.answer(state, packet);
        answer.differences = answer.differences_from(&predicted());
        answer
    })
}

fn ask_each(
    state: &ClusterState,
    question: &Question,
    mut answer: impl FnMut(&Arc<Node>, &Packet, ProxyMode) -> Answer,
) -> Result<Reply, AskError> {
    let Question { node, mode, from, to, protocol } = question;
    let known = state.node(node).ok_or_else(|| match find_node(state, node, IpFamily::IPv4) {
        Err(error) => error,
        Ok(_) => NodeError::Unknown { node: node.clone(), known: Vec::new() },
    })?;
    let service = |to: &Destination| match to {
        Destination::Service(key, _) => key.to_string(),
        Destination::Socket(socket) => socket.to_string(),
    };
    let targets = match to.resolve(state, *protocol)? {
        Resolved::Targets(targets) => targets,
        Resolved::Headless(addresses) => {
            return Ok(Reply::Resolution(Resolution::Headless { service: service(to), addresses }));
        }
        Resolved::ExternalName(name) => {
            return Ok(Reply::Resolution(Resolution::ExternalName { service: service(to), name }));
        }
    };
    let mode = mode.unwrap_or_else(|| state.proxy_settings(known.name()).mode);
    let mut answers = Vec::new();
    for target in possible(state, from, to, node, targets)? {
        let packet = from.packet(state, known, &target)?;
        answers.push(answer(known, &packet, mode));
    }
    Ok(Reply::Answers(answers))
}

/// A Service's addresses in the families that source and node have too; an address that was asked for is kept as it is, so
/// that what does not fit is said.
fn possible(
    state: &ClusterState,
    from: &Source,
    to: &Destination,
    node: &Text,
    mut targets: Vec<Target>,
) -> Result<Vec<Target>, AskError> {
    if let Destination::Socket(socket) = to {
        find_node(state, node, IpFamily::of(socket.ip()))?;
        return Ok(targets);
    }
    let families = from.families(state);
    let fits = |family: IpFamily| {
        (families.is_empty() || families.contains(&family)) && find_node(state, node, family).is_ok()
    };
    targets.retain(|target| fits(IpFamily::of(target.to.ip())));
    match (targets.is_empty(), to) {
        (true, Destination::Service(key, _)) => Err(NameError::NoAddress(key.clone()).into()),
        _ => Ok(targets),
    }
}
