//! The dashboard's HTTP side: [`app`] is the whole of it as a `Router`, testable without a socket; [`serve`] runs it.
//!
//! Everything is below the base path. Nothing here knows Kubernetes: it reads a [`Feed`].

mod assets;
mod findings;
mod health;
mod metrics;
mod nodes;
mod problem;
mod rules;
mod sandbox;
mod security;
mod snapshot;
mod socket;
mod stream;
mod trace;
mod traffic;

use std::future::Future;
use std::time::Duration;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};
use tower_http::trace::TraceLayer;

pub use assets::{Assets, AssetsError};
pub use metrics::Metrics;
pub use problem::Problem;
pub use sandbox::Panel;
pub use security::{BasePath, BasePathError, Security};
pub use traffic::Traffic;

use crate::cluster::Feed;

/// How long open connections may take to end after a signal.
const GRACE: Duration = Duration::from_secs(4);

/// What the handlers share. Cheap to clone.
#[derive(Debug, Clone, FromRef)]
pub struct AppState {
    pub feed: Feed,
    pub assets: Assets,
    pub metrics: Metrics,
    /// Cancelled when the server stops: sockets then close.
    pub shutdown: CancellationToken,
    pub panel: Panel,
    pub traffic: Traffic,
}

/// Every route, below the base path, behind the checks of [`Security`].
pub fn app(state: AppState, security: Security) -> Router {
    let base = security.base_path.clone();
    let compression = CompressionLayer::new()
        .br(true)
        .gzip(true)
        .compress_when(DefaultPredicate::new().and(NotForContentType::const_new("application/wasm")));
    let routes = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::scrape))
        .route("/api/v1/snapshot", get(snapshot::get))
        .route("/api/v1/stream", get(stream::upgrade))
        .route("/api/v1/rules/{node}", get(rules::get))
        .route("/api/v1/trace", post(trace::post))
        .route("/api/v1/traffic", get(traffic::upgrade))
        .route("/api/v1/nodes", get(nodes::get))
        .nest("/api/v1/sandbox", sandbox::routes())
        .route("/api/v1/findings", get(findings::get))
        .fallback(assets::file);
    let home = base.to_string();
    let routes = match base.as_nested() {
        None => routes,
        Some(prefix) => {
            let home = home.clone();
            let bare = get(move || async move { Redirect::permanent(&home) });
            Router::new().route(prefix, bare).nest(prefix, routes).fallback(problem::not_found)
        }
    };
    let routes = routes.route(&home, get(assets::index)).with_state(state);
    routes
        .layer(middleware::from_fn_with_state(security, security::guard))
        .layer(compression)
        .layer(TraceLayer::new_for_http())
}

/// Serves until `shutdown`, then lets open connections end, for at most a few seconds.
pub async fn serve(listener: TcpListener, app: Router, shutdown: CancellationToken) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        // Without it small deltas wait for acknowledgements; a socket that refuses is slower, not wrong.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let too_late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    either(serving.into_future(), too_late).await
}

async fn either(
    serving: impl Future<Output = std::io::Result<()>>,
    too_late: impl Future<Output = ()>,
) -> std::io::Result<()> {
    tokio::select! {
        done = serving => done,
        () = too_late => {
            tracing::warn!("connections were still open and have been dropped");
            Ok(())
        }
    }
}
