//! The load balancer of the sandbox: gives each Service of type LoadBalancer an address of 203.0.113.0/24, one of
//! 2001:db8:113::/120, or both, as its families are.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vipscope_shared::model::Key;

use crate::sandbox::object;
use crate::sandbox::objects::{self, Part};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Store, Transaction};

/// The last byte of addresses (TEST-NET-3, RFC 5737; documentation prefix, RFC 3849): from 7 up.
const POOL: std::ops::RangeInclusive<u8> = 7..=254;
const PREFIX_V4: &str = "203.0.113.";
const PREFIX_V6: &str = "2001:db8:113::";

/// Fills in `status.loadBalancer` unless another controller is named, or addresses of these families or of somebody else are
/// there.
pub fn sync(store: &Store, key: &Key) {
    store.write(|tx| {
        let Some(service) = tx.get(Type::Services, key) else { return };
        let wants = object::text(service, "/spec/type") == "LoadBalancer"
            && object::text(service, "/spec/loadBalancerClass").is_empty();
        let prefixes: Vec<&str> = object::list(service, "/spec/ipFamilies").iter().map(prefix).collect();
        let current: Vec<String> = object::list(service, "/status/loadBalancer/ingress")
            .iter()
            .map(|entry| object::text(entry, "/ip").to_owned())
            .collect();
        let ours = current.iter().all(|ip| ip.starts_with(PREFIX_V4) || ip.starts_with(PREFIX_V6));
        let same = prefixes.iter().all(|prefix| current.iter().any(|ip| ip.starts_with(prefix)))
            && current.iter().all(|ip| prefixes.iter().any(|prefix| ip.starts_with(prefix)));
        if !wants || !ours || same {
            return;
        }
        let asked = object::text(service, "/spec/loadBalancerIP").to_owned();
        let taken = taken(tx);
        let choose = |prefix: &&str| {
            let kept = current.iter().find(|ip| ip.starts_with(prefix));
            let asked = Some(&asked).filter(|asked| asked.starts_with(prefix) && !taken.contains(*asked));
            let mut pool = POOL.map(|last| address(prefix, last));
            kept.or(asked).cloned().or_else(|| pool.find(|ip| !taken.contains(ip)))
        };
        let ips: Vec<String> = prefixes.iter().filter_map(choose).collect();
        let ingress: Vec<Value> = ips.iter().map(|ip| json!({ "ip": ip, "ipMode": "VIP" })).collect();
        // The pool may have run dry.
        if ips == current {
            return;
        }
        let _ = objects::modify(tx, Type::Services, key, Part::Status, |service| {
            service["status"]["loadBalancer"]["ingress"] = ingress.into();
        });
    });
}

fn address(prefix: &str, last: u8) -> String {
    if prefix == PREFIX_V4 { format!("{prefix}{last}") } else { format!("{prefix}{last:x}") }
}

fn prefix(family: &Value) -> &'static str {
    if family == "IPv6" { PREFIX_V6 } else { PREFIX_V4 }
}

fn taken(tx: &Transaction<'_>) -> BTreeSet<String> {
    let services = tx.keys(Type::Services, "");
    let services = services.iter().filter_map(|key| tx.get(Type::Services, key));
    let ingress = services.flat_map(|service| object::list(service, "/status/loadBalancer/ingress"));
    ingress.map(|entry| object::text(entry, "/ip").to_owned()).collect()
}
