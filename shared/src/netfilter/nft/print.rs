//! Prints a table as kube-proxy sends it to `nft`: a script of `add …` lines.
//!
//! Invariant: one object is one line, whatever its texts hold.

use std::fmt;
use std::net::IpAddr;

use super::{
    Addresses, Base, Chain, Element, Field, Key, KeyType, Map, Rule, Set, Statement, Table, Verdict,
};
use super::{BaseKind, Sense, Side};
use crate::model::{IpFamily, Text};
use crate::netfilter::iptables::{write_ip, write_number, write_socket};

/// Prints with the words that depend on the family.
struct Writer<'a> {
    table: &'a Table,
    /// `ip` or `ip6`
    ip: &'static str,
    out: &'a mut String,
}

impl Table {
    /// A script that makes the table: table, chains, sets, maps, then rules by chain, then elements by set and map.
    pub fn write(&self, out: &mut String) {
        self.writer(out).table();
    }

    /// The one line of [`Table::write`] that makes this rule of this chain, without its line end.
    pub fn rule_line(&self, chain: &Chain, rule: &Rule) -> String {
        self.line(|writer| writer.rule(chain, rule))
    }

    /// The line that puts `key` into a set.
    pub fn member_line(&self, set: &Set, key: Key) -> String {
        self.line(|writer| writer.member(set, key))
    }

    /// The line that puts an element into a map.
    pub fn element_line(&self, map: &Map, key: Key, element: &Element) -> String {
        self.line(|writer| writer.element(map, key, element))
    }

    /// A rule's statements, as they stand in a listing: without its comment.
    pub fn statements(&self, rule: &Rule) -> String {
        self.line(|writer| writer.statements(rule))
    }

    /// An element as it stands in a listing, without its comment: `KEY`, or `KEY : VERDICT`.
    pub fn entry(&self, key: Key, verdict: Option<&Verdict>) -> String {
        self.line(|writer| {
            writer.key(key);
            if let Some(verdict) = verdict {
                writer.push(&[" : "]);
                writer.verdict(verdict);
            }
        })
    }

    /// What a set's keys are made of, and how long its elements live.
    pub fn set_type(&self, set: &Set) -> String {
        self.line(|writer| {
            let key = format!("type {}", writer.key_type(set.key));
            writer.push(&[&key]);
            if let Some(seconds) = set.dynamic_seconds {
                writer.push(&[&format!(" ; flags dynamic,timeout ; timeout {seconds}s")]);
            }
        })
    }

    /// What a map leads from and to.
    pub fn map_type(&self, map: &Map) -> String {
        self.line(|writer| {
            let key = writer.key_type(map.key);
            writer.push(&["type ", &key, " : verdict"]);
        })
    }

    fn line(&self, print: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = String::new();
        print(&mut self.writer(&mut out));
        out.truncate(out.trim_end().len());
        out
    }

    fn writer<'a>(&'a self, out: &'a mut String) -> Writer<'a> {
        let ip = if self.family == IpFamily::IPv4 { "ip" } else { "ip6" };
        Writer { table: self, ip, out }
    }
}

impl Base {
    /// `type nat hook prerouting priority -100`
    pub fn text(&self) -> String {
        let kind = if self.kind == BaseKind::Nat { "nat" } else { "filter" };
        format!("type {kind} hook {} priority {}", self.hook.as_str(), self.priority)
    }
}

