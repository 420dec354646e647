//! The sandbox: a small Kubernetes cluster inside the process, for learning, demonstration and tests.
//!
//! It speaks the real protocol over HTTP, so `kubectl` and `kube` clients work on it; its controllers are those of
//! [`vipscope_shared::controllers`]; its nodes, kubelets and load balancer are simulated. Nothing runs in its pods.
//!
//! # For users
//!
//! The demo is a small shop on four nodes in three zones (namespaces `shop`, `edge` and `data`). Try:
//!
//! ```text
//! kubectl get services,pods -A
//! kubectl -n shop scale deployment/cart --replicas=5
//! kubectl -n shop annotate pod POD vipscope.dev/ready=false      # its readiness probe fails; POD- heals it
//! kubectl -n shop annotate pod POD vipscope.dev/crash=true       # its container crashes until the annotation goes
//! kubectl -n shop delete pod POD                                 # it terminates, still serving, and is replaced
//! kubectl cordon node-c
//! kubectl annotate node node-d vipscope.dev/fail=true            # it goes silent; its pods are evicted; fail- heals it
//! kubectl apply -f service.yaml
//! ```
//!
//! `vipscope.dev/drain-seconds` on a pod says how long it keeps serving once it is deleted (6 by default). With churn
//! switched on, something small happens every few seconds; the same seed gives the same sequence.
//!
//! With `--dual-stack`, nodes and pods have an IPv6 address as well, and Services may ask for both families.
//!
//! Served: namespaces, nodes, pods, services, endpoints, configmaps, secrets, serviceaccounts, events, endpointslices
//! (`discovery.k8s.io/v1`), deployments and replicasets (`apps/v1`), the review APIs, `/status`, `/scale` and `/eviction`; JSON,
//! YAML and protobuf bodies, tables, the three patch types and server-side apply, watches with bookmarks and streaming
//! lists, dry run, OpenAPI, port-forward (to a small HTTP server that answers with the pod's name). Kinds that are not
//! served say so.
//!
//! # The parts
//!
//! `route` (paths) and `api` (verbs) → `objects` (rules of create, update, delete; `strategy` per kind) → `store` (revisions,
//! event logs). `controllers`, `kubelet`, `nodes` and `churn` are tasks that watch the store and write through `objects`, as any
//! client would. `demo` is the content. `body`, `protobuf` and `schema` read what clients send, `render` and `table` write what
//! they get, `managed` keeps field owners. A new kind is an entry in `resources` and its line in `strategy`, `table` and
//! `openapi`.

pub mod api;
mod apply;
mod body;
mod chance;
mod churn;
mod clock;
mod controllers;
mod dataplane;
mod demo;
mod discovery;
mod errors;
mod events;
mod fixed;
mod kubelet;
mod list;
mod managed;
mod nodes;
mod object;
mod objects;
mod openapi;
mod panel;
mod patch;
mod portforward;
mod protobuf;
mod query;
mod render;
mod resources;
mod reviews;
mod route;
mod scale;
mod schema;
mod selectors;
mod store;
mod strategy;
mod table;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::serve::ListenerExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::model::ProxyMode;

use crate::agent::Fleet;
use api::Api;
use clock::Clock;
use dataplane::{Cadence, Planes, World};
use store::Store;

pub use churn::CALM_SERVICES;
pub use dataplane::{CALLS_ANNOTATION, OUTSIDE_ANNOTATION};
pub use kubelet::{CRASH_ANNOTATION, DRAIN_ANNOTATION, READY_ANNOTATION};
pub use nodes::FAIL_ANNOTATION;
pub use panel::{Example, NodeState, Outcome, PanelError, PodState, examples};

/// How a sandbox starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Nodes and system namespaces only, without the demo shop.
    pub empty: bool,
    /// The same seed gives the same names, addresses and churn.
    pub seed: u64,
    /// Written to the ConfigMap `kube-system/kube-proxy`.
    pub proxy_mode: ProxyMode,
    /// Let something small happen every few seconds.
    pub churn: bool,
    /// Address families of Services, pods and nodes.
    pub families: Families,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            empty: false,
            seed: 1,
            proxy_mode: ProxyMode::Iptables,
            churn: true,
            families: Families::IPv4,
        }
    }
}

