//! A difference as text for people: what changes, then flows by destination, connections, rules and findings.

use std::fmt::Write;

use vipscope_shared::diagnose::{Finding, Severity};
use vipscope_shared::trace::Verdict;
use vipscope_shared::whatif::difference::{
    BrokenConnections, End, Fate, FlowChange, Grade, RulesChange, Share, Target, TargetKind,
};

use super::Report;
use crate::command::{Colour, clean};

/// Outcomes of one flow, and lines of one node, that are listed; the others are counted. JSON has them all.
const MOST_SHARES: usize = 4;
const MOST_LINES: usize = 12;
/// Objects that are named.
const MOST_OBJECTS: usize = 8;

pub(super) fn report(report: &Report, colour: Colour) -> String {
    let mut out = Out { text: String::new(), colour };
    let difference = &report.difference;
    let names: Vec<String> = report.changed.iter().map(ToString::to_string).collect();
    out.line(0, &format!("{} differ{}", count(names.len(), "object"), list(&names)));
    flows(&mut out, &difference.flows);
    connections(&mut out, &difference.connections);
    rules(&mut out, &difference.rules);
    let findings = &difference.findings;
    if !(findings.appeared.is_empty() && findings.vanished.is_empty()) {
        out.heading("findings");
        findings.appeared.iter().for_each(|finding| write_finding(&mut out, "+", finding));
        findings.vanished.iter().for_each(|finding| write_finding(&mut out, "-", finding));
    }
    out.text.push('\n');
    out.line(0, &summary(report));
    out.text
}

struct Out {
    text: String,
    colour: Colour,
}

