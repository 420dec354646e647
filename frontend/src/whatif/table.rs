//! A difference as the lines of a table: who, to where, before, after, why.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use vipscope_shared::model::{ClusterState, Key, Text};
use vipscope_shared::predict::cards::fraction_text;
use vipscope_shared::predict::names::{Destination, Source};
use vipscope_shared::trace::{Fraction, Origin, Verdict};
use vipscope_shared::whatif::difference::{
    Difference, FlowChange, Grade, Share, SourceClass, Target, TargetKind,
};

use crate::view_state::{Telling, Traced};
use crate::words;

/// Endpoints have so many colours; later ones start over.
const HUES: usize = 6;
/// More shares than this are no bands any longer that an eye could tell apart: they become one.
const BANDS: usize = 24;

/// How a cell should strike the eye; its words say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Warn,
    Bad,
    Good,
}

impl Tone {
    pub fn as_str(self) -> &'static str {
        match self {
            Tone::Plain => "plain",
            Tone::Warn => "warn",
            Tone::Bad => "bad",
            Tone::Good => "good",
        }
    }
}

/// A part of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// 0 to 1.
    pub part: f64,
    /// Part of the CSS class: an endpoint's colour, or what becomes of the rest.
    pub look: String,
}

/// What happens before, or after.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub bands: Vec<Band>,
    pub words: String,
    pub tone: Tone,
    /// One line each: the share, and who gets it or what becomes of it.
    pub lines: Vec<(String, String)>,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub grade: Grade,
    pub who: String,
    /// `cart:http`.
    pub to: String,
    /// `10.96.0.21:80 tcp`.
    pub address: String,
    pub service: Option<Key>,
    pub before: Cell,
    pub after: Cell,
    pub why: String,
    /// What to trace to see it.
    pub trace: Option<Traced>,
}

/// All lines, in the difference's order.
pub fn rows(state: &ClusterState, difference: &Difference) -> Vec<Row> {
    difference.flows.iter().map(|flow| row(state, flow)).collect()
}

/// How many flows change, how many of them would fail, and how many get worse.
pub fn counts(difference: &Difference) -> [usize; 3] {
    let of = |grade: Grade| difference.flows.iter().filter(|flow| flow.grade == grade).count();
    [difference.flows.len(), of(Grade::Lost), of(Grade::Degraded)]
}

fn row(state: &ClusterState, flow: &FlowChange) -> Row {
    let ends: BTreeSet<SocketAddr> =
        flow.before.iter().chain(&flow.after).filter_map(|share| share.endpoint).collect();
    let ends: Vec<SocketAddr> = ends.into_iter().collect();
    let same = by_endpoint(&flow.before) == by_endpoint(&flow.after);
    let source = if same { Shown::Source } else { Shown::Ends };
    let (mut before, mut after) = (cell(&flow.before, &ends, source), cell(&flow.after, &ends, source));
    let delivered = |shares: &[Share]| shares.iter().filter(|one| one.verdict == Verdict::Deliver).count();
    match flow.grade {
        Grade::Lost => after.tone = Tone::Bad,
        Grade::Degraded => after.tone = Tone::Warn,
        Grade::Moved if delivered(&flow.after) == 1 && delivered(&flow.before) > 1 => {
            after.tone = Tone::Warn;
            after.words.push_str(", no spare");
        }
        Grade::Moved => {}
        Grade::Gained => {
            before.tone = Tone::Bad;
            after.tone = Tone::Good;
        }
    }
    let (to, address) = place_of(&flow.target);
    Row {
        grade: flow.grade,
        who: flow.sources.words.clone(),
        to,
        address,
        service: flow.target.service.clone(),
        before,
        after,
        why: flow.cause.clone().unwrap_or_else(|| why(flow)),
        trace: flow.sources.classes.first().and_then(|class| traced(state, class, &flow.target)),
    }
}

