//! The kernel as judge: what it does to real packets, under rules that were generated, is what was predicted of them.
//!
//! Both ends tell what became of a packet: the sender, whether it was answered, refused or left alone; the server that
//! answers, at which address it took it and whom it took for its sender. So replies are held to go back the same way.
//!
//! Needs Linux, root, iproute2, iptables (legacy and nft), ipset and nftables. Where something is missing the test says so
//! and passes, but with `CI=true` it fails. Packets that cannot be sent or seen, and clusters for which the kernel lacks
//! something, are counted by reason and printed. Modes ipvs and userspace are not judged: the one needs a scheduler that few
//! kernels of test machines have, in the other a process decides. `VIPSCOPE_PACKETS` asks for more packets.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

mod judge;
#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use judge::agent::{Listen, Seen, Shot};
use judge::bed::{Bed, Loader, View};
use judge::question::Question;
use judge::shares::likelihood;
use support::packets::Pool;
use support::{Case, Varied, cases, varied};
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, IpFamily, Keyed, Node, Protocol};
use vipscope_shared::predict::Predictor;
use vipscope_shared::proxy::ports::port_infos;
use vipscope_shared::synthetic::Random;
use vipscope_shared::trace::{Origin, Packet, Verdict};

/// Packets for each loader and family, at least.
const PACKETS: usize = 800;
const PACKETS_PER_CLUSTER: usize = 40;
const FAMILIES: [IpFamily; 2] = [IpFamily::IPv4, IpFamily::IPv6];

fn packets() -> usize {
    let wanted = env::var("VIPSCOPE_PACKETS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(PACKETS).max(PACKETS)
}

/// A cluster of the corpus or a variation of one, in `family`; `None` if it programs nothing there.
fn cluster(case: &Case, seed: u64, family: IpFamily) -> Option<Varied> {
    let mut drawn = if seed.is_multiple_of(3) {
        Varied { state: manifest::load(&case.text).unwrap().state, node: case.node.clone(), family }
    } else {
        varied(case, seed)
    };
    drawn.family = family;
    let programs = port_infos(&drawn.state, family).iter().any(|port| !port.endpoints.is_empty());
    programs.then_some(drawn)
}

/// What came of the packets of one loader in one family.
#[derive(Default)]
struct Tally {
    agreed: BTreeMap<&'static str, usize>,
    left_out: BTreeMap<&'static str, usize>,
    clients_again: usize,
    clusters: usize,
    /// Those that tell pods by the interface over which they come.
    by_interface: usize,
    disagreements: Vec<String>,
    asked: usize,
}

/// A cluster on the bed.
struct Scene<'a> {
    view: View<'a>,
    questions: Vec<Question>,
    sockets: BTreeSet<Listen>,
}

impl<'a> Scene<'a> {
    fn new(state: &'a ClusterState, node: &'a Node, predictor: &'a Predictor) -> Scene<'a> {
        let view = View { state, node, predictor, sources: BTreeSet::new() };
        let ports = port_infos(state, predictor.context.family);
        let backends = ports
            .iter()
            .flat_map(|port| port.endpoints.iter().map(|backend| (port.protocol, backend.socket())));
        let sockets = backends.filter(|(protocol, _)| *protocol != Protocol::Sctp).collect();
        Scene { view, questions: Vec::new(), sockets }
    }

    fn ask(&mut self, packet: Packet) -> Result<(), &'static str> {
        self.questions.push(Question::new(&self.view, packet)?);
        self.view.sources.insert(packet.source);
        self.sockets.insert((packet.protocol, SocketAddr::new(packet.destination, packet.port)));
        Ok(())
    }
}

