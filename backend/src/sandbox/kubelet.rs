//! The kubelets of all nodes in one task: pods start, become ready, fail, heal and stop, each after a while.
//!
//! What a pod needs next is a pure function of its object ([`next_step`]); the task only waits and then does it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use vipscope_shared::model::Key;

use super::events::{self, Happening, Severity};
use super::object::{self, Object};
use super::objects::{self, Part};
use super::resources::Type;
use super::store::{Store, Transaction};

/// `false` on a pod keeps it from being ready.
pub const READY_ANNOTATION: &str = "vipscope.dev/ready";
/// `true` on a pod makes its containers crash.
pub const CRASH_ANNOTATION: &str = "vipscope.dev/crash";
/// How many seconds a deleted pod goes on serving.
pub const DRAIN_ANNOTATION: &str = "vipscope.dev/drain-seconds";

const DRAIN: Duration = Duration::from_secs(6);
/// How often pods on a silent node are looked at.
const SILENCE: Duration = Duration::from_secs(1);

/// What a kubelet does to a pod next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Accept it: ContainerCreating.
    Accept,
    /// Give it an address and start its containers.
    Start,
    BecomeReady,
    FailProbe,
    Crash,
    /// Containers run again after a crash.
    Restart,
    /// Its containers have stopped.
    Stop,
}

/// The next step of a pod and how long it takes; `None` if it is as it should be, or not on a node.
fn next_step(pod: &Value) -> Option<(Duration, Step)> {
    let millis = Duration::from_millis;
    let phase = object::text(pod, "/status/phase");
    if object::text(pod, "/spec/nodeName").is_empty() || matches!(phase, "Succeeded" | "Failed") {
        return None;
    }
    if object::is_terminating(pod) {
        return Some((drain(pod), Step::Stop));
    }
    let statuses = object::list(pod, "/status/containerStatuses");
    if phase != "Running" {
        return Some(if statuses.is_empty() {
            (millis(0), Step::Accept)
        } else {
            (millis(500), Step::Start)
        });
    }
    let crashing = object::annotation(pod, CRASH_ANNOTATION) == Some("true");
    let crashed = statuses.iter().any(|status| status["state"]["waiting"].is_object());
    if crashing != crashed {
        return Some(if crashing { (millis(100), Step::Crash) } else { (millis(800), Step::Restart) });
    }
    let wants_ready = !crashing && object::annotation(pod, READY_ANNOTATION) != Some("false");
    match (wants_ready, super::controllers::is_ready(pod)) {
        (true, false) => Some((millis(1200), Step::BecomeReady)),
        (false, true) => Some((millis(100), Step::FailProbe)),
        _ => None,
    }
}

/// How long a terminating pod keeps serving: never longer than its grace period.
fn drain(pod: &Value) -> Duration {
    let asked = object::annotation(pod, DRAIN_ANNOTATION).and_then(|text| text.parse().ok());
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
    asked.map_or(DRAIN, Duration::from_secs).min(Duration::from_secs(grace))
}

/// What is due when, by the uid of the pod.
#[derive(Debug, Default)]
struct Agenda {
    due: BTreeSet<(Instant, String)>,
    steps: BTreeMap<String, (Instant, Step, Key)>,
}

impl Agenda {
    /// Plans the pod's next step, unless it is planned already.
    fn plan(&mut self, pod: &Object) {
        let uid = object::uid(pod).to_owned();
        let next = next_step(pod);
        let planned = self.steps.get(&uid).map(|(_, step, _)| *step);
        if planned.is_some() && planned == next.map(|(_, step)| step) {
            return;
        }
        self.forget(&uid);
        if let Some((delay, step)) = next {
            let at = Instant::now() + delay;
            self.due.insert((at, uid.clone()));
            self.steps.insert(uid, (at, step, object::key(pod)));
        }
    }

    fn forget(&mut self, uid: &str) {
        if let Some((at, ..)) = self.steps.remove(uid) {
            self.due.remove(&(at, uid.to_owned()));
        }
    }

    /// Tries the step again later.
    fn postpone(&mut self, uid: String, step: Step, key: Key) {
        let at = Instant::now() + SILENCE;
        self.due.insert((at, uid.clone()));
        self.steps.insert(uid, (at, step, key));
    }

