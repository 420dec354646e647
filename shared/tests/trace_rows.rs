//! Following packets through rules that are given as text, as a node would show them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::net::IpAddr;

use vipscope_shared::model::Protocol;
use vipscope_shared::netfilter::{iptables, nft};
use vipscope_shared::trace::{HostView, Origin, Packet, Program, Trace, Verdict};

fn from_iptables(text: &str) -> Program {
    Program::iptables(iptables::parse(text).unwrap().into_iter().map(|loaded| loaded.table).collect())
}

fn from_nft(text: &str) -> Program {
    Program::nftables(nft::parse(text).unwrap().tables.into_iter().map(|loaded| loaded.table).collect())
}

fn host() -> HostView {
    HostView::new(["192.168.0.10".parse().unwrap()])
}

fn packet(source: &str, to: &str, origin: Origin) -> Packet {
    let to: std::net::SocketAddr = to.parse().unwrap();
    let source: IpAddr = source.parse().unwrap();
    Packet { source, destination: to.ip(), port: to.port(), protocol: Protocol::Tcp, origin }
}

/// Each outcome as `SHARE VERDICT DESTINATION[ masquerade]`.
fn shown(trace: &Trace) -> Vec<String> {
    let one = |outcome: &vipscope_shared::trace::Outcome| {
        let source = if outcome.masquerade { " masquerade" } else { "" };
        format!("{} {} {}{source}", outcome.probability, outcome.verdict.as_str(), outcome.destination)
    };
    trace.outcomes.iter().map(one).collect()
}

const HEAD: &str = "*nat\n:PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n:SVC - [0:0]\n:A - [0:0]\n:B - [0:0]\n:C - [0:0]\n";
const BALANCE: &str = "-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j SVC
-A A -p tcp -m tcp -j DNAT --to-destination 10.0.0.1:8080
-A B -p tcp -m tcp -j DNAT --to-destination 10.0.0.2:8080
-A C -p tcp -m tcp -j DNAT --to-destination 10.0.0.3:8080
-A SVC -m statistic --mode random --probability 0.33333333349 -j A
-A SVC -m statistic --mode random --probability 0.50000000000 -j B
-A SVC -j C
COMMIT
";

#[test]
fn shares_of_a_saved_table_are_exact() {
    let program = from_iptables(&format!("{HEAD}{BALANCE}"));
    let trace = program.trace(&host(), &packet("10.0.0.9", "10.96.0.1:80", Origin::Pod));
    assert_eq!(
        shown(&trace),
        ["1/3 deliver 10.0.0.1:8080", "1/3 deliver 10.0.0.2:8080", "1/3 deliver 10.0.0.3:8080"]
    );
    let chains: Vec<&str> = trace
        .steps(&trace.outcomes[1])
        .iter()
        .filter_map(|step| step.place)
        .map(|place| program.chain_name(place.chain))
        .collect();
    assert_eq!(chains, ["PREROUTING", "SVC", "B"]);
}

/// What a filter table in front of this makes of a packet to the balanced address and of one to a pod.
fn with_filter(rules: &str) -> [Vec<String>; 2] {
    let filter = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:X - [0:0]\n{rules}COMMIT\n"
    );
    let program = from_iptables(&format!(
        "{HEAD}-A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j A\n-A A -p tcp -m tcp -j DNAT --to-destination 10.0.0.1:8080\nCOMMIT\n{filter}"
    ));
    ["10.96.0.1:80", "10.0.0.7:8080"]
        .map(|to| shown(&program.trace(&host(), &packet("10.0.0.9", to, Origin::Pod))))
}

