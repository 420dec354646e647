//! Reads rules, statements and elements from nft's tokens.
//!
//! Invariant: a statement is understood as a whole or kept word for word; so is what stands after an unknown one.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::tokens::{Kind, Tokens};
use super::{Addresses, Element, ElementState, Field, Key, KeyType, Loaded, Rule, Set, Statement, Verdict};
use crate::model::{IpFamily, Protocol, Text};
use crate::netfilter::iptables::{Counter, Sense, Side};

/// To the end of the line or declaration. `None` if braces or quotes do not close.
pub(super) fn rule(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<Rule> {
    let mut rule = Rule { statements: Vec::with_capacity(2), comment: None };
    while !tokens.at_end() {
        if let Some(comment) = comment_at_end(tokens) {
            rule.comment = Some(comment.into());
            break;
        }
        let start = *tokens;
        let statement = match statement(tokens, family) {
            Some(known) => known,
            None => {
                *tokens = start;
                Statement::Unknown(unknown(tokens)?.into())
            }
        };
        rule.statements.push(statement);
    }
    if tokens.peek().is_none() && !tokens.is_done() { None } else { Some(rule) }
}

fn comment_at_end<'a>(tokens: &mut Tokens<'a>) -> Option<&'a str> {
    let mut ahead = *tokens;
    ahead.eat("comment")?;
    let text = ahead.take(Kind::Quoted)?;
    ahead.at_end().then(|| *tokens = ahead)?;
    Some(text)
}

/// A counter by itself; else everything up to the rule's comment or end.
fn unknown<'a>(tokens: &mut Tokens<'a>) -> Option<&'a str> {
    let start = *tokens;
    if counter(tokens).is_some() {
        return Some(tokens.since(start));
    }
    *tokens = start;
    let mut depth = 0usize;
    loop {
        let mut ahead = *tokens;
        let token = ahead.next();
        if depth == 0 && (tokens.at_end() || comment_at_end(&mut tokens.clone()).is_some()) {
            return Some(tokens.since(start));
        }
        match token?.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            _ => {}
        }
        *tokens = ahead;
    }
}

