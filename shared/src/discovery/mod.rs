//! How a Service is found: its DNS records ([`Dns`]), what a pod's resolver makes of a name ([`Resolver`], [`Lookup`]), and
//! the environment variables that the kubelet gives to a container ([`environment`]).
//!
//! In: the objects. Out: what a CoreDNS in kubeadm's configuration and a kubelet of Kubernetes 1.36 would answer (Kubernetes
//! DNS-Based Service Discovery 1.1.0; `pkg/kubelet/envvars`, `pkg/kubelet/network/dns`). Nothing is asked of any network:
//! names outside the cluster's zone are [`Answer::Elsewhere`], not guesses.

mod environment;
mod lookup;
mod records;

pub use environment::{Absence, Environment, Missing, Variable, environment, service_absence, variables_of};
pub use lookup::{Lookup, Nameserver, Query, Resolver};
pub use records::{Answer, Data, Dns, PodNames, Record};
