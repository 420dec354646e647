//! A difference as text for people: changed flows in groups, or each of them, the gravest first, then what happens to open
//! connections, rules and findings. What comes from the cluster is stripped of control characters, which a terminal would obey.

use std::fmt::Write;

use vipscope_shared::diagnose::Finding;
use vipscope_shared::model::Key;
use vipscope_shared::trace::Verdict;
use vipscope_shared::whatif::difference::{
    BrokenConnections, Difference, End, Fate, FlowChange, FlowGroup, Grade, GroupPart, RulesChange, Share,
    Target, TargetKind,
};

use super::{Colour, clean};

/// Outcomes that are shown of each side of a flow; more are counted.
const MOST_SHARES: usize = 6;
/// Services that are named in a line of a group in which no flow fails; more are counted.
const MOST_SERVICES: usize = 12;
/// Lines of rules that are shown for each node.
const MOST_LINES: usize = 8;

/// How changed flows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Flows of which the same can be said in one group.
    Groups,
    /// Each with its shares.
    Flows,
}

/// True if nothing differs.
pub fn is_empty(difference: &Difference) -> bool {
    let Difference { flows, connections, rules, findings, groups: _ } = difference;
    let nothing_found = findings.appeared.is_empty() && findings.vanished.is_empty();
    flows.is_empty() && connections.is_empty() && rules.is_empty() && nothing_found
}

/// The whole difference.
pub fn text(difference: &Difference, detail: Detail, colour: Colour) -> String {
    let mut page = Page { out: String::new(), colour };
    page.flows(difference, detail);
    page.connections(&difference.connections);
    page.rules(&difference.rules);
    page.findings(difference);
    page.out
}

struct Page {
    out: String,
    colour: Colour,
}

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }

    fn painted(&self, text: &str, code: &str) -> String {
        match self.colour {
            Colour::Plain => text.to_owned(),
            Colour::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }

    fn heading(&mut self, text: &str) {
        if !self.out.is_empty() {
            self.line("");
        }
        let text = self.painted(text, "1");
        self.line(&text);
    }

    fn flows(&mut self, difference: &Difference, detail: Detail) {
        let Difference { flows, groups, .. } = difference;
        if flows.is_empty() {
            return self.line("No flow differs.");
        }
        let count = |grade: Grade| flows.iter().filter(|flow| flow.grade == grade).count();
        let counts = [Grade::Lost, Grade::Degraded, Grade::Moved, Grade::Gained]
            .map(|grade| (count(grade), word(grade)));
        let counts =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let number = noun(flows.len(), "changed flow", "changed flows");
        if detail == Detail::Flows {
            self.heading(&format!("{number}: {counts}"));
            return flows.iter().for_each(|flow| self.flow(flow));
        }
        let in_groups = noun(groups.len(), "group", "groups");
        self.heading(&format!("{number} in {in_groups}: {counts} (--all shows each flow)"));
        groups.iter().for_each(|group| self.group(group));
    }

    /// The grade and what it is about.
    fn head(&mut self, grade: Grade, text: &str) {
        let paint = match grade {
            Grade::Lost => "1;31",
            Grade::Degraded => "1;33",
            Grade::Moved => "1;36",
            Grade::Gained => "1;32",
        };
        let grade = self.painted(&format!("{:8}", word(grade)), paint);
        self.line("");
        self.line(&format!("{grade} {}", clean(text)));
    }

    fn group(&mut self, group: &FlowGroup) {
        let flows = noun(group.flows().len(), "flow", "flows");
        let services = group.services();
        let is_one = services.len() == 1;
        let title = match services[..] {
            [] => "addresses that no Service has".to_owned(),
            [one] => one.to_string(),
            _ => format!("{} Services", services.len()),
        };
        self.head(group.grade, &format!("{title}: {} ({flows})", group.change));
        if let Some(part) = &group.failing {
            self.line(&format!("  fails   {part} of new connections"));
        }
        let most = match group.grade {
            // Whatever fails is named.
            Grade::Lost | Grade::Degraded => usize::MAX,
            Grade::Moved | Grade::Gained => MOST_SERVICES,
        };
        for part in &group.parts {
            self.part(part, is_one, most);
        }
        if let Some(cause) = &group.cause {
            self.line(&format!("  cause   {}", clean(cause)));
        }
    }

    fn part(&mut self, part: &GroupPart, is_one: bool, most: usize) {
        self.line(&format!("  from    {}", clean(&part.sources)));
        for reached in &part.to {
            let to = match is_one {
                true => reached.words.clone(),
                false => format!("{} {}", names(&reached.services, most), reached.words),
            };
            self.line(&format!("  to      {}", clean(to.trim_start())));
        }
    }

    fn flow(&mut self, flow: &FlowChange) {
        self.head(flow.grade, &target(&flow.target));
        self.line(&format!("  from    {}", clean(&flow.sources.words)));
        self.line(&format!("  change  {}", clean(&flow.summary)));
        self.shares("before", &flow.before);
        self.shares("after", &flow.after);
        if let Some(cause) = &flow.cause {
            self.line(&format!("  cause   {}", clean(cause)));
        }
    }

    fn shares(&mut self, when: &str, shares: &[Share]) {
        for (nth, share) in shares.iter().take(MOST_SHARES).enumerate() {
            let when = if nth == 0 { when } else { "" };
            let line = format!("  {when:<7} {}", clean(&outcome(share)));
            self.line(line.trim_end());
        }
        if shares.len() > MOST_SHARES {
            self.line(&format!("          and {} more", shares.len() - MOST_SHARES));
        }
        // What the choice depends on is the same for all of them.
        if let Some(condition) = shares.iter().find_map(|share| share.condition.as_ref()) {
            let condition = self.painted(&format!("({})", clean(condition)), "2");
            self.line(&format!("          {condition}"));
        }
    }

    fn connections(&mut self, connections: &[BrokenConnections]) {
        if connections.is_empty() {
            return;
        }
        self.heading("Connections that would not go on as they are");
        for broken in connections {
            let end = match broken.end {
                End::Reset => "reset",
                End::TimeOut => "time out",
                End::Moved => "move",
                End::Unknown => "unknown",
                End::Unpinned => "unpinned",
            };
            let endpoint = match (&broken.pod, broken.endpoint) {
                (Some(pod), Some(at)) => format!("to pod {pod} ({at})"),
                (None, Some(at)) => format!("to {at}"),
                (Some(pod), None) => format!("to pod {pod}"),
                (None, None) => "to any endpoint".to_owned(),
            };
            let nodes: Vec<&str> = broken.nodes.iter().map(|node| &**node).collect();
            let on = if nodes.is_empty() { String::new() } else { format!(", on {}", nodes.join(", ")) };
            let line = format!("{end:<8} {} {endpoint}{on}", target(&broken.target));
            self.line(&clean(&line));
            let reason = self.painted(&clean(&broken.reason), "2");
            self.line(&format!("         {reason}"));
        }
    }

    fn rules(&mut self, rules: &[RulesChange]) {
        if rules.is_empty() {
            return;
        }
        self.heading("Rules");
        for change in rules {
            let mode = match (change.mode_before, change.mode_after) {
                (Some(before), Some(after)) if before == after => before.to_string(),
                (before, after) => {
                    let name = |mode: Option<vipscope_shared::model::ProxyMode>| {
                        mode.map_or_else(|| "not there".to_owned(), |mode| mode.to_string())
                    };
                    format!("{} → {}", name(before), name(after))
                }
            };
            let head =
                format!("{} {} {mode}: +{} −{}", change.node, change.family, change.added, change.removed);
            self.line(&clean(&head));
            for line in change.lines.iter().take(MOST_LINES) {
                let (sign, paint) = match line.fate {
                    Fate::Added => ("+", "32"),
                    Fate::Removed => ("-", "31"),
                };
                let text = self.painted(&clean(&format!("{sign} {}", line.line.text)), paint);
                self.line(&format!("  {text}"));
            }
            let left = (change.added + change.removed).saturating_sub(change.lines.len().min(MOST_LINES));
            if left > 0 {
                self.line(&format!("  and {left} more"));
            }
        }
    }

    fn findings(&mut self, difference: &Difference) {
        let rows = [
            ("New findings", &difference.findings.appeared),
            ("Findings that vanish", &difference.findings.vanished),
        ];
        for (heading, findings) in rows {
            if findings.is_empty() {
                continue;
            }
            self.heading(heading);
            for finding in findings {
                let Finding { severity, code, subject, message, .. } = finding;
                let line = format!("{severity:5} {code} {subject}: {message}");
                self.line(&clean(&line));
            }
        }
    }
}

fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Lost => "lost",
        Grade::Degraded => "degraded",
        Grade::Moved => "moved",
        Grade::Gained => "gained",
    }
}

/// `shop/cart, shop/web and 3 more`.
fn names(services: &[Key], most: usize) -> String {
    let names: Vec<String> = services.iter().take(most).map(ToString::to_string).collect();
    match (services.len().saturating_sub(most), &names[..]) {
        (0, [some @ .., last]) if !some.is_empty() => format!("{} and {last}", some.join(", ")),
        (0, names) => names.concat(),
        (more, names) => format!("{} and {more} more", names.join(", ")),
    }
}

/// `shop/cart:http cluster IP 10.96.0.10:80 tcp`.
fn target(target: &Target) -> String {
    let port_name =
        if target.port_name.is_empty() { String::new() } else { format!(":{}", target.port_name) };
    let service = target.service.as_ref().map(|key| format!("{key}{port_name} ")).unwrap_or_default();
    let at = |own: &str| match target.ip {
        Some(ip) => std::net::SocketAddr::new(ip, target.port).to_string(),
        None => format!("{own}:{}", target.port),
    };
    let place = match target.kind {
        TargetKind::ClusterIp => format!("cluster IP {}", at("")),
        TargetKind::ExternalIp => format!("external IP {}", at("")),
        TargetKind::LoadBalancer => format!("load balancer IP {}", at("")),
        TargetKind::NodePort => format!("node port {}", at("NODE")),
        TargetKind::LocalhostNodePort => format!("node port {}", at("localhost")),
        TargetKind::HealthCheck => format!("health check node port {}", at("NODE")),
        TargetKind::UnusedPort => {
            let ip = target.ip.map(|ip| ip.to_string()).unwrap_or_default();
            return format!("{service}any unused port of {ip}, {}", target.family);
        }
    };
    format!("{service}{place} {}, {}", target.protocol.lower(), target.family)
}

fn outcome(share: &Share) -> String {
    let [part, whole] = share.fraction;
    let share_of = if whole == 1 { String::new() } else { format!("{part}/{whole} ") };
    match (share.verdict, share.endpoint) {
        (Verdict::Deliver, Some(endpoint)) => {
            let pod = share.pod.as_ref().map(|pod| format!(" pod {pod}")).unwrap_or_default();
            let source = if share.masquerade { ", masqueraded" } else { "" };
            format!("{share_of}{endpoint}{pod}{source}")
        }
        _ => format!("{share_of}{}", share.reason),
    }
}

fn noun(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
