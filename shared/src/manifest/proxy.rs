//! kube-proxy's configuration file (`config.conf`), YAML or JSON, to [`ProxySettings`].

use super::decode::{cause, cidr, ip};
use super::plain;
use super::wire::{KubeProxyConfiguration, ModeSettings};
use crate::model::{Cause, LocalDetector, Masquerade, NodePortAddresses, ProxyMode, ProxySettings, Text};

/// Parses a KubeProxyConfiguration. `field` is where it stands, for messages.
///
/// By way of JSON, as `sigs.k8s.io/yaml` does, so that types of scalars are judged the same way.
pub(super) fn settings(field: &str, text: &str) -> Result<ProxySettings, Cause> {
    let bad = |why: String| cause(field, format!("is not a KubeProxyConfiguration: {why}"));
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, super::file::yaml_options())
        .map_err(|error| bad(super::file::one_line(&error)))?;
    let wire = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = plain(&error.inner().to_string());
        bad(if path == "." { reason } else { format!("{path}: {reason}") })
    })?;
    understood(field, wire)
}

/// Reads a KubeProxyConfiguration that is JSON already. Fields that change no rules are not looked at.
pub fn proxy_settings(value: &serde_json::Value) -> Result<ProxySettings, Cause> {
    const WHOLE: &str = "KubeProxyConfiguration";
    let wire = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        cause(if path == "." { WHOLE } else { &path }, plain(&error.inner().to_string()))
    })?;
    understood(WHOLE, wire).map_err(|found| {
        let inside = found.field.strip_prefix(WHOLE).and_then(|field| field.strip_prefix(": "));
        inside.map(|field| cause(field, found.reason.clone())).unwrap_or(found)
    })
}

fn understood(field: &str, wire: KubeProxyConfiguration) -> Result<ProxySettings, Cause> {
    if let Some(kind) = wire.kind.as_deref().filter(|kind| *kind != "KubeProxyConfiguration") {
        return Err(cause(format!("{field}: kind"), format!("`{kind}` is not KubeProxyConfiguration")));
    }
    let mode = wire.mode.as_deref().unwrap_or_default();
    let mode = if mode.is_empty() {
        ProxyMode::default()
    } else {
        mode.parse().map_err(|()| {
            cause(
                format!("{field}: mode"),
                format!("`{mode}` is not one of iptables, nftables, ipvs, userspace"),
            )
        })?
    };
    let bind = wire.bind_address.as_deref().unwrap_or_default();
    let bind_address = match bind {
        "" | "0.0.0.0" | "::" => None,
        text => Some(ip(format!("{field}: bindAddress"), text)?),
    };
    let localhost = wire.iptables.as_ref().and_then(|settings| settings.localhost_node_ports);
    Ok(ProxySettings {
        mode,
        node_port_addresses: node_port_addresses(
            field,
            wire.node_port_addresses.as_deref().unwrap_or_default(),
        )?,
        detect_local: detector(field, &wire)?,
        iptables: masquerade(&format!("{field}: iptables"), wire.iptables.as_ref())?,
        nftables: masquerade(&format!("{field}: nftables"), wire.nftables.as_ref())?,
        localhost_node_ports: localhost.unwrap_or(true),
        tcp_be_liberal: wire.conntrack.and_then(|conntrack| conntrack.tcp_be_liberal).unwrap_or(false),
        ipvs_scheduler: wire.ipvs.and_then(|ipvs| ipvs.scheduler).unwrap_or_else(|| "".into()),
        bind_address,
    })
}

fn masquerade(field: &str, wire: Option<&ModeSettings>) -> Result<Masquerade, Cause> {
    let default = Masquerade::default();
    let Some(wire) = wire else { return Ok(default) };
    let bit = wire.masquerade_bit.unwrap_or(default.bit);
    if bit > 31 {
        return Err(cause(format!("{field}.masqueradeBit"), format!("{bit} is not between 0 and 31")));
    }
    Ok(Masquerade { all: wire.masquerade_all.unwrap_or(false), bit })
}

fn node_port_addresses(field: &str, texts: &[Text]) -> Result<NodePortAddresses, Cause> {
    let field = format!("{field}: nodePortAddresses");
    match texts {
        [] => Ok(NodePortAddresses::Unset),
        [only] if &**only == "primary" => Ok(NodePortAddresses::Primary),
        texts if texts.iter().any(|text| &**text == "primary") => {
            Err(cause(field, "`primary` must be the only entry"))
        }
        texts => {
            let cidrs = texts.iter().map(|text| cidr(field.clone(), text)).collect::<Result<_, _>>()?;
            Ok(NodePortAddresses::Cidrs(cidrs))
        }
    }
}

fn detector(field: &str, wire: &KubeProxyConfiguration) -> Result<LocalDetector, Cause> {
    let names = wire.detect_local.as_ref();
    let named = |key: &str, value: Option<&Text>| {
        let value = value.filter(|name| !name.is_empty()).cloned();
        value.ok_or_else(|| {
            cause(format!("{field}: detectLocal.{key}"), "must not be empty in this detectLocalMode")
        })
    };
    match wire.detect_local_mode.as_deref().unwrap_or_default() {
        "" | "ClusterCIDR" => {
            let text = wire.cluster_cidr.as_deref().unwrap_or_default();
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            let cidrs =
                texts.map(|text| cidr(format!("{field}: clusterCIDR"), text)).collect::<Result<_, _>>()?;
            Ok(LocalDetector::ClusterCidr(cidrs))
        }
        "NodeCIDR" => Ok(LocalDetector::NodeCidr),
        "BridgeInterface" => {
            let name = named("bridgeInterface", names.and_then(|names| names.bridge_interface.as_ref()))?;
            Ok(LocalDetector::BridgeInterface(name))
        }
        "InterfaceNamePrefix" => {
            let name =
                named("interfaceNamePrefix", names.and_then(|names| names.interface_name_prefix.as_ref()))?;
            Ok(LocalDetector::InterfaceNamePrefix(name))
        }
        other => Err(cause(
            format!("{field}: detectLocalMode"),
            format!("`{other}` is not one of ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix"),
        )),
    }
}