/// Asks the kernel about packets of random clusters until there are enough.
fn compare(bed: &mut Bed, loader: Loader, family: IpFamily) -> Tally {
    let (cases, wanted, mut tally) = (cases(), packets(), Tally::default());
    let mut seed = 0_u64;
    while tally.asked < wanted {
        let case = &cases[seed as usize * 7 % cases.len()];
        seed += 1;
        let Some(Varied { state, node, .. }) = cluster(case, seed, family) else { continue };
        let node = state.node(&node).unwrap();
        let predictor = Predictor::new(&state, node, family, loader.mode());
        let by_interface = predictor.host.pod_interface.is_some();
        // Rare in the corpus, so they get a turn of their own.
        if tally.clusters % 8 == 7 && !by_interface {
            assert!(seed < 1_000_000, "the corpus has clusters with an interface detector");
            continue;
        }
        if !bed.has_recent && port_infos(&state, family).iter().any(|port| port.affinity.is_some()) {
            *tally.left_out.entry("clusters with affinity: the kernel has no xt_recent").or_default() += 1;
            continue;
        }
        let pool = Pool::of(&state, node, family);
        let (mut random, mut scene) = (Random(seed), Scene::new(&state, node, &predictor));
        while scene.questions.len() < PACKETS_PER_CLUSTER {
            if let Err(reason) = scene.ask(pool.draw(&mut random, &state, node)) {
                *tally.left_out.entry(reason).or_default() += 1;
            }
        }
        let name = format!("{} seed {seed} node {} {family}", case.name, node.name());
        bed.load(&name, &scene.view, &scene.sockets);
        judge(bed, &name, &scene, &mut tally);
        tally.clusters += 1;
        tally.by_interface += usize::from(by_interface);
    }
    tally
}

fn judge(bed: &Bed, name: &str, scene: &Scene<'_>, tally: &mut Tally) {
    let shots: Vec<_> = scene.questions.iter().map(Question::shot).collect();
    let before = bed.taken();
    let all = bed.fire(&shots);
    // What is lost must not have arrived either.
    let (taken, answered) = (bed.taken() - before, all.iter().filter_map(place).count());
    let in_silence = scene.questions.iter().filter(|question| question.may_arrive_in_silence()).count();
    if !(answered..=answered + in_silence).contains(&taken) {
        tally.disagreements.push(format!("{name}: {taken} packets arrived, but {answered} were answered"));
    }
    for (question, seen) in scene.questions.iter().zip(all) {
        tally.asked += 1;
        if question.agrees(&scene.view, &seen) || by_chance(bed, scene, question, &seen) {
            *tally.agreed.entry(question.verdict().as_str()).or_default() += 1;
            continue;
        }
        tally.disagreements.push(format!(
            "{name}\n{:?}\npredicted: {:?}\nseen: {seen:?}\n{}",
            question.packet,
            question.expected,
            way(scene, question)
        ));
    }
    clients_stay(bed, name, &scene.questions, tally);
}

/// A packet of the node to itself has a source address that masquerading may choose as well, and once in tens of thousands it
/// chooses the same port: then it is asked again.
fn by_chance(bed: &Bed, scene: &Scene<'_>, question: &Question, seen: &Seen) -> bool {
    let same = matches!(seen, Seen::Answer { source, peer, .. } if source == peer);
    let own = question.packet.origin == Origin::Node;
    same && own && question.agrees(&scene.view, &bed.fire(&[question.shot()])[0])
}

/// The steps of the first outcome, one a line.
fn way(scene: &Scene<'_>, question: &Question) -> String {
    let answer = scene.view.predictor.answer(scene.view.state, &question.packet);
    let steps = answer.outcomes[0].steps.iter();
    steps.map(|step| format!("{} {}: {} => {}\n", step.hook, step.chain, step.rule, step.effect)).collect()
}

/// A client that is remembered for some seconds goes where it went, whatever the kernel chose at first. The second time
/// every client is known, so that the third time shows the same.
fn clients_stay(bed: &Bed, name: &str, questions: &[Question], tally: &mut Tally) {
    let again: Vec<_> =
        questions.iter().filter(|one| one.affinity().is_some_and(|seconds| seconds > 10)).collect();
    if again.is_empty() {
        return;
    }
    let shots: Vec<_> = again.iter().map(|one| one.shot()).collect();
    let (second, third) = (bed.fire(&shots), bed.fire(&shots));
    for ((question, second), third) in again.into_iter().zip(second).zip(third) {
        tally.clients_again += 1;
        if place(&second).is_none() || place(&second) != place(&third) {
            tally
                .disagreements
                .push(format!("{name}\n{:?}\naffinity: {second:?}, {third:?}", question.packet));
        }
    }
}

/// Where the packet arrived.
fn place(seen: &Seen) -> Option<SocketAddr> {
    if let Seen::Answer { at, .. } = seen { Some(*at) } else { None }
}

