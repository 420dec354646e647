//! The rule benchmarks in WebAssembly, in Chromium: `cargo xtask bench wasm`. Sizes are Services × endpoints of each; the
//! medians are printed, with the memory that the engine had taken by then (WebAssembly never gives any back).

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run ends")]

#[cfg(target_arch = "wasm32")]
mod wasm {
    //! What the runner calls a test is all of them, in order; it asserts nothing.

    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::hint::black_box;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use jiff::Timestamp;
    use vipscope_shared::delta::{Change, Object};
    use vipscope_shared::model::{
        ClusterState, IpFamily, Keyed, Node, Protocol, ProxyMode, Service, ServiceType,
    };
    use vipscope_shared::netfilter;
    use vipscope_shared::pace;
    use vipscope_shared::predict::Predictor;
    use vipscope_shared::proxy::incremental::{NodeRules, SharedPorts};
    use vipscope_shared::proxy::reading::{self, View};
    use vipscope_shared::proxy::{self, Format, Scope};
    use vipscope_shared::synthetic::{self, Size};
    use vipscope_shared::trace::{Origin, Packet, Trace};
    use vipscope_shared::whatif::apply::apply;
    use vipscope_shared::whatif::edit::parse;
    use vipscope_shared::whatif::{Options, difference_paced, difference_with};
    use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

    wasm_bindgen_test_configure!(run_in_browser);

    #[wasm_bindgen_test]
    fn rules() {
        generation(1_000, 10);
        one_slice_changes_at_10000_x_15();
        one_service_for_people_at_10000_x_15();
        traces(10);
        traces(10_000);
        generation(10_000, 15);
        parse_iptables_10000_x_15();
        whole_answers_10000_x_15();
        node_answers(
            1_000,
            &["zone: elsewhere, op: zone", "state: lost, op: node", "state: drain, op: node"],
        );
        node_answers(10_000, &["zone: elsewhere, op: zone", "state: lost, op: node"]);
    }

    const IPV4: IpFamily = IpFamily::IPv4;
    const NODES: usize = 50;
    const SAMPLES: usize = 5;
    const UPDATES: usize = 300;

    /// Milliseconds since the page was opened; Chromium rounds them to a tenth.
    fn now() -> f64 {
        web_sys::window().unwrap().performance().unwrap().now()
    }

    fn first_node(state: &ClusterState) -> Arc<Node> {
        state.nodes().values().next().unwrap().clone()
    }

    fn mebibytes() -> usize {
        core::arch::wasm32::memory_size(0) * 64 / 1024
    }

    /// Prints the median of some runs; `run` gives the bytes of text that it dealt with.
    fn measure(what: &str, mut run: impl FnMut() -> usize) {
        let mut bytes = 0;
        let mut times: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let start = now();
                bytes = black_box(run());
                now() - start
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        console_log!("{what}: {median:.1} ms, {bytes} bytes of text, {} MiB taken so far", mebibytes());
    }

    /// Prints the mean over many, since one takes less than the clock can tell.
    fn measure_many(what: &str, count: usize, mut run: impl FnMut(usize)) {
        let start = now();
        (0..count).for_each(&mut run);
        let each = (now() - start) / count as f64;
        console_log!("{what}: {:.1} µs, mean of {count}, {} MiB taken so far", each * 1000.0, mebibytes());
    }

    fn generation(services: usize, endpoints: usize) {
        let state = synthetic::uniform(services, endpoints, NODES);
        let node = first_node(&state);
        for mode in ProxyMode::ALL {
            measure(&format!("objects to text, {services} x {endpoints}, {mode}"), || {
                proxy::generate(&state, &node, IPV4, mode).print(Format::Recorded).unwrap().len()
            });
        }
    }

    /// One endpoint of one Service fails or recovers: the shared ports and one node follow, and say what is different.
    fn one_slice_changes_at_10000_x_15() {
        for mode in [ProxyMode::Iptables, ProxyMode::Nftables, ProxyMode::Ipvs] {
            let mut state = synthetic::uniform(10_000, 15, NODES);
            let mut shared = SharedPorts::new(&state, IPV4);
            let mut rules = NodeRules::new(&state, &shared, &first_node(&state), mode);
            let slices: Vec<_> = state.slices().values().cloned().collect();
            // Applying the change is the store's work, so it is measured apart.
            let mut applying = 0.0;
            let mut updating = 0.0;
            for nth in 0..UPDATES {
                let mut slice = slices[(nth * 4_999) % slices.len()].as_ref().clone();
                slice.endpoints[3].conditions.ready = Some(false);
                let object = slice.object_ref();
                let start = now();
                let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
                let applied = now();
                let touched = shared.update(&state, &object);
                assert!(!black_box(rules.update(&state, &shared, &touched)).is_empty());
                updating += now() - applied;
                applying += applied - start;
            }
            let each = |sum: f64| sum / UPDATES as f64 * 1000.0;
            console_log!(
                "one slice changes, 10000 x 15, {mode}: {:.0} µs ({:.0} µs more to apply it), mean of {UPDATES}, {} MiB taken so far",
                each(updating),
                each(applying),
                mebibytes()
            );
        }
    }