impl Out {
    /// Whatever a line holds, it stays one line.
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.text, "{:indent$}{}", "", clean(text));
    }

    fn heading(&mut self, text: &str) {
        let text = self.painted(text, "1");
        let _ = writeln!(self.text, "\n{text}");
    }

    /// `text` is ours, or cleaned.
    fn painted(&self, text: &str, code: &str) -> String {
        match self.colour {
            Colour::Plain => text.to_owned(),
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `: a, b and 3 more`; nothing for an empty list.
fn list(names: &[String]) -> String {
    match names.len() {
        0 => String::new(),
        number if number > MOST_OBJECTS => {
            format!(": {} and {} more", names[..MOST_OBJECTS].join(", "), number - MOST_OBJECTS)
        }
        _ => format!(": {}", names.join(", ")),
    }
}

/// By destination, in the order in which each comes first: the gravest is above.
fn flows(out: &mut Out, flows: &[FlowChange]) {
    if flows.is_empty() {
        return;
    }
    out.heading("flows");
    let mut targets: Vec<&Target> = Vec::new();
    for flow in flows {
        if !targets.contains(&&flow.target) {
            targets.push(&flow.target);
        }
    }
    for target in targets {
        out.line(2, &target_words(target));
        for flow in flows.iter().filter(|flow| flow.target == *target) {
            write_flow(out, flow);
        }
    }
}

fn write_flow(out: &mut Out, flow: &FlowChange) {
    let (word, paint) = match flow.grade {
        Grade::Lost => ("lost", "1;31"),
        Grade::Degraded => ("degraded", "1;33"),
        Grade::Moved => ("moved", "1;36"),
        Grade::Gained => ("gained", "1;32"),
    };
    let grade = out.painted(&format!("{word:<8}"), paint);
    let _ = writeln!(out.text, "    {grade}  {}: {}", clean(&flow.sources.words), clean(&flow.summary));
    write_shares(out, "before", &flow.before);
    write_shares(out, "after", &flow.after);
    let reasons =
        flow.after.iter().filter(|share| share.verdict != Verdict::Deliver).map(|share| &share.reason);
    let why = flow.cause.as_ref().into_iter().chain(reasons).next();
    if let Some(why) = why.filter(|why| !why.is_empty()) {
        out.line(14, &format!("why     {why}"));
    }
}

fn write_shares(out: &mut Out, when: &str, shares: &[Share]) {
    let words: Vec<String> = shares.iter().take(MOST_SHARES).map(share).collect();
    let rest = shares.len() - words.len();
    let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    out.line(14, &format!("{when:<7} {}{more}", words.join(", ")));
}

fn share(share: &Share) -> String {
    let [part, whole] = share.fraction;
    let how_much = if part == whole { "all".to_owned() } else { format!("{part}/{whole}") };
    let mut text = match share.endpoint {
        Some(endpoint) => format!("{how_much} {endpoint}"),
        None => format!("{how_much} {}", verdict(share.verdict)),
    };
    if let Some(pod) = &share.pod {
        let _ = write!(text, " ({pod})");
    }
    if share.masquerade {
        text.push_str(" masqueraded");
    }
    if let Some(condition) = &share.condition {
        let _ = write!(text, " if {condition}");
    }
    text
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deliver => "delivered",
        Verdict::Accept => "answered by the node",
        Verdict::Drop => "dropped",
        Verdict::Reject => "refused",
        Verdict::NoMatch => "not touched",
        Verdict::Unknown => "unknown",
    }
}

/// `shop/cart http, cluster IP 10.96.1.5:80/tcp`.
fn target_words(target: &Target) -> String {
    let who = target.service.as_ref().map_or_else(|| "no Service".to_owned(), ToString::to_string);
    let name = if target.port_name.is_empty() { String::new() } else { format!(" {}", target.port_name) };
    let kind = match target.kind {
        TargetKind::ClusterIp => "cluster IP",
        TargetKind::ExternalIp => "external IP",
        TargetKind::LoadBalancer => "load balancer",
        TargetKind::NodePort => "node port",
        TargetKind::LocalhostNodePort => "node port on localhost",
        TargetKind::HealthCheck => "health check",
        TargetKind::UnusedPort => "unused port",
    };
    let protocol = target.protocol.lower();
    match target.ip {
        Some(ip) => {
            let address = std::net::SocketAddr::new(ip, target.port);
            format!("{who}{name}, {kind} {address}/{protocol}")
        }
        None => format!("{who}{name}, {kind} {}/{protocol} ({})", target.port, target.family),
    }
}

fn connections(out: &mut Out, broken: &[BrokenConnections]) {
    if broken.is_empty() {
        return;
    }
    out.heading("open connections");
    for each in broken {
        let end = match each.end {
            End::Reset => "reset",
            End::TimeOut => "time out",
            End::Moved => "moved",
        };
        let endpoint = each.endpoint.map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        let pod = each.pod.as_ref().map(|pod| format!(" ({pod})")).unwrap_or_default();
        let nodes: Vec<String> = each.nodes.iter().map(ToString::to_string).collect();
        let nodes = if nodes.is_empty() { String::new() } else { format!("; on {}", nodes.join(", ")) };
        out.line(2, &format!("{end:<8}  {}{endpoint}{pod}{nodes}", target_words(&each.target)));
        out.line(12, &each.reason);
    }
}

fn rules(out: &mut Out, changes: &[RulesChange]) {
    if changes.is_empty() {
        return;
    }
    out.heading("rules");
    for change in changes {
        let mode = match (change.mode_before, change.mode_after) {
            (Some(before), Some(after)) if before == after => before.to_string(),
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (Some(before), None) => format!("{before} → gone"),
            (None, Some(after)) => format!("new, {after}"),
            (None, None) => String::new(),
        };
        let (node, family) = (&change.node, change.family);
        out.line(2, &format!("{node} {family} {mode}  +{} -{}", change.added, change.removed));
        for line in change.lines.iter().take(MOST_LINES) {
            let (sign, paint) = match line.fate {
                Fate::Added => ("+", "32"),
                Fate::Removed => ("-", "31"),
            };
            let text = out.painted(&format!("{sign} {}", clean(&line.line.text)), paint);
            let _ = writeln!(out.text, "    {text}");
        }
        let rest = (change.added + change.removed).saturating_sub(change.lines.len().min(MOST_LINES));
        if rest > 0 {
            out.line(4, &format!("and {}", count(rest, "more line")));
        }
    }
}

fn write_finding(out: &mut Out, sign: &str, finding: &Finding) {
    let paint = match finding.severity {
        Severity::Error => "1;31",
        Severity::Warn => "1;33",
        Severity::Info => "1;36",
    };
    let severity = out.painted(&format!("{:5}", finding.severity), paint);
    let subject = clean(&finding.subject.to_string());
    let _ = writeln!(out.text, "  {sign} {severity} {} {subject}: {}", finding.code, clean(&finding.message));
}

fn summary(report: &Report) -> String {
    let difference = &report.difference;
    let of = |grade: Grade| difference.flows.iter().filter(|flow| flow.grade == grade).count();
    let grades = [
        (Grade::Lost, "lost"),
        (Grade::Degraded, "degraded"),
        (Grade::Moved, "moved"),
        (Grade::Gained, "gained"),
    ];
    let grades: Vec<String> = grades
        .into_iter()
        .filter(|(grade, _)| of(*grade) > 0)
        .map(|(grade, word)| format!("{} {word}", of(grade)))
        .collect();
    let flows = count(difference.flows.len(), "flow");
    let flows = if grades.is_empty() {
        format!("{flows} change")
    } else {
        format!("{flows} change: {}", grades.join(", "))
    };
    let (appeared, vanished) = (difference.findings.appeared.len(), difference.findings.vanished.len());
    format!(
        "{flows}; {}, {vanished} vanish",
        count(appeared, "finding") + if appeared == 1 { " appears" } else { " appear" }
    )
}
