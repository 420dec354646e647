//! The other end: what listens in a simulated pod. A small HTTP server that answers every request with the pod's name.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderName;
use axum::routing::any;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;
use vipscope_shared::model::Key;

use super::BUFFER;
use crate::sandbox::object;
use crate::sandbox::resources::Type;
use crate::sandbox::store::Store;

/// A pod, as the streams see it.
#[derive(Debug)]
pub struct PodServer {
    store: Arc<Store>,
    key: Key,
    uid: String,
}

impl PodServer {
    pub fn new(store: Arc<Store>, key: Key, pod: &Value) -> PodServer {
        PodServer { store, key, uid: object::uid(pod).to_owned() }
    }

    fn pod(&self) -> Option<Arc<Value>> {
        self.store.get(Type::Pods, &self.key).filter(|pod| object::uid(pod) == self.uid)
    }

    /// Until the pod is no longer there, or `stop`.
    pub async fn gone(self: Arc<Self>, stop: CancellationToken) {
        let mut changed = self.store.subscribe();
        while self.pod().is_some() {
            tokio::select! {
                () = stop.cancelled() => return,
                result = changed.changed() => if result.is_err() { return },
            }
        }
    }

    /// A connection to a port, or why there is none.
    pub fn connect(&self, port: u16) -> Result<DuplexStream, String> {
        let refused = |why: &str| {
            format!("error forwarding port {port} to pod {}, uid {}: {why}", self.key.name, self.uid)
        };
        let pod = self.pod().ok_or_else(|| refused("the pod is gone"))?;
        let running = |status: &Value| status["state"]["running"].is_object();
        let nobody = format!("failed to connect to localhost:{port} inside namespace: connection refused");
        if !object::list(&pod, "/status/containerStatuses").iter().any(running) {
            return Err(refused(&nobody));
        }
        let containers = object::list(&pod, "/spec/containers").iter();
        let ports: Vec<&Value> = containers
            .flat_map(|container| object::list(container, "/ports"))
            .map(|port| &port["containerPort"])
            .collect();
        // Who declares no port may listen anywhere.
        if !ports.is_empty() && !ports.iter().any(|declared| declared.as_u64() == Some(u64::from(port))) {
            return Err(refused(&nobody));
        }
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        tokio::spawn(answer(theirs, &pod));
        Ok(ours)
    }
}

/// Serves HTTP on one connection.
fn answer(connection: DuplexStream, pod: &Value) -> impl Future<Output = ()> + Send + use<> {
    const POD: HeaderName = HeaderName::from_static("x-sandbox-pod");
    let name = object::name(pod).to_owned();
    let router: Router = Router::new().fallback(any(move || {
        let name = name.clone();
        async move { Ok::<_, Infallible>(([(POD, name.clone())], format!("{name}\n"))) }
    }));
    async move {
        let service = TowerToHyperService::new(router);
        // A client that goes away in the middle is none of the sandbox's errors.
        let _ =
            http1::Builder::new().half_close(true).serve_connection(TokioIo::new(connection), service).await;
    }
}