impl Writer<'_> {
    fn table(&mut self) {
        let table = self.table;
        self.push(&["add table ", self.ip, " ", &table.name]);
        self.properties("", table.comment.as_ref());
        table.chains.values().for_each(|chain| self.declare_chain(chain));
        table.sets.values().for_each(|set| self.declare_set(set));
        for map in table.maps.values() {
            self.start("map", &map.name);
            let key = format!("type {} : verdict ;", self.key_type(map.key));
            self.properties(&key, map.comment.as_ref());
        }
        for chain in table.chains.values() {
            chain.rules.iter().for_each(|rule| self.rule(chain, rule));
        }
        for set in table.sets.values() {
            set.elements.iter().for_each(|key| self.member(set, *key));
        }
        for map in table.maps.values() {
            map.elements.iter().for_each(|(key, element)| self.element(map, *key, element));
        }
    }

    /// `add WHAT ip TABLE NAME`
    fn start(&mut self, what: &str, name: &str) {
        self.push(&["add ", what, " ", self.ip, " ", &self.table.name, " ", name]);
    }

    /// ` { FIRST comment "…" ; }` and the line end; nothing in braces if there is nothing to say.
    fn properties(&mut self, first: &str, comment: Option<&Text>) {
        match (first.is_empty(), comment) {
            (true, None) => self.push(&["\n"]),
            (false, None) => self.push(&[" { ", first, " }\n"]),
            (_, Some(comment)) => {
                self.push(&[" { ", first, if first.is_empty() { "" } else { " " }]);
                self.comment(comment);
                self.push(&[" ; }\n"]);
            }
        }
    }

    /// nft has no way to write a quote or a line end in a text: they become blanks.
    fn comment(&mut self, comment: &str) {
        self.push(&["comment \""]);
        let bad = ['"', '\n'];
        if comment.contains(bad) {
            self.push(&[&comment.replace(bad, " ")]);
        } else {
            self.push(&[comment]);
        }
        self.push(&["\""]);
    }

    fn declare_chain(&mut self, chain: &Chain) {
        self.start("chain", &chain.name);
        let base = chain.base.map(|base| base.text() + " ;");
        self.properties(base.as_deref().unwrap_or_default(), chain.comment.as_ref());
    }

    fn declare_set(&mut self, set: &Set) {
        self.start("set", &set.name);
        let dynamic =
            set.dynamic_seconds.map(|seconds| format!(" flags dynamic,timeout ; timeout {seconds}s ;"));
        let key = format!("type {} ;{}", self.key_type(set.key), dynamic.unwrap_or_default());
        self.properties(&key, set.comment.as_ref());
    }

    fn key_type(&self, key: KeyType) -> String {
        let address = if self.ip == "ip" { "ipv4_addr" } else { "ipv6_addr" };
        match key {
            KeyType::Ip => address.to_owned(),
            KeyType::IpProtocolPort => format!("{address} . inet_proto . inet_service"),
            KeyType::ProtocolPort => "inet_proto . inet_service".to_owned(),
            KeyType::Flow => format!("{address} . {address} . inet_proto . inet_service"),
        }
    }

    fn rule(&mut self, chain: &Chain, rule: &Rule) {
        self.start("rule", &chain.name);
        if !rule.statements.is_empty() {
            self.push(&[" "]);
            self.statements(rule);
        }
        if let Some(comment) = &rule.comment {
            self.push(&[" "]);
            self.comment(comment);
        }
        self.push(&["\n"]);
    }

    fn statements(&mut self, rule: &Rule) {
        for (nth, statement) in rule.statements.iter().enumerate() {
            if nth > 0 {
                self.push(&[" "]);
            }
            self.statement(statement);
        }
    }

    fn member(&mut self, set: &Set, key: Key) {
        self.start("element", &set.name);
        self.push(&[" { "]);
        self.key(key);
        self.push(&[" }\n"]);
    }

    fn element(&mut self, map: &Map, key: Key, element: &Element) {
        self.start("element", &map.name);
        self.push(&[" { "]);
        self.key(key);
        if let Some(comment) = &element.comment {
            self.push(&[" "]);
            self.comment(comment);
        }
        self.push(&[" : "]);
        self.verdict(&element.verdict);
        self.push(&[" }\n"]);
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Ip(ip) => write_ip(ip, self.out),
            Key::IpProtocolPort(ip, protocol, port) => {
                write_ip(ip, self.out);
                self.push(&[" . ", protocol.lower(), " . "]);
                write_number(u32::from(port), self.out);
            }
            Key::ProtocolPort(protocol, port) => {
                self.push(&[protocol.lower(), " . "]);
                write_number(u32::from(port), self.out);
            }
            Key::Flow(from, to, protocol, port) => {
                write_ip(from, self.out);
                self.push(&[" . "]);
                write_ip(to, self.out);
                self.push(&[" . ", protocol.lower(), " . "]);
                write_number(u32::from(port), self.out);
            }
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Accept => self.push(&["accept"]),
            Verdict::Drop => self.push(&["drop"]),
            Verdict::Return => self.push(&["return"]),
            Verdict::Jump(chain) => self.push(&["jump ", chain]),
            Verdict::Goto(chain) => self.push(&["goto ", chain]),
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::CtStateNew => self.push(&["ct state new"]),
            Statement::CtStatusDnat => self.push(&["ct status dnat"]),
            Statement::Compare { field, sense, with } => {
                self.field(*field);
                self.push(&[" ", unequal(*sense)]);
                self.addresses(with);
            }
            Statement::InSet { fields, set } => {
                self.fields(fields);
                self.push(&[" @", set]);
            }
            Statement::VerdictMap { fields, map } => {
                self.fields(fields);
                self.push(&[" vmap @", map]);
            }
            Statement::Local(Side::Source) => self.push(&["fib saddr type local"]),
            Statement::Local(Side::Destination) => self.push(&["fib daddr type local"]),
            Statement::InInterface(sense, name) => self.push(&["iifname ", unequal(*sense), name]),
            Statement::Protocol(protocol) => self.push(&["meta l4proto ", protocol.lower()]),
            Statement::Marked(mark) => self.formatted(format_args!("mark and {mark:#010x} != 0")),
            Statement::MarkXor(mark) => self.formatted(format_args!("mark set mark xor {mark:#010x}")),
            Statement::MarkOr(mark) => self.formatted(format_args!("mark set mark or {mark:#010x}")),
            Statement::Masquerade => self.push(&["masquerade fully-random"]),
            Statement::Reject => self.push(&["reject"]),
            Statement::DnatOneOf(endpoints) => self.dnat_one_of(endpoints),
            Statement::GotoOneOf(chains) => self.goto_one_of(chains),
            Statement::Dnat(to) => {
                self.push(&["dnat to "]);
                write_socket(to.ip(), to.port(), self.out);
            }
            Statement::Remember(set) => self.push(&["update @", set, " { ", self.ip, " saddr }"]),
            Statement::Verdict(verdict) => self.verdict(verdict),
            Statement::Unknown(text) => self.push(&[text]),
        }
    }

    fn dnat_one_of(&mut self, endpoints: &[(IpAddr, u16)]) {
        self.push(&["dnat ", self.ip, " addr . port to numgen random mod "]);
        write_number(endpoints.len() as u32, self.out);
        self.push(&[" map { "]);
        for (nth, (ip, port)) in endpoints.iter().enumerate() {
            self.nth(nth);
            write_ip(*ip, self.out);
            self.push(&[" . "]);
            write_number(u32::from(*port), self.out);
        }
        self.push(&[" }"]);
    }

    fn goto_one_of(&mut self, chains: &[Text]) {
        self.push(&["numgen random mod "]);
        write_number(chains.len() as u32, self.out);
        self.push(&[" vmap { "]);
        for (nth, chain) in chains.iter().enumerate() {
            self.nth(nth);
            self.push(&["goto ", chain]);
        }
        self.push(&[" }"]);
    }

    /// `N : `, with ` , ` before all but the first.
    fn nth(&mut self, nth: usize) {
        if nth > 0 {
            self.push(&[" , "]);
        }
        write_number(nth as u32, self.out);
        self.push(&[" : "]);
    }

    fn fields(&mut self, fields: &[Field]) {
        for (nth, field) in fields.iter().enumerate() {
            if nth > 0 {
                self.push(&[" . "]);
            }
            self.field(*field);
        }
    }

    fn field(&mut self, field: Field) {
        match field {
            Field::SourceAddress => self.push(&[self.ip, " saddr"]),
            Field::DestinationAddress => self.push(&[self.ip, " daddr"]),
            Field::Protocol => self.push(&["meta l4proto"]),
            Field::DestinationPort => self.push(&["th dport"]),
        }
    }

    fn addresses(&mut self, addresses: &Addresses) {
        match addresses {
            Addresses::Host(ip) => write_ip(*ip, self.out),
            Addresses::Net(net) => {
                write_ip(net.network(), self.out);
                self.push(&["/"]);
                write_number(u32::from(net.prefix_len()), self.out);
            }
            Addresses::Range(first, last) => {
                write_ip(*first, self.out);
                self.push(&["-"]);
                write_ip(*last, self.out);
            }
            Addresses::AnyOf(all) => {
                self.push(&["{ "]);
                for (nth, one) in all.iter().enumerate() {
                    if nth > 0 {
                        self.push(&[" , "]);
                    }
                    self.addresses(one);
                }
                self.push(&[" }"]);
            }
        }
    }

    fn push(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.out.push_str(part));
    }

    fn formatted(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String never fails.
        let _ = fmt::Write::write_fmt(self.out, text);
    }
}

fn unequal(sense: Sense) -> &'static str {
    match sense {
        Sense::Is => "",
        Sense::Not => "!= ",
    }
}