/// The reason of what fails afterwards, else of what is new, else what changes at all.
fn why(flow: &FlowChange) -> String {
    let fails = flow.after.iter().find(|share| share.verdict != Verdict::Deliver);
    let failed = flow.before.iter().find(|share| share.verdict != Verdict::Deliver);
    match (flow.grade, fails, failed) {
        (Grade::Lost | Grade::Degraded, Some(share), _) => share.reason.clone(),
        _ => flow.summary.clone(),
    }
}

fn by_endpoint(shares: &[Share]) -> Vec<(Option<SocketAddr>, Verdict, [u64; 2])> {
    let mut all: Vec<_> =
        shares.iter().map(|share| (share.endpoint, share.verdict, share.fraction)).collect();
    all.sort_unstable();
    all
}

/// What the words of a cell are about.
#[derive(Clone, Copy)]
enum Shown {
    Ends,
    /// The endpoints are the same: which source address they see.
    Source,
}

fn cell(shares: &[Share], ends: &[SocketAddr], shown: Shown) -> Cell {
    let hue = |share: &Share| match (share.verdict, share.endpoint) {
        (Verdict::Deliver, Some(end)) => {
            format!("hue{}", ends.iter().position(|known| *known == end).unwrap_or_default() % HUES)
        }
        (Verdict::Deliver | Verdict::Accept, _) => "taken".to_owned(),
        (Verdict::Unknown, _) => "unknown".to_owned(),
        (Verdict::NoMatch, _) => "untouched".to_owned(),
        _ => "lost".to_owned(),
    };
    let band = |share: &Share| Band { part: part(share.fraction), look: hue(share) };
    let bands = match shares.len() {
        0..=BANDS => shares.iter().map(band).collect(),
        _ => vec![Band { part: 1.0, look: "many".to_owned() }],
    };
    let line = |share: &Share| {
        let pod = share.pod.as_ref().map(|pod| pod.name.to_string());
        let who = pod.or_else(|| share.endpoint.map(|end| end.to_string()));
        let who = who.unwrap_or_else(|| fate(share));
        let note = if share.masquerade && share.verdict == Verdict::Deliver { " (masqueraded)" } else { "" };
        let condition = share.condition.as_ref().map(|text| format!(", {text}")).unwrap_or_default();
        (fraction_text(share.fraction), format!("{who}{note}{condition}"))
    };
    Cell { bands, words: words(shares, shown), tone: Tone::Plain, lines: shares.iter().map(line).collect() }
}

/// What becomes of a connection that no endpoint gets.
fn fate(share: &Share) -> String {
    let word = verdict_word(share.verdict);
    if share.reason.starts_with(word) { share.reason.clone() } else { format!("{word}: {}", share.reason) }
}

