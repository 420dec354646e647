//! Live traffic on the map: every connection of a shown Service is in a lane or a stop, at the level of detail at hand.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use vipscope_shared::manifest::load;
use vipscope_shared::model::{ClusterState, Key, Protocol};
use vipscope_shared::scene::{Lanes, Scene, SceneOptions};
use vipscope_shared::traffic::{TrafficEdge, TrafficEnd, TrafficSource};

/// One Service, whose pods are on two nodes; `clients` is a namespace without Services.
fn state(pods: usize) -> ClusterState {
    let mut objects = vec![
        r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-a"}}"#.to_owned(),
        r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-b"}}"#.to_owned(),
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"one","namespace":"clients"},
            "spec":{"nodeName":"node-a","containers":[]},"status":{"phase":"Running"}}"#
            .to_owned(),
        r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},
            "spec":{"clusterIP":"10.96.0.21","clusterIPs":["10.96.0.21"],"ports":[{"port":80}]}}"#
            .to_owned(),
    ];
    let mut endpoints = Vec::new();
    for nth in 0..pods {
        let node = if nth % 2 == 0 { "node-a" } else { "node-b" };
        let ip = format!("10.244.0.{}", nth + 1);
        objects.push(format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web-{nth:02}","namespace":"shop"}},
            "spec":{{"nodeName":"{node}","containers":[]}},
            "status":{{"phase":"Running","podIP":"{ip}","podIPs":[{{"ip":"{ip}"}}]}}}}"#
        ));
        endpoints.push(format!(
            r#"{{"addresses":["{ip}"],"nodeName":"{node}","conditions":{{"ready":true}},
            "targetRef":{{"kind":"Pod","namespace":"shop","name":"web-{nth:02}"}}}}"#
        ));
    }
    objects.push(format!(
        r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4",
        "metadata":{{"name":"web-1","namespace":"shop","labels":{{"kubernetes.io/service-name":"web"}}}},
        "ports":[{{"name":"","port":8080,"protocol":"TCP"}}],"endpoints":[{}]}}"#,
        endpoints.join(",")
    ));
    let text = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, objects.join(","));
    load(&text).unwrap().state
}

fn edge(source: TrafficSource, service: &str, end: TrafficEnd) -> TrafficEdge {
    TrafficEdge {
        source,
        node: "node-a".into(),
        vip: "10.96.0.21:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        service: Some(Key::new("shop", service)),
        port_name: None,
        end,
    }
}

fn client() -> TrafficSource {
    TrafficSource::Pod(Key::new("clients", "one"))
}

fn to_pod(nth: usize) -> TrafficEnd {
    let endpoint = format!("10.244.0.{}:8080", nth + 1).parse().unwrap();
    TrafficEnd::Delivered { endpoint, pod: Some(Key::new("shop", format!("web-{nth:02}"))) }
}

fn shown(lanes: &Lanes) -> Vec<String> {
    let lane = |lane: &vipscope_shared::scene::Lane| format!("{} > {} {}", lane.from, lane.to, lane.rate);
    lanes.lanes.iter().map(lane).collect()
}

#[test]
fn connections_run_from_their_source_over_the_vip_to_the_endpoint() {
    let state = state(2);
    let scene = Scene::build(&state, &SceneOptions::default(), None);
    let failed = TrafficEnd::Failed { endpoint: "10.244.9.9:8080".parse().unwrap() };
    let traffic = [
        (edge(client(), "web", to_pod(0)), 2.0),
        (edge(client(), "web", to_pod(1)), 1.0),
        (edge(TrafficSource::Outside, "web", to_pod(1)), 0.5),
        (edge(TrafficSource::Node("node-b".into()), "web", TrafficEnd::Refused), 4.0),
        (edge(client(), "web", TrafficEnd::Dropped), 8.0),
        (edge(client(), "web", failed), 16.0),
        (edge(client(), "web", to_pod(0)), 0.0),
        // Of Services that are not on the map, and of none.
        (edge(client(), "gone", to_pod(0)), 32.0),
        (TrafficEdge { service: None, ..edge(client(), "web", TrafficEnd::Unclaimed) }, 64.0),
    ];
    let lanes = scene.lanes(&state, traffic.iter().map(|(edge, rate)| (edge, *rate)));
    assert_eq!(
        shown(&lanes),
        [
            "from/outside > svc/shop/web 0.5",
            "from/nodes > svc/shop/web 4",
            "from/pods/clients > svc/shop/web 27",
            "svc/shop/web > pod/shop/web-00 2",
            "svc/shop/web > pod/shop/web-01 1.5",
        ]
    );
    let stop = &lanes.stops[0];
    assert_eq!((lanes.stops.len(), stop.refused, stop.dropped, stop.failed), (1, 4.0, 8.0, 16.0));
    let inbound: f64 =
        lanes.lanes.iter().filter(|lane| lane.to.to_string() == "svc/shop/web").map(|l| l.rate).sum();
    let outbound: f64 =
        lanes.lanes.iter().filter(|lane| lane.from.to_string() == "svc/shop/web").map(|l| l.rate).sum();
    assert_eq!(inbound, outbound + stop.sum());
    // Along the edges of the scene, where there are some.
    for lane in &lanes.lanes {
        let edge = scene.edges().iter().find(|edge| (&edge.from, &edge.to) == (&lane.from, &lane.to));
        if let Some(edge) = edge {
            assert_eq!((lane.a, lane.b), (edge.a, edge.b));
        }
        assert!(lane.a.x < lane.b.x, "{lane:?}");
    }
}

#[test]
fn pods_without_a_row_are_counted_at_their_node() {
    let state = state(60);
    let scene = Scene::build(&state, &SceneOptions::default(), None);
    let traffic: Vec<_> = (0..60).map(|nth| (edge(client(), "web", to_pod(nth)), 1.0)).collect();
    let lanes = scene.lanes(&state, traffic.iter().map(|(edge, rate)| (edge, *rate)));
    let to_nodes: Vec<_> =
        lanes.lanes.iter().filter(|lane| lane.to.to_string().starts_with("node/")).collect();
    assert_eq!(to_nodes.len(), 2, "{:?}", shown(&lanes));
    assert!(to_nodes.iter().all(|lane| lane.rate > 1.0));
    let total: f64 =
        lanes.lanes.iter().filter(|lane| lane.from.to_string() == "svc/shop/web").map(|l| l.rate).sum();
    assert_eq!(total, 60.0);
}

#[test]
fn a_hidden_source_hides_its_lane_only() {
    let state = state(2);
    let options =
        SceneOptions { namespaces: [Key::new("shop", "web").namespace].into(), ..SceneOptions::default() };
    let scene = Scene::build(&state, &options, None);
    let traffic = edge(client(), "web", to_pod(0));
    let lanes = scene.lanes(&state, [(&traffic, 3.0)].into_iter());
    assert_eq!(shown(&lanes), ["svc/shop/web > pod/shop/web-00 3"]);
}