fn kernel_agrees(loader: Loader) {
    let Some(mut bed) = Bed::new("packets", loader) else { return };
    for family in FAMILIES {
        let began = Instant::now();
        let tally = compare(&mut bed, loader, family);
        let agreed: usize = tally.agreed.values().sum();
        println!(
            "{} {family}: {agreed} of {} packets agreed: {:?}; {} clusters, {} by interface; {} clients came again; left out: {:?}; {:.1} s",
            loader.name(),
            tally.asked,
            tally.agreed,
            tally.clusters,
            tally.by_interface,
            tally.clients_again,
            tally.left_out,
            began.elapsed().as_secs_f64()
        );
        let all = tally.disagreements.len();
        let some = tally.disagreements.into_iter().take(5).collect::<Vec<_>>().join("\n\n");
        assert!(all == 0, "{all} disagreements\n{some}");
        for verdict in [Verdict::Deliver, Verdict::Drop, Verdict::Reject, Verdict::NoMatch] {
            let met = tally.agreed.get(verdict.as_str()).is_some_and(|count| *count > tally.asked / 100);
            assert!(met, "packets must meet everything: {:?}", tally.agreed);
        }
        assert!(tally.by_interface > 0, "some clusters must have an interface detector");
        assert!(tally.clients_again > 0 || !bed.has_recent, "some clients must be remembered");
    }
}

#[test]
fn kernel_agrees_about_iptables_legacy() {
    kernel_agrees(Loader::Iptables("legacy"));
}

#[test]
fn kernel_agrees_about_iptables_nft() {
    kernel_agrees(Loader::Iptables("nft"));
}

#[test]
fn kernel_agrees_about_nftables() {
    kernel_agrees(Loader::Nft);
}

/// Endpoints of the Service that is asked for shares: an odd number, see [`likelihood`].
const ENDPOINTS: usize = 7;
const CONNECTIONS: usize = 2_100;
/// Each endpoint of xt_recent remembers 100 clients.
const CLIENTS: usize = 350;
/// Shares are compared so often in one run: with and without affinity, by each loader, in each family.
const COMPARISONS: usize = 2 * Loader::ALL.len() * FAMILIES.len();
/// If all shares are right, one run in a million fails: each comparison may fail once in a million times their number
/// (the chance that any of them does is at most the sum of their chances).
const BOUND: f64 = 1e-6 / COMPARISONS as f64;

/// Two Services with the same endpoints, the second with affinity.
fn shared_services(family: IpFamily) -> ClusterState {
    let (net, vip, node, kind) = match family {
        IpFamily::IPv4 => ("10.244.1.", "10.96.0.", "192.0.2.1", "IPv4"),
        IpFamily::IPv6 => ("fd00:10:244::", "fd00:10:96::", "2001:db8::1", "IPv6"),
    };
    let endpoint = |nth: usize| {
        let on = ["node-a", "node-b"][nth % 2];
        serde_json::json!({ "addresses": [format!("{net}{}", nth + 1)], "nodeName": on, "conditions": { "ready": true } })
    };
    let endpoints: Vec<_> = (0..ENDPOINTS).map(endpoint).collect();
    let mut items = vec![serde_json::json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "node-a" },
        "status": { "addresses": [{ "type": "InternalIP", "address": node }] },
    })];
    for (name, last, affinity) in [("any", 1, "None"), ("sticky", 2, "ClientIP")] {
        items.push(serde_json::json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": "judge", "name": name },
            "spec": {
                "type": "ClusterIP", "clusterIP": format!("{vip}{last}"), "clusterIPs": [format!("{vip}{last}")],
                "ipFamilies": [kind], "sessionAffinity": affinity,
                "ports": [{ "port": 80, "protocol": "TCP" }],
            },
        }));
        items.push(serde_json::json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "namespace": "judge", "name": name, "labels": { "kubernetes.io/service-name": name },
            },
            "addressType": kind, "endpoints": endpoints,
            "ports": [{ "name": "", "port": 8080, "protocol": "TCP" }],
        }));
    }
    let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
    manifest::load(&list.to_string()).unwrap().state
}

