//! The sandbox over a real socket, with a real Kubernetes client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::pin;

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{self, Event};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use vipscope::sandbox::{self, CALM_SERVICES, Options, Sandbox};

/// Longer than anything takes; only a broken test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Served {
    sandbox: Sandbox,
    client: Client,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Served {
    async fn start(options: Options) -> Served {
        let sandbox = Sandbox::start(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, task) = serve(&sandbox, listener);
        let config = Kubeconfig::from_yaml(&sandbox::kubeconfig(&format!("http://{address}"))).unwrap();
        let config =
            kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
        Served { sandbox, client: Client::try_from(config).unwrap(), address, stop, task }
    }

    /// An empty cluster with the namespace `shop`.
    async fn empty() -> Served {
        let served = Served::start(Options { empty: true, churn: false, ..Options::default() }).await;
        let shop: Namespace = object(json!({"metadata": {"name": "shop"}}));
        Api::<Namespace>::all(served.client.clone()).create(&PostParams::default(), &shop).await.unwrap();
        served
    }

    async fn demo() -> Served {
        Served::start(Options { churn: false, ..Options::default() }).await
    }

    fn shop<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), "shop")
    }
}

fn serve(sandbox: &Sandbox, listener: TcpListener) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let serving = sandbox.serve(listener, stop.clone());
    (stop, tokio::spawn(async move { serving.await.unwrap() }))
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn service(name: &str, spec: Value) -> Service {
    object(json!({"metadata": {"name": name}, "spec": spec}))
}

fn merge(patch: Value) -> Patch<Value> {
    Patch::Merge(patch)
}