fn statement(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<Statement> {
    let start = *tokens;
    let known = match tokens.word_text()? {
        "ct" => connection(tokens)?,
        "fib" => {
            let side = match tokens.word_text()? {
                "saddr" => Side::Source,
                "daddr" => Side::Destination,
                _ => return None,
            };
            tokens.eat_all(&["type", "local"])?;
            Statement::Local(side)
        }
        "iifname" => {
            let sense = sense(tokens);
            let name = tokens.take(Kind::Quoted).or_else(|| tokens.word_text())?;
            Statement::InInterface(sense, name.into())
        }
        "mark" => mark(tokens)?,
        "meta" if tokens.eat("mark").is_some() => mark(tokens)?,
        "masquerade" => tokens.eat("fully-random").map(|()| Statement::Masquerade)?,
        "reject" => reject(tokens)?,
        "dnat" => dnat(tokens)?,
        "numgen" => Statement::GotoOneOf(one_of(tokens, "vmap", |tokens| {
            tokens.eat("goto")?;
            Some(tokens.word_text()?.into())
        })?),
        "update" => remember(tokens, family)?,
        "accept" | "drop" | "return" | "jump" | "goto" => {
            *tokens = start;
            Statement::Verdict(verdict(tokens)?)
        }
        "ip" | "ip6" | "meta" | "th" => {
            *tokens = start;
            comparison(tokens, family)?
        }
        _ => return None,
    };
    // A list of values, or a calculation, would go on here.
    let more = tokens.peek().is_some_and(|next| match next.kind {
        Kind::Comma | Kind::Open => true,
        Kind::Word => matches!(next.text, "." | "&" | "|" | "^" | ":" | "and" | "or" | "xor" | "/"),
        _ => false,
    });
    (!more).then_some(known)
}

fn connection(tokens: &mut Tokens<'_>) -> Option<Statement> {
    let state = tokens.eat_all(&["state", "new"]).map(|()| Statement::CtStateNew);
    state.or_else(|| tokens.eat_all(&["status", "dnat"]).map(|()| Statement::CtStatusDnat))
}

/// `!=`, if it is there.
fn sense(tokens: &mut Tokens<'_>) -> Sense {
    if tokens.eat("!=").is_some() { Sense::Not } else { Sense::Is }
}

/// After `mark` or `meta mark`: a test, or a change. The kernel prints a test of the highest bits as a prefix length.
fn mark(tokens: &mut Tokens<'_>) -> Option<Statement> {
    if tokens.eat("set").is_some() {
        tokens.eat("meta");
        tokens.eat("mark")?;
        let operator = tokens.word_text()?;
        let value = number(tokens.word_text()?)?;
        return match operator {
            "xor" | "^" => Some(Statement::MarkXor(value)),
            "or" | "|" => Some(Statement::MarkOr(value)),
            _ => None,
        };
    }
    if tokens.eat("!=").is_some() {
        let (value, length) = tokens.word_text()?.split_once('/')?;
        let length: u32 = length.parse().ok().filter(|length| (1..=32).contains(length))?;
        return (number(value)? == 0).then_some(Statement::Marked(u32::MAX << (32 - length)));
    }
    tokens.eat("and").or_else(|| tokens.eat("&"))?;
    let mask = number(tokens.word_text()?)?;
    tokens.eat("!=")?;
    (number(tokens.word_text()?)? == 0).then_some(Statement::Marked(mask))
}

/// Port unreachable is what `reject` means.
fn reject(tokens: &mut Tokens<'_>) -> Option<Statement> {
    if tokens.eat("with").is_some() {
        tokens.eat("icmp").or_else(|| tokens.eat("icmpv6"))?;
        tokens.eat("type");
        tokens.eat("port-unreachable")?;
    }
    Some(Statement::Reject)
}

fn dnat(tokens: &mut Tokens<'_>) -> Option<Statement> {
    tokens.eat("ip").or_else(|| tokens.eat("ip6"));
    tokens.eat_all(&["addr", ".", "port"]);
    tokens.eat("to")?;
    if tokens.eat("numgen").is_none() {
        return socket(tokens.word_text()?).map(Statement::Dnat);
    }
    let endpoint = |tokens: &mut Tokens<'_>| {
        let ip = tokens.word_text()?.parse().ok()?;
        tokens.eat(".")?;
        Some((ip, tokens.word_text()?.parse().ok()?))
    };
    one_of(tokens, "map", endpoint).map(Statement::DnatOneOf)
}

fn socket(text: &str) -> Option<SocketAddr> {
    text.parse().ok().filter(|_| !text.contains('%'))
}

/// After `numgen`: `random mod N WHAT { 0 : … , 1 : … }`.
fn one_of<'a, T>(
    tokens: &mut Tokens<'a>,
    what: &str,
    mut value: impl FnMut(&mut Tokens<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    tokens.eat_all(&["random", "mod"])?;
    let count: usize = tokens.word_text()?.parse().ok()?;
    tokens.eat(what)?;
    tokens.take(Kind::Open)?;
    let mut all = Vec::new();
    loop {
        tokens.skip_separators();
        let nth: usize = tokens.word_text()?.parse().ok()?;
        (nth == all.len()).then_some(())?;
        tokens.eat(":")?;
        all.push(value(tokens)?);
        tokens.skip_separators();
        if tokens.take(Kind::Close).is_some() {
            return (all.len() == count).then_some(all);
        }
        tokens.take(Kind::Comma)?;
    }
}

