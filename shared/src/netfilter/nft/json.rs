//! Reads `nft -j list ruleset` (libnftables-json(5)), which leaves out the comments of tables and chains.
//!
//! Invariant: what is not understood is kept as its JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::parse::family;
use super::statement::{address, protocol};
use super::{
    Addresses, Base, BaseKind, ElementState, Field, Hook, Key, KeyType, Loaded, Map, Rule, Ruleset, Set,
    Statement, Verdict,
};
use crate::model::{IpFamily, Text};
use crate::netfilter::iptables::{Counter, Policy, Sense, Side};

/// All tables of the text; an error is about the JSON itself.
pub fn parse_json(text: &str) -> Result<Ruleset, serde_json::Error> {
    let value: Value = serde_json::from_str(text)?;
    let mut ruleset = Ruleset::default();
    for item in value["nftables"].as_array().into_iter().flatten() {
        if object(item, &mut ruleset).is_none() {
            ruleset.unknown.push(item.to_string().into());
        }
    }
    Ok(ruleset)
}

/// The one member of an object, by its name.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let mut members = value.as_object()?.iter();
    let (name, member) = members.next()?;
    members.next().is_none().then_some((name, member))
}

fn object(item: &Value, ruleset: &mut Ruleset) -> Option<()> {
    let (kind, value) = only(item)?;
    if kind == "metainfo" {
        return Some(());
    }
    let family = family(value["family"].as_str()?)?;
    let name = |key: &str| value[key].as_str();
    let loaded = ruleset.table(family, if kind == "table" { name("name")? } else { name("table")? });
    let known = match kind {
        "table" => {
            loaded.table.comment = name("comment").map(Text::from);
            Some(())
        }
        "chain" => chain(value, loaded),
        "rule" => {
            let rule = rule(value, family)?;
            loaded.chain(name("chain")?).rules.push(rule);
            Some(())
        }
        "set" | "map" => set_or_map(kind, value, loaded),
        _ => None,
    };
    if known.is_none() {
        loaded.unknown.push(item.to_string().into());
    }
    Some(())
}

fn chain(value: &Value, loaded: &mut Loaded) -> Option<()> {
    let name = value["name"].as_str()?;
    let base = match value["type"].as_str() {
        None => None,
        Some(kind) => Some(Base {
            kind: match kind {
                "filter" => BaseKind::Filter,
                "nat" => BaseKind::Nat,
                _ => return None,
            },
            hook: Hook::named(value["hook"].as_str()?)?,
            priority: i32::try_from(value["prio"].as_i64()?).ok()?,
        }),
    };
    let policy = match value["policy"].as_str() {
        Some("accept") => Some(Policy::Accept),
        Some("drop") => Some(Policy::Drop),
        _ => None,
    };
    let chain = loaded.chain(name);
    (chain.base, chain.comment) = (base, value["comment"].as_str().map(Text::from));
    loaded.policies.extend(policy.map(|policy| (Text::from(name), policy)));
    Some(())
}

fn set_or_map(kind: &str, value: &Value, loaded: &mut Loaded) -> Option<()> {
    let name: Text = value["name"].as_str()?.into();
    let fields: Vec<&str> = match &value["type"] {
        Value::Array(all) => all.iter().map(Value::as_str).collect::<Option<_>>()?,
        one => vec![one.as_str()?],
    };
    let key = KeyType::of(&fields, loaded.table.family)?;
    let flags = value["flags"].as_array().into_iter().flatten();
    let plain = flags.map(Value::as_str).all(|flag| matches!(flag, Some("timeout" | "dynamic")));
    let ours = plain && value["size"].as_u64().is_none_or(|size| size == 65_535);
    let elements = value["elem"].as_array().map_or(&[][..], Vec::as_slice);
    let comment = value["comment"].as_str().map(Text::from);
    let mut fresh = Loaded::new(loaded.table.family, "");
    if kind == "set" {
        let timeout = value["timeout"].as_u64().map(u32::try_from).transpose().ok()?;
        let set = Set { name: name.clone(), key, comment, dynamic_seconds: timeout, ..Set::empty() };
        fresh.table.sets.insert(name.clone(), set);
    } else {
        (value["map"].as_str()? == "verdict").then_some(())?;
        let map = Map { name: name.clone(), key, comment, elements: BTreeMap::new() };
        fresh.table.maps.insert(name.clone(), map);
    }
    ours.then_some(())?;
    elements.iter().try_for_each(|one| element(kind, one, &name, &mut fresh))?;
    loaded.table.sets.append(&mut fresh.table.sets);
    loaded.table.maps.append(&mut fresh.table.maps);
    loaded.states.append(&mut fresh.states);
    Some(())
}

