//! `POST api/v1/trace`: where a connection goes, `predicted` from the newest state.
//!
//! Body: `{"node","from","to"}`, and if need be `"mode"` and `"protocol"`, written as on the command line. Answer:
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
use vipscope_shared::predict::{self, Answer, AskError, Question, Reply, Resolution};
use vipscope_shared::proxy::NodeError;

use super::problem::Problem;
use crate::cluster::Feed;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    node: String,
    from: String,
    to: String,
    mode: Option<String>,
    protocol: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answers {
    answers: Vec<Answer>,
}

pub async fn post(State(feed): State<Feed>, body: Result<Json<Body>, JsonRejection>) -> Response {
    let asked = body.map_err(|error| bad(format!("body: {}", error.body_text())));
    let replied = asked.and_then(|Json(body)| question(body)).and_then(|question| {
        let state = feed.snapshot().state;
        predict::ask(&state, &question).map_err(problem)
    });
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
