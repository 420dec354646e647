//! The controllers against a real cluster: from its Services, Pods and Nodes they make what its own controllers made.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use vipscope_shared::controllers::endpointslices::{self, MAX_ENDPOINTS};
use vipscope_shared::controllers::slice_plan::SlicePlan;
use vipscope_shared::controllers::{endpoints, mirroring};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::manifest::load;
use vipscope_shared::model::{
    AddressType, ClusterState, EndpointSlice, IpFamily, Key, Keyed, Kind, Labels, MANAGED_BY_LABEL, Node,
    ObjectRef, Pod, PodPhase, SERVICE_NAME_LABEL, Service, ServicePort, Subset, TargetPort, Text,
};

fn real_cluster() -> ClusterState {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/real-cluster-1.36.json");
    load(&std::fs::read_to_string(path).unwrap()).unwrap().state
}

fn managed_by(slice: &EndpointSlice) -> &str {
    slice.meta.labels.get(MANAGED_BY_LABEL).map(|by| &**by).unwrap_or_default()
}

/// The cluster without what controllers make: their slices, and their Endpoints.
fn bare(state: &ClusterState) -> ClusterState {
    let mut bare = state.clone();
    for slice in state.slices().values().filter(|slice| !managed_by(slice).is_empty()) {
        assert!(bare.apply(&Change::Delete(slice.object_ref())).is_changed());
    }
    for object in state.endpoints().values() {
        if object.meta.labels.get("endpoints.kubernetes.io/managed-by").is_some() {
            assert!(bare.apply(&Change::Delete(object.object_ref())).is_changed());
        }
    }
    bare
}

/// Distinct name suffixes: `a`, `b`, and so on.
fn suffixes() -> impl FnMut() -> Text {
    let mut next = 0;
    move || {
        next += 1;
        format!("{next:05}").into()
    }
}

fn carry_out(state: &mut ClusterState, plan: SlicePlan) {
    for slice in plan.create.into_iter().chain(plan.update) {
        let _ = state.apply(&Change::Upsert(Object::EndpointSlice(Arc::new(slice))));
    }
    for key in plan.delete {
        let _ = state.apply(&Change::Delete(ObjectRef { kind: Kind::EndpointSlice, key }));
    }
}

/// Runs all controllers once over all Services.
fn run_controllers(state: &mut ClusterState) {
    let mut suffix = suffixes();
    for key in state.services().keys().cloned().collect::<Vec<_>>() {
        let service = state.services().get(&key).unwrap().clone();
        if let Some(object) = endpoints::plan(state, &service) {
            let _ = state.apply(&Change::Upsert(Object::Endpoints(Arc::new(object))));
        }
        let plan = endpointslices::plan(state, &service, &mut suffix);
        carry_out(state, plan);
        let plan = mirroring::plan(state, &key, &mut suffix);
        carry_out(state, plan);
    }
}

/// What a slice says, without its name, and with order that means nothing taken out.
fn essence(slice: &EndpointSlice) -> String {
    let mut ports = slice.ports.clone();
    ports.sort();
    let mut endpoints: Vec<String> = slice.endpoints.iter().map(|e| format!("{e:?}")).collect();
    endpoints.sort();
    let (namespace, labels) = (slice.namespace(), &slice.meta.labels);
    format!("{namespace} {labels:?} {:?} {ports:?} {endpoints:#?}", slice.address_type)
}

fn essences(state: &ClusterState) -> BTreeMap<Key, BTreeSet<String>> {
    let mut all: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
    for slice in state.slices().values() {
        all.entry(slice.service().unwrap()).or_default().insert(essence(slice));
    }
    all
}

#[test]
fn slices_are_those_of_the_real_controllers() {
    let real = real_cluster();
    let mut ours = bare(&real);
    assert_ne!(essences(&ours), essences(&real), "there is something to make");
    run_controllers(&mut ours);
    for (service, expected) in essences(&real) {
        assert_eq!(essences(&ours).get(&service), Some(&expected), "{service}");
    }
    assert_eq!(essences(&ours).len(), essences(&real).len());
}