#[test]
fn rules_that_are_not_understood_matter_only_where_they_can() {
    let rows: &[(&str, [&str; 2])] = &[
        ("", ["1 deliver 10.0.0.1:8080", "1 no_match 10.0.0.7:8080"]),
        ("-A FORWARD -j DROP\n", ["1 drop 10.0.0.1:8080", "1 drop 10.0.0.7:8080"]),
        // A match that is not understood, on a rule that decides.
        (
            "-A FORWARD -m policy --dir in --pol none -j DROP\n",
            ["1 unknown 10.96.0.1:80", "1 unknown 10.0.0.7:8080"],
        ),
        // It decides about another destination.
        (
            "-A FORWARD -d 10.0.0.1/32 -m policy --dir in --pol none -j DROP\n",
            ["1 unknown 10.96.0.1:80", "1 no_match 10.0.0.7:8080"],
        ),
        // Whichever way it goes, nothing comes of it.
        (
            "-A FORWARD -m policy --dir in --pol none -j ACCEPT\n",
            ["1 deliver 10.0.0.1:8080", "1 no_match 10.0.0.7:8080"],
        ),
        (
            "-A FORWARD -m policy --dir in --pol none -j X\n",
            ["1 deliver 10.0.0.1:8080", "1 no_match 10.0.0.7:8080"],
        ),
        // Targets: harmless ones, and one that is not known.
        (
            "-A FORWARD -j LOG --log-prefix \"drop \"\n",
            ["1 deliver 10.0.0.1:8080", "1 no_match 10.0.0.7:8080"],
        ),
        ("-A FORWARD -j NFQUEUE --queue-num 3\n", ["1 unknown 10.0.0.1:8080", "1 unknown 10.0.0.7:8080"]),
        // In a chain that is not walked.
        ("-A OUTPUT -j NFQUEUE --queue-num 3\n", ["1 deliver 10.0.0.1:8080", "1 no_match 10.0.0.7:8080"]),
        // Rules on an outgoing interface.
        ("-A FORWARD -o eth0 -j REJECT\n", ["1 unknown 10.96.0.1:80", "1 unknown 10.0.0.7:8080"]),
    ];
    for (rules, expected) in rows {
        let found = with_filter(rules);
        assert_eq!(found.each_ref().map(|one| one.join(", ")), expected.map(str::to_owned), "{rules}");
    }
}

#[test]
fn an_unknown_rule_is_named() {
    let filter = "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m policy --dir in --pol none -j DROP\nCOMMIT\n";
    let program = from_iptables(filter);
    let trace = program.trace(&host(), &packet("10.0.0.9", "10.0.0.7:1", Origin::Pod));
    let steps = trace.steps(&trace.outcomes[0]);
    let rule = program.rule_text(steps.last().unwrap().place.unwrap());
    assert_eq!(rule, "-A FORWARD -m policy --dir in --pol none -j DROP");
}

#[test]
fn interfaces_follow_from_the_origin() {
    let table = |rule: &str| from_iptables(&format!("*filter\n:FORWARD ACCEPT [0:0]\n{rule}\nCOMMIT\n"));
    let mut known = host();
    known.pod_interface = Some("veth0".into());
    let rows = [
        ("-A FORWARD -i veth+ -j DROP", Origin::Pod, Verdict::Drop),
        ("-A FORWARD -i veth+ -j DROP", Origin::Outside, Verdict::NoMatch),
        ("-A FORWARD ! -i veth+ -j DROP", Origin::Outside, Verdict::Drop),
        ("-A FORWARD ! -i veth+ -j DROP", Origin::Pod, Verdict::NoMatch),
        // How packets from outside come in is not known.
        ("-A FORWARD -i eth0 -j DROP", Origin::Outside, Verdict::Unknown),
        ("-A FORWARD -i eth0 -j DROP", Origin::Pod, Verdict::NoMatch),
    ];
    for (rule, origin, expected) in rows {
        let trace = table(rule).trace(&known, &packet("10.0.0.9", "10.0.0.7:1", origin));
        assert_eq!(trace.outcomes[0].verdict, expected, "{rule} {origin:?}");
    }
}

#[test]
fn nft_rules_of_others_count_too() {
    let kube = "add table ip kube-proxy\nadd chain ip kube-proxy p { type nat hook prerouting priority -100 ; }\nadd rule ip kube-proxy p ip daddr 10.96.0.1 meta l4proto tcp dnat to 10.0.0.1:8080\n";
    let other = |rule: &str| {
        format!(
            "{kube}add table ip mine\nadd chain ip mine f {{ type filter hook forward priority 0 ; }}\nadd rule ip mine f {rule}\n"
        )
    };
    let rows = [
        ("counter", "1 deliver 10.0.0.1:8080"),
        ("ip daddr 10.0.0.1 drop", "1 drop 10.0.0.1:8080"),
        ("ip daddr 10.96.0.1 drop", "1 deliver 10.0.0.1:8080"),
        ("log prefix \"seen\"", "1 deliver 10.0.0.1:8080"),
        ("meta skuid 0 drop", "1 unknown 10.0.0.1:8080"),
        ("ip daddr 10.0.0.2 meta skuid 0 drop", "1 deliver 10.0.0.1:8080"),
    ];
    for (rule, expected) in rows {
        let program = from_nft(&other(rule));
        let trace = program.trace(&host(), &packet("10.0.0.9", "10.96.0.1:80", Origin::Pod));
        assert_eq!(shown(&trace), [expected], "{rule}");
    }
}

