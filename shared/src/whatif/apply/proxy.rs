//! kube-proxy's settings: fields of a KubeProxyConfiguration merged into those of one node or of all.

use std::sync::Arc;

use serde_json::Value;

use super::Outcome;
use super::object::merge;
use super::pod::find_node;
use super::world::World;
use crate::delta::Object;
use crate::manifest::{encode_proxy_settings, proxy_settings};
use crate::model::{Meta, ProxyConfig, ProxySettings, Text};

/// Fields of `kubeproxy.config.k8s.io/v1alpha1` with their own fields, as of Kubernetes 1.36. Those that vipscope does not read change
/// no rules.
const FIELDS: [(&str, &[&str]); 25] = [
    ("apiVersion", &[]),
    ("kind", &[]),
    ("featureGates", &["*"]),
    ("clientConnection", &["kubeconfig", "acceptContentTypes", "contentType", "qps", "burst"]),
    ("logging", &["format", "flushFrequency", "verbosity", "vmodule", "options"]),
    ("hostnameOverride", &[]),
    ("bindAddress", &[]),
    ("healthzBindAddress", &[]),
    ("metricsBindAddress", &[]),
    ("bindAddressHardFail", &[]),
    ("enableProfiling", &[]),
    ("showHiddenMetricsForVersion", &[]),
    ("mode", &[]),
    ("iptables", &["masqueradeBit", "masqueradeAll", "localhostNodePorts", "syncPeriod", "minSyncPeriod"]),
    (
        "ipvs",
        &[
            "syncPeriod",
            "minSyncPeriod",
            "scheduler",
            "excludeCIDRs",
            "strictARP",
            "tcpTimeout",
            "tcpFinTimeout",
            "udpTimeout",
        ],
    ),
    ("nftables", &["masqueradeBit", "masqueradeAll", "syncPeriod", "minSyncPeriod"]),
    ("winkernel", &["*"]),
    ("detectLocalMode", &[]),
    ("detectLocal", &["bridgeInterface", "interfaceNamePrefix"]),
    ("clusterCIDR", &[]),
    ("nodePortAddresses", &[]),
    ("oomScoreAdj", &[]),
    (
        "conntrack",
        &[
            "maxPerCore",
            "min",
            "tcpEstablishedTimeout",
            "tcpCloseWaitTimeout",
            "tcpBeLiberal",
            "udpTimeout",
            "udpStreamTimeout",
        ],
    ),
    ("configSyncPeriod", &[]),
    ("portRange", &[]),
];

/// `ipvs.scheduler`: modules of the kernel that kube-proxy can ask for; empty means rr.
const SCHEDULERS: [&str; 12] = ["", "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq", "mh"];

/// `node` is a name, or `*` for all: then also for those that have settings of their own.
pub(super) fn set(world: &mut World<'_>, node: &Text, fields: &Value) -> Outcome {
    check_fields(fields)?;
    let key = ProxyConfig::well_known_key();
    let found = world.state.proxy_configs().get(&key).cloned();
    let mut config = found.map(Arc::unwrap_or_clone).unwrap_or_else(|| ProxyConfig {
        meta: Meta::named(key),
        settings: ProxySettings::default(),
        nodes: std::collections::BTreeMap::new(),
    });
    if &**node == "*" {
        config.settings = merged(&config.settings, fields)?;
        for settings in config.nodes.values_mut() {
            *settings = merged(settings, fields)?;
        }
    } else {
        find_node(world, node)?;
        let settings = merged(config.for_node(node), fields)?;
        if settings == config.settings {
            config.nodes.remove(node);
        } else {
            config.nodes.insert(node.clone(), settings);
        }
    }
    world.put(Object::ProxyConfig(Arc::new(config)));
    Ok(())
}

fn check_fields(fields: &Value) -> Outcome {
    let Some(fields) = fields.as_object() else {
        return Err("set: expected an object with fields of a KubeProxyConfiguration".to_owned());
    };
    let unknown = |path: String| Err(format!("strict decoding error: unknown field \"{path}\""));
    for (name, value) in fields {
        let Some((_, inner)) = FIELDS.iter().find(|(known, _)| known == name) else {
            return unknown(short(name));
        };
        for key in value.as_object().into_iter().flat_map(|inner| inner.keys()) {
            if !inner.contains(&"*") && !inner.contains(&key.as_str()) {
                return unknown(format!("{name}.{}", short(key)));
            }
        }
    }
    Ok(())
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

fn merged(settings: &ProxySettings, fields: &Value) -> Outcome<ProxySettings> {
    let mut value = encode_proxy_settings(settings);
    merge(&mut value, fields);
    let read = proxy_settings(&value).map_err(|cause| format!("{}: {}", cause.field, cause.reason))?;
    if !SCHEDULERS.contains(&&*read.ipvs_scheduler) {
        let known = SCHEDULERS[1..].join(", ");
        return Err(format!("ipvs.scheduler: `{}` is not one of {known}", short(&read.ipvs_scheduler)));
    }
    Ok(read)
}
