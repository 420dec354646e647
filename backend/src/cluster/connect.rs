//! Finds the API server: in-cluster, by kubeconfig, or at a known URL. Never interactive, never without a time limit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use vipscope_shared::api::{ClusterInfo, SourceKind};

/// Loading credentials may run a plugin; how long it may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client, and which cluster it leads to. The API server itself has not been asked yet.
#[derive(Clone)]
pub struct Connection {
    pub client: Client,
    pub info: ClusterInfo,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What went wrong and how to mend it, in one line.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("kubeconfig {}: can't be read: {reason}; name another with --kubeconfig FILE or $KUBECONFIG", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("kubeconfig {}: no context `{context}`; it has {known}: choose one with --context", .path.display())]
    UnknownContext { path: PathBuf, context: String, known: String },
    #[error("kubeconfig {}: no current context; it has {known}: choose one with --context", .path.display())]
    NoContext { path: PathBuf, known: String },
    #[error("kubeconfig {}: context `{context}`: {reason}", .path.display())]
    Unusable { path: PathBuf, context: String, reason: String },
    #[error("kubeconfig {}: context `{context}`: the credential plugin `{plugin}` failed: {reason}", .path.display())]
    Plugin { path: PathBuf, context: String, plugin: String, reason: String },
    #[error("not in a cluster: {0}; use --source kubeconfig, sandbox or file:PATH")]
    NotInCluster(String),
    #[error(
        "no kubeconfig found: neither $KUBECONFIG nor ~/.kube/config exists; use --kubeconfig FILE or --source sandbox"
    )]
    NoKubeconfig,
    #[error("{url}: {reason}")]
    Url { url: String, reason: String },
}

/// The kubeconfig that would be used: the one given, the first of `$KUBECONFIG` that exists, or `~/.kube/config`.
pub fn kubeconfig_path(given: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = given {
        return Some(path.to_owned());
    }
    match std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        Some(paths) => std::env::split_paths(&paths).find(|path| path.exists()),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.exists()),
    }
}

/// True where a pod's service account is mounted.
pub fn is_in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
        && Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
}

/// By the service account of the pod that this runs in.
pub fn in_cluster() -> Result<Connection, ConnectError> {
    let config = Config::incluster().map_err(|error| ConnectError::NotInCluster(error.to_string()))?;
    let server = config.cluster_url.to_string();
    let info = ClusterInfo {
        source: SourceKind::InCluster,
        name: "in-cluster".into(),
        context: None,
        server: Some(server.as_str().into()),
    };
    let client = client(config).map_err(|reason| ConnectError::Url { url: server, reason })?;
    Ok(Connection { client, info })
}

/// By a plain URL without credentials: the sandbox's.
pub fn url(server: &str, name: &str) -> Result<Connection, ConnectError> {
    let bad = |reason: String| ConnectError::Url { url: server.to_owned(), reason };
    let uri = server.parse().map_err(|error| bad(format!("is not a URL: {error}")))?;
    let info = ClusterInfo {
        source: SourceKind::Sandbox,
        name: name.into(),
        context: None,
        server: Some(server.into()),
    };
    Ok(Connection { client: client(Config::new(uri)).map_err(bad)?, info })
}

/// By a kubeconfig and one of its contexts; without `context`, its current one.
pub async fn kubeconfig(path: &Path, context: Option<&str>) -> Result<Connection, ConnectError> {
    let unreadable = |reason: String| ConnectError::Unreadable { path: path.to_owned(), reason };
    let mut file = Kubeconfig::read_from(path).map_err(|error| unreadable(root_cause(&error)))?;
    let known: Vec<_> = file.contexts.iter().map(|context| format!("`{}`", context.name)).collect();
    let known = if known.is_empty() { "no contexts".to_owned() } else { known.join(", ") };
    let chosen =
        context.map(str::to_owned).or_else(|| file.current_context.clone()).filter(|name| !name.is_empty());
    let Some(context) = chosen else { return Err(ConnectError::NoContext { path: path.to_owned(), known }) };
    if !file.contexts.iter().any(|known| known.name == context) {
        return Err(ConnectError::UnknownContext { path: path.to_owned(), context, known });
    }
    let plugin = never_interactive(&mut file, &context);
    let cluster = cluster_name(&file, &context);
    let reason = match connect(file, &context).await {
        Ok((client, server)) => {
            let info = ClusterInfo {
                source: SourceKind::Kubeconfig,
                name: cluster.as_deref().unwrap_or(&context).into(),
                context: Some(context.into()),
                server: Some(server.into()),
            };
            return Ok(Connection { client, info });
        }
        Err(reason) => reason,
    };
    let path = path.to_owned();
    Err(match plugin {
        Some(plugin) => ConnectError::Plugin { path, context, plugin, reason },
        None => ConnectError::Unusable { path, context, reason },
    })
}

async fn connect(file: Kubeconfig, context: &str) -> Result<(Client, String), String> {
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await.map_err(|error| root_cause(&error))?;
    let server = config.cluster_url.to_string();
    // Making the client may run a credential plugin, and waits for it.
    let handle = tokio::runtime::Handle::current();
    let made = tokio::task::spawn_blocking(move || {
        let _inside = handle.enter();
        client(config)
    });
    match tokio::time::timeout(PATIENCE, made).await {
        Ok(Ok(client)) => Ok((client?, server)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn client(mut config: Config) -> Result<Client, String> {
    config.connect_timeout = Some(Duration::from_secs(5));
    // The watches have a backoff of their own, and say what fails at once.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| super::watch::explain(&error).to_string())
}

/// Forbids the context's credential plugin to ask questions; answers the plugin's command.
fn never_interactive(file: &mut Kubeconfig, context: &str) -> Option<String> {
    let user = file.contexts.iter().find(|known| known.name == context)?.context.as_ref()?.user.clone()?;
    let user = file.auth_infos.iter_mut().find(|known| known.name == user)?;
    let exec = user.auth_info.as_mut()?.exec.as_mut()?;
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    exec.command.clone()
}

fn cluster_name(file: &Kubeconfig, context: &str) -> Option<String> {
    let context = file.contexts.iter().find(|known| known.name == context)?;
    Some(context.context.as_ref()?.cluster.clone()).filter(|name| !name.is_empty())
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let (text, root) = (error.to_string(), cause.to_string());
    let text = if text.contains(&root) { text } else { format!("{text}: {root}") };
    text.lines().collect::<Vec<_>>().join(" ")
}
