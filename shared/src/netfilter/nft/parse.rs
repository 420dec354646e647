//! Reads nft's language: the `add …` scripts that kube-proxy sends, and what `nft list ruleset` and `nft list table` print.
//!
//! In: text of any origin. Out: the tables of families ip and ip6. Invariant: what is not understood is kept word for
//! word; only text whose structure is broken is an error.

use std::collections::BTreeMap;

use thiserror::Error;

use super::statement::{duration, element, key_type, rule, verdict};
use super::tokens::{Kind, Tokens};
use super::{Base, BaseKind, Chain, Hook, Loaded, Map, Ruleset, Set, Table};
use crate::model::{IpFamily, Text};
use crate::netfilter::iptables::Policy;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    pub reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("a name is missing")]
    Name,
    #[error("a brace or a quote is not closed, or the text is cut off")]
    Unclosed,
    #[error("a closing brace too much")]
    Brace,
}

/// All tables of a text.
pub fn parse(text: &str) -> Result<Ruleset, ParseError> {
    let mut reader = Reader { tokens: Tokens::new(text), ruleset: Ruleset::default() };
    match reader.all() {
        Ok(()) => Ok(reader.ruleset),
        Err(reason) => Err(ParseError { line: reader.tokens.line(), reason }),
    }
}

pub(super) struct Reader<'a> {
    tokens: Tokens<'a>,
    ruleset: Ruleset,
}

impl Loaded {
    pub(super) fn new(family: IpFamily, name: &str) -> Loaded {
        let (policies, states, unknown) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Loaded { table: Table::new(family, name.into()), policies, states, unknown }
    }

    /// A chain, which begins to exist if it is new.
    pub(super) fn chain(&mut self, name: &str) -> &mut Chain {
        let name = Text::from(name);
        let new = || Chain { name: name.clone(), base: None, comment: None, rules: Vec::new() };
        self.table.chains.entry(name.clone()).or_insert_with(new)
    }
}

impl Ruleset {
    /// A table, which begins to exist if it is new.
    pub(super) fn table(&mut self, family: IpFamily, name: &str) -> &mut Loaded {
        let same = |loaded: &Loaded| loaded.table.family == family && &*loaded.table.name == name;
        let position = self.tables.iter().position(same).unwrap_or_else(|| {
            self.tables.push(Loaded::new(family, name));
            self.tables.len() - 1
        });
        &mut self.tables[position]
    }
}

pub(super) fn family(word: &str) -> Option<IpFamily> {
    match word {
        "ip" => Some(IpFamily::IPv4),
        "ip6" => Some(IpFamily::IPv6),
        _ => None,
    }
}

impl Reader<'_> {
    fn all(&mut self) -> Result<(), Reason> {
        loop {
            self.tokens.skip_separators();
            let Some(next) = self.tokens.peek() else { break };
            if next.kind == Kind::Close {
                return Err(Reason::Brace);
            }
            let start = self.tokens;
            if !self.item()? {
                self.tokens = start;
                let text = self.tokens.skip_item().ok_or(Reason::Unclosed)?;
                self.ruleset.unknown.push(text.into());
            }
        }
        if self.tokens.is_done() { Ok(()) } else { Err(Reason::Unclosed) }
    }

    /// A table or a command; `false` if it is none that we know.
    fn item(&mut self) -> Result<bool, Reason> {
        let tokens = &mut self.tokens;
        let (add, word) = match tokens.word_text() {
            Some("add") => (true, tokens.word_text()),
            word => (false, word),
        };
        let Some(family) = tokens.word_text().and_then(family) else { return Ok(false) };
        let (Some(what), name) = (word, tokens.word_text().ok_or(Reason::Name)?) else { return Ok(false) };
        if what == "table" {
            let loaded = self.ruleset.table(family, name);
            return block(tokens, |tokens| table_item(tokens, loaded)).map(|()| true);
        }
        if !add {
            return Ok(false);
        }
        let loaded = self.ruleset.table(family, name);
        let object = tokens.word_text().ok_or(Reason::Name)?;
        match what {
            "chain" | "set" | "map" => declaration(what, object, tokens, loaded),
            "rule" => {
                let rule = rule(tokens, family).ok_or(Reason::Unclosed)?;
                loaded.chain(object).rules.push(rule);
                Ok(true)
            }
            "element" => Ok(elements(tokens, object, loaded).is_some()),
            _ => Ok(false),
        }
    }
}

