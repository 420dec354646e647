//! Prints tables and rules as kube-proxy writes them for `iptables-restore`.
//!
//! Invariant: one rule is one line, whatever its texts hold.

use std::net::IpAddr;
use std::num::NonZeroU32;

use super::{Addresses, Chain, ChainName, Match, Recent, Rule, Sense, Side, Table, Target};

impl Table {
    /// `iptables-restore --noflush` input: chain lines, which empty the chains, then the rules.
    pub fn write(&self, out: &mut String) {
        self.write_open("", out);
        out.push_str("COMMIT\n");
    }

    /// [`Table::write`], still open at its end, with the declarations of chains whose rules are to follow.
    pub(crate) fn write_open(&self, declarations: &str, out: &mut String) {
        push(out, &["*", self.name.as_str(), "\n"]);
        self.chains.iter().for_each(|chain| chain.declare(out));
        out.push_str(declarations);
        self.chains.iter().for_each(|chain| chain.write(out));
    }
}

impl Chain {
    pub(crate) fn declare(&self, out: &mut String) {
        push(out, &[":", self.name.as_str(), " - [0:0]\n"]);
    }

    /// The lines of the rules.
    pub(crate) fn write(&self, out: &mut String) {
        self.rules.iter().for_each(|rule| rule.write(&self.name, out));
    }
}

impl Rule {
    /// One line, with its line end.
    pub fn write(&self, chain: &ChainName, out: &mut String) {
        out.push_str("-A ");
        out.push_str(chain.as_str());
        for each in &self.matches {
            out.push(' ');
            each.write(out);
        }
        match &self.target {
            None => {}
            Some(Target::Unknown(text)) => push(out, &[" ", text]),
            Some(target) => {
                out.push_str(" -j ");
                target.write(out);
            }
        }
        out.push('\n');
    }
}

impl Match {
    fn write(&self, out: &mut String) {
        match self {
            Match::Comment(comment) => write_comment(comment, out),
            Match::Protocol { protocol, module } => {
                if *module {
                    push(out, &["-m ", protocol.lower(), " "]);
                }
                push(out, &["-p ", protocol.lower()]);
            }
            Match::ProtocolModule(protocol) => push(out, &["-m ", protocol.lower()]),
            Match::Source(sense, addresses) => write_addresses(*sense, "-s ", addresses, out),
            Match::Destination(sense, addresses) => write_addresses(*sense, "-d ", addresses, out),
            Match::DestinationPort(port) => {
                out.push_str("--dport ");
                write_number(u32::from(*port), out);
            }
            Match::InInterface(sense, name) => push(out, &[not(*sense), "-i ", name]),
            Match::OutInterface(sense, name) => push(out, &[not(*sense), "-o ", name]),
            Match::CtState(sense, states) => {
                push(out, &["-m conntrack ", not(*sense), "--ctstate ", &states.to_string()]);
            }
            Match::State(states) => push(out, &["-m state --state ", &states.to_string()]),
            Match::Mark { sense, value, mask } => {
                push(out, &["-m mark ", not(*sense), "--mark ", &format!("{value:#010x}/{mask:#010x}")]);
            }
            Match::Local(sense, Side::Source) => {
                push(out, &["-m addrtype ", not(*sense), "--src-type LOCAL"])
            }
            Match::Local(sense, Side::Destination) => {
                push(out, &["-m addrtype ", not(*sense), "--dst-type LOCAL"])
            }
            Match::OneIn(n) => {
                out.push_str("-m statistic --mode random --probability ");
                write_probability(*n, out);
            }
            Match::Recent { name, action } => {
                push(out, &["-m recent --name ", name.as_str()]);
                match action {
                    Recent::Check { seconds } => {
                        out.push_str(" --rcheck --seconds ");
                        write_number(*seconds, out);
                        out.push_str(" --reap");
                    }
                    Recent::Set => out.push_str(" --set"),
                }
            }
            Match::InSet { set, directions } => push(out, &["-m set --match-set ", set, " ", directions]),
            Match::PhysdevIsIn(sense) => push(out, &["-m physdev ", not(*sense), "--physdev-is-in"]),
            Match::Ipvs { address, protocol, port } => {
                let text = format!("-m ipvs --vaddr {address} --vproto {} --vport {port}", protocol.lower());
                out.push_str(&text);
            }
            Match::Nfacct(name) => push(out, &["-m nfacct --nfacct-name ", name]),
            Match::Unknown(text) => out.push_str(text),
        }
    }
}