/// After `update`: `@SET { ip saddr }`.
fn remember(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<Statement> {
    let set = tokens.word_text()?.strip_prefix('@')?.into();
    tokens.take(Kind::Open)?;
    (field(tokens, family)? == Field::SourceAddress).then_some(())?;
    tokens.take(Kind::Close)?;
    Some(Statement::Remember(set))
}

/// Fields, and what they are looked up in or compared with.
fn comparison(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<Statement> {
    let mut fields = vec![field(tokens, family)?];
    while tokens.eat(".").is_some() {
        fields.push(field(tokens, family)?);
    }
    if tokens.eat("vmap").is_some() {
        return Some(Statement::VerdictMap { fields, map: tokens.word_text()?.strip_prefix('@')?.into() });
    }
    let sense = sense(tokens);
    let mut ahead = *tokens;
    if let Some(set) = ahead.word_text().and_then(|word| word.strip_prefix('@')) {
        *tokens = ahead;
        return (sense == Sense::Is).then(|| Statement::InSet { fields, set: set.into() });
    }
    match (fields.as_slice(), sense) {
        ([field @ (Field::SourceAddress | Field::DestinationAddress)], sense) => {
            Some(Statement::Compare { field: *field, sense, with: addresses(tokens)? })
        }
        ([Field::Protocol], Sense::Is) => protocol(tokens.word_text()?).map(Statement::Protocol),
        _ => None,
    }
}

fn field(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<Field> {
    let ip = if family == IpFamily::IPv4 { "ip" } else { "ip6" };
    match (tokens.word_text()?, tokens.word_text()?) {
        (word, "saddr") if word == ip => Some(Field::SourceAddress),
        (word, "daddr") if word == ip => Some(Field::DestinationAddress),
        ("meta", "l4proto") => Some(Field::Protocol),
        ("th", "dport") => Some(Field::DestinationPort),
        _ => None,
    }
}

fn addresses(tokens: &mut Tokens<'_>) -> Option<Addresses> {
    if tokens.take(Kind::Open).is_none() {
        return address(tokens.word_text()?);
    }
    let mut all = Vec::new();
    loop {
        tokens.skip_separators();
        all.push(address(tokens.word_text()?)?);
        tokens.skip_separators();
        if tokens.take(Kind::Close).is_some() {
            return Some(Addresses::AnyOf(all));
        }
        tokens.take(Kind::Comma)?;
    }
}

/// `IP`, `IP/LENGTH` or `IP-IP`.
pub(super) fn address(text: &str) -> Option<Addresses> {
    if text.contains('/') {
        return text.parse::<ipnet::IpNet>().ok().map(|net| Addresses::Net(net.trunc()));
    }
    match text.split_once('-') {
        Some((first, last)) => Some(Addresses::Range(first.parse().ok()?, last.parse().ok()?)),
        None => text.parse().ok().map(Addresses::Host),
    }
}

pub(super) fn protocol(text: &str) -> Option<Protocol> {
    text.parse().ok().filter(|found: &Protocol| found.lower() == text)
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

pub(super) fn verdict(tokens: &mut Tokens<'_>) -> Option<Verdict> {
    match tokens.word_text()? {
        "accept" => Some(Verdict::Accept),
        "drop" => Some(Verdict::Drop),
        "return" => Some(Verdict::Return),
        "jump" => Some(Verdict::Jump(tokens.word_text()?.into())),
        "goto" => Some(Verdict::Goto(tokens.word_text()?.into())),
        _ => None,
    }
}

/// After `type`: fields of the key, and whether verdicts are the values.
pub(super) fn key_type(tokens: &mut Tokens<'_>, family: IpFamily) -> Option<(Option<KeyType>, bool)> {
    let mut fields = vec![tokens.word_text()?];
    while tokens.eat(".").is_some() {
        fields.push(tokens.word_text()?);
    }
    let verdicts = tokens.eat(":").map(|()| tokens.eat("verdict"));
    let known = KeyType::of(&fields, family)?;
    match verdicts {
        Some(None) => None,
        verdicts => Some((Some(known), verdicts.is_some())),
    }
}

impl KeyType {
    pub(super) fn of(fields: &[&str], family: IpFamily) -> Option<KeyType> {
        let ip = if family == IpFamily::IPv4 { "ipv4_addr" } else { "ipv6_addr" };
        match fields {
            [a] if *a == ip => Some(KeyType::Ip),
            [a, "inet_proto", "inet_service"] if *a == ip => Some(KeyType::IpProtocolPort),
            ["inet_proto", "inet_service"] => Some(KeyType::ProtocolPort),
            [a, b, "inet_proto", "inet_service"] if *a == ip && *b == ip => Some(KeyType::Flow),
            _ => None,
        }
    }
}

impl Key {
    pub(super) fn of(words: &[&str]) -> Option<Key> {
        let ip = |word: &str| word.parse::<IpAddr>().ok();
        let port = |word: &str| word.parse::<u16>().ok();
        match words {
            [a] => Some(Key::Ip(ip(a)?)),
            [a, b] => Some(Key::ProtocolPort(protocol(a)?, port(b)?)),
            [a, b, c] => Some(Key::IpProtocolPort(ip(a)?, protocol(b)?, port(c)?)),
            [a, b, c, d] => Some(Key::Flow(ip(a)?, ip(b)?, protocol(c)?, port(d)?)),
            _ => None,
        }
    }

    fn key_type(&self) -> KeyType {
        match self {
            Key::Ip(..) => KeyType::Ip,
            Key::IpProtocolPort(..) => KeyType::IpProtocolPort,
            Key::ProtocolPort(..) => KeyType::ProtocolPort,
            Key::Flow(..) => KeyType::Flow,
        }
    }
}

/// A key with what is said about it, and whether a value follows.
pub(super) fn element(tokens: &mut Tokens<'_>) -> Option<(Key, ElementState, Option<()>)> {
    let (mut words, mut count) = ([""; 4], 0);
    loop {
        *words.get_mut(count)? = tokens.word_text()?;
        count += 1;
        if tokens.eat(".").is_none() {
            break;
        }
    }
    let key = Key::of(&words[..count])?;
    let mut state = ElementState::default();
    loop {
        let before = *tokens;
        match tokens.word_text() {
            Some("timeout") => state.timeout = Some(duration(tokens.word_text()?)?),
            Some("expires") => state.expires = Some(duration(tokens.word_text()?)?),
            Some("comment") => state.comment = Some(tokens.take(Kind::Quoted)?.into()),
            Some("counter") => {
                *tokens = before;
                state.counter = Some(counter(tokens)?);
            }
            Some(":") => return Some((key, state, Some(()))),
            Some(_) => return None,
            None => return Some((key, state, None)),
        }
    }
}

/// `counter packets N bytes N`
fn counter(tokens: &mut Tokens<'_>) -> Option<Counter> {
    tokens.eat("counter")?;
    if tokens.eat("packets").is_none() {
        return tokens.eat("name").is_none().then_some(Counter::default());
    }
    let packets = tokens.word_text()?.parse().ok()?;
    tokens.eat("bytes")?;
    Some(Counter { packets, bytes: tokens.word_text()?.parse().ok()? })
}

/// `1d2h3m4s500ms`
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let digits = rest.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = unit.bytes().position(|byte| byte.is_ascii_digit()).unwrap_or(unit.len());
        let (unit, after) = unit.split_at(letters);
        let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
        let part = match unit {
            "d" => seconds(86_400),
            "h" => seconds(3_600),
            "m" => seconds(60),
            "s" => seconds(1),
            "ms" => Some(Duration::from_millis(number)),
            _ => None,
        };
        total = total.checked_add(part?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

impl Set {
    pub(super) fn empty() -> Set {
        let (comment, elements) = (None, BTreeSet::new());
        Set { name: Text::from(""), key: KeyType::Ip, comment, dynamic_seconds: None, elements }
    }
}

impl Loaded {
    /// Puts an element into the set or map of that name, if it is one of its kind.
    pub(super) fn insert(
        &mut self,
        name: &str,
        key: Key,
        mut state: ElementState,
        value: Option<Verdict>,
    ) -> Option<()> {
        let name = match value {
            None => {
                let set = self.table.sets.get_mut(name).filter(|set| set.key == key.key_type())?;
                set.elements.insert(key);
                set.name.clone()
            }
            Some(verdict) => {
                let map = self.table.maps.get_mut(name).filter(|map| map.key == key.key_type())?;
                map.elements.insert(key, Element { verdict, comment: state.comment.take() });
                map.name.clone()
            }
        };
        if state != ElementState::default() {
            self.states.insert((name, key), state);
        }
        Some(())
    }
}
