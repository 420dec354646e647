//! DNS records of Services, endpoints and pods, and the answer to one name, as the Kubernetes DNS specification and CoreDNS'
//! `kubernetes` plugin have them. Names are lower case, absolute, without the last dot.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::model::{
    ClusterState, Conditions, Endpoint, EndpointPort, EndpointSlice, Key, Keyed, Protocol, Service,
    ServiceType, Text,
};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
pub enum Data {
    A {
        address: Ipv4Addr,
    },
    Aaaa {
        address: Ipv6Addr,
    },
    /// Priority and weight are the server's choice, so they are not here.
    Srv {
        port: u16,
        target: String,
    },
    Ptr {
        target: String,
    },
    Cname {
        target: String,
    },
}

impl Data {
    fn address(ip: IpAddr) -> Data {
        match ip {
            IpAddr::V4(address) => Data::A { address },
            IpAddr::V6(address) => Data::Aaaa { address },
        }
    }

    /// The address of an A or AAAA record.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Data::A { address } => Some((*address).into()),
            Data::Aaaa { address } => Some((*address).into()),
            _ => None,
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A { address } => write!(f, "A {address}"),
            Data::Aaaa { address } => write!(f, "AAAA {address}"),
            Data::Srv { port, target } => write!(f, "SRV {port} {target}"),
            Data::Ptr { target } => write!(f, "PTR {target}"),
            Data::Cname { target } => write!(f, "CNAME {target}"),
        }
    }
}

/// One record. Prints as `web.shop.svc.cluster.local A 10.96.0.10`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    #[serde(flatten)]
    pub data: Data,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.data)
    }
}

/// CoreDNS' option `pods`: whether `10-1-2-3.shop.pod.cluster.local` has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PodNames {
    Disabled,
    /// Any address in any namespace is echoed; kubeadm's choice.
    #[default]
    Insecure,
    /// Only if the namespace has a pod with that address.
    Verified,
}

/// What the cluster's DNS says to one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Never empty. A CNAME comes first, with what it leads to inside the cluster.
    Records(Vec<Record>),
    /// The name is there, but has no record of the kind asked for.
    NoData,
    NxDomain,
    /// Not in the cluster's zone: the server asks its upstream.
    Elsewhere,
}

/// Which kind of record a query asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Addresses,
    Services,
}

/// The cluster's DNS.
#[derive(Debug, Clone)]
pub struct Dns<'a> {
    pub state: &'a ClusterState,
    /// The cluster domain, `cluster.local` unless configured otherwise.
    pub zone: Text,
    pub pod_names: PodNames,
}

/// How many CNAMEs are followed inside the cluster.
const MOST_CNAMES: usize = 8;

