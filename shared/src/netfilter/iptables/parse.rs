//! Reads what kube-proxy writes for `iptables-restore`, and what `iptables-save [-c]` prints, legacy or nft.
//!
//! In: text of any origin. Out: tables, with the counters and policies beside them. Invariant: what is not understood is
//! kept word for word as `Unknown`; only text that no tool would read is an error.

use std::collections::HashMap;

use thiserror::Error;

use super::rule::rule;
use super::words::Words;
use super::{Chain, ChainName, Rule, Table, TableName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    pub packets: u64,
    pub bytes: u64,
}

/// What a built-in chain does with a packet that no rule decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Accept,
    Drop,
}

/// What the kernel knows about a chain besides its rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadedChain {
    /// `None` for chains that are not built in.
    pub policy: Option<Policy>,
    pub counter: Counter,
    /// One for each rule; empty if the text has none.
    pub rules: Vec<Counter>,
}

/// One table as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    pub table: Table,
    /// One for each of `table.chains`.
    pub chains: Vec<LoadedChain>,
    /// Commands other than `-A`, word for word.
    pub unknown: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    pub reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("no table has begun; expected a line such as *filter")]
    NoTable,
    #[error("the table that came before has no COMMIT")]
    NotCommitted,
    #[error("not a table; expected filter, nat, mangle, raw or security")]
    TableName,
    #[error("not a chain; expected a line such as :KUBE-SERVICES - [0:0]")]
    Chain,
    #[error("not a chain's name; expected 1 to 28 printable characters without blanks")]
    ChainName,
    #[error("not counters; expected [PACKETS:BYTES]")]
    Counters,
    #[error("a quote is not closed")]
    Quote,
    #[error("not a table, chain, rule, comment or COMMIT")]
    Line,
}

/// All tables of a text, in its order; a table that occurs twice is there twice.
pub fn parse(text: &str) -> Result<Vec<Loaded>, ParseError> {
    let mut reader = Reader { done: Vec::new(), open: None };
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        last = index + 1;
        reader.line(line.trim_ascii()).map_err(|reason| ParseError { line: last, reason })?;
    }
    match reader.open {
        Some(_) => Err(ParseError { line: last, reason: Reason::NotCommitted }),
        None => Ok(reader.done),
    }
}

/// One rule: `[PACKETS:BYTES] -A CHAIN …`, the counters optional.
pub fn parse_rule(line: &str) -> Result<(ChainName, Rule, Option<Counter>), Reason> {
    let (counter, line) = leading_counter(line.trim_ascii())?;
    let mut words = Words::new(line.strip_prefix("-A ").ok_or(Reason::Line)?);
    let name = words.next().and_then(|word| ChainName::new(word.raw)).ok_or(Reason::ChainName)?;
    Ok((name, rule(words)?, counter))
}

struct Reader {
    done: Vec<Loaded>,
    open: Option<Open>,
}

/// The table whose lines come now.
struct Open {
    loaded: Loaded,
    positions: HashMap<ChainName, usize>,
    /// Where the last rule went: the next one mostly goes there too.
    last: usize,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), Reason> {
        match line.as_bytes().first() {
            None | Some(b'#') => Ok(()),
            Some(b'*') => self.begin(&line[1..]),
            Some(b':') => self.open.as_mut().ok_or(Reason::NoTable)?.chain(&line[1..]),
            Some(b'-' | b'[') => self.open.as_mut().ok_or(Reason::NoTable)?.command(line),
            Some(_) if line == "COMMIT" => {
                let open = self.open.take().ok_or(Reason::NoTable)?;
                self.done.push(open.loaded);
                Ok(())
            }
            Some(_) => Err(Reason::Line),
        }
    }

    fn begin(&mut self, name: &str) -> Result<(), Reason> {
        if self.open.is_some() {
            return Err(Reason::NotCommitted);
        }
        let name = TableName::ALL.into_iter().find(|known| known.as_str() == name);
        let table = Table { name: name.ok_or(Reason::TableName)?, chains: Vec::new() };
        let loaded = Loaded { table, chains: Vec::new(), unknown: Vec::new() };
        self.open = Some(Open { loaded, positions: HashMap::new(), last: 0 });
        Ok(())
    }
}

impl Open {
    /// `NAME POLICY [PACKETS:BYTES]`
    fn chain(&mut self, line: &str) -> Result<(), Reason> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().and_then(ChainName::new).ok_or(Reason::ChainName)?;
        let policy = match words.next() {
            Some("-") => None,
            Some("ACCEPT") => Some(Policy::Accept),
            Some("DROP") => Some(Policy::Drop),
            _ => return Err(Reason::Chain),
        };
        let counter = words.next().map(counter).transpose()?.unwrap_or_default();
        if words.next().is_some() {
            return Err(Reason::Chain);
        }
        let position = self.position(name);
        let chain = &mut self.loaded.chains[position];
        (chain.policy, chain.counter) = (policy, counter);
        Ok(())
    }

    fn command(&mut self, line: &str) -> Result<(), Reason> {
        if line.starts_with('-') && !line.starts_with("-A ") {
            self.loaded.unknown.push(line.into());
            return Ok(());
        }
        let (name, rule, counter) = parse_rule(line)?;
        let position = self.position(name);
        let (chain, about) = (&mut self.loaded.table.chains[position], &mut self.loaded.chains[position]);
        if counter.is_some() || !about.rules.is_empty() {
            about.rules.resize(chain.rules.len(), Counter::default());
            about.rules.push(counter.unwrap_or_default());
        }
        chain.rules.push(rule);
        Ok(())
    }

    /// Of a chain, which begins to exist if it is new: rules may go to chains that exist already.
    fn position(&mut self, name: ChainName) -> usize {
        let chains = &mut self.loaded.table.chains;
        if chains.get(self.last).is_none_or(|last| last.name != name) {
            self.last = *self.positions.entry(name).or_insert_with(|| {
                chains.push(Chain { name, rules: Vec::new() });
                self.loaded.chains.push(LoadedChain::default());
                chains.len() - 1
            });
        }
        self.last
    }
}

/// The counter before a rule, and the rest.
fn leading_counter(line: &str) -> Result<(Option<Counter>, &str), Reason> {
    if !line.starts_with('[') {
        return Ok((None, line));
    }
    let end = line.find(']').ok_or(Reason::Counters)? + 1;
    Ok((Some(counter(&line[..end])?), line[end..].trim_ascii_start()))
}

fn counter(text: &str) -> Result<Counter, Reason> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or(Reason::Counters)?;
    let (packets, bytes) = inner.split_once(':').ok_or(Reason::Counters)?;
    let number = |text: &str| text.parse().map_err(|_| Reason::Counters);
    Ok(Counter { packets: number(packets)?, bytes: number(bytes)? })
}
