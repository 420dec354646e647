//! `vipscope trace`: where packets go on one node, from a file of Kubernetes objects. For people as text, for programs as
//! JSON, one result a line.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use vipscope_shared::model::{ClusterState, IpFamily, Protocol, ProxyMode};
use vipscope_shared::predict::names::{Source, Target, TargetKind};
use vipscope_shared::predict::{Answer, OutcomeView, Predictor, Question, Reply, StepView, ask};
use vipscope_shared::proxy::find_node;
use vipscope_shared::trace::{Origin, Verdict};

use super::{cluster_file, print};
use crate::args::TraceArgs;

pub fn run(args: &TraceArgs) -> Result<()> {
    let state = cluster_file::load(&args.cluster, args.proxy_config.as_deref())?;
    match &args.packets {
        Some(file) => many(&state, args, file),
        None => one(&state, args),
    }
}

fn one(state: &ClusterState, args: &TraceArgs) -> Result<()> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else {
        bail!("trace needs --from and --to, or --packets");
    };
    let question = Question {
        node: args.node.as_str().into(),
        mode: args.mode,
        from: from.clone(),
        to: to.clone(),
        protocol: args.protocol,
    };
    let reply = ask(state, &question)
        .with_context(|| format!("{}: --from {from} --to {to}", args.cluster.display()))?;
    match reply {
        Reply::Answers(answers) if args.json => print(&lines(&answers)?),
        Reply::Answers(answers) => {
            let texts: Vec<String> = answers.iter().map(|answer| text(answer, from)).collect();
            print(&texts.join("\n"))
        }
        Reply::Resolution(resolution) if args.json => print(&(serde_json::to_string(&resolution)? + "\n")),
        Reply::Resolution(resolution) => print(&format!("{}\n", resolution.words())),
    }
}

fn lines(answers: &[Answer]) -> Result<String> {
    let mut out = String::new();
    for answer in answers {
        out.push_str(&serde_json::to_string(answer)?);
        out.push('\n');
    }
    Ok(out)
}

/// One row of `--packets`.
struct Row {
    from: Source,
    target: Target,
}

/// The rules of the whole node are made once in each family.
fn many(state: &ClusterState, args: &TraceArgs, file: &Path) -> Result<()> {
    let shown = file.display().to_string();
    if file.as_os_str() == "-" && args.cluster.as_os_str() == "-" {
        bail!("--cluster and --packets can't both be standard input");
    }
    let text = cluster_file::read(file, &shown)?;
    let rows: Value = serde_json::from_str(&text).with_context(|| format!("{shown}: not JSON"))?;
    let rows = rows.as_array().with_context(|| format!("{shown}: expected an array of packets"))?;
    let mut predictors: HashMap<IpFamily, Predictor> = HashMap::new();
    let mut out = String::new();
    for (nth, value) in rows.iter().enumerate() {
        let about = || format!("{shown}: packet {nth}");
        let row = row(value).with_context(about)?;
        let family = IpFamily::of(row.target.to.ip());
        let node = find_node(state, &args.node, family).with_context(|| format!("--node {}", args.node))?;
        let packet = row.from.packet(state, node, &row.target).with_context(about)?;
        let mode = mode(state, args);
        let predictor = predictors.entry(family).or_insert_with(|| Predictor::new(state, node, family, mode));
        out.push_str(&serde_json::to_string(&predictor.answer(state, &packet))?);
        out.push('\n');
    }
    print(&out)
}

fn mode(state: &ClusterState, args: &TraceArgs) -> ProxyMode {
    args.mode.unwrap_or_else(|| state.proxy_settings(&args.node).mode)
}

