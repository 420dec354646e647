//! The sandbox driven by the real kubectl. Without kubectl on PATH the tests say so and pass, but not where `CI=true`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kubectl_help;

use kubectl_help::{Cluster, Forward, Program, Says};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Duration, timeout};
use vipscope::sandbox::Options;
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::model::ProxyMode;

/// The demo, without churn.
const DEMO: Options = Options {
    empty: false,
    seed: 1,
    proxy_mode: ProxyMode::Iptables,
    churn: false,
    families: Families::IPv4,
};

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_as_the_real_server_prints_them() {
    let Some(cluster) = Cluster::start(DEMO).await else { return };
    let rows = [
        (
            "wait -n shop --for=condition=Available deploy/cart --timeout=30s",
            Says::Is("deployment.apps/cart condition met"),
        ),
        (
            "get svc -n shop cart",
            Says::Columns(&[
                "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
                "cart ClusterIP 10.96.* <none> 80/TCP,9090/TCP *",
            ]),
        ),
        (
            "get svc -n shop cart -o wide",
            Says::Columns(&[
                "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
                "cart ClusterIP 10.96.* <none> 80/TCP,9090/TCP * app=cart",
            ]),
        ),
        (
            "get service -n shop web",
            Says::Columns(&[
                "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE",
                "web LoadBalancer 10.96.* 203.0.113.* *",
            ]),
        ),
        (
            "get nodes",
            Says::Columns(&[
                "NAME STATUS ROLES AGE VERSION",
                "node-a Ready <none> * v1.36.0",
                "node-b *",
                "node-c *",
                "node-d *",
            ]),
        ),
        ("get ns default", Says::Columns(&["NAME STATUS AGE", "default Active *"])),
        ("get nodes -o wide", Says::Contains("CONTAINER-RUNTIME")),
        ("get pods -n shop -l app=cart -o wide", Says::Contains("NOMINATED NODE")),
        ("get pods -A", Says::Contains("NAMESPACE")),
        (
            "get deploy -n shop cart",
            Says::Columns(&["NAME READY UP-TO-DATE AVAILABLE AGE", "cart */* * * *"]),
        ),
        ("get endpoints -n default kubernetes", Says::Contains("192.168.0.2:6443")),
        (
            "get endpointslices -n default kubernetes",
            Says::Columns(&["NAME ADDRESSTYPE PORTS ENDPOINTS AGE", "kubernetes IPv4 6443 192.168.0.2 *"]),
        ),
        ("get configmap -n kube-system kube-proxy", Says::Columns(&["NAME DATA AGE", "kube-proxy 1 *"])),
        ("get svc -n shop --field-selector metadata.name=cart -o name", Says::Is("service/cart")),
        ("get svc -n shop cart -o jsonpath={.spec.selector.app}", Says::Is("cart")),
        ("get svc -n shop cart -o yaml", Says::Contains("kind: Service")),
        ("get svc -n shop -l app=nobody", Says::Err("No resources found in shop namespace.")),
        ("get all -n shop", Says::Contains("deployment.apps/cart")),
        ("get pods -n shop --show-labels", Says::Contains("app=cart")),
        (
            "get svc nobody -n shop",
            Says::Fails("Error from server (NotFound): services \"nobody\" not found"),
        ),
    ];
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_and_openapi() {
    let Some(cluster) = Cluster::start(DEMO).await else { return };
    let rows = [
        ("version", Says::Contains("Server Version: v1.32.0+vipscope-sandbox")),
        (
            "api-versions",
            Says::Is(
                "apps/v1\nauthentication.k8s.io/v1\nauthorization.k8s.io/v1\ndiscovery.k8s.io/v1\npolicy/v1\nv1",
            ),
        ),
        ("api-resources --no-headers", Says::Contains("endpointslices")),
        ("api-resources --namespaced=false -o name", Says::Contains("nodes")),
        ("cluster-info", Says::Contains("Kubernetes control plane")),
        ("explain service.spec", Says::Contains("externalTrafficPolicy")),
        (
            "explain service.spec.ports.nodePort",
            Says::Contains("The port on each node on which this service is exposed"),
        ),
        ("explain endpointslice.endpoints.conditions", Says::Contains("ready indicates that this endpoint")),
        ("explain deployment.spec.strategy --recursive", Says::Contains("maxSurge")),
        ("explain service.nope", Says::Fails("field \"nope\" does not exist")),
        ("auth can-i create pods", Says::Is("yes")),
        ("auth whoami -o jsonpath={.status.userInfo.username}", Says::Is("sandbox")),
        ("get --raw /readyz", Says::Is("ok")),
        ("get ingresses", Says::Fails("error: the server doesn't have a resource type \"ingresses\"")),
        ("logs -n shop catalog-draining", Says::Fails("logs are not available in the sandbox")),
        ("exec -n shop catalog-draining -- ls", Says::Fails("exec is not available in the sandbox")),
        ("top nodes", Says::Fails("Metrics API not available")),
    ];
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_made() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let rows = [
        // Protobuf bodies.
        ("create namespace team", Says::Is("namespace/team created")),
        (
            "create namespace team",
            Says::Fails("Error from server (AlreadyExists): namespaces \"team\" already exists"),
        ),
        (
            "create deployment web --image=nginx:1.27 --replicas=2 --port=8080",
            Says::Is("deployment.apps/web created"),
        ),
        ("create service clusterip plain --tcp=80:8080", Says::Is("service/plain created")),
        ("create service nodeport open --tcp=80:8080 --node-port=30123", Says::Is("service/open created")),
        ("create service externalname out --external-name=example.com", Says::Is("service/out created")),
        ("create service clusterip headless --clusterip=None", Says::Is("service/headless created")),
        ("create configmap settings --from-literal=a=1", Says::Is("configmap/settings created")),
        ("create secret generic hidden --from-literal=a=1", Says::Is("secret/hidden created")),
        ("get secret hidden -o jsonpath={.data.a}", Says::Is("MQ==")),
        ("create serviceaccount robot", Says::Is("serviceaccount/robot created")),
        ("create job once --image=x", Says::Fails("the sandbox does not serve the API group batch")),
        (
            "autoscale deployment web --max=3",
            Says::Fails("the sandbox does not serve the API group autoscaling"),
        ),
        ("run one --image=nginx --port=80 --expose", Says::Is("service/one created\npod/one created")),
        // Workloads.
        ("rollout status deployment/web --timeout=30s", Says::Contains("successfully rolled out")),
        (
            "expose deployment web --port=80 --target-port=8080 --type=NodePort",
            Says::Is("service/web exposed"),
        ),
        (
            "get service web -o jsonpath={.spec.selector.app}/{.spec.ports[0].targetPort}",
            Says::Is("web/8080"),
        ),
        ("scale deployment/web --replicas=3", Says::Is("deployment.apps/web scaled")),
        (
            "scale deployment/web --replicas=1 --current-replicas=7",
            Says::Fails("Expected replicas to be 7, was 3"),
        ),
        ("rollout restart deployment/web", Says::Is("deployment.apps/web restarted")),
        ("rollout status deployment/web --timeout=30s", Says::Contains("successfully rolled out")),
        ("rollout history deployment/web", Says::Contains("REVISION")),
        ("set image deployment/web nginx=nginx:1.28", Says::Is("deployment.apps/web image updated")),
        ("rollout undo deployment/web", Says::Is("deployment.apps/web rolled back")),
        (
            "wait --for=jsonpath={.status.readyReplicas}=3 deployment/web --timeout=30s",
            Says::Contains("condition met"),
        ),
    ];
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_applied_and_changed() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    cluster.file("editor", "#!/bin/sh\nsed -i 's/tier: front/tier: back/' \"$1\"\n");
    make_executable(&cluster, "editor");
    let manifest = cluster.file("web.yaml", WEB);
    let changed = cluster
        .file("web2.yaml", &WEB.replace("port: 80", "port: 81").replace("tier: front", "tier: middle"));
    let bad = cluster.file("bad.yaml", &WEB.replace("selector:", "selektor:"));
    let line =
        |text: &str| text.replace("MANIFEST", &manifest).replace("CHANGED", &changed).replace("BAD", &bad);
    let rows = [
        ("diff -f MANIFEST", Says::Fails("")),
        ("apply -f MANIFEST", Says::Is("service/web created")),
        ("apply -f MANIFEST", Says::Is("service/web unchanged")),
        ("diff -f MANIFEST", Says::Is("")),
        ("apply -f CHANGED", Says::Is("service/web configured")),
        ("get svc web -o jsonpath={.spec.ports[*].port}", Says::Is("81")),
        ("apply -f BAD", Says::Fails("strict decoding error: unknown field \"spec.selektor\"")),
        ("apply -f MANIFEST --dry-run=server", Says::Is("service/web configured (server dry run)")),
        ("get svc web -o jsonpath={.spec.ports[*].port}", Says::Is("81")),
        ("replace -f MANIFEST", Says::Is("service/web replaced")),
        ("edit service web", Says::Is("service/web edited")),
        ("get service web -o jsonpath={.metadata.labels.tier}", Says::Is("back")),
        ("label service web color=red", Says::Is("service/web labeled")),
        ("annotate service web note=hello", Says::Is("service/web annotated")),
        ("delete -f MANIFEST --wait=false", Says::Is("service \"web\" deleted")),
        ("create -f MANIFEST", Says::Is("service/web created")),
    ];
    let rows: Vec<(String, Says<'_>)> = rows.iter().map(|(text, says)| (line(text), *says)).collect();
    let rows: Vec<(&str, Says<'_>)> = rows.iter().map(|(text, says)| (text.as_str(), *says)).collect();
    cluster.check(&rows).await;
    patches(&cluster).await;
    let named = WEB.replace("- port: 80", "- name: p80\n    port: 80");
    let manifest = cluster.file("named.yaml", &named);
    let changed = named.replace("80\n", "81\n").replace("tier: front", "tier: middle");
    server_side_apply(&cluster, &manifest, &cluster.file("named2.yaml", &changed)).await;
}

const WEB: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: web
  labels:
    tier: front
spec:
  selector:
    app: web
  ports:
  - port: 80
    targetPort: 8080
";

fn make_executable(cluster: &Cluster, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(cluster.directory().join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn patches(cluster: &Cluster) {
    let rows = [
        ("strategic", r#"{"spec":{"ports":[{"port":80,"name":"http"}]}}"#, "http 8080"),
        ("merge", r#"{"spec":{"ports":[{"port":80,"name":"main","targetPort":9090}]}}"#, "main 9090"),
        ("json", r#"[{"op":"replace","path":"/spec/ports/0/name","value":"last"}]"#, "last 9090"),
    ];
    for (kind, patch, expected) in rows {
        let answer = cluster.run(&["patch", "service", "web", "--type", kind, "-p", patch], "").await;
        assert!(answer.out.contains("service/web patched"), "{kind}: {answer:?}");
        let path = "jsonpath={.spec.ports[0].name} {.spec.ports[0].targetPort}";
        assert_eq!(cluster.run(&["get", "service", "web", "-o", path], "").await.out, expected, "{kind}");
    }
    let same =
        ["patch", "service", "web", "--type", "merge", "-p", r#"{"metadata":{"labels":{"tier":"front"}}}"#];
    assert!(cluster.run(&same, "").await.out.contains("patched (no change)"));
}

async fn server_side_apply(cluster: &Cluster, manifest: &str, changed: &str) {
    let line = |text: &str| text.replace("MANIFEST", manifest).replace("CHANGED", changed);
    let rows = [
        ("delete service web", Says::Is("service \"web\" deleted")),
        ("apply --server-side -f MANIFEST", Says::Is("service/web serverside-applied")),
        ("apply --server-side -f MANIFEST", Says::Is("service/web serverside-applied")),
        (
            "apply --server-side --field-manager=other -f CHANGED",
            Says::Fails("Apply failed with 1 conflict: conflict with \"kubectl\": .metadata.labels.tier"),
        ),
        (
            "apply --server-side --field-manager=other --force-conflicts -f CHANGED",
            Says::Is("service/web serverside-applied"),
        ),
        ("get svc web -o jsonpath={.spec.ports[*].port}", Says::Is("80 81")),
        (
            "get svc web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}",
            Says::Is("kubectl other"),
        ),
        ("label service web tier=mine --overwrite", Says::Is("service/web labeled")),
        (
            "apply --server-side --field-manager=other -f CHANGED",
            Says::Fails("conflict with \"kubectl-label\" using v1: .metadata.labels.tier"),
        ),
        // From client side to server side.
        ("delete service web", Says::Is("service \"web\" deleted")),
        ("apply -f MANIFEST", Says::Is("service/web created")),
        ("apply --server-side -f CHANGED", Says::Is("service/web serverside-applied")),
        ("get svc web -o jsonpath={.spec.ports[*].port}", Says::Is("81")),
        (
            "get svc web --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}",
            Says::Is("kubectl kubectl-last-applied"),
        ),
    ];
    let rows: Vec<(String, Says<'_>)> = rows.iter().map(|(text, says)| (line(text), *says)).collect();
    let rows: Vec<(&str, Says<'_>)> = rows.iter().map(|(text, says)| (text.as_str(), *says)).collect();
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_prints_changes() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    assert!(cluster.line("create service clusterip first --tcp=80").await.success);
    let mut child = cluster.command(&["get", "services", "-w", "--no-headers"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut names = Vec::new();
    for made in ["second", "third", ""] {
        let wanted = if made.is_empty() { 4 } else { names.len() + if names.is_empty() { 2 } else { 1 } };
        while names.len() < wanted {
            let line =
                timeout(Duration::from_secs(20), lines.next_line()).await.expect("a line comes").unwrap();
            names.push(line.unwrap().split_whitespace().next().unwrap().to_owned());
        }
        if !made.is_empty() {
            assert!(cluster.line(&format!("create service clusterip {made} --tcp=80")).await.success);
        }
    }
    assert_eq!(names, ["first", "kubernetes", "second", "third"]);
    let stopped = child.start_kill();
    assert!(stopped.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let rows = [
        ("create deployment web --image=nginx:1 --replicas=2 --port=8080", Says::Fine),
        ("create service clusterip web --tcp=80:8080", Says::Fine),
        ("run loose --image=nginx:1", Says::Fine),
        ("rollout status deployment/web --timeout=30s", Says::Fine),
        ("wait --for=condition=Ready pod/loose --timeout=30s", Says::Fine),
        ("port-forward service/web :99", Says::Fails("Service web does not have a service port 99")),
    ];
    cluster.check(&rows).await;
    let names = cluster.line("get pods -l app=web -o jsonpath={.items[*].metadata.name}").await.out;
    // Through a WebSocket, and as older ones do.
    for websockets in ["true", "false"] {
        let forward = Forward::start(&cluster, &["service/web", ":80"], websockets).await;
        for _ in 0..3 {
            let (status, body) = forward.get("/any/path").await;
            assert!(status.starts_with("HTTP/1.1 200"), "{status}");
            assert!(names.split(' ').any(|name| body.trim() == name), "{body} is one of {names}");
        }
        let (first, second) = tokio::join!(forward.get("/"), forward.get("/"));
        assert_eq!(first.1, second.1, "one pod answers");
        let forward = Forward::start(&cluster, &["pod/loose", ":7000"], websockets).await;
        assert_eq!(forward.get("/").await.1.trim(), "loose");
        // A port that nobody listens on.
        let pod = format!("pod/{}", names.split(' ').next().unwrap());
        let forward = Forward::start(&cluster, &[&pod, ":9999"], websockets).await;
        assert_eq!(forward.get("/").await.1, "");
        assert!(forward.last_words().await.contains("connection refused"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_described() {
    let Some(cluster) = Cluster::start(DEMO).await else { return };
    let rows = [
        ("wait -n shop --for=condition=Available deploy/cart --timeout=30s", Says::Fine),
        ("describe service cart -n shop", Says::Contains("Endpoints:")),
        ("describe pod -n shop -l app=cart", Says::Contains("Successfully assigned shop/cart-")),
        ("describe node node-a", Says::Contains("Non-terminated Pods:")),
        ("describe deployment cart -n shop", Says::Contains("NewReplicaSet:")),
        (
            "describe endpointslices -n shop -l kubernetes.io/service-name=cart",
            Says::Contains("AddressType:"),
        ),
        ("describe endpoints cart -n shop", Says::Contains("Subsets:")),
        ("describe namespace shop", Says::Contains("Active")),
        ("describe configmap kube-proxy -n kube-system", Says::Contains("config.conf")),
        ("describe deployment cart -n shop", Says::Contains("Scaled up replica set cart-")),
        ("events -n shop --for deployment/cart", Says::Contains("ScalingReplicaSet")),
        ("get events -n shop --field-selector reason=Scheduled", Says::Contains("LAST SEEN")),
    ];
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_cordoned_and_drained() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let rows = [
        ("create deployment web --image=nginx:1 --replicas=4", Says::Fine),
        ("rollout status deployment/web --timeout=30s", Says::Fine),
        ("get pods --field-selector spec.nodeName=node-b -o name", Says::Contains("pod/web-")),
        ("cordon node-b", Says::Is("node/node-b cordoned")),
        ("get node node-b", Says::Contains("Ready,SchedulingDisabled")),
        ("drain node-b --timeout=60s", Says::Contains("node/node-b drained")),
        ("get pods --field-selector spec.nodeName=node-b -o name", Says::Is("")),
        ("rollout status deployment/web --timeout=30s", Says::Contains("successfully rolled out")),
        ("uncordon node-b", Says::Is("node/node-b uncordoned")),
        // Taints keep pods away.
        ("taint nodes node-a node-b node-c only=gpu:NoSchedule", Says::Contains("node/node-a tainted")),
        ("run tainted --image=nginx:1", Says::Fine),
        ("wait --for=condition=Ready pod/tainted --timeout=30s", Says::Fine),
        ("get pod tainted -o jsonpath={.spec.nodeName}", Says::Is("node-d")),
        ("taint nodes node-d only=gpu:NoSchedule", Says::Is("node/node-d tainted")),
        ("run waits --image=nginx:1", Says::Fine),
        ("wait --for=condition=PodScheduled=False pod/waits --timeout=30s", Says::Fine),
        ("get pod waits --no-headers", Says::Columns(&["waits 0/1 Pending 0 *"])),
        ("taint nodes node-a only-", Says::Is("node/node-a untainted")),
        ("wait --for=condition=Ready pod/waits --timeout=30s", Says::Fine),
        ("delete pod tainted waits --grace-period=0 --force", Says::Contains("deleted")),
        ("delete namespace kube-public", Says::Is("namespace \"kube-public\" deleted")),
        ("delete deployment web --cascade=foreground", Says::Is("deployment.apps \"web\" deleted")),
        ("get pods", Says::Err("No resources found")),
    ];
    cluster.check(&rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_fails_and_comes_back() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let rows = [
        ("create deployment web --image=nginx:1 --replicas=8 --port=80", Says::Fine),
        ("expose deployment web", Says::Fine),
        ("rollout status deployment/web --timeout=30s", Says::Fine),
        // Spread over all nodes.
        (
            "get pods --field-selector spec.nodeName=node-d --no-headers",
            Says::Columns(&["web-* 1/1 Running *", "web-* 1/1 Running *"]),
        ),
        ("annotate node node-d vipscope.dev/fail=true", Says::Fine),
        ("wait --for=condition=Ready=Unknown node/node-d --timeout=30s", Says::Fine),
        ("get node node-d", Says::Contains("NotReady")),
        ("get node node-d -o jsonpath={.spec.taints[*].effect}", Says::Is("NoSchedule NoExecute")),
        (
            "wait --for=delete pod --field-selector spec.nodeName=node-d --timeout=1s",
            Says::Fails("timed out"),
        ),
    ];
    cluster.check(&rows).await;
    let patience = Duration::from_secs(30);
    let ready = "get deployment web -o jsonpath={.status.readyReplicas}";
    cluster
        .eventually(
            patience,
            "get pods --field-selector spec.nodeName=node-d --no-headers",
            Says::Columns(&["web-* */1 Terminating *", "web-* */1 Terminating *"]),
        )
        .await;
    cluster.eventually(patience, ready, Says::Is("8")).await;
    assert!(cluster.line("annotate node node-d vipscope.dev/fail-").await.success);
    cluster
        .eventually(patience, "get pods --field-selector spec.nodeName=node-d --no-headers", Says::Is(""))
        .await;
    cluster
        .eventually(patience, "get node node-d --no-headers", Says::Columns(&["node-d Ready <none> *"]))
        .await;
    // A node that is removed takes its pods with it.
    assert!(cluster.line("delete node node-c").await.success);
    cluster
        .eventually(patience, "get pods --field-selector spec.nodeName=node-c --no-headers", Says::Is(""))
        .await;
    cluster.eventually(patience, ready, Says::Is("8")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_says_how_to_use_it() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let file = cluster.directory().join("written");
    let file = file.to_str().unwrap();
    let alone = ["sandbox", "--listen", "127.0.0.1:0", "--kubeconfig-out", file, "--empty", "--seed", "3"];
    let mut program = Program::start(&[&alone[..], &["--dual-stack"]].concat());
    assert_eq!(program.line().await, format!("try: kubectl --kubeconfig {file} get services -A"));
    assert!(program.line().await.starts_with("listening on http://127.0.0.1:"));
    let get = format!("--kubeconfig {file} get services -A -o name");
    cluster.eventually(Duration::from_secs(20), &get, Says::Is("service/kubernetes")).await;
    let ranges = "get node node-a -o jsonpath={.spec.podCIDRs[*]}";
    let get = format!("--kubeconfig {file} {ranges}");
    cluster.check(&[(&get, Says::Is("10.244.0.0/24 fd00:10:244::/64"))]).await;
    assert!(program.stop().await.success());

    let beside =
        ["serve", "--listen", "127.0.0.1:0", "--source", "sandbox", "--sandbox-listen", "127.0.0.1:0"];
    let mut program = Program::start(&beside);
    let line = program.line().await;
    let url = line
        .strip_prefix("sandbox: try kubectl --server ")
        .and_then(|rest| rest.strip_suffix(" get services -A"));
    let url = url.unwrap_or_else(|| panic!("{line}"));
    let get = format!("--server {url} get service -n shop cart -o name");
    cluster.eventually(Duration::from_secs(20), &get, Says::Is("service/cart")).await;
    cluster.check(&[(&format!("--server {url} {ranges}"), Says::Is("10.244.0.0/24"))]).await;
    assert!(program.line().await.starts_with("listening on http://127.0.0.1:"));
    assert!(program.stop().await.success());

    let open = ["serve", "--listen", "127.0.0.1:0", "--source", "sandbox", "--sandbox-listen", "0.0.0.0:0"];
    assert_eq!(Program::start(&open).ends().await.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_their_workload_and_orphans_are_adopted() {
    let Some(cluster) = Cluster::start(Options { empty: true, ..DEMO }).await else { return };
    let rows = [
        ("create deployment web --image=nginx:1 --replicas=2 --port=80", Says::Fine),
        ("expose deployment web", Says::Fine),
        ("rollout status deployment/web --timeout=30s", Says::Fine),
    ];
    cluster.check(&rows).await;
    let names = cluster.line("get pods -l app=web -o jsonpath={.items[*].metadata.name}").await.out;
    let first = names.split(' ').next().unwrap();
    let aside = format!("label pod {first} app=aside --overwrite");
    cluster.check(&[(&aside, Says::Contains("labeled"))]).await;
    let patience = Duration::from_secs(20);
    let ready = "get deployment web -o jsonpath={.status.readyReplicas}";
    let endpoints = "get endpointslices -l kubernetes.io/service-name=web -o jsonpath={.items[*].endpoints[*].targetRef.name}";
    cluster
        .eventually(
            patience,
            "get pods --no-headers",
            Says::Columns(&["web-* 1/1 Running *", "web-* 1/1 Running *", "web-* 1/1 Running *"]),
        )
        .await;
    cluster.eventually(patience, ready, Says::Is("2")).await;
    assert!(!cluster.line(endpoints).await.out.contains(first), "the relabelled pod gets no traffic");
    let owner = format!("get pod {first} -o jsonpath={{.metadata.ownerReferences}}");
    cluster.check(&[(&owner, Says::Is("")), (&format!("delete pod {first} --now"), Says::Fine)]).await;

    let names = cluster.line("get pods -l app=web -o name").await.out;
    let rows = [
        ("delete deployment web --cascade=orphan", Says::Is("deployment.apps \"web\" deleted")),
        ("get pods -l app=web -o name", Says::Is(&names)),
        ("create deployment web --image=nginx:1 --replicas=2 --port=80", Says::Fine),
        ("rollout status deployment/web --timeout=30s", Says::Contains("successfully rolled out")),
        ("get pods -l app=web -o name", Says::Is(&names)),
        ("delete deployment web", Says::Fine),
    ];
    cluster.check(&rows).await;
    cluster.eventually(patience, "get pods -l app=web -o name", Says::Is("")).await;
}