#[test]
fn endpoints_are_those_of_the_real_controllers() {
    let real = real_cluster();
    let mut ours = bare(&real);
    run_controllers(&mut ours);
    let subsets = |subsets: &[Subset]| -> BTreeSet<String> {
        let sorted = subsets.iter().cloned().map(|mut subset| {
            subset.ports.sort();
            subset.addresses.sort_by_key(|address| address.ip);
            subset.not_ready.sort_by_key(|address| address.ip);
            format!("{subset:#?}")
        });
        sorted.collect()
    };
    for expected in real.endpoints().values() {
        let found = ours.endpoints().get(expected.key()).unwrap_or_else(|| panic!("{}", expected.key()));
        assert_eq!(subsets(&found.subsets), subsets(&expected.subsets), "{}", expected.key());
        assert_eq!(found.meta.labels, expected.meta.labels, "{}", expected.key());
    }
    assert_eq!(ours.endpoints().len(), real.endpoints().len());
}

#[test]
fn what_is_right_is_not_written_again() {
    let real = real_cluster();
    for service in real.services().values() {
        let plan = endpointslices::plan(&real, service, &mut suffixes());
        assert_eq!(plan, SlicePlan::default(), "{}", service.key());
        assert_eq!(mirroring::plan(&real, service.key(), &mut suffixes()), SlicePlan::default());
    }
    let mut ours = bare(&real);
    run_controllers(&mut ours);
    let settled = ours.clone();
    run_controllers(&mut ours);
    assert_eq!(ours, settled);
}

fn pod(name: &str, number: u16) -> Pod {
    let mut pod = Pod::named(Key::new("shop", name));
    pod.meta.labels = Labels::from_iter([("app", "web")]);
    pod.meta.uid = name.into();
    pod.node = Some("a".into());
    pod.ips = vec![std::net::Ipv4Addr::from(0x0af4_0000 + u32::from(number)).into()];
    pod.phase = PodPhase::Running;
    pod.ready = true;
    pod
}

/// A Service `shop/web` that selects `app=web`, port 80 to 8080, with this many ready pods.
fn with_pods(count: u16) -> (ClusterState, Service) {
    let mut service = Service::named(Key::new("shop", "web"));
    service.selector = Some(Labels::from_iter([("app", "web")]));
    service.ports = vec![ServicePort {
        name: "".into(),
        protocol: Default::default(),
        port: 80.try_into().unwrap(),
        target_port: TargetPort::Number(8080.try_into().unwrap()),
        node_port: None,
        app_protocol: None,
    }];
    let mut state = ClusterState::default();
    let _ = state.apply(&Change::Upsert(Object::Node(Arc::new(Node::named("a")))));
    let _ = state.apply(&Change::Upsert(Object::Service(Arc::new(service.clone()))));
    for number in 1..=count {
        let pod = pod(&format!("web-{number:04}"), number);
        let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(pod))));
    }
    (state, service)
}

fn sizes(state: &ClusterState) -> Vec<usize> {
    state.slices().values().map(|slice| slice.endpoints.len()).collect()
}

