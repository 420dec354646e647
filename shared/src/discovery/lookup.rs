//! A pod's resolver: which names it asks for, in which order, and what the cluster's DNS answers to each
//! (`pkg/kubelet/network/dns`, `resolv.conf(5)`: a name with fewer than `ndots` dots walks the search list first).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::records::{Answer, Dns, reverse};
use crate::model::{ClusterState, DnsPolicy, Key, Keyed, Pod, PodDns, Text};

/// Whom the pod asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Nameserver {
    /// The cluster's DNS Service.
    Cluster,
    /// What the node has in its own `resolv.conf`; it does not know the cluster's names.
    Node,
    /// Only those of `dnsConfig`, and the first of them, whose answer counts while it gives one, is not the cluster's.
    Custom(Vec<IpAddr>),
}

/// A pod's `/etc/resolv.conf`, as far as the objects tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolver {
    pub nameserver: Nameserver,
    /// Without the node's own search list, which no object shows.
    pub search: Vec<Text>,
    /// Behind how many of `search` the node's own search list stands: behind the cluster's domains, before those of
    /// `dnsConfig`. `None`: it is left out.
    pub node_search: Option<usize>,
    pub ndots: u8,
}

/// One name asked for, and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    pub name: String,
    pub answer: Answer,
}

/// A whole lookup: the queries until one answers. Addresses are asked for in both families at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lookup {
    pub queries: Vec<Query>,
}

impl Lookup {
    /// The query that ended it with records, or with a name that is for others to answer.
    pub fn answered(&self) -> Option<&Query> {
        self.queries.last().filter(|query| matches!(query.answer, Answer::Records(_) | Answer::Elsewhere))
    }
}

/// glibc's default, and what a pod with the node's resolver has unless that says otherwise.
const PLAIN_NDOTS: u8 = 1;
/// What the kubelet writes for policy ClusterFirst.
const CLUSTER_NDOTS: u8 = 5;
/// glibc and musl take more for this many.
const MOST_NDOTS: u8 = 15;
/// Limit of the kubelet and of the resolver libraries.
const MOST_SEARCHES: usize = 32;

impl Resolver {
    /// What the kubelet writes for the pod.
    pub fn of(state: &ClusterState, pod: &Pod, zone: &str) -> Resolver {
        let plain = PodDns::default();
        let dns = pod.dns.as_deref().unwrap_or(&plain);
        let effective = match dns.policy {
            DnsPolicy::ClusterFirst if pod.host_network => DnsPolicy::Default,
            policy => policy,
        };
        let cluster = matches!(effective, DnsPolicy::ClusterFirst | DnsPolicy::ClusterFirstWithHostNet);
        let namespace = pod.namespace();
        let mut search: Vec<Text> = Vec::new();
        if cluster {
            search =
                vec![format!("{namespace}.svc.{zone}").into(), format!("svc.{zone}").into(), zone.into()];
        }
        let node_search = (effective != DnsPolicy::None).then_some(search.len());
        search.extend(dns.searches.iter().map(|domain| Text::from(domain.trim_end_matches('.'))));
        let mut seen = BTreeSet::new();
        search.retain(|domain| !domain.is_empty() && seen.insert(domain.clone()));
        search.truncate(MOST_SEARCHES);
        let server = cluster_dns(state);
        let nameserver = match effective {
            _ if cluster => Nameserver::Cluster,
            DnsPolicy::None if !dns.nameservers.first().is_some_and(|ip| server.contains(ip)) => {
                Nameserver::Custom(dns.nameservers.clone())
            }
            DnsPolicy::None => Nameserver::Cluster,
            _ => Nameserver::Node,
        };
        Resolver {
            nameserver,
            search,
            node_search,
            ndots: dns.ndots.unwrap_or(if cluster { CLUSTER_NDOTS } else { PLAIN_NDOTS }).min(MOST_NDOTS),
        }
    }

    /// The names asked for, in order, if none of them answers. A last dot makes a name absolute.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_lowercase()];
        }
        let name = name.to_lowercase();
        let searched = self.search.iter().map(|domain| format!("{name}.{}", domain.to_lowercase()));
        let dots = name.matches('.').count();
        if dots >= usize::from(self.ndots) {
            std::iter::once(name.clone()).chain(searched).collect()
        } else {
            searched.chain([name.clone()]).collect()
        }
    }

    /// Looks up the addresses of `name`.
    pub fn addresses(&self, dns: &Dns<'_>, name: &str) -> Lookup {
        self.lookup(name, |name| dns.addresses(name))
    }

    /// Looks up the SRV records of `name`.
    pub fn services(&self, dns: &Dns<'_>, name: &str) -> Lookup {
        self.lookup(name, |name| dns.services(name))
    }

    /// Looks up the names of an address: one query, whatever the search path.
    pub fn names(&self, dns: &Dns<'_>, ip: IpAddr) -> Lookup {
        let known = self.nameserver == Nameserver::Cluster;
        let answer = if known { dns.names(ip) } else { Answer::Elsewhere };
        Lookup { queries: vec![Query { name: reverse(ip), answer }] }
    }

    fn lookup(&self, name: &str, ask: impl Fn(&str) -> Answer) -> Lookup {
        let mut lookup = Lookup { queries: Vec::new() };
        for name in self.candidates(name) {
            // Another server's answers are not known, whatever the name.
            let answer = if self.nameserver == Nameserver::Cluster { ask(&name) } else { Answer::Elsewhere };
            let goes_on = matches!(answer, Answer::NxDomain | Answer::NoData);
            lookup.queries.push(Query { name, answer });
            if !goes_on {
                break;
            }
        }
        lookup
    }
}

/// The addresses of the cluster's DNS: of the Service `kube-system/kube-dns`, which is CoreDNS' name, too.
fn cluster_dns(state: &ClusterState) -> Vec<IpAddr> {
    let service = state.services().get(&Key::new("kube-system", "kube-dns"));
    service.map(|service| service.cluster_ip.ips().to_vec()).unwrap_or_default()
}
