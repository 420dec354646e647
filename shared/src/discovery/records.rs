//! DNS records of Services, endpoints and pods, and the answer to one name, as the Kubernetes DNS specification and CoreDNS'
//! `kubernetes` plugin have them. Names are lower case, absolute, without the last dot.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

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

    /// Every address of the ready endpoints, in the order of their slices. (kube-proxy uses only the first of an endpoint.)
    fn ready_endpoints<'s>(
        &'s self,
        service: &Key,
    ) -> impl Iterator<Item = (&'s [EndpointPort], &'s Endpoint, IpAddr)> {
        let of_slice = |slice: &'s EndpointSlice| {
            let ready = slice.endpoints.iter().filter(|endpoint| Conditions::is_ready(endpoint.conditions));
            ready.flat_map(move |endpoint| {
                let ips = endpoint.addresses.iter().filter_map(|address| address.ip());
                ips.map(move |ip| (slice.ports.as_slice(), endpoint, ip))
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

    /// The names of an address, by its name in `in-addr.arpa` or `ip6.arpa`: of the Service whose cluster IP it is, or else of every
    /// ready endpoint that has it, of whatever Service (CoreDNS, `plugin/kubernetes/reverse.go`). kubeadm's CoreDNS asks its upstream
    /// about all other addresses.
    pub fn names(&self, ip: IpAddr) -> Answer {
        let record = |target| Record { name: reverse(ip), data: Data::Ptr { target } };
        let has = |service: &&std::sync::Arc<Service>| {
            service.service_type != ServiceType::ExternalName && service.cluster_ip.ips().contains(&ip)
        };
        if let Some(service) = self.state.services().values().find(has) {
            return Answer::Records(vec![record(self.service_name(service.key()))]);
        }
        let slices = self.state.slices().values().filter(|slice| {
            slice.endpoints.iter().any(|endpoint| endpoint.addresses.iter().any(|one| one.ip() == Some(ip)))
        });
        let owners: std::collections::BTreeSet<Key> = slices.filter_map(|slice| slice.service()).collect();
        let mut records = Vec::new();
        for service in &owners {
            let here = self.ready_endpoints(service).filter(|(.., address)| *address == ip);
            let name = |endpoint| format!("{}.{}", endpoint_label(endpoint, ip), self.service_name(service));
            records.extend(here.map(|(_, endpoint, _)| record(name(endpoint))));
        }
        records.sort();
        records.dedup();
        if records.is_empty() { Answer::Elsewhere } else { Answer::Records(records) }
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
        let inside = inside.strip_suffix('.').unwrap_or(inside);
        let labels: Vec<&str> = if inside.is_empty() { Vec::new() } else { inside.split('.').collect() };
        if labels.contains(&"") {
            return Answer::NxDomain;
        }
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

    /// `rest` is what stands left of the Service's name: nothing, an endpoint, or a port and a protocol. CoreDNS looks for
    /// what has such an endpoint or port, and makes records of the kind asked for of all that it finds.
    fn service(&self, rest: &[&str], key: &Key, name: &str, wanted: Wanted) -> Answer {
        let Some(service) = self.state.services().get(key) else { return Answer::NxDomain };
        if service.service_type == ServiceType::ExternalName {
            return match self.external_name(service) {
                Some(_) if rest.len() == 1 => Answer::NxDomain,
                Some(_) if wanted == Wanted::Services => Answer::NoData,
                Some(Record { data, .. }) => Answer::Records(vec![Record { name: name.to_owned(), data }]),
                None => Answer::NxDomain,
            };
        }
        let targets = self.targets(rest, service);
        let data = |target: &Target| match wanted {
            Wanted::Addresses => Some(Data::address(target.ip)),
            Wanted::Services => Some(Data::Srv { port: target.port?, target: target.host.clone() }),
        };
        let data = targets.iter().filter_map(data);
        let mut records: Vec<Record> = data.map(|data| Record { name: name.to_owned(), data }).collect();
        records.sort();
        records.dedup();
        match (targets.is_empty(), records.is_empty()) {
            (true, _) => Answer::NxDomain,
            (false, true) => Answer::NoData,
            (false, false) => Answer::Records(records),
        }
    }

    /// What a Service, its ports or its endpoints lead to.
    fn targets(&self, rest: &[&str], service: &Service) -> Vec<Target> {
        let fits = |name: &str, protocol: Protocol| match rest {
            [port, wanted] => {
                without_underscore(port).eq_ignore_ascii_case(name)
                    && without_underscore(wanted).eq_ignore_ascii_case(protocol.lower())
            }
            _ => true,
        };
        let own = self.service_name(service.key());
        if !service.is_headless() && rest.len() != 1 {
            let ports = service.ports.iter().filter(|port| fits(&port.name, port.protocol));
            let target = |port: u16, ip: &IpAddr| Target { ip: *ip, port: Some(port), host: own.clone() };
            let ips = service.cluster_ip.ips();
            return ports.flat_map(|port| ips.iter().map(|ip| target(port.port.get(), ip))).collect();
        }
        let mut targets = Vec::new();
        for (ports, endpoint, ip) in self.ready_endpoints(service.key()) {
            let label = endpoint_label(endpoint, ip);
            if matches!(rest, [wanted] if *wanted != label) {
                continue;
            }
            let target = |port| Target { ip, port, host: format!("{label}.{own}") };
            if ports.is_empty() && rest.len() < 2 {
                targets.push(target(None));
            }
            let ports = ports.iter().filter(|port| fits(&port.name, port.protocol));
            targets.extend(ports.map(|port| target(port.port.map(NonZeroU16::get))));
        }
        targets
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

/// One address and port that a name leads to.
#[derive(Debug)]
struct Target {
    ip: IpAddr,
    /// `None`: an endpoint without ports.
    port: Option<u16>,
    /// The name that SRV records point to.
    host: String,
}

fn without_underscore(label: &str) -> &str {
    label.strip_prefix('_').unwrap_or(label)
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
pub(super) fn reverse(ip: IpAddr) -> String {
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
