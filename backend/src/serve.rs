//! Wires sources, index, feed and server together, for `vipscope serve` and `vipscope sandbox`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vipscope::cluster::{Connection, Feed, Index, Limits, Writer, connect, feed, watch};
use vipscope::sandbox::{Options, Sandbox, kubeconfig};
use vipscope::server::{AppState, Assets, Metrics, Panel, Security, Traffic, app, serve};
use vipscope_shared::admission::allocation::Families;
use vipscope_shared::api::{ClusterInfo, SourceKind};
use vipscope_shared::delta::{Change, Object};
use vipscope_shared::manifest;
use vipscope_shared::model::Text;

use crate::args::{SandboxArgs, SandboxOptions, ServeArgs, SourceArg};

/// Updates that may wait for the index; beyond that the watches wait.
const UPDATES: usize = 2048;

/// `vipscope serve`.
pub async fn dashboard(args: ServeArgs) -> Result<()> {
    refuse_remote(args.listen, args.allow_remote)?;
    let shutdown = on_signal()?;
    let assets = Assets::embedded(&args.base_path)?;
    let listener = bind(args.listen, "--listen").await?;
    let mut tasks = JoinSet::new();
    let source = Source::choose(&args).await?;
    let (feed, panel) = source.start(&args, &mut tasks, &shutdown).await?;
    let security = Security {
        base_path: args.base_path.clone(),
        allowed_hosts: args.allowed_host.into(),
        allowed_origins: args.allowed_origin.into(),
        frame_ancestors: args.frame_ancestors.into(),
        script_hashes: assets.script_hashes(),
    };
    let warm = assets.clone();
    tasks.spawn_blocking(move || warm.warm_up());
    let traffic = match &panel.0 {
        Some(sandbox) => Traffic::start(sandbox.fleet(), feed.clone(), shutdown.clone()),
        None => Traffic::default(),
    };
    let metrics = Metrics::default();
    let state = AppState { feed, assets, metrics, shutdown: shutdown.clone(), panel, traffic };
    let address = listener.local_addr()?;
    let base = args.base_path.to_string();
    println!("listening on http://{address}{}", base.trim_end_matches('/'));
    serve(listener, app(state, security), shutdown).await.context("the dashboard's server failed")
}

/// Without a login, everybody who can reach the address sees the cluster.
fn refuse_remote(listen: SocketAddr, allow_remote: bool) -> Result<()> {
    if listen.ip().is_loopback() || allow_remote {
        return Ok(());
    }
    bail!(
        "--listen {listen}: others can reach this address, and vipscope has no login yet: everybody would see the \
         cluster; put an authenticating proxy in front and add --allow-remote, or listen on 127.0.0.1"
    )
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{flag} {address}: can't listen there; choose another address with {flag} ADDR")
    })
}

/// Cancelled by SIGTERM or SIGINT.
fn on_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        cancel.cancel();
    });
    Ok(token)
}

/// What is shown.
enum Source {
    Cluster(Box<Connection>),
    Sandbox,
    File(PathBuf),
}

impl Source {
    /// Decides once, and says what; an unreachable cluster is shown as such and never replaced.
    async fn choose(args: &ServeArgs) -> Result<Source> {
        let kubeconfig = connect::kubeconfig_path(args.kubeconfig.as_deref());
        let context = args.context.as_deref();
        let of_cluster = |connection| Source::Cluster(Box::new(connection));
        match &args.source {
            SourceArg::InCluster => Ok(of_cluster(connect::in_cluster()?)),
            SourceArg::Sandbox => Ok(Source::Sandbox),
            SourceArg::File(path) => Ok(Source::File(path.clone())),
            SourceArg::Kubeconfig => {
                let path = kubeconfig.ok_or(connect::ConnectError::NoKubeconfig)?;
                Ok(of_cluster(connect::kubeconfig(&path, context).await?))
            }
            SourceArg::Auto if connect::is_in_cluster() => {
                println!("source: in-cluster");
                Ok(of_cluster(connect::in_cluster()?))
            }
            SourceArg::Auto => match kubeconfig {
                Some(path) => {
                    let connection = connect::kubeconfig(&path, context).await?;
                    let context = connection.info.context.as_deref().unwrap_or_default();
                    println!("source: kubeconfig {}, context {context}", path.display());
                    Ok(of_cluster(connection))
                }
                None => {
                    println!("source: sandbox (no kubeconfig here, and not in a cluster)");
                    Ok(Source::Sandbox)
                }
            },
        }
    }

