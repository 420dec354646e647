//! Sources that rules can tell apart: the address space, cut along every network and address that the rules of a
//! destination compare sources with.
//!
//! Networks are nested or apart, so each address is in one cell: that of the smallest network that has it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::model::IpFamily;

/// Addresses that stand for anybody outside: of RFC 5737 and RFC 3849, which no network has.
const SOMEBODY_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 77);
const SOMEBODY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77);

/// The address space of a family, cut into cells. Cell 0 is what no network has.
pub(in crate::whatif) struct Partition {
    /// The networks of the cells; the first is everything. Sorted, so that a network stands before those inside it.
    nets: Vec<IpNet>,
    /// First addresses of the networks.
    starts: Vec<u128>,
    /// The cell around each; of the first, itself.
    outer: Vec<usize>,
}

impl Partition {
    pub fn new(family: IpFamily, nets: impl IntoIterator<Item = IpNet>) -> Partition {
        let everything = match family {
            IpFamily::IPv4 => IpNet::V4(Ipv4Net::default()),
            IpFamily::IPv6 => IpNet::V6(Ipv6Net::default()),
        };
        let ours = nets.into_iter().filter(|net| IpFamily::of(net.addr()) == family).map(|net| net.trunc());
        let mut nets: Vec<IpNet> = ours.filter(|net| net.prefix_len() > 0).collect();
        nets.sort_unstable_by_key(|net| (net.network(), net.prefix_len()));
        nets.dedup();
        nets.insert(0, everything);
        let starts = nets.iter().map(|net| number(net.network())).collect();
        let mut outer: Vec<usize> = Vec::with_capacity(nets.len());
        for cell in 0..nets.len() {
            let mut around = cell.saturating_sub(1);
            while around > 0 && !nets[around].contains(&nets[cell]) {
                around = outer[around];
            }
            outer.push(around);
        }
        Partition { nets, starts, outer }
    }

    pub fn len(&self) -> usize {
        self.nets.len()
    }

    pub fn net(&self, cell: usize) -> IpNet {
        self.nets[cell]
    }

    pub fn is_host(&self, cell: usize) -> bool {
        self.nets[cell].prefix_len() == self.nets[cell].max_prefix_len()
    }

    /// The cell of an address.
    pub fn cell_of(&self, ip: IpAddr) -> usize {
        // The last network that begins before it has it, or else one around that.
        let at = number(ip);
        let mut cell = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        while cell > 0 && !self.nets[cell].contains(&ip) {
            cell = self.outer[cell];
        }
        cell
    }

    /// The cells whose networks are inside this one's, next below it or deeper.
    pub fn inside(&self, cell: usize) -> impl Iterator<Item = usize> {
        let net = self.nets[cell];
        (cell + 1..self.nets.len()).take_while(move |inner| net.contains(&self.nets[*inner]))
    }

    /// The cell around this one.
    pub fn around(&self, cell: usize) -> Option<usize> {
        (cell > 0).then(|| self.outer[cell])
    }

    /// An address of the cell within `within` that is not `taken`: of an address that is, it tells up to which one all are, of
    /// those up to its second argument.
    pub fn example(
        &self,
        cell: usize,
        within: IpNet,
        taken: &dyn Fn(IpAddr, IpAddr) -> Option<IpAddr>,
    ) -> Option<IpAddr> {
        let net = self.nets[cell];
        let region = match (within.contains(&net), net.contains(&within)) {
            (true, _) => net,
            (_, true) => within,
            _ => return None,
        };
        let blocked = |ip: IpAddr| {
            let inner = self.inside(cell).map(|inner| self.nets[inner]).find(|net| net.contains(&ip));
            inner.map(|net| net.broadcast()).or_else(|| taken(ip, region.broadcast()))
        };
        let somebody = match net {
            IpNet::V4(_) => IpAddr::V4(SOMEBODY_V4),
            IpNet::V6(_) => IpAddr::V6(SOMEBODY_V6),
        };
        if region.prefix_len() == 0 && blocked(somebody).is_none() {
            return Some(somebody);
        }
        let (first, last) = (number(region.network()), number(region.broadcast()));
        // The first addresses of a network are often a gateway's.
        let starts = [first.saturating_add(2).min(last), first];
        starts.into_iter().find_map(|start| {
            let mut at = start;
            while at <= last {
                let ip = address(at, region);
                match blocked(ip) {
                    None => return Some(ip),
                    Some(until) => at = number(until).checked_add(1)?,
                }
            }
            None
        })
    }

    /// A set of cells as networks, `(nets, except)`: the smallest of them that has an address decides. `all` are the cells
    /// that hold any source.
    pub fn describe(&self, cells: &[usize], all: &[usize]) -> (Vec<IpNet>, Vec<IpNet>) {
        let is_in = |cell: usize| cells.contains(&cell);
        // A cell without sources is as the one around it.
        let mut colours: Vec<bool> = Vec::with_capacity(self.nets.len());
        for cell in 0..self.nets.len() {
            let around = self.around(cell).map(|outer| colours[outer]);
            colours.push(if all.contains(&cell) { is_in(cell) } else { around.unwrap_or(false) });
        }
        if !all.contains(&0) {
            // Nobody is there: it goes with the majority, so that fewer networks are named.
            colours[0] = cells.len() * 2 > all.len();
            for cell in 1..self.nets.len() {
                if !all.contains(&cell) {
                    colours[cell] = self.around(cell).is_some_and(|outer| colours[outer]);
                }
            }
        }
        let (mut nets, mut except) = (Vec::new(), Vec::new());
        for cell in 1..self.nets.len() {
            let around = self.around(cell).is_some_and(|outer| colours[outer]);
            match (colours[cell], around) {
                (true, false) => nets.push(self.nets[cell]),
                (false, true) => except.push(self.nets[cell]),
                _ => {}
            }
        }
        if colours[0] && !nets.is_empty() {
            nets.insert(0, self.nets[0]);
        }
        (nets, except)
    }
}

/// An address as a number.
pub(in crate::whatif) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// The number as an address of the network's family.
pub(in crate::whatif) fn address(number: u128, like: IpNet) -> IpAddr {
    match like {
        IpNet::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpNet::V6(_) => Ipv6Addr::from(number).into(),
    }
}
