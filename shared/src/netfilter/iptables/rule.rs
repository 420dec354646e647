//! Reads one rule from its words: matches, then the target.
//!
//! A rule falls into blocks: `-m NAME` with its options, or a flag of iptables itself with its argument. A block is
//! understood as a whole or kept as a whole.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::parse::Reason;
use super::words::{Words, unquoted};
use super::{Addresses, ChainName, CtStates, Match, Recent, Rule, Sense, Side, Target};
use crate::model::Protocol;

/// No match that we understand has more words.
const MAX_WORDS: usize = 12;

/// Targets that are programs of the kernel and may stand without options: not chains to jump to.
const EXTENSIONS: [&str; 19] = [
    "AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CT", "DNAT", "DSCP", "LOG", "MARK", "NETMAP", "NFLOG",
    "NFQUEUE", "NOTRACK", "QUEUE", "REDIRECT", "SET", "SNAT", "TRACE", "ULOG",
];

pub(super) fn rule(mut words: Words<'_>) -> Result<Rule, Reason> {
    let mut build = Build::default();
    let mut target = None;
    while let Some(first) = words.next() {
        let (sense, flag) = match first.raw {
            "!" => (Sense::Not, words.next().map_or("", |word| word.raw)),
            flag => (Sense::Is, flag),
        };
        match flag {
            "-j" if sense == Sense::Is => target = Some(jump(&mut words, first.start)),
            "-m" if sense == Sense::Is => build.module(&mut words, first.start),
            "-s" | "-d" | "-i" | "-o" | "-p" => build.flag(sense, flag, &mut words, first.start),
            _ => build.option(sense, flag, &mut words, first.start),
        }
    }
    if words.broken { Err(Reason::Quote) } else { Ok(Rule { matches: build.matches, target }) }
}

#[derive(Default)]
struct Build {
    matches: Vec<Match>,
}

impl Build {
    /// `-m NAME [!] --option …`
    fn module(&mut self, words: &mut Words<'_>, start: usize) {
        let name = words.next().map_or("", |word| word.raw);
        if let Some(protocol) = protocol(name) {
            return self.matches.push(protocol_module(protocol, words));
        }
        let (before, args) = (*words, Args::take(words));
        if let Some(known) = args.complete().and_then(|list| module(name, list)) {
            return self.matches.push(known);
        }
        // Perhaps options of the protocol follow, as kube-proxy writes them: what is understood comes first.
        let shorter =
            (1..args.count).rev().find_map(|count| Some((count, module(name, &args.words[..count])?)));
        if let Some((count, known)) = shorter {
            *words = before;
            for _ in 0..count {
                words.next();
            }
            return self.matches.push(known);
        }
        self.matches.push(Match::Unknown(words.since(start).into()));
    }

    /// A flag of iptables itself with its one argument.
    fn flag(&mut self, sense: Sense, flag: &str, words: &mut Words<'_>, start: usize) {
        let value = words.next().map_or("", |word| word.raw);
        let known = match (flag, sense) {
            ("-s", _) => addresses(value).map(|found| Match::Source(sense, found)),
            ("-d", _) => addresses(value).map(|found| Match::Destination(sense, found)),
            ("-i", _) => plain(value).map(|name| Match::InInterface(sense, name)),
            ("-o", _) => plain(value).map(|name| Match::OutInterface(sense, name)),
            ("-p", Sense::Is) => protocol(value).map(|protocol| Match::Protocol { protocol, module: false }),
            _ => None,
        };
        self.matches.push(known.unwrap_or_else(|| Match::Unknown(words.since(start).into())));
    }

    /// An option of a protocol's module, or whatever else there is.
    fn option(&mut self, sense: Sense, flag: &str, words: &mut Words<'_>, start: usize) {
        let port = || words.peek().and_then(|word| word.raw.parse().ok());
        if let (Sense::Is, "--dport", Some(port)) = (sense, flag, port()) {
            words.next();
            return self.matches.push(Match::DestinationPort(port));
        }
        while words.peek().is_some_and(|word| !word.raw.starts_with("--") && !ends(words)) {
            words.next();
        }
        self.matches.push(Match::Unknown(words.since(start).into()));
    }
}

/// In lower case, as rules write it.
fn protocol(word: &str) -> Option<Protocol> {
    word.parse().ok().filter(|found: &Protocol| found.lower() == word)
}