/// `{ … }` or nothing: items until the brace closes.
fn block<'a>(
    tokens: &mut Tokens<'a>,
    mut item: impl FnMut(&mut Tokens<'a>) -> Result<(), Reason>,
) -> Result<(), Reason> {
    if tokens.take(Kind::Open).is_none() {
        return if tokens.at_end() { Ok(()) } else { Err(Reason::Name) };
    }
    loop {
        tokens.skip_separators();
        if tokens.take(Kind::Close).is_some() {
            return Ok(());
        }
        if tokens.peek().is_none() {
            return Err(Reason::Unclosed);
        }
        item(tokens)?;
    }
}

/// What stands between a table's braces.
fn table_item<'a>(tokens: &mut Tokens<'a>, loaded: &mut Loaded) -> Result<(), Reason> {
    let start = *tokens;
    match tokens.word_text() {
        Some("comment") => {
            if let Some(comment) = tokens.take(Kind::Quoted) {
                loaded.table.comment = Some(comment.into());
                return Ok(());
            }
        }
        Some(what @ ("chain" | "set" | "map")) => {
            let name = tokens.word_text().ok_or(Reason::Name)?;
            if declaration(what, name, tokens, loaded)? {
                return Ok(());
            }
        }
        _ => {}
    }
    *tokens = start;
    keep(tokens, loaded)
}

/// Keeps an item word for word. One that is no item (a stray comma) is still taken.
fn keep(tokens: &mut Tokens<'_>, loaded: &mut Loaded) -> Result<(), Reason> {
    let text = tokens.skip_item().ok_or(Reason::Unclosed)?;
    loaded.unknown.push(text.into());
    Ok(())
}

fn declaration(what: &str, name: &str, tokens: &mut Tokens<'_>, loaded: &mut Loaded) -> Result<bool, Reason> {
    match what {
        "chain" => {
            loaded.chain(name);
            block(tokens, |tokens| chain_item(tokens, name, loaded)).map(|()| true)
        }
        _ => set_or_map(what, name, tokens, loaded),
    }
}

/// A chain's property, or one rule.
fn chain_item(tokens: &mut Tokens<'_>, name: &str, loaded: &mut Loaded) -> Result<(), Reason> {
    let start = *tokens;
    match tokens.word_text() {
        Some("type") => match base(tokens) {
            Some(base) => {
                loaded.chain(name).base = Some(base);
                return Ok(());
            }
            None => {
                *tokens = start;
                return keep(tokens, loaded);
            }
        },
        Some("policy") => {
            let policy = match tokens.word_text() {
                Some("accept") => Policy::Accept,
                Some("drop") => Policy::Drop,
                _ => return Err(Reason::Name),
            };
            loaded.policies.insert(name.into(), policy);
            return Ok(());
        }
        // A rule does not begin with its comment.
        Some("comment") => {
            if let Some(comment) = tokens.take(Kind::Quoted) {
                loaded.chain(name).comment = Some(comment.into());
                return Ok(());
            }
        }
        _ => {}
    }
    *tokens = start;
    let rule = rule(tokens, loaded.table.family).ok_or(Reason::Unclosed)?;
    loaded.chain(name).rules.push(rule);
    Ok(())
}

/// After `type`: `nat hook prerouting priority dstnat - 10`.
fn base(tokens: &mut Tokens<'_>) -> Option<Base> {
    let kind = match tokens.word_text()? {
        "filter" => BaseKind::Filter,
        "nat" => BaseKind::Nat,
        _ => return None,
    };
    tokens.eat("hook")?;
    let hook = Hook::named(tokens.word_text()?)?;
    tokens.eat("priority")?;
    let priority = priority(tokens)?;
    tokens.at_end().then_some(Base { kind, hook, priority })
}

impl Hook {
    pub(super) fn named(name: &str) -> Option<Hook> {
        let all = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
        all.into_iter().find(|hook| hook.as_str() == name)
    }
}

