//! Who connects, of several flows of one target: their sources joined, exactly, and in words.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rustc_hash::FxHashMap;

use crate::model::{ClusterState, IpFamily, Key, Text};
use crate::trace::Origin;
use crate::whatif::difference::{FlowChange, SourceClass};
use crate::whatif::flows::sources::Partition;
use crate::whatif::flows::words::Names;

/// All sources there are.
const EVERYONE: &str = "all pods; all nodes themselves; outside through any node";

/// What tells classes apart for the words.
type Identity<'a> = (&'a [Text], Option<&'a Text>, Origin, &'a [Key], &'a [Key], &'a [IpNet], &'a [IpNet]);

pub(super) struct People<'a> {
    names: Names,
    /// The later cluster, in which pods have the address that classes speak of.
    state: &'a ClusterState,
    /// Words of classes that were joined before: often the same ones, for many Services.
    known: RefCell<FxHashMap<(IpFamily, Vec<Identity<'a>>), String>>,
}

impl<'a> People<'a> {
    pub fn of(before: &ClusterState, after: &'a ClusterState) -> People<'a> {
        People { names: Names::of_both(before, after), state: after, known: RefCell::default() }
    }

    /// Those of all flows of one target.
    pub fn words(&self, flows: &[&'a FlowChange]) -> String {
        let Some(family) = flows.first().map(|flow| flow.target.family) else { return String::new() };
        let classes: Vec<&SourceClass> = flows.iter().flat_map(|flow| &flow.sources.classes).collect();
        let identities = classes.iter().map(|class| identity(class)).collect();
        let mut known = self.known.borrow_mut();
        let make = || match flows {
            [flow] => short(self.names.of_classes_briefly(&flow.sources.classes), &flow.sources.classes),
            _ => {
                let joined = join(&classes, &|pod| self.address(pod, family));
                short(self.names.of_classes_briefly(&joined), &joined)
            }
        };
        known.entry((family, identities)).or_insert_with(make).clone()
    }

    fn address(&self, pod: &Key, family: IpFamily) -> Option<IpAddr> {
        let pod = self.state.pods().get(pod)?;
        pod.ips.iter().copied().find(|ip| IpFamily::of(*ip) == family)
    }
}

/// In a word, where pods, nodes and those outside are meant alike: `everyone`, `everyone on or through node-a`.
fn short(words: String, classes: &[SourceClass]) -> String {
    if words == EVERYONE {
        return "everyone".to_owned();
    }
    // Names that are held back could be others.
    if words.contains(" more") && !is_same_everywhere(classes) {
        return words;
    }
    let first = words.split("; ").next().unwrap_or_default();
    let place = if let Some(zone) = first.strip_prefix("all pods in zone ") {
        let of = format!("the nodes of zone {zone}");
        (words == format!("{first}; {of} themselves; outside through {of}")).then(|| format!("zone {zone}"))
    } else if let Some(nodes) = first.strip_prefix("pods on ") {
        let rest =
            ["itself", "themselves"].map(|own| format!("{first}; {nodes} {own}; outside through {nodes}"));
        rest.contains(&words).then(|| nodes.to_owned())
    } else {
        None
    };
    place.map_or(words, |place| format!("everyone on or through {place}"))
}

/// Whether pods, nodes and those outside are on, or come through, the same nodes.
fn is_same_everywhere(classes: &[SourceClass]) -> bool {
    let nodes = |origin: Origin| -> BTreeSet<&Text> {
        classes.iter().filter(|class| class.origin == origin).flat_map(|class| &class.nodes).collect()
    };
    nodes(Origin::Pod) == nodes(Origin::Node) && nodes(Origin::Node) == nodes(Origin::Outside)
}

fn identity(class: &SourceClass) -> Identity<'_> {
    let SourceClass { nodes, moved_from, origin, pods, except_pods, nets, except, .. } = class;
    (nodes, moved_from.as_ref(), *origin, pods, except_pods, nets, except)
}

/// Classes that have together exactly the sources that these have: one for each origin on nodes that say the same, or two if
/// pods are named. Pods that have come from another node are apart.
fn join(classes: &[&SourceClass], address: &dyn Fn(&Key) -> Option<IpAddr>) -> Vec<SourceClass> {
    let mut by_node: BTreeMap<(Origin, &Text, Option<&Text>), Vec<usize>> = BTreeMap::new();
    for (nth, class) in classes.iter().enumerate() {
        for node in &class.nodes {
            by_node.entry((class.origin, node, class.moved_from.as_ref())).or_default().push(nth);
        }
    }
    let mut alike: BTreeMap<(Origin, Option<&Text>, _), Vec<Text>> = BTreeMap::new();
    for ((origin, node, from), same) in by_node {
        alike.entry((origin, from, same)).or_default().push(node.clone());
    }
    let mut joined = Vec::new();
    for ((.., same), nodes) in alike {
        let same: Vec<SourceClass> = same
            .into_iter()
            .map(|nth| SourceClass { nodes: nodes.clone(), ..classes[nth].clone() })
            .collect();
        let same: Vec<&SourceClass> = same.iter().collect();
        let (named, open): (Vec<&SourceClass>, Vec<&SourceClass>) =
            same.iter().partition(|class| !class.pods.is_empty());
        let open = join_open(&open);
        let pods = named_pods(&same);
        match (open, named.first()) {
            (Some(open), _) => join_pods(open, &same, pods, address, &mut joined),
            (None, Some(first)) => joined.push(SourceClass { pods, ..SourceClass::clone(first) }),
            (None, None) => {}
        }
    }
    joined
}

/// Those that are named as in a class or as not in it; sorted.
fn named_pods(classes: &[&SourceClass]) -> Vec<Key> {
    let mut pods: Vec<Key> =
        classes.iter().flat_map(|class| class.pods.iter().chain(&class.except_pods)).cloned().collect();
    pods.sort_unstable();
    pods.dedup();
    pods
}

/// The addresses of classes that name no pods. Each class answers alike within a cell of all their networks.
fn join_open(classes: &[&SourceClass]) -> Option<SourceClass> {
    let (first, more) = classes.split_first()?;
    let mut open = SourceClass { except_pods: Vec::new(), ..SourceClass::clone(first) };
    if more.iter().all(|class| (&class.nets, &class.except) == (&open.nets, &open.except)) {
        return Some(open);
    }
    let nets = classes.iter().flat_map(|class| class.nets.iter().chain(&class.except)).copied();
    let partition = Partition::new(IpFamily::of(first.example), nets);
    let has = |cell: &usize| classes.iter().any(|class| has_net(class, partition.net(*cell)));
    let cells: Vec<usize> = (0..partition.len()).filter(has).collect();
    let all: Vec<usize> = (0..partition.len()).collect();
    (open.nets, open.except) = partition.describe(&cells, &all);
    Some(open)
}

/// Whether a class has what is in this network and in none that is inside it.
fn has_net(class: &SourceClass, cell: IpNet) -> bool {
    let longest = |nets: &[IpNet]| nets.iter().filter(|net| net.contains(&cell)).map(IpNet::prefix_len).max();
    match (longest(&class.nets), longest(&class.except)) {
        (None, None) => class.nets.is_empty(),
        (inside, outside) => inside > outside,
    }
}

/// With the pods that are named one by one: those that are in none of the classes, and those that only a name puts there.
fn join_pods(
    mut open: SourceClass,
    classes: &[&SourceClass],
    pods: Vec<Key>,
    address: &dyn Fn(&Key) -> Option<IpAddr>,
    joined: &mut Vec<SourceClass>,
) {
    let has = |class: &SourceClass, pod: &Key| match address(pod) {
        Some(ip) => class.has_pod(pod, ip),
        None => class.pods.contains(pod),
    };
    let (inside, outside): (Vec<Key>, Vec<Key>) =
        pods.into_iter().partition(|pod| classes.iter().any(|class| has(class, pod)));
    let except = |pod: &Key| address(pod).is_none_or(|ip| open.has_address(ip));
    let except: Vec<Key> = outside.into_iter().filter(except).collect();
    open.except_pods = except;
    let named: Vec<Key> = inside.into_iter().filter(|pod| !has(&open, pod)).collect();
    let by_name = SourceClass {
        pods: named,
        except_pods: Vec::new(),
        nets: Vec::new(),
        except: Vec::new(),
        ..open.clone()
    };
    joined.push(open);
    if !by_name.pods.is_empty() {
        joined.push(by_name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pods that classes name, one that none names, and who else has an address.
    const PODS: [(&str, [u8; 4]); 3] = [("a", [10, 1, 0, 5]), ("b", [10, 2, 0, 6]), ("c", [10, 9, 0, 1])];
    const OTHERS: [[u8; 4]; 5] =
        [[10, 1, 0, 4], [10, 1, 0, 5], [10, 1, 9, 9], [10, 200, 0, 1], [192, 0, 2, 1]];

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    fn address(pod: &Key) -> Option<IpAddr> {
        PODS.iter().find(|(name, _)| key(name) == *pod).map(|(_, ip)| IpAddr::from(*ip))
    }

    /// Classes of pods on one node: by networks and names, and with names only.
    fn classes() -> Vec<SourceClass> {
        let class = |pods: &[&str], except_pods: &[&str], nets: &[&str], except: &[&str]| SourceClass {
            nodes: vec!["node-a".into()],
            origin: Origin::Pod,
            pods: pods.iter().map(|name| key(name)).collect(),
            except_pods: except_pods.iter().map(|name| key(name)).collect(),
            nets: nets.iter().filter_map(|net| net.parse().ok()).collect(),
            except: except.iter().filter_map(|net| net.parse().ok()).collect(),
            moved_from: None,
            hairpin: false,
            example: IpAddr::from(OTHERS[0]),
        };
        let mut all = vec![class(&["a"], &[], &[], &[]), class(&["a", "b"], &[], &[], &[])];
        for except_pods in [&[][..], &["a"], &["b"], &["a", "b"]] {
            for nets in [&[][..], &["10.0.0.0/8"], &["10.1.0.0/16"], &["10.1.0.5/32", "10.2.0.0/16"]] {
                for except in [&[][..], &["10.1.0.0/16"], &["10.1.0.5/32"], &["10.0.0.0/8"]] {
                    if nets != except {
                        all.push(class(&[], except_pods, nets, except));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn joined_classes_have_the_sources_of_all_and_no_others() {
        let all = classes();
        for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (one, other))) {
            let joined = join(&[one, other], &address);
            for (name, ip) in PODS {
                let has = |class: &SourceClass| class.has_pod(&key(name), ip.into());
                let expected = has(one) || has(other);
                assert_eq!(joined.iter().any(has), expected, "{name}: {one:#?} {other:#?} {joined:#?}");
            }
            for ip in OTHERS {
                let has = |class: &SourceClass| class.pods.is_empty() && class.has_address(ip.into());
                let expected = has(one) || has(other);
                assert_eq!(joined.iter().any(has), expected, "{ip:?}: {one:#?} {other:#?} {joined:#?}");
            }
        }
    }
}
