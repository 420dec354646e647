//! One question in names, all its answers: what the command line, the HTTP interface and the dashboard ask.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::names::{Destination, NameError, Resolved, Source, Target};
use super::{Answer, Predictor};
use crate::model::{ClusterState, IpFamily, Keyed, Protocol, ProxyMode, Text};
use crate::proxy::{NodeError, find_node};

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

/// Asks the rules that kube-proxy should have.
pub fn ask(state: &ClusterState, question: &Question) -> Result<Reply, AskError> {
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
        let predictor = Predictor::for_packet(state, known, IpFamily::of(target.to.ip()), mode, &packet);
        answers.push(predictor.answer(state, &packet));
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