impl<'a> Dns<'a> {
    /// With the zone and settings of a kubeadm cluster.
    pub fn new(state: &'a ClusterState) -> Dns<'a> {
        Dns { state, zone: "cluster.local".into(), pod_names: PodNames::default() }
    }

    /// `web.shop.svc.cluster.local`.
    pub fn service_name(&self, service: &Key) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.zone).to_lowercase()
    }

    /// Every record of a Service, by name: of ClusterIP Services independent of endpoints, of headless ones by its ready
    /// endpoints, of an ExternalName its CNAME.
    pub fn records(&self, service: &Service) -> Vec<Record> {
        let mut records = match service.service_type {
            ServiceType::ExternalName => self.external_name(service).into_iter().collect(),
            _ if service.is_headless() => self.headless(service),
            _ => self.cluster_ip(service),
        };
        records.sort();
        records.dedup();
        records
    }

    /// The CNAME; none if the external name is an IP literal, which CoreDNS does not answer.
    fn external_name(&self, service: &Service) -> Option<Record> {
        let target = service.external_name.as_deref()?.trim_end_matches('.').to_lowercase();
        let usable = !target.is_empty() && target.parse::<IpAddr>().is_err();
        usable.then(|| Record { name: self.service_name(service.key()), data: Data::Cname { target } })
    }

    fn cluster_ip(&self, service: &Service) -> Vec<Record> {
        let name = self.service_name(service.key());
        let ips = service.cluster_ip.ips();
        let addresses = ips.iter().map(|ip| Record { name: name.clone(), data: Data::address(*ip) });
        let reverse =
            ips.iter().map(|ip| Record { name: reverse(*ip), data: Data::Ptr { target: name.clone() } });
        let named = service.ports.iter().filter(|port| !port.name.is_empty() && !ips.is_empty());
        let srv = named.map(|port| Record {
            name: srv_name(&port.name, port.protocol, &name),
            data: Data::Srv { port: port.port.get(), target: name.clone() },
        });
        addresses.chain(reverse).chain(srv).collect()
    }

    fn headless(&self, service: &Service) -> Vec<Record> {
        let name = self.service_name(service.key());
        let mut records = Vec::new();
        for (ports, endpoint, ip) in self.ready_endpoints(service.key()) {
            let own = format!("{}.{name}", endpoint_label(endpoint, ip));
            records.push(Record { name: name.clone(), data: Data::address(ip) });
            records.push(Record { name: own.clone(), data: Data::address(ip) });
            records.push(Record { name: reverse(ip), data: Data::Ptr { target: own.clone() } });
            for port in ports.iter().filter(|port| !port.name.is_empty()) {
                let Some(number) = port.port else { continue };
                records.push(Record {
                    name: srv_name(&port.name, port.protocol, &name),
                    data: Data::Srv { port: number.get(), target: own.clone() },
                });
            }
        }
        records
    }

    /// Ready endpoints with an address, in the order of their slices.
    fn ready_endpoints<'s>(
        &'s self,
        service: &Key,
    ) -> impl Iterator<Item = (&'s [EndpointPort], &'s Endpoint, IpAddr)> {
        let of_slice = |slice: &'s EndpointSlice| {
            let ready = slice.endpoints.iter().filter(|endpoint| Conditions::is_ready(endpoint.conditions));
            ready.filter_map(|endpoint| {
                Some((slice.ports.as_slice(), endpoint, endpoint.addresses.first()?.ip()?))
            })
        };
        self.state.slices_of(service).flat_map(move |slice| of_slice(slice))
    }

    /// The addresses of a name, with the CNAMEs that lead to them.
    pub fn addresses(&self, name: &str) -> Answer {
        self.answer(name, Wanted::Addresses)
    }

    /// The SRV records of a name.
    pub fn services(&self, name: &str) -> Answer {
        self.answer(name, Wanted::Services)
    }

    fn answer(&self, name: &str, wanted: Wanted) -> Answer {
        let mut name = name.trim_end_matches('.').to_lowercase();
        let mut chain: Vec<Record> = Vec::new();
        loop {
            let found = match self.resolve(&name, wanted) {
                Answer::Records(records) => records,
                _ if !chain.is_empty() => return Answer::Records(chain),
                other => return other,
            };
            let next = found.iter().find_map(|record| match &record.data {
                Data::Cname { target } => Some(target.clone()),
                _ => None,
            });
            chain.extend(found);
            match next {
                Some(target) if chain.len() < MOST_CNAMES => name = target,
                _ => return Answer::Records(chain),
            }
        }
    }

    fn resolve(&self, name: &str, wanted: Wanted) -> Answer {
        let inside = name.strip_suffix(&*self.zone.to_lowercase());
        let Some(inside) = inside.filter(|rest| rest.is_empty() || rest.ends_with('.')) else {
            return Answer::Elsewhere;
        };
        let labels: Vec<&str> = inside.split('.').filter(|label| !label.is_empty()).collect();
        match labels.as_slice() {
            [] | ["svc"] => Answer::NoData,
            ["pod"] if self.pod_names != PodNames::Disabled => Answer::NoData,
            [namespace, "svc"] => self.namespace(namespace),
            [namespace, "pod"] if self.pod_names != PodNames::Disabled => self.namespace(namespace),
            [rest @ .., service, namespace, "svc"] if rest.len() <= 2 => {
                self.service(rest, &Key::new(*namespace, *service), name, wanted)
            }
            [address, namespace, "pod"] => self.pod(address, namespace, name, wanted),
            _ => Answer::NxDomain,
        }
    }

    fn namespace(&self, name: &str) -> Answer {
        if self.knows_namespace(name) { Answer::NoData } else { Answer::NxDomain }
    }

    /// A file may hold objects of a namespace without the Namespace itself.
    fn knows_namespace(&self, name: &str) -> bool {
        let text = Text::from(name);
        self.state.namespaces().contains(&Key::cluster(name))
            || self.state.services().in_namespace(&text).next().is_some()
            || self.state.pods().in_namespace(&text).next().is_some()
    }

    /// `rest` is what stands left of the Service's name: nothing, an endpoint, or a port and a protocol.
    fn service(&self, rest: &[&str], key: &Key, name: &str, wanted: Wanted) -> Answer {
        let Some(service) = self.state.services().get(key) else { return Answer::NxDomain };
        let mut records = self.records(service);
        if let ([label], false) = (rest, service.is_headless() || !service.is_proxied()) {
            // CoreDNS answers for endpoints of ClusterIP Services, too.
            let own = |ip: IpAddr| Record { name: name.to_owned(), data: Data::address(ip) };
            let found = self.ready_endpoints(key).filter(|(_, e, ip)| endpoint_label(e, *ip) == *label);
            records.extend(found.map(|(.., ip)| own(ip)));
        }
        records.retain(|record| record.name == name);
        if records.is_empty() {
            // The name of a Service with an address of any family is there, as is a headless one with endpoints.
            return Answer::NxDomain;
        }
        records.retain(|record| match wanted {
            Wanted::Addresses => {
                matches!(record.data, Data::Cname { .. } | Data::A { .. } | Data::Aaaa { .. })
            }
            Wanted::Services => matches!(record.data, Data::Srv { .. }),
        });
        if records.is_empty() { Answer::NoData } else { Answer::Records(records) }
    }

    fn pod(&self, label: &str, namespace: &str, name: &str, wanted: Wanted) -> Answer {
        let Some(ip) = undashed(label).filter(|_| self.pod_names != PodNames::Disabled) else {
            return Answer::NxDomain;
        };
        let text = Text::from(namespace);
        let has = || self.state.pods().in_namespace(&text).any(|pod| pod.ips.contains(&ip));
        if !self.knows_namespace(namespace) || (self.pod_names == PodNames::Verified && !has()) {
            return Answer::NxDomain;
        }
        match wanted {
            Wanted::Addresses => {
                Answer::Records(vec![Record { name: name.to_owned(), data: Data::address(ip) }])
            }
            Wanted::Services => Answer::NoData,
        }
    }
}

/// `_http._tcp.web.shop.svc.cluster.local`.
fn srv_name(port: &str, protocol: Protocol, service: &str) -> String {
    format!("_{}._{}.{service}", port.to_lowercase(), protocol.lower())
}

/// The endpoint's host name, or its address with dashes.
fn endpoint_label(endpoint: &Endpoint, ip: IpAddr) -> String {
    endpoint.hostname.as_deref().map_or_else(|| dashed(ip), str::to_lowercase)
}

fn dashed(ip: IpAddr) -> String {
    ip.to_string().replace(['.', ':'], "-")
}

fn undashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::from);
    v4.or_else(|| label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::from))
}

/// The name in `in-addr.arpa` or `ip6.arpa`.
fn reverse(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            format!("{labels}ip6.arpa")
        }
    }
}