    /// When something is due; far away if nothing is planned.
    fn next(&self) -> Instant {
        self.due.first().map_or_else(|| Instant::now() + Duration::from_secs(3600), |(at, _)| *at)
    }

    fn take_due(&mut self) -> Vec<(String, Step, Key)> {
        let now = Instant::now();
        let mut taken = Vec::new();
        while let Some((at, uid)) = self.due.first().cloned()
            && at <= now
        {
            self.due.remove(&(at, uid.clone()));
            if let Some((_, step, key)) = self.steps.remove(&uid) {
                taken.push((uid, step, key));
            }
        }
        taken
    }
}

/// Runs until `stop`.
pub async fn run(store: Arc<Store>, stop: CancellationToken) {
    let mut changed = store.subscribe();
    let mut agenda = Agenda::default();
    // Before any event that can be remembered: begins with a look at everything.
    let mut seen = 0;
    loop {
        changed.mark_unchanged();
        seen = follow(&store, seen, &mut agenda);
        for (uid, step, key) in agenda.take_due() {
            if store.write(|tx| is_on_silent_node(tx, &key)) {
                agenda.postpone(uid, step, key);
            } else {
                store.write(|tx| act(tx, &key, &uid, step));
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            result = changed.changed() => if result.is_err() { return },
            () = tokio::time::sleep_until(agenda.next()) => {}
        }
    }
}

fn follow(store: &Store, seen: u64, agenda: &mut Agenda) -> u64 {
    let Ok((events, now)) = store.events_after(Type::Pods, seen, usize::MAX) else {
        let (objects, revision) = store.list(Type::Pods, "", None, None).unwrap_or_default();
        *agenda = Agenda::default();
        objects.iter().for_each(|pod| agenda.plan(pod));
        return revision;
    };
    for event in events {
        match (&event.before, &event.after) {
            (_, Some(pod)) => agenda.plan(pod),
            (Some(gone), None) => agenda.forget(object::uid(gone)),
            (None, None) => {}
        }
    }
    now
}

fn is_on_silent_node(tx: &Transaction<'_>, key: &Key) -> bool {
    let node = tx.get(Type::Pods, key).map(|pod| object::text(pod, "/spec/nodeName"));
    let node = node.and_then(|node| tx.get(Type::Nodes, &Key::cluster(node)));
    node.is_some_and(|node| super::nodes::is_silent(node))
}

/// Does a step, if it still is the pod's next one.
fn act(tx: &mut Transaction<'_>, key: &Key, uid: &str, step: Step) {
    let Some(pod) = tx.get(Type::Pods, key).cloned() else { return };
    if object::uid(&pod) != uid || next_step(&pod).map(|(_, step)| step) != Some(step) {
        return;
    }
    let stamp = tx.clock.stamp();
    let addresses = if step == Step::Start { addresses(tx, &pod) } else { Vec::new() };
    if step == Step::Stop {
        objects::stop_pod(tx, key);
        return;
    }
    note(tx, &pod, step);
    let hosts = node_ips(tx, object::text(&pod, "/spec/nodeName"));
    let _ = objects::modify(tx, Type::Pods, key, Part::Status, |pod| {
        let mut status = pod["status"].take();
        match step {
            Step::Accept => accept(pod, &mut status, &stamp, &hosts),
            Step::Start => {
                status["phase"] = "Running".into();
                if let Some(first) = addresses.first() {
                    status["podIP"] = first.as_str().into();
                    status["podIPs"] = ip_list(&addresses);
                }
                run_containers(&mut status, &stamp);
            }
            Step::Restart => run_containers(&mut status, &stamp),
            Step::BecomeReady => set_ready(&mut status, None, &stamp),
            Step::FailProbe => {
                let unready = unready_message(&status);
                set_ready(&mut status, Some(&unready), &stamp);
            }
            Step::Crash => crash(&mut status, &stamp),
            Step::Stop => {}
        }
        pod["status"] = status;
    });
}

/// The events that a kubelet writes about a step.
fn note(tx: &mut Transaction<'_>, pod: &Value, step: Step) {
    let mut record = |severity: Severity, reason: &str, message: String| {
        events::record(tx, pod, Happening { severity, reason, message: &message, component: "kubelet" });
    };
    for container in object::list(pod, "/spec/containers") {
        let (name, image) = (object::text(container, "/name"), object::text(container, "/image"));
        match step {
            Step::Start => {
                let pulled = format!("Container image \"{image}\" already present on machine");
                record(Severity::Normal, "Pulled", pulled);
                record(Severity::Normal, "Created", format!("Created container: {name}"));
                record(Severity::Normal, "Started", format!("Started container {name}"));
            }
            Step::Restart => record(Severity::Normal, "Started", format!("Started container {name}")),
            Step::FailProbe => {
                let why = format!("Readiness probe failed: the annotation {READY_ANNOTATION} says so");
                record(Severity::Warning, "Unhealthy", why);
            }
            Step::Crash => {
                let pod_id =
                    format!("{}_{}({})", object::name(pod), object::namespace(pod), object::uid(pod));
                let why = format!("Back-off restarting failed container {name} in pod {pod_id}");
                record(Severity::Warning, "BackOff", why);
            }
            Step::Accept | Step::BecomeReady | Step::Stop => {}
        }
    }
}

/// As in `podIPs` and `hostIPs`.
fn ip_list(ips: &[String]) -> Value {
    ips.iter().map(|ip| json!({ "ip": ip })).collect()
}

fn accept(pod: &Value, status: &mut Value, stamp: &str, hosts: &[String]) {
    status["phase"] = "Pending".into();
    status["startTime"] = stamp.into();
    status["hostIP"] = hosts.first().cloned().unwrap_or_default().into();
    status["hostIPs"] = ip_list(hosts);
    let containers = object::list(pod, "/spec/containers").iter();
    let statuses = containers.map(|container| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "ready": false, "started": false,
            "restartCount": 0, "state": { "waiting": { "reason": "ContainerCreating" } },
        })
    });
    status["containerStatuses"] = statuses.collect();
    status["conditions"] = json!([
        { "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": stamp },
        { "type": "Initialized", "status": "True", "lastProbeTime": null, "lastTransitionTime": stamp },
    ]);
    let unready = unready_message(status);
    set_ready(status, Some(&unready), stamp);
}

