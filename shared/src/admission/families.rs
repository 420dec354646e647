//! Address families of a Service: which policy and families it has once admitted, and what stands against it.
//!
//! Upstream: `initIPFamilyFields` in `pkg/registry/core/service/storage/alloc.go`.

use serde_json::{Value, json};

use super::FieldError;
use super::allocation::Families;
use super::service::{is_type, spec_list, spec_text, takes_any_family};
use crate::model::IpFamily;

const POLICY: &str = "spec.ipFamilyPolicy";
const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";
/// `spec.ipFamilyPolicy`.
pub(super) const POLICIES: [&str; 3] = [PREFER, REQUIRE, SINGLE];
/// `spec.ipFamilies`.
pub(super) const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

/// Fills in policy and families of a valid Service, which replaces `old` if there is one. With the policy SingleStack, the
/// secondary address and family of `old` are let go.
pub(super) fn settle(service: &mut Value, old: Option<&Value>, cluster: Families) -> Vec<FieldError> {
    if is_type(service, &["ExternalName"]) || old.is_some_and(|old| keeps_preference(service, old)) {
        return Vec::new();
    }
    if spec_text(service, "ipFamilyPolicy").is_empty() {
        let policy = if takes_any_family(service) { REQUIRE } else { SINGLE };
        service["spec"]["ipFamilyPolicy"] = policy.into();
    }
    let mut errors = old.map(|old| reduce(service, old)).unwrap_or_default();
    errors.extend(too_many(service));
    errors.extend(infer(service, cluster));
    if errors.is_empty() && !takes_any_family(service) {
        errors = not_configured(service, cluster);
    }
    if errors.is_empty() {
        complete(service, cluster);
    }
    errors
}

/// A Service that prefers two families and stays as it is neither gains nor loses one when the cluster's families have changed.
fn keeps_preference(service: &Value, old: &Value) -> bool {
    let same = |field: &str| spec_list(service, field) == spec_list(old, field);
    let both_prefer = [service, old].iter().all(|one| spec_text(one, "ipFamilyPolicy") == PREFER);
    both_prefer
        && spec_text(service, "type") == spec_text(old, "type")
        && same("clusterIPs")
        && same("ipFamilies")
}

/// Less than before: meant with SingleStack, a mistake with the other policies.
fn reduce(service: &mut Value, old: &Value) -> Vec<FieldError> {
    let policy = spec_text(service, "ipFamilyPolicy").to_owned();
    let mut errors = Vec::new();
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (new, before) = (spec_list(service, field), spec_list(old, field));
        if policy == SINGLE {
            if new == before && new.len() > 1 {
                service["spec"][field] = json!(before[..1]);
            }
        } else if !new.is_empty() && new.len() < before.len() {
            let why = format!("must be 'SingleStack' to release the secondary {what}");
            errors.push(FieldError::invalid(POLICY, policy.as_str(), why));
        }
    }
    errors
}

fn too_many(service: &Value) -> Vec<FieldError> {
    let single = spec_text(service, "ipFamilyPolicy") == SINGLE;
    let several = [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")].into_iter();
    let several = several.filter(|(field, _)| single && spec_list(service, field).len() == 2);
    let error = |(_, what): (&str, &str)| {
        let why =
            format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
        FieldError::invalid(POLICY, SINGLE, why)
    };
    several.map(error).collect()
}

/// Families that are not given are those of the addresses that are.
fn infer(service: &mut Value, cluster: Families) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let ips = spec_list(service, "clusterIPs").to_vec();
    let mut families = spec_list(service, "ipFamilies").to_vec();
    for (at, ip) in ips.iter().enumerate().skip(families.len()) {
        let Some(family) = ip.as_str().and_then(|ip| ip.parse().ok()).map(IpFamily::of) else { break };
        if cluster.has(family) {
            families.push(family.as_str().into());
        } else {
            let why = format!("{family} is not configured on this cluster");
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{at}]"), ips.clone(), why));
        }
    }
    if !families.is_empty() {
        service["spec"]["ipFamilies"] = families.into();
    }
    errors
}

fn not_configured(service: &Value, cluster: Families) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if spec_text(service, "ipFamilyPolicy") == REQUIRE && cluster != Families::DualStack {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(POLICY, REQUIRE, why));
    }
    for (at, family) in spec_list(service, "ipFamilies").iter().enumerate() {
        if !cluster.all().iter().any(|known| family == known.as_str()) {
            let field = format!("spec.ipFamilies[{at}]");
            errors.push(FieldError::invalid(field, family.clone(), "not configured on this cluster"));
        }
    }
    errors
}

/// The cluster's primary family where none is asked for, and the other one with the policies for two. Who takes any family
/// gets both on every cluster.
fn complete(service: &mut Value, cluster: Families) {
    let mut families = spec_list(service, "ipFamilies").to_vec();
    if families.is_empty() {
        families.extend(cluster.all().first().map(|family| Value::from(family.as_str())));
    }
    let both = cluster == Families::DualStack || takes_any_family(service);
    if both && families.len() == 1 && spec_text(service, "ipFamilyPolicy") != SINGLE {
        let other = FAMILIES.into_iter().filter(|family| families[0] != *family).map(Value::from);
        let other: Vec<Value> = other.collect();
        families.extend(other);
    }
    service["spec"]["ipFamilies"] = families.into();
}