/// Observed: the rules of INPUT never see what comes in for loopback, unless the kernel is told to let it in.
#[test]
fn loopback_is_closed_to_others() {
    let program = from_iptables(
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 30080 -j DNAT --to-destination 10.0.0.1:8080\nCOMMIT\n\
         *filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 30081 -j REJECT\nCOMMIT\n",
    );
    let (closed, mut open) = (host(), host());
    open.route_localnet = true;
    let rows = [
        (&closed, "127.0.0.1:30081", Origin::Outside, "1 drop 127.0.0.1:30081"),
        (&closed, "127.0.0.1:1", Origin::Outside, "1 drop 127.0.0.1:1"),
        (&closed, "127.0.0.1:30081", Origin::Node, "1 reject 127.0.0.1:30081"),
        // Its destination is another one before the kernel looks.
        (&closed, "127.0.0.1:30080", Origin::Outside, "1 deliver 10.0.0.1:8080"),
        (&open, "127.0.0.1:30081", Origin::Outside, "1 reject 127.0.0.1:30081"),
        (&open, "127.0.0.1:1", Origin::Outside, "1 no_match 127.0.0.1:1"),
        // IPv6 looks before any rule, and there is nothing to tell it.
        (&open, "[::1]:30080", Origin::Outside, "1 drop [::1]:30080"),
    ];
    for (host, to, origin, expected) in rows {
        let source = if to.starts_with('[') { "2001:db8::7" } else { "198.51.100.7" };
        let trace = program.trace(host, &packet(source, to, origin));
        assert_eq!(shown(&trace), [expected], "{to} {origin:?}");
    }
}

/// Observed: a process that is bound to loopback reaches other hosts only with `route_localnet` and masquerading, and in IPv6 never.
#[test]
fn loopback_speaks_to_the_host_alone() {
    let program = |masquerade: &str| {
        from_iptables(&format!(
            "*nat\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
             -A OUTPUT -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080\n\
             -A OUTPUT -p tcp -m tcp --dport 81 -j DNAT --to-destination 192.168.0.10:8080\n{masquerade}COMMIT\n"
        ))
    };
    let (plain, hiding) = (program(""), program("-A POSTROUTING -j MASQUERADE\n"));
    let (closed, mut open) = (host(), host());
    open.route_localnet = true;
    let rows = [
        // No rule is asked: there is no route.
        (&closed, &hiding, "127.0.0.1", "10.96.0.1:80", "1 drop 10.96.0.1:80"),
        (&closed, &hiding, "127.0.0.1", "10.0.0.9:1", "1 drop 10.0.0.9:1"),
        // There is one until the packet has another destination.
        (&closed, &hiding, "127.0.0.1", "127.0.0.1:80", "1 drop 10.0.0.1:8080"),
        (&closed, &hiding, "127.0.0.1", "192.168.0.10:80", "1 drop 10.0.0.1:8080"),
        (&closed, &plain, "127.0.0.1", "127.0.0.1:81", "1 deliver 192.168.0.10:8080"),
        (&closed, &plain, "127.0.0.1", "127.0.0.1:1", "1 no_match 127.0.0.1:1"),
        (&open, &plain, "127.0.0.1", "10.96.0.1:80", "1 drop 10.0.0.1:8080"),
        (&open, &hiding, "127.0.0.1", "10.96.0.1:80", "1 deliver 10.0.0.1:8080 masquerade"),
        (&open, &plain, "127.0.0.1", "10.0.0.9:1", "1 drop 10.0.0.9:1"),
        (&open, &hiding, "::1", "[fd00::9]:1", "1 drop [fd00::9]:1"),
        (&open, &hiding, "::1", "[::1]:1", "1 no_match [::1]:1"),
        (&closed, &plain, "192.168.0.10", "10.96.0.1:80", "1 deliver 10.0.0.1:8080"),
    ];
    for (host, program, source, to, expected) in rows {
        let trace = program.trace(host, &packet(source, to, Origin::Node));
        assert_eq!(shown(&trace), [expected], "{source} {to} {}", host.route_localnet);
    }
}

#[test]
fn chains_without_end_end() {
    let program =
        from_iptables("*filter\n:FORWARD ACCEPT [0:0]\n:X - [0:0]\n-A FORWARD -j X\n-A X -j X\nCOMMIT\n");
    let trace = program.trace(&host(), &packet("10.0.0.9", "10.0.0.7:1", Origin::Pod));
    assert_eq!(shown(&trace), ["1 unknown 10.0.0.7:1"]);
}