fn part([part, whole]: [u64; 2]) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// `3 pods · 1/3 each`, `2 pods, 1/3 refused`, `refused`.
fn words(shares: &[Share], shown: Shown) -> String {
    let delivered: Vec<&Share> = shares.iter().filter(|share| share.verdict == Verdict::Deliver).collect();
    let mut parts = Vec::new();
    if !delivered.is_empty() {
        let pods = delivered.iter().all(|share| share.pod.is_some());
        let (one, many) = if pods { ("pod", "pods") } else { ("endpoint", "endpoints") };
        let mut text = words::count(delivered.len(), one, many);
        let first = delivered[0].fraction;
        if delivered.len() > 1 && delivered.iter().all(|share| share.fraction == first) {
            text.push_str(&format!(" · {} each", fraction_text(first)));
        }
        parts.push(text);
        if matches!(shown, Shown::Source) {
            parts.extend(source_seen(&delivered));
        }
    }
    let mut others: Vec<(Verdict, Option<Fraction>)> = Vec::new();
    for share in shares.iter().filter(|share| share.verdict != Verdict::Deliver) {
        let own = Fraction::new(share.fraction[0], share.fraction[1]);
        match others.iter_mut().find(|(verdict, _)| *verdict == share.verdict) {
            Some((_, sum)) => *sum = sum.zip(own).and_then(|(sum, own)| sum.plus(own)),
            None => others.push((share.verdict, own)),
        }
    }
    for (verdict, sum) in others {
        let health = shares.iter().filter(|share| share.verdict == verdict).find_map(|share| share.health);
        let word = health.map_or_else(|| verdict_word(verdict).to_owned(), health_words);
        let sum = sum.map(|sum| fraction_text([sum.numerator(), sum.denominator()]));
        parts.push(match sum.filter(|sum| sum != "all") {
            Some(sum) => format!("{sum} {word}"),
            None => word,
        });
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

fn source_seen(delivered: &[&Share]) -> Option<String> {
    let masqueraded = delivered.iter().filter(|share| share.masquerade).count();
    Some(match masqueraded {
        0 => "source kept".to_owned(),
        some if some == delivered.len() => "masqueraded".to_owned(),
        some => format!("masqueraded for {some}"),
    })
}

/// What kube-proxy answers a balancer that asks for the node's endpoints.
fn health_words(endpoints: u32) -> String {
    match endpoints {
        0 => "answers 503".to_owned(),
        _ => {
            format!("answers 200, {}", words::count(endpoints as usize, "local endpoint", "local endpoints"))
        }
    }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Deliver => "delivered",
        Verdict::Accept => "taken by the node",
        Verdict::Drop => "dropped",
        Verdict::Reject => "refused",
        Verdict::NoMatch => "not touched by any rule",
        Verdict::Unknown => "unknown",
    }
}

/// `cart:http` and `10.96.0.21:80 tcp`.
pub fn place_of(target: &Target) -> (String, String) {
    let port = match (&*target.port_name, target.kind) {
        ("", TargetKind::NodePort | TargetKind::LocalhostNodePort | TargetKind::HealthCheck) => String::new(),
        (_, TargetKind::UnusedPort) => " · any other port".to_owned(),
        ("", _) => format!(":{}", target.port),
        (name, _) => format!(":{name}"),
    };
    let name = target.service.as_ref().map(|key| format!("{}{port}", key.name));
    let protocol = target.protocol.lower();
    let address = match (target.kind, target.ip) {
        (TargetKind::NodePort, _) => format!("node port {} {protocol}", target.port),
        (TargetKind::LocalhostNodePort, _) => format!("127.0.0.1:{} {protocol}", target.port),
        (TargetKind::HealthCheck, _) => format!("health check {}", target.port),
        (TargetKind::UnusedPort, Some(ip)) => {
            format!("such as {} {protocol}", words::socket(ip, target.port))
        }
        (_, Some(ip)) => format!("{} {protocol}", words::socket(ip, target.port)),
        (_, None) => format!("{} {protocol}", target.port),
    };
    match name {
        Some(name) => (name, address),
        None => (address, String::new()),
    }
}

/// A packet of the class, to the destination.
fn traced(state: &ClusterState, class: &SourceClass, target: &Target) -> Option<Traced> {
    let node = class.node()?;
    let from = match (class.pods.first(), class.origin) {
        (Some(pod), _) => Source::Pod(pod.clone()),
        (None, Origin::Node) => Source::Node(node.clone()),
        (None, _) => Source::Ip(class.example),
    };
    let own = || state.node(node)?.primary_ip(target.family);
    let ip = match target.kind {
        TargetKind::LocalhostNodePort => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        _ => target.ip.or_else(own),
    }?;
    let to = match (&target.service, target.kind) {
        (Some(service), TargetKind::ClusterIp) => {
            let name = if target.port_name.is_empty() {
                Text::from(target.port.to_string())
            } else {
                target.port_name.clone()
            };
            Destination::Service(service.clone(), Some(name))
        }
        _ => Destination::Socket((ip, target.port).into()),
    };
    let is_bare = matches!(to, Destination::Socket(_));
    Some(Traced {
        from,
        to,
        protocol: Some(target.protocol).filter(|_| is_bare),
        node: Some(node.clone()),
        mode: None,
        telling: Telling::Steps,
        answer: 0,
    })
}