fn containers(status: &mut Value) -> &mut [Value] {
    status["containerStatuses"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default()
}

fn run_containers(status: &mut Value, stamp: &str) {
    for container in containers(status) {
        container["state"] = json!({ "running": { "startedAt": stamp } });
        container["started"] = true.into();
        container["containerID"] = "sandbox://none".into();
    }
}

fn crash(status: &mut Value, stamp: &str) {
    for container in containers(status) {
        let name = object::text(container, "/name").to_owned();
        let message = format!("back-off 5m0s restarting failed container={name}");
        container["state"] = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": message } });
        container["lastState"] =
            json!({ "terminated": { "exitCode": 1, "reason": "Error", "finishedAt": stamp } });
        container["started"] = false.into();
        container["restartCount"] = (container["restartCount"].as_i64().unwrap_or_default() + 1).into();
    }
    let unready = unready_message(status);
    set_ready(status, Some(&unready), stamp);
}

fn unready_message(status: &Value) -> String {
    let names: Vec<&str> =
        object::list(status, "/containerStatuses").iter().map(|one| object::text(one, "/name")).collect();
    format!("containers with unready status: [{}]", names.join(" "))
}

/// Sets the conditions Ready and ContainersReady: True, or False with this message.
fn set_ready(status: &mut Value, unready: Option<&str>, stamp: &str) {
    for container in containers(status) {
        container["ready"] = unready.is_none().into();
    }
    let conditions = &mut status["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    for kind in ["Ready", "ContainersReady"] {
        let mut condition = json!({
            "type": kind, "status": if unready.is_none() { "True" } else { "False" }, "lastProbeTime": null,
            "lastTransitionTime": stamp,
        });
        if let Some(message) = unready {
            condition["reason"] = "ContainersNotReady".into();
            condition["message"] = message.into();
        }
        let Some(list) = conditions.as_array_mut() else { return };
        match list.iter_mut().find(|old| old["type"] == kind) {
            Some(old) if old["status"] == condition["status"] => {}
            Some(old) => *old = condition,
            None => list.push(condition),
        }
    }
}

/// The node's internal addresses, the primary family first.
fn node_ips(tx: &Transaction<'_>, node: &str) -> Vec<String> {
    let Some(node) = tx.get(Type::Nodes, &Key::cluster(node)) else { return Vec::new() };
    let addresses = object::list(node, "/status/addresses").iter();
    let internal = addresses.filter(|address| address["type"] == "InternalIP");
    internal.map(|address| object::text(address, "/address").to_owned()).collect()
}

/// Addresses for a pod: the node's own for host-network pods, else one of each of the node's CIDRs.
fn addresses(tx: &Transaction<'_>, pod: &Value) -> Vec<String> {
    let node = object::text(pod, "/spec/nodeName");
    if pod["spec"]["hostNetwork"] == true {
        return node_ips(tx, node);
    }
    let Some(node) = tx.get(Type::Nodes, &Key::cluster(node)) else { return Vec::new() };
    let Ok(primary) = object::text(node, "/spec/podCIDR").parse::<Ipv4Net>() else { return Vec::new() };
    let Some(offset) = free_offset(tx, primary) else { return Vec::new() };
    let cidrs = object::list(node, "/spec/podCIDRs").iter();
    let more = cidrs.filter_map(|cidr| cidr.as_str()?.parse::<Ipv6Net>().ok());
    let more = more.map(|cidr| Ipv6Addr::from(u128::from(cidr.network()) + u128::from(offset)).to_string());
    let first = Ipv4Addr::from(u32::from(primary.network()) + offset).to_string();
    std::iter::once(first).chain(more).collect()
}

/// The next free place in a node's CIDR, going round, so that an address is not used again at once.
fn free_offset(tx: &Transaction<'_>, cidr: Ipv4Net) -> Option<u32> {
    let base = u32::from(cidr.network());
    let size = 1_u32.checked_shl(32_u32.checked_sub(u32::from(cidr.prefix_len()))?).unwrap_or(u32::MAX);
    let taken: BTreeSet<u32> = tx
        .keys(Type::Pods, "")
        .iter()
        .filter_map(|key| object::text(tx.get(Type::Pods, key)?, "/status/podIP").parse::<Ipv4Addr>().ok())
        .map(|ip| u32::from(ip).wrapping_sub(base))
        .filter(|offset| *offset < size)
        .collect();
    let usable = size.saturating_sub(3).max(1);
    let start = taken.last().map_or(0, |highest| highest.saturating_sub(1));
    (start..start + usable).map(|offset| 2 + offset % usable).find(|offset| !taken.contains(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_pod() {
        let pod = |annotations: Value, status: Value| json!({"metadata": {"annotations": annotations}, "spec": {"nodeName": "a"}, "status": status});
        let running = |ready: &str, state: Value| json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [{"state": state}]});
        let up = || json!({"running": {}});
        let down = || json!({"waiting": {}});
        let rows = [
            (pod(json!({}), json!({"phase": "Pending"})), Some(Step::Accept)),
            (pod(json!({}), json!({"phase": "Pending", "containerStatuses": [{}]})), Some(Step::Start)),
            (pod(json!({}), running("False", up())), Some(Step::BecomeReady)),
            (pod(json!({}), running("True", up())), None),
            (pod(json!({READY_ANNOTATION: "false"}), running("True", up())), Some(Step::FailProbe)),
            (pod(json!({READY_ANNOTATION: "false"}), running("False", up())), None),
            (pod(json!({CRASH_ANNOTATION: "true"}), running("True", up())), Some(Step::Crash)),
            (pod(json!({CRASH_ANNOTATION: "true"}), running("False", down())), None),
            (pod(json!({}), running("False", down())), Some(Step::Restart)),
        ];
        for (pod, expected) in rows {
            assert_eq!(next_step(&pod).map(|(_, step)| step), expected, "{pod}");
        }
    }
}
