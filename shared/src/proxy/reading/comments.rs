//! What kube-proxy's comments in rules are about.

/// A comment by how it begins and ends, and what it says. The first that fits is taken.
const KNOWN: &[(&str, &str, &str)] = &[
    ("", " cluster IP", "For packets to the cluster IP of this Service port."),
    ("", " external IP", "For packets to one of the Service's externalIPs."),
    ("", " loadbalancer IP", "For packets to the balancer's address of this Service port."),
    ("", " has no endpoints", "No endpoint of this Service port could take traffic, on any node."),
    (
        "",
        " has no local endpoints",
        "There are endpoints, but none on this node, and the traffic policy is Local.",
    ),
    (
        "",
        " health check node port",
        "Load balancers ask here whether this node has endpoints of the Service.",
    ),
    (
        "masquerade traffic for ",
        "",
        "The answers must come back through this node, so it puts itself in as the source.",
    ),
    (
        "pod traffic for ",
        "",
        "This node's pods need not come in from outside: all endpoints are open to them.",
    ),
    (
        "masquerade LOCAL traffic for ",
        "",
        "What this node itself sends to an outside address may go to another node, so it must come back here.",
    ),
    ("route LOCAL traffic for ", "", "What this node itself sends may go to endpoints on any node."),
    ("other traffic to ", "", "Nothing marks these packets: KUBE-PROXY-FIREWALL in table filter drops them."),
    (
        "kubernetes service nodeports; NOTE",
        "",
        "Node ports come last, so that a Service address on this node is never taken for a node port.",
    ),
    ("kubernetes service traffic requiring SNAT", "", "Replaces the source of everything that was marked."),
    ("kubernetes forwarding conntrack rule", "", "Answers and later packets of known connections may pass."),
    ("kubernetes forwarding rules", "", "What was marked for masquerading may pass through this node."),
    (
        "block incoming localnet connections",
        "",
        "Neighbours must not reach what listens on the node's loopback (CVE-2020-8558).",
    ),
    ("kubernetes service portals", "", "Where the kernel hands new connections to the Services' rules."),
    (
        "kubernetes externally-visible service portals",
        "",
        "Where the kernel hands over what comes from outside.",
    ),
    ("kubernetes load balancer firewall", "", "Where the kernel hands over to the check of source ranges."),
    ("kubernetes postrouting rules", "", "Where the kernel hands over on the way out of the node."),
    ("kubernetes health check service ports", "", "Where the kernel hands over requests to the node itself."),
    ("Kubernetes endpoints dst ip:port, source ip", "", "Hairpin: an endpoint that is sent to itself."),
    ("handle ClusterIPs", "", "Service addresses come before node ports."),
    ("handle service NodePorts", "", "Node ports come last."),
    (
        "Ensure that non-local NodePort traffic can flow",
        "",
        "Connections to node ports end in kube-proxy's own socket, so the node must let them in.",
    ),
    (
        "masquerade clusterIP traffic from outside cluster",
        "",
        "What no pod sends must come back through this node.",
    ),
    ("masquerade all clusterIP traffic", "", "masqueradeAll is set."),
    (
        "Reject traffic to invalid ports of ClusterIPs",
        "",
        "A cluster IP answers on the ports of its Service only.",
    ),
    (
        "short-circuit pod traffic",
        "",
        "This node's pods need not come in from outside: all endpoints are open to them.",
    ),
    (
        "masquerade local traffic",
        "",
        "What this node itself sends may go to another node, so it must come back here.",
    ),
    ("short-circuit local traffic", "", "What this node itself sends may go to endpoints on any node."),
    (
        "masquerade",
        "masquerade",
        "The answers must come back through this node, so it puts itself in as the source.",
    ),
    ("Kubernetes ", "", "What the ipset in this rule holds."),
];

/// In a sentence or two.
pub(super) fn about(comment: &str) -> &'static str {
    if comment.contains(" traffic not accepted by ") {
        return "The source is not among the allowed ones: the chain named here did not send the packet on.";
    }
    if comment.contains(" -> ") {
        return "Which Service port sends to which endpoint.";
    }
    let fits = |(start, end, _): &&(&str, &str, &str)| comment.starts_with(start) && comment.ends_with(end);
    let known = KNOWN.iter().find(fits).map(|(.., about)| *about);
    known.unwrap_or("kube-proxy's name of the Service port that the rule belongs to.")
}
