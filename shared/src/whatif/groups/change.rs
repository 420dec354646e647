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
    /// What a health check hears turns into a refusal, or is one no longer: what stands before and after the number.
    Health(String, String),
}

impl Kind {
    pub fn of(flow: &FlowChange) -> Kind {
        let [before, after] = counts(flow);
        let summary = &flow.summary;
        if let Some((before, after)) = around_health(flow) {
            return Kind::Health(before.to_owned(), after.to_owned());
        }
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
        if let Some((first, more)) = flows.split_first()
            && more.iter().all(|flow| flow.summary == first.summary)
        {
            return first.summary.clone();
        }
        let (before, rest) = match self {
            Kind::Exactly(summary) => return summary.clone(),
            Kind::Endpoints(before, rest) => (before, rest),
            Kind::Health(before, rest) => {
                let numbers: BTreeSet<u32> = flows.iter().filter_map(|flow| healthy(flow)).collect();
                let [Some(least), Some(most)] = [numbers.first(), numbers.last()] else {
                    return String::new();
                };
                return format!("{before}{} local endpoints{rest}", range(*least, *most));
            }
        };
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
        _ => format!("{} endpoints", range(least, most)),
    }
}

/// `3`, `1 or 2`, `1 to 4`.
fn range<N: Copy + PartialEq + std::fmt::Display + From<u8> + std::ops::Add<Output = N>>(
    least: N,
    most: N,
) -> String {
    if least == most {
        least.to_string()
    } else if least + N::from(1) == most {
        format!("{least} or {most}")
    } else {
        format!("{least} to {most}")
    }
}

/// How many local endpoints a health check finds, before or after; `None` unless it finds some at one of these times alone.
fn healthy(flow: &FlowChange) -> Option<u32> {
    let [before, after] = [&flow.before, &flow.after].map(|shares| match &shares[..] {
        [share] => share.health,
        _ => None,
    });
    match (before.unwrap_or(0), after.unwrap_or(0)) {
        (0, count) | (count, 0) if count > 0 => Some(count),
        _ => None,
    }
}

/// What stands in a summary before and after the number of local endpoints.
fn around_health(flow: &FlowChange) -> Option<(&str, &str)> {
    let count = healthy(flow)?;
    let word = if count == 1 { "endpoint" } else { "endpoints" };
    flow.summary.split_once(&format!("{count} local {word}"))
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
