//! The law of deltas: a snapshot and the deltas after it make the later snapshot, through JSON as on the wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

use std::sync::Arc;

use proptest::prelude::*;
use vipscope_shared::delta::{Applied, Change, Delta, Object, Revision, Snapshot};
use vipscope_shared::model::*;

fn key() -> impl Strategy<Value = Key> {
    (0usize..2, 0usize..4)
        .prop_map(|(namespace, name)| Key::new(["shop", "edge"][namespace], ["a", "b", "c", "d"][name]))
}

fn meta() -> impl Strategy<Value = Meta> {
    (key(), 0usize..3).prop_map(|(key, service)| {
        let mut meta = Meta::named(key);
        let service = ["a", "b", "none"][service];
        meta.labels = [(SERVICE_NAME_LABEL, service), ("app", service)].into_iter().collect();
        meta
    })
}

fn pod() -> impl Strategy<Value = Object> {
    (meta(), 0usize..3, any::<bool>()).prop_map(|(meta, node, ready)| {
        let mut pod = Pod::named(meta.key.clone());
        pod.meta = meta;
        pod.node = [None, Some("node-a"), Some("node-b")][node].map(Text::from);
        pod.ready = ready;
        pod.dns = ready.then(|| Box::new(PodDns { ndots: Some(2), ..PodDns::default() }));
        let readiness =
            [None, Some(ReadinessProbe::Command), Some(ReadinessProbe::Port(Text::from("http").into()))];
        let container = |readiness| Container {
            name: "c".into(),
            ports: Vec::new(),
            sidecar: false,
            started: None,
            waiting: None,
            readiness,
        };
        pod.containers = readiness.map(container).to_vec();
        Object::Pod(Arc::new(pod))
    })
}

fn slice() -> impl Strategy<Value = Object> {
    (meta(), 0u8..3).prop_map(|(meta, last)| {
        let endpoint = Endpoint {
            addresses: vec![EndpointAddress::Ip([10, 0, 0, last].into())],
            conditions: Conditions::default(),
            node: None,
            zone: None,
            hostname: None,
            target: None,
            zone_hints: Vec::new(),
            node_hints: Vec::new(),
        };
        let slice = EndpointSlice {
            meta,
            address_type: AddressType::IPv4,
            ports: Vec::new(),
            endpoints: vec![endpoint],
        };
        Object::EndpointSlice(Arc::new(slice))
    })
}

fn object() -> impl Strategy<Value = Object> {
    let service = (meta(), any::<bool>()).prop_map(|(meta, publish)| {
        let mut service = Service::named(meta.key.clone());
        service.publish_not_ready = publish;
        let declared = Declared { cluster_ip: Some([10, 96, 0, 9].into()), node_ports: Vec::new() };
        service.declared = publish.then(|| Box::new(declared));
        service.finalizers = if publish { vec!["cleanup".into()] } else { Vec::new() };
        let error = Cause { field: "status".into(), reason: "mixed".into() };
        service.balancer_errors = if publish { vec![error] } else { Vec::new() };
        Object::Service(Arc::new(service))
    });
    let node = (0usize..3, any::<bool>()).prop_map(|(name, ready)| {
        let mut node = Node::named(["node-a", "node-b", "node-c"][name]);
        node.ready = ready;
        Object::Node(Arc::new(node))
    });
    prop_oneof![pod(), slice(), service, node]
}

fn change() -> impl Strategy<Value = Change> {
    let fault = (object(), 0usize..2).prop_map(|(object, reason)| {
        let cause = Cause { field: "spec".into(), reason: ["bad", "worse"][reason].into() };
        let object = object.object_ref();
        Change::Fault(Arc::new(Fault { object, effect: FaultEffect::Dropped, causes: vec![cause] }))
    });
    let source = (0usize..Kind::ALL.len(), 0usize..2).prop_map(|(kind, live)| {
        let freshness = [Freshness::Live, Freshness::Listing { trouble: None }][live].clone();
        Change::Source(Source { kind: Kind::ALL[kind], freshness })
    });
    prop_oneof![
        6 => object().prop_map(Change::Upsert),
        3 => object().prop_map(|object| Change::Delete(object.object_ref())),
        1 => fault,
        1 => object().prop_map(|object| Change::Cleared(object.object_ref())),
        1 => source,
    ]
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn snapshot_and_deltas_make_the_later_snapshot(changes in prop::collection::vec(change(), 0..120), cut in 0usize..120) {
        let revision = |number| Revision { epoch: "e1".into(), number };
        let time = jiff::Timestamp::UNIX_EPOCH;
        let mut server = ClusterState::default();
        let mut client = None;
        let mut deltas = Vec::new();
        for (number, change) in changes.iter().enumerate() {
            if number == cut.min(changes.len() - 1) {
                client = Some(through_json(&Snapshot { revision: revision(number as u64), time, state: server.clone() }));
            }
            let before = server.clone();
            let applied = server.apply(change);
            prop_assert_eq!(applied.is_changed(), server != before, "equal means silence: {:?}", change);
            prop_assert_eq!(server.apply(change), Applied::Unchanged, "twice is once: {:?}", change);
            if client.is_some() && applied.is_changed() {
                deltas.push(Delta { revision: revision(number as u64 + 1), time, changes: vec![change.clone()] });
            }
        }
        if let Some(mut client) = client {
            for delta in &deltas {
                for change in &through_json(delta).changes {
                    prop_assert_eq!(client.state.apply(change), Applied::Changed);
                }
            }
            prop_assert_eq!(&client.state, &server);
        }
        // The indexes, too: they are rebuilt when a state is read.
        prop_assert_eq!(through_json(&server), server);
    }
}

#[test]
fn indexes_follow_objects_that_move() {
    let mut state = ClusterState::default();
    let mut pod = Pod::named(Key::new("shop", "a"));
    for node in ["node-a", "node-b"] {
        pod.node = Some(node.into());
        assert!(state.apply(&Change::Upsert(Object::Pod(Arc::new(pod.clone())))).is_changed());
    }
    assert_eq!(state.pods_on("node-a").count(), 0);
    assert_eq!(state.pods_on("node-b").count(), 1);
}

#[test]
fn revisions_parse_what_they_print_and_nothing_else() {
    for text in ["5f3a9c-48211", "e-0"] {
        assert_eq!(text.parse::<Revision>().unwrap().to_string(), text);
    }
    for text in ["", "-", "5f3a9c", "5f3a9c-", "-5", "A-1", "e-1-2", "e-99999999999999999999", "e-+1", "é-1"]
    {
        assert!(text.parse::<Revision>().is_err(), "{text}");
    }
}
