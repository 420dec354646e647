//! SVC058: readiness that says nothing about the Service's ports.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(58),
    title: "Probe and Service disagree",
    severity: Severity::Warn,
    condition: "No container of a selected pod has a readiness probe; or the pod's probes ask ports, none of which is a resolved target port. Info in the second case if the container that is probed also has a target port (a health port of its own, as CoreDNS has).",
    explanation: "Without a probe an endpoint is ready as soon as its containers run. A probe of another port may succeed while the port that serves does not answer.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

/// What a pod's probes have to do with the Service's target ports.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    NoProbe,
    /// Another container is probed.
    ElseWhere,
    /// The same container, by another port.
    HealthPort,
    Fine,
}

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let judged = s.live_pods().filter(|_| s.has_selector()).map(|pod| (standing(s, pod), pod));
    let mut worst: BTreeMap<Standing, Vec<&Arc<Pod>>> = BTreeMap::new();
    judged.for_each(|(standing, pod)| worst.entry(standing).or_default().push(pod));
    let problem = |(standing, pods): (Standing, Vec<&Arc<Pod>>)| {
        let number = count(pods.len(), "pod");
        let (message, severity) = match standing {
            Standing::Fine => return None,
            Standing::NoProbe => (format!("{number} without a readiness probe"), Severity::Warn),
            Standing::ElseWhere => (
                format!(
                    "{number} whose readiness probe asks a port, and a container, that the Service does not use"
                ),
                Severity::Warn,
            ),
            Standing::HealthPort => (
                format!("{number} whose readiness probe asks another port than the Service's"),
                Severity::Info,
            ),
        };
        let problem = s
            .problem(message)
            .severity(severity)
            .evidence_of(
                "spec.containers[].readinessProbe",
                pods.iter().map(|pod| (pod.object_ref(), probes_text(pod))),
            )
            .own("spec.ports[].targetPort", list(s.service.ports.iter().map(|port| &port.target_port)))
            .advice("let readinessProbe ask the port that serves")
            .kubectl(&[
                "kubectl",
                "-n",
                s.namespace(),
                "get",
                "pods",
                "-l",
                &s.selector_text(),
                "-o",
                "jsonpath={.items[*].spec.containers[*].readinessProbe}",
            ]);
        Some(problem)
    };
    worst.into_iter().filter_map(problem).collect()
}

fn probed(container: &Container) -> Option<Option<NonZeroU16>> {
    let number = |port: &TargetPort| match port {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            container.ports.iter().find(|port| port.name == *name).map(|port| port.port)
        }
    };
    container.readiness.as_ref().map(|probe| match probe {
        ReadinessProbe::Command => None,
        ReadinessProbe::Port(port) => number(port),
    })
}

fn standing(s: &Subject<'_>, pod: &Pod) -> Standing {
    let targets: BTreeSet<NonZeroU16> = s
        .service
        .ports
        .iter()
        .filter_map(|port| match &port.target_port {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => pod.named_port(name, port.protocol),
        })
        .collect();
    let probes: Vec<_> =
        pod.containers.iter().filter_map(|container| Some((container, probed(container)?))).collect();
    let asks = |(_, port): &(&Container, Option<NonZeroU16>)| port.is_none_or(|port| targets.contains(&port));
    let serves = |(container, _): &(&Container, Option<NonZeroU16>)| {
        container.ports.iter().any(|port| targets.contains(&port.port))
    };
    if targets.is_empty() || probes.iter().any(asks) {
        Standing::Fine
    } else if probes.is_empty() {
        Standing::NoProbe
    } else if probes.iter().any(serves) {
        Standing::HealthPort
    } else {
        Standing::ElseWhere
    }
}

fn probes_text(pod: &Pod) -> String {
    let texts = pod.containers.iter().map(|container| match &container.readiness {
        None => format!("{}: (none)", container.name),
        Some(ReadinessProbe::Command) => format!("{}: a command", container.name),
        Some(ReadinessProbe::Port(port)) => format!("{}: port {port}", container.name),
    });
    list(texts)
}
