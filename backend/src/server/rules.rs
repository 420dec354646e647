//! `GET api/v1/rules/{node}?basis&mode&family&service`: what kube-proxy programs there, `predicted` from the newest state, or
//! with `basis=observed` the rules that the node has.
//!
//! As text (the input of iptables-restore or nft; of ipvs mode, the recorded form with all its parts), or as JSON for who
//! accepts that. With `service=NAMESPACE/NAME` only what concerns that Service.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use vipscope_shared::model::{ClusterState, IpFamily, Key, ProxyMode};
use vipscope_shared::predict::Basis;
use vipscope_shared::proxy::{self, Format, NodeError, Scope, drift};

use super::problem::Problem;
use super::traffic::Traffic;
use crate::agent::NodeRuleset;
use crate::cluster::Feed;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    mode: Option<String>,
    family: Option<String>,
    service: Option<String>,
    basis: Option<Basis>,
}

pub async fn get(
    State(feed): State<Feed>,
    State(traffic): State<Traffic>,
    Path(node): Path<String>,
    params: Result<Query<Params>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(params) = params.map_err(|rejection| bad_request(rejection.body_text()))?;
    let wanted = Wanted::parse(params)?;
    let (format, content_type) = representation(&headers);
    let observed = match wanted.basis {
        Basis::Predicted => None,
        Basis::Observed => Some(super::nodes::ruleset(&traffic, &node).await?),
    };
    // A large node's rules take a while: not on the thread that carries the streams.
    let print = move || match observed {
        None => wanted.print(&feed.snapshot().state, &node, format),
        Some(ruleset) => wanted.print_observed(&feed.snapshot().state, &node, ruleset, format),
    };
    let made = tokio::task::spawn_blocking(print).await;
    let text = made.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache"), (VARY, "accept")];
    Ok((headers, text).into_response())
}

fn bad_request(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// JSON for who names it before any text.
fn representation(headers: &HeaderMap) -> (Format, &'static str) {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).map(|each| each.split(';').next());
    let known = types.find_map(|each| match each.unwrap_or_default().trim() {
        "application/json" => Some(true),
        "text/plain" | "text/*" => Some(false),
        _ => None,
    });
    match known {
        Some(true) => (Format::Json, "application/json"),
        _ => (Format::Recorded, "text/plain; charset=utf-8"),
    }
}

/// The parameters, understood.
struct Wanted {
    /// The mode of the node's kube-proxy, if `None`.
    mode: Option<ProxyMode>,
    family: IpFamily,
    service: Option<Key>,
    basis: Basis,
}

impl Wanted {
    fn parse(params: Params) -> Result<Wanted, Problem> {
        let mode = params.mode.map(|text| {
            let wrong = || format!("parameter `mode`: `{text}` is not userspace, iptables, nftables or ipvs");
            text.parse().map_err(|()| bad_request(wrong()))
        });
        let family = params.family.as_deref().unwrap_or("ipv4");
        let found = IpFamily::BOTH.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(family));
        let wrong = || bad_request(format!("parameter `family`: `{family}` is not ipv4 or ipv6"));
        let service = params.service.map(|text| match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Key::new(namespace, name))
            }
            _ => Err(bad_request(format!("parameter `service`: `{text}` is not NAMESPACE/NAME"))),
        });
        Ok(Wanted {
            mode: mode.transpose()?,
            family: found.ok_or_else(wrong)?,
            service: service.transpose()?,
            basis: params.basis.unwrap_or(Basis::Predicted),
        })
    }

    fn print(&self, state: &ClusterState, node: &str, format: Format) -> Result<String, Problem> {
        let found = proxy::find_node(state, node, self.family).map_err(|error| {
            let status = match error {
                NodeError::Unknown { .. } => StatusCode::NOT_FOUND,
                NodeError::NoFamily { .. } => StatusCode::BAD_REQUEST,
            };
            Problem::new(status, error.to_string())
        })?;
        let missing = self.service.as_ref().filter(|key| !state.services().contains(key));
        if let Some(key) = missing {
            return Err(Problem::new(StatusCode::NOT_FOUND, format!("Service {key} is not there")));
        }
        let scope = self.service.as_ref().map_or(Scope::All, Scope::Service);
        let mode = self.mode.unwrap_or_else(|| state.proxy_settings(node).mode);
        let rules = proxy::generate_for(state, found, self.family, mode, scope);
        rules.print(format).map_err(|error| bad_request(error.to_string()))
    }

    /// The rules that the node has; a Service that is gone may have some still.
    fn print_observed(
        &self,
        state: &ClusterState,
        node: &str,
        ruleset: NodeRuleset,
        format: Format,
    ) -> Result<String, Problem> {
        if self.mode.is_some_and(|mode| mode != ruleset.mode) {
            let detail = format!("parameter `mode`: the rules of node {node} are in mode {}", ruleset.mode);
            return Err(bad_request(detail));
        }
        let family = self.family;
        let found = ruleset.families.into_iter().find(|one| one.family == family);
        let none = || bad_request(NodeError::NoFamily { node: node.into(), family }.to_string());
        let mut rules = found.ok_or_else(none)?.rules;
        if let Some(service) = &self.service {
            rules = drift::rules_of(rules, &drift::Namer::new(state), service);
        }
        rules.print(format).map_err(|error| bad_request(error.to_string()))
    }
}
