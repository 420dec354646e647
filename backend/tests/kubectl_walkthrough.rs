//! The walk-through of `examples/article`, with the real kubectl: each step is seen in the dashboard's state within a second, and
//! kube-proxy's rules for it are what they should be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kubectl_help;

use jiff::Timestamp;
use kubectl_help::{Cluster, Forward, Says};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};
use vipscope::cluster::{Feed, Index, Limits, connect, feed, watch};
use vipscope::sandbox::Options;
use vipscope_shared::model::{ClusterState, IpFamily, Key, ProxyMode, ServiceType};
use vipscope_shared::proxy::{self, Format, Scope};

/// How soon the dashboard has to know.
const SOON: Duration = Duration::from_secs(1);
/// What kubelets may take to get pods ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// The dashboard's state of a cluster.
struct Dashboard {
    feed: Feed,
    _tasks: JoinSet<()>,
}

impl Dashboard {
    fn of(cluster: &Cluster) -> Dashboard {
        let connection = connect::url(&format!("http://{}", cluster.address), "sandbox").unwrap();
        let (writer, feed) = feed::channel(connection.info, "e1", Limits::default(), Timestamp::now());
        let (out, updates) = mpsc::channel(64);
        let mut watches = watch::watch_all(&connection.client, &[], &out);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { while watches.join_next().await.is_some() {} });
        tasks.spawn(Index::new(writer).run(updates));
        Dashboard { feed, _tasks: tasks }
    }

    /// Waits until the state satisfies `condition`; answers how long that took.
    async fn until(
        &self,
        limit: Duration,
        what: &str,
        condition: impl Fn(&ClusterState) -> bool,
    ) -> Duration {
        let start = Instant::now();
        let reached = async {
            while !self.feed.read(|snapshot| condition(&snapshot.state)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(limit, reached).await.unwrap_or_else(|_| panic!("the dashboard does not see: {what}"));
        start.elapsed()
    }

    /// The rules of node-a for one Service, as text.
    fn rules(&self, service: &str, mode: ProxyMode) -> String {
        self.feed.read(|snapshot| {
            let state = &snapshot.state;
            let node = proxy::find_node(state, "node-a", IpFamily::IPv4).unwrap();
            let key = Key::new("default", service);
            let rules = proxy::generate_for(state, node, IpFamily::IPv4, mode, Scope::Service(&key));
            rules.print(Format::Recorded).unwrap()
        })
    }
}

/// Addresses of ready endpoints in the slices of a Service.
fn ready(state: &ClusterState, service: &str) -> Vec<String> {
    let key = Key::new("default", service);
    let slices = state.slices_of(&key);
    let endpoints = slices.flat_map(|slice| slice.endpoints.iter());
    let mut all: Vec<String> = endpoints
        .filter(|endpoint| endpoint.conditions.is_ready())
        .flat_map(|endpoint| endpoint.addresses.iter().map(ToString::to_string))
        .collect();
    all.sort();
    all
}

fn example(name: &str) -> String {
    format!("{}/../examples/article/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// A step: the file, the Service in it, its type, how many ready endpoints, and texts that its iptables rules hold.
type Step = (&'static str, &'static str, ServiceType, usize, &'static [&'static str]);

const STEPS: &[Step] = &[
    (
        "02-selector",
        "selected",
        ServiceType::ClusterIP,
        4,
        &["default/selected cluster IP\" -m tcp -p tcp", "--dport 80 ", "0.2500000000", ":8080"],
    ),
    (
        "03-multi-port",
        "multi-port",
        ServiceType::ClusterIP,
        4,
        &["default/multi-port:http", "default/multi-port:https", ":8443"],
    ),
    ("04-without-selector", "by-hand", ServiceType::ClusterIP, 1, &["192.0.2.42:9376"]),
    ("05-cluster-ip", "cluster-ip", ServiceType::ClusterIP, 4, &["-d 10.96.0.171 "]),
    ("06-node-port", "node-port", ServiceType::NodePort, 4, &["--dport 30007 ", "KUBE-EXT-"]),
    (
        "07-load-balancer",
        "load-balancer",
        ServiceType::LoadBalancer,
        4,
        &["-d 203.0.113.7 ", "loadbalancer IP"],
    ),
    ("08-external-name", "external-name", ServiceType::ExternalName, 0, &[]),
    ("09-external-ips", "external-ips", ServiceType::ClusterIP, 4, &["-d 198.51.100.32 ", "external IP"]),
    ("10-headless", "headless", ServiceType::ClusterIP, 4, &[]),
    ("11-headless-without-selector", "headless-by-hand", ServiceType::ClusterIP, 1, &[]),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_articles_walk_through() {
    let options = Options { empty: true, churn: false, ..Options::default() };
    let Some(cluster) = Cluster::start(options).await else { return };
    let dashboard = Dashboard::of(&cluster);
    let rows = [
        ("apply -f APACHE", Says::Is("deployment.apps/apache created")),
        ("rollout status deployment/apache --timeout=30s", Says::Contains("successfully rolled out")),
        (
            "get deployment apache",
            Says::Columns(&["NAME READY UP-TO-DATE AVAILABLE AGE", "apache 4/4 4 4 *"]),
        ),
        (
            "expose deployment apache --type=ClusterIP --port=8080 --target-port=8080",
            Says::Is("service/apache exposed"),
        ),
        (
            "get service apache",
            Says::Columns(&[
                "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
                "apache ClusterIP 10.96.* <none> 8080/TCP *",
            ]),
        ),
    ];
    for (line, says) in rows {
        cluster.check(&[(&line.replace("APACHE", &example("01-apache")), says)]).await;
    }
    dashboard
        .until(SOON, "the exposed Service with four endpoints", |state| ready(state, "apache").len() == 4)
        .await;
    let forward = Forward::start(&cluster, &["service/apache", ":8080"], "true").await;
    let (status, body) = forward.get("/").await;
    assert!(status.ends_with("200 OK") && body.starts_with("apache-"), "{status}: {body}");
    for step in STEPS {
        follow(&cluster, &dashboard, step).await;
    }
    // A pod goes: every Service that selects it loses it, and gets its successor.
    let pod = body.trim();
    cluster.check(&[(&format!("delete pod {pod} --wait=false"), Says::Fine)]).await;
    dashboard.until(SOON, "the pod no longer is ready", |state| ready(state, "selected").len() < 4).await;
    dashboard.until(PATIENCE, "its successor", |state| ready(state, "selected").len() == 4).await;
}

async fn follow(cluster: &Cluster, dashboard: &Dashboard, (file, name, kind, count, rules): &Step) {
    let applied = cluster.line(&format!("apply -f {}", example(file))).await;
    assert!(applied.success, "{file}: {applied:?}");
    let key = Key::new("default", *name);
    let seen = |state: &ClusterState| {
        let service = state.services().get(&key);
        let balanced =
            *kind != ServiceType::LoadBalancer || service.is_some_and(|service| !service.ingress.is_empty());
        service.is_some_and(|service| service.service_type == *kind)
            && balanced
            && ready(state, name).len() == *count
    };
    dashboard.until(SOON, name, seen).await;
    let text = dashboard.rules(name, ProxyMode::Iptables);
    for part in *rules {
        assert!(text.contains(part), "{name}: {part} in\n{text}");
    }
    // Nothing is programmed for what has no virtual address.
    let programmed = text.contains(&format!("default/{name}"));
    assert_eq!(programmed, !rules.is_empty(), "{name}:\n{text}");
    let nft = dashboard.rules(name, ProxyMode::Nftables);
    assert_eq!(nft.contains(&format!("default/{name}/tcp")), !rules.is_empty(), "{name}:\n{nft}");
}