impl Target {
    fn write(&self, out: &mut String) {
        match self {
            Target::Jump(chain) => out.push_str(chain.as_str()),
            Target::Accept => out.push_str("ACCEPT"),
            Target::Drop => out.push_str("DROP"),
            Target::Reject => out.push_str("REJECT"),
            Target::Return => out.push_str("RETURN"),
            Target::MarkOr(mark) => out.push_str(&format!("MARK --or-mark {mark:#010x}")),
            Target::MarkXor(mark) => out.push_str(&format!("MARK --xor-mark {mark:#010x}")),
            Target::Masquerade { random_fully: false } => out.push_str("MASQUERADE"),
            Target::Masquerade { random_fully: true } => out.push_str("MASQUERADE --random-fully"),
            Target::Dnat(to) => {
                out.push_str("DNAT --to-destination ");
                write_socket(to.ip(), to.port(), out);
            }
            Target::Redirect(port) => {
                out.push_str("REDIRECT --to-ports ");
                write_number(u32::from(*port), out);
            }
            Target::Unknown(text) => out.push_str(text),
        }
    }
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

fn not(sense: Sense) -> &'static str {
    match sense {
        Sense::Is => "",
        Sense::Not => "! ",
    }
}

/// Quoted only if it must be. A line end would begin another rule: it becomes a blank.
fn write_comment(comment: &str, out: &mut String) {
    out.push_str("-m comment --comment ");
    let special = |byte: u8| byte <= b' ' || matches!(byte, b'"' | b'\\');
    if !comment.is_empty() && !comment.bytes().any(special) {
        return out.push_str(comment);
    }
    out.push('"');
    for letter in comment.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(if letter == '\n' { ' ' } else { letter });
    }
    out.push('"');
}

fn write_addresses(sense: Sense, flag: &str, addresses: &Addresses, out: &mut String) {
    push(out, &[not(sense), flag]);
    match addresses {
        Addresses::Host(ip) => write_ip(*ip, out),
        Addresses::Net(net) => {
            write_ip(net.network(), out);
            out.push('/');
            write_number(u32::from(net.prefix_len()), out);
        }
    }
}

/// 1/n with exactly ten decimals, as kube-proxy prints it.
fn write_probability(n: NonZeroU32, out: &mut String) {
    const ONE: u64 = 10_000_000_000;
    // Up to here whole numbers round as kube-proxy's floating point does: 1/n is never half way between two results.
    if n.get() > 1024 || n.get() == 1 {
        return out.push_str(&format!("{:.10}", 1.0 / f64::from(n.get())));
    }
    let mut digits = *b"0.0000000000";
    let mut rest = (2 * ONE / u64::from(n.get())).div_ceil(2);
    for digit in digits[2..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// `IP:PORT`, IPv6 in brackets.
pub(crate) fn write_socket(ip: IpAddr, port: u16, out: &mut String) {
    if ip.is_ipv6() {
        out.push('[');
    }
    write_ip(ip, out);
    out.push_str(if ip.is_ipv6() { "]:" } else { ":" });
    write_number(u32::from(port), out);
}

/// Faster than `Display` for the addresses that rules are full of.
pub(crate) fn write_ip(ip: IpAddr, out: &mut String) {
    match ip {
        IpAddr::V4(v4) => {
            let (mut text, mut len) = ([0u8; 15], 0);
            for (nth, octet) in v4.octets().into_iter().enumerate() {
                if nth > 0 {
                    text[len] = b'.';
                    len += 1;
                }
                let digits = [octet / 100, octet / 10 % 10, octet % 10];
                let leading = usize::from(octet < 100) + usize::from(octet < 10);
                for digit in &digits[leading..] {
                    text[len] = b'0' + digit;
                    len += 1;
                }
            }
            out.push_str(std::str::from_utf8(&text[..len]).unwrap_or_default());
        }
        IpAddr::V6(v6) => out.push_str(&v6.to_string()),
    }
}

pub(crate) fn write_number(number: u32, out: &mut String) {
    let (mut digits, mut start, mut rest) = ([0u8; 10], 10, number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    // Only ASCII digits.
    out.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_floating_point() {
        for n in (1..3000).filter_map(NonZeroU32::new) {
            let mut text = String::new();
            write_probability(n, &mut text);
            assert_eq!(text, format!("{:.10}", 1.0 / f64::from(n.get())));
        }
    }

    #[test]
    fn addresses_print_as_they_are() {
        for ip in ["0.0.0.0", "1.20.255.9", "10.100.0.101", "255.255.255.255", "fd00::1"] {
            let mut text = String::new();
            write_ip(ip.parse().unwrap(), &mut text);
            assert_eq!(text, ip);
        }
    }
}
