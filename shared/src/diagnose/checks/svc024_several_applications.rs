//! SVC024: one selector, several applications.

use super::prelude::*;

pub const CHECK: Check = Check {
    code: Code(24),
    title: "Service selects pods of several applications",
    severity: Severity::Warn,
    condition: "The selected pods belong to different workloads, or have different values of the label app.kubernetes.io/name (or app), and these names do not just differ by a suffix such as -canary, -blue, -v2, a number or a hash. Pods of Jobs and static pods are left out.",
    explanation: "Clients get answers of one application or another by chance.",
    needs: &[Kind::Pod],
    of_deleted: false,
    how: How::Service(find),
};

fn find(s: &Subject<'_>) -> Vec<Problem> {
    let owned_by = |pod: &Pod, kind: &str| pod.meta.owner.as_ref().is_some_and(|owner| &*owner.kind == kind);
    let pods: Vec<_> = s
        .live_pods()
        .filter(|pod| s.has_selector() && !owned_by(pod, "Job") && !owned_by(pod, "Node"))
        .collect();
    let owners = pods.iter().filter(|pod| pod.meta.owner.is_some()).map(|pod| (pod.workload(), *pod));
    let labelled = |pod: &Pod| {
        ["app.kubernetes.io/name", "app"].iter().find_map(|key| pod.meta.labels.get(key).cloned())
    };
    let labels = pods.iter().filter_map(|pod| Some((labelled(pod)?, *pod)));
    let Some(names) = several(owners.collect()).or_else(|| several(labels.collect())) else {
        return Vec::new();
    };
    let problem = s
        .problem(format!("{} selects pods of {}", s.selector_text(), list(names.keys())))
        .own("spec.selector", s.selector_text())
        .evidence_of(
            "metadata.labels",
            names.values().map(|pod| (pod.object_ref(), labels_text(&pod.meta.labels))),
        )
        .advice("add a label to the selector that only the meant application has")
        .kubectl(&["kubectl", "-n", s.namespace(), "get", "pods", "-l", &s.selector_text(), "--show-labels"]);
    vec![problem]
}

/// The names, if they are of more than one application.
fn several(names: BTreeMap<Text, &Arc<Pod>>) -> Option<BTreeMap<Text, &Arc<Pod>>> {
    let (first, _) = names.first_key_value()?;
    let differ = names.keys().any(|name| !is_variant(first, name));
    differ.then_some(names)
}

/// Suffixes by which releases of one application differ.
const TRACKS: [&str; 14] = [
    "canary", "stable", "blue", "green", "primary", "preview", "next", "old", "new", "alpha", "beta",
    "baseline", "rc", "test",
];

/// What Kubernetes makes hashes of; without vowels, so that they make no words.
const HASH_ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";

/// True if two names are of one application: equal but for digits at the end, one with a suffix, or both with the suffix of
/// a release, a shard or a hash.
fn is_variant(a: &str, b: &str) -> bool {
    let extends =
        |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
    let same_stem = || match (a.rsplit_once('-'), b.rsplit_once('-')) {
        (Some((left, x)), Some((right, y))) => left == right && is_release(x) && is_release(y),
        _ => false,
    };
    let number = |name| str::trim_end_matches(name, |c: char| c.is_ascii_digit());
    a == b || number(a) == number(b) || extends(a, b) || extends(b, a) || same_stem()
}

fn is_release(suffix: &str) -> bool {
    let version = suffix.trim_start_matches('v').chars().all(|c| c.is_ascii_digit() || c == '.');
    let hash = suffix.len() >= 5 && suffix.chars().all(|c| HASH_ALPHABET.contains(c));
    TRACKS.contains(&suffix) || suffix.len() == 1 || version || hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_application() {
        for (a, b, expected) in [
            ("cart", "cart", true),
            ("cart", "cart-canary", true),
            ("cart-blue", "cart-green", true),
            ("cart-v1", "cart-v2", true),
            ("cart-5cbdc8fd4", "cart-77c984c8f5", true),
            ("shard-a", "shard-b", true),
            ("mongo0", "mongo1", true),
            ("cart", "carts", false),
            ("shop-cart", "shop-orders", false),
            ("web-frontend", "web-backend", false),
            ("apache-deployment", "nginx-deployment", false),
        ] {
            assert_eq!((is_variant(a, b), is_variant(b, a)), (expected, expected), "{a} {b}");
        }
    }
}