/// The first answer of `pick` to an item of the stream.
async fn first<S, T, R>(stream: &mut S, mut pick: impl FnMut(T) -> Option<R>) -> R
where
    S: Stream<Item = T> + Unpin,
{
    let found = async {
        loop {
            if let Some(found) = pick(stream.next().await.expect("the stream goes on")) {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("what the test waits for happens")
}

/// A watcher's picture of a collection, by name.
struct Mirror<K> {
    objects: BTreeMap<String, K>,
    fresh: BTreeMap<String, K>,
    relists: usize,
}

impl<K: ResourceExt> Mirror<K> {
    fn new() -> Mirror<K> {
        Mirror { objects: BTreeMap::new(), fresh: BTreeMap::new(), relists: 0 }
    }

    fn apply(&mut self, event: Event<K>) {
        match event {
            Event::Init => self.fresh.clear(),
            Event::InitApply(object) => drop(self.fresh.insert(object.name_any(), object)),
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.fresh);
                self.relists += 1;
            }
            Event::Apply(object) => drop(self.objects.insert(object.name_any(), object)),
            Event::Delete(object) => drop(self.objects.remove(&object.name_any())),
        }
    }

    fn names(&self) -> Vec<&str> {
        self.objects.keys().map(String::as_str).collect()
    }
}

/// The page size that vipscope's own watch has.
fn watch_config() -> watcher::Config {
    watcher::Config::default().page_size(500)
}

fn endpoints(slice: &EndpointSlice) -> &[Endpoint] {
    slice.endpoints.as_deref().unwrap_or_default()
}

/// Ready, serving, terminating by pod.
fn conditions(slice: &EndpointSlice) -> BTreeMap<String, (bool, bool, bool)> {
    let with_pod = endpoints(slice).iter().filter_map(|endpoint| {
        let flags = endpoint.conditions.clone().unwrap_or_default();
        let (ready, serving) = (flags.ready.unwrap_or(true), flags.serving.unwrap_or(true));
        let name = endpoint.target_ref.clone()?.name?;
        Some((name, (ready, serving, flags.terminating.unwrap_or(false))))
    });
    with_pod.collect()
}

fn ready_count<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> usize {
    slices.into_iter().flat_map(|slice| conditions(slice).into_values()).filter(|(ready, ..)| *ready).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_the_demo() {
    let served = Served::demo().await;
    let mut services = pin!(watcher::watcher(Api::<Service>::all(served.client.clone()), watch_config()));
    let mut seen = Mirror::new();
    first(&mut services, |event| {
        seen.apply(event.unwrap());
        (seen.relists == 1).then_some(())
    })
    .await;
    #[rustfmt::skip]
    let demo = [
        "archive", "cart", "catalog", "dns-cache", "gateway", "kube-dns", "kubernetes", "legacy-db", "orders",
        "payments", "postgres", "queue", "recommendations", "search", "warehouse", "web",
    ];
    assert_eq!(seen.names(), demo);
    let spec = |name: &str| seen.objects[name].spec.clone().unwrap();
    assert_eq!(spec("kubernetes").cluster_ip.as_deref(), Some("10.96.0.1"));
    assert_eq!(spec("postgres").cluster_ip.as_deref(), Some("None"));
    assert_eq!(spec("gateway").ports.unwrap()[0].node_port, Some(30080));
    let affinity = spec("payments").session_affinity_config.unwrap().client_ip.unwrap();
    assert_eq!(affinity.timeout_seconds, Some(10800));
    assert!(spec("web").health_check_node_port.is_some());

    let mut web = pin!(watcher::watch_object(served.shop::<Service>(), "web"));
    let ip = first(&mut web, |service| service.unwrap()?.status?.load_balancer?.ingress?.first()?.ip.clone());
    assert_eq!(ip.await, "203.0.113.7");
    every_kind_of_endpoint(&served).await;
    let nodes = Api::<Node>::all(served.client.clone()).list(&ListParams::default()).await.unwrap();
    let zones: Vec<_> =
        nodes.iter().map(|node| node.labels()["topology.kubernetes.io/zone"].as_str()).collect();
    assert_eq!(zones, ["eu-1a", "eu-1b", "eu-1c", "eu-1a"]);
    let system = Api::<ConfigMap>::namespaced(served.client.clone(), "kube-system");
    let config = system.get("kube-proxy").await.unwrap().data.unwrap();
    assert!(config["config.conf"].contains("mode: iptables\nclusterCIDR: 10.244.0.0/16\n"));
}

/// Ready, hinted, not ready and terminating endpoints, mirrored ones, and none.
async fn every_kind_of_endpoint(served: &Served) {
    let slices = Api::<EndpointSlice>::all(served.client.clone());
    let mut slices = pin!(watcher::watcher(slices, watch_config()));
    let mut seen: Mirror<EndpointSlice> = Mirror::new();
    let by_service = first(&mut slices, |event| {
        seen.apply(event.unwrap());
        let named = |s: &EndpointSlice| (s.labels()["kubernetes.io/service-name"].clone(), s.clone());
        let all: BTreeMap<String, EndpointSlice> = seen.objects.values().map(named).collect();
        let settled = [("cart", 5), ("catalog", 6), ("web", 6)]
            .into_iter()
            .all(|(name, count)| ready_count(all.get(name)) == count);
        (settled && endpoints(&all["cart"]).len() == 6).then_some(all)
    })
    .await;
    let cart = &by_service["cart"];
    let canary = conditions(cart).into_iter().find(|(name, _)| name.starts_with("cart-canary-")).unwrap();
    assert_eq!(canary.1, (false, false, false));
    assert_eq!(endpoints(cart).iter().filter(|one| one.hints.is_some()).count(), 5, "only ready ones");
    assert_eq!(conditions(&by_service["catalog"])["catalog-draining"], (false, true, true));
    let hand_made: Vec<_> =
        endpoints(&by_service["warehouse"]).iter().flat_map(|one| one.addresses.clone()).collect();
    assert_eq!(hand_made, ["192.0.2.42", "192.0.2.43"]);
    assert!(endpoints(&by_service["orders"]).is_empty(), "its selector matches nothing");
    let ports = &by_service["recommendations"].ports;
    assert!(ports.as_ref().is_none_or(Vec::is_empty), "its port has no match");
    assert!(!by_service.contains_key("legacy-db"));
}

fn deployment(name: &str, replicas: i32) -> Deployment {
    let labels = json!({"app": name});
    let container =
        json!({"name": "main", "image": "main:1", "ports": [{"name": "http", "containerPort": 8080}]});
    object(json!({
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}},
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_seen_as_they_happen() {
    let served = Served::empty().await;
    let (services, deployments) = (served.shop::<Service>(), served.shop::<Deployment>());
    let mut slices = pin!(watcher::watcher(served.shop::<EndpointSlice>(), watch_config()));
    let mut seen: Mirror<EndpointSlice> = Mirror::new();
    let mut ready = async |count: usize| {
        first(&mut slices, |event| {
            seen.apply(event.unwrap());
            (seen.relists > 0 && ready_count(seen.objects.values()) == count).then_some(())
        })
        .await
    };
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let web = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]});
    let created = services.create(&post, &service("web", web)).await.unwrap();
    assert!(created.spec.unwrap().cluster_ip.unwrap().starts_with("10.96."));
    deployments.create(&post, &deployment("web", 2)).await.unwrap();
    ready(2).await;
    // Scale up through the subresource, and down through a patch.
    let scale = merge(json!({"spec": {"replicas": 4}}));
    let answer = deployments.patch_scale("web", &patch, &scale).await.unwrap();
    assert_eq!(answer.spec.unwrap().replicas, Some(4));
    assert_eq!(answer.status.unwrap().selector.as_deref(), Some("app=web"));
    ready(4).await;
    let down = Patch::Strategic(json!({"spec": {"replicas": 1}}));
    deployments.patch("web", &patch, &down).await.unwrap();
    ready(1).await;
    // Publishing what is not ready shows the pods that are still terminating.
    let publish = merge(json!({"spec": {"publishNotReadyAddresses": true}}));
    services.patch("web", &patch, &publish).await.unwrap();
    ready(4).await;
    services.delete("web", &DeleteParams::default()).await.unwrap();
    ready(0).await;
    served.sandbox.settled().await;
    assert_eq!(served.shop::<Endpoints>().list(&ListParams::default()).await.unwrap().items, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_ends_and_a_deletion_cascades() {
    let served = Served::empty().await;
    let deployments = served.shop::<Deployment>();
    deployments.create(&PostParams::default(), &deployment("web", 3)).await.unwrap();
    let mut watched = pin!(watcher::watch_object(deployments.clone(), "web"));
    let mut rolled_out = async |generation: i64| {
        first(&mut watched, |found| {
            let (meta, status) = found.unwrap().map(|d| (d.metadata, d.status.unwrap_or_default()))?;
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            let observed = [meta.generation, status.observed_generation] == [Some(generation); 2];
            (observed && counts == [Some(3); 3]).then_some(())
        })
        .await
    };
    rolled_out(1).await;
    deployments.restart("web").await.unwrap();
    rolled_out(2).await;
    let sets = served.shop::<ReplicaSet>();
    let listed = sets.list(&ListParams::default()).await.unwrap();
    let mut counts: Vec<_> = listed.iter().map(|set| set.spec.replicas.unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 3]);

    deployments.delete("web", &DeleteParams::foreground()).await.unwrap();
    let mut gone = pin!(watcher::watch_object(deployments, "web"));
    first(&mut gone, |found| found.unwrap().is_none().then_some(())).await;
    // Foreground: when the owner is gone, nothing that it owned is left.
    assert_eq!(sets.list(&ListParams::default()).await.unwrap().items, []);
    assert_eq!(served.shop::<Pod>().list(&ListParams::default()).await.unwrap().items, []);
}

fn status(error: kube::Error) -> Box<kube::core::Status> {
    match error {
        kube::Error::Api(status) => status,
        other => panic!("not an answer of the API: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_with_its_content() {
    let served = Served::empty().await;
    let services = served.shop::<Service>();
    let web = service("web", json!({"selector": {"app": "web"}, "ports": [{"port": 80}]}));
    services.create(&PostParams::default(), &web).await.unwrap();
    let namespaces = Api::<Namespace>::all(served.client.clone());
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    let mut watched = pin!(watcher::watch_object(namespaces, "shop"));
    first(&mut watched, |found| found.unwrap().is_none().then_some(())).await;
    assert_eq!(served.shop::<EndpointSlice>().list(&ListParams::default()).await.unwrap().items, []);
    let refused = status(services.create(&PostParams::default(), &web).await.unwrap_err());
    assert_eq!(refused.message, r#"namespaces "shop" not found"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_moment() {
    let served = Served::demo().await;
    served.sandbox.settled().await;
    let pods = Api::<Pod>::all(served.client.clone());
    let first_page = pods.list(&ListParams::default().limit(7)).await.unwrap();
    let exactly = first_page.metadata.resource_version.clone().unwrap();
    let all = pods
        .list(&ListParams::default().at(&exactly).matching(kube::api::VersionMatch::Exact))
        .await
        .unwrap();
    let all: BTreeSet<String> = all.iter().map(ResourceExt::name_any).collect();
    assert_eq!(first_page.metadata.remaining_item_count, Some(all.len() as i64 - 7));
    // What comes and goes between two pages is not seen.
    let shop = served.shop::<Pod>();
    let late =
        json!({"metadata": {"name": "aaa-late"}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}});
    shop.create(&PostParams::default(), &object(late)).await.unwrap();
    let victim = all.iter().find(|name| name.starts_with("worker-")).unwrap();
    shop.delete(victim, &DeleteParams::default().grace_period(0)).await.unwrap();
    let mut paged: Vec<String> = first_page.iter().map(ResourceExt::name_any).collect();
    let mut next = first_page.metadata.continue_.clone();
    while let Some(token) = next.filter(|token| !token.is_empty()) {
        let page = pods.list(&ListParams::default().limit(7).continue_token(&token)).await.unwrap();
        assert_eq!(page.metadata.resource_version, first_page.metadata.resource_version);
        paged.extend(page.iter().map(ResourceExt::name_any));
        next = page.metadata.continue_;
    }
    assert_eq!(paged.len(), all.len(), "nothing twice");
    assert_eq!(paged.into_iter().collect::<BTreeSet<_>>(), all);
    // After compaction the old pages are gone.
    served.sandbox.compact();
    let token = first_page.metadata.continue_.unwrap();
    let gone = pods.list(&ListParams::default().continue_token(&token)).await.unwrap_err();
    assert_eq!(status(gone).reason, "Expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_missed_the_compaction_lists_again() {
    let Served { sandbox, client, address, stop, task } = Served::empty().await;
    let services = Api::<Service>::namespaced(client.clone(), "shop");
    let spec = || json!({"ports": [{"port": 80}]});
    for name in ["kept", "lost"] {
        services.create(&PostParams::default(), &service(name, spec())).await.unwrap();
    }
    let old = services.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = pin!(watcher::watcher(services.clone(), watch_config()));
    let mut seen = Mirror::new();
    first(&mut events, |event| {
        seen.apply(event.unwrap());
        (seen.relists == 1).then_some(())
    })
    .await;
    assert_eq!(seen.names(), ["kept", "lost"]);
    // The API server goes away, and misses nothing of what happens meanwhile.
    stop.cancel();
    timeout(PATIENCE, task).await.expect("serving ends although a client is there").unwrap();
    let path = "/api/v1/namespaces/shop/services";
    let added = json!({"metadata": {"name": "added"}, "spec": spec()}).to_string();
    for (method, path, body) in
        [("DELETE", format!("{path}/lost"), String::new()), ("POST", path.into(), added)]
    {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let answer = tower::ServiceExt::oneshot(sandbox.router(), request).await.unwrap();
        assert!(answer.status().is_success());
    }
    sandbox.compact();
    // It comes back at the same address.
    let (_stop, _task) = serve(&sandbox, TcpListener::bind(address).await.unwrap());
    first(&mut events, |event| {
        // Errors while it is away are what the watcher retries.
        event.map(|event| seen.apply(event)).ok();
        (seen.relists == 2).then_some(())
    })
    .await;
    assert_eq!(seen.names(), ["added", "kept"]);
    let mut raw = pin!(services.watch(&WatchParams::default(), &old).await.unwrap());
    let Some(WatchEvent::Error(error)) = raw.try_next().await.unwrap() else { panic!("410 in the stream") };
    assert_eq!((error.code, error.reason.as_str()), (410, "Expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_keep_the_rules() {
    let served = Served::empty().await;
    let services = served.shop::<Service>();
    let (post, patch) = (PostParams::default(), PatchParams::default());
    let web = service("web", json!({"ports": [{"port": 80}]}));
    let created = services.create(&post, &web).await.unwrap();
    let again = services.create(&post, &web).await.unwrap_err();
    assert_eq!(status(again).message, r#"services "web" already exists"#);
    // An update that changes nothing is none.
    let same = services.replace("web", &post, &created).await.unwrap();
    assert_eq!(same.resource_version(), created.resource_version());
    let nothing = merge(json!({"spec": {"type": "ClusterIP"}}));
    let same = services.patch("web", &patch, &nothing).await.unwrap();
    assert_eq!(same.resource_version(), created.resource_version());
    // Who has read an old version loses.
    let mut mine = created.clone();
    mine.spec.as_mut().unwrap().session_affinity = Some("ClientIP".into());
    let newer = services.replace("web", &post, &mine).await.unwrap();
    assert!(newer.resource_version() > created.resource_version());
    let late = status(services.replace("web", &post, &mine).await.unwrap_err());
    assert_eq!((late.code, late.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        late.message,
        r#"Operation cannot be fulfilled on services "web": the object has been modified; please apply your changes to the latest version and try again"#
    );
    // A dry run stores nothing.
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    let label = merge(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(services.patch("web", &dry, &label).await.unwrap().labels()["a"], "b");
    assert_eq!(services.get("web").await.unwrap().resource_version(), newer.resource_version());
    // Status and the rest are apart.
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.99"}]}});
    let both = merge(json!({"metadata": {"labels": {"a": "b"}}, "status": ingress}));
    let patched = services.patch("web", &patch, &both).await.unwrap();
    assert_eq!(patched.labels()["a"], "b");
    assert_eq!(patched.status.unwrap().load_balancer.unwrap().ingress, None);
}

/// Bodies that are refused, and the message with which.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_the_real_server_says() {
    let served = Served::empty().await;
    let services = served.shop::<Service>();
    let taken =
        json!({"type": "NodePort", "clusterIP": "10.96.0.77", "ports": [{"port": 80, "nodePort": 30001}]});
    services.create(&PostParams::default(), &service("taken", taken)).await.unwrap();
    #[rustfmt::skip]
    let rows = [
        (json!({}), "spec.ports: Required value"),
        (json!({"ports": [{"port": 80}, {"port": 81}]}), "[spec.ports[0].name: Required value, spec.ports[1].name: Required value]"),
        (json!({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}), r#"spec.ports[1].name: Duplicate value: "a""#),
        (json!({"ports": [{"port": 80, "name": "a.b"}]}), r#"spec.ports[0].name: Invalid value: "a.b": must not contain dots"#),
        (json!({"ports": [{"port": 80, "protocol": "HTTP"}]}), r#"spec.ports[0].protocol: Unsupported value: "HTTP": supported values: "SCTP", "TCP", "UDP""#),
        (json!({"ports": [{"port": 70000}]}), "[spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive]"),
        (json!({"ports": [{"port": 80, "nodePort": 30002}]}), "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"),
        (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}), "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767"),
        (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}), "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"),
        (json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}), r#"spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services"#),
        (json!({"clusterIP": "foo", "ports": [{"port": 80}]}), r#"spec.clusterIPs[0]: Invalid value: "foo": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"#),
        (json!({"clusterIP": "192.168.1.1", "ports": [{"port": 80}]}), r#"spec.clusterIPs: Invalid value: ["192.168.1.1"]: failed to allocate IP 192.168.1.1: the provided IP (192.168.1.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16"#),
        (json!({"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}), r#"spec.clusterIPs: Invalid value: ["10.96.0.77"]: failed to allocate IP 10.96.0.77: provided IP is already allocated"#),
        (json!({"type": "Nodeport", "ports": [{"port": 80}]}), r#"spec.type: Unsupported value: "Nodeport": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#),
        (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
        (json!({"externalTrafficPolicy": "Local", "ports": [{"port": 80}]}), r#"spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services"#),
        (json!({"sessionAffinity": "Cookie", "ports": [{"port": 80}]}), r#"spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None""#),
        (json!({"externalIPs": ["127.0.0.1"], "ports": [{"port": 80}]}), r#"spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)"#),
    ];
    for (spec, expected) in rows {
        let refused = services.create(&PostParams::default(), &service("bad", spec.clone())).await;
        let refused = status(refused.expect_err(expected));
        assert_eq!(refused.message, format!(r#"Service "bad" is invalid: {expected}"#), "{spec}");
        assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
        assert!(!refused.details.unwrap().causes.is_empty());
    }
    let moved = merge(json!({"spec": {"clusterIP": "10.96.9.9"}}));
    let moved = status(services.patch("taken", &PatchParams::default(), &moved).await.unwrap_err());
    assert_eq!(
        moved.message,
        r#"Service "taken" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.9.9"]: may not change once set"#
    );
    let missing = status(served.shop::<Deployment>().get("none").await.unwrap_err());
    assert_eq!((missing.code, missing.message.as_str()), (404, r#"deployments.apps "none" not found"#));
}

/// Whatever is sent, the answer is a Status and the server stands.
#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_get_an_answer() {
    let sandbox = Sandbox::start(Options { empty: true, churn: false, ..Options::default() });
    #[rustfmt::skip]
    let rows = [
        ("GET", "/api/v1/services?&limit=500&&", "", 200),
        ("GET", "/api/v1/services?resourceVersion=abc", "", 400),
        ("GET", "/api/v1/services?resourceVersion=99999999999999999", "", 504),
        ("GET", "/api/v1/services?continue=nonsense", "", 400),
        ("GET", "/api/v1/services?labelSelector=%3Dx", "", 400),
        ("GET", "/api/v1/nothing", "", 404),
        ("GET", "/apis/nothing.example.com/v1/things", "", 404),
        ("GET", "/api/v1/namespaces/default/services/kubernetes/scale", "", 404),
        ("PUT", "/api/v1/services", "{}", 405),
        ("POST", "/api/v1/namespaces/default/services", "not json", 400),
        ("POST", "/api/v1/namespaces/default/services", "[1]", 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":"x"}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":{"name":"x"},"spec":"x"}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":{"name":"x"},"spec":{"ports":[7]}}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":{"name":"x"},"spec":{"ports":[{"port":"http"}]}}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":{"name":"X"},"spec":{"ports":[{"port":1}]}}"#, 422),
        ("POST", "/api/v1/namespaces/default/services", r#"{"kind":"Pod","metadata":{"name":"x"}}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", r#"{"metadata":{"name":"x","namespace":"other"}}"#, 400),
        ("POST", "/api/v1/namespaces/default/services", "{}", 422),
        ("POST", "/api/v1/namespaces/default/pods", r#"{"metadata":{"name":"x"}}"#, 422),
        ("POST", "/apis/apps/v1/namespaces/default/deployments", r#"{"metadata":{"name":"x"},"spec":null}"#, 422),
        ("PATCH", "/api/v1/namespaces/default/services/kubernetes", "{}", 415),
        ("DELETE", "/api/v1/namespaces/default/services/none", r#"{"propagationPolicy":"Background"}"#, 404),
        ("DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=a%3Db", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/readyz?verbose", "", 200),
        ("GET", "/version?timeout=32s", "", 200),
        ("GET", "/apis/apps/v1", "", 200),
        ("GET", "/", "", 200),
    ];
    for (method, path, body, expected) in rows {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let answer = tower::ServiceExt::oneshot(sandbox.router(), request).await.unwrap();
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert_eq!(code, expected, "{method} {path} {text}");
        let plain = text.starts_with("404 page not found");
        assert!(code < 400 || plain || text.contains(r#""kind":"Status""#), "{method} {path} {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn selectors_choose_in_lists_and_watches() {
    let served = Served::empty().await;
    let services = served.shop::<Service>();
    for (name, tier) in [("a", "front"), ("b", "back")] {
        let metadata = json!({"name": name, "labels": {"tier": tier}});
        let object = object(json!({"metadata": metadata, "spec": {"ports": [{"port": 80}]}}));
        services.create(&PostParams::default(), &object).await.unwrap();
    }
    let names = async |params: ListParams| -> Vec<String> {
        services.list(&params).await.unwrap().iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(names(ListParams::default().labels("tier in (front,side)")).await, ["a"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=b")).await, ["b"]);
    assert_eq!(names(ListParams::default().fields("spec.type=NodePort")).await, [""; 0]);
    let version = services.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let front = WatchParams::default().labels("tier=front");
    let mut events = pin!(services.watch(&front, &version).await.unwrap());
    for (name, tier) in [("b", "front"), ("a", "back"), ("a", "side"), ("b", "front-2")] {
        let patch = merge(json!({"metadata": {"labels": {"tier": tier}}}));
        services.patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
    let mut told = Vec::new();
    first(&mut events, |event| {
        let line = |kind: &str, object: &Service| {
            format!("{kind} {} {}", object.name_any(), object.labels()["tier"])
        };
        told.push(match event.unwrap() {
            WatchEvent::Added(object) => line("ADDED", &object),
            WatchEvent::Modified(object) => line("MODIFIED", &object),
            WatchEvent::Deleted(object) => line("DELETED", &object),
            other => format!("{other:?}"),
        });
        (told.len() == 3).then_some(())
    })
    .await;
    assert_eq!(told, ["ADDED b front", "DELETED a front", "DELETED b front"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_bookmark_and_end_in_time() {
    let served = Served::empty().await;
    let services = served.shop::<Service>();
    let soon = WatchParams::default().timeout(1);
    let events: Vec<_> = services.watch(&soon, "0").await.unwrap().try_collect().await.unwrap();
    assert!(matches!(events.as_slice(), [WatchEvent::Bookmark(_)]), "{events:?}");
    // A streaming list says where it ends.
    let config = watcher::Config::default().streaming_lists();
    let mut slices = pin!(watcher::watcher(Api::<EndpointSlice>::all(served.client.clone()), config));
    let mut seen = Mirror::new();
    first(&mut slices, |event| {
        seen.apply(event.unwrap());
        (seen.relists == 1).then_some(())
    })
    .await;
    assert_eq!(seen.names(), ["kubernetes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_fails_heals_and_terminates() {
    let served = Served::empty().await;
    let pods = served.shop::<Pod>();
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}});
    pods.create(&PostParams::default(), &object(pod)).await.unwrap();
    let mut watched = pin!(watcher::watch_object(pods.clone(), "p"));
    let mut becomes = async |ready: &str, waiting: Option<&str>| {
        first(&mut watched, |found| {
            let status = found.unwrap()?.status?;
            let condition = status.conditions?.into_iter().find(|one| one.type_ == "Ready")?;
            let state = status.container_statuses?.first()?.state.clone()?;
            let reason = state.waiting.and_then(|waiting| waiting.reason);
            (condition.status == ready && reason.as_deref() == waiting).then_some(())
        })
        .await
    };
    let annotate = async |key: &str, value: Value| {
        let patch = merge(json!({"metadata": {"annotations": {key: value}}}));
        pods.patch("p", &PatchParams::default(), &patch).await.unwrap();
    };
    becomes("True", None).await;
    annotate(sandbox::READY_ANNOTATION, json!("false")).await;
    becomes("False", None).await;
    annotate(sandbox::READY_ANNOTATION, Value::Null).await;
    becomes("True", None).await;
    annotate(sandbox::CRASH_ANNOTATION, json!("true")).await;
    becomes("False", Some("CrashLoopBackOff")).await;
    annotate(sandbox::CRASH_ANNOTATION, Value::Null).await;
    becomes("True", None).await;
    annotate(sandbox::DRAIN_ANNOTATION, json!("1")).await;
    let marked = pods.delete("p", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    let ready =
        marked.status.unwrap().conditions.unwrap().into_iter().find(|one| one.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "it serves while it drains");
    let mut gone = pin!(watcher::watch_object(pods.clone(), "p"));
    first(&mut gone, |found| found.unwrap().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_brings_the_demo_back() {
    let served = Served::demo().await;
    let all = Api::<Service>::all(served.client.clone());
    let before = all.list(&ListParams::default()).await.unwrap();
    served.shop::<Service>().delete("cart", &DeleteParams::default()).await.unwrap();
    served.shop::<Deployment>().delete("web", &DeleteParams::default()).await.unwrap();
    served.sandbox.reset();
    let after = all.list(&ListParams::default()).await.unwrap();
    let addresses = |list: &kube::core::ObjectList<Service>| -> BTreeMap<String, Option<String>> {
        let fixed = list.iter().map(|s| (s.name_any(), s.spec.as_ref().unwrap().cluster_ip.clone()));
        fixed.collect()
    };
    assert_eq!(addresses(&after), addresses(&before), "the seed gives the same addresses");
    let version = |list: &kube::core::ObjectList<Service>| -> u64 {
        list.metadata.resource_version.as_ref().unwrap().parse().unwrap()
    };
    assert!(version(&after) > version(&before), "versions never go back");
    served.sandbox.settled().await;
    let web = served.shop::<Deployment>().get("web").await.unwrap();
    assert_eq!(web.status.unwrap().replicas, Some(6), "the controllers go on");
    served.sandbox.shutdown().await;
    timeout(PATIENCE, served.task).await.expect("serving ends with the sandbox").unwrap();
}

/// Reads a path in-process.
async fn get(sandbox: &Sandbox, path: &str) -> Value {
    let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(sandbox.router(), request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().unwrap().iter()
}

async fn sizes(sandbox: &Sandbox) -> BTreeMap<String, i64> {
    let list = get(sandbox, "/apis/apps/v1/deployments").await;
    let size = |d: &Value| (d["metadata"]["name"].to_string(), d["spec"]["replicas"].as_i64().unwrap());
    items(&list).map(size).collect()
}

async fn calm_slices(sandbox: &Sandbox) -> BTreeMap<String, Value> {
    let list = get(sandbox, "/apis/discovery.k8s.io/v1/endpointslices").await;
    let named = items(&list).map(|slice| {
        let service = slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap();
        (format!("{}/{service}", slice["metadata"]["namespace"].as_str().unwrap()), slice.clone())
    });
    named.filter(|(name, _)| CALM_SERVICES.contains(&name.as_str())).collect()
}

/// Half an hour of churn in a moment: time is tokio's, and moves only while nobody works.
#[tokio::test(start_paused = true)]
async fn churn_is_calm() {
    let sandbox = Sandbox::start(Options::default());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (first_sizes, first_slices) = (sizes(&sandbox).await, calm_slices(&sandbox).await);
    assert_eq!(first_slices.len(), CALM_SERVICES.len() - 1, "all but the ExternalName have a slice");
    let mut others = BTreeSet::new();
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        for (name, size) in sizes(&sandbox).await {
            assert!((size - first_sizes[&name]).abs() <= 1, "{name} has {size} replicas");
        }
        others.insert(sizes(&sandbox).await.into_values().collect::<Vec<_>>());
    }
    assert_eq!(calm_slices(&sandbox).await, first_slices);
    assert!(others.len() > 5, "something did happen");
}