#[test]
fn slices_hold_a_hundred_and_change_as_little_as_possible() {
    let (mut state, service) = with_pods(250);
    run_controllers(&mut state);
    assert_eq!(sizes(&state), [100, 100, 50]);
    // One pod fewer: one slice is written.
    let gone = ObjectRef { kind: Kind::Pod, key: Key::new("shop", "web-0001") };
    let _ = state.apply(&Change::Delete(gone));
    let plan = endpointslices::plan(&state, &service, &mut suffixes());
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    carry_out(&mut state, plan);
    assert_eq!(sizes(&state), [99, 100, 50]);
    // Two more: they go where there is room.
    for number in [900, 901] {
        let pod = pod(&format!("web-{number}"), number);
        let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(pod))));
    }
    let plan = endpointslices::plan(&state, &service, &mut suffixes());
    assert_eq!((plan.create.len(), plan.delete.len()), (0, 0));
    carry_out(&mut state, plan);
    assert_eq!(sizes(&state).iter().sum::<usize>(), 251);
    assert!(sizes(&state).iter().all(|size| *size <= MAX_ENDPOINTS));
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let (mut state, service) = with_pods(0);
    run_controllers(&mut state);
    assert_eq!(sizes(&state), [0]);
    let name = state.slices().keys().next().unwrap().clone();
    // The placeholder becomes the first slice, and the last slice a placeholder again.
    let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(pod("web-0001", 1)))));
    let plan = endpointslices::plan(&state, &service, &mut suffixes());
    carry_out(&mut state, plan);
    assert_eq!((sizes(&state), state.slices().keys().next()), (vec![1], Some(&name)));
    let _ = state.apply(&Change::Delete(ObjectRef { kind: Kind::Pod, key: Key::new("shop", "web-0001") }));
    let plan = endpointslices::plan(&state, &service, &mut suffixes());
    carry_out(&mut state, plan);
    assert_eq!((sizes(&state), state.slices().keys().next()), (vec![0], Some(&name)));
    assert!(state.slices().values().next().unwrap().ports.is_empty());
}

#[test]
fn slices_are_per_family_and_endpoints_of_the_primary_one() {
    use IpFamily::{IPv4, IPv6};
    let (mut state, service) = with_pods(2);
    let v6 = |number: u16| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, number]);
    let both = [pod("web-0003", 3).ips, vec![v6(3)]].concat();
    for (name, ips) in [("web-0003", both), ("web-0004", vec![v6(4)]), ("web-0005", vec![v6(5)])] {
        let pod = Pod { ips, ..pod(name, 9) };
        let _ = state.apply(&Change::Upsert(Object::Pod(Arc::new(pod))));
    }
    let mut suffix = suffixes();
    // Three pods have each family; one change after the other.
    let (slice4, slice6) = ((AddressType::IPv4, 3), (AddressType::IPv6, 3));
    let rows = [
        (vec![IPv4], vec![slice4], IPv4),
        (vec![IPv4, IPv6], vec![slice4, slice6], IPv4),
        (vec![IPv6, IPv4], vec![slice4, slice6], IPv6),
        (vec![IPv6], vec![slice6], IPv6),
        (vec![IPv4], vec![slice4], IPv4),
    ];
    for (families, expected, primary) in rows {
        let changed = Service { ip_families: families.clone(), ..service.clone() };
        let _ = state.apply(&Change::Upsert(Object::Service(Arc::new(changed.clone()))));
        let plan = endpointslices::plan(&state, &changed, &mut suffix);
        carry_out(&mut state, plan);
        let found = state.slices().values().map(|slice| (slice.address_type, slice.endpoints.len()));
        let mut found: Vec<(AddressType, usize)> = found.collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{families:?}");
        let legacy = endpoints::desired(&state, &changed).unwrap();
        let legacy: Vec<IpFamily> =
            legacy.subsets.iter().flat_map(|subset| &subset.addresses).map(|a| IpFamily::of(a.ip)).collect();
        assert_eq!(legacy, [primary; 3], "{families:?}");
    }
}

#[test]
fn mirrored_slices_go_with_their_reason() {
    let mut state = real_cluster();
    let key = Key::new("shop", "ext-db");
    assert!(state.slices_of(&key).next().is_some());
    let mut service = (**state.services().get(&key).unwrap()).clone();
    service.selector = Some(Labels::from_iter([("app", "db")]));
    let _ = state.apply(&Change::Upsert(Object::Service(Arc::new(service))));
    let plan = mirroring::plan(&state, &key, &mut suffixes());
    assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 0, 1));
    assert!(state.slices().get(&plan.delete[0]).unwrap().meta.labels.get(SERVICE_NAME_LABEL).is_some());
}
