//! `--cluster FILE|-` and `--proxy-config FILE`: files to a [`ClusterState`]. Objects that can't be used are said on
//! standard error; a kube-proxy configuration that can't be used is an error, since every rule rests on it.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::json;
use vipscope_shared::manifest;
use vipscope_shared::model::{ClusterState, Fault, FaultEffect, Kind, PROXY_CONFIG_MAP};

use super::clean;

/// The cluster in `file`, with kube-proxy's settings from `proxy_config` instead of its own, if that is given.
pub fn load(file: &Path, proxy_config: Option<&Path>) -> Result<ClusterState> {
    let shown = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
    let mut loaded = manifest::load(&read(file, &shown)?).with_context(|| shown.clone())?;
    for fault in &loaded.faults {
        if fault.object.kind == Kind::ProxyConfig && proxy_config.is_none() {
            bail!("{shown}: {}", config_map(fault));
        }
        eprintln!("vipscope: warning: {shown}: {}", words(fault));
    }
    if let Some(path) = proxy_config {
        replace_proxy_config(&mut loaded, path)?;
    }
    Ok(loaded.state)
}

/// The cluster with kube-proxy's settings from another file.
pub fn with_config(state: ClusterState, path: &Path) -> Result<ClusterState> {
    let mut loaded = manifest::Loaded { state, ..manifest::Loaded::default() };
    replace_proxy_config(&mut loaded, path)?;
    Ok(loaded.state)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The file's text; - is standard input.
pub fn read(file: &Path, shown: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let done = if is_stdin(file) {
        io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        fs::read(file).map(|read| bytes = read)
    };
    done.with_context(|| format!("{shown}: can't be read"))?;
    String::from_utf8(bytes).with_context(|| format!("{shown}: is not text"))
}

/// The object, what became of it, and why, as one line.
pub fn words(fault: &Fault) -> String {
    let effect = match fault.effect {
        FaultEffect::Dropped => "left out",
        FaultEffect::Partial => "used in part",
    };
    clean(&format!("{effect}: {}", one_line(&fault.to_string())))
}

/// The model's name for the ConfigMap is its own.
fn config_map(fault: &Fault) -> String {
    one_line(&fault.to_string().replacen("ProxyConfig", "ConfigMap", 1))
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Reads a `config.conf` as if it stood in the ConfigMap of a kubeadm cluster.
fn replace_proxy_config(loaded: &mut manifest::Loaded, path: &Path) -> Result<()> {
    let shown = path.display().to_string();
    let text = read(path, &shown)?;
    if text.trim().is_empty() {
        bail!("{shown}: the file is empty: expected a KubeProxyConfiguration");
    }
    let (namespace, name) = PROXY_CONFIG_MAP;
    let document = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name}, "data": {"config.conf": text}});
    let earlier = loaded.faults.len();
    manifest::load_into(loaded, &document.to_string()).with_context(|| shown.clone())?;
    let fault: Option<&Arc<Fault>> = loaded.faults.get(earlier);
    let Some(fault) = fault else { return Ok(()) };
    let causes = fault.causes.iter().map(|cause| {
        let field = cause.field.trim_start_matches("data.config.conf").trim_start_matches(": ");
        if field.is_empty() { cause.reason.to_string() } else { format!("{field}: {}", cause.reason) }
    });
    bail!("{shown}: KubeProxyConfiguration: {}", one_line(&causes.collect::<Vec<_>>().join("; ")))
}
