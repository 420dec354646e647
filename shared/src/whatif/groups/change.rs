//! What kind of change a flow is, in words that are true of all flows of the kind.
//!
//! Numbers of endpoints tell kinds apart only where there are endpoints both before and after, and not as many: whoever loses
//! all of them, gets the first ones or gets others is of one kind, and then the words give the range of their numbers.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::trace::{Fraction, Verdict};
use crate::whatif::difference::{FlowChange, Share, TargetKind};
use crate::whatif::flows::words::is_answered;

const OTHERS: &str = ", other ones";

/// Ordered by its words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The summary says it.
    Exactly(String),
    /// A summary with a number of endpoints in it: what stands before and after the number.
    Endpoints(String, String),
}

impl Kind {
    pub fn of(flow: &FlowChange) -> Kind {
        let [before, after] = counts(flow);
        let summary = &flow.summary;
        if is_swap(flow) {
            return Kind::Endpoints(String::new(), OTHERS.to_owned());
        }
        if let Some(rest) = summary.strip_prefix(&endpoints(before, before))
            && (after == 0 || rest.ends_with(OTHERS))
        {
            return Kind::Endpoints(String::new(), rest.to_owned());
        }
        let arrow = " → ";
        if before == 0
            && let Some((old, new)) = summary.split_once(arrow)
            && let Some(rest) = new.strip_prefix(&endpoints(after, after))
        {
            return Kind::Endpoints(format!("{old}{arrow}"), rest.to_owned());
        }
        Kind::Exactly(summary.clone())
    }

    /// `1 to 4 endpoints → refused`: true of all these flows, which are of the kind.
    pub fn words(&self, flows: &[&FlowChange]) -> String {
        let (before, rest) = match self {
            Kind::Exactly(summary) => return summary.clone(),
            Kind::Endpoints(before, rest) => (before, rest),
        };
        if let Some((first, more)) = flows.split_first()
            && more.iter().all(|flow| flow.summary == first.summary)
        {
            return first.summary.clone();
        }
        let numbers: BTreeSet<usize> =
            flows.iter().map(|flow| counts(flow)).map(|[a, b]| if a == 0 { b } else { a }).collect();
        let [Some(least), Some(most)] = [numbers.first(), numbers.last()] else { return String::new() };
        let rest = if *most == 1 && rest == OTHERS { ", another one" } else { rest };
        format!("{before}{}{rest}", endpoints(*least, *most))
    }
}

/// The part of new connections that fails afterwards: `1/3`, `1/4 to 1/2`. `None` if it has no exact form, and for health checks,
/// which succeed as connections whatever they are answered.
pub(super) fn failing(flows: &[&FlowChange]) -> Option<String> {
    if flows.iter().any(|flow| flow.target.kind == TargetKind::HealthCheck) {
        return None;
    }
    let of_flow = |flow: &&FlowChange| {
        let failed = flow.after.iter().filter(|share| !is_answered(share.verdict));
        failed
            .map(|share| share.fraction)
            .try_fold(Fraction::ZERO, |sum, [part, whole]| sum.plus(Fraction::new(part, whole)?))
    };
    let parts: BTreeSet<Fraction> = flows.iter().map(of_flow).collect::<Option<_>>()?;
    let (least, most) = (parts.first()?, parts.last()?);
    Some(if least == most { least.to_string() } else { format!("{least} to {most}") })
}

/// Endpoints before and after.
fn counts(flow: &FlowChange) -> [usize; 2] {
    [&flow.before, &flow.after].map(|shares| {
        let ends: BTreeSet<SocketAddr> = shares.iter().filter_map(|share| share.endpoint).collect();
        ends.len()
    })
}

/// `1 endpoint`, `1 or 2 endpoints`, `1 to 4 endpoints`.
fn endpoints(least: usize, most: usize) -> String {
    match (least, most) {
        (1, 1) => "1 endpoint".to_owned(),
        _ if least == most => format!("{least} endpoints"),
        _ if least + 1 == most => format!("{least} or {most} endpoints"),
        _ => format!("{least} to {most} endpoints"),
    }
}

/// One endpoint before, another one after: the summary names them.
fn is_swap(flow: &FlowChange) -> bool {
    let only = |shares: &[Share]| -> Option<SocketAddr> {
        match shares {
            [share] if share.verdict == Verdict::Deliver => share.endpoint,
            _ => None,
        }
    };
    matches!((only(&flow.before), only(&flow.after)), (Some(old), Some(new)) if old != new)
}

/// How many endpoints there are afterwards for each 1,000 before.
pub(super) fn left(flow: &FlowChange) -> usize {
    let [before, after] = counts(flow);
    after * 1_000 / before.max(1)
}
