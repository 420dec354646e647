//! The walk-through of `examples/article`, with the real kubectl: each step is seen in the dashboard's state within a second,
//! kube-proxy's rules for it are what they should be, and so is what they do to a packet.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kubectl_help;

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use kubectl_help::{Cluster, Forward, Says};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};
use vipscope::cluster::{Feed, Index, Limits, connect, feed, watch};
use vipscope::sandbox::Options;
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::model::{AddressType, ClusterState, IpFamily, Key, Keyed, ProxyMode, ServiceType};
use vipscope_shared::predict::names::Source;
use vipscope_shared::predict::{self, Answer, Question, Reply, Resolution};
use vipscope_shared::proxy::{self, Format, Scope};
use vipscope_shared::trace::Verdict;

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
    fn rules(&self, service: &str, family: IpFamily, mode: ProxyMode) -> String {
        self.feed.read(|snapshot| {
            let state = &snapshot.state;
            let node = proxy::find_node(state, "node-a", family).unwrap();
            let key = Key::new("default", service);
            let rules = proxy::generate_for(state, node, family, mode, Scope::Service(&key));
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

/// What a packet's source becomes, if it comes from a pod of node-a, and if from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sources {
    /// A pod keeps its address (unless it reaches itself); who comes from outside gets the node's.
    PodStays,
    /// What comes in at an address for the outside gets the node's.
    Masqueraded,
}

/// What is behind an address and port.
#[derive(Debug)]
enum Found {
    /// This port of all pods of apache, in equal shares.
    Pods(u16),
    /// One address alone.
    Only(&'static str),
}

/// What following packets on node-a says of one destination.
#[derive(Debug)]
enum Traced {
    /// Per answer: the address and port (`VIP` is the cluster IP), what is behind it, and sources.
    Leads(&'static [(&'static str, Found, Sources)]),
    /// No rule is concerned; DNS leads to this port of all pods of apache.
    Headless(u16),
    /// No rule is concerned; DNS leads there.
    HeadlessTo(&'static str),
    /// No rule is concerned; DNS answers with a CNAME.
    Alias(&'static str),
}

/// A Service, the destination to ask for, and what has to be said.
type TraceRow = (&'static str, &'static str, Traced);

const TRACES: &[TraceRow] = {
    use Found::{Only, Pods};
    use Sources::{Masqueraded, PodStays};
    use Traced::{Alias, Headless, HeadlessTo, Leads};
    &[
        ("apache", "svc/default/apache", Leads(&[("VIP:8080", Pods(8080), PodStays)])),
        ("selected", "svc/default/selected", Leads(&[("VIP:80", Pods(8080), PodStays)])),
        (
            "multi-port",
            "svc/default/multi-port",
            Leads(&[("VIP:80", Pods(8080), PodStays), ("VIP:443", Pods(8443), PodStays)]),
        ),
        ("multi-port", "svc/default/multi-port:https", Leads(&[("VIP:443", Pods(8443), PodStays)])),
        ("by-hand", "svc/default/by-hand", Leads(&[("VIP:80", Only("192.0.2.42:9376"), PodStays)])),
        ("cluster-ip", "svc/default/cluster-ip", Leads(&[("10.96.0.171:80", Pods(8080), PodStays)])),
        ("node-port", "svc/default/node-port", Leads(&[("VIP:80", Pods(8080), PodStays)])),
        ("node-port", "192.168.0.10:30007", Leads(&[("192.168.0.10:30007", Pods(8080), Masqueraded)])),
        (
            "load-balancer",
            "svc/default/load-balancer",
            Leads(&[("VIP:80", Pods(8080), PodStays), ("203.0.113.7:80", Pods(8080), Masqueraded)]),
        ),
        ("external-name", "svc/default/external-name", Alias("my.database.example.com")),
        (
            "external-ips",
            "svc/default/external-ips:http",
            Leads(&[("VIP:80", Pods(8080), PodStays), ("198.51.100.32:80", Pods(8080), Masqueraded)]),
        ),
        ("headless", "svc/default/headless", Headless(8080)),
        ("headless-by-hand", "svc/default/headless-by-hand", HeadlessTo("192.0.2.43:9376")),
    ]
};

/// An answer in one line: where to, and each outcome's verdict, share, destination and source.
fn told(answer: &Answer) -> String {
    let outcomes = answer.outcomes.iter().map(|outcome| {
        let [part, whole] = outcome.fraction;
        told_outcome(outcome.verdict, (part, whole), &outcome.destination.to_string(), outcome.masquerade)
    });
    let mut outcomes: Vec<String> = outcomes.collect();
    outcomes.sort();
    format!("{}:{} {}", answer.packet.destination, answer.packet.port, outcomes.join(", "))
}

fn told_outcome(verdict: Verdict, (part, whole): (u64, u64), to: &str, masqueraded: bool) -> String {
    let source = if masqueraded { "masqueraded" } else { "as it is" };
    format!("{} {part}/{whole} to {to} {source}", verdict.as_str())
}

/// What has to be told of a packet of `from`, whose own address is `own`.
fn expected(
    (to, found, sources): &(&'static str, Found, Sources),
    vip: &str,
    pods: &[String],
    own: Option<&str>,
) -> String {
    let to = to.replace("VIP", vip);
    let masqueraded =
        |ip: &str| own.is_none() || *sources == Sources::Masqueraded || own.is_some_and(|own| own == ip);
    let mut outcomes: Vec<String> = match found {
        Found::Only(one) => {
            let ip = one.split_once(':').unwrap().0;
            vec![told_outcome(Verdict::Deliver, (1, 1), one, masqueraded(ip))]
        }
        Found::Pods(port) => pods
            .iter()
            .map(|ip| {
                let share = (1, pods.len() as u64);
                told_outcome(Verdict::Deliver, share, &format!("{ip}:{port}"), masqueraded(ip))
            })
            .collect(),
    };
    outcomes.sort();
    format!("{to} {}", outcomes.join(", "))
}

/// Follows packets to a Service from a pod on node-a and from outside, in both modes.
fn trace(state: &ClusterState, (name, to, traced): &TraceRow) {
    let pods = ready(state, "apache");
    let service = state.services().get(&Key::new("default", *name)).unwrap();
    let vip = service.cluster_ip.ips().first().map(ToString::to_string).unwrap_or_default();
    let pod = state.pods_on("node-a").find(|pod| pod.name().starts_with("apache-")).unwrap();
    let own = pod.ips[0].to_string();
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables] {
        for (from, own) in [(Source::Pod(pod.key().clone()), Some(&*own)), (Source::External, None)] {
            let what = format!("{mode}: {from} to {to}");
            let question = Question {
                node: "node-a".into(),
                mode: Some(mode),
                from,
                to: to.parse().unwrap(),
                protocol: None,
            };
            let reply = predict::ask(state, &question).unwrap();
            let service = (*to).trim_start_matches("svc/");
            let resolved = match (&reply, traced) {
                (Reply::Answers(answers), Traced::Leads(rows)) => {
                    let told: Vec<String> = answers.iter().map(told).collect();
                    let expected: Vec<String> =
                        rows.iter().map(|row| expected(row, &vip, &pods, own)).collect();
                    assert_eq!(told, expected, "{what}");
                    continue;
                }
                (Reply::Resolution(resolution), _) => resolution,
                _ => panic!("{what}: {reply:?}"),
            };
            let addresses: Vec<String> = match traced {
                Traced::Headless(port) => pods.iter().map(|ip| format!("{ip}:{port}")).collect(),
                Traced::HeadlessTo(one) => vec![(*one).to_owned()],
                Traced::Alias(_) | Traced::Leads(_) => Vec::new(),
            };
            let mut addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            addresses.sort_unstable();
            let expected = match traced {
                Traced::Alias(name) => {
                    Resolution::ExternalName { service: service.to_owned(), name: (*name).into() }
                }
                _ => Resolution::Headless { service: service.to_owned(), addresses },
            };
            assert_eq!(*resolved, expected, "{what}");
        }
    }
}

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
    let traced = |name: &str| TRACES.iter().any(|(service, ..)| *service == name);
    assert!(STEPS.iter().all(|(_, name, ..)| traced(name)), "each Service has a trace");
    dashboard.feed.read(|snapshot| TRACES.iter().for_each(|row| trace(&snapshot.state, row)));
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
    let text = dashboard.rules(name, IpFamily::IPv4, ProxyMode::Iptables);
    for part in *rules {
        assert!(text.contains(part), "{name}: {part} in\n{text}");
    }
    // Nothing is programmed for what has no virtual address.
    let programmed = text.contains(&format!("default/{name}"));
    assert_eq!(programmed, !rules.is_empty(), "{name}:\n{text}");
    let nft = dashboard.rules(name, IpFamily::IPv4, ProxyMode::Nftables);
    assert_eq!(nft.contains(&format!("default/{name}/tcp")), !rules.is_empty(), "{name}:\n{nft}");
}

const DUAL: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: dual}\nspec:\n  ipFamilyPolicy: PreferDualStack\n  selector: {app: apache}\n  ports:\n  - {port: 80, targetPort: 8080}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_service_with_two_families() {
    let options = Options { empty: true, churn: false, families: Families::DualStack, ..Options::default() };
    let Some(cluster) = Cluster::start(options).await else { return };
    let dashboard = Dashboard::of(&cluster);
    let apply = format!("apply -f {}", example("01-apache"));
    let create = format!("create -f {}", cluster.file("dual.yaml", DUAL));
    let rows = [
        (&*apply, Says::Fine),
        ("rollout status deployment/apache --timeout=30s", Says::Fine),
        (&*create, Says::Is("service/dual created")),
        ("get service dual -o jsonpath={.spec.ipFamilies}", Says::Is(r#"["IPv4","IPv6"]"#)),
        ("get service dual -o jsonpath={.spec.clusterIPs[*]}", Says::Columns(&["10.96.* fd00:10:96::*"])),
        ("describe service dual", Says::Contains("PreferDualStack")),
        ("get node node-b -o jsonpath={.spec.podCIDRs[*]}", Says::Is("10.244.1.0/24 fd00:10:244:1::/64")),
        (
            "get pods -l app=apache -o jsonpath={.items[0].status.podIPs[*].ip}",
            Says::Columns(&["10.244.* fd00:10:244:*"]),
        ),
    ];
    cluster.check(&rows).await;
    dashboard.until(SOON, "four endpoints of each family", |state| ready(state, "dual").len() == 8).await;
    dashboard.feed.read(|snapshot| has_two_families(&snapshot.state));
    for mode in [ProxyMode::Iptables, ProxyMode::Nftables] {
        for family in IpFamily::BOTH {
            let text = dashboard.rules("dual", family, mode);
            dashboard.feed.read(|snapshot| is_programmed(&snapshot.state, family, &text));
        }
    }
    let balanced = |count: usize| {
        move |state: &ClusterState| {
            let service = state.services().get(&Key::new("default", "dual"));
            service.is_some_and(|service| service.ingress.len() == count)
        }
    };
    cluster.check(&[(r#"patch service dual -p "spec: {type: LoadBalancer}""#, Says::Fine)]).await;
    dashboard.until(SOON, "a balancer with two addresses", balanced(2)).await;
    // Back to one: the secondary address, its slice and its rules go.
    let single = r#"patch service dual --type=merge -p "spec: {ipFamilyPolicy: SingleStack}""#;
    cluster.check(&[(single, Says::Fine)]).await;
    dashboard.until(SOON, "four endpoints", |state| ready(state, "dual").len() == 4).await;
    dashboard.until(SOON, "a balancer with one address", balanced(1)).await;
    cluster
        .check(&[("get service dual -o jsonpath={.spec.clusterIPs[*]}", Says::Columns(&["10.96.*"]))])
        .await;
    let text = dashboard.rules("dual", IpFamily::IPv6, ProxyMode::Nftables);
    assert!(!text.contains("default/dual"), "{text}");
}

/// One slice per family, Endpoints of the primary one alone, and packets of both families are balanced.
fn has_two_families(state: &ClusterState) {
    let key = Key::new("default", "dual");
    let mut slices: Vec<(AddressType, usize)> =
        state.slices_of(&key).map(|slice| (slice.address_type, slice.endpoints.len())).collect();
    slices.sort_unstable();
    assert_eq!(slices, [(AddressType::IPv4, 4), (AddressType::IPv6, 4)]);
    let legacy = &state.endpoints().get(&key).unwrap().subsets[0];
    assert!(legacy.addresses.len() == 4 && legacy.addresses.iter().all(|address| address.ip.is_ipv4()));
    let pod = state.pods_on("node-a").find(|pod| pod.name().starts_with("apache-")).unwrap();
    let question = Question {
        node: "node-a".into(),
        mode: None,
        from: Source::Pod(pod.key().clone()),
        to: "svc/default/dual".parse().unwrap(),
        protocol: None,
    };
    let Reply::Answers(answers) = predict::ask(state, &question).unwrap() else { panic!("no answers") };
    let told: Vec<(IpFamily, usize)> =
        answers.iter().map(|answer| (answer.family, answer.outcomes.len())).collect();
    assert_eq!(told, [(IpFamily::IPv4, 4), (IpFamily::IPv6, 4)]);
    for outcome in answers.iter().flat_map(|answer| &answer.outcomes) {
        // Only a pod that reaches itself gets another source.
        let own = pod.ips.contains(&outcome.destination.ip());
        assert_eq!((outcome.verdict, outcome.fraction, outcome.masquerade), (Verdict::Deliver, [1, 4], own));
    }
}

/// The text leads from the family's cluster IP to its four endpoints, and to no other.
fn is_programmed(state: &ClusterState, family: IpFamily, text: &str) {
    let service = state.services().get(&Key::new("default", "dual")).unwrap();
    let ips = service.cluster_ip.ips().iter().copied();
    let endpoints = ready(state, "dual").into_iter().map(|ip| ip.parse::<IpAddr>().unwrap());
    for ip in ips.chain(endpoints) {
        assert_eq!(text.contains(&ip.to_string()), IpFamily::of(ip) == family, "{ip}\n{text}");
    }
}