/// Clients outside, each with an address of its own.
fn client(family: IpFamily, nth: usize) -> IpAddr {
    match family {
        IpFamily::IPv4 => format!("198.51.{}.{}", nth / 200, 1 + nth % 200),
        IpFamily::IPv6 => format!("2001:db8:c::{:x}", nth + 1),
    }
    .parse()
    .unwrap()
}

/// Where connections from these clients arrive.
fn arrivals(bed: &Bed, vip: SocketAddr, clients: impl Iterator<Item = IpAddr>) -> Vec<SocketAddr> {
    let patience = std::time::Duration::from_secs(10);
    let shot = |source| (Origin::Outside, Shot { protocol: Protocol::Tcp, source, to: vip, patience });
    let shots: Vec<_> = clients.map(shot).collect();
    let seen = shots.chunks(150).flat_map(|some| bed.fire(some));
    seen.map(|one| place(&one).unwrap_or_else(|| panic!("{one:?}"))).collect()
}

/// How likely it is that the kernel's choices have the predicted shares.
fn likelihood_of(
    loader: Loader,
    predictor: &Predictor,
    vip: SocketAddr,
    source: IpAddr,
    places: &[SocketAddr],
) -> f64 {
    let packet = Packet {
        source,
        destination: vip.ip(),
        port: vip.port(),
        protocol: Protocol::Tcp,
        origin: Origin::Outside,
    };
    let trace = predictor.trace(&packet);
    assert_eq!(trace.outcomes.len(), ENDPOINTS);
    let shares: Vec<f64> = trace.outcomes.iter().map(|one| one.probability.as_f64()).collect();
    let count = |to| places.iter().filter(|place| **place == to).count();
    let counts: Vec<usize> = trace.outcomes.iter().map(|one| count(one.destination)).collect();
    assert_eq!(counts.iter().sum::<usize>(), places.len(), "all at predicted endpoints");
    let likelihood = likelihood(&counts, &shares);
    println!("{} {}: {counts:?}, p = {likelihood:.3}", loader.name(), predictor.context.family);
    likelihood
}

#[test]
fn shares_and_affinity_are_as_predicted() {
    for loader in Loader::ALL {
        let Some(mut bed) = Bed::new("shares", loader) else { return };
        if !bed.has_recent {
            println!("{}: not asked, the kernel has no xt_recent", loader.name());
            continue;
        }
        for family in FAMILIES {
            let state = shared_services(family);
            let node: &Arc<Node> = state.node("node-a").unwrap();
            let predictor = Predictor::new(&state, node, family, loader.mode());
            let scene = Scene::new(&state, node, &predictor);
            bed.load("shares", &scene.view, &scene.sockets);
            let vip = |nth: usize| SocketAddr::new(port_infos(&state, family)[nth].cluster_ip, 80);

            let one = client(family, 0);
            let places = arrivals(&bed, vip(0), std::iter::repeat_n(one, CONNECTIONS));
            assert!(likelihood_of(loader, &predictor, vip(0), one, &places) > BOUND, "{}", loader.name());

            // Clients do not follow each other, and each comes back to its own endpoint.
            let clients = || (0..CLIENTS).map(|nth| client(family, nth));
            let first = arrivals(&bed, vip(1), clients());
            assert!(likelihood_of(loader, &predictor, vip(1), one, &first) > BOUND, "{}", loader.name());
            assert_eq!(arrivals(&bed, vip(1), clients()), first, "{}", loader.name());
        }
    }
}

#[test]
fn the_test_of_shares_can_fail() {
    let even = [1.0 / 7.0; 7];
    // 6 degrees of freedom: tables give 12.59 for 5 %, 22.46 for 0.1 %.
    for (counts, expected, wanted) in [
        ([300; 7], "as expected", 0.999..1.01),
        ([380, 320, 280, 300, 290, 260, 270], "X² = 33.3: all but impossible", 0.0..1e-4),
        ([331, 330, 300, 271, 270, 299, 299], "X² = 12.0: now and then", 0.05..0.07),
        // The last of a cascade that was made for 6 gets two shares.
        ([262, 262, 262, 262, 263, 263, 526], "a wrong cascade", 0.0..BOUND),
        ([0, 350, 350, 350, 350, 350, 350], "an endpoint that is never chosen", 0.0..BOUND),
    ] {
        let found = likelihood(&counts, &even);
        assert!(wanted.contains(&found), "{expected}: {found}");
    }
}