fn element(kind: &str, value: &Value, name: &str, loaded: &mut Loaded) -> Option<()> {
    let (key, verdict) = match value.as_array().map(Vec::as_slice) {
        Some([key, value]) if kind == "map" => (key, Some(verdict(value)?)),
        None if kind == "set" => (value, None),
        _ => return None,
    };
    let mut state = ElementState::default();
    let key = match only(key) {
        Some(("elem", about)) => {
            let seconds = |name: &str| about[name].as_u64().map(Duration::from_secs);
            state.timeout = seconds("timeout");
            state.expires = seconds("expires");
            state.comment = about["comment"].as_str().map(Text::from);
            let count = |name: &str| about["counter"][name].as_u64();
            state.counter =
                count("packets").zip(count("bytes")).map(|(packets, bytes)| Counter { packets, bytes });
            &about["val"]
        }
        _ => key,
    };
    let words = match only(key) {
        Some(("concat", all)) => all.as_array()?.iter().map(word).collect::<Option<Vec<_>>>()?,
        _ => vec![word(key)?],
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    loaded.insert(name, Key::of(&words)?, state, verdict)
}

/// A text or a number, as text.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn verdict(value: &Value) -> Option<Verdict> {
    let (kind, about) = only(value)?;
    let target = || about["target"].as_str().map(Text::from);
    match kind {
        "accept" => Some(Verdict::Accept),
        "drop" => Some(Verdict::Drop),
        "return" => Some(Verdict::Return),
        "jump" => target().map(Verdict::Jump),
        "goto" => target().map(Verdict::Goto),
        _ => None,
    }
}

fn rule(value: &Value, family: IpFamily) -> Option<Rule> {
    let statements = value["expr"]
        .as_array()?
        .iter()
        .map(|each| statement(each, family).unwrap_or_else(|| Statement::Unknown(each.to_string().into())));
    Some(Rule { statements: statements.collect(), comment: value["comment"].as_str().map(Text::from) })
}

fn statement(value: &Value, family: IpFamily) -> Option<Statement> {
    let (kind, about) = only(value)?;
    match kind {
        "match" => comparison(about, family),
        "mangle" => {
            (is_mark(&about["key"])).then_some(())?;
            let (operator, operands) = only(&about["value"])?;
            let mark = mark_and_number(operands)?;
            match operator {
                "|" => Some(Statement::MarkOr(mark)),
                "^" => Some(Statement::MarkXor(mark)),
                _ => None,
            }
        }
        "vmap" => vmap(about, family),
        "masquerade" => (about["flags"].as_str()? == "fully-random").then_some(Statement::Masquerade),
        "reject" => {
            let known = about.is_null()
                || (matches!(about["type"].as_str(), Some("icmp" | "icmpv6"))
                    && about["expr"] == "port-unreachable");
            known.then_some(Statement::Reject)
        }
        "dnat" => dnat(about),
        "set" => {
            let source = fields(&about["elem"], family)? == [Field::SourceAddress];
            let ours = source && about["op"] == "update" && about["stmt"].is_null();
            ours.then_some(Statement::Remember(about["set"].as_str()?.strip_prefix('@')?.into()))
        }
        "accept" | "drop" | "return" | "jump" | "goto" => verdict(value).map(Statement::Verdict),
        _ => None,
    }
}

fn is_mark(value: &Value) -> bool {
    value["meta"]["key"] == "mark"
}

/// `[MARK, N]`
fn mark_and_number(operands: &Value) -> Option<u32> {
    match operands.as_array()?.as_slice() {
        [mark, number] if is_mark(mark) => u32::try_from(number.as_u64()?).ok(),
        _ => None,
    }
}

fn comparison(about: &Value, family: IpFamily) -> Option<Statement> {
    let (left, right) = (&about["left"], &about["right"]);
    let sense = match about["op"].as_str()? {
        "==" | "in" => Sense::Is,
        "!=" => Sense::Not,
        _ => return None,
    };
    if let Some(("&", operands)) = only(left) {
        return (sense == Sense::Not && right == 0).then_some(Statement::Marked(mark_and_number(operands)?));
    }
    if is_mark(left) {
        let length = right["prefix"]["len"].as_u64().filter(|length| (1..=32).contains(length))?;
        let ours = sense == Sense::Not && right["prefix"]["addr"] == 0;
        return ours.then_some(Statement::Marked(u32::MAX << (32 - length)));
    }
    match (only(left)?, right.as_str(), sense) {
        (("ct", key), Some("new"), Sense::Is) if key["key"] == "state" => Some(Statement::CtStateNew),
        (("ct", key), Some("dnat"), Sense::Is) if key["key"] == "status" => Some(Statement::CtStatusDnat),
        (("fib", fib), Some("local"), Sense::Is) if fib["result"] == "type" => {
            match fib["flags"].as_array()?.as_slice() {
                [one] if one == "saddr" => Some(Statement::Local(Side::Source)),
                [one] if one == "daddr" => Some(Statement::Local(Side::Destination)),
                _ => None,
            }
        }
        (("meta", key), Some(name), sense) if key["key"] == "iifname" => {
            Some(Statement::InInterface(sense, name.into()))
        }
        _ => field_comparison(fields(left, family)?, sense, right),
    }
}