/// A number, or a name with a distance from it.
fn priority(tokens: &mut Tokens<'_>) -> Option<i32> {
    let first = tokens.word_text()?;
    let from = match first {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" => 100,
        number => return number.parse().ok(),
    };
    let sign = match (tokens.eat("+"), tokens.eat("-")) {
        (Some(()), _) => 1,
        (_, Some(())) => -1,
        _ => return Some(from),
    };
    let distance: i32 = tokens.word_text()?.parse().ok()?;
    from.checked_add(distance.checked_mul(sign)?)
}

/// What a set or map says about itself.
#[derive(Default)]
struct Properties {
    key: Option<super::KeyType>,
    verdicts: bool,
    comment: Option<Text>,
    seconds: Option<u32>,
}

/// `false` if its type or one of its properties is none that we know: then nothing is kept of it.
fn set_or_map(what: &str, name: &str, tokens: &mut Tokens<'_>, loaded: &mut Loaded) -> Result<bool, Reason> {
    let Some((about, elements_at)) = properties(tokens, loaded.table.family) else { return Ok(false) };
    let Some(key) = about.key.filter(|_| about.verdicts == (what == "map")) else { return Ok(false) };
    let (name, comment): (Text, _) = (name.into(), about.comment);
    if what == "set" {
        let set = Set { name: name.clone(), key, comment, dynamic_seconds: about.seconds, ..Set::empty() };
        loaded.table.sets.insert(name.clone(), set);
    } else {
        let map = Map { name: name.clone(), key, comment, elements: BTreeMap::new() };
        loaded.table.maps.insert(name.clone(), map);
    }
    let known = elements_at.is_none_or(|mut at| elements(&mut at, &name, loaded).is_some());
    if !known {
        loaded.table.sets.remove(&name);
        loaded.table.maps.remove(&name);
    }
    Ok(known)
}

/// The properties in braces, and where the elements are.
fn properties<'a>(tokens: &mut Tokens<'a>, family: IpFamily) -> Option<(Properties, Option<Tokens<'a>>)> {
    let (mut about, mut elements_at) = (Properties::default(), None);
    tokens.take(Kind::Open)?;
    loop {
        tokens.skip_separators();
        if tokens.take(Kind::Close).is_some() {
            return Some((about, elements_at));
        }
        match tokens.word_text()? {
            "type" => (about.key, about.verdicts) = key_type(tokens, family)?,
            "comment" => about.comment = Some(tokens.take(Kind::Quoted)?.into()),
            "size" => tokens.eat("65535")?,
            "timeout" => {
                let timeout = duration(tokens.word_text()?)?;
                about.seconds = Some(u32::try_from(timeout.as_secs()).ok()?);
            }
            "flags" => flags(tokens)?,
            "elements" => {
                tokens.eat("=")?;
                elements_at = Some(*tokens);
                tokens.skip_item()?;
                continue;
            }
            _ => return None,
        }
        if !tokens.at_end() {
            return None;
        }
    }
}

/// `dynamic,timeout`: elements that packets add and time takes.
fn flags(tokens: &mut Tokens<'_>) -> Option<()> {
    loop {
        tokens.eat("dynamic").or_else(|| tokens.eat("timeout"))?;
        if tokens.take(Kind::Comma).is_none() {
            return Some(());
        }
    }
}

/// `{ ELEMENT, … }` of a set or map that exists. `None` if there is something that we do not know.
fn elements(tokens: &mut Tokens<'_>, name: &str, loaded: &mut Loaded) -> Option<()> {
    tokens.take(Kind::Open)?;
    loop {
        tokens.skip_separators();
        if tokens.take(Kind::Close).is_some() {
            return Some(());
        }
        let (key, state, value) = element(tokens)?;
        let value = match value {
            None => None,
            Some(()) => Some(verdict(tokens)?),
        };
        loaded.insert(name, key, state, value)?;
        tokens.skip_separators();
        if tokens.take(Kind::Comma).is_none() {
            tokens.skip_separators();
            return tokens.take(Kind::Close).map(drop);
        }
    }
}
