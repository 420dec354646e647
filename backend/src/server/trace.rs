//! `POST api/v1/trace`: where a connection goes, `predicted` from the newest state, or `observed`: by the rules that the node has.
//!
//! Body: `{"node","from","to"}`, and if need be `"mode"` and `"protocol"`, written as on the command line, and
//! `"basis":"observed"`; such answers say in `differences` what is predicted otherwise. Answer:
//! `{"answers":[…]}`, one for each address and port that the destination stands for, or `{"resolution":…}` for a Service
//! without a VIP.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use vipscope_shared::predict::names::NameError;
use vipscope_shared::predict::{self, Answer, AskError, Basis, Observed, Question, Reply, Resolution};
use vipscope_shared::proxy::NodeError;

use super::problem::Problem;
use super::traffic::Traffic;
use crate::agent::{FamilyRules, NodeRuleset};
use crate::cluster::Feed;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    node: String,
    from: String,
    to: String,
    mode: Option<String>,
    protocol: Option<String>,
    basis: Option<Basis>,
}

#[derive(Debug, Serialize)]
struct Answers {
    answers: Vec<Answer>,
}

pub async fn post(
    State(feed): State<Feed>,
    State(traffic): State<Traffic>,
    body: Result<Json<Body>, JsonRejection>,
) -> Response {
    let replied = match body {
        Ok(Json(body)) => reply(&feed, &traffic, body).await,
        Err(error) => Err(bad(format!("body: {}", error.body_text()))),
    };
    match replied {
        Ok(Reply::Answers(answers)) => {
            ([(CACHE_CONTROL, "no-store")], Json(Answers { answers })).into_response()
        }
        Ok(Reply::Resolution(resolution)) => {
            ([(CACHE_CONTROL, "no-store")], Json::<Resolution>(resolution)).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn reply(feed: &Feed, traffic: &Traffic, body: Body) -> Result<Reply, Problem> {
    let basis = body.basis;
    let question = question(body)?;
    if basis != Some(Basis::Observed) {
        return predict::ask(&feed.snapshot().state, &question).map_err(problem);
    }
    let NodeRuleset { mode, families, .. } = super::nodes::ruleset(traffic, &question.node).await?;
    if question.mode.is_some_and(|wanted| wanted != mode) {
        return Err(bad(format!("field `mode`: the rules of node {} are in mode {mode}", question.node)));
    }
    let observed = families.into_iter().map(|one| {
        let FamilyRules { family, rules, sockets, .. } = one;
        Observed { family, rules, sockets }
    });
    predict::ask_observed(&feed.snapshot().state, &question, &observed.collect::<Vec<_>>()).map_err(problem)
}

fn question(body: Body) -> Result<Question, Problem> {
    let mode = body.mode.map(|mode| {
        mode.parse()
            .map_err(|()| bad(format!("field `mode`: `{mode}` is not userspace, iptables, nftables or ipvs")))
    });
    let protocol = body.protocol.map(|protocol| {
        protocol.parse().map_err(|()| bad(format!("field `protocol`: `{protocol}` is not tcp, udp or sctp")))
    });
    Ok(Question {
        node: body.node.into(),
        mode: mode.transpose()?,
        from: body.from.parse().map_err(|error: NameError| bad(format!("field `from`: {error}")))?,
        to: body.to.parse().map_err(|error: NameError| bad(format!("field `to`: {error}")))?,
        protocol: protocol.transpose()?,
    })
}

fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

fn problem(error: AskError) -> Problem {
    let missing = matches!(
        error,
        AskError::Node(NodeError::Unknown { .. })
            | AskError::Name(NameError::NoPod(_) | NameError::NoNode(_) | NameError::NoService(_))
    );
    let status = if missing { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
    Problem::new(status, error.to_string())
}