fn field_comparison(fields: Vec<Field>, sense: Sense, right: &Value) -> Option<Statement> {
    if let Some(set) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        return (sense == Sense::Is).then(|| Statement::InSet { fields, set: set.into() });
    }
    match (fields.as_slice(), sense) {
        ([field @ (Field::SourceAddress | Field::DestinationAddress)], sense) => {
            Some(Statement::Compare { field: *field, sense, with: addresses(right)? })
        }
        ([Field::Protocol], Sense::Is) => protocol(right.as_str()?).map(Statement::Protocol),
        _ => None,
    }
}

fn addresses(value: &Value) -> Option<Addresses> {
    if let Some(text) = value.as_str() {
        return address(text);
    }
    match only(value)? {
        ("prefix", prefix) => address(&format!("{}/{}", prefix["addr"].as_str()?, prefix["len"].as_u64()?)),
        ("range", ends) => match ends.as_array()?.as_slice() {
            [first, last] => address(&format!("{}-{}", first.as_str()?, last.as_str()?)),
            _ => None,
        },
        ("set", all) => {
            all.as_array()?.iter().map(addresses).collect::<Option<Vec<_>>>().map(Addresses::AnyOf)
        }
        _ => None,
    }
}

fn fields(value: &Value, family: IpFamily) -> Option<Vec<Field>> {
    match only(value)? {
        ("concat", all) => all.as_array()?.iter().map(|one| field(one, family)).collect::<Option<Vec<_>>>(),
        _ => Some(vec![field(value, family)?]),
    }
}

fn field(value: &Value, expected: IpFamily) -> Option<Field> {
    match only(value)? {
        ("meta", about) if about["key"] == "l4proto" => Some(Field::Protocol),
        ("payload", about) => match (about["protocol"].as_str()?, about["field"].as_str()?) {
            ("th", "dport") => Some(Field::DestinationPort),
            (ip, "saddr") if family(ip) == Some(expected) => Some(Field::SourceAddress),
            (ip, "daddr") if family(ip) == Some(expected) => Some(Field::DestinationAddress),
            _ => None,
        },
        _ => None,
    }
}

fn vmap(about: &Value, family: IpFamily) -> Option<Statement> {
    if let Some(map) = about["data"].as_str() {
        let fields = fields(&about["key"], family)?;
        return Some(Statement::VerdictMap { fields, map: map.strip_prefix('@')?.into() });
    }
    let target = |value: &Value| match verdict(value)? {
        Verdict::Goto(chain) => Some(chain),
        _ => None,
    };
    one_of(about, target).map(Statement::GotoOneOf)
}

/// A map by a random number from 0: all its values, if it is complete.
fn one_of<T>(about: &Value, value: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let numgen = &about["key"]["numgen"];
    let rows = about["data"]["set"].as_array()?;
    let ours = numgen["mode"] == "random"
        && numgen["offset"].as_u64().unwrap_or_default() == 0
        && numgen["mod"].as_u64() == u64::try_from(rows.len()).ok();
    ours.then_some(())?;
    let nth = |(index, row): (usize, &Value)| match row.as_array()?.as_slice() {
        [key, found] if key.as_u64() == u64::try_from(index).ok() => value(found),
        _ => None,
    };
    rows.iter().enumerate().map(nth).collect()
}

fn dnat(about: &Value) -> Option<Statement> {
    about["flags"].is_null().then_some(())?;
    if let Some(ip) = about["addr"].as_str() {
        let port = u16::try_from(about["port"].as_u64()?).ok()?;
        return Some(Statement::Dnat((ip.parse::<std::net::IpAddr>().ok()?, port).into()));
    }
    let endpoint = |value: &Value| match value["concat"].as_array()?.as_slice() {
        [ip, port] => Some((ip.as_str()?.parse().ok()?, u16::try_from(port.as_u64()?).ok()?)),
        _ => None,
    };
    one_of(&about["addr"]["map"], endpoint).map(Statement::DnatOneOf)
}