/// kube-proxy writes `-m P -p P`, the kernel `-p P … -m P`.
fn protocol_module(protocol: Protocol, words: &mut Words<'_>) -> Match {
    let mut ahead = *words;
    let flag = ahead.next().map(|word| word.raw);
    let name = ahead.next().map(|word| word.raw);
    if (flag, name) == (Some("-p"), Some(protocol.lower())) {
        *words = ahead;
        return Match::Protocol { protocol, module: true };
    }
    Match::ProtocolModule(protocol)
}

/// The words that belong to a module.
struct Args<'a> {
    words: [&'a str; MAX_WORDS],
    count: usize,
    /// There were not more.
    whole: bool,
}

impl<'a> Args<'a> {
    fn take(words: &mut Words<'a>) -> Args<'a> {
        let mut args = Args { words: [""; MAX_WORDS], count: 0, whole: true };
        // A comment may be any word, even `-j`.
        while args.last() == "--comment" || !ends(words) {
            let Some(word) = words.next() else { break };
            if args.count < MAX_WORDS {
                args.words[args.count] = word.raw;
                args.count += 1;
            } else {
                args.whole = false;
            }
        }
        args
    }

    fn all(mut words: Words<'a>) -> Args<'a> {
        let mut args = Args { words: [""; MAX_WORDS], count: 0, whole: true };
        while let Some(word) = words.next() {
            if args.count == MAX_WORDS {
                args.whole = false;
                break;
            }
            args.words[args.count] = word.raw;
            args.count += 1;
        }
        args
    }

    fn last(&self) -> &'a str {
        self.words[..self.count].last().copied().unwrap_or_default()
    }

    fn complete(&self) -> Option<&[&'a str]> {
        self.whole.then_some(&self.words[..self.count])
    }
}

/// Whether the next word begins another block, or nothing is left.
fn ends(words: &Words<'_>) -> bool {
    let flag = |raw: &str| matches!(raw, "-s" | "-d" | "-i" | "-o" | "-p" | "-f");
    let mut ahead = *words;
    match ahead.next().map(|word| word.raw) {
        None | Some("-m" | "-j" | "-g") => true,
        Some("!") => ahead.next().is_some_and(|word| flag(word.raw)),
        Some(raw) => flag(raw),
    }
}

/// A module with all its options.
fn module(name: &str, args: &[&str]) -> Option<Match> {
    let (sense, args) = match args {
        ["!", rest @ ..] => (Sense::Not, rest),
        rest => (Sense::Is, rest),
    };
    match (name, sense, args) {
        ("comment", Sense::Is, ["--comment", text]) => Some(Match::Comment(unquoted(text).into())),
        ("conntrack", _, ["--ctstate", states]) => Some(Match::CtState(sense, ct_states(states)?)),
        ("state", Sense::Is, ["--state", states]) => ct_states(states).map(Match::State),
        ("mark", _, ["--mark", text]) => {
            let (value, mask) = masked(text)?;
            Some(Match::Mark { sense, value, mask })
        }
        ("addrtype", _, ["--src-type", "LOCAL"]) => Some(Match::Local(sense, Side::Source)),
        ("addrtype", _, ["--dst-type", "LOCAL"]) => Some(Match::Local(sense, Side::Destination)),
        ("statistic", Sense::Is, ["--mode", "random", "--probability", text]) => one_in(text),
        ("recent", Sense::Is, args) => recent(args),
        ("set", Sense::Is, ["--match-set", set, directions]) => {
            Some(Match::InSet { set: plain(set)?, directions: known_directions(directions)? })
        }
        ("physdev", _, ["--physdev-is-in"]) => Some(Match::PhysdevIsIn(sense)),
        ("ipvs", Sense::Is, ["--vaddr", address, "--vproto", protocol, "--vport", port]) => {
            ipvs(address, protocol, port)
        }
        ("nfacct", Sense::Is, ["--nfacct-name", name]) => plain(name).map(Match::Nfacct),
        _ => None,
    }
}

/// From `-j` to the end of the rule.
fn jump(words: &mut Words<'_>, start: usize) -> Target {
    let args = Args::all(words.rest());
    args.complete().and_then(target).unwrap_or_else(|| Target::Unknown(words.since(start).into()))
}

fn target(args: &[&str]) -> Option<Target> {
    match args {
        ["ACCEPT"] => Some(Target::Accept),
        ["DROP"] => Some(Target::Drop),
        ["RETURN"] => Some(Target::Return),
        ["REJECT"] => Some(Target::Reject),
        ["REJECT", "--reject-with", "icmp-port-unreachable" | "icmp6-port-unreachable"] => {
            Some(Target::Reject)
        }
        ["MASQUERADE"] => Some(Target::Masquerade { random_fully: false }),
        ["MASQUERADE", "--random-fully"] => Some(Target::Masquerade { random_fully: true }),
        ["DNAT", "--to-destination", to] => socket(to).map(Target::Dnat),
        ["REDIRECT", "--to-ports", port] => port.parse().ok().map(Target::Redirect),
        ["MARK", "--or-mark", mark] => number(mark).map(Target::MarkOr),
        ["MARK", "--xor-mark", mark] => number(mark).map(Target::MarkXor),
        ["MARK", "--set-xmark", text] => match masked(text)? {
            (value, 0) => Some(Target::MarkXor(value)),
            (value, mask) if value == mask => Some(Target::MarkOr(value)),
            _ => None,
        },
        [name] if !EXTENSIONS.contains(name) => ChainName::new(name).map(Target::Jump),
        _ => None,
    }
}

fn recent(args: &[&str]) -> Option<Match> {
    let (mut name, mut action, mut seconds, mut reap) = (None, None, None, false);
    let mut rest = args;
    loop {
        rest = match rest {
            [] => break,
            ["--name", text, rest @ ..] => {
                name = Some(ChainName::new(text)?);
                rest
            }
            ["--mask", "255.255.255.255" | "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", rest @ ..]
            | ["--rsource", rest @ ..] => rest,
            ["--reap", rest @ ..] => {
                reap = true;
                rest
            }
            ["--seconds", text, rest @ ..] => {
                seconds = Some(text.parse().ok()?);
                rest
            }
            ["--set", rest @ ..] if action.is_none() => {
                action = Some(true);
                rest
            }
            ["--rcheck", rest @ ..] if action.is_none() => {
                action = Some(false);
                rest
            }
            _ => return None,
        };
    }
    let action = match (action?, seconds, reap) {
        (true, None, false) => Recent::Set,
        (false, Some(seconds), true) => Recent::Check { seconds },
        _ => return None,
    };
    Some(Match::Recent { name: name?, action })
}

/// The kernel keeps a probability in steps of 2⁻³¹; the nearest 1/n within such a step is meant.
fn one_in(text: &str) -> Option<Match> {
    const STEP: f64 = 1.0 / (1u64 << 31) as f64;
    let probability: f64 = text.parse().ok()?;
    let n = (1.0 / probability).round();
    let fits = (1.0..=f64::from(u32::MAX)).contains(&n) && (probability - 1.0 / n).abs() <= STEP;
    if fits { NonZeroU32::new(n as u32).map(Match::OneIn) } else { None }
}

fn ipvs(address: &str, protocol: &str, port: &str) -> Option<Match> {
    let address = match addresses(address)? {
        Addresses::Host(ip) => ip,
        Addresses::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr(),
        Addresses::Net(_) => return None,
    };
    let protocol = match protocol {
        "6" => Protocol::Tcp,
        "17" => Protocol::Udp,
        "132" => Protocol::Sctp,
        name => name.parse().ok()?,
    };
    Some(Match::Ipvs { address, protocol, port: port.parse().ok()? })
}

fn addresses(text: &str) -> Option<Addresses> {
    if text.contains('/') {
        text.parse::<IpNet>().ok().map(|net| Addresses::Net(net.trunc()))
    } else {
        text.parse::<IpAddr>().ok().map(Addresses::Host)
    }
}

fn socket(text: &str) -> Option<SocketAddr> {
    // A zone cannot be written in a rule.
    text.parse().ok().filter(|_| !text.contains('%'))
}

fn ct_states(text: &str) -> Option<CtStates> {
    let known =
        |name: &str| CtStates::NAMES.iter().find(|(_, known)| *known == name).map(|(state, _)| *state);
    text.split(',').map(known).reduce(|all, next| Some(all?.or(next?))).flatten()
}

/// `V` or `V/M`.
fn masked(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A word that means itself.
fn plain(raw: &str) -> Option<Box<str>> {
    (!raw.is_empty() && !raw.contains(['"', '\\'])).then(|| raw.into())
}

fn known_directions(text: &str) -> Option<&'static str> {
    const KNOWN: [&str; 14] = [
        "dst",
        "src",
        "dst,dst",
        "dst,src",
        "src,dst",
        "src,src",
        "dst,dst,dst",
        "dst,dst,src",
        "dst,src,dst",
        "dst,src,src",
        "src,dst,dst",
        "src,dst,src",
        "src,src,dst",
        "src,src,src",
    ];
    KNOWN.into_iter().find(|known| *known == text)
}
