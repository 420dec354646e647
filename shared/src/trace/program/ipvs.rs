//! ipsets and virtual servers, ready to be asked.

use std::collections::BTreeMap;

use super::{IpsetCode, Program, ServerCode};
use crate::netfilter::ipvs::{Entry, Ipset, VirtualAddress, VirtualServer};

/// `IP_VS_SVC_F_PERSISTENT`
const PERSISTENT: u32 = 0x1;

impl Program {
    pub(super) fn add_sets(&mut self, sets: &[Ipset]) {
        for set in sets {
            let mut code = IpsetCode { kind: Some(set.set_type), ..IpsetCode::default() };
            for entry in &set.entries {
                if let Entry::IpPortNet(ip, protocol, port, net) = *entry {
                    code.nets.entry((ip, protocol, port)).or_default().push(net);
                }
                code.entries.insert(*entry);
            }
            self.ipsets.push(code);
        }
    }

    pub(super) fn add_servers(&mut self, servers: BTreeMap<VirtualAddress, VirtualServer>) {
        for (address, server) in servers {
            let number = match self.schedulers.iter().position(|known| *known == server.scheduler) {
                Some(number) => number,
                None => {
                    self.schedulers.push(server.scheduler.clone());
                    self.schedulers.len() - 1
                }
            };
            // Round robin takes every server in turn, but for those of weight 0.
            let by_weight = &*server.scheduler != "rr";
            let real = server.real_servers.into_iter().filter(|(_, weight)| *weight > 0);
            let real: Vec<_> =
                real.map(|(address, weight)| (address, if by_weight { weight } else { 1 })).collect();
            let code = ServerCode {
                total: real.iter().map(|(_, weight)| u64::from(*weight)).sum(),
                real,
                scheduler: number as u16,
                affinity: (server.flags & PERSISTENT != 0).then_some(server.timeout),
            };
            self.servers.insert(address, code);
        }
    }
}