    /// Starts what fills the feed; the panel is for the sandbox.
    async fn start(
        self,
        args: &ServeArgs,
        tasks: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<(Feed, Panel)> {
        let namespaces: Vec<Text> = args.namespace.iter().map(|name| name.as_str().into()).collect();
        match self {
            Source::File(path) => Ok((from_file(&path)?, Panel::default())),
            Source::Cluster(connection) => {
                Ok((from_cluster(*connection, &namespaces, tasks), Panel::default()))
            }
            Source::Sandbox => {
                if !args.sandbox_listen.ip().is_loopback() && !args.allow_remote {
                    bail!(
                        "--sandbox-listen {}: others can reach this address, and the sandbox has no login; listen on \
                         127.0.0.1, or add --allow-remote",
                        args.sandbox_listen
                    );
                }
                let listener = bind(args.sandbox_listen, "--sandbox-listen").await?;
                let (url, sandbox) = start_sandbox(listener, &args.sandbox, tasks, shutdown)?;
                println!("sandbox: try kubectl --server {url} get services -A");
                let feed = from_cluster(connect::url(&url, "sandbox")?, &namespaces, tasks);
                Ok((feed, Panel(Some(sandbox))))
            }
        }
    }
}

fn new_feed(info: ClusterInfo) -> (Writer, Feed) {
    let epoch = format!("{:08x}", rand::random::<u32>());
    feed::channel(info, &epoch, Limits::default(), Timestamp::now())
}

fn from_cluster(connection: Connection, namespaces: &[Text], tasks: &mut JoinSet<()>) -> Feed {
    let (writer, feed) = new_feed(connection.info);
    let (out, updates) = mpsc::channel(UPDATES);
    let mut watches = watch::watch_all(&connection.client, namespaces, &out);
    tasks.spawn(async move { while watches.join_next().await.is_some() {} });
    tasks.spawn(Index::new(writer).run(updates));
    feed
}

fn from_file(path: &Path) -> Result<Feed> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--source file:{shown}: can't be read"))?;
    let loaded = manifest::load(&text).with_context(|| format!("--source file:{shown}"))?;
    for fault in &loaded.faults {
        tracing::warn!("{shown}: {fault}");
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let info = ClusterInfo { source: SourceKind::File, name: (*name).into(), context: None, server: None };
    let (mut writer, feed) = new_feed(info);
    writer.commit(changes(&loaded.state), Timestamp::now());
    Ok(feed)
}

/// The changes that make this state from nothing.
fn changes(state: &vipscope_shared::model::ClusterState) -> Vec<Change> {
    let objects = (state.namespaces().values().cloned().map(Object::Namespace))
        .chain(state.nodes().values().cloned().map(Object::Node))
        .chain(state.pods().values().cloned().map(Object::Pod))
        .chain(state.services().values().cloned().map(Object::Service))
        .chain(state.slices().values().cloned().map(Object::EndpointSlice))
        .chain(state.endpoints().values().cloned().map(Object::Endpoints))
        .chain(state.proxy_configs().values().cloned().map(Object::ProxyConfig));
    let sources = state.sources().values().cloned().map(Change::Source);
    objects
        .map(Change::Upsert)
        .chain(state.faults().map(Arc::clone).map(Change::Fault))
        .chain(sources)
        .collect()
}

/// `vipscope sandbox`.
pub async fn sandbox(args: SandboxArgs) -> Result<()> {
    if !args.listen.ip().is_loopback() {
        bail!(
            "--listen {}: the sandbox has no login: it listens on loopback only, for example 127.0.0.1:7412",
            args.listen
        );
    }
    let shutdown = on_signal()?;
    let listener = bind(args.listen, "--listen").await?;
    let url = format!("http://{}", listener.local_addr()?);
    if let Some(path) = &args.kubeconfig_out {
        let shown = path.display();
        std::fs::write(path, kubeconfig(&url))
            .with_context(|| format!("--kubeconfig-out {shown}: can't be written"))?;
        println!("try: kubectl --kubeconfig {shown} get services -A");
    } else {
        println!("try: kubectl --server {url} get services -A");
    }
    println!("listening on {url}");
    let sandbox = Sandbox::start(options(&args.options));
    sandbox.serve(listener, shutdown).await.context("the sandbox's server failed")?;
    sandbox.shutdown().await;
    Ok(())
}

fn options(given: &SandboxOptions) -> Options {
    let families = if given.dual_stack { Families::DualStack } else { Families::IPv4 };
    let SandboxOptions { empty, seed, proxy_mode, .. } = *given;
    Options { empty, seed, proxy_mode, churn: !empty, families }
}

/// Serves a sandbox until `shutdown`; answers its URL and itself.
fn start_sandbox(
    listener: TcpListener,
    given: &SandboxOptions,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Result<(String, Arc<Sandbox>)> {
    let url = format!("http://{}", listener.local_addr()?);
    let sandbox = Arc::new(Sandbox::start(options(given)));
    let serving = sandbox.serve(listener, shutdown.clone());
    let served = sandbox.clone();
    tasks.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the sandbox's server failed");
        }
        served.shutdown().await;
    });
    Ok((url, sandbox))
}