    fn one_service_for_people_at_10000_x_15() {
        let state = synthetic::uniform(10_000, 15, NODES);
        let node = first_node(&state);
        let keys: Vec<_> = state.services().keys().cloned().collect();
        let lit = BTreeSet::new();
        for mode in ProxyMode::ALL {
            measure_many(&format!("one Service for people, 10000 x 15, {mode}"), 50, |nth| {
                let scope = Scope::Service(&keys[nth * 199]);
                let rules = proxy::generate_for(&state, &node, IPV4, mode, scope);
                drop(black_box(reading::read(&rules, View { limit: 80, focus: None, lit: &lit })));
            });
        }
    }

    /// From a pod to the cluster IP of a Service with 15 endpoints: through rules that are ready, and from the objects.
    fn traces(services: usize) {
        let state = synthetic::uniform(services, 15, NODES);
        let node = first_node(&state);
        let vips: Vec<_> = state.services().values().map(|service| service.cluster_ip.ips()[0]).collect();
        let packet = |nth: usize| Packet {
            source: Ipv4Addr::new(10, 244, 0, 200).into(),
            destination: vips[nth * 199 % vips.len()],
            port: 80,
            protocol: Protocol::Tcp,
            origin: Origin::Pod,
        };
        let mut trace = Trace::default();
        for mode in ProxyMode::ALL {
            let predictor = Predictor::new(&state, &node, IPV4, mode);
            measure_many(&format!("a trace, {services} x 15, {mode}"), 20_000, |nth| {
                predictor.program.trace_into(&predictor.host, &packet(nth), &mut trace);
                assert_eq!(black_box(&trace).outcomes.len(), 15);
            });
            measure_many(&format!("an answer from the objects, {services} x 15, {mode}"), 20, |nth| {
                let packet = packet(nth);
                let predictor = Predictor::for_packet(&state, &node, IPV4, mode, &packet);
                drop(black_box(predictor.answer(&state, &packet)));
            });
        }
    }

    fn parse_iptables_10000_x_15() {
        let state = synthetic::uniform(10_000, 15, NODES);
        let rules = proxy::generate(&state, &first_node(&state), IPV4, ProxyMode::Iptables);
        let text = rules.print(Format::Native).unwrap();
        drop((rules, state));
        measure("parse iptables, 10000 x 15", || {
            assert_eq!(netfilter::iptables::parse(&text).unwrap().len(), 2);
            text.len()
        });
    }

    /// Edits of a whole node, in pieces as the page does it: all of it, and the longest piece.
    fn node_answers(services: usize, edits: &[&str]) {
        let size = Size { namespaces: services / 50, nodes: NODES, services, endpoints: services * 15 };
        let before = synthetic::cluster(size, 1);
        let node = first_node(&before);
        for edit in edits {
            let edits = parse(&format!("[{{node: {}, {edit}}}]", node.name())).unwrap();
            let (start, mut flows) = (now(), 0);
            let (since, longest, pauses) = (Cell::new(start), Cell::new(0.0_f64), Cell::new(0));
            let pause = async || {
                longest.set(longest.get().max(now() - since.get()));
                since.set(now());
                pauses.set(pauses.get() + 1);
            };
            pace::at_once(async {
                let after = apply(&before, &edits, Timestamp::UNIX_EPOCH).unwrap();
                pause().await;
                let options = Options { changed: Some(&after.changed), ..Options::at(Timestamp::UNIX_EPOCH) };
                let difference = difference_paced(&before, &after.state, &options, &pause).await;
                pause().await;
                flows = difference.flows.len();
            });
            console_log!(
                "a whole answer, {services} x 15 with pods, iptables: {edit}: {:.0} ms, longest piece {:.0} ms of {}, {flows} flows, {} MiB taken so far",
                now() - start,
                longest.get(),
                pauses.get(),
                mebibytes()
            );
        }
    }

    /// What would become of traffic if one object were edited: the edit, flows, connections, rules and findings, with 150,000 pods.
    fn whole_answers_10000_x_15() {
        let size = Size { namespaces: 100, nodes: NODES, services: 10_000, endpoints: 150_000 };
        let before = synthetic::cluster(size, 1);
        let ordinary = |service: &&Arc<Service>| {
            service.service_type == ServiceType::ClusterIP
                && !service.is_headless()
                && before.selected_pods(service).count() == 15
        };
        let service = before.services().values().skip(5_000).find(ordinary).unwrap();
        let pod = before.selected_pods(service).next().unwrap().key();
        let key = service.key();
        let patch =
            |spec: &str| format!("[{{op: patch, object: Service/{key}, patch: {{spec: {{{spec}}}}}}}]");
        for (what, text) in [
            ("session affinity", patch("sessionAffinity: ClientIP")),
            ("selector that matches nothing", patch("selector: {app: nobody}")),
            ("internal policy Local", patch("internalTrafficPolicy: Local")),
            ("a pod unready", format!("[{{op: pod, pod: {pod}, state: unready}}]")),
        ] {
            let edits = parse(&text).unwrap();
            measure(&format!("a whole answer, 10000 x 15 with pods, iptables: {what}"), || {
                let after = apply(&before, &edits, Timestamp::UNIX_EPOCH).unwrap();
                let options = Options { changed: Some(&after.changed), ..Options::at(Timestamp::UNIX_EPOCH) };
                let difference = difference_with(&before, &after.state, &options);
                assert!(!difference.flows.is_empty());
                0
            });
        }
    }
}

fn main() {}