fn row(value: &Value) -> Result<Row> {
    let object =
        value.as_object().context("expected an object with source, destination, port and protocol")?;
    let known = ["source", "destination", "port", "protocol"];
    if let Some(other) = object.keys().find(|name| !known.contains(&name.as_str())) {
        bail!("{other}: unknown field; a packet has source, destination, port and protocol");
    }
    let field = |name: &str| -> Result<&str> {
        object.get(name).and_then(Value::as_str).with_context(|| format!("{name}: expected a string"))
    };
    let from: Source = field("source")?.parse().context("source")?;
    let ip = field("destination")?.parse().map_err(|_| anyhow!("destination: expected an IP address"))?;
    let port = object.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let port = port.context("port: expected a number from 0 to 65535")?;
    let protocol = match object.get("protocol") {
        None => Protocol::Tcp,
        Some(name) => {
            name.as_str().and_then(|name| name.parse().ok()).context("protocol: expected tcp, udp or sctp")?
        }
    };
    let to = std::net::SocketAddr::new(ip, port);
    Ok(Row { from, target: Target { to, protocol, kind: TargetKind::Address } })
}

/// For people: the way that all outcomes share, then the share of each, then how it goes on, then the verdict.
fn text(answer: &Answer, from: &Source) -> String {
    let mut out = String::new();
    let packet = &answer.packet;
    let source = packet.source.to_string();
    let who = match (from.to_string(), packet.origin) {
        (name, Origin::Node) if name == source => format!("{source}, the node itself"),
        (name, Origin::Pod) if name == source => format!("{source}, a pod on it"),
        (name, Origin::Outside) if name == source => format!("{source}, from outside"),
        (name, _) => format!("{name} ({source})"),
    };
    let to = std::net::SocketAddr::new(packet.destination, packet.port);
    let _ = writeln!(out, "from   {who}");
    let service = answer.service.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let _ = writeln!(out, "to     {to} {}{service}", packet.protocol.lower());
    let _ = writeln!(out, "on     {}, {}, {}, predicted\n", answer.node, answer.mode, answer.family);

    let shared = answer.shared_steps();
    let first = answer.outcomes.first().map(|outcome| outcome.steps.as_slice()).unwrap_or_default();
    first.iter().take(shared).for_each(|step| write_step(step, &mut out));
    if answer.outcomes.len() > 1 {
        let _ = writeln!(out, "\n  one of {}:", answer.outcomes.len());
        answer.outcomes.iter().for_each(|outcome| write_share(outcome, &mut out));
        let _ = writeln!(out, "\n  then, for the first of them:");
    }
    first.iter().skip(shared).for_each(|step| write_step(step, &mut out));
    let _ = writeln!(out, "\n{}", verdict(answer));
    out
}

fn write_step(step: &StepView, out: &mut String) {
    let place = match (&*step.table, &*step.chain) {
        ("", _) => String::new(),
        (table, chain) => format!("{table} {chain}"),
    };
    let _ = writeln!(out, "  {:<12} {:<34} {}", step.hook, place, step.effect);
    if !step.rule.is_empty() {
        let _ = writeln!(out, "  {:<12} {}", "", step.rule);
    }
    if let Some(element) = &step.element {
        let _ = writeln!(out, "  {:<12} {element}", "");
    }
}

fn write_share(outcome: &OutcomeView, out: &mut String) {
    let [part, whole] = outcome.fraction;
    let pod = outcome.pod.as_ref().map(|pod| format!("  pod {pod}")).unwrap_or_default();
    let source = if outcome.masquerade { "  masqueraded" } else { "" };
    let share = format!("{part}/{whole}");
    let verdict = if outcome.verdict == Verdict::Deliver { "" } else { outcome.verdict.as_str() };
    let _ = writeln!(
        out,
        "    {share:<8} {:>6.2} %  {}{pod}{source} {verdict}",
        outcome.probability * 100.0,
        outcome.destination
    );
}

fn verdict(answer: &Answer) -> String {
    let Some(first) = answer.outcomes.first() else { return "verdict: unknown".to_owned() };
    let word = answer.headline();
    let mut text = format!("verdict: {word}\nreason:  {}", first.reason);
    if let Some(condition) = &first.condition {
        let _ = write!(text, "\ndepends: {condition}");
    }
    text
}
