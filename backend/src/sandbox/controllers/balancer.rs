//! The load balancer of the sandbox: gives each Service of type LoadBalancer an address of 203.0.113.0/24.

use std::collections::BTreeSet;

use serde_json::json;
use vipscope_shared::model::Key;

use crate::sandbox::object;
use crate::sandbox::objects::{self, Part};
use crate::sandbox::resources::Type;
use crate::sandbox::store::{Store, Transaction};

/// The addresses: 203.0.113.7 and up (TEST-NET-3, RFC 5737).
const POOL: std::ops::RangeInclusive<u8> = 7..=254;

/// Fills in `status.loadBalancer` unless another controller is named or an address is there.
pub fn sync(store: &Store, key: &Key) {
    store.write(|tx| {
        let Some(service) = tx.get(Type::Services, key) else { return };
        let wants = object::text(service, "/spec/type") == "LoadBalancer"
            && object::text(service, "/spec/loadBalancerClass").is_empty()
            && object::list(service, "/status/loadBalancer/ingress").is_empty();
        if !wants {
            return;
        }
        let asked = object::text(service, "/spec/loadBalancerIP").to_owned();
        let taken = taken(tx);
        let free = POOL.map(|last| format!("203.0.113.{last}")).find(|ip| !taken.contains(ip));
        let ours = asked.starts_with("203.0.113.") && !taken.contains(&asked);
        let Some(ip) = (if ours { Some(asked) } else { free }) else { return };
        let _ = objects::modify(tx, Type::Services, key, Part::Status, |service| {
            service["status"]["loadBalancer"]["ingress"] = json!([{ "ip": ip, "ipMode": "VIP" }]);
        });
    });
}

fn taken(tx: &Transaction<'_>) -> BTreeSet<String> {
    let services = tx.keys(Type::Services, "");
    let services = services.iter().filter_map(|key| tx.get(Type::Services, key));
    let ingress = services.flat_map(|service| object::list(service, "/status/loadBalancer/ingress"));
    ingress.map(|entry| object::text(entry, "/ip").to_owned()).collect()
}