/// A running sandbox. Its tasks end when it is dropped or shut down.
#[derive(Debug)]
pub struct Sandbox {
    options: Options,
    api: Api,
    planes: Planes,
    /// The revision at which the controllers last had nothing left to do.
    settled: tokio::sync::watch::Receiver<u64>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
    _stop: DropGuard,
}

impl Sandbox {
    /// Starts a cluster with its content, and the tasks that keep it alive. Call it inside a tokio runtime. Its first
    /// resourceVersion comes from the wall clock, so that a restarted sandbox never goes back.
    pub fn start(options: Options) -> Sandbox {
        let now = Timestamp::now();
        let revision = u64::try_from(now.as_millisecond()).unwrap_or_default().saturating_mul(16);
        Sandbox::start_at(options, revision, now)
    }

    /// [`Sandbox::start`] with a given first revision and time.
    pub fn start_at(options: Options, revision: u64, now: Timestamp) -> Sandbox {
        let store = Arc::new(Store::new(revision, options.seed, Clock::starting_at(now), options.families));
        let stop = CancellationToken::new();
        let from = store.revision();
        store.write(|tx| demo::fill(tx, &options));
        let planes = Planes::new(World::new(options.seed, Cadence::default(), now));
        let mut tasks = JoinSet::new();
        tasks.spawn(dataplane::run(store.clone(), planes.clone(), stop.clone()));
        let (settled_at, settled) = tokio::sync::watch::channel(from);
        tasks.spawn(controllers::run(store.clone(), from, settled_at, stop.clone()));
        tasks.spawn(kubelet::run(store.clone(), stop.clone()));
        tasks.spawn(nodes::run(store.clone(), stop.clone()));
        if options.churn {
            tasks.spawn(churn::run(store.clone(), options.seed, stop.clone()));
        }
        let api = Api { store, stop: stop.clone() };
        Sandbox {
            options,
            api,
            planes,
            settled,
            tasks: tokio::sync::Mutex::new(tasks),
            _stop: stop.drop_guard(),
        }
    }

    /// The API as a router. Its watches end with the sandbox.
    pub fn router(&self) -> Router {
        api::router(self.api.clone())
    }

    /// Serves the API on `listener` until `token` is cancelled or the sandbox ends; open watches are ended, then
    /// connections closed. The cluster lives on and can be served again.
    pub fn serve(
        &self,
        listener: TcpListener,
        token: CancellationToken,
    ) -> impl Future<Output = std::io::Result<()>> + Send + use<> {
        let stop = self.api.stop.child_token();
        let api = Api { store: self.api.store.clone(), stop: stop.clone() };
        let listener = listener.tap_io(|stream| {
            // Without it small events wait for acknowledgements; a socket that refuses is slower, not wrong.
            let _ = stream.set_nodelay(true);
        });
        let ended = stop.clone();
        let stopped = async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = ended.cancelled() => {}
            }
            stop.cancel();
        };
        async move { axum::serve(listener, api::router(api)).with_graceful_shutdown(stopped).await }
    }

    /// Puts the content back to what it was at the start. Watchers see every object go and come.
    pub fn reset(&self) {
        self.api.store.write(|tx| {
            demo::clear(tx);
            tx.reseed(self.options.seed);
            demo::fill(tx, &self.options);
        });
    }

    /// The nodes' data planes.
    pub fn fleet(&self) -> Arc<dyn Fleet> {
        Arc::new(self.planes.clone())
    }

    /// Waits until the controllers have dealt with every write so far. (Kubelets take their time beyond that.)
    pub async fn settled(&self) {
        let now = self.api.store.revision();
        // An error means that the controllers have ended: then nothing will change any more.
        let _ = self.settled.clone().wait_for(|revision| *revision >= now).await;
    }

    /// Forgets the history of events, as etcd's compaction does: watches from older versions get `410 Expired`.
    pub fn compact(&self) {
        self.api.store.compact();
    }

    /// Ends all tasks and watches, and waits for the tasks.
    pub async fn shutdown(&self) {
        self.api.stop.cancel();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// A kubeconfig for the sandbox at `server` (an `http://` URL); cluster, context and user are called `sandbox`.
pub fn kubeconfig(server: &str) -> String {
    // JSON strings are YAML strings.
    let server = serde_json::Value::from(server);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\nclusters:\n- name: sandbox\n  cluster:\n    server: {server}\n\
         contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: sandbox\nusers:\n- name: sandbox\n  user: {{}}\n"
    )
}
